//! The names of the metrics that this crate emits or, for the positions, that services count under.

/// Batches applied; labels `group`, `kind` (`live` or `replay`).
pub const BATCHES: &str = "oddwatch_exchange_batches_total";
/// Messages in those batches; labels `group`, `kind`.
pub const MESSAGES: &str = "oddwatch_exchange_messages_total";
/// Seconds from offering a cycle's outputs to their being durable (histogram); label `group`.
pub const COMMIT_SECONDS: &str = "oddwatch_exchange_commit_seconds";
/// Commits that found no room and were offered again; label `group`.
pub const FULL: &str = "oddwatch_exchange_full_total";
/// Aborted commits, after which partitions were restored; label `group`.
pub const REWINDS: &str = "oddwatch_exchange_rewinds_total";
/// Items found deadly and skipped from then on; label `group`.
pub const SKIPPED: &str = "oddwatch_exchange_skipped_total";
/// Partitions that have come and are not restored yet (gauge); label `group`.
pub const RESTORING: &str = "oddwatch_exchange_restoring_partitions";
/// Seconds from a partition's coming to its state's being where it was (histogram); label `group`.
pub const RESTORE_SECONDS: &str = "oddwatch_exchange_restore_seconds";
/// Items that came again and were dropped by position; counted by the services; label `group`.
pub const REPEATS: &str = "oddwatch_exchange_repeat_total";
/// Items that are missing by position; counted by the services; label `group`.
pub const GAPS: &str = "oddwatch_exchange_gap_total";
