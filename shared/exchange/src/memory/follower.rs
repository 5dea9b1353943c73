//! Reading a topic in memory without a group.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Shared,
    cursor::Cursor,
    state::{State, TopicIndex},
};
use crate::{
    deadline::Deadline,
    disk::Wanted,
    port::{Error, Follower, Message, Offset, Partition},
};

/// A follower: its place in every partition.
pub(super) struct MemoryFollower {
    shared: Arc<Shared>,
    topic: TopicIndex,
    cursors: Vec<Cursor>,
    /// The partition that comes first next time, so that a busy one does not starve the others.
    turn: usize,
}

impl MemoryFollower {
    pub(super) fn new(shared: Arc<Shared>, topic: TopicIndex, positions: Vec<Offset>) -> Self {
        let cursors = positions.into_iter().map(Cursor::new).collect();
        Self { shared, topic, cursors, turn: 0 }
    }

    /// What is on the disk only, by partition.
    fn lacking(&self, state: &State) -> Vec<(usize, Wanted)> {
        let cursors = self.cursors.iter().enumerate();
        let lacks = cursors.filter_map(|(number, cursor)| {
            let wanted = cursor.lacking(state, (self.topic, number as u32))?;
            Some((number, wanted))
        });
        lacks.collect()
    }

    /// Takes what is there, partition by partition.
    fn gather(&mut self, state: &State, messages_max: usize) -> Result<Vec<(u32, Message)>, Error> {
        let topic = &state.topics[self.topic];
        let mut found = Vec::new();
        let partitions = self.cursors.len();
        for number in (self.turn..partitions).chain(0..self.turn) {
            let (log, cursor) = (&topic.logs[number], &mut self.cursors[number]);
            if let Some(first) = cursor.lost(log) {
                if !found.is_empty() {
                    break;
                }
                let wanted = cursor.position();
                cursor.skip_to(first);
                let partition = Partition::new(Arc::clone(&topic.spec.name), number as u32);
                return Err(Error::Lost { partition, wanted, first });
            }
            let before = found.len();
            let messages = cursor.messages(log).take(messages_max - before);
            found.extend(messages.map(|message| (number as u32, message.clone())));
            if let Some((_, last)) = found[before..].last() {
                cursor.advance(last.offset);
            }
        }
        self.turn = (self.turn + 1) % partitions;
        Ok(found)
    }
}

impl Follower for MemoryFollower {
    fn next(&mut self, wait: Duration, messages_max: usize) -> Result<Vec<(u32, Message)>, Error> {
        let deadline = Deadline::after(wait);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if let Some(disk) = &shared.disk {
                let lacking = self.lacking(&state);
                if !lacking.is_empty() {
                    drop(state);
                    for (number, wanted) in lacking {
                        self.cursors[number].fetch(wanted, disk)?;
                    }
                    state = shared.lock();
                }
            }
            let found = self.gather(&state, messages_max)?;
            if !found.is_empty() {
                return Ok(found);
            }
            let Some(left) = deadline.left() else { return Ok(found) };
            if shared.disk.is_some() && !self.lacking(&state).is_empty() {
                continue;
            }
            let waited = shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        let state = self.shared.lock();
        let logs = &state.topics[self.topic].logs;
        Ok(logs.iter().zip(&self.cursors).all(|(log, cursor)| log.is_end(cursor.position())))
    }
}
