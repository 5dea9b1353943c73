//! What one cycle writes for one partition: batches of scores, anomalies and refusals.

use std::sync::Arc;

use domain::{Anomaly, Micros, Position, Refusal, Score, ScoreBatch, ScoreItem, SeriesRef};

/// A batch is closed when it is about so large, so that its message stays far below a topic's limit.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// Bytes of a score, and of a series besides its names, about.
const SCORE_BYTES: usize = 128;
const SERIES_BYTES: usize = 32;

/// Where a series stands in the series table of the batch that its scores were last written to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// The number of that batch's first item, from 1: no other batch with scores has it.
    batch: u64,
    index: u32,
}

/// Collects scores and ticks into numbered batches.
#[derive(Debug)]
pub struct Output {
    /// Finished batches, then the one being filled.
    pub batches: Vec<ScoreBatch>,
    /// Events of anomalies.
    pub anomalies: Vec<Anomaly>,
    /// Rows refused.
    pub refusals: Vec<Refusal>,
    /// The config version in force.
    pub config_version: u64,
    bytes: usize,
}

impl Output {
    /// Nothing yet; the first item will have this position.
    pub fn new(first: Position, config_version: u64) -> Self {
        Self {
            batches: vec![empty(first)],
            anomalies: vec![],
            refusals: vec![],
            config_version,
            bytes: 0,
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

    /// Takes an event of an anomaly, if there is one; the config version in force is filled in.
    pub fn event(&mut self, event: Option<Anomaly>) {
        let config_version = self.config_version;
        self.anomalies.extend(event.map(|event| Anomaly { config_version, ..event }));
    }

    /// Writes a score and returns where its series stands now; `known` is where it stood before. The score's
    /// indexes into the batch's tables are filled in.
    pub fn score(
        &mut self,
        known: Entry,
        named: &SeriesRef,
        source: &Arc<str>,
        detector: (&Arc<str>, u64),
        mut score: Score,
    ) -> Entry {
        if self.bytes > BATCH_BYTES_MAX {
            self.close();
        }
        let mut bytes = SCORE_BYTES;
        let batch = self.open();
        let entry = if known.batch == batch.first.number {
            known
        } else {
            bytes += SERIES_BYTES + named.stream.len() + named.key.len();
            bytes += named.features.iter().map(|name| name.len() + 2).sum::<usize>();
            batch.series.push(named.clone());
            Entry { batch: batch.first.number, index: batch.series.len() as u32 - 1 }
        };
        score.series = entry.index;
        score.origin.source = place(&mut batch.sources, |s| s == source, || source.clone());
        let is_this =
            |(name, version): &(Arc<str>, u64)| name == detector.0 && *version == detector.1;
        score.detector = place(&mut batch.detectors, is_this, || (detector.0.clone(), detector.1));
        batch.items.push(ScoreItem::Score(score));
        self.bytes += bytes;
        entry
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
        self.bytes = 0;
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
