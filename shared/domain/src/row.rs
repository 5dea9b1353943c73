//! What travels between services: rows and ticks, numbered without a hole.

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{LOG_TIME_NONE, Micros};

/// Where an item comes from: a source, an epoch of that source, and a number that counts items from 1
/// without a hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The source: a partition such as `records/2` that was read.
    pub source: Arc<str>,
    /// Raised by a fresh start; a higher epoch is never a repeat.
    pub epoch: u32,
    /// The item's number.
    pub number: u64,
}

/// The series a row belongs to. In a batch each series stands once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeriesRef {
    /// The stream's name.
    pub stream: Arc<str>,
    /// The series key.
    pub key: Arc<str>,
    /// The window whose features these rows are; `None` when each record is a row.
    pub window: Option<Arc<str>>,
    /// The names of the values, in their order. Empty for an unnamed array (`v0`, `v1`, … are used).
    pub features: Arc<[Arc<str>]>,
}

/// The record that a row was made from (for a window: the last one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Index into [`Batch::sources`].
    pub source: u32,
    /// The message's offset in that source.
    pub offset: u64,
    /// The record's index within the message.
    pub index: u32,
}

/// What is special about a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// It came behind the watermark: scored, not learned.
    pub late: bool,
    /// Some of its values were filled in: learned, and no anomaly.
    pub imputed: bool,
    /// It stands for the silence of a regular series: no value, and an anomaly.
    pub no_data: bool,
}

/// What few rows carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// Tags of the record, sorted by name.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// The record's W3C `traceparent`.
    pub traceparent: Option<Arc<str>>,
    /// The id by which its publisher knows the record.
    pub record_id: Option<Arc<str>>,
}

/// A row: the record itself or the features of a closed window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Index into [`Batch::series`].
    pub series: u32,
    /// The row's number within its series (and window), from 1; 0 before windowing has given it one.
    pub row: u64,
    /// Event time.
    pub event_at: Micros,
    /// When the broker took the record in.
    pub ingested_at: Micros,
    /// Log time of the partition when the row left for its reader.
    pub log_time: Micros,
    /// The config version in force.
    pub config_version: u64,
    /// Where the record stands.
    pub origin: Origin,
    /// Lateness and imputation.
    pub flags: Flags,
    /// Its values in [`Batch::values`]; a missing value is NaN (others are finite).
    pub values: Range<u32>,
    /// Tags and trace, for rows that have any.
    pub extras: Option<Arc<Extras>>,
    /// A drift that was found at this row.
    pub drift: Option<Arc<crate::Drift>>,
}

/// A row, or a tick that carries log time on.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A row (boxed nowhere: batches are flat).
    Row(Row),
    /// No values: the log time has come this far.
    Tick(Micros),
    /// A series is forgotten: nothing came of it for very long. A further record begins it anew.
    Forget {
        /// Index into [`Batch::series`].
        series: u32,
        /// The log time at which it is.
        log_time: Micros,
    },
}

/// Items of one source for one partition, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The position of the first item.
    pub first: Position,
    /// The partitions that the records come from, as `topic/number`.
    pub sources: Vec<Arc<str>>,
    /// The series that the rows name.
    pub series: Vec<SeriesRef>,
    /// The items.
    pub items: Vec<Item>,
    /// All rows' values, one row after the other.
    pub values: Vec<f64>,
}

impl Batch {
    /// An empty batch whose first item will have this position.
    pub fn new(first: Position) -> Self {
        Self { first, sources: vec![], series: vec![], items: vec![], values: vec![] }
    }

    /// The values of a row of this batch.
    pub fn values_of(&self, row: &Row) -> &[f64] {
        &self.values[row.values.start as usize..row.values.end as usize]
    }

    /// Appends values and returns where they stand.
    pub fn push_values(&mut self, values: &[f64]) -> Range<u32> {
        let start = self.values.len() as u32;
        self.values.extend_from_slice(values);
        start..self.values.len() as u32
    }

    /// The largest config version in it, 0 without rows.
    pub fn config_version_max(&self) -> u64 {
        self.rows().map(|row| row.config_version).max().unwrap_or(0)
    }

    /// The rows, without the ticks.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.items.iter().filter_map(|item| match item {
            Item::Row(row) => Some(row),
            Item::Tick(_) | Item::Forget { .. } => None,
        })
    }

    /// The log time of the last item, [`LOG_TIME_NONE`] if there is none.
    pub fn log_time(&self) -> Micros {
        self.items.last().map_or(LOG_TIME_NONE, |item| match item {
            Item::Row(row) => row.log_time,
            Item::Tick(log_time) | Item::Forget { log_time, .. } => *log_time,
        })
    }
}

/// The name of value number `index` of a series: as defined, else `v0`, `v1`, …
pub fn feature_name(features: &[Arc<str>], index: usize) -> Arc<str> {
    features.get(index).cloned().unwrap_or_else(|| Arc::from(format!("v{index}")))
}
