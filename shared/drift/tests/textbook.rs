//! The textbook tests find changes at the rows where River's find them, in files of the Numenta Anomaly Benchmark.
//! What River finds is recorded (recorded/textbook.py). Without the data it is skipped.
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

use std::{collections::BTreeSet, env, fs, path::Path, path::PathBuf};

use oddwatch_drift::textbook::{
    Adwin, HddmA, HddmW, Kswin, PageHinkley, Sides, Test, Wasserstein, hddm_a, hddm_w, kswin,
    page_hinkley, wasserstein,
};

const RECORDED: &str = include_str!("recorded/textbook.csv");

/// The folder with the files: in `$ODDWATCH_DATA`, else in `../shared/data` seen from the root.
fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = env::var_os("ODDWATCH_DATA").map_or(beside, PathBuf::from).join("nab/data");
    if data.is_dir() {
        return Some(data);
    }
    assert!(env::var("ODDWATCH_REQUIRE").as_deref() != Ok("all"), "no data at {}", data.display());
    println!("skipped: textbook: there is no data at {} (ODDWATCH_DATA)", data.display());
    None
}

fn read(path: &Path) -> Vec<f64> {
    let text = fs::read_to_string(path).expect("the file can be read");
    let value = |line: &str| line.split(',').nth(1).expect("a value").parse().expect("a number");
    text.lines().skip(1).map(value).collect()
}

/// 1 for a value above the one in the middle of the sorted file.
fn binary(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    values.iter().map(|&x| f64::from(u8::from(x > sorted[values.len() / 2]))).collect()
}

/// Places between the file's least and largest value.
fn scaled(values: &[f64]) -> Vec<f64> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().map(|x| (x - low) / (high - low)).collect()
}

/// The rows at which a test that starts anew after each change finds one.
fn rows<T: Test>(parameters: T::Parameters, values: &[f64]) -> String {
    let mut test = T::new(parameters);
    let mut found = vec![];
    for (row, &x) in values.iter().enumerate() {
        if test.push(x).is_some() {
            test.restart();
            found.push(row.to_string());
        }
    }
    found.join(" ")
}

/// The rows from which on a test warns.
fn warnings<T: Test>(values: &[f64], is_warning: fn(&T) -> bool) -> String {
    let (mut test, mut before, mut found) = (T::new(Default::default()), false, vec![]);
    for (row, &x) in values.iter().enumerate() {
        let changed = test.push(x).is_some();
        let now = !changed && is_warning(&test);
        if now && !before {
            found.push(row.to_string());
        }
        if changed {
            test.restart();
        }
        before = now;
    }
    found.join(" ")
}

/// The rows at which ADWIN drops rows, and how many it keeps.
fn window(values: &[f64]) -> String {
    let mut test = Adwin::new(Default::default());
    let found = values.iter().enumerate().filter_map(|(row, &x)| {
        let change = test.push(x)?;
        assert_eq!(change.rows, test.rows());
        Some(format!("{row}:{}", test.rows()))
    });
    found.collect::<Vec<_>>().join(" ")
}

fn ours(test: &str, values: &[f64]) -> String {
    let hinkley = |sides, threshold| page_hinkley::Parameters {
        sides,
        threshold,
        ..page_hinkley::Parameters::default()
    };
    let a_up = hddm_a::Parameters { sides: Sides::Up, ..Default::default() };
    let w_up = hddm_w::Parameters { sides: Sides::Up, ..Default::default() };
    match test {
        "adwin" => rows::<Adwin>(Default::default(), values),
        "adwin_window" => window(values),
        "page_hinkley" => rows::<PageHinkley>(hinkley(Sides::Both, 50.0), values),
        "page_hinkley_up" => rows::<PageHinkley>(hinkley(Sides::Up, 50.0), values),
        "page_hinkley_down" => rows::<PageHinkley>(hinkley(Sides::Down, 50.0), values),
        "page_hinkley_scaled" => rows::<PageHinkley>(hinkley(Sides::Both, 5.0), &scaled(values)),
        "hddm_a_binary" => rows::<HddmA>(Default::default(), &binary(values)),
        "hddm_a_scaled" => rows::<HddmA>(Default::default(), &scaled(values)),
        "hddm_a_warnings" => warnings(&binary(values), HddmA::is_warning),
        "hddm_w_warnings" => warnings(&binary(values), HddmW::is_warning),
        "hddm_a_up_binary" => rows::<HddmA>(a_up, &binary(values)),
        "hddm_a_up_scaled" => rows::<HddmA>(a_up, &scaled(values)),
        "hddm_w_binary" => rows::<HddmW>(Default::default(), &binary(values)),
        "hddm_w_scaled" => rows::<HddmW>(Default::default(), &scaled(values)),
        "hddm_w_up_binary" => rows::<HddmW>(w_up, &binary(values)),
        "hddm_w_up_scaled" => rows::<HddmW>(w_up, &scaled(values)),
        "kswin" => rows::<Kswin>(Default::default(), values),
        _ => panic!("recorded of {test}, which is not compared"),
    }
}

#[test]
fn changes_are_where_river_finds_them() {
    let Some(folder) = folder() else { return };
    let (mut tests, mut files, mut changes) = (BTreeSet::new(), BTreeSet::new(), 0);
    for line in RECORDED.lines().skip(1) {
        let [test, file, expected] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("three columns: {line}");
        };
        let values = read(&folder.join(format!("{file}.csv")));
        assert_eq!(ours(test, &values), expected, "{test} of {file}");
        changes += expected.split_whitespace().count();
        tests.insert(test);
        files.insert(file);
    }
    assert!(tests.len() > 15 && files.len() >= 6 && changes > 1_000, "{changes} of {tests:?}");
}

#[test]
fn distances_and_p_values_are_those_of_scipy() {
    let mut kswin = Kswin::new(kswin::Parameters { window: 64, recent: 16, ..Default::default() });
    let parameters = wasserstein::Parameters { bound: 0.5, window: 16, times: 4 };
    let mut wasserstein = Wasserstein::new(parameters);
    let mut compared = 0;
    for line in include_str!("recorded/distances.csv").lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<f64>().ok();
        let x = number(0).expect("a value");
        let found = kswin.push(x);
        wasserstein.push(x);
        let (Some(statistic), Some(p_value), Some(distance)) = (number(1), number(2), number(3))
        else {
            continue;
        };
        assert!((kswin.statistic() - statistic).abs() < 1e-9, "{line}");
        assert!((kswin.p_value(kswin.statistic()) / p_value - 1.0).abs() < 1e-9, "{line}");
        assert_eq!(found.is_some(), p_value <= 0.005, "{line}");
        assert!((wasserstein.statistic() - distance).abs() < 1e-9, "{line}");
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}
