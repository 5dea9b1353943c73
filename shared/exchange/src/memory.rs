//! The embedded exchange: the same promises as Kafka's within one process, and the default of `oddwatch up`.
//!
//! Everything lies behind one lock that is taken once per call, whatever the number of messages; whoever waits
//! is woken by the next write. It also carries the deterministic simulation: the clock is an argument and
//! commits fail as planned ([`crate::faults`]).

mod follower;
mod log;
mod member;
mod state;

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use self::{
    follower::MemoryFollower,
    member::MemoryMember,
    state::{Membership, State, Topic},
};
use crate::{
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
}

impl MemoryOptions {
    /// The defaults with this clock.
    pub fn new(clock: Arc<dyn Fn() -> i64 + Send + Sync>) -> Self {
        Self { clock, message_bytes_max: MESSAGE_BYTES_MAX, faults: None }
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
}

impl MemoryExchange {
    /// An exchange without topics.
    pub fn new(options: MemoryOptions) -> Self {
        let shared = Shared { options, state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Bytes held in all topics.
    pub fn bytes(&self) -> usize {
        let state = self.shared.lock();
        state.topics.iter().flat_map(|topic| &topic.logs).map(log::Log::bytes).sum()
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
        for spec in specs {
            if spec.partitions == 0 {
                let what =
                    format!("topic {}: 0 partitions asked for, at least 1 expected", spec.name);
                return Err(Error::Topic { what });
            }
            match state.by_name.get(&spec.name) {
                Some(&index) => {
                    let found = state.topics[index].spec.partitions;
                    crate::checks::check_partitions(&spec.name, found, spec.partitions)?;
                }
                None => {
                    let index = state.topics.len();
                    state.topics.push(Topic::new(spec.clone()));
                    state.by_name.insert(Arc::clone(&spec.name), index);
                }
            }
        }
        Ok(())
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
        Ok(state.log(topic, partition.number).end() > 0)
    }

    fn join(&self, group: &Group) -> Result<Box<dyn Member>, Error> {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let topics: BTreeSet<_> =
            group.topics.iter().map(|name| state.topic(name)).collect::<Result<_, _>>()?;
        for &index in &topics {
            state.topics[index].readers.insert(group.name.clone());
        }
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
        let now_ms = (self.shared.options.clock)();
        let mut state = self.shared.lock();
        let placed = match state.place(&messages, self.shared.options.message_bytes_max)? {
            Ok(placed) => placed,
            Err(partition) => return Err(Error::Full { what: partition.to_string() }),
        };
        let appended = state.append(&messages, &placed, now_ms);
        drop(state);
        self.shared.changed.notify_all();
        Ok(appended)
    }
}
