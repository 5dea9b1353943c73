//! One series: the order of its rows, its features, its windows and its drift tests.

use std::{collections::BTreeMap, sync::Arc};

use domain::{Extras, LOG_TIME_END, LOG_TIME_NONE, Micros, Origin, Stream};
use drift::Monitor;

use crate::window::SlidingWindow;

/// A record that has come, with its values in the order of the series' features.
#[derive(Clone, Debug)]
pub struct Record {
    /// Event time.
    pub event_at: Micros,
    /// When the broker took it in.
    pub ingested_at: Micros,
    /// The config version in force.
    pub config_version: u64,
    /// The partition it was read from.
    pub source: Arc<str>,
    /// Where it stands there; `origin.source` is not used here.
    pub origin: Origin,
    /// The values; NaN where missing.
    pub values: Vec<f64>,
    /// Tags and trace.
    pub extras: Option<Arc<Extras>>,
}

/// Orders rows of equal event time by what they say, then by arrival.
type Place = (Micros, Vec<u64>, u64);

/// What is done with a record that has just come.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It stands behind the watermark.
    Late,
    /// It, and maybe others, can leave: see [`Series::release`].
    InTime,
}

/// One series of a partition.
#[derive(Debug)]
pub struct Series {
    /// The series key.
    pub key: Arc<str>,
    /// The stream's definition in force for it.
    pub stream: Arc<Stream>,
    /// The stream's name.
    pub stream_name: Arc<str>,
    /// The names of its values, in order of appearance.
    pub features: Arc<[Arc<str>]>,
    /// Its windows, in the stream's order.
    pub windows: Vec<SlidingWindow>,
    /// Its drift tests; none if the stream wants none.
    pub monitor: Option<Monitor>,
    rows: u64,
    event_max: Micros,
    heard_at: Micros,
    held: BTreeMap<Place, Record>,
    arrivals: u64,
}

impl Series {
    /// A series of which no record has come yet.
    pub fn new(stream: &Arc<Stream>, key: &Arc<str>, features: Arc<[Arc<str>]>) -> Self {
        let mut series = Self {
            key: key.clone(),
            stream: stream.clone(),
            stream_name: stream.name.as_str().into(),
            features,
            windows: vec![],
            monitor: None,
            rows: 0,
            event_max: Micros::MIN,
            heard_at: LOG_TIME_NONE,
            held: BTreeMap::new(),
            arrivals: 0,
        };
        series.set_windows();
        series.set_monitor();
        series
    }

    /// Takes a changed definition; what did not change keeps its state.
    pub fn redefine(&mut self, stream: &Arc<Stream>) {
        let before = std::mem::replace(&mut self.stream, stream.clone());
        if before.windows != stream.windows {
            self.set_windows();
        }
        if before.drift != stream.drift || before.drift_confidence != stream.drift_confidence {
            self.set_monitor();
        }
    }

    /// Adds features that a record brought; windows and drift tests start anew over all of them.
    pub fn widen(&mut self, features: Arc<[Arc<str>]>) {
        self.features = features;
        let values = self.features.len();
        for record in self.held.values_mut() {
            record.values.resize(values, f64::NAN);
        }
        self.windows = self.windows.iter().map(|window| window.widened(values)).collect();
        self.set_monitor();
    }

    fn set_windows(&mut self) {
        let values = self.features.len();
        self.windows =
            self.stream.windows.iter().map(|window| SlidingWindow::new(window, values)).collect();
    }

    fn set_monitor(&mut self) {
        let Stream { drift, drift_confidence, .. } = &*self.stream;
        let values = self.features.len();
        self.monitor = (!drift.is_empty()).then(|| Monitor::new(drift, *drift_confidence, values));
    }

    /// The number of the next row.
    pub fn next_row(&mut self) -> u64 {
        self.rows += 1;
        self.rows
    }

    /// Says whether a record of this event time is late, and notes that the series has been heard of.
    pub fn arrive(&mut self, event_at: Micros, log_time: Micros) -> Arrival {
        self.heard_at = log_time;
        if event_at < self.watermark(0) {
            return Arrival::Late;
        }
        self.event_max = self.event_max.max(event_at);
        Arrival::InTime
    }

    /// The series' event time minus its lateness, `silent_us` after its last record.
    fn watermark(&self, silent_us: Micros) -> Micros {
        let lateness = (self.stream.lateness_ms as i64).saturating_mul(1000);
        self.event_max.saturating_add(silent_us).saturating_sub(lateness)
    }

    /// Whether rows leave at once, in the order of arrival.
    pub fn is_immediate(&self) -> bool {
        self.stream.lateness_ms == 0 && self.held.is_empty()
    }

    /// Keeps a record until the watermark is past it.
    pub fn hold(&mut self, record: Record) {
        self.arrivals += 1;
        let content = record.values.iter().map(|v| v.to_bits()).collect();
        self.held.insert((record.event_at, content, self.arrivals), record);
    }

    /// Takes the next record that the watermark is past, or that is too many, in order.
    pub fn release(&mut self, held_rows_max: usize) -> Option<Record> {
        let watermark = self.watermark(0);
        let entry = self.held.first_entry()?;
        let due = entry.key().0 < watermark || self.stream.lateness_ms == 0;
        if due || self.held.len() > held_rows_max {
            return self.held.pop_first().map(|(_, record)| record);
        }
        None
    }

    /// The log time has come this far without a record: event time goes on at its pace. Takes the next record
    /// that this releases.
    pub fn release_silent(&mut self, log_time: Micros) -> Option<Record> {
        if self.heard_at == LOG_TIME_NONE {
            self.heard_at = log_time;
        }
        let silent_us = log_time.saturating_sub(self.heard_at);
        let due = log_time == LOG_TIME_END
            || self.held.first_key_value()?.0.0 < self.watermark(silent_us);
        due.then(|| self.held.pop_first()).flatten().map(|(_, record)| record)
    }

    /// Whether rows wait for older ones.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(lateness_ms: u64) -> Series {
        let stream = Arc::new(Stream { lateness_ms, ..Stream::implicit() });
        Series::new(&stream, &Arc::from("k"), Arc::from([Arc::from("value")]))
    }

    fn record(event_at: Micros, value: f64) -> Record {
        Record {
            event_at,
            ingested_at: 0,
            config_version: 0,
            source: "records/0".into(),
            origin: Origin { source: 0, offset: 0, index: 0 },
            values: vec![value],
            extras: None,
        }
    }

    /// Feeds (event time in ms, value) and returns the values in the order in which they leave; late ones are
    /// left out.
    fn order(lateness_ms: u64, input: &[(i64, f64)]) -> Vec<f64> {
        let mut series = series(lateness_ms);
        let mut left = vec![];
        for (event_at, value) in input {
            if series.arrive(event_at * 1000, 0) == Arrival::Late {
                continue;
            }
            series.hold(record(event_at * 1000, *value));
            while let Some(record) = series.release(100) {
                left.push(record.values[0]);
            }
        }
        while let Some(record) = series.release_silent(LOG_TIME_END) {
            left.push(record.values[0]);
        }
        left
    }

    #[test]
    fn any_order_within_lateness_gives_the_same_rows() {
        let expected = [1.0, 2.0, 2.5, 3.0, 4.0];
        assert_eq!(order(10, &[(1, 1.0), (2, 2.0), (2, 2.5), (3, 3.0), (9, 4.0)]), expected);
        assert_eq!(order(10, &[(9, 4.0), (2, 2.5), (3, 3.0), (2, 2.0), (1, 1.0)]), expected);
    }

    #[test]
    fn without_lateness_rows_leave_at_once_and_equal_times_are_not_late() {
        assert_eq!(order(0, &[(2, 9.0), (2, 1.0), (1, 5.0), (3, 2.0)]), [9.0, 1.0, 2.0]);
    }

    #[test]
    fn the_event_time_of_a_silent_series_goes_on_with_log_time() {
        let mut series = series(10);
        assert_eq!(series.arrive(5_000, 100_000), Arrival::InTime);
        series.hold(record(5_000, 1.0));
        assert!(series.release(100).is_none());
        assert!(series.release_silent(110_000).is_none());
        assert!(series.release_silent(110_001).is_some());
        assert!(!series.holds());
    }

    #[test]
    fn beyond_the_limit_the_oldest_leave_early() {
        let mut series = series(1_000);
        for at in [3_000, 1_000, 2_000] {
            series.arrive(at, 0);
            series.hold(record(at, at as f64));
        }
        assert_eq!(series.release(2).map(|r| r.event_at), Some(1_000));
        assert!(series.release(2).is_none());
    }
}
