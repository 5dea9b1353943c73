//! From which score a row is odd: fixed, or the score that a wanted share of rows exceeds.
//!
//! The latter starts from what the calibration says (a share of 1e-4 is a surprise of 4) and is corrected by
//! the rows actually seen: a quantile by stochastic approximation (Robbins & Monro 1951), up a step for a row
//! past it, down by the wanted share of a step for any other. While young it has hardly moved, which is all
//! that can honestly be said.

use domain::{
    Threshold,
    encoding::{DecodeError, ensure, put, take},
};

use crate::calibration::{score_of, surprise_of};

/// Decades of chance by which one odd row raises the bar.
const STEP: f64 = 0.05;
/// The bar is at most so many decades below and above the wanted share.
const CORRECTION: (f64, f64) = (-1.0, 6.0);
/// No bar is lower, in decades: a score of .067, or every second row.
const SURPRISE_MIN: f64 = 0.3;
/// Bounds of the share that a fixed score stands for.
const SHARE: (f64, f64) = (1e-9, 0.5);
/// No fixed score is higher.
const SCORE_MAX: f64 = 1.0 - 1e-9;

/// The threshold of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    share: f64,
    surprise: f64,
    /// Decades by which the rows seen have moved it.
    correction: f64,
    fixed: bool,
}

impl Bar {
    /// As the definition says; nothing seen yet.
    pub fn new(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Score(score) => Self::at(surprise_of(score.clamp(0.0, SCORE_MAX))),
            Threshold::Contamination(share) => {
                let share = share.clamp(SHARE.0, SHARE.1);
                Self { share, surprise: -libm::log10(share), correction: 0.0, fixed: false }
            }
        }
    }

    /// Fixed at this surprise.
    fn at(surprise: f64) -> Self {
        let share = libm::pow(10.0, -surprise).clamp(SHARE.0, SHARE.1);
        Self { share, surprise, correction: 0.0, fixed: true }
    }

    /// Takes a changed threshold. What the rows seen have taught stays only while the wanted share stays.
    pub fn reconfigure(&mut self, threshold: Threshold) {
        let changed = Self::new(threshold);
        if (changed.share, changed.fixed) != (self.share, self.fixed) {
            *self = changed;
        }
    }

    /// The surprise from which a row is odd.
    pub fn surprise(&self) -> f64 {
        if self.fixed { self.surprise } else { (self.surprise + self.correction).max(SURPRISE_MIN) }
    }

    /// The score from which a row is odd, in (0, 1).
    pub fn score(&self) -> f64 {
        score_of(self.surprise())
    }

    /// The share of rows that should be past it.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Learns whether a row was odd: `run` is how many in a row were, 0 for a row that was not. The k-th row
    /// of a run counts 1/k², since a burst is one happening and not one per row.
    pub fn learn(&mut self, run: u32) {
        if self.fixed {
            return;
        }
        let step = if run > 0 {
            STEP / (f64::from(run) * f64::from(run)) * (1.0 - self.share)
        } else {
            -STEP * self.share
        };
        self.correction = (self.correction + step).clamp(CORRECTION.0, CORRECTION.1);
    }

    /// Appends what the definition wanted and the rows taught.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.fixed, out);
        if self.fixed {
            put(&self.surprise, out);
        } else {
            put(&(self.share, self.correction), out);
        }
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        if take(bytes)? {
            let surprise: f64 = take(bytes)?;
            ensure((0.0..=surprise_of(SCORE_MAX)).contains(&surprise), "threshold")?;
            return Ok(Self::at(surprise));
        }
        let (share, correction) = take(bytes)?;
        ensure((SHARE.0..=SHARE.1).contains(&share), "contamination")?;
        ensure((CORRECTION.0..=CORRECTION.1).contains(&correction), "correction of a threshold")?;
        Ok(Self { correction, ..Self::new(Threshold::Contamination(share)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_score_stays() {
        let mut bar = Bar::new(Threshold::Score(0.75));
        (0..1000).for_each(|i| bar.learn(i % 2));
        assert!((bar.score() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_share_starts_at_the_calibrated_law_and_follows_the_rows() {
        let mut bar = Bar::new(Threshold::Contamination(0.001));
        assert!((bar.score() - 0.5).abs() < 1e-12);
        (0..20).for_each(|_| bar.learn(1));
        let high = bar.score();
        assert!(high > 0.58, "{high}");
        (0..100_000).for_each(|_| bar.learn(0));
        assert!((bar.surprise() - 2.0).abs() < 1e-9, "one decade below at least");
    }

    #[test]
    fn a_burst_is_one_happening() {
        let (mut burst, mut singles) =
            (Bar::new(Threshold::default()), Bar::new(Threshold::default()));
        (1..=10).for_each(|run| burst.learn(run));
        (1..=10).for_each(|_| singles.learn(1));
        assert!(burst.surprise() - 4.0 < 0.3 * (singles.surprise() - 4.0));
    }
}
