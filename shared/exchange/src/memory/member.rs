//! A member of a group in memory: takes over partitions, reads them in fair turns, commits atomically.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    Shared,
    state::{State, TopicIndex},
};
use crate::{
    deadline::{self, Deadline},
    faults::Fault,
    port::{
        Assignment, Batch, CommitOutcome, Committed, Error, Event, Group, Member, Message, Offset,
        Outputs, Partition, PollLimits, Slice, Start,
    },
};

/// A started partition.
struct Reading {
    topic: TopicIndex,
    /// Where it was started.
    began: Offset,
    /// The next offset to deliver.
    position: Offset,
    /// What lies below is replay.
    replay_until: Offset,
    /// Whether the end was told of since the last message.
    told_at_end: bool,
}

/// A member in memory.
pub(super) struct MemoryMember {
    shared: Arc<Shared>,
    group: Group,
    join: u64,
    reading: BTreeMap<Partition, Reading>,
    /// Events that are due before anything is read.
    due: VecDeque<Event>,
    /// The generation at which ownership was as it should be.
    settled: Option<u64>,
    /// When the last batch was returned.
    batch_at: Option<Instant>,
    /// Rises with every batch; which partition comes first.
    turn: usize,
}

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
    pub(super) fn new(shared: Arc<Shared>, group: Group, join: u64) -> Self {
        Self {
            shared,
            group,
            join,
            reading: BTreeMap::new(),
            due: VecDeque::new(),
            settled: None,
            batch_at: None,
            turn: 0,
        }
    }

    fn check_fenced(&self, state: &State) -> Result<(), Error> {
        let group = state.groups.get(&self.group.name);
        match group.and_then(|group| group.members.get(&self.group.member)) {
            Some(membership) if membership.join == self.join => Ok(()),
            _ => Err(Error::Fenced {
                group: self.group.name.clone(),
                member: self.group.member.clone(),
            }),
        }
    }

    /// Gives back what is no longer ours, then takes what is ours and free.
    fn rebalance(&mut self, state: &mut State) -> Option<Event> {
        let group = state.groups.get(&self.group.name)?;
        if self.settled == Some(group.generation) {
            return None;
        }
        let me = &self.group.member;
        let targets = state.targets(group, me);
        let mine = |owners: &BTreeMap<Partition, String>| -> BTreeSet<Partition> {
            owners.iter().filter(|(_, owner)| *owner == me).map(|(p, _)| p.clone()).collect()
        };
        let owned = mine(&group.owners);
        let revoked: Vec<Partition> = owned.difference(&targets).cloned().collect();
        let group = state.groups.get_mut(&self.group.name)?;
        if !revoked.is_empty() {
            for partition in &revoked {
                group.owners.remove(partition);
                self.reading.remove(partition);
            }
            return Some(Event::Revoked(revoked));
        }
        let mut assigned = Vec::new();
        for partition in targets.difference(&owned) {
            if !group.owners.contains_key(partition) {
                group.owners.insert(partition.clone(), me.clone());
                let committed = group.committed.get(partition).cloned();
                assigned.push(Assignment { partition: partition.clone(), committed });
            }
        }
        if owned.len() + assigned.len() == targets.len() {
            self.settled = Some(group.generation);
        }
        if assigned.is_empty() { None } else { Some(Event::Assigned(assigned)) }
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
            if reading.position < log.first() {
                if gathered.messages > 0 {
                    return Ok(());
                }
                let (wanted, first) = (reading.position, log.first());
                return Err(Error::Lost { partition, wanted, first });
            }
            let mut found = Vec::new();
            for message in log.from(reading.position) {
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
                reading.position = message.offset + 1;
                found.push(message.clone());
            }
            if !found.is_empty() {
                gathered.slices.entry(partition).or_default().append(&mut found);
            }
            if gathered.full {
                break;
            }
        }
        Ok(())
    }

    /// Waits until there is a batch or the deadline has passed.
    fn wait_for_batch<'a>(
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
            self.gather(&state, limits, &mut gathered)?;
            let deadline = match self.batch_at {
                _ if gathered.messages == 0 => deadline,
                Some(batch_at) if !gathered.full => Deadline::at(batch_at + limits.cycle),
                _ => break,
            };
            let Some(left) = deadline.left() else { break };
            let waited = shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if gathered.messages == 0 {
            return Ok(Event::Idle(self.ends(&state)));
        }
        self.turn = self.turn.wrapping_add(1);
        self.batch_at = Some(deadline::now());
        Ok(Event::Batch(self.batch(&state, gathered)))
    }

    fn batch(&mut self, state: &State, mut gathered: Gathered) -> Batch {
        let mut slices = Vec::with_capacity(gathered.slices.len());
        for (partition, reading) in &mut self.reading {
            let at_end = state.log(reading.topic, partition.number).is_end(reading.position);
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
            if state.log(reading.topic, partition.number).is_end(reading.position) {
                reading.told_at_end = true;
                ends.push(partition.clone());
            }
        }
        ends
    }

    /// The offsets to commit: where something was delivered, nothing was committed yet, or metadata is given.
    fn offsets(
        &self,
        state: &State,
        outputs: &Outputs,
    ) -> Result<Vec<(Partition, Committed)>, Error> {
        let mut metadata = crate::checks::check_metadata(outputs, |partition| {
            self.reading.contains_key(partition)
        })?;
        let group = state.groups.get(&self.group.name);
        let mut offsets = Vec::new();
        for (partition, reading) in &self.reading {
            let before = group.and_then(|group| group.committed.get(partition));
            let offset = match before {
                Some(before) => reading.position.max(before.offset),
                None => reading.position,
            };
            let named = metadata.remove(partition);
            if named.is_some() || before.is_none_or(|before| before.offset != offset) {
                let metadata = match named {
                    Some(named) => named.to_owned(),
                    None => before.map(|before| before.metadata.clone()).unwrap_or_default(),
                };
                offsets.push((partition.clone(), Committed { offset, metadata }));
            }
        }
        Ok(offsets)
    }

    /// Writes outputs and offsets, all or nothing, unless a fault is planned.
    fn write(
        &mut self,
        state: &mut State,
        outputs: &Outputs,
        offsets: Vec<(Partition, Committed)>,
    ) -> Result<CommitOutcome, Error> {
        let shared = Arc::clone(&self.shared);
        let Ok(placed) = state.place(&outputs.messages, shared.options.message_bytes_max)? else {
            return Ok(CommitOutcome::Full);
        };
        let fault = shared.options.faults.as_ref().and_then(|hook| hook(&self.group));
        if matches!(fault, None | Some(Fault::DieAfter)) {
            let now_ms = (shared.options.clock)();
            state.append(&outputs.messages, &placed, now_ms);
            state.burn(&placed);
            if let Some(group) = state.groups.get_mut(&self.group.name) {
                group.committed.extend(offsets);
            }
        }
        if fault == Some(Fault::Rewind) {
            self.come_again(state);
        }
        shared.changed.notify_all();
        fault.map_or(Ok(CommitOutcome::Committed), Fault::answer)
    }

    /// Everything owned comes again, as after a crash.
    fn come_again(&mut self, state: &State) {
        let Some(group) = state.groups.get(&self.group.name) else { return };
        let assignments: Vec<Assignment> = self
            .reading
            .keys()
            .map(|partition| Assignment {
                partition: partition.clone(),
                committed: group.committed.get(partition).cloned(),
            })
            .collect();
        let revoked = std::mem::take(&mut self.reading).into_keys().collect();
        self.due.extend([Event::Revoked(revoked), Event::Assigned(assignments)]);
    }
}

impl Member for MemoryMember {
    fn poll(&mut self, limits: &PollLimits) -> Result<Event, Error> {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        self.check_fenced(&state)?;
        match self.due.pop_front() {
            Some(event) => Ok(event),
            None => self.wait_for_batch(&shared, state, limits),
        }
    }

    fn start(&mut self, partition: &Partition, start: Start) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        self.check_fenced(&state)?;
        let topic = state.topic(&partition.topic)?;
        let group = state.groups.get(&self.group.name);
        if group.and_then(|group| group.owners.get(partition)) != Some(&self.group.member) {
            let what = format!("{partition} is not assigned to member {}", self.group.member);
            return Err(Error::Fatal { what });
        }
        let committed = group.and_then(|group| group.committed.get(partition));
        let log = state.log(topic, partition.number);
        let (first, end) = (log.first(), log.end());
        let position = match start {
            Start::Committed => committed.map_or(first, |committed| committed.offset),
            Start::Earliest => first,
            Start::At(offset) => offset,
        };
        if position < first || position > end {
            return Err(Error::Lost { partition: partition.clone(), wanted: position, first });
        }
        let replay_until = committed.map_or(0, |committed| committed.offset);
        let reading =
            Reading { topic, began: position, position, replay_until, told_at_end: false };
        self.reading.insert(partition.clone(), reading);
        Ok(())
    }

    fn commit(&mut self, outputs: &Outputs) -> Result<CommitOutcome, Error> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check_fenced(&state)?;
        let offsets = self.offsets(&state, outputs)?;
        if outputs.messages.is_empty() && offsets.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        self.write(&mut state, outputs, offsets)
    }

    fn note(&mut self, metadata: &[(Partition, String)]) -> Result<CommitOutcome, Error> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        self.check_fenced(&state)?;
        let outputs = Outputs { messages: vec![], metadata: metadata.to_vec() };
        let named = crate::checks::check_metadata(&outputs, |partition| {
            self.reading.contains_key(partition)
        })?;
        let at = |(partition, metadata): (&Partition, &str)| {
            let committed = state.committed(&self.group.name, partition);
            let began = self.reading.get(partition)?.began;
            let offset = committed.map_or(began, |committed| committed.offset);
            Some((partition.clone(), Committed { offset, metadata: metadata.to_owned() }))
        };
        let offsets: Vec<_> = named.into_iter().filter_map(at).collect();
        if offsets.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        self.write(&mut state, &Outputs::default(), offsets)
    }

    fn rewind(&mut self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        self.check_fenced(&state)?;
        self.come_again(&state);
        Ok(())
    }

    fn release(&mut self, partition: &Partition, offset: Offset) -> Result<(), Error> {
        let mut state = self.shared.lock();
        self.check_fenced(&state)?;
        let group = state.groups.entry(self.group.name.clone()).or_default();
        let released = group.released.entry(partition.clone()).or_default();
        *released = offset.max(*released);
        Ok(())
    }

    fn group(&self) -> &Group {
        &self.group
    }

    fn leave(self: Box<Self>) {}
}

impl Drop for MemoryMember {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if self.check_fenced(&state).is_ok()
            && let Some(group) = state.groups.get_mut(&self.group.name)
        {
            group.members.remove(&self.group.member);
            group.owners.retain(|_, owner| *owner != self.group.member);
            group.generation += 1;
            drop(state);
            self.shared.changed.notify_all();
        }
    }
}
