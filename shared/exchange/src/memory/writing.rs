//! Appending: where outputs go, whether there is room, and the one change by which they come to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    log::cost,
    shelf::Need,
    state::{State, TopicIndex},
};
use crate::{
    disk::{Change, ChunkMeta, ChunkWriter, Disk, Extent, OffsetRecord},
    port::{Committed, Error, Offset, Output, Partition},
};

/// A partition by the place of its topic.
type Place = (TopicIndex, u32);

/// Outputs that are known to fit, by the log they go to.
pub(super) struct Placed {
    places: Vec<Place>,
    /// How many of the oldest chunks on the disk go so that they fit.
    gone: BTreeMap<Place, usize>,
}

/// What one call writes.
pub(super) struct Writing<'a> {
    pub(super) outputs: &'a [Output],
    pub(super) now_ms: i64,
    /// Of a commit: the group and its offsets. It burns an offset in every partition that it writes
    /// to.
    pub(super) commit: Option<(&'a str, Vec<(Partition, Committed)>)>,
}

/// What becomes of a partition on the disk.
struct Plan {
    extent: Extent,
    compacted: bool,
    open: Option<ChunkWriter>,
    chunks: Vec<ChunkWriter>,
    gone: usize,
}

impl State {
    /// Decides where each output goes and makes room for all of them: `Ok(Err(..))` names the
    /// partition that has none.
    pub(super) fn place(
        &mut self,
        outputs: &[Output],
        message_bytes_max: usize,
        disk: Option<&Disk>,
    ) -> Result<Result<Placed, Partition>, Error> {
        let mut places = Vec::with_capacity(outputs.len());
        let mut needs: BTreeMap<Place, usize> = BTreeMap::new();
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
        let mut gone = BTreeMap::new();
        for (&place, &room) in &needs {
            let fits = match disk {
                None => self.make_room(place, room).then_some(0),
                Some(disk) => self.room_on_disk(place, room, disk)?,
            };
            let Some(chunks) = fits else { return Ok(Err(self.partition(place))) };
            gone.insert(place, chunks);
        }
        Ok(Ok(Placed { places, gone }))
    }

    /// Writes placed outputs and, of a commit, its offsets; all or nothing. Returns the outputs'
    /// partitions and offsets, or `None` if the disk has no room for them.
    pub(super) fn write(
        &mut self,
        placed: &Placed,
        writing: Writing<'_>,
        disk: Option<&Disk>,
    ) -> Result<Option<Vec<(u32, Offset)>>, Error> {
        let written: BTreeSet<Place> = placed.places.iter().copied().collect();
        let Some(disk) = disk else {
            let appended = self.append(&writing, placed);
            if writing.commit.is_some() {
                written.iter().for_each(|&(index, number)| {
                    self.topics[index].logs[number as usize].burn();
                });
            }
            self.cut_rings(&written);
            self.take_offsets(writing.commit);
            return Ok(Some(appended));
        };
        let plans = self.plan(placed, &writing, disk)?;
        let mut change = Change { offsets: self.offset_records(&writing)?, ..Change::default() };
        let mut settled: Vec<(Place, Extent, usize, Vec<ChunkMeta>)> = Vec::new();
        for (place, plan) in plans {
            let (id, shelf) = (self.id(place), &self.log(place.0, place.1).shelf);
            let mut dropped = shelf.oldest(plan.gone);
            if let Some(oldest) = dropped.next() {
                let newest = dropped.last().unwrap_or(oldest);
                change.dropped.push((id, oldest.first..=newest.first));
            }
            let metas = plan.chunks.iter().map(ChunkWriter::meta).collect();
            change.extents.push((id, plan.extent));
            change.chunks.extend(plan.chunks.into_iter().map(|chunk| (id, chunk)));
            settled.push((place, plan.extent, plan.gone, metas));
        }
        if !disk.write(change)? {
            return Ok(None);
        }
        let appended = self.append(&writing, placed);
        self.take_offsets(writing.commit);
        for ((index, number), extent, gone, metas) in settled {
            let topic = &mut self.topics[index];
            let cache_bytes_max = topic.cache_bytes_max(disk);
            topic.logs[number as usize].settle(extent, gone, &metas, cache_bytes_max);
            self.compact_on_disk((index, number), disk)?;
        }
        Ok(Some(appended))
    }

    /// Appends to the logs in memory.
    fn append(&mut self, writing: &Writing<'_>, placed: &Placed) -> Vec<(u32, Offset)> {
        let places = placed.places.iter().zip(writing.outputs);
        let appended = places.map(|(&(index, number), output)| {
            let log = &mut self.topics[index].logs[number as usize];
            (number, log.push(output, writing.now_ms))
        });
        appended.collect()
    }

    /// A ring in memory is cut after the append: what is written last stays.
    fn cut_rings(&mut self, written: &BTreeSet<Place>) {
        for &(index, number) in written {
            let topic = &mut self.topics[index];
            let (ring, bytes_max) = (topic.spec.ring, topic.spec.memory_bytes_max);
            let log = &mut topic.logs[number as usize];
            if !ring || log.cached_bytes() <= bytes_max {
                continue;
            }
            if topic.spec.compacted {
                log.compact();
            }
            let newest = log.extent().end.saturating_sub(1);
            log.make_room(0, bytes_max, newest);
        }
    }

    fn take_offsets(&mut self, commit: Option<(&str, Vec<(Partition, Committed)>)>) {
        if let Some((name, offsets)) = commit
            && let Some(group) = self.groups.get_mut(name)
        {
            group.committed.extend(offsets);
        }
    }

    /// The rows of a commit's offsets: what is released stays as it is.
    fn offset_records(
        &self,
        writing: &Writing<'_>,
    ) -> Result<Vec<(String, u32, OffsetRecord)>, Error> {
        let Some((name, offsets)) = &writing.commit else { return Ok(Vec::new()) };
        let group = self.groups.get(*name);
        let record = |(partition, committed): &(Partition, Committed)| {
            let id = self.id((self.topic(&partition.topic)?, partition.number));
            let released = group.and_then(|group| group.released.get(partition)).copied();
            let committed = Some(committed.clone());
            Ok(((*name).to_owned(), id, OffsetRecord { committed, released }))
        };
        offsets.iter().map(record).collect()
    }

    /// Numbers the outputs, packs them into chunks, and decides what goes: for room, or by age.
    fn plan(
        &mut self,
        placed: &Placed,
        writing: &Writing<'_>,
        disk: &Disk,
    ) -> Result<BTreeMap<Place, Plan>, Error> {
        let mut plans: BTreeMap<Place, Plan> = BTreeMap::new();
        for (&place, output) in placed.places.iter().zip(writing.outputs) {
            let plan = plans.entry(place).or_insert_with(|| Plan {
                extent: self.log(place.0, place.1).extent(),
                compacted: self.topics[place.0].spec.compacted,
                open: None,
                chunks: Vec::new(),
                gone: placed.gone.get(&place).copied().unwrap_or(0),
            });
            plan.put(output, writing.now_ms, disk.chunk_bytes_max());
        }
        for (&place, plan) in &mut plans {
            plan.chunks.extend(plan.open.take());
            plan.extent.next += u64::from(writing.commit.is_some());
            plan.gone = plan.gone.max(self.expired(place, writing.now_ms, disk)?);
            for chunk in self.log(place.0, place.1).shelf.oldest(plan.gone) {
                plan.extent.bytes = plan.extent.bytes.saturating_sub(chunk.cost);
                plan.extent.first = chunk.last + 1;
            }
            if self.topics[place.0].spec.ring {
                plan.cut(disk.bytes_max());
            }
        }
        Ok(plans)
    }

    fn make_room(&mut self, (index, number): Place, room: usize) -> bool {
        let limit = self.needed((index, number)).unwrap_or(0);
        let topic = &mut self.topics[index];
        let bytes_max = topic.spec.memory_bytes_max;
        let log = &mut topic.logs[number as usize];
        if topic.spec.ring || log.cached_bytes() + room <= bytes_max {
            return true;
        }
        if topic.spec.compacted && log.compact() && log.cached_bytes() + room <= bytes_max {
            return true;
        }
        // Nothing goes before it has to: services rebuild their state from what is kept.
        log.make_room(room, bytes_max, limit)
    }

    /// How many of the oldest chunks have to go, `None` if they must not.
    fn room_on_disk(
        &mut self,
        place: Place,
        room: usize,
        disk: &Disk,
    ) -> Result<Option<usize>, Error> {
        let (room, bytes_max) = (room as u64, disk.bytes_max());
        let bytes = self.log(place.0, place.1).extent().bytes;
        if bytes + room <= bytes_max {
            return Ok(Some(0));
        }
        let limit = match self.topics[place.0].spec.ring {
            true => Offset::MAX,
            false => self.needed(place).unwrap_or(0),
        };
        let (need, id) = (Need { bytes, room, bytes_max, limit }, self.id(place));
        self.topics[place.0].logs[place.1 as usize].shelf.room(need, disk, id)
    }

    /// How many of the oldest chunks are older than the topic keeps them, and needed by no group.
    fn expired(&mut self, place: Place, now_ms: i64, disk: &Disk) -> Result<usize, Error> {
        let spec = &self.topics[place.0].spec;
        let Some(retention_ms) = spec.retention_ms else { return Ok(0) };
        let limit = match spec.ring {
            true => Offset::MAX,
            false => self.needed(place).unwrap_or(Offset::MAX),
        };
        let (before_ms, id) = (now_ms.saturating_sub(retention_ms), self.id(place));
        let shelf = &mut self.topics[place.0].logs[place.1 as usize].shelf;
        shelf.expired(before_ms, limit, disk, id)
    }

    /// The first offset that some group still needs: what it has not released, if it ever released
    /// anything, or else what it has not committed. `None` if no group ever joined.
    fn needed(&self, (index, number): Place) -> Option<Offset> {
        let topic = &self.topics[index];
        let partition = Partition::new(Arc::clone(&topic.spec.name), number);
        let needed = |group: &String| {
            let group = self.groups.get(group)?;
            let committed = group.committed.get(&partition).map(|committed| committed.offset);
            group.released.get(&partition).copied().or(committed)
        };
        topic.readers.iter().map(|group| needed(group).unwrap_or(0)).min()
    }
}

impl Plan {
    /// Leaves out the oldest of what is new where a ring can't hold all of it: what is written last
    /// stays.
    fn cut(&mut self, bytes_max: u64) {
        let chunks = self.chunks.iter().map(ChunkWriter::meta);
        let mut beyond = 0;
        for chunk in chunks.take(self.chunks.len().saturating_sub(1)) {
            if self.extent.bytes <= bytes_max {
                break;
            }
            self.extent.bytes -= chunk.cost;
            self.extent.first = chunk.last + 1;
            beyond += 1;
        }
        self.chunks.drain(..beyond);
    }

    fn put(&mut self, output: &Output, now_ms: i64, chunk_bytes_max: u64) {
        let (offset, bytes) = (self.extent.next, cost(output) as u64);
        if self.open.as_ref().is_some_and(|open| open.cost() + bytes > chunk_bytes_max) {
            self.chunks.extend(self.open.take());
        }
        let after = (!self.compacted).then_some(self.extent.end);
        let open = self.open.get_or_insert_with(|| ChunkWriter::new(offset, after, now_ms));
        open.put(offset, output, bytes);
        self.extent.next = offset + 1;
        self.extent.end = offset + 1;
        self.extent.bytes += bytes;
    }
}
