//! Windows over the records of a series: which rows they make, and when. Features are kept current record by record,
//! never by rescanning a window.
//!
//! - By count: `sliding` keeps the last records' values (`column`); a window that tumbles keeps one `stretch`.
//! - By time: `timed` keeps a stretch for each hop.
//! - A session keeps one stretch.
//!
//! A stretch has a `partial` of each value: sums, extremes, first and last; `quantiles` and `distinct` values where a
//! feature asks for them.
//!
//! Records come in the order of their event time. A row's event time is its window's end for windows over time, else
//! that of its last record. A window without records makes no row.

use std::sync::Arc;

use domain::{
    Drift, Extras, Flags, Micros, Row, Shape, Window as Definition,
    encoding::{self, COUNT_MAX, DecodeError},
};
use serde::{Deserialize, Serialize};

use crate::{order::Record, output::Entry};

mod column;
mod distinct;
mod needs;
mod partial;
mod quantiles;
mod ranks;
mod sketch;
mod sliding;
mod stretch;
#[cfg(test)]
mod tests;
mod timed;

use needs::Needs;
use sliding::Sliding;
use stretch::Stretch;
use timed::{Hops, Timed};

/// Where a record comes from, as the rows of windows say it of their last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Event time.
    pub event_at: Micros,
    /// When the broker took the record in.
    pub ingested_at: Micros,
    /// The config version in force.
    pub config_version: u64,
    /// Where the record stands; its source is [`source`](Self::source).
    pub origin: domain::Origin,
    /// The partition it was read from.
    pub source: Arc<str>,
    /// Tags and trace.
    pub extras: Option<Arc<Extras>>,
    /// Whether it, or a value of it, was filled in.
    pub imputed: bool,
    /// Whether it says that nothing comes any more.
    pub no_data: bool,
}

impl Stamp {
    /// Of a record.
    pub fn of(record: &Record<'_>) -> Self {
        let Row { event_at, ingested_at, config_version, origin, flags, ref extras, .. } =
            *record.row;
        let (source, extras) = (record.source.clone(), extras.clone());
        let Flags { imputed, no_data, .. } = flags;
        Self { event_at, ingested_at, config_version, origin, source, extras, imputed, no_data }
    }
}

/// A window that has closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The number of its row, from 1 without holes.
    pub number: u64,
    /// The event time of its row.
    pub event_at: Micros,
    /// Where its last record came from.
    pub stamp: Stamp,
    /// Whether any of its records was filled in.
    pub imputed: bool,
}

/// The records of a window that has not closed.
#[derive(Debug)]
enum Records {
    Sliding(Sliding),
    /// By count, tumbling.
    Filling {
        stretch: Stretch,
        size: u32,
        records: u32,
    },
    Timed(Timed),
    Session {
        stretch: Stretch,
        gap: Micros,
        longest: Micros,
        /// The event times of its first and last record.
        open: Option<(Micros, Micros)>,
    },
}

/// One window of one series.
#[derive(Debug)]
pub struct Window {
    definition: Definition,
    name: Arc<str>,
    needs: Needs,
    values: usize,
    records: Records,
    /// Of the last record, if it is in a window that has not closed.
    last: Option<Stamp>,
    rows: u64,
    /// A drift found since the last row of this window; it is marked on the next one.
    pub pending_drift: Option<Arc<Drift>>,
    /// Where its rows were written last.
    pub entry: Entry,
}

impl Window {
    /// An empty window over so many values.
    pub fn new(definition: &Definition, values: usize) -> Self {
        let needs = Needs::of(definition);
        let stretch = || Stretch::new(needs, values);
        let records = match definition.shape {
            Shape::Count { size, slide } if size == slide => {
                Records::Filling { stretch: stretch(), size, records: 0 }
            }
            Shape::Count { size, slide } => {
                Records::Sliding(Sliding::new(size, slide, needs, values))
            }
            Shape::Time { .. } => {
                Records::Timed(Timed::new(hops_of(definition.shape), needs, values))
            }
            Shape::Session { gap_ms, size_ms_max } => {
                let (gap, longest) = (micros(gap_ms), micros(size_ms_max));
                Records::Session { stretch: stretch(), gap, longest, open: None }
            }
        };
        Self {
            name: definition.name.as_str().into(),
            definition: definition.clone(),
            needs,
            values,
            records,
            last: None,
            rows: 0,
            pending_drift: None,
            entry: Entry::default(),
        }
    }

    /// The window's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The names of a row's values: each feature of each value, such as `cpu.mean`.
    pub fn features(&self, values: &[Arc<str>]) -> Arc<[Arc<str>]> {
        let features = &self.definition.features;
        let named = |value| features.iter().map(move |f| Arc::from(format!("{value}.{f}")));
        values.iter().flat_map(named).collect()
    }

    /// If event time `event_at` has reached the end of a window with records, closes it, and writes its features into
    /// `row`. To be called until there is none, before a record of that event time is added, and when the series'
    /// event time is known to have come so far without one.
    pub fn close(&mut self, event_at: Micros, row: &mut Vec<f64>) -> Option<Closed> {
        let features = &self.definition.features;
        let mut imputed = false;
        let row_at = match &mut self.records {
            Records::Sliding(_) | Records::Filling { .. } => return None,
            Records::Timed(timed) => timed.close(event_at, |whole, end| {
                row.clear();
                whole.features(features, end, row);
                imputed = whole.imputed;
            })?,
            Records::Session { stretch, gap, longest, open } => {
                let (first_at, last_at) = (*open)?;
                if session_end(first_at, last_at, *gap, *longest) > event_at {
                    return None;
                }
                row.clear();
                stretch.features(features, last_at, row);
                imputed = stretch.imputed;
                stretch.clear();
                *open = None;
                last_at
            }
        };
        let stamp = if self.due_at().is_none() { self.last.take() } else { self.last.clone() }?;
        Some(self.closed(row_at, stamp, imputed, row))
    }

    /// Takes in the next record; its values are NaN where missing.
    pub fn add(&mut self, stamp: &Stamp, values: &[f64]) {
        let (at, imputed) = (stamp.event_at, stamp.imputed);
        match &mut self.records {
            Records::Sliding(sliding) => sliding.add(at, imputed, values),
            Records::Filling { stretch, records, .. } => {
                stretch.add(at, imputed, values, self.needs);
                *records += 1;
            }
            Records::Timed(timed) => timed.add(at, imputed, values),
            Records::Session { stretch, open, .. } => {
                stretch.add(at, imputed, values, self.needs);
                *open = Some((open.map_or(at, |(first_at, _)| first_at), at));
            }
        }
        self.last = Some(stamp.clone());
    }

    /// If the record just added has filled a window by count, writes its features into `row`.
    pub fn full(&mut self, row: &mut Vec<f64>) -> Option<Closed> {
        let features = &self.definition.features;
        let row_at = self.last.as_ref()?.event_at;
        let imputed = match &mut self.records {
            Records::Sliding(sliding) if sliding.is_due() => {
                row.clear();
                sliding.features(features, row_at, row);
                sliding.imputed()
            }
            Records::Filling { stretch, size, records } if records == size => {
                row.clear();
                stretch.features(features, row_at, row);
                let imputed = stretch.imputed;
                stretch.clear();
                *records = 0;
                imputed
            }
            _ => return None,
        };
        let stamp = self.last.take()?;
        Some(self.closed(row_at, stamp, imputed, row))
    }

    /// The row that says that nothing comes any more: without values, at the time of the stamp.
    pub fn no_data(&mut self, stamp: Stamp, row: &mut Vec<f64>) -> Closed {
        row.clear();
        row.resize(self.values * self.definition.features.len(), f64::NAN);
        self.closed(stamp.event_at, stamp, false, row)
    }

    fn closed(&mut self, event_at: Micros, stamp: Stamp, imputed: bool, row: &mut [f64]) -> Closed {
        // An overflow of a sum is no number that could be scored; it counts as missing.
        row.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = f64::NAN);
        self.rows += 1;
        Closed { number: self.rows, event_at, stamp, imputed }
    }

    /// The event time at which [`close`](Self::close) has something to close; none if no record waits for that.
    pub fn due_at(&self) -> Option<Micros> {
        match &self.records {
            Records::Sliding(_) | Records::Filling { .. } => None,
            Records::Timed(timed) => timed.due_at(),
            Records::Session { gap, longest, open, .. } => {
                open.map(|(first_at, last_at)| session_end(first_at, last_at, *gap, *longest))
            }
        }
    }

    /// The window by a changed definition: the same if it did not change, else anew, counting its rows on.
    pub fn redefined(self, definition: &Definition, values: usize) -> Self {
        if self.definition == *definition {
            return self;
        }
        Self { rows: self.rows, ..Self::new(definition, values) }
    }

    /// The window over more values, counting its rows on. By count it starts anew; over time, and in a session, the
    /// records so far have none of the new values.
    pub fn widened(mut self, values: usize) -> Self {
        match &mut self.records {
            Records::Sliding(_) | Records::Filling { .. } => {
                return Self { rows: self.rows, ..Self::new(&self.definition, values) };
            }
            Records::Timed(timed) => timed.widen(values),
            Records::Session { stretch, .. } => stretch.widen(self.needs, values),
        }
        Self { values, entry: Entry::default(), ..self }
    }

    /// The most bytes that it takes, whatever the records; the tags of the last one come on top.
    pub fn bytes(&self) -> usize {
        let Self { needs, values, .. } = *self;
        let of_records = match self.definition.shape {
            Shape::Count { size, slide } if size != slide => {
                Sliding::bytes_max(size, needs, values)
            }
            Shape::Count { .. } | Shape::Session { .. } => Stretch::bytes_max(needs, values),
            shape @ Shape::Time { .. } => Timed::bytes_max(hops_of(shape), needs, values),
        };
        let features = size_of_val(&*self.definition.features);
        size_of::<Self>() + features + 2 * self.name.len() + of_records
    }

    /// Appends what it knows to a saved state; its definition is not part of it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(self.rows, &self.pending_drift, &self.last), out);
        match &self.records {
            Records::Sliding(sliding) => sliding.encode(out),
            Records::Filling { stretch, records, .. } => {
                encoding::put(records, out);
                stretch.encode(out);
            }
            Records::Timed(timed) => timed.encode(out),
            Records::Session { stretch, open, .. } => {
                encoding::put(open, out);
                stretch.encode(out);
            }
        }
    }

    /// Reads what [`Window::encode`] wrote of a window by this definition over so many values.
    pub(crate) fn decode(
        definition: &Definition,
        values: usize,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        // Of no values at first: those that are claimed must be there.
        let mut window = Self::new(definition, 0);
        window.values = values;
        (window.rows, window.pending_drift, window.last) = encoding::take(bytes)?;
        encoding::ensure(window.rows <= COUNT_MAX, "number of a window's rows")?;
        let needs = window.needs;
        match (&mut window.records, definition.shape) {
            (Records::Sliding(sliding), Shape::Count { size, slide }) => {
                *sliding = Sliding::decode(size, slide, needs, values, bytes)?;
            }
            (Records::Filling { stretch, size, records }, _) => {
                *records = encoding::take(bytes)?;
                encoding::ensure(*records < *size, "number of a window's records")?;
                *stretch = Stretch::decode(needs, values, bytes)?;
            }
            (Records::Session { stretch, open, .. }, _) => {
                *open = encoding::take(bytes)?;
                *stretch = Stretch::decode(needs, values, bytes)?;
            }
            (Records::Timed(timed), shape) => {
                *timed = Timed::decode(hops_of(shape), needs, values, bytes)?;
            }
            _ => {}
        }
        let stamped = window.due_at().is_none() || window.last.is_some();
        encoding::ensure(stamped, "last record of a window")?;
        Ok(window)
    }
}

/// When a session ends, if no more records come.
fn session_end(first_at: Micros, last_at: Micros, gap: Micros, longest: Micros) -> Micros {
    last_at.saturating_add(gap).min(first_at.saturating_add(longest))
}

fn hops_of(shape: Shape) -> Hops {
    let Shape::Time { size_ms, hop_ms, offset_ms } = shape else {
        return Hops { hop: 1_000, offset: 0, panes: 1 };
    };
    let panes = (size_ms / hop_ms.max(1)).clamp(1, i64::MAX as u64) as i64;
    Hops { hop: micros(hop_ms.max(1)), offset: micros(offset_ms), panes }
}

fn micros(ms: u64) -> Micros {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000)
}

fn seconds(from: Micros, to: Micros) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

/// What a counter has risen from one reading to the next: after a reset, what it has come to since.
fn step(before: f64, after: f64) -> f64 {
    if after >= before { after - before } else { after }
}

/// Makes room for so many in all, in powers of two: a limit that is one is never passed.
fn make_room<T>(all: &mut Vec<T>, len: usize) {
    if all.capacity() < len {
        all.reserve_exact(len.next_power_of_two() - all.len());
    }
}
