//! Reading a topic in memory without a group.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{Shared, state::TopicIndex};
use crate::{
    deadline::Deadline,
    port::{Error, Follower, Message, Offset, Partition},
};

/// A follower: the next offset of every partition.
pub(super) struct MemoryFollower {
    shared: Arc<Shared>,
    topic: TopicIndex,
    positions: Vec<Offset>,
    /// The partition that comes first next time, so that a busy one does not starve the others.
    turn: usize,
}

impl MemoryFollower {
    pub(super) fn new(shared: Arc<Shared>, topic: TopicIndex, positions: Vec<Offset>) -> Self {
        Self { shared, topic, positions, turn: 0 }
    }
}

impl Follower for MemoryFollower {
    fn next(&mut self, wait: Duration, messages_max: usize) -> Result<Vec<(u32, Message)>, Error> {
        let deadline = Deadline::after(wait);
        let mut state = self.shared.lock();
        loop {
            let topic = &state.topics[self.topic];
            let mut found = Vec::new();
            let partitions = self.positions.len();
            for number in (self.turn..partitions).chain(0..self.turn) {
                let (log, position) = (&topic.logs[number], &mut self.positions[number]);
                if *position < log.first() {
                    if !found.is_empty() {
                        break;
                    }
                    let (wanted, first) = (*position, log.first());
                    *position = first;
                    let partition = Partition::new(Arc::clone(&topic.spec.name), number as u32);
                    return Err(Error::Lost { partition, wanted, first });
                }
                for message in log.from(*position).take(messages_max - found.len()) {
                    *position = message.offset + 1;
                    found.push((number as u32, message.clone()));
                }
            }
            self.turn = (self.turn + 1) % partitions;
            if !found.is_empty() {
                return Ok(found);
            }
            let Some(left) = deadline.left() else { return Ok(found) };
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        let state = self.shared.lock();
        let logs = &state.topics[self.topic].logs;
        Ok(logs.iter().zip(&self.positions).all(|(log, position)| log.is_end(*position)))
    }
}
