//! What a worker counts.

use metrics::{Counter, Histogram};

use crate::{metrics as names, port::Batch};

/// Handles of the metrics, made once.
pub(crate) struct Counts {
    pub(crate) live_batches: Counter,
    pub(crate) live_messages: Counter,
    pub(crate) replay_batches: Counter,
    pub(crate) replay_messages: Counter,
    pub(crate) commit_seconds: Histogram,
    pub(crate) full: Counter,
    pub(crate) rewinds: Counter,
    pub(crate) skipped: Counter,
}

impl Counts {
    pub(crate) fn new(group: &str) -> Self {
        let of = |name, kind: &'static str| metrics::counter!(name, "group" => group.to_owned(), "kind" => kind);
        Self {
            live_batches: of(names::BATCHES, "live"),
            live_messages: of(names::MESSAGES, "live"),
            replay_batches: of(names::BATCHES, "replay"),
            replay_messages: of(names::MESSAGES, "replay"),
            commit_seconds: metrics::histogram!(names::COMMIT_SECONDS, "group" => group.to_owned()),
            full: metrics::counter!(names::FULL, "group" => group.to_owned()),
            rewinds: metrics::counter!(names::REWINDS, "group" => group.to_owned()),
            skipped: metrics::counter!(names::SKIPPED, "group" => group.to_owned()),
        }
    }

    pub(crate) fn batch(&self, batch: &Batch) {
        let messages: usize = batch.slices.iter().map(|slice| slice.messages.len()).sum();
        let (batches, of_messages) = if batch.replay {
            (&self.replay_batches, &self.replay_messages)
        } else {
            (&self.live_batches, &self.live_messages)
        };
        batches.increment(1);
        of_messages.increment(messages as u64);
    }
}
