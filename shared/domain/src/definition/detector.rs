//! Detectors: configured algorithms on streams.

use serde::{Deserialize, Serialize};

use super::{Algorithm, Invalid, check_name, invalid};

/// From which score a row is an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Threshold {
    /// From this score, in (0, 1).
    Score(f64),
    /// From the score that this share of rows exceeds, in (0, 0.5].
    Contamination(f64),
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Contamination(0.0001)
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
    /// So many rows in a row below four fifths of the threshold end an anomaly; 1 to 10,000.
    #[serde(default = "default_clear_after")]
    pub clear_after: u32,
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
            clear_after: default_clear_after(),
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
            _ => {}
        }
        if !(1..=10_000).contains(&self.clear_after) {
            return invalid(what("clear_after"), "must be from 1 to 10000");
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
fn default_silence_ms() -> u64 {
    10 * 60_000
}
fn default_warm_up() -> u32 {
    30
}
