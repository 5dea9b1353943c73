//! Made series in which the same anomaly comes 25 times. A detector that learns anomalies as soon as
//! they come finds the first and is then silent; one that learns nothing finds all.

use domain::Micros;

use crate::{
    Series,
    dice::Dice,
    nab::{Corpus, Windowed},
};

/// How many series there are.
const SERIES: u64 = 15;
/// How many anomalies each of them has.
pub const ANOMALIES: usize = 25;
/// The first share of each series has none: that of the benchmark's rows that are not judged, and a
/// little more.
const CALM: f64 = 0.17;
/// The share of a series that all its windows have together, as in the benchmark.
const WINDOWS: f64 = 0.1;
/// Rows are five minutes apart.
const STEP: Micros = 300_000_000;
/// Rows in a day.
const DAY: usize = 288;

/// What a series is like where it is calm; its noise has a deviation of 1.
struct Shape {
    name: &'static str,
    at: fn(usize) -> f64,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "level", at: |_| 100.0 },
    Shape {
        name: "sine",
        at: |row| 100.0 + 10.0 * libm::sin(std::f64::consts::TAU * row as f64 / 96.0),
    },
    // A working day: low at night, high from 8 to 18 h, with slopes of an hour.
    Shape {
        name: "daily",
        at: |row| {
            let hour = (row % DAY) as f64 / 12.0;
            50.0 + 40.0 * (hour - 8.0).clamp(0.0, 1.0) - 40.0 * (hour - 18.0).clamp(0.0, 1.0)
        },
    },
];

/// What an anomaly does to a series.
struct Kind {
    name: &'static str,
    rows: usize,
    /// The value, from the calm one and from that before the anomaly.
    value: fn(f64, f64) -> f64,
}

const KINDS: [Kind; 4] = [
    Kind { name: "spikes", rows: 1, value: |calm, _| calm + 12.0 },
    Kind { name: "dips", rows: 2, value: |calm, _| calm - 10.0 },
    Kind { name: "shifts", rows: 12, value: |calm, _| calm + 7.0 },
    Kind { name: "flat", rows: 24, value: |_, before| before },
];

/// The series: 15 of 5,000 to 8,000 rows, each with 25 equal anomalies.
pub fn repeated() -> Corpus {
    Corpus((0..SERIES).map(series).collect())
}

fn series(number: u64) -> Windowed {
    let mut dice = Dice::new("repeated anomalies", number);
    let shape = &SHAPES[number as usize % SHAPES.len()];
    let kind = &KINDS[number as usize % KINDS.len()];
    let length = kind.rows;
    let rows = 5000 + 250 * dice.below(13);
    let mut values: Vec<f64> = (0..rows).map(|row| (shape.at)(row) + dice.normal()).collect();
    let window = ((rows as f64 * WINDOWS) as usize / ANOMALIES).max(length);
    let start = (rows as f64 * CALM) as usize;
    let slot = (rows - start) / ANOMALIES;
    let mut windows = vec![];
    for turn in 0..ANOMALIES {
        let left = start + turn * slot + dice.below(slot - window);
        let first = left + (window - length) / 2;
        let before = values[first - 1];
        for value in &mut values[first..first + length] {
            *value = (kind.value)(*value, before);
        }
        windows.push((left as Micros * STEP, (left + window - 1) as Micros * STEP));
    }
    let key = format!("{}_{}_{number}", shape.name, kind.name);
    let at = (0..rows as Micros).map(|row| row * STEP).collect();
    Windowed {
        name: format!("repeated/{key}.csv"),
        series: Series::single(&key, at, values),
        windows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nab::Results;

    #[test]
    fn the_set_is_as_described() {
        let corpus = repeated();
        assert_eq!(corpus, repeated());
        assert_eq!(corpus.0.len(), 15);
        let kinds: std::collections::BTreeSet<&str> =
            corpus.0.iter().map(|one| one.name.rsplit_once('_').unwrap().0).collect();
        assert_eq!(kinds.len(), 12, "each shape with each kind");
        for one in &corpus.0 {
            let (rows, spans) = (one.series.len(), one.spans());
            assert!((5000..=8000).contains(&rows) && spans.len() == ANOMALIES);
            assert!(spans[0].0 > rows * 15 / 100 && spans[24].1 < rows);
            assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0), "{}", one.name);
        }
    }

    #[test]
    fn a_detector_that_knows_the_calm_series_finds_them() {
        // The difference to the row before, in units: finds all but what is flat.
        let corpus = repeated();
        let alerts = |one: &Windowed| {
            let values = &one.series.values;
            let jump =
                |row: usize| if row == 0 { 0.0 } else { (values[row] - values[row - 1]).abs() };
            (0..values.len()).map(|row| (jump(row) / 100.0).min(1.0)).collect()
        };
        let score = corpus.scores(&Results(corpus.0.iter().map(alerts).collect()))[0].score;
        assert!((40.0..90.0).contains(&score), "{score}");
        let still = |one: &Windowed| {
            let values = &one.series.values;
            let still = |row: usize| row > 0 && values[row] == values[row - 1];
            (0..values.len()).map(|row| f64::from(u8::from(still(row)))).collect()
        };
        let flat: Vec<Windowed> =
            corpus.0.iter().filter(|one| one.name.contains("flat")).cloned().collect();
        let results = Results(flat.iter().map(still).collect());
        let found = Corpus(flat).scores(&results)[0].score;
        assert!(found > 80.0, "frozen values are those that stay: {found}");
    }
}
