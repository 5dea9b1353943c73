//! What one cycle writes for one partition: batches of scores, anomalies and refusals.

use std::{collections::HashMap, sync::Arc};

use domain::{Anomaly, Micros, Position, Refusal, Score, ScoreBatch, ScoreItem, SeriesRef};

/// A batch is closed at so many items, so that its message stays far below a topic's limit.
const BATCH_ITEMS_MAX: usize = 20_000;

/// Collects scores and ticks into numbered batches.
#[derive(Debug)]
pub struct Output {
    /// Finished batches, then the one being filled.
    pub batches: Vec<ScoreBatch>,
    /// Events of anomalies.
    pub anomalies: Vec<Anomaly>,
    /// Rows refused.
    pub refusals: Vec<Refusal>,
    /// The largest config version in force.
    pub config_version: u64,
    series: HashMap<usize, u32>,
}

impl Output {
    /// Nothing yet; the first item will have this position.
    pub fn new(first: Position) -> Self {
        Self {
            batches: vec![empty(first)],
            anomalies: vec![],
            refusals: vec![],
            config_version: 0,
            series: HashMap::new(),
        }
    }

    /// How many items have been written.
    pub fn items(&self) -> u64 {
        self.batches.iter().map(|batch| batch.items.len() as u64).sum()
    }

    /// Passes a tick on.
    pub fn tick(&mut self, log_time: Micros) {
        self.open().items.push(ScoreItem::Tick(log_time));
    }

    /// Writes a score; its indexes into the batch's tables are filled in. `series` is the series' index in the
    /// partition.
    pub fn score(
        &mut self,
        series: usize,
        named: &SeriesRef,
        source: &Arc<str>,
        detector: (&Arc<str>, u64),
        mut score: Score,
    ) {
        if self.open().items.len() >= BATCH_ITEMS_MAX {
            self.close();
        }
        let known = self.series.get(&series).copied();
        let batch = self.open();
        let index = match known {
            Some(index) if batch.series[index as usize].features == named.features => index,
            _ => {
                batch.series.push(named.clone());
                batch.series.len() as u32 - 1
            }
        };
        score.series = index;
        score.origin.source = place(&mut batch.sources, |s| s == source, || source.clone());
        let is_this =
            |(name, version): &(Arc<str>, u64)| name == detector.0 && *version == detector.1;
        score.detector = place(&mut batch.detectors, is_this, || (detector.0.clone(), detector.1));
        batch.items.push(ScoreItem::Score(score));
        self.series.insert(series, index);
    }

    fn open(&mut self) -> &mut ScoreBatch {
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }

    fn close(&mut self) {
        let batch = self.open();
        let first = Position {
            number: batch.first.number + batch.items.len() as u64,
            ..batch.first.clone()
        };
        self.batches.push(empty(first));
        self.series.clear();
    }
}

fn empty(first: Position) -> ScoreBatch {
    ScoreBatch { first, sources: vec![], series: vec![], detectors: vec![], items: vec![] }
}

/// The place of an entry in a short table, which it is added to if it is not there.
fn place<T>(table: &mut Vec<T>, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> u32 {
    let found = table.iter().position(is_it).unwrap_or_else(|| {
        table.push(make());
        table.len() - 1
    });
    found as u32
}
