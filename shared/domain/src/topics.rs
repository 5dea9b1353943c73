//! The names of the topics, with their prefix.

use std::sync::Arc;

/// The full name of each topic (design: "The way of a record").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// What all names begin with; empty for none.
    pub prefix: Arc<str>,
    /// What users publish to when a stream names no other topic.
    pub records: Arc<str>,
    /// Batches of valid records, and ticks.
    pub accepted: Arc<str>,
    /// Refused records with their reason.
    pub rejected: Arc<str>,
    /// Batches of rows to be scored.
    pub requested: Arc<str>,
    /// Scores for batches of rows.
    pub completed: Arc<str>,
    /// Anomalies opened, updated and cleared.
    pub anomalies: Arc<str>,
    /// Drifts.
    pub drifts: Arc<str>,
    /// Definitions; one partition, kept for ever.
    pub control: Arc<str>,
    /// States of alerts.
    pub alerts: Arc<str>,
}

impl Topics {
    /// The default names behind `prefix` (empty for none).
    pub fn new(prefix: &str) -> Self {
        let name = |topic: &str| Arc::from(format!("{prefix}{topic}"));
        Self {
            prefix: Arc::from(prefix),
            records: name("records"),
            accepted: name("records.accepted"),
            rejected: name("records.rejected"),
            requested: name("detection.requested"),
            completed: name("detection.completed"),
            anomalies: name("anomaly.detected"),
            drifts: name("drift.detected"),
            control: name("control"),
            alerts: name("alerts"),
        }
    }

    /// The name of a consumer group, or of a member of one, behind the prefix: deployments that share a
    /// cluster must neither share groups nor fence each other.
    pub fn group(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}
