//! The embedded exchange: the same promises as Kafka's within one process, and the default of
//! `oddwatch up`.
//!
//! Everything lies behind one lock that is taken once per call, whatever the number of messages;
//! whoever waits is woken by the next write. With a data directory all of it is written to a store
//! first ([`MemoryExchange::open`]), and memory holds only the newest messages; who is behind reads
//! from the disk, without the lock. It also carries the deterministic simulation: the clock is an
//! argument and commits fail as planned ([`crate::faults`]).

mod compaction;
mod cursor;
mod follower;
mod gather;
mod log;
mod member;
mod restoring;
mod shelf;
mod state;
mod writing;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use self::{
    follower::MemoryFollower,
    member::MemoryMember,
    state::{Membership, State},
    writing::Writing,
};
pub use crate::disk::{DiskOptions, Durability};
use crate::{
    disk::Disk,
    faults::FaultHook,
    port::{
        Append, Error, Exchange, FollowFrom, Follower, Group, MESSAGE_BYTES_MAX, Member, Offset,
        Output, Partition, TopicInfo, TopicSpec,
    },
};

/// What a memory exchange needs to know.
#[derive(Clone)]
pub struct MemoryOptions {
    /// Milliseconds since 1970: the timestamp of what is appended. Asked once per commit.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// The largest message: key, value and headers.
    pub message_bytes_max: usize,
    /// Planned misfortune, for tests and the simulation.
    pub faults: Option<FaultHook>,
    /// How the store works, if there is one.
    pub disk: DiskOptions,
}

impl MemoryOptions {
    /// The defaults with this clock.
    pub fn new(clock: Arc<dyn Fn() -> i64 + Send + Sync>) -> Self {
        Self {
            clock,
            message_bytes_max: MESSAGE_BYTES_MAX,
            faults: None,
            disk: DiskOptions::default(),
        }
    }
}

/// Topics, groups and commits in memory. Clones share them.
#[derive(Clone)]
pub struct MemoryExchange {
    shared: Arc<Shared>,
}

/// What all handles share.
struct Shared {
    options: MemoryOptions,
    state: Mutex<State>,
    changed: Condvar,
    disk: Option<Disk>,
}

impl MemoryExchange {
    /// An exchange without topics, in memory only.
    pub fn new(options: MemoryOptions) -> Self {
        Self::with(options, State::default(), None)
    }

    /// An exchange that keeps topics, messages and offsets in a directory of its own, which is
    /// created if need be and locked until all clones, members, followers and appenders are
    /// dropped. It finds there what was answered as durable before, however the process ended.
    ///
    /// # Errors
    /// `Store` if the directory is in use, holds something else, was written by another version, is
    /// damaged, or can't be read and written.
    pub fn open(directory: &Path, options: MemoryOptions) -> Result<Self, Error> {
        let (disk, found) = Disk::open(directory, options.disk)?;
        Ok(Self::with(options, State::found(found), Some(disk)))
    }

    fn with(options: MemoryOptions, state: State, disk: Option<Disk>) -> Self {
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Self { shared: Arc::new(Shared { options, state, changed, disk }) }
    }

    /// Bytes of messages held in memory, in all topics.
    pub fn bytes(&self) -> usize {
        let state = self.shared.lock();
        state.topics.iter().flat_map(|topic| &topic.logs).map(log::Log::cached_bytes).sum()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange for MemoryExchange {
    fn create_topics(&self, specs: &[TopicSpec]) -> Result<(), Error> {
        let mut state = self.shared.lock();
        specs.iter().try_for_each(|spec| state.create(spec, self.shared.disk.as_ref()))
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, Error> {
        let state = self.shared.lock();
        Ok(state.by_name.get(name).map(|&index| {
            let spec = &state.topics[index].spec;
            TopicInfo { name: Arc::clone(&spec.name), partitions: spec.partitions }
        }))
    }

    fn written(&self, partition: &Partition) -> Result<bool, Error> {
        let state = self.shared.lock();
        let topic = state.topic(&partition.topic)?;
        let log = state.topics[topic].logs.get(partition.number as usize);
        let what = || format!("{partition} does not exist");
        Ok(log.ok_or_else(|| Error::Topic { what: what() })?.end() > 0)
    }

    fn join(&self, group: &Group) -> Result<Box<dyn Member>, Error> {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let topics: BTreeSet<_> =
            group.topics.iter().map(|name| state.topic(name)).collect::<Result<_, _>>()?;
        state.add_reader(&group.name, &topics, self.shared.disk.as_ref())?;
        state.joins += 1;
        let join = state.joins;
        let joined = state.groups.entry(group.name.clone()).or_default();
        let topics = topics.into_iter().collect();
        joined.members.insert(group.member.clone(), Membership { join, topics });
        // A predecessor of the same name is fenced: what it owned is free.
        joined.owners.retain(|_, owner| *owner != group.member);
        joined.generation += 1;
        drop(guard);
        self.shared.changed.notify_all();
        Ok(Box::new(MemoryMember::new(Arc::clone(&self.shared), group.clone(), join)))
    }

    fn appender(&self) -> Result<Arc<dyn Append>, Error> {
        Ok(Arc::new(self.clone()))
    }

    fn follow(&self, topic: &str, from: FollowFrom) -> Result<Box<dyn Follower>, Error> {
        let state = self.shared.lock();
        let index = state.topic(topic)?;
        let logs = &state.topics[index].logs;
        let positions = match from {
            FollowFrom::Earliest => logs.iter().map(log::Log::first).collect(),
            FollowFrom::Latest => logs.iter().map(log::Log::end).collect(),
        };
        Ok(Box::new(MemoryFollower::new(Arc::clone(&self.shared), index, positions)))
    }
}

impl Append for MemoryExchange {
    fn append(&self, messages: Vec<Output>) -> Result<Vec<(u32, Offset)>, Error> {
        let shared = &self.shared;
        let (now_ms, disk) = ((shared.options.clock)(), shared.disk.as_ref());
        let mut state = shared.lock();
        let placed = match state.place(&messages, shared.options.message_bytes_max, disk)? {
            Ok(placed) => placed,
            Err(partition) => return Err(Error::Full { what: partition.to_string() }),
        };
        let writing = Writing { outputs: &messages, now_ms, commit: None };
        let Some(appended) = state.write(&placed, writing, disk)? else {
            return Err(Error::Full { what: "the disk of the data directory".into() });
        };
        drop(state);
        shared.changed.notify_all();
        Ok(appended)
    }
}
