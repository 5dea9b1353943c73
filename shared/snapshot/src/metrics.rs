//! The names of the metrics that this crate emits; each has the label `service`.

/// Snapshots that became durable.
pub const TAKEN: &str = "oddwatch_snapshot_taken_total";
/// The size of the last one in bytes, as it lies in the store (gauge).
pub const BYTES: &str = "oddwatch_snapshot_bytes";
/// Snapshots that could not be written; each is tried again.
pub const FAILURES: &str = "oddwatch_snapshot_failures_total";
/// Snapshots that could not be used when state was restored.
pub const REFUSED: &str = "oddwatch_snapshot_refused_total";
