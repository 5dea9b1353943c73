//! Judges what a reader of `detection.completed` saw: each item once and without a hole by position, each row
//! once by series, and every bit as the oracle has it.

use std::collections::BTreeMap;

use domain::{Score, ScoreBatch, ScoreItem, Track};
use exchange::Message;

use crate::offline::Row;

/// What was read so far.
#[derive(Default)]
pub struct Ledger {
    track: Track,
    rows: BTreeMap<String, BTreeMap<u64, Score>>,
    scores: usize,
    faults: Vec<String>,
}

impl Ledger {
    /// Takes a message of a partition; a [`crate::broker::Take`].
    pub fn take(&mut self, partition: u32, message: &Message) {
        let bytes = message.value.as_deref().unwrap_or_default();
        match wire::scores::decode_completed(bytes) {
            Ok(batch) => self.take_batch(partition, &batch),
            Err(error) => self.faults.push(format!("partition {partition}: {error}")),
        }
    }

    fn take_batch(&mut self, partition: u32, batch: &ScoreBatch) {
        let count = batch.items.len() as u64;
        match self.track.take(&batch.first, count) {
            Ok(0) => {}
            Ok(repeats) => {
                let first = &batch.first;
                self.faults
                    .push(format!("partition {partition}: {repeats} items came again: {first:?}"));
            }
            Err(hole) => self.faults.push(format!("partition {partition}: {hole}")),
        }
        for item in &batch.items {
            let ScoreItem::Score(score) = item else { continue };
            self.scores += 1;
            let key = batch.series[score.series as usize].key.to_string();
            let row = score.row;
            let before = self.rows.entry(key.clone()).or_default().insert(row, score.clone());
            if before.is_some() {
                self.faults.push(format!("{key}: row {row} came twice"));
            }
        }
    }

    /// How many scores came.
    pub fn scores(&self) -> usize {
        self.scores
    }

    /// The scores of one series by row.
    pub fn of(&self, key: &str) -> Vec<&Score> {
        self.rows.get(key).into_iter().flat_map(BTreeMap::values).collect()
    }

    /// What was wrong with what came.
    pub fn faults(&self) -> Vec<String> {
        self.faults.clone()
    }

    /// What is wrong with a series of so many rows, counted from 1.
    pub fn faults_of_count(&self, key: &str, rows: usize) -> Vec<String> {
        let found = self.rows.get(key).map_or(0, BTreeMap::len);
        let missing = |row: &u64| !self.rows.get(key).is_some_and(|all| all.contains_key(row));
        let mut faults = vec![];
        if found != rows {
            faults.push(format!("{key}: {found} rows, not {rows}"));
        }
        if let Some(row) = (1..=rows as u64).find(missing) {
            faults.push(format!("{key}: row {row} is missing"));
        }
        faults
    }

    /// What differs from the oracle's rows of one series.
    pub fn faults_against(&self, key: &str, expected: &[Row]) -> Vec<String> {
        let mut faults = self.faults_of_count(key, expected.len());
        for score in self.of(key) {
            let row = score.row;
            let Some(right) = row.checked_sub(1).and_then(|at| expected.get(at as usize)) else {
                continue;
            };
            let found = Row {
                score: score.score,
                is_anomaly: score.is_anomaly,
                confidence: score.confidence,
                expected: score.expected,
                lower: score.lower,
                upper: score.upper,
                is_late: score.flags.late,
            };
            if bits(&found) != bits(right) {
                faults.push(format!("{key}, row {row}: {found:?}, not {right:?}"));
            }
        }
        faults
    }
}

/// A row as bits; all that is unknown is one NaN.
fn bits(row: &Row) -> ([u64; 5], bool, bool) {
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    let values = [row.score, row.confidence, row.expected, row.lower, row.upper].map(bits);
    (values, row.is_anomaly, row.is_late)
}

#[cfg(test)]
mod tests {
    use domain::{Flags, Origin, Position, SeriesRef};

    use super::*;

    fn score(row: u64) -> Score {
        Score {
            series: 0,
            detector: 0,
            row,
            event_at: 0,
            ingested_at: 0,
            log_time: 0,
            origin: Origin { source: 0, offset: row, index: 0 },
            flags: Flags::default(),
            score: 0.1 * row as f64,
            raw: 0.0,
            confidence: 0.5,
            threshold: 0.5,
            is_anomaly: false,
            muted: None,
            top_feature: 0,
            top_share: 1.0,
            value: 0.0,
            expected: f64::NAN,
            lower: -0.0,
            upper: 1.0,
        }
    }

    fn batch(number: u64, items: Vec<ScoreItem>) -> ScoreBatch {
        ScoreBatch {
            first: Position { source: "detection.requested/0".into(), epoch: 1, number },
            sources: vec!["records/0".into()],
            series: vec![SeriesRef {
                stream: "default".into(),
                key: "a".into(),
                window: None,
                features: [std::sync::Arc::from("value")].into(),
            }],
            detectors: vec![("d".into(), 0)],
            items,
        }
    }

    fn expected() -> Vec<Row> {
        (1..=3)
            .map(|row| Row {
                score: 0.1 * f64::from(row),
                is_anomaly: false,
                confidence: 0.5,
                expected: f64::NAN,
                lower: -0.0,
                upper: 1.0,
                is_late: false,
            })
            .collect()
    }

    /// Two batches, each with the number of its first item; between them a tick.
    fn check(second: u64, rows: &[Score], fault: Option<&str>) {
        let mut ledger = Ledger::default();
        let first = vec![ScoreItem::Score(score(1)), ScoreItem::Tick(5)];
        ledger.take_batch(0, &batch(1, first));
        ledger.take_batch(0, &batch(second, rows.iter().cloned().map(ScoreItem::Score).collect()));
        let mut faults = ledger.faults();
        faults.extend(ledger.faults_against("a", &expected()));
        match fault {
            None => assert!(faults.is_empty(), "{faults:?}"),
            Some(words) => assert!(faults.iter().any(|f| f.contains(words)), "{words}: {faults:?}"),
        }
    }

    #[test]
    fn a_good_history_passes_and_planted_faults_are_found() {
        let good = [score(2), score(3)];
        check(3, &good, None);
        check(4, &good, Some("items of detection.requested/0 are missing"));
        check(2, &good, Some("1 items came again"));
        check(3, &[score(2)], Some("row 3 is missing"));
        check(3, &[score(2), score(2), score(3)], Some("row 2 came twice"));
        check(3, &[score(2), score(3), score(4)], Some("4 rows, not 3"));
        let bent = Score { score: f64::from_bits(score(3).score.to_bits() ^ 1), ..score(3) };
        check(3, &[score(2), bent], Some("a, row 3"));
        check(3, &[score(2), Score { lower: 0.0, ..score(3) }], Some("a, row 3"));
        check(3, &[score(2), Score { is_anomaly: true, ..score(3) }], Some("a, row 3"));
        check(3, &[score(2), Score { expected: 1.0, ..score(3) }], Some("a, row 3"));
        let late = Flags { late: true, ..Flags::default() };
        check(3, &[score(2), Score { flags: late, ..score(3) }], Some("a, row 3"));
    }
}
