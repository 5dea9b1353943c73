//! Detectors: configured algorithms on streams.

use serde::{Deserialize, Serialize};

use super::{Algorithm, Invalid, check_name, invalid};
use crate::Micros;

/// From which score a row is an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Threshold {
    /// From this score, in (0, 1).
    Score(f64),
    /// From the score that this share of rows exceeds, in (0, 0.5].
    Contamination(f64),
    /// From the score that lets through so many alerts of what is but chance, per series and week of
    /// event time; in (0, 10,000].
    AlertsPerWeek(f64),
}

impl Default for Threshold {
    fn default() -> Self {
        Self::AlertsPerWeek(1.0)
    }
}

/// To which side of what was expected a value must lie to be an anomaly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To either.
    #[default]
    Both,
    /// Above.
    Up,
    /// Below.
    Down,
}

/// A time of day at which no anomaly opens, on the wall clock of the stream's zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietTime {
    /// The days on which it begins, 1 (Monday) to 7 (Sunday); none: every day.
    #[serde(default)]
    pub days: Vec<u8>,
    /// The minute of the day at which it begins; in a file `HH:MM`.
    #[serde(with = "minute")]
    pub from: u16,
    /// The minute of the day before which it ends, that of the next day if it is not after `from`.
    #[serde(with = "minute")]
    pub until: u16,
}

impl QuietTime {
    /// Whether this time of the wall clock lies in it.
    pub fn holds(&self, at: Micros) -> bool {
        const MINUTE: Micros = 60_000_000;
        let minutes = at.div_euclid(MINUTE);
        let (day, minute) = (minutes.div_euclid(DAY_MINUTES), minutes.rem_euclid(DAY_MINUTES));
        let (from, until) = (i64::from(self.from), i64::from(self.until));
        // 1970-01-01 was a Thursday.
        let on = |day: i64| {
            self.days.is_empty() || self.days.contains(&((day + 3).rem_euclid(7) as u8 + 1))
        };
        if from < until {
            on(day) && from <= minute && minute < until
        } else {
            (on(day) && from <= minute) || (on(day - 1) && minute < until)
        }
    }

    fn is_possible(&self) -> bool {
        let is_minute = |minute: u16| i64::from(minute) < DAY_MINUTES;
        is_minute(self.from)
            && is_minute(self.until)
            && self.days.iter().all(|day| (1..=7).contains(day))
    }
}

const DAY_MINUTES: i64 = 24 * 60;

/// A minute of the day as `HH:MM`.
mod minute {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(minute: &u16, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:02}:{:02}", minute / 60, minute % 60))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        let text = String::deserialize(from)?;
        let parsed = text.split_once(':').and_then(|(hour, minute)| {
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            (hour < 24 && minute < 60).then_some(60 * hour + minute)
        });
        let wrong = || format!("{text:?} is no time of day; it must be like \"22:30\"");
        parsed.ok_or_else(|| D::Error::custom(wrong()))
    }
}

/// What a detector does with its model when windowing found a drift of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftPolicy {
    /// Nothing.
    #[default]
    None,
    /// Starts the model anew.
    Relearn,
    /// Keeps the model and learns anew how far its rows usually lie from what it expects: the range widens at once,
    /// and narrows again as rows are seen.
    Widen,
    /// Scores on by what the model knows, and learns no more rows until the detector's definition changes: what the
    /// series has drifted into is no new normal.
    Freeze,
}

impl DriftPolicy {
    /// The name, as in definitions and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Relearn => "relearn",
            Self::Widen => "widen",
            Self::Freeze => "freeze",
        }
    }
}

/// A configured algorithm on a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detector {
    /// Its name: letters, digits, `-`, `_`, `.`; at most 100.
    pub name: String,
    /// The stream it watches.
    pub stream: String,
    /// The window whose rows it scores; none: the records.
    #[serde(default)]
    pub window: Option<String>,
    /// The algorithm and its parameters.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// From which score a row is an anomaly.
    #[serde(default)]
    pub threshold: Threshold,
    /// To which side of what was expected a row must lie to be an anomaly.
    #[serde(default)]
    pub direction: Direction,
    /// A smaller deviation from what was expected is no anomaly, in the value's unit; from 0.
    #[serde(default)]
    pub deviation_min: f64,
    /// Nor is one smaller than this share of what was expected; from 0.
    #[serde(default)]
    pub deviation_share_min: f64,
    /// Times at which no anomaly opens.
    #[serde(default)]
    pub quiet: Vec<QuietTime>,
    /// So many rows in a row below four fifths of the threshold end an anomaly; 1 to 10,000.
    #[serde(default = "default_clear_after")]
    pub clear_after: u32,
    /// After so many rows an anomaly as odd as the last one may open again, a clearly odder one at once; 0 to
    /// 100,000.
    #[serde(default = "default_rest_rows")]
    pub rest_rows: u32,
    /// Each anomaly of late makes the next one harder to open by this share; 0 to 10.
    #[serde(default = "default_habituation")]
    pub habituation: f64,
    /// An open anomaly of a series that is silent for so long (log time) is cleared, in milliseconds.
    #[serde(default = "default_silence_ms")]
    pub silence_ms: u64,
    /// Rows a series must have had before one of its rows can open an anomaly (they are scored all the same).
    #[serde(default = "default_warm_up")]
    pub warm_up: u32,
    /// What happens at a drift.
    #[serde(default)]
    pub on_drift: DriftPolicy,
    /// Paused when `false`: its models stay, nothing is scored.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Detector {
    /// The detector that a stream has without one being defined, named after it.
    pub fn implicit(stream: &str) -> Self {
        Self {
            name: stream.into(),
            stream: stream.into(),
            window: None,
            algorithm: Algorithm::default(),
            threshold: Threshold::default(),
            direction: Direction::default(),
            deviation_min: 0.0,
            deviation_share_min: 0.0,
            quiet: vec![],
            clear_after: default_clear_after(),
            rest_rows: default_rest_rows(),
            habituation: default_habituation(),
            silence_ms: default_silence_ms(),
            warm_up: default_warm_up(),
            on_drift: DriftPolicy::default(),
            enabled: true,
        }
    }

    /// Checks one detector by itself.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        let what = |field: &str| format!("detector {:?}, {field}", self.name);
        check_name("detector", &self.name)?;
        match self.threshold {
            Threshold::Score(s) if !(0.0 < s && s < 1.0) => {
                return invalid(what("threshold.score"), "must lie between 0 and 1");
            }
            Threshold::Contamination(c) if !(0.0 < c && c <= 0.5) => {
                return invalid(what("threshold.contamination"), "must be above 0 and at most 0.5");
            }
            Threshold::AlertsPerWeek(a) if !(0.0 < a && a <= 10_000.0) => {
                let right = "must be above 0 and at most 10000";
                return invalid(what("threshold.alerts_per_week"), right);
            }
            _ => {}
        }
        for (field, least) in [
            ("deviation_min", self.deviation_min),
            ("deviation_share_min", self.deviation_share_min),
        ] {
            if !(0.0..f64::INFINITY).contains(&least) {
                return invalid(what(field), "must be 0 or more");
            }
        }
        if !self.quiet.iter().all(QuietTime::is_possible) {
            return invalid(what("quiet"), "days must be from 1 to 7, times below 24:00");
        }
        if !(1..=10_000).contains(&self.clear_after) {
            return invalid(what("clear_after"), "must be from 1 to 10000");
        }
        if self.rest_rows > 100_000 {
            return invalid(what("rest_rows"), "must be from 0 to 100000");
        }
        if !(0.0..=10.0).contains(&self.habituation) {
            return invalid(what("habituation"), "must be from 0 to 10");
        }
        self.algorithm.check(&what("algorithm"))
    }
}

fn yes() -> bool {
    true
}
fn default_clear_after() -> u32 {
    5
}
fn default_rest_rows() -> u32 {
    36
}
fn default_habituation() -> f64 {
    0.13
}
fn default_silence_ms() -> u64 {
    10 * 60_000
}
fn default_warm_up() -> u32 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_times_hold_over_midnight_and_by_day() {
        let at = |day: i64, hour: i64, minute: i64| ((day * 24 + hour) * 60 + minute) * 60_000_000;
        let every = QuietTime { days: vec![], from: 60, until: 120 };
        assert!(every.holds(at(0, 1, 0)) && every.holds(at(-9, 1, 59)));
        assert!(!every.holds(at(0, 0, 59)) && !every.holds(at(0, 2, 0)));
        // Day 0 is a Thursday, so day 2 is the Saturday.
        let weekend = QuietTime { days: vec![6], from: 22 * 60, until: 6 * 60 };
        assert!(weekend.holds(at(2, 22, 0)) && weekend.holds(at(3, 5, 59)));
        assert!(!weekend.holds(at(3, 22, 0)) && !weekend.holds(at(2, 5, 0)));
        let whole = QuietTime { days: vec![], from: 0, until: 0 };
        assert!(whole.holds(at(5, 0, 0)) && whole.holds(at(5, 23, 59)));
    }

    #[test]
    fn wrong_detectors_are_named() {
        let check = |change: fn(&mut Detector), expect: &str| {
            let mut detector = Detector::implicit("s");
            change(&mut detector);
            let wrong = detector.check().map_err(|wrong| wrong.to_string());
            assert_eq!(wrong, Err(format!("detector \"s\", {expect}")));
        };
        check(
            |d| d.threshold = Threshold::AlertsPerWeek(0.0),
            "threshold.alerts_per_week: must be above 0 and at most 10000",
        );
        check(|d| d.deviation_min = f64::NAN, "deviation_min: must be 0 or more");
        check(|d| d.deviation_share_min = -1.0, "deviation_share_min: must be 0 or more");
        check(
            |d| d.quiet = vec![QuietTime { days: vec![8], from: 0, until: 1 }],
            "quiet: days must be from 1 to 7, times below 24:00",
        );
    }
}
