//! What one cycle writes for one partition: batches of rows, drifts and refusals.

use std::{collections::HashMap, sync::Arc};

use domain::{Batch, Drift, Item, Micros, Position, Refusal, Row, SeriesRef};

/// A batch is closed when its rows are about so large, so that its message stays far below a topic's limit.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// Bytes of a row besides its values, about.
const ROW_BYTES: usize = 32;

/// Identifies a series table entry: the series' index in the partition, and its window (0: the record itself).
type Entry = (usize, usize);

/// Collects rows and ticks into numbered batches.
#[derive(Debug)]
pub struct Output {
    /// Finished batches, then the one being filled.
    pub batches: Vec<Batch>,
    /// Drifts found.
    pub drifts: Vec<Arc<Drift>>,
    /// Records refused.
    pub refusals: Vec<Refusal>,
    series: HashMap<Entry, u32>,
    bytes: usize,
}

impl Output {
    /// Nothing yet; the first item will have this position.
    pub fn new(first: Position) -> Self {
        Self {
            batches: vec![Batch::new(first)],
            drifts: vec![],
            refusals: vec![],
            series: HashMap::new(),
            bytes: 0,
        }
    }

    /// How many items have been written.
    pub fn items(&self) -> u64 {
        self.batches.iter().map(|batch| batch.items.len() as u64).sum()
    }

    /// Writes a tick.
    pub fn tick(&mut self, log_time: Micros) {
        self.open().items.push(Item::Tick(log_time));
    }

    /// Writes a row. `series` makes the table entry if the batch has none yet; `row.series`, `row.values` and
    /// `row.origin.source` are filled in.
    pub fn row(
        &mut self,
        entry: Entry,
        series: impl FnOnce() -> SeriesRef,
        source: &Arc<str>,
        values: &[f64],
        mut row: Row,
    ) {
        if self.bytes > BATCH_BYTES_MAX {
            self.close();
        }
        self.bytes += ROW_BYTES + size_of_val(values);
        let known = self.series.get(&entry).copied();
        let batch = self.open();
        row.series = known.unwrap_or(batch.series.len() as u32);
        row.origin.source = match batch.sources.iter().position(|s| s == source) {
            Some(index) => index as u32,
            None => {
                batch.sources.push(source.clone());
                batch.sources.len() as u32 - 1
            }
        };
        row.values = batch.push_values(values);
        if known.is_none() {
            batch.series.push(series());
        }
        let index = row.series;
        batch.items.push(Item::Row(row));
        self.series.insert(entry, index);
    }

    /// A series has other features from now on: the next row needs an entry of its own.
    pub fn forget_series(&mut self, index: usize) {
        self.series.retain(|(series, _), _| *series != index);
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
        self.series.clear();
        self.bytes = 0;
    }
}
