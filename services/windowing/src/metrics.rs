//! The names of windowing's metrics.

/// Rows written to `detection.requested`.
pub const ROWS: &str = "oddwatch_windowing_rows_total";
/// Rows that came behind the watermark.
pub const LATE_ROWS: &str = "oddwatch_windowing_late_rows_total";
/// Drifts found.
pub const DRIFTS: &str = "oddwatch_windowing_drifts_total";
/// Records refused here.
pub const REFUSED: &str = "oddwatch_windowing_refused_total";
/// Series held by this process.
pub const SERIES: &str = "oddwatch_windowing_series";
