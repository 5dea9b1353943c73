//! From what a store holds to the state of an exchange, and back for what changes rarely: topics,
//! readers, releases.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    log::Log,
    state::{State, Topic, TopicIndex},
};
use crate::{
    disk::{Change, Disk, Extent, Found, OffsetRecord, PARTITIONS_MAX, TopicRecord},
    port::{Error, Offset, Partition, TopicSpec},
};

impl State {
    /// The state that a store holds. It is whole: the store has counted and checked its rows.
    pub(super) fn found(found: Found) -> Self {
        let (mut state, mut partitions) = (Self::default(), Vec::new());
        let mut extents = found.extents.into_iter();
        for record in found.topics {
            let mut topic = Topic::new(record.spec, state.partitions);
            topic.is_restored = true;
            topic.readers = record.readers.into_iter().collect();
            for (number, log) in topic.logs.iter_mut().enumerate() {
                *log = Log::found(extents.next().unwrap_or_default());
                partitions.push(Partition::new(Arc::clone(&topic.spec.name), number as u32));
            }
            state.add(topic);
        }
        for (name, id, record) in found.offsets {
            let group = state.groups.entry(name).or_default();
            let Some(partition) = partitions.get(id as usize) else { continue };
            let (committed, released) = (record.committed, record.released);
            group.committed.extend(committed.map(|committed| (partition.clone(), committed)));
            group.released.extend(released.map(|released| (partition.clone(), released)));
        }
        state
    }

    fn add(&mut self, topic: Topic) {
        self.by_name.insert(Arc::clone(&topic.spec.name), self.topics.len());
        self.partitions += topic.spec.partitions;
        self.topics.push(topic);
    }

    /// Creates a topic that is not there yet. One that was found in the store is kept as this
    /// process says.
    pub(super) fn create(&mut self, spec: &TopicSpec, disk: Option<&Disk>) -> Result<(), Error> {
        let refused = |what: &str| {
            let what = format!("topic {}: {what}", spec.name);
            Err(Error::Topic { what })
        };
        if spec.partitions == 0 {
            return refused("0 partitions asked for, at least 1 expected");
        }
        if let Some(&index) = self.by_name.get(&spec.name) {
            let found = self.topics[index].spec.partitions;
            crate::checks::check_partitions(&spec.name, found, spec.partitions)?;
            let mut record = self.topics[index].record();
            if self.topics[index].is_restored && record.spec != *spec {
                record.spec = spec.clone();
                store_topic(index, record, disk)?;
                self.topics[index].spec = spec.clone();
            }
            self.topics[index].is_restored = false;
            return Ok(());
        }
        if PARTITIONS_MAX - self.partitions < spec.partitions {
            return refused(&format!("more than {PARTITIONS_MAX} partitions of all topics"));
        }
        let topic = Topic::new(spec.clone(), self.partitions);
        if let Some(disk) = disk {
            let mut change = Change::default();
            change.topics.push((self.topics.len() as u32, topic.record()));
            let ids = (0..spec.partitions).map(|number| topic.base + number);
            change.extents = ids.map(|id| (id, Extent::default())).collect();
            write(disk, change)?;
        }
        self.add(topic);
        Ok(())
    }

    /// Takes note that a group reads these topics: from now on they keep what it needs.
    pub(super) fn add_reader(
        &mut self,
        group: &str,
        topics: &BTreeSet<TopicIndex>,
        disk: Option<&Disk>,
    ) -> Result<(), Error> {
        for &index in topics {
            if !self.topics[index].readers.contains(group) {
                let mut record = self.topics[index].record();
                record.readers.push(group.to_owned());
                store_topic(index, record, disk)?;
                self.topics[index].readers.insert(group.to_owned());
            }
        }
        Ok(())
    }

    /// Takes note that no restore of a group needs what lies below an offset. It never goes back.
    pub(super) fn release(
        &mut self,
        name: &str,
        partition: &Partition,
        offset: Offset,
        disk: Option<&Disk>,
    ) -> Result<(), Error> {
        let id = self.id((self.topic(&partition.topic)?, partition.number));
        let group = self.groups.entry(name.to_owned()).or_default();
        let before = group.released.get(partition).copied();
        if before.is_some_and(|before| before >= offset) {
            return Ok(());
        }
        group.released.insert(partition.clone(), offset);
        let committed = group.committed.get(partition).cloned();
        let record = OffsetRecord { committed, released: Some(offset) };
        let offsets = vec![(name.to_owned(), id, record)];
        if let Some(disk) = disk {
            // Without room on the disk the group's next commit brings it there.
            disk.write(Change { offsets, ..Change::default() })?;
        }
        Ok(())
    }
}

fn store_topic(index: TopicIndex, record: TopicRecord, disk: Option<&Disk>) -> Result<(), Error> {
    let Some(disk) = disk else { return Ok(()) };
    let topics = vec![(index as u32, record)];
    write(disk, Change { topics, ..Change::default() })
}

/// Writes what must not wait for room.
fn write(disk: &Disk, change: Change) -> Result<(), Error> {
    match disk.write(change)? {
        true => Ok(()),
        false => Err(Error::Full { what: "the disk of the data directory".into() }),
    }
}
