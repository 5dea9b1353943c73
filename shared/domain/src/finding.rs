//! What is found: scores, anomalies, drifts, and alerts for people.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Id, Micros, Position, SeriesRef};

mod drift;

pub use drift::{Drift, DriftAction, DriftKind, Summary};

/// How odd a scored row is, by its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Past the threshold, score below 0.5.
    Low,
    /// Score from 0.5.
    Medium,
    /// Score from 0.75.
    High,
    /// Score from 0.9.
    Critical,
}

impl Severity {
    /// The severity of a score past the threshold.
    pub fn of(score: f64) -> Self {
        match score {
            s if s >= 0.9 => Self::Critical,
            s if s >= 0.75 => Self::High,
            s if s >= 0.5 => Self::Medium,
            _ => Self::Low,
        }
    }

    /// The name users see: `low`, `medium`, `high`, `critical`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Why a row past the threshold is no anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muted {
    /// The series has had too few rows.
    WarmUp,
    /// It lies to the side of what was expected that nobody minds.
    Direction,
    /// It deviates too little.
    Small,
    /// It is a quiet time.
    Quiet,
    /// The last anomaly was too much like it a short time ago.
    Rest,
    /// There were too many anomalies of late.
    Habituated,
    /// Its values were filled in.
    Imputed,
}

impl Muted {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::WarmUp,
        Self::Direction,
        Self::Small,
        Self::Quiet,
        Self::Rest,
        Self::Habituated,
        Self::Imputed,
    ];

    /// The name that users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm_up",
            Self::Direction => "direction",
            Self::Small => "small",
            Self::Quiet => "quiet",
            Self::Rest => "rest",
            Self::Habituated => "habituated",
            Self::Imputed => "imputed",
        }
    }
}

/// What a detector says of one row. Values of an unknown thing are NaN here and empty for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Index into the batch's series.
    pub series: u32,
    /// Index into the batch's detectors.
    pub detector: u32,
    /// The row's number within its series.
    pub row: u64,
    /// Event time of the row.
    pub event_at: Micros,
    /// When the broker took the record in.
    pub ingested_at: Micros,
    /// Log time of the partition at the row.
    pub log_time: Micros,
    /// The record that the row was made from; its source indexes the batch's sources.
    pub origin: crate::Origin,
    /// Lateness and imputation.
    pub flags: crate::Flags,
    /// The calibrated score in [0, 1].
    pub score: f64,
    /// The raw score in the algorithm's own unit.
    pub raw: f64,
    /// In [0, 1]: how much the model has seen.
    pub confidence: f64,
    /// The threshold in force.
    pub threshold: f64,
    /// Whether the row is an anomaly.
    pub is_anomaly: bool,
    /// Why it is none although it is past the threshold.
    pub muted: Option<Muted>,
    /// Index of the feature that contributed most.
    pub top_feature: u32,
    /// Its share, in [0, 1].
    pub top_share: f64,
    /// Its value, expected value and expected range.
    pub value: f64,
    /// What was expected of the top feature.
    pub expected: f64,
    /// Lower end of the expected range of the top feature.
    pub lower: f64,
    /// Upper end of the expected range of the top feature.
    pub upper: f64,
}

/// A score, or a tick passed on in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum ScoreItem {
    /// A score.
    Score(Score),
    /// The log time has come this far.
    Tick(Micros),
}

/// Scores and ticks of one partition, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreBatch {
    /// The position of the first item.
    pub first: Position,
    /// The partitions that the records come from, as `topic/number`.
    pub sources: Vec<Arc<str>>,
    /// The series that the scores name.
    pub series: Vec<SeriesRef>,
    /// The detectors that the scores name, with the config versions that defined them.
    pub detectors: Vec<(Arc<str>, u64)>,
    /// The items.
    pub items: Vec<ScoreItem>,
}

/// One feature's part in an anomaly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The feature's name.
    pub feature: Arc<str>,
    /// Its share; all shares of an anomaly sum to 1.
    pub share: f64,
    /// Its value; NaN if missing.
    pub value: f64,
    /// What was expected; NaN if unknown.
    pub expected: f64,
    /// Lower end of the expected range; NaN if unknown.
    pub lower: f64,
    /// Upper end of the expected range; NaN if unknown.
    pub upper: f64,
}

/// Where an anomaly is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Its first row.
    Opened,
    /// It goes on and has become worse.
    Updated,
    /// It is over.
    Cleared,
}

impl Phase {
    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Cleared => "cleared",
        }
    }
}

/// A stretch of odd rows of one series, as one event of its life tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// The same through its life and on every replay.
    pub id: Id,
    /// Counts its events from 1.
    pub revision: u32,
    /// The item of the detector's input that made this event.
    pub position: Position,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it was cleared because the series fell silent.
    pub silent: bool,
    /// Whether the row that this event is about says that nothing comes any more.
    pub no_data: bool,
    /// The series.
    pub series: SeriesRef,
    /// The detector's name.
    pub detector: Arc<str>,
    /// The config version in which the detector was defined.
    pub detector_version: u64,
    /// The number of its first row within the series.
    pub opened_row: u64,
    /// The number of the row that this event is about.
    pub row: u64,
    /// How many odd rows it has so far.
    pub rows: u64,
    /// Event time of its first row.
    pub opened_at: Micros,
    /// Event time of the row that this event is about.
    pub event_at: Micros,
    /// When the broker took in the record of that row.
    pub ingested_at: Micros,
    /// Log time at that row.
    pub log_time: Micros,
    /// The score of that row.
    pub score: f64,
    /// The highest score so far.
    pub score_max: f64,
    /// The threshold in force.
    pub threshold: f64,
    /// How much the model had seen.
    pub confidence: f64,
    /// The severity of the highest score.
    pub severity: Severity,
    /// Why: all features by descending share.
    pub contributions: Vec<Contribution>,
    /// The config version in force.
    pub config_version: u64,
    /// Tags of the record of that row.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// Trace of the record of that row.
    pub traceparent: Option<Arc<str>>,
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// An anomaly, as its latest event told it.
    Anomaly(Anomaly),
    /// A drift.
    Drift(Drift),
}

/// Whether people should still care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// It is going on.
    Firing,
    /// It is over.
    Resolved,
}

impl AlertState {
    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// A finding for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The same through its life and on every replay.
    pub id: Id,
    /// Counts its states from 1.
    pub revision: u32,
    /// Firing or resolved.
    pub state: AlertState,
    /// The severity; a drift's is low.
    pub severity: Severity,
    /// One line for people.
    pub summary: String,
    /// What it is about.
    pub finding: Finding,
}
