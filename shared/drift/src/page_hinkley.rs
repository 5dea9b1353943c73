//! The Page-Hinkley test (Page 1954: "Continuous inspection schemes"; Hinkley 1971), two-sided: the sum of
//! deviations from the running mean, less an allowance, since it was last 0.
//!
//! Everything is in units of the series' own deviation, so shift and scale don't matter, and the bound follows
//! from a confidence: without a change the sum exceeds h with a chance of about exp(-2 k h / v) at any row
//! (Siegmund 1985), k the allowance and v the long-run variance of the rows.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use crate::{Change, DEVIATION_MAX, Noise, Standard};

/// The allowance, in units of deviation.
const ALLOWANCE: f64 = 0.25;
/// Deviations count as at most so many units: a short burst is no drift.
const CLIP: f64 = 2.0;
/// A change must have lasted so many rows.
const LASTING: f64 = 48.0;
/// And be going on: a sum below this share of its peak is coming back.
const GOING_ON: f64 = 0.95;
/// Rows before the first test, and how many more if rows depend on each other (× long-run variance / variance):
/// the mean must be known better than the allowance.
const ROWS_MIN: f64 = 128.0;
const ROWS_PER_VARIANCE: f64 = 40.0;

/// The sums of one value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageHinkley {
    rows: f64,
    mean: f64,
    told: f64,
    up: Side,
    down: Side,
}

/// One direction: the sum since it was last 0.
#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    sum: f64,
    peak: f64,
    rows: f64,
    /// Sum of the values as they came.
    told: f64,
}

impl PageHinkley {
    /// Takes a value in: clipped for the test, and as it came for the report.
    pub fn push(&mut self, clipped: f64, told: f64, standard: &Standard) {
        let unit = standard.unit();
        self.rows += 1.0;
        self.mean += (clipped - self.mean) / self.rows;
        self.told += told;
        let deviation = (clipped - self.mean).clamp(-CLIP * unit, CLIP * unit);
        self.up.push(deviation - ALLOWANCE * unit, told);
        self.down.push(-deviation - ALLOWANCE * unit, told);
    }

    /// A change, if one is going on at this confidence (the chance of a false alarm at a row).
    pub fn change(&self, confidence: f64, noise: &Noise, standard: &Standard) -> Option<Change> {
        let side = if self.up.sum > self.down.sum { &self.up } else { &self.down };
        let ripe = self.rows >= ROWS_MIN && side.rows >= LASTING;
        if !(ripe && side.sum >= GOING_ON * side.peak) {
            return None;
        }
        let unit = standard.unit();
        let variance = noise.long_run(side.rows).max(unit * unit);
        if self.rows < ROWS_PER_VARIANCE * variance / (unit * unit) {
            return None;
        }
        let decay = 2.0 * ALLOWANCE * unit / variance;
        // Two sides, so half the confidence for each.
        let bound = libm::log(2.0 / confidence) / decay;
        let earlier = self.rows - side.rows;
        (side.sum > bound).then(|| Change {
            statistic: side.sum,
            bound,
            p_value: (2.0 * libm::exp(-decay * side.sum)).min(1.0),
            before: if earlier > 0.0 { (self.told - side.told) / earlier } else { self.mean },
            after: side.told / side.rows,
        })
    }

    /// Forgets everything.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Appends what was learned. `rows` is a whole number.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows as u64, self.mean, self.told), out);
        self.up.encode(out);
        self.down.encode(out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let rows = take_count(bytes, "number of rows")? as f64;
        let (mean, told) = take::<(f64, f64)>(bytes)?;
        ensure(mean.abs() <= DEVIATION_MAX && told.is_finite(), "mean or sum")?;
        let (up, down) = (Side::decode(bytes)?, Side::decode(bytes)?);
        ensure(up.rows <= rows && down.rows <= rows, "rows of a sum")?;
        Ok(Self { rows, mean, told, up, down })
    }
}

impl Side {
    fn push(&mut self, step: f64, told: f64) {
        if self.sum + step <= 0.0 {
            *self = Self::default();
            return;
        }
        self.sum += step;
        self.peak = self.peak.max(self.sum);
        self.rows += 1.0;
        self.told += told;
    }

    /// Appends the sum; of one that is 0 there is nothing else.
    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows as u64), out);
        if self.rows > 0.0 {
            put(&(self.sum, self.peak, self.told), out);
        }
    }

    /// Takes what [`encode`](Self::encode) appended.
    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let rows = take_count(bytes, "rows of a sum")?;
        if rows == 0 {
            return Ok(Self::default());
        }
        let (sum, peak, told) = take::<(f64, f64, f64)>(bytes)?;
        let possible = 0.0 < sum && sum <= peak && peak < f64::INFINITY && told.is_finite();
        ensure(possible, "sum of deviations")?;
        Ok(Self { sum, peak, rows: rows as f64, told })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of the first finding in a sawtooth with a step at row 500, scaled and shifted.
    fn found(scale: f64, shift: f64, step: f64) -> Option<(usize, Change)> {
        let (mut test, mut noise) = (PageHinkley::default(), Noise::default());
        let mut standard = Standard::default();
        (0..1000).find_map(|row| {
            let saw = (row * 37 % 100) as f64 / 100.0 + if row >= 500 { step } else { 0.0 };
            let value = scale * saw + shift;
            let clipped = standard.clip(value);
            test.push(clipped, value, &standard);
            standard.learn(value);
            noise.push(clipped);
            test.change(1e-6, &noise, &standard).map(|change| (row, change))
        })
    }

    #[test]
    fn scale_and_shift_do_not_matter() {
        let (row, change) = found(1.0, 0.0, 0.9).expect("a step of three deviations");
        assert!((540..600).contains(&row), "{row}");
        assert!(
            (change.before - 0.5).abs() < 0.05 && (change.after - 1.4).abs() < 0.1,
            "{change:?}"
        );
        assert_eq!(found(1024.0, 0.0, 0.9).map(|f| f.0), Some(row));
        assert_eq!(found(-1024.0, 64.0, 0.9).map(|f| f.0), Some(row), "either direction");
        assert_eq!(found(1.0, 0.0, 0.0), None);
    }
}
