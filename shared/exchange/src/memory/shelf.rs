//! The oldest chunks of a partition on the disk, as far as they are known: what goes when room is
//! needed.

use std::collections::VecDeque;

use crate::{
    disk::{ChunkMeta, Disk, PartitionId},
    port::{Error, Offset},
};

/// How many chunks are read at once, and how many are kept in mind without being read.
const CHUNKS_MAX: usize = 1_024;

/// How much of a partition has to go, and how much may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// What the partition has now.
    pub(super) bytes: u64,
    /// What is to be added, and what all may be then.
    pub(super) room: u64,
    pub(super) bytes_max: u64,
    /// Chunks that reach it stay.
    pub(super) limit: Offset,
}

/// A queue of chunks, the oldest first.
#[derive(Default)]
pub(super) struct Shelf {
    oldest: VecDeque<ChunkMeta>,
    /// There are none after those in `oldest`.
    complete: bool,
}

impl Shelf {
    /// The oldest chunk but `number`.
    fn get(
        &mut self,
        number: usize,
        disk: &Disk,
        partition: PartitionId,
    ) -> Result<Option<ChunkMeta>, Error> {
        while self.oldest.len() <= number && !self.complete {
            let from = self.oldest.back().map_or(0, |chunk| chunk.last + 1);
            let more = disk.metas(partition, from, CHUNKS_MAX)?;
            self.complete = more.len() < CHUNKS_MAX;
            self.oldest.extend(more);
        }
        Ok(self.oldest.get(number).copied())
    }

    /// How many of the oldest chunks have to go so that there is room; `None` if they can't. An
    /// empty partition takes anything, else one large commit would be refused for ever.
    pub(super) fn room(
        &mut self,
        need: Need,
        disk: &Disk,
        partition: PartitionId,
    ) -> Result<Option<usize>, Error> {
        let (mut bytes, mut chunks) = (need.bytes, 0);
        while bytes + need.room > need.bytes_max {
            match self.get(chunks, disk, partition)? {
                None => break,
                Some(oldest) if oldest.last >= need.limit => return Ok(None),
                Some(oldest) => bytes = bytes.saturating_sub(oldest.cost),
            }
            chunks += 1;
        }
        Ok(Some(chunks))
    }

    /// How many of the oldest chunks were written before an instant and end below a limit; not all
    /// at once.
    pub(super) fn expired(
        &mut self,
        before_ms: i64,
        limit: Offset,
        disk: &Disk,
        partition: PartitionId,
    ) -> Result<usize, Error> {
        let mut chunks = 0;
        while chunks < CHUNKS_MAX
            && let Some(oldest) = self.get(chunks, disk, partition)?
            && oldest.timestamp_ms < before_ms
            && oldest.last < limit
        {
            chunks += 1;
        }
        Ok(chunks)
    }

    /// The oldest chunks, so many of those that were asked about.
    pub(super) fn oldest(&self, chunks: usize) -> impl Iterator<Item = &ChunkMeta> {
        self.oldest.iter().take(chunks)
    }

    /// The oldest chunks are gone.
    pub(super) fn take(&mut self, chunks: usize) {
        self.oldest.drain(..chunks.min(self.oldest.len()));
    }

    /// New chunks are there; those beyond the queue's length will be read again.
    pub(super) fn put(&mut self, chunks: &[ChunkMeta]) {
        if self.complete && self.oldest.len() + chunks.len() <= CHUNKS_MAX {
            self.oldest.extend(chunks);
        } else if !chunks.is_empty() {
            self.complete = false;
        }
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
