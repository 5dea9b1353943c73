//! Files of the Numenta Anomaly Benchmark as records, one JSON object each, numbers as they stand in the file.

use std::{fs, path::Path, path::PathBuf};

/// One file: one series.
pub struct Series {
    /// Where it lies.
    pub path: PathBuf,
    /// The series key: the file's stem.
    pub key: String,
    /// Its records in order, each as key, tab and JSON.
    pub lines: Vec<String>,
}

/// The files of some categories below the data folder, by name.
pub fn series(data: &Path, categories: &[&str]) -> Vec<Series> {
    let mut paths = vec![];
    for category in categories {
        let folder = data.join("nab/data").join(category);
        let entries = fs::read_dir(&folder).expect("the category's folder can be listed");
        paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "csv"));
    paths.sort();
    assert!(!paths.is_empty(), "no CSV file of {categories:?} below {}", data.display());
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Series {
    let text = fs::read_to_string(&path).expect("a file of the benchmark is text");
    let key = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let row = |line: &str| {
        let (time, value) = line.split_once(',').expect("a row has two columns");
        format!("{key}\t{{\"series\":\"{key}\",\"time\":\"{time}\",\"value\":{value}}}")
    };
    let lines = text.lines().skip(1).map(row).collect();
    Series { path, key, lines }
}

/// The lines of all series, mixed so that each comes evenly from first to last; those of one series keep their
/// order.
pub fn mixed(series: &[Series]) -> Vec<&str> {
    let mut all: Vec<(u64, &str)> = series
        .iter()
        .flat_map(|one| {
            let len = one.lines.len() as u64;
            let place = move |index: usize| (index as u64 * 1_000_000_000) / len;
            one.lines.iter().enumerate().map(move |(index, line)| (place(index), line.as_str()))
        })
        .collect();
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, line)| line).collect()
}
