//! What windowing knows of one partition, and all that it decides. A pure function of the partition's log: no
//! clock, no I/O, no await.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use control::ControlLog;
use domain::{
    Batch, Definitions, Hole, Item, LOG_TIME_NONE, LatePolicy, Micros, Position, Reason, Row,
    SeriesRef, Track,
};
use snapshot::Slices;
use stage::{Choice, Origin, Select};

use crate::{
    config::WindowingConfig,
    events::refusal,
    log_time::LogTime,
    order::{Arrival, Record},
    output::Output,
    series::{InForce, Series},
    wakes::Wakes,
};

mod leave;
mod saved;
mod silence;
mod windows;

pub use saved::Saved;

/// Counts for telemetry; part of no decision.
#[derive(Debug, Default)]
pub struct Counts {
    /// Rows written.
    pub rows: u64,
    /// Records that came in the order of their event times.
    pub in_time: u64,
    /// Records that came behind a newer one, within the lateness.
    pub reordered: u64,
    /// Records behind the watermark that were scored, and marked.
    pub late: u64,
    /// Records behind the watermark that were refused.
    pub late_refused: u64,
    /// Records dropped since their id had come before.
    pub repeated: u64,
    /// Rows that stood in for records.
    pub imputed: u64,
    /// Series that fell silent.
    pub no_data: u64,
    /// Series forgotten.
    pub forgotten: u64,
    /// Items dropped as repeats.
    pub repeats: u64,
}

/// The state of one partition.
#[derive(Debug)]
pub struct State {
    /// As configured until `control` says more.
    config: WindowingConfig,
    definitions: Definitions,
    streams: BTreeMap<Arc<str>, Arc<InForce>>,
    track: Track,
    log_time: LogTime,
    /// The log time of the last tick passed on.
    ticked_at: Micros,
    series: Slices<Series>,
    by_key: HashMap<(Arc<str>, Arc<str>), usize>,
    /// How many series each stream has.
    by_stream: HashMap<Arc<str>, u64>,
    wakes: Wakes,
    next: Position,
    /// The index of the item in hand within its message.
    item: u64,
    /// Counts since the last look.
    pub counts: Counts,
    scratch: Scratch,
}

/// Room for values, kept for the next row.
#[derive(Debug, Default)]
struct Scratch {
    held: Vec<f64>,
    arranged: Vec<f64>,
    gap: Vec<f64>,
    window: Vec<f64>,
    due: Vec<usize>,
}

/// An item of the input: the batch's first position, and the item's number.
#[derive(Clone, Copy)]
struct At<'a> {
    first: &'a Position,
    number: u64,
}

impl At<'_> {
    fn position(self) -> Position {
        Position { number: self.number, ..self.first.clone() }
    }
}

impl State {
    /// Before the first record. `source` names the partition that is read, as `topic/number`.
    pub fn new(source: Arc<str>, origin: Origin, config: &WindowingConfig) -> Self {
        let track = if origin.in_the_middle { Track::in_the_middle() } else { Track::default() };
        let mut state = Self {
            config: config.clone(),
            definitions: Definitions::default(),
            streams: BTreeMap::new(),
            track,
            log_time: LogTime::new(),
            ticked_at: LOG_TIME_NONE,
            series: Slices::new(),
            by_key: HashMap::new(),
            by_stream: HashMap::new(),
            wakes: Wakes::default(),
            next: Position { source, epoch: origin.epoch, number: 1 },
            item: 0,
            counts: Counts::default(),
            scratch: Scratch::default(),
        };
        state.set_streams();
        state
    }

    /// How many series it holds.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Applies the selected items of one message. `control` must have been read up to their config versions.
    ///
    /// # Errors
    /// If items are missing; the partition must stop then.
    pub fn apply(
        &mut self,
        control: &ControlLog,
        segments: &[Batch],
        select: Select<'_>,
        out: &mut Output,
    ) -> Result<(), Hole> {
        let mut before = 0;
        for segment in segments {
            let repeats = self.track.take(&segment.first, segment.items.len() as u64)?;
            self.counts.repeats += repeats;
            let first = &segment.first;
            let mut mapped: Vec<Option<usize>> = vec![None; segment.series.len()];
            let mut read_to = LOG_TIME_NONE;
            for (index, item) in segment.items.iter().enumerate().skip(repeats as usize) {
                let at = At { first, number: first.number + index as u64 };
                self.item = before + index as u64;
                match (select.choose(self.item), item) {
                    (Choice::Stop, _) => return Ok(()),
                    (Choice::Skip, Item::Tick(_)) | (_, Item::Forget { .. }) => {}
                    (Choice::Skip, Item::Row(row)) => {
                        let (key, record) = record_of(segment, row);
                        let detail = "windowing panicked or died on it".to_owned();
                        out.refusals.push(refusal(key, &record, Reason::Poison, detail));
                    }
                    (Choice::Take, Item::Tick(log_time)) => {
                        if self.tick(at, *log_time, out) {
                            mapped.fill(None);
                        }
                    }
                    (Choice::Take, Item::Row(row)) => {
                        if row.config_version > self.definitions.version {
                            self.advance(control, row.config_version);
                            mapped.fill(None);
                            read_to = LOG_TIME_NONE;
                        }
                        if row.log_time > read_to {
                            read_to = row.log_time;
                            self.log_time.advance(&first.source, read_to);
                        }
                        self.row(segment, row, at, &mut mapped[row.series as usize], out);
                    }
                }
            }
            before += segment.items.len() as u64;
        }
        Ok(())
    }

    /// An output whose first item continues the numbers.
    pub fn output(&self) -> Output {
        Output::new(self.next.clone())
    }

    /// Takes note of what an output wrote, so that the next one continues its numbers.
    pub fn written(&mut self, out: &Output) {
        self.next.number += out.items();
    }

    fn advance(&mut self, control: &ControlLog, version: u64) {
        control.advance(&mut self.definitions, version);
        self.set_limits();
        self.set_streams();
        if let Some(layout) = &self.definitions.layout {
            self.log_time.set_layout(layout);
        }
    }

    fn set_limits(&mut self) {
        let Some(limits) = self.definitions.limits else { return };
        let of = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        self.config = WindowingConfig {
            series_max: of(limits.series_max),
            features_max: of(limits.features_max),
            held_rows_max: of(limits.held_rows_max),
        };
    }

    fn set_streams(&mut self) {
        let before = std::mem::take(&mut self.streams);
        for stream in self.definitions.streams_in_force() {
            let name: Arc<str> = stream.name.as_str().into();
            let kept = before.get(&name).filter(|known| known.stream == stream).cloned();
            let since = self.definitions.version;
            self.streams.insert(name, kept.unwrap_or_else(|| Arc::new(InForce { since, stream })));
        }
    }

    fn row(
        &mut self,
        segment: &Batch,
        row: &Row,
        at: At<'_>,
        mapped: &mut Option<usize>,
        out: &mut Output,
    ) {
        let named = &segment.series[row.series as usize];
        let (_, record) = record_of(segment, row);
        let index = match *mapped {
            Some(index) => index,
            None => match self.map(named) {
                Ok(index) => *mapped.insert(index),
                Err((reason, detail)) => {
                    out.refusals.push(refusal(&named.key, &record, reason, detail));
                    return;
                }
            },
        };
        self.arrive(index, &named.key, &record, at, out);
        // Also of a record that was refused: its series may have another definition since.
        self.wakes.set(index, self.series[index].due_at());
    }

    /// A record of a series has come.
    fn arrive(
        &mut self,
        index: usize,
        key: &str,
        record: &Record<'_>,
        at: At<'_>,
        out: &mut Output,
    ) {
        let row = record.row;
        let series = self.series.get_mut(index);
        let record_id = row.extras.as_ref().and_then(|extras| extras.record_id.as_deref());
        if record_id.is_some_and(|id| series.repeats.knows(id)) {
            self.counts.repeated += 1;
            return;
        }
        let overtaken = series.order.is_overtaken(row.event_at);
        let arrival = series.order.arrive(row.event_at, self.log_time.get());
        let late = arrival == Arrival::Late;
        if late && series.stream.late_policy() == LatePolicy::Refuse {
            let detail = format!("behind the watermark of series {:?}", &*series.key);
            out.refusals.push(refusal(key, record, Reason::Late, detail));
            self.counts.late_refused += 1;
            return;
        }
        if let Some(id) = record_id {
            series.repeats.take(id, series.stream.record_ids);
        }
        let count = match (late, overtaken) {
            (true, _) => &mut self.counts.late,
            (false, true) => &mut self.counts.reordered,
            (false, false) => &mut self.counts.in_time,
        };
        *count += 1;
        if arrival == Arrival::Waits {
            series.order.hold(record);
            let held_rows_max = self.config.held_rows_max;
            self.release(index, at, out, |order| order.release(held_rows_max));
        } else {
            self.leave(index, record, late, at, out);
        }
    }

    /// Finds or makes the series of a table entry.
    fn map(&mut self, named: &SeriesRef) -> Result<usize, (Reason, String)> {
        let Some(stream) = self.streams.get(&named.stream) else {
            let detail = format!("stream {:?} is not defined any more", &*named.stream);
            return Err((Reason::UnknownStream, detail));
        };
        if named.features.len() > self.config.features_max {
            return Err(self.too_many_features(named.features.len()));
        }
        let key = (named.stream.clone(), named.key.clone());
        match self.by_key.get(&key) {
            Some(&index) => {
                if !Arc::ptr_eq(&self.series[index].stream, stream) {
                    self.series.get_mut(index).redefine(stream);
                }
                Ok(index)
            }
            None if self.series.len() >= self.config.series_max => {
                let detail = format!("windowing.series_max is {}", self.config.series_max);
                Err((Reason::TooManySeries, detail))
            }
            None => {
                let count = self.by_stream.entry(named.stream.clone()).or_default();
                if let Some(series_max) = stream.series_max
                    && *count >= series_max
                {
                    let name = &stream.name;
                    let detail = format!("series_max of stream {name:?} is {series_max}");
                    return Err((Reason::TooManySeries, detail));
                }
                *count += 1;
                let index = self.series.insert(Series::new(stream, &named.key));
                self.by_key.insert(key, index);
                Ok(index)
            }
        }
    }

    fn too_many_features(&self, features: usize) -> (Reason, String) {
        let features_max = self.config.features_max;
        let detail = format!(
            "the series would have {features} features, windowing.features_max is {features_max}"
        );
        (Reason::TooManyFeatures, detail)
    }
}

/// A row of a batch as a record, and its series key.
fn record_of<'a>(segment: &'a Batch, row: &'a Row) -> (&'a str, Record<'a>) {
    let named = &segment.series[row.series as usize];
    let record = Record {
        row,
        source: &segment.sources[row.origin.source as usize],
        features: &named.features,
        values: segment.values_of(row),
    };
    (&named.key, record)
}
