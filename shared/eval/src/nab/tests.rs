//! The scorer against planted detectors, against figures recorded from another implementation, and
//! against that implementation itself where it is at hand.

use std::{env, path::PathBuf, process::Command};

use domain::Kind;

use super::*;
use crate::{dice::Dice, parallel::quietly};

const STEP: Micros = 300_000_000;

/// A series of so many rows with windows at these rows.
fn windowed(name: &str, rows: i64, windows: &[(i64, i64)]) -> Windowed {
    let mut dice = Dice::new(name, 1);
    let at = (0..rows).map(|row| row * STEP).collect();
    let values = (0..rows).map(|_| dice.normal()).collect();
    let windows = windows.iter().map(|(left, right)| (left * STEP, right * STEP)).collect();
    Windowed { name: name.into(), series: Series::single(name, at, values), windows }
}

fn corpus() -> Corpus {
    Corpus(vec![
        windowed("a/one.csv", 1000, &[(300, 349), (700, 799)]),
        windowed("a/quiet.csv", 500, &[]),
        windowed("b/early.csv", 800, &[(50, 200), (400, 402)]),
    ])
}

/// Alerts given by a function of series and row.
fn said(corpus: &Corpus, alert: impl Fn(&Windowed, usize) -> f64) -> Results {
    let of = |one: &Windowed| (0..one.series.len()).map(|row| alert(one, row)).collect();
    Results(corpus.0.iter().map(of).collect())
}

fn standard(corpus: &Corpus, results: &Results) -> f64 {
    corpus.scores(results)[0].score
}

#[test]
fn a_perfect_detector_has_100_and_a_silent_one_0() {
    let mut corpus = corpus();
    // The probation of 120 rows cuts the window from 50 on, so nobody could have 100.
    corpus.0[2].windows[0].0 = 120 * STEP;
    let perfect =
        said(&corpus, |one, row| f64::from(u8::from(one.spans().iter().any(|span| span.0 == row))));
    for score in corpus.scores(&perfect) {
        assert!((score.score - 100.0).abs() < 1e-9 && score.threshold == 1.0, "{score:?}");
    }
    for alert in [0.0, 0.5] {
        let indifferent = said(&corpus, |_, _| alert);
        let found = corpus.scores(&indifferent);
        assert_eq!(found.map(|score| score.score), [0.0; 3], "all rows or none");
        assert_eq!(found[0].threshold, NOTHING_SAID);
    }
    let late =
        said(&corpus, |one, row| f64::from(u8::from(one.spans().iter().any(|span| span.1 == row))));
    assert!(standard(&corpus, &late) < 60.0 && standard(&corpus, &late) > 50.0);
    // One false alarm far from everything costs .11 of 4 windows, found and not missed.
    let with_one = said(&corpus, |one, row| {
        let false_one = one.name == "a/quiet.csv" && row == 400;
        f64::from(u8::from(false_one || one.spans().iter().any(|span| span.0 == row)))
    });
    assert!((standard(&corpus, &with_one) - (100.0 - 11.0 / 8.0)).abs() < 1e-9);
    let outside = said(&corpus, |one, row| {
        f64::from(u8::from(
            !one.spans().iter().any(|(left, right)| (*left..=*right).contains(&row)),
        ))
    });
    assert_eq!(standard(&corpus, &outside), 0.0);
}

const NOTHING_SAID: f64 = 1.1;

#[test]
fn the_order_of_alerts_matters_and_not_their_size() {
    let corpus = corpus();
    let mut dice = Dice::new("alerts", 3);
    let results = Results(
        corpus
            .0
            .iter()
            .map(|one| (0..one.series.len()).map(|_| dice.uniform()).collect())
            .collect(),
    );
    let squeezed = Results(
        results.0.iter().map(|all| all.iter().map(|alert| alert * alert / 2.0).collect()).collect(),
    );
    let scores = |results| corpus.scores(results).map(|score| score.score);
    assert_eq!(scores(&results), scores(&squeezed));
}

#[test]
fn windows_are_found_by_time_where_rows_are_missing() {
    let mut one = windowed("a/b.csv", 100, &[(10, 20), (31, 32), (40, 41)]);
    let keep = |row: &usize| row.is_multiple_of(3);
    one.series.at = (0..100).filter(keep).map(|row| row as i64 * STEP).collect();
    // Rows 12 to 18, none, none.
    assert_eq!(one.spans(), [(4, 6)]);
    one.series.at[5] = one.series.at[6];
    one.windows = vec![(18 * STEP, 18 * STEP)];
    assert_eq!(one.spans(), [(5, 5)], "the first row of a time that stands twice");
}

#[test]
fn scores_are_those_recorded() {
    let corpus = corpus();
    let results = recorded_alerts(&corpus);
    // `nab_score.py` on what `write` wrote of this corpus and these alerts.
    for (found, expect) in corpus.scores(&results).iter().zip(RECORDED) {
        assert!((found.score - expect.0).abs() < 0.01, "{found:?}, not {expect:?}");
        assert!((found.threshold - expect.1).abs() < 1e-6, "{found:?}, not {expect:?}");
    }
}

const RECORDED: [(f64, f64); 3] = [(59.60, 0.98), (58.70, 1.0), (64.74, 0.98)];

/// Alerts of two decimals, a little higher in windows.
fn recorded_alerts(corpus: &Corpus) -> Results {
    let alert = |one: &Windowed, row: usize| {
        let noise = (row * 7919 + one.name.len() * 104_729) % 1009;
        let inside = one.spans().iter().any(|(left, right)| (*left..=*right).contains(&row));
        let score = if inside { 0.02 } else { 0.0 } + noise as f64 / 1009.0 * 0.98;
        libm::round(score * 100.0) / 100.0
    };
    said(corpus, alert)
}

#[test]
fn result_files_are_read_back_by_the_reference_scorer() {
    let test = "nab::tests::result_files_are_read_back_by_the_reference_scorer";
    let Some(script) = script(test) else { return };
    let corpus = corpus();
    let results = recorded_alerts(&corpus);
    let folder = tempfile::tempdir().unwrap();
    write_corpus(&corpus, folder.path());
    assert_eq!(Corpus::read(folder.path()).unwrap().scores(&results), corpus.scores(&results));
    agree(&script, folder.path(), &corpus, &results);
}

#[test]
fn the_benchmark_itself_is_scored_as_the_reference_does() {
    let test = "nab::tests::the_benchmark_itself_is_scored_as_the_reference_does";
    let Some(data) = data(test) else { return };
    let corpus = Corpus::read(&data).unwrap();
    assert_eq!(corpus.0.iter().map(|one| one.series.len()).sum::<usize>(), 365_558);
    let mut detector = Detector::implicit("default");
    detector.algorithm = domain::Algorithm::new(Kind::RobustZ);
    let results = corpus.run(&detector, &quietly);
    assert!(standard(&corpus, &results) > 20.0, "{:?}", corpus.scores(&results));
    if let Some(script) = script(test) {
        agree(&script, &data, &corpus, &results);
    }
}

#[test]
fn wrong_files_are_named_with_line_and_column() {
    let check = |data: &str, labels: &str, expect: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/a")).unwrap();
        fs::create_dir_all(folder.path().join("labels")).unwrap();
        fs::write(folder.path().join("data/a/b.csv"), data).unwrap();
        fs::write(folder.path().join("labels/combined_windows.json"), labels).unwrap();
        let error = Corpus::read(folder.path()).map(|corpus| corpus.0.len()).unwrap_err();
        let text = error.to_string().replace(&folder.path().display().to_string(), "F");
        assert!(text.contains(expect), "{text}");
    };
    let (good, none) = ("timestamp,value\n2014-04-01 00:00:00,1\n", "{\"a/b.csv\": []}");
    check(good, "{", "F/labels/combined_windows.json: ");
    check(good, "{}", "no file is named");
    check(good, "{\"a/c.csv\": []}", "F/data/a/c.csv: ");
    check(good, "{\"a/b.csv\": [[\"x\", \"y\"]]}", "\"x\" must be like 2014-04-01 00:05:00");
    check(
        good,
        "{\"a/b.csv\": [[\"2015-04-01 00:00:00\", \"2015-04-02 00:00:00\"]]}",
        "a window without rows",
    );
    check("time,value\n", none, "there is no column \"timestamp\"; the columns are time, value");
    check(
        "timestamp,value\n2014-04-01 00:00:00,high\n",
        none,
        "F/data/a/b.csv, line 2, column \"value\": \"high\" must be a number",
    );
    check("timestamp,value\nnow,1\n", none, "line 2, column \"timestamp\": \"now\" must be like");
    check("timestamp,value\n1,2,3\n", none, "line 2");
}

/// Writes data and labels of a corpus in the benchmark's layout.
fn write_corpus(corpus: &Corpus, folder: &Path) {
    let labels: BTreeMap<_, _> = corpus
        .0
        .iter()
        .map(|one| {
            let text = |(a, b): &(Micros, Micros)| (times::text(*a), times::text(*b));
            (one.name.clone(), one.windows.iter().map(text).collect::<Vec<_>>())
        })
        .collect();
    fs::create_dir_all(folder.join("labels")).unwrap();
    let file = File::create(folder.join("labels/combined_windows.json")).unwrap();
    serde_json::to_writer(file, &labels).unwrap();
    let nothing = said(corpus, |_, _| 0.0);
    corpus.write(&nothing, &folder.join("data"), "").unwrap();
}

/// Writes result files and has the script score them.
fn agree(script: &Path, data: &Path, corpus: &Corpus, results: &Results) {
    let folder = tempfile::tempdir().unwrap();
    corpus.write(results, folder.path(), "x_").unwrap();
    let mut command = Command::new("python3");
    command.arg(script).arg(data).arg(folder.path()).args(["--prefix", "x_"]);
    let said = command.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8(said.stdout).unwrap();
    for (line, found) in text.lines().zip(corpus.scores(results)) {
        let fields: Vec<&str> = line.split('\t').collect();
        assert_eq!(fields[0], found.profile.name);
        let score: f64 = fields[1].parse().unwrap();
        assert!((score - found.score).abs() <= 0.01, "{line}: {found:?}");
        let threshold: f64 = fields[2].trim_start_matches("threshold ").parse().unwrap();
        assert!((threshold / found.threshold - 1.0).abs() < 1e-5, "{line}: {found:?}");
    }
    assert_eq!(text.lines().count(), 3);
}

/// The benchmark's folder, if it is there.
fn data(test: &str) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = env::var_os("ODDWATCH_DATA").map_or(shared, PathBuf::from).join("nab");
    if folder.is_dir() {
        return Some(folder);
    }
    skip(test, &format!("there is no data at {} (ODDWATCH_DATA)", folder.display()));
    None
}

/// The reference scorer, if it and Python are there.
fn script(test: &str) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = env::var_os("ODDWATCH_DATA").map_or(shared.join("data"), PathBuf::from);
    let script = data.join("../tools/nab_score.py");
    let python = Command::new("python3").arg("--version").output();
    if script.is_file() && python.is_ok_and(|said| said.status.success()) {
        return Some(script);
    }
    skip(test, &format!("there is no python3 or no {}", script.display()));
    None
}

fn skip(test: &str, why: &str) {
    assert!(env::var("ODDWATCH_REQUIRE").as_deref() != Ok("all"), "{test}: {why}");
    println!("skipped: {test}: {why}");
}
