//! All that the memory exchange knows, behind one lock: topics, their logs, groups and who owns what.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::log::Log;
use crate::{
    disk::{Disk, PartitionId, TopicRecord},
    placement::murmur2_partition,
    port::{Committed, Error, Offset, Output, Partition, TopicSpec},
};

/// A topic's place in [`State::topics`].
pub(super) type TopicIndex = usize;

/// A topic: its description and one log per partition.
pub(super) struct Topic {
    pub(super) spec: TopicSpec,
    /// The number of its first partition in the store.
    pub(super) base: PartitionId,
    pub(super) logs: Vec<Log>,
    /// Groups that ever joined; none of them may lose a message that it has not committed.
    pub(super) readers: BTreeSet<String>,
    /// The partition of the next message that has neither key nor partition.
    turn: u32,
    /// It was found in the store: whoever creates it next says how it is to be kept.
    pub(super) is_restored: bool,
}

/// A consumer group.
#[derive(Default)]
pub(super) struct GroupState {
    pub(super) members: BTreeMap<String, Membership>,
    pub(super) committed: HashMap<Partition, Committed>,
    /// What its restores don't need any more lies below these; where none is known, below what is committed.
    pub(super) released: HashMap<Partition, Offset>,
    /// Which member owns a partition at present; it may differ from the target until the old owner polls.
    pub(super) owners: BTreeMap<Partition, String>,
    /// Rises when members come and go.
    pub(super) generation: u64,
}

/// One member of a group.
pub(super) struct Membership {
    /// Which of all joins this is; a later one under the same name fences it.
    pub(super) join: u64,
    pub(super) topics: Vec<TopicIndex>,
}

/// Everything.
#[derive(Default)]
pub(super) struct State {
    pub(super) topics: Vec<Topic>,
    pub(super) by_name: HashMap<Arc<str>, TopicIndex>,
    pub(super) groups: HashMap<String, GroupState>,
    pub(super) joins: u64,
    /// Partitions of all topics.
    pub(super) partitions: u32,
}

impl State {
    /// A topic by name.
    pub(super) fn topic(&self, name: &str) -> Result<TopicIndex, Error> {
        self.by_name.get(name).copied().ok_or_else(|| Error::Topic {
            what: format!("topic {name} does not exist; create it first"),
        })
    }

    /// What a group has committed for a partition.
    pub(super) fn committed(&self, group: &str, partition: &Partition) -> Option<&Committed> {
        self.groups.get(group)?.committed.get(partition)
    }

    /// A partition's log.
    pub(super) fn log(&self, topic: TopicIndex, number: u32) -> &Log {
        &self.topics[topic].logs[number as usize]
    }

    /// The partitions that a member is to own: those of each topic go round its readers by number, so equal
    /// numbers of several topics meet in one member.
    pub(super) fn targets(&self, group: &GroupState, member: &str) -> BTreeSet<Partition> {
        let Some(membership) = group.members.get(member) else { return BTreeSet::new() };
        let mut targets = BTreeSet::new();
        for &index in &membership.topics {
            let readers: Vec<&String> = group
                .members
                .iter()
                .filter(|(_, other)| other.topics.contains(&index))
                .map(|(name, _)| name)
                .collect();
            let topic = &self.topics[index];
            for number in 0..topic.spec.partitions {
                if readers[number as usize % readers.len()] == member {
                    targets.insert(Partition::new(Arc::clone(&topic.spec.name), number));
                }
            }
        }
        targets
    }

    /// A partition by its topic's place.
    pub(super) fn partition(&self, (topic, number): (TopicIndex, u32)) -> Partition {
        Partition::new(Arc::clone(&self.topics[topic].spec.name), number)
    }

    /// A partition's number in the store.
    pub(super) fn id(&self, (topic, number): (TopicIndex, u32)) -> PartitionId {
        self.topics[topic].base + number
    }
}

impl Topic {
    pub(super) fn new(spec: TopicSpec, base: PartitionId) -> Self {
        let logs = (0..spec.partitions).map(|_| Log::default()).collect();
        Self { spec, base, logs, readers: BTreeSet::new(), turn: 0, is_restored: false }
    }

    /// As it is stored.
    pub(super) fn record(&self) -> TopicRecord {
        TopicRecord { spec: self.spec.clone(), readers: self.readers.iter().cloned().collect() }
    }

    /// The bound of what a partition keeps in memory of what is on the disk.
    pub(super) fn cache_bytes_max(&self, disk: &Disk) -> usize {
        self.spec.memory_bytes_max.min(disk.cache_bytes_max())
    }

    pub(super) fn partition_of(&mut self, output: &Output) -> Result<u32, Error> {
        let partitions = self.spec.partitions;
        match (output.partition, &output.key) {
            (Some(number), _) if number < partitions => Ok(number),
            (Some(number), _) => Err(Error::Topic {
                what: format!(
                    "topic {} has no partition {number}, only 0 to {}",
                    self.spec.name,
                    partitions - 1
                ),
            }),
            (None, Some(key)) => Ok(murmur2_partition(key, partitions)),
            (None, None) => {
                self.turn = (self.turn + 1) % partitions;
                Ok(self.turn)
            }
        }
    }
}
