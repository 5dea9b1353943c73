//! One partition: its newest messages by offset, in memory. Without a store that is all there is,
//! bounded in bytes; with one the older messages are on the disk, and [`Shelf`] knows the oldest of
//! them.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::shelf::Shelf;
use crate::{
    disk::{ChunkMeta, Extent},
    port::{Message, Offset, Output},
};

/// What a message costs besides its key, value and headers: its struct and the handles of its
/// buffers.
const MESSAGE_BYTES: usize = size_of::<Message>() + 32;

/// What a message counts against its partition's bound.
pub(super) fn cost(output: &Output) -> usize {
    MESSAGE_BYTES + output.size()
}

pub(super) fn kept_cost(message: &Message) -> usize {
    MESSAGE_BYTES + message.size()
}

/// The newest message of each key, by which a log is compacted.
#[derive(Default)]
pub(super) struct Newest(HashMap<Bytes, Offset>);

impl Newest {
    /// Takes note of a message; later ones of the same key come later.
    pub(super) fn note(&mut self, message: &Message) {
        match message.key.as_ref().and_then(|key| self.0.get_mut(key)) {
            Some(offset) => *offset = message.offset,
            None => {
                // A copy: the message's own key would hold on to all that it was read with.
                let key = message.key.as_deref().map(Bytes::copy_from_slice);
                self.0.extend(key.map(|key| (key, message.offset)));
            }
        }
    }

    /// Whether a message stays: it has no key, or is its key's newest and no tombstone.
    pub(super) fn keeps(&self, message: &Message) -> bool {
        match &message.key {
            None => true,
            Some(key) => message.value.is_some() && self.0.get(key) == Some(&message.offset),
        }
    }
}

/// The log of one partition. Offsets rise, with holes where commits burnt one.
#[derive(Default)]
pub(super) struct Log {
    extent: Extent,
    messages: VecDeque<Message>,
    /// What is kept from this offset on is in `messages`, all of it.
    cached_from: Offset,
    cached_bytes: usize,
    /// The oldest messages on the disk, as far as known; unused without a store.
    pub(super) shelf: Shelf,
}

impl Log {
    /// A log as it was found on the disk.
    pub(super) fn found(extent: Extent) -> Self {
        Self { extent, cached_from: extent.next, ..Self::default() }
    }

    /// What is kept, wherever.
    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    /// The first offset kept.
    pub(super) fn first(&self) -> Offset {
        self.extent.first
    }

    /// The offset that the next message will have.
    #[expect(clippy::misnamed_getters, reason = "the log's end is behind burnt offsets too")]
    pub(super) fn end(&self) -> Offset {
        self.extent.next
    }

    /// Bytes held in memory.
    pub(super) fn cached_bytes(&self) -> usize {
        self.cached_bytes
    }

    /// What lies before must be fetched from the store.
    pub(super) fn cached_from(&self) -> Offset {
        self.cached_from.max(self.extent.first)
    }

    /// The messages in memory from an offset on.
    pub(super) fn from(&self, offset: Offset) -> impl Iterator<Item = &Message> {
        let start = self.messages.partition_point(|message| message.offset < offset);
        self.messages.range(start..)
    }

    /// Whether nothing is there at or after an offset.
    pub(super) fn is_end(&self, offset: Offset) -> bool {
        self.extent.end <= offset
    }

    /// Appends a message and returns its offset.
    pub(super) fn push(&mut self, output: &Output, timestamp_ms: i64) -> Offset {
        let (offset, bytes) = (self.extent.next, cost(output));
        self.extent.next += 1;
        self.extent.end = self.extent.next;
        self.extent.bytes += bytes as u64;
        self.cached_bytes += bytes;
        self.messages.push_back(Message {
            offset,
            timestamp_ms,
            key: output.key.clone(),
            value: output.value.clone(),
            headers: output.headers.clone(),
        });
        offset
    }

    /// Skips one offset, as a transaction marker does.
    pub(super) fn burn(&mut self) {
        self.extent.next += 1;
    }

    /// Frees the oldest messages below `limit` until `room` more bytes fit under `bytes_max`; says
    /// whether they fit. An empty log takes anything, else one large commit would be refused for
    /// ever.
    pub(super) fn make_room(&mut self, room: usize, bytes_max: usize, limit: Offset) -> bool {
        while self.cached_bytes + room > bytes_max {
            match self.messages.front() {
                None => return true,
                Some(oldest) if oldest.offset >= limit => return false,
                Some(oldest) => {
                    self.extent.first = oldest.offset + 1;
                    self.uncache_oldest();
                    self.extent.bytes = self.cached_bytes as u64;
                }
            }
        }
        true
    }

    /// Keeps only the newest message of each key, and no tombstones; says whether it was worth
    /// trying.
    pub(super) fn compact(&mut self) -> bool {
        if self.extent.bytes / 2 < self.extent.compacted_bytes {
            return false;
        }
        let mut newest = Newest::default();
        self.messages.iter().for_each(|message| newest.note(message));
        self.drop_cached(&newest);
        let bytes = self.cached_bytes as u64;
        (self.extent.bytes, self.extent.compacted_bytes) = (bytes, bytes);
        self.extent.end = self.messages.back().map_or(self.extent.first, |last| last.offset + 1);
        true
    }

    /// Drops from memory what a compaction drops.
    pub(super) fn drop_cached(&mut self, newest: &Newest) {
        self.messages.retain(|message| newest.keeps(message));
        self.cached_bytes = self.messages.iter().map(kept_cost).sum();
    }

    /// Takes over what was written to the store: the oldest `gone` chunks went, `new` ones came,
    /// and at most `cache_bytes_max` stay in memory.
    pub(super) fn settle(
        &mut self,
        extent: Extent,
        gone: usize,
        new: &[ChunkMeta],
        cache_bytes_max: usize,
    ) {
        self.extent = extent;
        self.shelf.take(gone);
        self.shelf.put(new);
        while let Some(oldest) = self.messages.front()
            && (oldest.offset < extent.first || self.cached_bytes > cache_bytes_max)
        {
            self.uncache_oldest();
        }
    }

    /// Takes over what a compaction on the disk has left.
    pub(super) fn compacted(&mut self, extent: Extent) {
        self.extent = extent;
    }

    fn uncache_oldest(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.cached_from = oldest.offset + 1;
            self.cached_bytes -= kept_cost(&oldest);
        }
    }
}
