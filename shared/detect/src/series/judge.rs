//! The judge of what one model says: how rare each of its levels is in this series, from where on that is
//! odd, and how surprising a row is by all of them.

use domain::encoding::{DecodeError, ensure, put, take};

use crate::{
    Assessment, Calibration,
    calibration::{Prior, for_largest, of_largest},
    scorer::{Levels, level_of, units_at},
    standard::Standard,
};

/// A model must have learned so many rows before its levels say anything about the series.
const MODEL_ROWS_MIN: u64 = 8;
/// The expected range of a value reaches so many units where the value has no level of its own.
const RANGE: f64 = 4.0;
/// A happening past the threshold adds this share of the threshold's share to the chance of its like,
/// however young the series: some three equal bursts are news, after that they are known.
const HAPPENING: f64 = 1.0 / 3.0;

/// A level is learned as at most so many decades of chance past the threshold: what the first rows of a young
/// model bring may be a thousand times too high.
const LEARNED_PAST: f64 = 2.0;
/// Levels with this share of the threshold's surprise are part of the happening that an odd row is.
const PART: f64 = 0.5;

/// What the levels of a row say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    /// How surprising the row is; 0 if nothing is known of it.
    pub(crate) surprise: f64,
    /// Of how many levels that is the largest.
    pub(crate) count: f64,
    /// How strong its strongest level is.
    pub(crate) strength: f64,
}

/// From where on a row is odd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odd {
    /// From this surprise.
    pub(crate) surprise: f64,
    /// The share of rows that should be.
    pub(crate) share: f64,
    /// How many rows in a row were, with this one; 0 if this one is not.
    pub(crate) run: u32,
}

/// The judge of one model's levels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judge {
    levels: Levels,
    /// What is usual of raw scores that have a unit of their own.
    usual: Option<Standard>,
    /// One for each level.
    tests: Box<[Test]>,
}

impl Judge {
    /// Has seen nothing; a row is odd from this surprise.
    pub(crate) fn new(levels: Levels, values: usize, surprise: f64) -> Self {
        let largest = for_largest(surprise, levels.count(values) as f64);
        let tests = levels.priors(values).map(|prior| Test::new(prior, largest)).collect();
        Self { levels, usual: usual_of(levels), tests }
    }

    /// How many levels there are.
    pub(crate) fn count(&self) -> usize {
        self.tests.len()
    }

    /// Judges a row that a model which has learned so many rows has just scored. Sets each value's
    /// contribution and expected range.
    pub(crate) fn judge(&self, row: &[f64], learned: u64, out: &mut Assessment) -> Judged {
        let values = out.contributions.len();
        if let Some(usual) = &self.usual
            && learned >= MODEL_ROWS_MIN
            && out.confidence > 0.0
        {
            out.levels[0] = level_of(usual.distance(out.raw).max(0.0));
        }
        let (mut largest, mut count, mut strength) = (0.0_f64, 0.0, 0.0_f64);
        for (test, &level) in self.tests.iter().zip(&out.levels) {
            if !level.is_nan() {
                largest = largest.max(test.calibration.surprise(level));
                strength = strength.max(test.calibration.strength(level));
                count += 1.0;
            }
        }
        if matches!(self.levels, Levels::Values(_) | Levels::ValuesAndRow(_)) {
            self.attribute(row, out);
        }
        for value in 0..values {
            // Only a distance says where its range ends.
            let reach = if self.levels.are_distances() { self.tests[value].reach } else { RANGE };
            out.widen(value, reach);
        }
        let surprise = if count > 0.0 { of_largest(largest, count) } else { 0.0 };
        Judged { surprise, count, strength }
    }

    /// Whether the row is odd from a surprise even if its levels are heard as so many times less
    /// strong.
    pub(crate) fn is_heard(&self, surprise: f64, times: f64, out: &Assessment) -> bool {
        let known = out.levels.iter().filter(|level| !level.is_nan()).count();
        let bar = for_largest(surprise, known as f64);
        let mut heard = self.tests.iter().zip(&out.levels);
        heard.any(|(test, level)| test.calibration.muffled(*level, times) >= bar)
    }

    /// Sets each value's contribution: the square of its surprise and its part in that of the row
    /// as a whole.
    fn attribute(&self, row: &[f64], out: &mut Assessment) {
        let values = out.contributions.len();
        let surprise = |index: usize, level| self.tests[index].calibration.surprise(level);
        let whole = match out.levels.get(values) {
            Some(&level) => surprise(values, level),
            None => 0.0,
        };
        for value in 0..values {
            let own =
                if out.levels[value].is_nan() { 0.0 } else { surprise(value, out.levels[value]) };
            out.contributions[value] = out.contributions[value] * whole * whole + own * own;
        }
        out.normalise(row);
    }

    /// Learns the levels of the row just judged, of which `count` are known.
    pub(crate) fn learn(&mut self, learned: u64, odd: Odd, count: f64, seen: &Assessment) {
        if learned >= MODEL_ROWS_MIN {
            let bar = for_largest(odd.surprise, count);
            // The k-th row of a run counts 1/k²: a burst of any length is learned as one happening.
            let run = f64::from(odd.run);
            let share = HAPPENING * odd.share / (count * run * run);
            for (test, &level) in self.tests.iter_mut().zip(&seen.levels) {
                if !level.is_nan() {
                    test.learn(level, bar, (odd.run > 0).then_some(share));
                }
            }
        }
        if let Some(usual) = &mut self.usual
            && learned >= MODEL_ROWS_MIN
            && seen.confidence > 0.0
        {
            // Believed from its first row on, which must not be one that any value is far from.
            usual.learn(seen.raw);
        }
    }

    /// Bytes on the heap, always.
    pub(crate) fn bytes_for(levels: Levels, values: usize) -> usize {
        levels.count(values) * Test::bytes()
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.usual.iter().for_each(|usual| usual.encode(out));
        self.tests.iter().for_each(|test| test.encode(out));
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(
        levels: Levels,
        values: usize,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let usual = usual_of(levels).map(|_| Standard::decode(bytes)).transpose()?;
        let tests = levels.priors(values).map(|prior| Test::decode(prior, bytes));
        let tests = tests.collect::<Result<_, _>>()?;
        Ok(Self { levels, usual, tests })
    }
}

/// Nothing seen yet of raw scores that need it.
fn usual_of(levels: Levels) -> Option<Standard> {
    (levels == Levels::Raw).then(Standard::default)
}

/// The judge of one level.
#[derive(Clone, Debug, PartialEq)]
struct Test {
    calibration: Calibration,
    /// The level at the threshold, as of the last rebuild of the calibration.
    past: f64,
    /// The same in units of deviation.
    reach: f64,
}

impl Test {
    fn new(prior: Prior, bar: f64) -> Self {
        let mut test = Self { calibration: Calibration::new(prior), past: 0.0, reach: 0.0 };
        test.move_to(bar);
        test
    }

    /// Learns a level; `bar` is the surprise from which it is odd, `happening` by how much the chance of its
    /// like may grow if the row is part of an anomaly.
    fn learn(&mut self, level: f64, bar: f64, happening: Option<f64>) {
        let calibration = &mut self.calibration;
        let level = if level > self.past {
            level.min(calibration.level(bar + LEARNED_PAST))
        } else {
            level
        };
        let weight = match happening {
            Some(share) if calibration.surprise(level) >= PART * bar => {
                (share * calibration.evidence()).min(1.0)
            }
            _ => 1.0,
        };
        if calibration.learn(level, weight) {
            self.move_to(bar);
        }
    }

    /// Appends what was learned.
    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.past, out);
        self.calibration.encode(out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    fn decode(prior: Prior, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let past: f64 = take(bytes)?;
        ensure((0.0..f64::INFINITY).contains(&past), "level at the threshold")?;
        let calibration = Calibration::decode(prior, bytes)?;
        Ok(Self { calibration, past, reach: units_at(past) })
    }

    fn move_to(&mut self, bar: f64) {
        self.past = self.calibration.level(bar);
        self.reach = units_at(self.past);
    }

    fn bytes() -> usize {
        size_of::<Self>() + Calibration::bytes()
    }
}
