//! What a service is to the worker that drives it: states that come, change, go, and come back the same.

use std::fmt;

use crate::port::{Assignment, Batch, Error, Message, Offset, Outputs, Partition, Start};

/// An item of the input: what can be skipped for good.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The input partition.
    pub partition: Partition,
    /// The message's offset.
    pub offset: Offset,
    /// The item's index within the message, from 0, or [`Place::WHOLE`].
    pub item: u64,
}

impl Place {
    /// Stands for all items of a message, where it can't be told which.
    pub const WHOLE: u64 = u64::MAX;
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offset {}", self.partition, self.offset)?;
        if self.item == Self::WHOLE { Ok(()) } else { write!(f, " item {}", self.item) }
    }
}

/// How a partition's state comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restore {
    /// It is there; its input has to start here.
    Start(Start),
    /// It is being loaded; [`Processor::restored`] will tell.
    Later,
}

/// What a service does with its input. Implementations have no socket or lock of their own.
pub trait Processor: Send {
    /// Why a step can fail; failures of the exchange convert into it.
    type Error: From<Error> + Send;

    /// Makes ready for a partition and says where its input has to start so that the state is whole again.
    ///
    /// # Errors
    /// If the state can't be restored; ends the worker.
    fn restore(&mut self, assignment: &Assignment) -> Result<Restore, Self::Error>;

    /// The partitions whose state has been loaded since the last call.
    ///
    /// # Errors
    /// If a state can't be restored; ends the worker.
    fn restored(&mut self) -> Result<Vec<(Partition, Start)>, Self::Error> {
        Ok(vec![])
    }

    /// How many partitions are still being loaded.
    fn loading(&self) -> usize {
        0
    }

    /// The input that a restore needs is gone: below `first`, or past the partition's end. Answers where to go on,
    /// with a state that is fresh from there.
    ///
    /// # Errors
    /// If it must not go on; ends the worker. So it is by default.
    fn lost(
        &mut self,
        partition: &Partition,
        wanted: Offset,
        first: Offset,
    ) -> Result<Start, Self::Error> {
        Err(Error::Lost { partition: partition.clone(), wanted, first }.into())
    }

    /// Forgets a partition's state.
    fn drop_partition(&mut self, partition: &Partition);

    /// Changes state by a batch and returns what is to be written. For a replayed batch the result is thrown
    /// away (and need not be built).
    ///
    /// # Errors
    /// If the service can't go on; ends the worker.
    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Self::Error>;

    /// Called when nothing new came; `at_end` lists the partitions that are read to their end.
    ///
    /// # Errors
    /// If the service can't go on; ends the worker.
    fn idle(&mut self, at_end: &[Partition]) -> Result<Outputs, Self::Error> {
        let _ = at_end;
        Ok(Outputs::default())
    }

    /// Called when everything applied is committed: the time for snapshots. Returns partitions with the offset
    /// below which their restores need nothing any more. It is also called when partitions have come, before
    /// anything of theirs is committed: until a processor has said what it needs, all that is committed may go.
    ///
    /// # Errors
    /// If the service can't go on; ends the worker.
    fn settled(&mut self) -> Result<Vec<(Partition, Offset)>, Self::Error> {
        Ok(vec![])
    }

    /// Whether it has something to do in [`Processor::settled`] soon, so that an idle poll should not wait long.
    fn is_busy(&self) -> bool {
        false
    }

    /// What it would commit with a partition's offset now; `None` if that is what stands there.
    fn metadata(&self, partition: &Partition) -> Option<String> {
        let _ = partition;
        None
    }

    /// Whether it can skip items. Without, nobody looks for those on which the process dies.
    fn can_skip(&self) -> bool {
        false
    }

    /// The item in hand; asked after a panic.
    fn place(&self) -> Option<Place> {
        None
    }

    /// How many items a message has, at least 1; 1 if it can't be read.
    fn items(&self, message: &Message) -> u64 {
        let _ = message;
        1
    }

    /// Applies only the first items of the one message in the batch. The state is thrown away after.
    ///
    /// # Errors
    /// If the service can't go on; ends the worker.
    fn rehearse(&mut self, batch: &Batch, items: u64) -> Result<(), Self::Error> {
        let _ = items;
        self.apply(batch).map(drop)
    }

    /// Writes down for good, durably, that the item is to be skipped and refused, here and in every replay.
    ///
    /// # Errors
    /// If that can't be done; ends the worker.
    fn skip(&mut self, place: &Place, why: &str) -> Result<(), Self::Error> {
        Err(Error::Fatal { what: format!("{place} can't be skipped: {why}") }.into())
    }
}
