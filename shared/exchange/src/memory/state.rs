//! All that the memory exchange knows, behind one lock: topics, their logs, groups and who owns what.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::log::{Log, cost};
use crate::{
    placement::murmur2_partition,
    port::{Committed, Error, Offset, Output, Partition, TopicSpec},
};

/// A topic's place in [`State::topics`].
pub(super) type TopicIndex = usize;

/// A topic: its description and one log per partition.
pub(super) struct Topic {
    pub(super) spec: TopicSpec,
    pub(super) logs: Vec<Log>,
    /// Groups that ever joined; none of them may lose a message that it has not committed.
    pub(super) readers: BTreeSet<String>,
    /// The partition of the next message that has neither key nor partition.
    turn: u32,
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
}

/// Outputs that are known to fit, by the log they go to.
pub(super) struct Placed {
    places: Vec<(TopicIndex, u32)>,
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

    /// Decides where each output goes and makes room for all of them: `Ok(Err(..))` names the partition that
    /// has none.
    pub(super) fn place(
        &mut self,
        outputs: &[Output],
        message_bytes_max: usize,
    ) -> Result<Result<Placed, Partition>, Error> {
        let mut places = Vec::with_capacity(outputs.len());
        let mut needs: BTreeMap<(TopicIndex, u32), usize> = BTreeMap::new();
        let mut last: Option<(Arc<str>, TopicIndex)> = None;
        for output in outputs {
            let index = match &last {
                Some((name, index)) if Arc::ptr_eq(name, &output.topic) => *index,
                _ => self.topic(&output.topic)?,
            };
            last = Some((Arc::clone(&output.topic), index));
            let bytes = output.size();
            if bytes > message_bytes_max {
                let topic = output.topic.to_string();
                return Err(Error::Oversized { topic, bytes, bytes_max: message_bytes_max });
            }
            let number = self.topics[index].partition_of(output)?;
            places.push((index, number));
            *needs.entry((index, number)).or_default() += cost(output);
        }
        for (&(index, number), &room) in &needs {
            if !self.make_room(index, number, room) {
                let name = Arc::clone(&self.topics[index].spec.name);
                return Ok(Err(Partition::new(name, number)));
            }
        }
        Ok(Ok(Placed { places }))
    }

    /// Appends placed outputs and returns their partitions and offsets.
    pub(super) fn append(
        &mut self,
        outputs: &[Output],
        placed: &Placed,
        timestamp_ms: i64,
    ) -> Vec<(u32, Offset)> {
        let places = placed.places.iter().zip(outputs);
        let appended = places
            .map(|(&(index, number), output)| {
                let log = &mut self.topics[index].logs[number as usize];
                (number, log.push(output, timestamp_ms))
            })
            .collect();
        // A ring is cut after the append: what is written last stays.
        for &(index, number) in &placed.places {
            let topic = &mut self.topics[index];
            if topic.spec.ring {
                let log = &mut topic.logs[number as usize];
                let newest = log.end().saturating_sub(1);
                log.make_room(0, topic.spec.memory_bytes_max, newest);
            }
        }
        appended
    }

    /// Burns one offset in every partition that a commit wrote to.
    pub(super) fn burn(&mut self, placed: &Placed) {
        let written: BTreeSet<(TopicIndex, u32)> = placed.places.iter().copied().collect();
        for (index, number) in written {
            self.topics[index].logs[number as usize].burn();
        }
    }

    fn make_room(&mut self, index: TopicIndex, number: u32, room: usize) -> bool {
        let topic = &mut self.topics[index];
        let bytes_max = topic.spec.memory_bytes_max;
        let log = &mut topic.logs[number as usize];
        if topic.spec.ring || log.bytes() + room <= bytes_max {
            return true;
        }
        if topic.spec.compacted && log.compact() && log.bytes() + room <= bytes_max {
            return true;
        }
        // Nothing goes before it has to: services rebuild their state from what is kept.
        let partition = Partition::new(Arc::clone(&topic.spec.name), number);
        let needed = |group: &String| {
            let group = self.groups.get(group)?;
            let committed = group.committed.get(&partition).map(|committed| committed.offset);
            group.released.get(&partition).copied().or(committed)
        };
        let passed = topic.readers.iter().map(|group| needed(group).unwrap_or(0));
        let limit = passed.min().unwrap_or(0);
        log.make_room(room, bytes_max, limit)
    }
}

impl Topic {
    pub(super) fn new(spec: TopicSpec) -> Self {
        let logs = (0..spec.partitions).map(|_| Log::default()).collect();
        Self { spec, logs, readers: BTreeSet::new(), turn: 0 }
    }

    fn partition_of(&mut self, output: &Output) -> Result<u32, Error> {
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
