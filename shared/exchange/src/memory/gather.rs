//! A member's poll: what is there is gathered from its partitions in fair turns, and waited for if
//! there is nothing.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use super::{Shared, cursor::Cursor, member::MemoryMember, state::State};
use crate::{
    deadline::{self, Deadline},
    disk::Wanted,
    port::{Batch, Error, Event, Message, Partition, PollLimits, Slice},
};

/// A batch in the making.
#[derive(Default)]
struct Gathered {
    slices: BTreeMap<Partition, Vec<Message>>,
    replay: bool,
    messages: usize,
    bytes: usize,
    full: bool,
}

impl MemoryMember {
    /// Waits until there is a batch or the deadline has passed.
    pub(super) fn wait_for_batch<'a>(
        &mut self,
        shared: &'a Shared,
        mut state: MutexGuard<'a, State>,
        limits: &PollLimits,
    ) -> Result<Event, Error> {
        let deadline = Deadline::after(limits.wait);
        let mut gathered = Gathered::default();
        loop {
            self.check_fenced(&state)?;
            if gathered.messages == 0
                && let Some(event) = self.rebalance(&mut state)
            {
                shared.changed.notify_all();
                return Ok(event);
            }
            // Before anything is gathered: partitions that are behind don't wait for those that are
            // busy.
            let lacking = self.lacking(shared, &state);
            if !lacking.is_empty() {
                drop(state);
                self.fetch(shared, lacking)?;
                state = shared.lock();
            }
            self.gather(&state, limits, &mut gathered)?;
            let deadline = match self.batch_at {
                _ if gathered.messages == 0 => deadline,
                Some(batch_at) if !gathered.full => Deadline::at(batch_at + limits.cycle),
                _ => break,
            };
            let Some(left) = deadline.left() else { break };
            if self.lacking(shared, &state).is_empty() {
                let waited = shared.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        if gathered.messages == 0 {
            return Ok(Event::Idle(self.ends(&state)));
        }
        self.turn = self.turn.wrapping_add(1);
        self.batch_at = Some(deadline::now());
        Ok(Event::Batch(self.batch(&state, gathered)))
    }

    /// What is on the disk only, by partition.
    fn lacking(&self, shared: &Shared, state: &State) -> Vec<(Partition, Wanted)> {
        if shared.disk.is_none() {
            return Vec::new();
        }
        let lacks = self.reading.iter().filter_map(|(partition, reading)| {
            let wanted = reading.cursor.lacking(state, (reading.topic, partition.number))?;
            Some((partition.clone(), wanted))
        });
        lacks.collect()
    }

    fn fetch(&mut self, shared: &Shared, lacking: Vec<(Partition, Wanted)>) -> Result<(), Error> {
        let Some(disk) = &shared.disk else { return Ok(()) };
        for (partition, wanted) in lacking {
            if let Some(reading) = self.reading.get_mut(&partition) {
                reading.cursor.fetch(wanted, disk)?;
            }
        }
        Ok(())
    }

    /// Adds what is there to the batch, partition by partition, live or replay but not both.
    fn gather(
        &mut self,
        state: &State,
        limits: &PollLimits,
        gathered: &mut Gathered,
    ) -> Result<(), Error> {
        let partitions = self.reading.len();
        let first = self.turn % partitions.max(1);
        let order: Vec<Partition> =
            self.reading.keys().cycle().skip(first).take(partitions).cloned().collect();
        for partition in order {
            let Some(reading) = self.reading.get_mut(&partition) else { continue };
            let log = state.log(reading.topic, partition.number);
            if let Some(first) = reading.cursor.lost(log) {
                // Who replays what is kept asks for no more than that, and more may go meanwhile.
                if reading.from_kept && first <= reading.replay_until {
                    reading.cursor = Cursor::new(first);
                }
            }
            if let Some(first) = reading.cursor.lost(log) {
                if gathered.messages > 0 {
                    return Ok(());
                }
                let wanted = reading.cursor.position();
                return Err(Error::Lost { partition, wanted, first });
            }
            let mut found = Vec::new();
            for message in reading.cursor.messages(log) {
                let replay = message.offset < reading.replay_until;
                if gathered.messages > 0 && replay != gathered.replay {
                    break;
                }
                let bytes = gathered.bytes + message.size();
                if gathered.messages == limits.messages_max.max(1)
                    || (gathered.messages > 0 && bytes > limits.bytes_max)
                {
                    gathered.full = true;
                    break;
                }
                gathered.replay = replay;
                gathered.messages += 1;
                gathered.bytes = bytes;
                found.push(message.clone());
            }
            if let Some(last) = found.last() {
                reading.cursor.advance(last.offset);
                gathered.slices.entry(partition).or_default().append(&mut found);
            }
            if gathered.full {
                break;
            }
        }
        Ok(())
    }

    fn batch(&mut self, state: &State, mut gathered: Gathered) -> Batch {
        let mut slices = Vec::with_capacity(gathered.slices.len());
        for (partition, reading) in &mut self.reading {
            let log = state.log(reading.topic, partition.number);
            let at_end = log.is_end(reading.cursor.position());
            let messages = gathered.slices.remove(partition).unwrap_or_default();
            if !messages.is_empty() || (at_end && !reading.told_at_end) {
                reading.told_at_end = at_end;
                slices.push(Slice { partition: partition.clone(), messages, at_end });
            }
        }
        Batch { slices, replay: gathered.replay }
    }

    fn ends(&mut self, state: &State) -> Vec<Partition> {
        let mut ends = Vec::new();
        for (partition, reading) in &mut self.reading {
            let log = state.log(reading.topic, partition.number);
            if log.is_end(reading.cursor.position()) {
                reading.told_at_end = true;
                ends.push(partition.clone());
            }
        }
        ends
    }
}
