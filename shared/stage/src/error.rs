//! Why a stage can't go on.

use domain::Hole;
use exchange::{Partition, metrics::GAPS};

/// Why a stage can't go on.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// Control can't be read or written.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// The snapshots can't be asked.
    #[error(transparent)]
    Snapshots(#[from] snapshot::Error),
    /// Input is missing.
    #[error("{partition}: {source}")]
    Hole {
        /// The partition that was read.
        partition: Partition,
        /// What is missing.
        source: Hole,
    },
    /// What a state is to be restored from is gone, and the policy is to stop.
    #[error(
        "{service} can't restore {partition}: {what}. Bring it back, or set loss.policy = \"restart_fresh\" to go \
         on with a state that knows nothing"
    )]
    Lost {
        /// The service.
        service: &'static str,
        /// The partition whose state can't be restored.
        partition: Partition,
        /// What is gone, by offsets.
        what: String,
    },
    /// A replay did not come to where the outputs stand.
    #[error(
        "{service}: the replay of {partition} ended before output item {replayed} of epoch {replayed_epoch}, but \
         {committed} of epoch {committed_epoch} was committed: its input is not what it was, or this build \
         computes something else; nothing was written"
    )]
    Apart {
        /// The service.
        service: &'static str,
        /// The partition.
        partition: Partition,
        /// The next number after the replay.
        replayed: u64,
        /// Its epoch.
        replayed_epoch: u32,
        /// The next number as committed.
        committed: u64,
        /// Its epoch.
        committed_epoch: u32,
    },
}

impl StageError {
    /// A hole, counted where it is seen; the process ends by it.
    pub(crate) fn hole(group: &'static str, partition: &Partition, source: Hole) -> Self {
        let missing = source.found.saturating_sub(source.expected);
        metrics::counter!(GAPS, "group" => group).increment(missing);
        Self::Hole { partition: partition.clone(), source }
    }
}
