//! The `[detector]` section.

use serde::Deserialize;

/// The section's defaults, commented.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Limits of the detector.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorConfig {
    /// The most bytes that the models of a partition take; rows of further series are refused.
    pub model_bytes_max: usize,
}
