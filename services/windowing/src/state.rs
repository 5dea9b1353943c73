//! What windowing knows of one partition, and all that it decides. A pure function of the partition's log: no
//! clock, no I/O, no await.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use control::ControlLog;
use domain::{
    Batch, Definitions, Drift, Flags, Hole, Id, Item, LatePolicy, Micros, Position, Reason,
    Refusal, Row, SeriesRef, Stream, Track,
};

use crate::{
    config::WindowingConfig,
    log_time::LogTime,
    output::Output,
    series::{Arrival, Record, Series},
};

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
    config: WindowingConfig,
    definitions: Definitions,
    streams: BTreeMap<Arc<str>, Arc<Stream>>,
    track: Track,
    log_time: LogTime,
    series: Vec<Series>,
    by_key: HashMap<(Arc<str>, Arc<str>), usize>,
    /// Series with rows that wait, to be looked at on ticks.
    holding: BTreeSet<usize>,
    next: Position,
    /// Counts since the last look.
    pub counts: Counts,
    window_row: Vec<f64>,
}

/// How a batch's series table entry maps to the state.
#[derive(Clone)]
struct Mapped {
    series: usize,
    /// Place of each of the batch's values among the series' features.
    places: Vec<usize>,
}

impl State {
    /// Before the first record. `source` names the partition that is read, as `topic/number`.
    pub fn new(source: Arc<str>, config: &WindowingConfig) -> Self {
        let mut state = Self {
            config: config.clone(),
            definitions: Definitions::default(),
            streams: BTreeMap::new(),
            track: Track::default(),
            log_time: LogTime::new(),
            series: vec![],
            by_key: HashMap::new(),
            holding: BTreeSet::new(),
            next: Position { source, epoch: 1, number: 1 },
            counts: Counts::default(),
            window_row: vec![],
        };
        state.set_streams();
        state
    }

    /// How many series it holds.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Applies the segments of one message. `control` must have been read up to their config versions.
    ///
    /// # Errors
    /// If items are missing; the partition must stop then.
    pub fn apply(
        &mut self,
        control: &ControlLog,
        segments: &[Batch],
        out: &mut Output,
    ) -> Result<(), Hole> {
        for segment in segments {
            let repeats = self.track.take(&segment.first, segment.items.len() as u64)?;
            self.counts.repeats += repeats;
            let mut mapped: Vec<Option<Mapped>> = vec![None; segment.series.len()];
            for (index, item) in segment.items.iter().enumerate().skip(repeats as usize) {
                let number = segment.first.number + index as u64;
                let position = Position { number, ..segment.first.clone() };
                match item {
                    Item::Tick(at) => self.tick(&position, *at, out),
                    Item::Row(row) => {
                        if row.config_version > self.definitions.version {
                            self.advance(control, row.config_version);
                            mapped.iter_mut().for_each(|m| *m = None);
                        }
                        self.log_time.advance(&segment.first.source, row.log_time);
                        let slot = &mut mapped[row.series as usize];
                        self.row(segment, row, &position, slot, out);
                    }
                }
            }
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
        self.set_streams();
        if let Some(layout) = &self.definitions.layout {
            self.log_time.set_layout(layout);
        }
    }

    fn set_streams(&mut self) {
        let before = std::mem::take(&mut self.streams);
        for stream in self.definitions.streams_in_force() {
            let name: Arc<str> = stream.name.as_str().into();
            let kept = before.get(&name).filter(|known| ***known == stream).cloned();
            self.streams.insert(name, kept.unwrap_or_else(|| Arc::new(stream)));
        }
    }

    fn tick(&mut self, position: &Position, at: Micros, out: &mut Output) {
        let before = self.log_time.get();
        self.log_time.advance(&position.source, at);
        let log_time = self.log_time.get();
        if log_time == before {
            return;
        }
        for index in self.holding.clone() {
            while let Some(record) = self.series[index].release_silent(log_time) {
                self.leave(index, &record, position, out);
            }
            if !self.series[index].holds() {
                self.holding.remove(&index);
            }
        }
        out.tick(log_time);
    }

    fn row(
        &mut self,
        segment: &Batch,
        row: &Row,
        position: &Position,
        slot: &mut Option<Mapped>,
        out: &mut Output,
    ) {
        if slot.is_none() {
            match self.map(&segment.series[row.series as usize], out) {
                Ok(mapped) => *slot = Some(mapped),
                Err((reason, detail)) => {
                    out.refusals.push(refusal(segment, row, reason, detail));
                    return;
                }
            }
        }
        let Some(Mapped { series: index, places }) = slot else {
            return;
        };
        let series = &mut self.series[*index];
        let mut values = vec![f64::NAN; series.features.len()];
        for (place, value) in places.iter().zip(segment.values_of(row)) {
            values[*place] = *value;
        }
        let record = Record {
            event_at: row.event_at,
            ingested_at: row.ingested_at,
            config_version: row.config_version,
            source: segment.sources[row.origin.source as usize].clone(),
            origin: row.origin,
            values,
            extras: row.extras.clone(),
        };
        let index = *index;
        match series.arrive(record.event_at, self.log_time.get()) {
            Arrival::Late if series.stream.late == LatePolicy::Refuse => {
                let detail = format!("behind the watermark of series {:?}", &*series.key);
                out.refusals.push(refusal(segment, row, Reason::Late, detail));
            }
            Arrival::Late => self.leave_late(index, &record, out),
            Arrival::InTime if series.is_immediate() => {
                self.leave(index, &record, position, out);
            }
            Arrival::InTime => {
                series.hold(record);
                while let Some(record) = self.series[index].release(self.config.held_rows_max) {
                    self.leave(index, &record, position, out);
                }
                if self.series[index].holds() {
                    self.holding.insert(index);
                } else {
                    self.holding.remove(&index);
                }
            }
        }
    }

    /// Finds or makes the series of a table entry, with all its features.
    fn map(&mut self, entry: &SeriesRef, out: &mut Output) -> Result<Mapped, (Reason, String)> {
        let Some(stream) = self.streams.get(&entry.stream).cloned() else {
            let detail = format!("stream {:?} is not defined any more", &*entry.stream);
            return Err((Reason::UnknownStream, detail));
        };
        let key = (entry.stream.clone(), entry.key.clone());
        let index = match self.by_key.get(&key) {
            Some(index) => *index,
            None if self.series.len() >= self.config.series_max => {
                let detail = format!("windowing.series_max is {}", self.config.series_max);
                return Err((Reason::TooManySeries, detail));
            }
            None => {
                self.series.push(Series::new(&stream, &entry.key, entry.features.clone()));
                self.by_key.insert(key, self.series.len() - 1);
                self.series.len() - 1
            }
        };
        let series = &mut self.series[index];
        if !Arc::ptr_eq(&series.stream, &stream) {
            series.redefine(&stream);
            out.forget_series(index);
        }
        let mut features = series.features.to_vec();
        for name in entry.features.iter() {
            if !features.contains(name) {
                features.push(name.clone());
            }
        }
        if features.len() > self.config.features_max {
            let detail = format!(
                "the series would have {} features, windowing.features_max is {}",
                features.len(),
                self.config.features_max
            );
            return Err((Reason::TooManyFeatures, detail));
        }
        if features.len() > series.features.len() {
            series.widen(features.into());
            out.forget_series(index);
        }
        let place = |name| series.features.iter().position(|known| known == name);
        Ok(Mapped { series: index, places: entry.features.iter().filter_map(place).collect() })
    }

    /// A record in time leaves as a row; drift tests and windows take it in. `position` is that of the item
    /// that let it go.
    fn leave(&mut self, index: usize, record: &Record, position: &Position, out: &mut Output) {
        let log_time = self.log_time.get();
        let series = &mut self.series[index];
        let number = series.next_row();
        let found = series.monitor.as_mut().and_then(|monitor| monitor.push(&record.values));
        let drift = found
            .map(|found| Arc::new(drift_event(series, record, number, log_time, position, &found)));
        if let Some(drift) = &drift {
            out.drifts.push(drift.clone());
        }
        let row = output_row(record, number, log_time, Flags::default(), drift.clone());
        out.row((index, 0), || series_ref(series, None), &record.source, &record.values, row);
        self.counts.rows += 1;
        for at in 0..series.windows.len() {
            let window = &mut series.windows[at];
            if drift.is_some() {
                window.pending_drift.clone_from(&drift);
            }
            let Some(number) = window.push(&record.values, &mut self.window_row) else {
                continue;
            };
            let marked = window.pending_drift.take();
            let row = output_row(record, number, log_time, Flags::default(), marked);
            let entry = || series_ref(series, Some(at));
            out.row((index, at + 1), entry, &record.source, &self.window_row, row);
            self.counts.rows += 1;
        }
    }

    /// A late record is scored on arrival, and nothing else.
    fn leave_late(&mut self, index: usize, record: &Record, out: &mut Output) {
        let series = &mut self.series[index];
        let number = series.next_row();
        let flags = Flags { late: true, imputed: false };
        let row = output_row(record, number, self.log_time.get(), flags, None);
        out.row((index, 0), || series_ref(series, None), &record.source, &record.values, row);
        self.counts.rows += 1;
        self.counts.late += 1;
    }
}

fn series_ref(series: &Series, window: Option<usize>) -> SeriesRef {
    let window = window.map(|at| &series.windows[at]);
    SeriesRef {
        stream: series.stream_name.clone(),
        key: series.key.clone(),
        window: window.map(|w| w.name().clone()),
        features: window.map_or_else(|| series.features.clone(), |w| w.features(&series.features)),
    }
}

fn output_row(
    record: &Record,
    number: u64,
    log_time: Micros,
    flags: Flags,
    drift: Option<Arc<Drift>>,
) -> Row {
    Row {
        series: 0,
        row: number,
        event_at: record.event_at,
        ingested_at: record.ingested_at,
        log_time,
        config_version: record.config_version,
        origin: record.origin,
        flags,
        values: 0..0,
        extras: record.extras.clone(),
        drift,
    }
}

fn drift_event(
    series: &Series,
    record: &Record,
    row: u64,
    log_time: Micros,
    position: &Position,
    found: &drift::Found,
) -> Drift {
    let feature = domain::row::feature_name(&series.features, found.value);
    let id = Id::of(&[
        b"drift",
        record.source.as_bytes(),
        &record.origin.offset.to_le_bytes(),
        &record.origin.index.to_le_bytes(),
        series.stream_name.as_bytes(),
        feature.as_bytes(),
        found.test.name().as_bytes(),
    ]);
    let extras = record.extras.as_deref();
    Drift {
        id,
        position: position.clone(),
        series: SeriesRef { features: Arc::from([]), ..series_ref(series, None) },
        feature,
        method: found.test.name().into(),
        statistic: found.statistic,
        bound: found.bound,
        p_value: found.p_value,
        before: found.before,
        after: found.after,
        row,
        event_at: record.event_at,
        ingested_at: record.ingested_at,
        log_time,
        tags: extras.map(|e| e.tags.clone()).unwrap_or_default(),
        traceparent: extras.and_then(|e| e.traceparent.clone()),
    }
}

fn refusal(segment: &Batch, row: &Row, reason: Reason, detail: String) -> Refusal {
    let series = &segment.series[row.series as usize];
    Refusal {
        reason,
        detail,
        service: "windowing",
        source: segment.sources[row.origin.source as usize].clone(),
        offset: row.origin.offset,
        index: row.origin.index,
        ingested_at: row.ingested_at,
        key: Some(series.key.as_bytes().to_vec()),
        payload: vec![],
    }
}
