//! What one cycle writes for one partition: batches of rows, drifts and refusals.

use std::sync::Arc;

use domain::{Batch, Drift, Extras, Item, Micros, Position, Refusal, Row, SeriesRef};

/// A batch is closed when it is about so large, so that its message stays far below a topic's limit.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// Bytes of a row besides its values, and of a drift besides its tags, about.
const ROW_BYTES: usize = 32;
const DRIFT_BYTES: usize = 512;

/// Where a series, or a window of it, stands in the series table of the batch that it was last written to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// The number of that batch's first item, from 1: no other batch with rows has it.
    batch: u64,
    index: u32,
}

/// Collects rows and ticks into numbered batches.
#[derive(Debug)]
pub struct Output {
    /// Finished batches, then the one being filled.
    pub batches: Vec<Batch>,
    /// Drifts found.
    pub drifts: Vec<Arc<Drift>>,
    /// Records refused.
    pub refusals: Vec<Refusal>,
    bytes: usize,
}

impl Output {
    /// Nothing yet; the first item will have this position.
    pub fn new(first: Position) -> Self {
        Self { batches: vec![Batch::new(first)], drifts: vec![], refusals: vec![], bytes: 0 }
    }

    /// How many items have been written.
    pub fn items(&self) -> u64 {
        self.batches.iter().map(|batch| batch.items.len() as u64).sum()
    }

    /// Writes a tick.
    pub fn tick(&mut self, log_time: Micros) {
        self.open().items.push(Item::Tick(log_time));
    }

    /// Writes that a series is forgotten.
    pub fn forget(&mut self, series: SeriesRef, log_time: Micros) {
        let batch = self.open();
        batch.series.push(series);
        batch.items.push(Item::Forget { series: batch.series.len() as u32 - 1, log_time });
        self.bytes += ROW_BYTES;
    }

    /// Writes a row and returns where its series stands now. `known` is where it stood before, `series` makes
    /// its table entry if this batch has none yet; `row.series`, `row.values` and `row.origin.source` are filled
    /// in.
    pub fn row(
        &mut self,
        known: Entry,
        series: impl FnOnce() -> SeriesRef,
        source: &Arc<str>,
        values: &[f64],
        mut row: Row,
    ) -> Entry {
        if self.bytes > BATCH_BYTES_MAX {
            self.close();
        }
        let mut bytes = ROW_BYTES + size_of_val(values) + row.extras.as_deref().map_or(0, tags);
        if let Some(drift) = &row.drift {
            bytes += DRIFT_BYTES + text(&drift.tags);
        }
        let batch = self.open();
        let entry = if known.batch == batch.first.number {
            known
        } else {
            let series = series();
            bytes += series.features.iter().map(|name| name.len() + 2).sum::<usize>();
            bytes += series.stream.len() + series.key.len() + ROW_BYTES;
            batch.series.push(series);
            Entry { batch: batch.first.number, index: batch.series.len() as u32 - 1 }
        };
        row.series = entry.index;
        row.origin.source = match batch.sources.iter().position(|s| s == source) {
            Some(index) => index as u32,
            None => {
                batch.sources.push(source.clone());
                batch.sources.len() as u32 - 1
            }
        };
        row.values = batch.push_values(values);
        batch.items.push(Item::Row(row));
        self.bytes += bytes;
        entry
    }

    fn open(&mut self) -> &mut Batch {
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }

    fn close(&mut self) {
        let batch = self.open();
        let first = Position {
            number: batch.first.number + batch.items.len() as u64,
            ..batch.first.clone()
        };
        self.batches.push(Batch::new(first));
        self.bytes = 0;
    }
}

fn tags(extras: &Extras) -> usize {
    text(&extras.tags) + extras.traceparent.as_ref().map_or(0, |trace| trace.len())
}

fn text(tags: &[(Arc<str>, Arc<str>)]) -> usize {
    tags.iter().map(|(name, value)| name.len() + value.len() + 8).sum()
}
