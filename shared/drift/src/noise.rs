//! How much the means of so many rows differ from one stretch to the next without any drift.
//!
//! The textbook bounds assume independent rows. Rows of machines are not: means of 100 rows of an AR(.9) series
//! vary 19 times as much as if they were, and those of a daily curve far more. So the variance of means is
//! measured, at every power of two, from adjacent blocks (the Allan variance, Allan 1966), over all the series'
//! life and across its drifts: a curve that comes every day is known after some days.

use domain::encoding::{DecodeError, ensure, put, take};

use crate::{DEVIATION_MAX, SQUARE_MAX};

/// Block sizes up to 2^15 rows.
const LEVELS: usize = 16;
/// A level is believed after so many differences.
const TRUST: f64 = 12.0;
/// A level's variance is raised by (1 + this / differences): few say little.
const CAUTION: f64 = 4.0;
/// Differences after which one counts 1/e.
const HORIZON: f64 = 64.0;
/// A squared difference counts as at most so many times the usual one: a step of level is no noise.
const CLIP: f64 = 9.0;
/// Until a level has seen so many, the usual one is that of the level below.
const FIRST: f64 = 4.0;
/// Less growth than this over two doublings may be chance.
const GROWTH_MIN: f64 = 1.6;

/// Variances of block means, for blocks of 1, 2, 4, … rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    levels: [Level; LEVELS],
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Level {
    /// Mean of the last block.
    last: Option<f64>,
    /// Mean of the first half of a block of the next level.
    half: Option<f64>,
    /// Mean of half the squared difference of adjacent blocks.
    variance: f64,
    /// Differences seen, up to [`HORIZON`].
    count: f64,
}

impl Noise {
    /// Takes the next value in. Constant time on average.
    pub fn push(&mut self, value: f64) {
        let (mut mean, mut usual) = (value, f64::INFINITY);
        for level in &mut self.levels {
            usual = level.learn(mean, usual);
            let Some(half) = level.half.take() else {
                level.half = Some(mean);
                return;
            };
            mean = 0.5 * half + 0.5 * mean;
        }
    }

    /// The variance of the mean of so many rows, times the number of rows: for independent rows their variance;
    /// in the value's unit squared. Beyond the sizes seen, it grows on as it grew.
    pub fn long_run(&self, rows: f64) -> f64 {
        let (mut size, mut largest, mut cautious) = (1.0, 0.0_f64, 0.0_f64);
        let mut before = [0.0_f64; 2];
        for level in &self.levels {
            if size > rows {
                return cautious;
            }
            if level.count < TRUST {
                break;
            }
            before = [before[1], largest];
            largest = largest.max(level.variance * size);
            cautious = cautious.max(level.variance * size * (1.0 + CAUTION / level.count));
            size *= 2.0;
        }
        if largest > GROWTH_MIN * before[0] && before[0] > 0.0 {
            // As the last two doublings, at most as a random walk.
            let growth = (largest / before[0]).sqrt().min(2.0);
            while size <= rows {
                cautious *= growth;
                size *= 2.0;
            }
        }
        cautious
    }

    /// Appends what was learned: the levels that have seen a block, which are the first ones.
    /// Counts are whole numbers.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.levels.iter().filter(|level| level.last.is_some()).count() as u8), out);
        for level in &self.levels {
            if let Some(last) = level.last {
                put(&(last, level.half, level.variance, level.count as u8), out);
            }
        }
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut noise = Self::default();
        let used = usize::from(take::<u8>(bytes)?);
        ensure(used <= LEVELS, "number of block sizes")?;
        for level in &mut noise.levels[..used] {
            let (last, half, variance, count) = take::<(f64, Option<f64>, f64, u8)>(bytes)?;
            let possible = |mean: f64| mean.abs() <= DEVIATION_MAX;
            ensure(possible(last) && half.is_none_or(possible), "mean of a block")?;
            ensure((0.0..=SQUARE_MAX).contains(&variance), "variance of means")?;
            ensure(f64::from(count) <= HORIZON, "number of differences")?;
            *level = Level { last: Some(last), half, variance, count: f64::from(count) };
        }
        Ok(noise)
    }
}

impl Level {
    /// Takes the mean of the next block in; `usual` is the variance of the level below, infinite if unknown.
    /// Tells its own likewise.
    fn learn(&mut self, mean: f64, usual: f64) -> f64 {
        if let Some(last) = self.last.replace(mean) {
            let square = 0.5 * (mean - last) * (mean - last);
            let usual = if self.count >= FIRST { self.variance } else { usual };
            let square = if usual > 0.0 { square.min(CLIP * usual) } else { square };
            self.count = (self.count + 1.0).min(HORIZON);
            self.variance += (square - self.variance) / self.count;
        }
        if self.count >= FIRST { self.variance } else { f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even but shuffled values of variance 1/12.
    fn white(i: u64) -> f64 {
        let mut z = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn long_run(rows: u64, at: f64, mut next: impl FnMut(f64) -> f64) -> f64 {
        let mut noise = Noise::default();
        (0..rows).for_each(|i| noise.push(next(white(i))));
        noise.long_run(at)
    }

    #[test]
    fn independent_rows_have_their_own_variance() {
        for at in [1.0, 50.0, 400.0] {
            let got = 12.0 * long_run(20_000, at, |u| u);
            assert!((0.8..2.0).contains(&got), "{got} at {at}");
        }
    }

    #[test]
    fn dependent_rows_have_the_long_run_variance() {
        let mut state = 0.0;
        let got = 12.0
            * long_run(50_000, 300.0, |u| {
                state = 0.9 * state + u;
                state
            });
        // 1 / (1 - .9)^2 = 100 in the long run.
        assert!((60.0..220.0).contains(&got), "{got}");
    }

    #[test]
    fn a_step_is_no_noise() {
        let mut row = 0;
        let got = 12.0
            * long_run(2_000, 64.0, |u| {
                row += 1;
                if row > 1_000 { u + 100.0 } else { u }
            });
        assert!(got < 4.0, "{got}");
        assert_eq!(long_run(2_000, 64.0, |_| 5.0), 0.0);
    }
}
