//! Why a stage can't go on.

use domain::{Hole, Invalid};
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
    /// A definition in force can't be carried out.
    #[error("{partition}: {source}")]
    Definition {
        /// The partition that was read.
        partition: Partition,
        /// What is wrong.
        source: Invalid,
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
    /// A halt; a hole is counted where it is seen, and the process ends by either.
    pub(crate) fn halt(group: &'static str, partition: &Partition, halt: Halt) -> Self {
        let source = match halt {
            Halt::Hole(hole) => hole,
            Halt::Definition(source) => {
                return Self::Definition { partition: partition.clone(), source };
            }
        };
        let missing = source.found.saturating_sub(source.expected);
        metrics::counter!(GAPS, "group" => group).increment(missing);
        Self::Hole { partition: partition.clone(), source }
    }
}

/// Why a partition's state must stop at an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// Items before it are missing.
    #[error(transparent)]
    Hole(#[from] Hole),
    /// A definition in force from it on asks for what this build does not have.
    #[error(transparent)]
    Definition(#[from] Invalid),
}
