//! What the services share whose state is a function of their input, windowing and the detector: why they can't
//! go on.

use domain::Hole;
use exchange::{Partition, metrics::GAPS};

use crate::Error;

/// Why such a service can't go on.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// Control can't be read.
    #[error(transparent)]
    Control(#[from] Error),
    /// Input is missing.
    #[error("{partition}: {source}")]
    Hole {
        /// The partition that was read.
        partition: Partition,
        /// What is missing.
        source: Hole,
    },
}

impl StageError {
    /// A hole, counted where it is seen; the process ends by it.
    pub fn hole(group: &'static str, partition: &Partition, source: Hole) -> Self {
        let missing = source.found.saturating_sub(source.expected);
        metrics::counter!(GAPS, "group" => group).increment(missing);
        Self::Hole { partition: partition.clone(), source }
    }
}
