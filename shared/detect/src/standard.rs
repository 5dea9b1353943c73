//! A running mean and deviation that a few wild values can't carry away: the unit of features whose range nobody
//! knows beforehand.

use domain::encoding::{DecodeError, ensure, put, take};

use crate::{Assessment, DEVIATION_MAX, SQUARE_MAX, present};

/// Rows at which the confidence of a model that judges rows by their standardised values is one half.
const CONFIDENCE_ROWS: f64 = 32.0;

/// A clipped exponential mean and deviation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standard {
    mean: f64,
    variance: f64,
    rows: f64,
    /// The last deviation that was too large to be believed at once.
    unbelieved: f64,
    /// Rows in a row that were far out.
    run: u32,
}

impl Standard {
    /// Rows after which one counts 1/e.
    pub(crate) const HORIZON: f64 = 1000.0;
    /// Rows over which a value that is far out weighs where bursts must not move the unit.
    const FAR_HORIZON: f64 = 65_536.0;
    /// A deviation of more than so many units is believed when it comes the second time.
    pub(crate) const CREDIBLE: f64 = 6.0;
    /// Of a run of rows so far out, the k-th counts 1/k² until the run is long enough to be the new normal.
    pub(crate) const RUN_MAX: u32 = 64;
    /// The first rows are believed as they are.
    const FIRST: f64 = 16.0;
    /// Floors of the unit: a share of the mean's size, and rounding noise about 0.
    const FLOOR: (f64, f64) = (0.002, 1e-9);
    /// Small samples understate the spread; the unit is (1 + this / rows) times as large.
    const SMALL_SAMPLE: f64 = 6.0;

    /// How many rows it speaks for, at most the horizon.
    pub(crate) fn rows(&self) -> f64 {
        self.rows
    }

    pub(crate) fn expected(&self) -> f64 {
        if self.rows > 0.0 { self.mean } else { f64::NAN }
    }

    pub(crate) fn unit(&self) -> f64 {
        let rows = self.rows.max(1.0);
        let relative = (Self::FLOOR.0 + 0.5 / (rows * rows)) * self.mean.abs();
        (self.variance.sqrt() * (1.0 + Self::SMALL_SAMPLE / rows)).max(relative).max(Self::FLOOR.1)
    }

    /// Deviations from the mean; 0 before the first row. Far beyond all sense it ends at a million.
    pub(crate) fn distance(&self, value: f64) -> f64 {
        if self.rows > 0.0 { ((value - self.mean) / self.unit()).clamp(-1e6, 1e6) } else { 0.0 }
    }

    /// Deviations above the mean in units of at least `unit_min`; 0 below it and before the first row.
    pub(crate) fn above(&self, value: f64, unit_min: f64) -> f64 {
        let unit = self.unit().max(unit_min);
        if self.rows > 0.0 { ((value - self.mean) / unit).clamp(0.0, 1e6) } else { 0.0 }
    }

    pub(crate) fn learn(&mut self, value: f64) {
        self.learn_within(value, Self::HORIZON, 0.0);
    }

    /// Learns so that a burst hardly moves the unit, in which other things are kept.
    pub(crate) fn learn_guarded(&mut self, value: f64) {
        self.learn_within(value, Self::HORIZON, Self::FAR_HORIZON);
    }

    /// Learns with another horizon, a whole number of rows up to 65,535; a value that is far out
    /// weighs at most as over `far_horizon` rows, or a short memory would take a burst for normal.
    pub(crate) fn learn_within(&mut self, value: f64, horizon: f64, far_horizon: f64) {
        if self.rows == 0.0 {
            self.mean = value;
            self.rows = 1.0;
            return;
        }
        let deviation = value - self.mean;
        let young = self.rows < Self::FIRST;
        let far = if young { f64::INFINITY } else { Self::CREDIBLE * self.unit() };
        let credible = far.max(self.unbelieved);
        if deviation.abs() > credible {
            self.unbelieved = deviation.abs();
        }
        let believed = deviation.clamp(-credible, credible);
        self.run = if deviation.abs() > far { self.run.saturating_add(1) } else { 0 };
        let run = if self.run <= Self::RUN_MAX { f64::from(self.run.max(1)) } else { 1.0 };
        self.rows = (self.rows + 1.0).min(horizon);
        let brief = self.run > 0 && self.run <= Self::RUN_MAX;
        let rows = if brief { self.rows.max(far_horizon) } else { self.rows };
        let rate = 1.0 / (rows * run * run);
        self.mean += rate * believed;
        self.variance = (1.0 - rate) * (self.variance + rate * believed * believed);
    }

    /// Appends what was learned. `rows` is a whole number.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.mean, self.variance, self.rows as u16, self.unbelieved, self.run), out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        Self::decode_within(bytes, Self::HORIZON)
    }

    /// The same of one that learns with another horizon.
    pub(crate) fn decode_within(bytes: &mut &[u8], horizon: f64) -> Result<Self, DecodeError> {
        let (mean, variance, rows, unbelieved, run) = take::<(f64, f64, u16, f64, u32)>(bytes)?;
        let rows = f64::from(rows);
        ensure(mean.abs() <= DEVIATION_MAX, "mean")?;
        ensure((0.0..=SQUARE_MAX).contains(&variance), "variance")?;
        ensure(rows <= horizon, "number of rows of a mean")?;
        ensure((0.0..=DEVIATION_MAX).contains(&unbelieved), "deviation")?;
        Ok(Self { mean, variance, rows, unbelieved, run })
    }
}

/// The standards of all values of a series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standards(Box<[Standard]>);

impl Standards {
    pub(crate) fn new(values: usize) -> Self {
        Self(vec![Standard::default(); values].into())
    }

    pub(crate) fn bytes(values: usize) -> usize {
        values * size_of::<Standard>()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn as_slice(&self) -> &[Standard] {
        &self.0
    }

    /// Tells what is expected of each value, and puts the values' deviations into the room, NaN for missing
    /// ones. Sets the confidence of a model of so many rows. Says how many values are present.
    pub(crate) fn place(&self, row: &[f64], rows: u64, out: &mut Assessment) -> usize {
        out.room.clear();
        let mut known = 0;
        for (index, standard) in self.0.iter().enumerate() {
            (out.expected[index], out.scale[index]) = (standard.expected(), standard.unit());
            let value = present(row, index);
            known += usize::from(value.is_some());
            out.room.push(value.map_or(f64::NAN, |value| standard.distance(value)));
        }
        let share = known as f64 / self.0.len().max(1) as f64;
        out.confidence = share * rows as f64 / (rows as f64 + CONFIDENCE_ROWS);
        known
    }

    /// The deviations of the values, NaN for missing ones.
    pub(crate) fn deviations(&self, row: &[f64]) -> impl Iterator<Item = f64> {
        let one = |(index, standard): (usize, &Standard)| {
            present(row, index).map_or(f64::NAN, |value| standard.distance(value))
        };
        self.0.iter().enumerate().map(one)
    }

    pub(crate) fn learn(&mut self, row: &[f64]) {
        for (index, standard) in self.0.iter_mut().enumerate() {
            if let Some(value) = present(row, index) {
                standard.learn(value);
            }
        }
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|standard| standard.encode(out));
    }

    /// Takes what [`encode`](Self::encode) appended, of as many values as these.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        for standard in &mut self.0 {
            *standard = Standard::decode(bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(values: impl IntoIterator<Item = f64>) -> Standard {
        let mut standard = Standard::default();
        values.into_iter().for_each(|v| standard.learn(v));
        standard
    }

    #[test]
    fn mean_and_deviation_of_the_first_rows_are_exact() {
        let standard = learned([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert!((standard.mean - 5.0).abs() < 1e-12);
        assert!((standard.variance - 4.0).abs() < 1e-12);
    }

    #[test]
    fn bursts_are_news_and_a_new_level_is_learned() {
        let saw = || (0..1000).map(|i| f64::from(i % 5));
        let distance = |then: &[f64]| learned(saw().chain(then.iter().copied())).distance(100.0);
        let first = distance(&[]);
        assert!(first > 50.0);
        assert!(distance(&[1e12]) > 0.9 * first, "one broken value is nothing");
        assert!(distance(&[100.0; 20]) > 0.3 * first, "a burst does not hide the next");
        assert!(distance(&[100.0; 300]) < 3.0, "a lasting level is no burst");
    }
}
