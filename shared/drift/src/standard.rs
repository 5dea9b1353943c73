//! A running mean and deviation that a few wild values can't carry away, and by which values are clipped.

use domain::encoding::{DecodeError, ensure, put, take};

use crate::{DEVIATION_MAX, SQUARE_MAX};

/// A clipped exponential mean and deviation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standard {
    mean: f64,
    variance: f64,
    rows: f64,
    /// The last deviation that was too large to be believed at once.
    unbelieved: f64,
}

impl Standard {
    /// Rows after which one counts 1/e.
    const HORIZON: f64 = 1000.0;
    /// A deviation of more than so many units is believed when it comes the second time.
    const CREDIBLE: f64 = 6.0;
    /// The first rows are believed as they are.
    const FIRST: f64 = 16.0;
    /// Floors of the unit: a share of the mean's size, and rounding noise about 0.
    const FLOOR: (f64, f64) = (0.01, 1e-9);
    /// Values count as at most so many units from the mean.
    pub const CLIP: f64 = 3.0;

    /// One unit of deviation, in the value's unit; positive.
    pub fn unit(&self) -> f64 {
        self.variance.sqrt().max(Self::FLOOR.0 * self.mean.abs()).max(Self::FLOOR.1)
    }

    /// The value, or the nearest one within [`CLIP`](Self::CLIP) units of the mean.
    pub fn clip(&self, value: f64) -> f64 {
        if self.rows < Self::FIRST {
            return value;
        }
        let reach = Self::CLIP * self.unit();
        value.clamp(self.mean - reach, self.mean + reach)
    }

    /// Learns a finite value.
    pub fn learn(&mut self, value: f64) {
        if self.rows == 0.0 {
            (self.mean, self.rows) = (value, 1.0);
            return;
        }
        let deviation = value - self.mean;
        let credible = if self.rows < Self::FIRST {
            f64::INFINITY
        } else {
            (Self::CREDIBLE * self.unit()).max(self.unbelieved)
        };
        self.unbelieved = if deviation.abs() > credible { deviation.abs() } else { 0.0 };
        let believed = deviation.clamp(-credible, credible);
        self.rows = (self.rows + 1.0).min(Self::HORIZON);
        let rate = 1.0 / self.rows;
        self.mean += rate * believed;
        self.variance = (1.0 - rate) * (self.variance + rate * believed * believed);
    }

    /// Appends what was learned. `rows` is a whole number.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.mean, self.variance, self.rows as u16, self.unbelieved), out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (mean, variance, rows, unbelieved) = take::<(f64, f64, u16, f64)>(bytes)?;
        let rows = f64::from(rows);
        ensure(mean.abs() <= DEVIATION_MAX, "mean")?;
        ensure((0.0..=SQUARE_MAX).contains(&variance), "variance")?;
        ensure(rows <= Self::HORIZON, "number of rows of a mean")?;
        ensure((0.0..=DEVIATION_MAX).contains(&unbelieved), "deviation")?;
        Ok(Self { mean, variance, rows, unbelieved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_of_the_first_rows_are_exact() {
        let mut standard = Standard::default();
        [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().for_each(|v| standard.learn(v));
        assert!((standard.mean - 5.0).abs() < 1e-12 && (standard.unit() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn one_wild_value_is_nothing_and_two_are_something() {
        let mut standard = Standard::default();
        (0..1000).for_each(|i| standard.learn(f64::from(i % 5)));
        let unit = standard.unit();
        standard.learn(1e12);
        assert!(standard.unit() < 1.1 * unit && standard.clip(1e12) < 10.0);
        standard.learn(1e6);
        standard.learn(1e6);
        assert!(standard.unit() > 1e4);
    }
}
