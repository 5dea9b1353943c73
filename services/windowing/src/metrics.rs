//! The names of windowing's metrics.

/// Rows written to `detection.requested`.
pub const ROWS: &str = "oddwatch_windowing_rows_total";
/// Records taken, by `arrival`: `in_time`, `reordered` (behind a newer one, within the lateness), `late` (scored and
/// marked), `late_refused`, `repeated` (their id had come before; dropped).
pub const RECORDS: &str = "oddwatch_windowing_records_total";
/// Rows that stood in for records that did not come.
pub const IMPUTED_ROWS: &str = "oddwatch_windowing_imputed_rows_total";
/// Times a series with an interval fell silent.
pub const NO_DATA: &str = "oddwatch_windowing_no_data_total";
/// Series forgotten since nothing came of them for their stream's `series_ttl_ms`.
pub const FORGOTTEN: &str = "oddwatch_windowing_forgotten_series_total";
/// Rows that came behind the watermark.
pub const LATE_ROWS: &str = "oddwatch_windowing_late_rows_total";
/// Drifts found.
pub const DRIFTS: &str = "oddwatch_windowing_drifts_total";
/// Records refused here.
pub const REFUSED: &str = "oddwatch_windowing_refused_total";
/// Series held by this process.
pub const SERIES: &str = "oddwatch_windowing_series";
