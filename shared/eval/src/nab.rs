//! The Numenta Anomaly Benchmark (Lavin & Ahmad 2015, "Evaluating real-time anomaly detection
//! algorithms: the Numenta Anomaly Benchmark"): 58 series with windows in which an anomaly lies. A
//! detection counts more the earlier it is in its window, and once for each window; a false alarm
//! costs more the further it is from the window before it.

mod score;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use domain::{Detector, Micros};

pub use score::{PROFILES, Profile, Score, scores};

use crate::{Error, Progress, Series, parallel, prequential, times};

/// A series and when it is anomalous.
#[derive(Clone, Debug, PartialEq)]
pub struct Windowed {
    /// Where it lies: `category/file.csv`.
    pub name: String,
    /// Its rows.
    pub series: Series,
    /// First and last time of each window with an anomaly.
    pub windows: Vec<(Micros, Micros)>,
}

impl Windowed {
    /// The folder it lies in.
    pub fn category(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// First and last row of each window that has rows, in their order.
    pub fn spans(&self) -> Vec<(usize, usize)> {
        let at = &self.series.at;
        let span = |(from, until): &(Micros, Micros)| {
            // Some files have a time twice: the first row with it counts.
            let left = at.iter().position(|t| t >= from)?;
            let right = match at.iter().position(|t| t == until) {
                Some(row) => row,
                None => at.iter().rposition(|t| t < until)?,
            };
            (left <= right).then_some((left, right))
        };
        let mut spans: Vec<_> = self.windows.iter().filter_map(span).collect();
        spans.sort_unstable();
        spans
    }
}

/// Series to be scored together, under one threshold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Corpus(pub Vec<Windowed>);

/// What a detector said of a corpus: alerts in [0, 1], one for each row of each series.
#[derive(Clone, Debug, PartialEq)]
pub struct Results(pub Vec<Vec<f64>>);

impl Corpus {
    /// Reads the benchmark: `data/<category>/<file>.csv` and `labels/combined_windows.json`.
    ///
    /// # Errors
    /// A file that is missing or is not what it should be.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("labels/combined_windows.json");
        let file = File::open(&path).map_err(Error::file(&path))?;
        let labels: BTreeMap<String, Vec<(String, String)>> =
            serde_json::from_reader(BufReader::new(file)).map_err(|error| {
                Error::content(&path, format!("{error}; it must be {{\"file\": [[from, until]]}}"))
            })?;
        let read = |(name, windows): (&String, &Vec<(String, String)>)| {
            let time = |text: &str| {
                let wrong = || format!("{name}: {text:?} must be like 2014-04-01 00:05:00");
                times::parse(text).ok_or_else(|| Error::content(&path, wrong()))
            };
            let windows = windows.iter().map(|(from, until)| Ok((time(from)?, time(until)?)));
            let windows: Vec<(Micros, Micros)> = windows.collect::<Result<_, Error>>()?;
            let data = folder.join("data").join(name);
            let windowed = Windowed { name: name.clone(), series: series(&data)?, windows };
            if windowed.spans().len() == windowed.windows.len() {
                Ok(windowed)
            } else {
                let what = "a window without rows; labels and data must be of one version";
                Err(Error::content(&data, what))
            }
        };
        let all: Vec<_> = labels.iter().map(read).collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(Error::content(&path, "no file is named"));
        }
        Ok(Self(all))
    }

    /// Runs all series through a detector, on all cores.
    pub fn run(&self, detector: &Detector, progress: Progress<'_>) -> Results {
        let alerts = |one: &Windowed| {
            prequential::run(detector, &one.series).iter().map(|said| said.alert).collect()
        };
        Results(parallel::map(&self.0, alerts, progress))
    }

    /// The scores of all three profiles.
    pub fn scores(&self, results: &Results) -> [Score; 3] {
        scores(self.0.iter().zip(&results.0).map(|(one, alerts)| (one, alerts.as_slice())))
    }

    /// The scores without one category, for each of them, by name. The threshold is chosen anew.
    pub fn without_each_category(&self, results: &Results) -> Vec<(String, [Score; 3])> {
        let mut categories: Vec<&str> = self.0.iter().map(Windowed::category).collect();
        categories.sort_unstable();
        categories.dedup();
        let without = |category: &str| {
            let others =
                self.0.iter().zip(&results.0).filter(|(one, _)| one.category() != category);
            scores(others.map(|(one, alerts)| (one, alerts.as_slice())))
        };
        categories.iter().map(|category| ((*category).to_owned(), without(category))).collect()
    }

    /// Writes result files as the benchmark's own scorer reads them:
    /// `<folder>/<category>/<prefix><file>.csv`.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&self, results: &Results, folder: &Path, prefix: &str) -> Result<(), Error> {
        for (one, alerts) in self.0.iter().zip(&results.0) {
            let (category, file) = one.name.rsplit_once('/').unwrap_or(("", &one.name));
            let category = folder.join(category);
            fs::create_dir_all(&category).map_err(Error::file(&category))?;
            let path = category.join(format!("{prefix}{file}"));
            write(&path, one, alerts).map_err(Error::file(&path))?;
        }
        Ok(())
    }
}

fn write(path: &PathBuf, one: &Windowed, alerts: &[f64]) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    writeln!(out, "timestamp,value,anomaly_score,label")?;
    let spans = one.spans();
    let rows = one.series.at.iter().zip(&one.series.values).zip(alerts);
    for (row, ((at, value), alert)) in rows.enumerate() {
        let label = u8::from(spans.iter().any(|(left, right)| (*left..=*right).contains(&row)));
        writeln!(out, "{},{value},{alert},{label}", times::text(*at))?;
    }
    out.flush()
}

/// Reads one data file; its key is the file's stem, as in `oddwatch score`.
fn series(path: &Path) -> Result<Series, Error> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| Error::csv(path, error))?;
    let header = reader.headers().map_err(|error| Error::csv(path, error))?.clone();
    let column = |wanted: &str| {
        header.iter().position(|name| name == wanted).ok_or_else(|| Error::Column {
            path: path.display().to_string(),
            wanted: wanted.to_owned(),
            there: header.iter().collect::<Vec<_>>().join(", "),
        })
    };
    let (time, value) = (column("timestamp")?, column("value")?);
    let (mut at, mut values) = (vec![], vec![]);
    for record in reader.records() {
        let record = record.map_err(|error| Error::csv(path, error))?;
        let wrong = |column: usize, right: &str| Error::Cell {
            path: path.display().to_string(),
            line: record.position().map_or(0, csv::Position::line),
            column: Some(header[column].to_owned()),
            what: format!("{:?} must be {right}", &record[column]),
        };
        let parsed = times::parse(&record[time]);
        at.push(parsed.ok_or_else(|| wrong(time, "like 2014-04-01 00:05:00"))?);
        let parsed = record[value].trim().parse();
        values.push(parsed.map_err(|_| wrong(value, "a number"))?);
    }
    let key = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Series::single(&key, at, values))
}

#[cfg(test)]
mod tests;
