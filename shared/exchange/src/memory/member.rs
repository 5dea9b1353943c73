//! A member of a group in memory: takes over partitions, reads them in fair turns, commits atomically.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use super::{
    Shared,
    cursor::Cursor,
    state::{State, TopicIndex},
    writing::Writing,
};
use crate::{
    faults::Fault,
    port::{
        Assignment, CommitOutcome, Committed, Error, Event, Group, Member, Offset, Outputs,
        Partition, PollLimits, Start,
    },
};

/// A started partition.
pub(super) struct Reading {
    pub(super) topic: TopicIndex,
    /// Where it was started.
    began: Offset,
    pub(super) cursor: Cursor,
    /// What lies below is replay.
    pub(super) replay_until: Offset,
    /// It was started at what was kept, whatever that was.
    pub(super) from_kept: bool,
    /// Whether the end was told of since the last message.
    pub(super) told_at_end: bool,
}

/// A member in memory.
pub(super) struct MemoryMember {
    shared: Arc<Shared>,
    group: Group,
    join: u64,
    pub(super) reading: BTreeMap<Partition, Reading>,
    /// Told of as assigned, but not started.
    awaiting: BTreeSet<Partition>,
    /// Events that are due before anything is read.
    due: VecDeque<Event>,
    /// The generation at which ownership was as it should be.
    settled: Option<u64>,
    /// When the last batch was returned.
    pub(super) batch_at: Option<Instant>,
    /// Rises with every batch; which partition comes first.
    pub(super) turn: usize,
}

impl MemoryMember {
    pub(super) fn new(shared: Arc<Shared>, group: Group, join: u64) -> Self {
        Self {
            shared,
            group,
            join,
            reading: BTreeMap::new(),
            awaiting: BTreeSet::new(),
            due: VecDeque::new(),
            settled: None,
            batch_at: None,
            turn: 0,
        }
    }

    pub(super) fn check_fenced(&self, state: &State) -> Result<(), Error> {
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
    pub(super) fn rebalance(&mut self, state: &mut State) -> Option<Event> {
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
                self.awaiting.remove(partition);
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
                Some(before) => reading.cursor.position().max(before.offset),
                None => reading.cursor.position(),
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
        let (bytes_max, disk) = (shared.options.message_bytes_max, shared.disk.as_ref());
        let Ok(placed) = state.place(&outputs.messages, bytes_max, disk)? else {
            return Ok(CommitOutcome::Full);
        };
        let fault = shared.options.faults.as_ref().and_then(|hook| hook(&self.group));
        if matches!(fault, None | Some(Fault::DieAfter)) {
            let now_ms = (shared.options.clock)();
            let commit = Some((self.group.name.as_str(), offsets));
            let writing = Writing { outputs: &outputs.messages, now_ms, commit };
            if state.write(&placed, writing, disk)?.is_none() {
                return Ok(CommitOutcome::Full);
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
        let revoked: Vec<Partition> = std::mem::take(&mut self.reading).into_keys().collect();
        if !revoked.is_empty() {
            self.due.extend([Event::Revoked(revoked), Event::Assigned(assignments)]);
        }
    }
}

impl Member for MemoryMember {
    fn poll(&mut self, limits: &PollLimits) -> Result<Event, Error> {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        self.check_fenced(&state)?;
        let event = match self.due.pop_front() {
            Some(event) => event,
            None => self.wait_for_batch(&shared, state, limits)?,
        };
        if let Event::Assigned(assignments) = &event {
            self.awaiting.extend(assignments.iter().map(|assigned| assigned.partition.clone()));
        }
        Ok(event)
    }

    fn start(&mut self, partition: &Partition, start: Start) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let state = shared.lock();
        self.check_fenced(&state)?;
        let topic = state.topic(&partition.topic)?;
        let group = state.groups.get(&self.group.name);
        if !self.awaiting.contains(partition) {
            let member = &self.group.member;
            let what = format!("{partition} does not wait for a start by member {member}");
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
        let cursor = Cursor::new(position);
        let from_kept = start == Start::Earliest;
        let began = position;
        let reading = Reading { topic, began, cursor, replay_until, from_kept, told_at_end: false };
        self.reading.insert(partition.clone(), reading);
        self.awaiting.remove(partition);
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
        state.release(&self.group.name, partition, offset, self.shared.disk.as_ref())
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
