//! What `oddwatch score` says of a file: the oracle for what services say of the same records.

use std::{collections::BTreeSet, fs, path::Path};

use crate::process::run;

/// A row as `oddwatch score` scored it; what it leaves empty is NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The score.
    pub score: f64,
    /// Whether it is an anomaly.
    pub is_anomaly: bool,
    /// The confidence.
    pub confidence: f64,
    /// The expected value.
    pub expected: f64,
    /// The lower end of the expected range.
    pub lower: f64,
    /// The upper end of the expected range.
    pub upper: f64,
    /// Whether it came behind the watermark.
    pub is_late: bool,
}

/// An opening or worsening of an anomaly: series, phase, first row, row, and the bits of its highest score.
pub type Event = (String, String, u64, u64, u64);

/// What it says of one file.
pub struct Offline {
    /// The rows in the file's order.
    pub rows: Vec<Row>,
    /// The events of anomalies, without those of clearing: what ends them in silence depends on when a log ends.
    pub events: BTreeSet<Event>,
}

/// Scores a file. `folder` takes the output.
pub fn score(file: &Path, folder: &Path) -> Offline {
    let stem = file.file_stem().expect("a file has a name").to_string_lossy();
    let (out, anomalies) =
        (folder.join(format!("{stem}.csv")), folder.join(format!("{stem}.ndjson")));
    let text = |path: &Path| path.to_str().expect("a path is text").to_owned();
    let ended = run(&["score", &text(file), "-o", &text(&out), "--anomalies", &text(&anomalies)]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let mut reader = csv::Reader::from_path(&out).expect("scores were written");
    let records = reader.records().map(|record| row(&record.expect("scores are CSV")));
    let rows = records.collect();
    let events = fs::read_to_string(&anomalies).expect("events were written");
    Offline { rows, events: events.lines().filter_map(event).collect() }
}

fn row(record: &csv::StringRecord) -> Row {
    let number = |column: usize| match &record[column] {
        "" => f64::NAN,
        text => text.parse().expect("a number"),
    };
    assert!(!record[2].is_empty(), "refused: {record:?}");
    Row {
        score: number(2),
        is_anomaly: &record[3] == "true",
        confidence: number(4),
        expected: number(5),
        lower: number(6),
        upper: number(7),
        is_late: record[8].split(' ').any(|note| note == "late"),
    }
}

fn event(line: &str) -> Option<Event> {
    let event: serde_json::Value = serde_json::from_str(line).expect("an event is JSON");
    let text = |key: &str| event[key].as_str().expect("a text").to_owned();
    let count = |key: &str| event[key].as_u64().expect("a count");
    let score_max = event["score_max"].as_f64().expect("a number").to_bits();
    let phase = text("phase");
    let told = (text("series"), phase.clone(), count("opened_row"), count("row"), score_max);
    (phase != "cleared").then_some(told)
}
