//! The `[windowing]` section.

use serde::Deserialize;

/// The section's defaults, commented.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Limits of windowing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowingConfig {
    /// The most series a partition holds; records of further ones are refused as TOO_MANY_SERIES.
    pub series_max: usize,
    /// The most features a series may come to have; a record with more is refused as TOO_MANY_FEATURES.
    pub features_max: usize,
    /// The most rows that wait for older ones, per series; beyond it the oldest leave early.
    pub held_rows_max: usize,
}
