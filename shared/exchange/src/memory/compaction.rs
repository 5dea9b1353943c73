//! Compacting a partition on the disk: of every key only the newest message stays, and no
//! tombstone.

use super::{
    log::{Newest, kept_cost},
    state::{State, TopicIndex},
};
use crate::{
    disk::{Change, ChunkMeta, ChunkWriter, Disk, Extent, PartitionId},
    port::{Error, Message},
};

/// How much is rewritten in one transaction. Older messages go first, so that a kill between two
/// transactions brings nothing back.
const STEP_BYTES_MAX: u64 = 4 << 20;

/// A compaction under way.
struct Compaction<'a> {
    disk: &'a Disk,
    partition: PartitionId,
    newest: &'a Newest,
    change: Change,
    /// Bytes in `change`.
    pending: u64,
    /// The partition as `change` leaves it.
    extent: Extent,
    /// Where the messages end that stay.
    end: u64,
    /// The disk has no room: what was not written is left as it is.
    is_stopped: bool,
}

impl State {
    /// Compacts a partition of a compacted topic once it has doubled since the last time and no
    /// longer fits in memory.
    pub(super) fn compact_on_disk(
        &mut self,
        place: (TopicIndex, u32),
        disk: &Disk,
    ) -> Result<(), Error> {
        let (partition, topic) = (self.id(place), &mut self.topics[place.0]);
        let floor = topic.cache_bytes_max(disk) as u64;
        let log = &mut topic.logs[place.1 as usize];
        let extent = log.extent();
        let is_due = extent.bytes > floor && extent.bytes / 2 >= extent.compacted_bytes;
        if !topic.spec.compacted || !is_due {
            return Ok(());
        }
        let mut newest = Newest::default();
        disk.scan(partition, |_, messages| {
            messages.iter().for_each(|message| newest.note(message));
            Ok(())
        })?;
        let mut compaction = Compaction {
            disk,
            partition,
            newest: &newest,
            change: Change::default(),
            pending: 0,
            extent,
            end: extent.first,
            is_stopped: false,
        };
        disk.scan(partition, |meta, messages| compaction.rewrite(meta, &messages))?;
        compaction.extent.end = compaction.end;
        compaction.extent.compacted_bytes = compaction.extent.bytes;
        compaction.flush()?;
        let (extent, is_stopped) = (compaction.extent, compaction.is_stopped);
        log.shelf.forget();
        if !is_stopped {
            log.drop_cached(&newest);
            log.compacted(extent);
        }
        Ok(())
    }
}

impl Compaction<'_> {
    fn rewrite(&mut self, meta: ChunkMeta, messages: &[Message]) -> Result<(), Error> {
        // The newest chunk is always part of the last transaction: that one says where the
        // partition ends.
        if self.pending >= STEP_BYTES_MAX {
            self.flush()?;
        }
        let mut kept = messages.iter().filter(|message| self.newest.keeps(message)).peekable();
        let Some(first) = kept.peek().map(|message| message.offset) else {
            self.drop_chunk(&meta);
            return Ok(());
        };
        let mut chunk = ChunkWriter::new(first, None, meta.timestamp_ms);
        kept.for_each(|message| chunk.put_again(message, kept_cost(message) as u64));
        self.end = chunk.meta().last + 1;
        if chunk.cost() == meta.cost {
            return Ok(());
        }
        self.drop_chunk(&meta);
        self.extent.bytes += chunk.cost();
        self.pending += chunk.cost();
        self.change.chunks.push((self.partition, chunk));
        Ok(())
    }

    fn drop_chunk(&mut self, meta: &ChunkMeta) {
        self.change.dropped.push((self.partition, meta.first..=meta.first));
        self.extent.bytes = self.extent.bytes.saturating_sub(meta.cost);
        self.pending += 64;
    }

    fn flush(&mut self) -> Result<(), Error> {
        let mut change = std::mem::take(&mut self.change);
        change.extents.push((self.partition, self.extent));
        self.pending = 0;
        if !self.is_stopped {
            self.is_stopped = !self.disk.write(change)?;
        }
        Ok(())
    }
}
