//! The order of a series' rows: by event time within the lateness, and which ones are late.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    LOG_TIME_END, LOG_TIME_NONE, Micros, Row,
    encoding::{self, COUNT_MAX, DecodeError},
};

/// The names of values, in their order.
pub type Features = Arc<[Arc<str>]>;

/// A record on its way through, with its values in its own order.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// As it was read.
    pub row: &'a Row,
    /// The partition it was read from.
    pub source: &'a Arc<str>,
    /// The names of its values.
    pub features: &'a Features,
    /// The values; NaN where missing.
    pub values: &'a [f64],
}

/// A record that waits for older ones.
#[derive(Debug)]
pub struct Held {
    place: Place,
    row: Row,
    source: Arc<str>,
}

/// Orders records by event time, equal ones by what they say, then by arrival.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    event_at: Micros,
    bits: Box<[u64]>,
    features: Features,
    arrival: u64,
}

impl Held {
    /// The record; its values are written into `values`.
    pub fn record<'a>(&'a self, values: &'a mut Vec<f64>) -> Record<'a> {
        values.clear();
        values.extend(self.place.bits.iter().copied().map(f64::from_bits));
        Record { row: &self.row, source: &self.source, features: &self.place.features, values }
    }
}

/// What is done with a record that has just come.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It stands behind the watermark, or behind a row that has left.
    Late,
    /// It leaves at once.
    Leaves,
    /// It waits for older ones; it, and maybe others, can leave then: see [`Order::release`].
    Waits,
}

/// What waits of one series, and how far it has come.
#[derive(Debug)]
pub struct Order {
    lateness: Micros,
    event_max: Micros,
    /// The newest event time that has left.
    left_at: Micros,
    heard_at: Micros,
    held: BTreeMap<Place, (Row, Arc<str>)>,
    arrivals: u64,
}

impl Order {
    /// Before the first record.
    pub fn new(lateness_ms: u64) -> Self {
        let mut order = Self {
            lateness: 0,
            event_max: Micros::MIN,
            left_at: Micros::MIN,
            heard_at: LOG_TIME_NONE,
            held: BTreeMap::new(),
            arrivals: 0,
        };
        order.set_lateness(lateness_ms);
        order
    }

    /// Takes a changed lateness; what was held by the one before goes by the new one.
    pub fn set_lateness(&mut self, lateness_ms: u64) {
        self.lateness = micros(lateness_ms);
    }

    /// Whether a record of this event time comes behind a newer one.
    pub fn is_overtaken(&self, event_at: Micros) -> bool {
        event_at < self.event_max
    }

    /// Says what is done with a record of this event time, and notes that the series has been heard of.
    pub fn arrive(&mut self, event_at: Micros, log_time: Micros) -> Arrival {
        self.heard_at = log_time;
        // Silence, or want of room, may have let rows go that the watermark was not past yet.
        if event_at < self.watermark(0).max(self.left_at) {
            return Arrival::Late;
        }
        self.event_max = self.event_max.max(event_at);
        if self.lateness == 0 && self.held.is_empty() {
            self.left_at = event_at;
            return Arrival::Leaves;
        }
        Arrival::Waits
    }

    /// The series' event time minus its lateness, `silent_us` after its last record.
    fn watermark(&self, silent_us: Micros) -> Micros {
        self.event_max.saturating_add(silent_us).saturating_sub(self.lateness)
    }

    /// Keeps a record until the watermark is past it.
    pub fn hold(&mut self, record: &Record<'_>) {
        self.arrivals += 1;
        let place = Place {
            event_at: record.row.event_at,
            bits: record.values.iter().map(|v| v.to_bits()).collect(),
            features: record.features.clone(),
            arrival: self.arrivals,
        };
        self.held.insert(place, (record.row.clone(), record.source.clone()));
    }

    /// Takes the next record that the watermark is past, or that is too many, in order.
    pub fn release(&mut self, held_rows_max: usize) -> Option<Held> {
        let oldest = self.held_at()?;
        let due = oldest < self.watermark(0) || self.lateness == 0;
        if due || self.held.len() > held_rows_max { self.let_go() } else { None }
    }

    /// The log time has come this far without a record, and event time goes on at its pace: the watermark.
    pub fn silent_watermark(&mut self, log_time: Micros) -> Micros {
        if log_time == LOG_TIME_END {
            return Micros::MAX;
        }
        if self.heard_at == LOG_TIME_NONE {
            self.heard_at = log_time;
        }
        self.watermark(log_time.saturating_sub(self.heard_at))
    }

    /// How long nothing has come, in log time.
    pub fn silent_for(&self, log_time: Micros) -> Micros {
        if self.heard_at == LOG_TIME_NONE { 0 } else { log_time.saturating_sub(self.heard_at) }
    }

    /// Takes the next record that a watermark in silence is past.
    pub fn release_silent(&mut self, watermark: Micros) -> Option<Held> {
        let oldest = self.held_at()?;
        if oldest < watermark || watermark == Micros::MAX { self.let_go() } else { None }
    }

    /// The oldest event time that waits.
    pub fn held_at(&self) -> Option<Micros> {
        Some(self.held.first_key_value()?.0.event_at)
    }

    /// The log time at which, if nothing comes until then, the watermark reaches this event time.
    pub fn log_time_of(&self, event_at: Micros) -> Micros {
        if self.heard_at == LOG_TIME_NONE {
            return LOG_TIME_NONE;
        }
        let ahead = i128::from(event_at) + i128::from(self.lateness) - i128::from(self.event_max);
        let at = i128::from(self.heard_at) + ahead.max(0);
        Micros::try_from(at).unwrap_or(Micros::MAX)
    }

    /// The log time at which it will have been silent for so long.
    pub fn silent_at(&self, silent_us: Micros) -> Micros {
        if self.heard_at == LOG_TIME_NONE {
            return LOG_TIME_NONE;
        }
        self.heard_at.saturating_add(silent_us)
    }

    /// A row of that event time has left, so that what comes from before it is late.
    pub fn set_left(&mut self, event_at: Micros) {
        self.left_at = self.left_at.max(event_at);
    }

    fn let_go(&mut self) -> Option<Held> {
        let (place, (row, source)) = self.held.pop_first()?;
        self.left_at = self.left_at.max(place.event_at);
        Some(Held { place, row, source })
    }

    /// Appends what waits, and how far the series has come, to a saved state; the lateness is the definition's.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Self { event_max, left_at, heard_at, arrivals, held, .. } = self;
        encoding::put(&(event_max, left_at, heard_at, arrivals, held.len() as u64), out);
        for (place, (row, source)) in held {
            let Place { event_at, bits, features, arrival } = place;
            let values: Vec<f64> = bits.iter().copied().map(f64::from_bits).collect();
            encoding::put(&(event_at, values, features, arrival, row, source), out);
        }
    }

    /// Reads what [`Order::encode`] wrote.
    pub(crate) fn decode(lateness_ms: u64, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut order = Self::new(lateness_ms);
        let count: u64;
        (order.event_max, order.left_at, order.heard_at, order.arrivals, count) =
            encoding::take(bytes)?;
        encoding::ensure(order.arrivals <= COUNT_MAX, "number of arrivals")?;
        for _ in 0..count {
            let (event_at, values, features, arrival, row, source): (
                Micros,
                Vec<f64>,
                Features,
                u64,
                Row,
                Arc<str>,
            ) = encoding::take(bytes)?;
            encoding::ensure(values.len() == features.len(), "number of a held row's values")?;
            let bits = values.iter().map(|value| value.to_bits()).collect();
            let place = Place { event_at, bits, features, arrival };
            order.held.insert(place, (row, source));
        }
        Ok(order)
    }
}

/// Milliseconds of a definition in microseconds.
pub(crate) fn micros(ms: u64) -> Micros {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use domain::{Flags, Origin};

    use super::*;

    /// A record of this event time comes with one value.
    fn hold(order: &mut Order, event_at: Micros, value: f64) {
        let row = Row {
            series: 0,
            row: 0,
            event_at,
            ingested_at: 0,
            log_time: 0,
            config_version: 0,
            origin: Origin { source: 0, offset: 0, index: 0 },
            flags: Flags::default(),
            values: 0..1,
            extras: None,
            drift: None,
        };
        let (source, features) = (Arc::from("records/0"), Arc::from([Arc::from("value")]));
        let values = &[value];
        order.hold(&Record { row: &row, source: &source, features: &features, values });
    }

    fn value_of(held: &Held) -> f64 {
        held.record(&mut vec![]).values[0]
    }

    /// Feeds (event time in ms, value) and returns the values in the order in which they leave; late ones are
    /// left out.
    fn left(lateness_ms: u64, input: &[(i64, f64)]) -> Vec<f64> {
        let mut order = Order::new(lateness_ms);
        let mut left = vec![];
        for (event_at, value) in input {
            match order.arrive(event_at * 1000, 0) {
                Arrival::Late => continue,
                Arrival::Leaves => left.push(*value),
                Arrival::Waits => hold(&mut order, event_at * 1000, *value),
            }
            while let Some(held) = order.release(100) {
                left.push(value_of(&held));
            }
        }
        while let Some(held) = order.release_silent(Micros::MAX) {
            left.push(value_of(&held));
        }
        left
    }

    #[test]
    fn any_order_within_lateness_gives_the_same_rows() {
        let expected = [1.0, 2.0, 2.5, 3.0, 4.0];
        assert_eq!(left(10, &[(1, 1.0), (2, 2.0), (2, 2.5), (3, 3.0), (9, 4.0)]), expected);
        assert_eq!(left(10, &[(9, 4.0), (2, 2.5), (3, 3.0), (2, 2.0), (1, 1.0)]), expected);
    }

    #[test]
    fn without_lateness_rows_leave_at_once_and_equal_times_are_not_late() {
        assert_eq!(left(0, &[(2, 9.0), (2, 1.0), (1, 5.0), (3, 2.0)]), [9.0, 1.0, 2.0]);
    }

    #[test]
    fn the_event_time_of_a_silent_series_goes_on_with_log_time() {
        let mut order = Order::new(10);
        assert_eq!(order.arrive(5_000, 100_000), Arrival::Waits);
        hold(&mut order, 5_000, 1.0);
        assert!(order.release(100).is_none());
        let release = |order: &mut Order, log_time| {
            let watermark = order.silent_watermark(log_time);
            order.release_silent(watermark)
        };
        assert_eq!(order.log_time_of(5_001), 110_001);
        assert!(release(&mut order, 110_000).is_none());
        assert!(release(&mut order, 110_001).is_some());
        assert_eq!(order.held_at(), None);
        // In time by its own watermark, but a newer row has left.
        assert_eq!(order.arrive(4_999, 110_001), Arrival::Late);
        assert_eq!(order.arrive(5_000, 110_001), Arrival::Waits);
    }

    #[test]
    fn a_series_of_before_log_time_was_known_is_silent_from_the_first_one_on() {
        let mut order = Order::new(0);
        order.arrive(5_000, LOG_TIME_NONE);
        assert_eq!((order.log_time_of(9_000), order.silent_for(70)), (LOG_TIME_NONE, 0));
        assert_eq!(order.silent_watermark(100), 5_000);
        assert_eq!((order.log_time_of(9_000), order.silent_for(170)), (4_100, 70));
        assert_eq!(order.silent_watermark(LOG_TIME_END), Micros::MAX);
    }

    #[test]
    fn beyond_the_limit_the_oldest_leave_early() {
        let mut order = Order::new(1_000);
        for at in [3_000, 1_000, 2_000] {
            order.arrive(at, 0);
            hold(&mut order, at, at as f64);
        }
        assert_eq!(order.release(2).as_ref().map(value_of), Some(1_000.0));
        assert!(order.release(2).is_none());
        assert_eq!(order.arrive(999, 0), Arrival::Late, "a newer row has left");
    }

    #[test]
    fn less_or_more_lateness_never_lets_rows_leave_out_of_order() {
        let mut order = Order::new(0);
        assert_eq!(order.arrive(9_000, 0), Arrival::Leaves);
        order.set_lateness(10);
        assert_eq!(order.arrive(8_000, 0), Arrival::Late);
        assert_eq!(order.arrive(9_500, 0), Arrival::Waits);
        hold(&mut order, 9_500, 1.0);
        order.set_lateness(0);
        assert_eq!(order.arrive(9_500, 0), Arrival::Waits, "behind the one that is held");
        hold(&mut order, 9_500, 0.5);
        let next = || order.release(100).as_ref().map(value_of);
        assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), [0.5, 1.0]);
    }
}
