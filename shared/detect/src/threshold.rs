//! From which score a row is odd: fixed, the score that a wanted share of rows exceeds, or the one
//! that lets through a wanted number of alerts a week.
//!
//! The latter two start from what the calibration says (a share of 1e-4 is a surprise of 4) and are
//! corrected by what is seen: a quantile by stochastic approximation (Robbins & Monro 1951), which
//! keeps a rate whatever the rows' law (Gibbs & Candès 2021, "Adaptive conformal inference under
//! distribution shift"). While young it has hardly moved, which is all that can honestly be said.

mod pace;

use domain::{
    Micros, Threshold,
    encoding::{DecodeError, ensure, put, take},
};

use crate::calibration::{score_of, surprise_of};
use pace::Pace;

/// Decades of chance by which one odd row raises the bar of a share.
const STEP: f64 = 0.05;
/// The same for one alert where a number a week is wanted: there are but few.
const ALERT_STEP: f64 = 1.0;
/// The bar is at most so many decades below and above what is wanted.
const CORRECTION: (f64, f64) = (-1.0, 6.0);
/// The same where a number a week is wanted. No more: true anomalies must not silence a series.
const ALERT_CORRECTION: (f64, f64) = (-2.0, 1.5);
/// What a young series brings is by chance more often than believed.
const ALERT_FIRST: f64 = 0.4;
/// An alert so many decades past the bar is not by chance; from here on it counts less and less.
const CHANCE: f64 = 2.0;
/// No bar is lower, in decades: a score of .067, or every second row.
const SURPRISE_MIN: f64 = 0.3;
/// Bounds of the share of rows that a threshold stands for.
const SHARE: (f64, f64) = (1e-9, 0.5);
/// No fixed score is higher.
const SCORE_MAX: f64 = 1.0 - 1e-9;
/// Microseconds in a week.
const WEEK: f64 = 7.0 * 86_400e6;

/// The threshold of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    aim: Aim,
    lasting: f64,
    /// The share of rows that it stands for, and its surprise before any correction.
    share: f64,
    surprise: f64,
    /// Decades by which what was seen has moved it.
    correction: f64,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
enum Aim {
    /// This surprise.
    Fixed(f64),
    /// This share of rows.
    Share(f64),
    /// So many alerts a week, of a series with this pace.
    Alerts(f64, Pace),
}

impl Bar {
    /// As the definition says; nothing seen yet.
    /// `lasting` is how many rows a happening by chance lasts in this series.
    pub fn new(threshold: Threshold, lasting: f64) -> Self {
        Self::after(
            lasting,
            match threshold {
                Threshold::Score(score) => Aim::Fixed(surprise_of(score.clamp(0.0, SCORE_MAX))),
                Threshold::Contamination(share) => Aim::Share(share.clamp(SHARE.0, SHARE.1)),
                Threshold::AlertsPerWeek(alerts) => Aim::Alerts(alerts, Pace::default()),
            },
        )
    }

    fn after(lasting: f64, aim: Aim) -> Self {
        let mut bar = Self { aim, lasting, share: 0.0, surprise: 0.0, correction: 0.0 };
        if matches!(bar.aim, Aim::Alerts(..)) {
            bar.correction = ALERT_FIRST;
        }
        bar.derive();
        bar
    }

    /// Sets what follows from the aim.
    fn derive(&mut self) {
        let share = match &self.aim {
            Aim::Fixed(surprise) => libm::pow(10.0, -surprise),
            Aim::Share(share) => *share,
            Aim::Alerts(alerts, pace) => alerts * pace.interval() / WEEK * self.lasting,
        };
        self.share = share.clamp(SHARE.0, SHARE.1);
        self.surprise = match &self.aim {
            Aim::Fixed(surprise) => *surprise,
            _ => -libm::log10(self.share),
        };
    }

    /// Takes a changed threshold. What was seen has taught stays only while the wanted stays.
    pub fn reconfigure(&mut self, threshold: Threshold) {
        let changed = Self::new(threshold, self.lasting);
        match (&mut self.aim, &changed.aim) {
            (Aim::Alerts(is, _), Aim::Alerts(wanted, _)) if is == wanted => {}
            (is, wanted) if is == wanted => {}
            (Aim::Alerts(is, _), Aim::Alerts(wanted, _)) => {
                // The pace is the series' own, whatever is wanted.
                (*is, self.correction) = (*wanted, ALERT_FIRST);
                self.derive();
            }
            _ => *self = changed,
        }
    }

    /// Whether it stays where it is, whatever is seen.
    pub fn is_fixed(&self) -> bool {
        matches!(self.aim, Aim::Fixed(_))
    }

    /// The surprise from which a row is odd.
    pub fn surprise(&self) -> f64 {
        match self.aim {
            Aim::Fixed(surprise) => surprise,
            _ => (self.surprise + self.correction).max(SURPRISE_MIN),
        }
    }

    /// The score from which a row is odd, in (0, 1).
    pub fn score(&self) -> f64 {
        score_of(self.surprise())
    }

    /// The share of rows that should be past it.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Learns of a row whether it was odd: `run` is how many in a row were, 0 for a row that was
    /// not. The k-th row of a run counts 1/k², since a burst is one happening and not one per row.
    /// `alert` is the surprise of a row at which an anomaly opened.
    pub fn learn(&mut self, at: Micros, run: u32, alert: Option<f64>) {
        let bar = self.surprise();
        match &mut self.aim {
            Aim::Fixed(_) => {}
            Aim::Share(share) => {
                let step = if run > 0 {
                    STEP / (f64::from(run) * f64::from(run)) * (1.0 - *share)
                } else {
                    -STEP * *share
                };
                self.correction = (self.correction + step).clamp(CORRECTION.0, CORRECTION.1);
            }
            Aim::Alerts(alerts, pace) => {
                let elapsed = pace.learn(at);
                let expected = *alerts * elapsed / WEEK;
                let by_chance = alert.map_or(0.0, |surprise| {
                    let beyond = (surprise - bar - CHANCE).max(0.0);
                    libm::exp(-beyond * std::f64::consts::LN_10)
                });
                let step = ALERT_STEP * (by_chance - expected);
                let (least, most) = ALERT_CORRECTION;
                self.correction = (self.correction + step).clamp(least, most);
                if pace.has_changed() {
                    self.derive();
                }
            }
        }
    }

    /// Appends what the definition wanted and what was seen has taught.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match &self.aim {
            Aim::Fixed(surprise) => put(&(1_u8, surprise), out),
            Aim::Share(share) => put(&(0_u8, share, self.correction), out),
            Aim::Alerts(alerts, pace) => {
                put(&(2_u8, alerts, self.correction), out);
                pace.encode(out);
            }
        }
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(lasting: f64, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (aim, correction, bounds) = match take::<u8>(bytes)? {
            0 => {
                let (share, correction) = take(bytes)?;
                ensure((SHARE.0..=SHARE.1).contains(&share), "contamination")?;
                (Aim::Share(share), correction, CORRECTION)
            }
            1 => {
                let surprise: f64 = take(bytes)?;
                let most = surprise_of(SCORE_MAX);
                ensure((0.0..=most).contains(&surprise), "threshold")?;
                (Aim::Fixed(surprise), 0.0, CORRECTION)
            }
            2 => {
                let (alerts, correction): (f64, f64) = take(bytes)?;
                ensure(0.0 < alerts && alerts < f64::INFINITY, "alerts a week")?;
                (Aim::Alerts(alerts, Pace::decode(bytes)?), correction, ALERT_CORRECTION)
            }
            _ => return Err(DecodeError::Impossible("kind of a threshold")),
        };
        ensure((bounds.0..=bounds.1).contains(&correction), "correction of a threshold")?;
        Ok(Self { correction, ..Self::after(lasting, aim) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_score_stays() {
        let mut bar = Bar::new(Threshold::Score(0.75), 1.0);
        (0..1000).for_each(|i| bar.learn(0, i % 2, None));
        assert!((bar.score() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_share_starts_at_the_calibrated_law_and_follows_the_rows() {
        let mut bar = Bar::new(Threshold::Contamination(0.001), 1.0);
        assert!((bar.score() - 0.5).abs() < 1e-12);
        (0..20).for_each(|_| bar.learn(0, 1, None));
        let high = bar.score();
        assert!(high > 0.58, "{high}");
        (0..100_000).for_each(|_| bar.learn(0, 0, None));
        assert!((bar.surprise() - 2.0).abs() < 1e-9, "one decade below at least");
    }

    #[test]
    fn a_burst_is_one_happening() {
        let (mut burst, mut singles) = (
            Bar::new(Threshold::Contamination(1e-4), 1.0),
            Bar::new(Threshold::Contamination(1e-4), 1.0),
        );
        (1..=10).for_each(|run| burst.learn(0, run, None));
        (1..=10).for_each(|_| singles.learn(0, 1, None));
        assert!(burst.surprise() - 4.0 < 0.3 * (singles.surprise() - 4.0));
    }

    #[test]
    fn alerts_a_week_become_a_share_of_the_rows_and_are_kept() {
        let minute = 60_000_000;
        let mut bar = Bar::new(Threshold::AlertsPerWeek(10.0), 1.0);
        (0..1000).for_each(|row| bar.learn(row * minute, 0, None));
        assert!((bar.share() - 10.0 / 10_080.0).abs() < 1e-6, "{}", bar.share());
        let quiet = bar.surprise();
        bar.learn(1000 * minute, 1, Some(quiet + 0.5));
        assert!((bar.surprise() - quiet - ALERT_STEP).abs() < 0.01);
        bar.learn(1001 * minute, 1, Some(quiet + 9.0));
        assert!((bar.surprise() - quiet - ALERT_STEP).abs() < 0.02, "no chance, so no lesson");
        (0..100_000).for_each(|row| bar.learn((1002 + row) * minute, 0, None));
        let least = -libm::log10(bar.share()) + ALERT_CORRECTION.0;
        assert!((bar.surprise() - least).abs() < 0.01, "{} {least}", bar.surprise());
    }

    #[test]
    fn another_wish_begins_anew_and_the_same_goes_on() {
        let mut bar = Bar::new(Threshold::AlertsPerWeek(1.0), 1.0);
        (0..100).for_each(|row| bar.learn(row * 1_000_000, 1, Some(0.0)));
        let learned = bar.clone();
        bar.reconfigure(Threshold::AlertsPerWeek(1.0));
        assert_eq!(bar, learned);
        bar.reconfigure(Threshold::AlertsPerWeek(10.0));
        assert!(
            (bar.share() - 10.0 * learned.share()).abs() < 1e-9 && bar.correction == ALERT_FIRST
        );
        for (from, to) in [(0.9, 0.95), (0.02, 0.05)] {
            let mut bar = Bar::new(Threshold::Score(from), 1.0);
            bar.reconfigure(Threshold::Score(to));
            assert!((bar.score() - to).abs() < 1e-12);
        }
    }
}
