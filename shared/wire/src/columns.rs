//! What the columnar messages share: delta columns, the series table, sparse marks.

use std::{collections::BTreeMap, sync::Arc};

use domain::SeriesRef;

use crate::{DecodeError, malformed, v1};

/// Writes a delta column.
#[derive(Default)]
pub(crate) struct Deltas {
    last: i64,
    column: Vec<i64>,
}

impl Deltas {
    pub(crate) fn push(&mut self, value: i64) {
        self.column.push(value.wrapping_sub(self.last));
        self.last = value;
    }

    pub(crate) fn into_column(self) -> Vec<i64> {
        self.column
    }
}

/// Reads a delta column.
pub(crate) struct Undelta<'a> {
    last: i64,
    column: &'a [i64],
}

impl<'a> Undelta<'a> {
    pub(crate) fn new(column: &'a [i64]) -> Self {
        Self { last: 0, column }
    }

    /// The value of row `index`; rows are asked for in order.
    pub(crate) fn next(&mut self, index: usize) -> i64 {
        self.last = self.last.wrapping_add(self.column[index]);
        self.last
    }
}

/// Checks that columns have one entry per row.
pub(crate) fn check_lengths(
    message: &'static str,
    rows: usize,
    columns: &[(&str, usize)],
) -> Result<(), DecodeError> {
    match columns.iter().find(|(_, len)| *len != rows) {
        None => Ok(()),
        Some((name, len)) => {
            Err(malformed(message, format!("column {name} has {len} entries for {rows} rows")))
        }
    }
}

/// Checks that an index lies within its table.
pub(crate) fn check_index(
    message: &'static str,
    name: &str,
    index: u32,
    len: usize,
) -> Result<(), DecodeError> {
    if (index as usize) < len {
        return Ok(());
    }
    Err(malformed(message, format!("{name} {index} of {len}")))
}

pub(crate) fn encode_series(series: &SeriesRef) -> v1::SeriesEntry {
    v1::SeriesEntry {
        stream: series.stream.to_string(),
        key: series.key.to_string(),
        window: series.window.as_deref().unwrap_or_default().to_owned(),
        features: series.features.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn decode_series(entry: &v1::SeriesEntry) -> SeriesRef {
    SeriesRef {
        stream: entry.stream.as_str().into(),
        key: entry.key.as_str().into(),
        window: (!entry.window.is_empty()).then(|| entry.window.as_str().into()),
        features: entry.features.iter().map(|f| Arc::from(f.as_str())).collect(),
    }
}

pub(crate) fn encode_tags(tags: &[(Arc<str>, Arc<str>)]) -> BTreeMap<String, String> {
    tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

pub(crate) fn decode_tags(tags: &BTreeMap<String, String>) -> Vec<(Arc<str>, Arc<str>)> {
    tags.iter().map(|(k, v)| (Arc::from(k.as_str()), Arc::from(v.as_str()))).collect()
}

pub(crate) fn decode_trace(traceparent: &str) -> Option<Arc<str>> {
    (!traceparent.is_empty()).then(|| Arc::from(traceparent))
}

/// A set of row indexes as flags.
pub(crate) fn marks(
    message: &'static str,
    name: &str,
    rows: usize,
    indexes: &[u32],
) -> Result<Vec<bool>, DecodeError> {
    if indexes.is_empty() {
        return Ok(vec![]);
    }
    let mut marked = vec![false; rows];
    for &index in indexes {
        check_index(message, name, index, rows)?;
        marked[index as usize] = true;
    }
    Ok(marked)
}

/// Whether `marks` marks this row.
pub(crate) fn marked(marks: &[bool], index: usize) -> bool {
    marks.get(index).copied().unwrap_or(false)
}
