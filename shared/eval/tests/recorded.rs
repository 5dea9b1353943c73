//! Rankings and counts against what scikit-learn says of the same rows (recorded/ranking.py).

use std::{collections::BTreeMap, path::PathBuf};

use oddwatch_eval::ranking::{Counts, average_precision, roc_auc};

/// The rows of a recorded file, without its header.
fn rows(name: &str) -> Vec<csv::StringRecord> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
    let mut reader = csv::Reader::from_path(path).expect("a recorded file");
    reader.records().map(Result::unwrap).collect()
}

#[test]
fn rankings_are_as_scikit_learn_says() {
    let mut cases: BTreeMap<String, (Vec<bool>, Vec<f64>)> = BTreeMap::new();
    for row in rows("ranking.csv") {
        let (labels, scores) = cases.entry(row[0].to_owned()).or_default();
        labels.push(&row[1] == "1");
        scores.push(row[2].parse().unwrap());
    }
    let figures = rows("figures.csv");
    assert_eq!((figures.len(), cases.len()), (6, 6));
    for figure in figures {
        let (labels, scores) = &cases[&figure[0]];
        let counts = Counts::of(labels, scores.iter().map(|score| *score >= 0.5));
        let found = [
            roc_auc(labels, scores),
            average_precision(labels, scores),
            counts.precision(),
            counts.recall(),
            counts.f1(),
        ];
        for (at, found) in found.into_iter().enumerate() {
            let expect: f64 = figure[at + 1].parse().unwrap();
            let found = found.unwrap();
            assert!((found - expect).abs() < 1e-12, "{}, {at}: {found}, not {expect}", &figure[0]);
        }
    }
}
