//! The judge of one level: how rare it is, and from where on it is odd.

use domain::encoding::{DecodeError, ensure, put, take};

use crate::{Calibration, calibration::Prior, scorer::units_at};

/// A level is learned as at most so many decades of chance past the threshold: what the first rows of a young
/// model bring may be a thousand times too high.
const LEARNED_PAST: f64 = 2.0;
/// Levels with this share of the threshold's surprise are part of the happening that an odd row is.
const PART: f64 = 0.5;

/// The judge of one level.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) calibration: Calibration,
    /// The level at the threshold, as of the last rebuild of the calibration.
    past: f64,
    /// The same in units of deviation.
    pub(super) reach: f64,
}

impl Test {
    pub(super) fn new(prior: Prior, bar: f64) -> Self {
        let mut test = Self { calibration: Calibration::new(prior), past: 0.0, reach: 0.0 };
        test.move_to(bar);
        test
    }

    /// Learns a level; `bar` is the surprise from which it is odd, `happening` by how much the chance of its
    /// like may grow if the row is part of an anomaly.
    pub(super) fn learn(&mut self, level: f64, bar: f64, happening: Option<f64>) {
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
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.past, out);
        self.calibration.encode(out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(super) fn decode(prior: Prior, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let past: f64 = take(bytes)?;
        ensure((0.0..f64::INFINITY).contains(&past), "level at the threshold")?;
        let calibration = Calibration::decode(prior, bytes)?;
        Ok(Self { calibration, past, reach: units_at(past) })
    }

    fn move_to(&mut self, bar: f64) {
        self.past = self.calibration.level(bar);
        self.reach = units_at(self.past);
    }

    pub(super) fn bytes() -> usize {
        size_of::<Self>() + Calibration::bytes()
    }
}
