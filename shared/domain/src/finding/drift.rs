//! A lasting change of what is normal, as windowing tells it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{DriftPolicy, Id, Micros, Position, SeriesRef};

/// What changed when what is normal changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// The level: values are higher or lower.
    Level,
    /// The variance: values lie wider apart or closer together.
    Variance,
    /// The distribution, with about the same level and variance.
    Distribution,
    /// What repeats: its shape, height or phase.
    Seasonality,
    /// How often a value is missing.
    Missingness,
    /// How features go together; each by itself is as before.
    Multivariate,
}

impl DriftKind {
    /// The name users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Variance => "variance",
            Self::Distribution => "distribution",
            Self::Seasonality => "seasonality",
            Self::Missingness => "missingness",
            Self::Multivariate => "multivariate",
        }
    }
}

/// The values of a feature over some rows, in its unit; of no values all but the count are NaN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values are told of; missing ones are not counted.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The values below which 5, 25, 50, 75 and 95 % of them lie.
    pub quantiles: [f64; 5],
}

impl Summary {
    /// The shares of [`quantiles`](Self::quantiles).
    pub const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

    /// Of no values.
    pub const NONE: Self =
        Self { count: 0, mean: f64::NAN, deviation: f64::NAN, quantiles: [f64::NAN; 5] };
}

/// What a detector does at a drift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftAction {
    /// The detector's name.
    pub detector: Arc<str>,
    /// What it does.
    pub policy: DriftPolicy,
}

/// A lasting change of what is normal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The same on every replay.
    pub id: Id,
    /// The item of windowing's input at which it was found.
    pub position: Position,
    /// The series.
    pub series: SeriesRef,
    /// What changed.
    pub kind: DriftKind,
    /// The feature that changed, or changed most.
    pub feature: Arc<str>,
    /// All features that changed, most first.
    pub features: Vec<Arc<str>>,
    /// The test that found it, such as `cusum`.
    pub method: Arc<str>,
    /// The test's statistic, in the test's own unit.
    pub statistic: f64,
    /// What it had to exceed.
    pub bound: f64,
    /// The chance of such a statistic without a change in as many rows as were watched, corrected for the number
    /// of values and tests.
    pub p_value: f64,
    /// The feature before the change.
    pub before: Summary,
    /// The feature since.
    pub after: Summary,
    /// The row at which it began, as far as can be told.
    pub began_row: u64,
    /// Event time of that row: exact if it is one of the last rows, else by their spacing.
    pub began_at: Micros,
    /// What the stream's detectors do at the row where it was found; those that do nothing are not listed.
    pub actions: Vec<DriftAction>,
    /// The row at which it was found.
    pub row: u64,
    /// Event time of that row.
    pub event_at: Micros,
    /// When the broker took in the record of that row.
    pub ingested_at: Micros,
    /// Log time at that row.
    pub log_time: Micros,
    /// The config version in force.
    pub config_version: u64,
    /// Tags of the record of that row.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// Trace of the record of that row.
    pub traceparent: Option<Arc<str>>,
}
