//! What windowing knows of one partition, and all that it decides. A pure function of the partition's log: no
//! clock, no I/O, no await.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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
    events::{drift_actions, drift_event, output_row, refusal, series_ref},
    log_time::LogTime,
    order::{Arrival, Record},
    output::Output,
    series::{InForce, Series},
};

mod saved;

pub use saved::Saved;

/// Counts for telemetry; part of no decision.
#[derive(Debug, Default)]
pub struct Counts {
    /// Rows written.
    pub rows: u64,
    /// Of these, late ones.
    pub late: u64,
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
    /// Series with rows that wait, to be looked at on ticks.
    holding: BTreeSet<usize>,
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
    window: Vec<f64>,
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
            holding: BTreeSet::new(),
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
                    (Choice::Skip, Item::Tick(_)) => {}
                    (Choice::Skip, Item::Row(row)) => {
                        let (key, record) = record_of(segment, row);
                        let detail = "windowing panicked or died on it".to_owned();
                        out.refusals.push(refusal(key, &record, Reason::Poison, detail));
                    }
                    (Choice::Take, Item::Tick(log_time)) => self.tick(at, *log_time, out),
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

    fn tick(&mut self, at: At<'_>, log_time: Micros, out: &mut Output) {
        self.log_time.advance(&at.first.source, log_time);
        let log_time = self.log_time.get();
        // Rows carry log time on too, but only ticks tell those who wait.
        if log_time <= self.ticked_at {
            return;
        }
        self.ticked_at = log_time;
        let mut holding = std::mem::take(&mut self.holding);
        holding.retain(|&index| {
            while let Some(held) = self.series.get_mut(index).order.release_silent(log_time) {
                let mut values = std::mem::take(&mut self.scratch.held);
                self.leave(index, &held.record(&mut values), false, at, out);
                self.scratch.held = values;
            }
            self.series[index].order.holds()
        });
        self.holding = holding;
        out.tick(log_time);
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
        let series = self.series.get_mut(index);
        match series.order.arrive(row.event_at, self.log_time.get()) {
            Arrival::Late if series.stream.late == LatePolicy::Refuse => {
                let detail = format!("behind the watermark of series {:?}", &*series.key);
                out.refusals.push(refusal(&named.key, &record, Reason::Late, detail));
            }
            Arrival::Late => self.leave(index, &record, true, at, out),
            Arrival::Leaves => self.leave(index, &record, false, at, out),
            Arrival::Waits => {
                series.order.hold(&record);
                let held_rows_max = self.config.held_rows_max;
                while let Some(held) = self.series.get_mut(index).order.release(held_rows_max) {
                    let mut values = std::mem::take(&mut self.scratch.held);
                    self.leave(index, &held.record(&mut values), false, at, out);
                    self.scratch.held = values;
                }
                if self.series[index].order.holds() {
                    self.holding.insert(index);
                } else {
                    self.holding.remove(&index);
                }
            }
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
                self.series.push(Series::new(stream, &named.key));
                self.by_key.insert(key, self.series.len() - 1);
                Ok(self.series.len() - 1)
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

    /// A record leaves as a row; drift tests and windows take it in, unless it is `late`. `at` is the item that
    /// lets it go.
    fn leave(
        &mut self,
        index: usize,
        record: &Record<'_>,
        late: bool,
        at: At<'_>,
        out: &mut Output,
    ) {
        let log_time = self.log_time.get();
        let series = self.series.get_mut(index);
        let Scratch { arranged, window: window_row, .. } = &mut self.scratch;
        let values = match series.arrange(record, self.config.features_max, arranged) {
            Ok(values) => values,
            Err(features) => {
                let (reason, detail) = self.too_many_features(features);
                out.refusals.push(refusal(&self.series[index].key, record, reason, detail));
                return;
            }
        };
        let number = series.next_row();
        let mark = drift::Mark { row: number, at: record.row.event_at };
        let found = series.monitor.as_mut().filter(|_| !late).and_then(|m| m.push(values, mark));
        let drift = found.map(|found| {
            let actions = drift_actions(&self.definitions, &series.stream_name);
            let found = (&found, actions);
            Arc::new(drift_event(series, record, number, log_time, at.position(), found))
        });
        out.drifts.extend(drift.clone());
        let row = output_row(record, number, log_time, late, drift.clone());
        let written =
            out.row(series.entry, || series_ref(series, None), record.source, values, row);
        series.entry = written;
        self.counts.rows += 1;
        if late {
            self.counts.late += 1;
            return;
        }
        for place in 0..series.windows.len() {
            let window = &mut series.windows[place];
            if drift.is_some() {
                window.pending_drift.clone_from(&drift);
            }
            let Some(number) = window.push(values, window_row) else {
                continue;
            };
            let marked = window.pending_drift.take();
            let row = output_row(record, number, log_time, false, marked);
            let known = window.entry;
            let named = || series_ref(series, Some(place));
            let written = out.row(known, named, record.source, window_row, row);
            series.windows[place].entry = written;
            self.counts.rows += 1;
        }
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
