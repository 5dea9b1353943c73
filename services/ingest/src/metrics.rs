//! The names of the metrics that ingest emits, and their handles.

use domain::Reason;
use metrics::{Counter, Gauge, counter, gauge};

/// Records accepted.
pub const ACCEPTED: &str = "oddwatch_ingest_accepted_total";
/// Records refused; label `reason`.
pub const REFUSED: &str = "oddwatch_ingest_refused_total";
/// Ticks written.
pub const TICKS: &str = "oddwatch_ingest_ticks_total";
/// Bytes of the messages read: keys and values.
pub const READ_BYTES: &str = "oddwatch_ingest_read_bytes_total";
/// The config version in force.
pub const CONFIG_VERSION: &str = "oddwatch_ingest_config_version";
/// Records that a front door appended; label `door` (`grpc` or `http`).
pub const PUBLISHED: &str = "oddwatch_ingest_published_total";
/// Publish requests that a front door did not take; labels `door`, `cause`.
pub const PUBLISH_FAILED: &str = "oddwatch_ingest_publish_failed_total";

/// Handles, made once.
pub(crate) struct Counts {
    pub(crate) accepted: Counter,
    pub(crate) ticks: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) config_version: Gauge,
    refused: [Counter; Reason::ALL.len()],
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            accepted: counter!(ACCEPTED),
            ticks: counter!(TICKS),
            read_bytes: counter!(READ_BYTES),
            config_version: gauge!(CONFIG_VERSION),
            refused: Reason::ALL.map(|reason| counter!(REFUSED, "reason" => reason.name())),
        }
    }

    /// Counts refused records.
    pub(crate) fn refused(&self, reason: Reason, records: u64) {
        self.refused[reason as usize].increment(records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_where_their_counters_are() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
