//! One partition of a stage: its state, and where that stands in the input and in the outputs.

use std::collections::BTreeMap;

use exchange::{Offset, Partition};
use snapshot::Partitions;

use crate::{Life, StageError, stage::PartitionState};

/// One partition.
pub(crate) struct Part<T> {
    pub(crate) state: T,
    /// The input offset that the state stands at.
    pub(crate) read_to: Offset,
    /// Where the epoch began; known with the first message if that was at whatever was kept.
    pub(crate) began: Option<Offset>,
    /// What was committed when it came.
    pub(crate) committed: Offset,
    /// Where the outputs stand, until the replay has come there.
    pub(crate) expected: Option<Life>,
}

/// What was committed for a partition when it came.
#[derive(Clone, Copy)]
pub(crate) struct Committed {
    pub(crate) offset: Offset,
    pub(crate) life: Option<Life>,
}

impl<T: PartitionState> Part<T> {
    pub(crate) fn life(&self) -> Life {
        let (epoch, next) = self.state.position();
        Life { epoch, next, began: self.began.unwrap_or(0) }
    }

    /// The replay is over: the state must stand where the outputs do.
    pub(crate) fn check_met(
        &mut self,
        service: &'static str,
        partition: &Partition,
    ) -> Result<(), StageError> {
        let Some(expected) = self.expected.take() else { return Ok(()) };
        let found = self.life();
        if (found.epoch, found.next) == (expected.epoch, expected.next) {
            return Ok(());
        }
        Err(StageError::Apart {
            service,
            partition: partition.clone(),
            replayed: found.next,
            replayed_epoch: found.epoch,
            committed: expected.next,
            committed_epoch: expected.epoch,
        })
    }
}

/// The partition of this name.
pub(crate) fn named<T>(partitions: &BTreeMap<Partition, T>, name: &str) -> Option<Partition> {
    partitions.keys().find(|partition| partition.to_string() == name).cloned()
}

/// What snapshots can be taken of.
pub(crate) struct Parts<'a, T>(pub(crate) &'a mut BTreeMap<Partition, Part<T>>);

impl<T: PartitionState> Partitions for Parts<'_, T> {
    type State = T;

    fn get(&mut self, partition: &str) -> Option<(&mut T, Offset)> {
        let part = self.0.get_mut(&named(self.0, partition)?)?;
        Some((&mut part.state, part.read_to))
    }
}
