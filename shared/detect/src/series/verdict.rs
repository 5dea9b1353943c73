//! What is said of one row.

use domain::Muted;

use crate::{Assessment, Transition, scorer::top};

/// What is said of one row. The slices have one entry per value and live until the next row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict<'a> {
    /// The calibrated score in [0, 1); 1 where nothing comes any more.
    pub score: f64,
    /// In [0, 1): how much it asks for an alarm. 0.5 at the threshold, less the more alarms there
    /// were of late, 0 if a peak short before was about as strong.
    pub alert: f64,
    /// The raw score in the algorithm's own unit.
    pub raw: f64,
    /// In [0, 1]: how much the model has seen.
    pub confidence: f64,
    /// The threshold in force.
    pub threshold: f64,
    /// Whether the row is past the threshold, and nothing mutes it.
    pub is_anomaly: bool,
    /// Why it is none although it is past the threshold.
    pub muted: Option<Muted>,
    /// A step in an anomaly's life that this row made.
    pub transition: Option<Transition>,
    /// Each value's share of the oddness; they sum to 1 (all 0 if every value is missing).
    pub contributions: &'a [f64],
    /// What was expected of each value; NaN while nothing is known.
    pub expected: &'a [f64],
    /// About from where a value, alone, would have been an anomaly, downwards.
    pub lower: &'a [f64],
    /// The same upwards.
    pub upper: &'a [f64],
    /// If an anomaly opened at this row: the nearest row that the model remembers, if it keeps any.
    pub nearest: &'a [f64],
}

impl Verdict<'_> {
    /// The value that contributed most, and its share.
    pub fn top(&self) -> (usize, f64) {
        top(self.contributions)
    }
}

/// The numbers of a verdict that are not the model's.
pub(super) struct Said {
    pub(super) score: f64,
    pub(super) alert: f64,
    pub(super) threshold: f64,
}

impl Said {
    pub(super) fn verdict(
        self,
        is_anomaly: bool,
        muted: Option<Muted>,
        transition: Option<Transition>,
        out: &Assessment,
    ) -> Verdict<'_> {
        Verdict {
            score: self.score,
            alert: self.alert,
            raw: out.raw,
            confidence: out.confidence,
            threshold: self.threshold,
            is_anomaly,
            muted,
            transition,
            contributions: &out.contributions,
            expected: &out.expected,
            lower: &out.lower,
            upper: &out.upper,
            nearest: &out.nearest.values,
        }
    }
}
