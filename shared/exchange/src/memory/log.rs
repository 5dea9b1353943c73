//! One partition in memory: messages by offset, bounded in bytes.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::port::{Message, Offset, Output};

/// What a message costs besides its key, value and headers: its struct and the handles of its buffers.
const MESSAGE_BYTES: usize = size_of::<Message>() + 32;

/// What a message counts against its partition's bound.
pub(super) fn cost(output: &Output) -> usize {
    MESSAGE_BYTES + output.size()
}

fn kept_cost(message: &Message) -> usize {
    MESSAGE_BYTES + message.size()
}

/// The log of one partition. Offsets rise, with holes where commits burnt one.
#[derive(Default)]
pub(super) struct Log {
    messages: VecDeque<Message>,
    /// Everything below is gone.
    first: Offset,
    /// The offset of the next message.
    next: Offset,
    bytes: usize,
    /// Bytes at the last compaction: compacting again pays only after the log has grown well past them.
    compacted_bytes: usize,
}

impl Log {
    /// The first offset kept.
    pub(super) fn first(&self) -> Offset {
        self.first
    }

    /// The offset that the next message will have.
    pub(super) fn end(&self) -> Offset {
        self.next
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The messages from an offset on.
    pub(super) fn from(&self, offset: Offset) -> impl Iterator<Item = &Message> {
        let start = self.messages.partition_point(|message| message.offset < offset);
        self.messages.range(start..)
    }

    /// Whether nothing is there at or after an offset.
    pub(super) fn is_end(&self, offset: Offset) -> bool {
        self.messages.back().is_none_or(|last| last.offset < offset)
    }

    /// Appends a message and returns its offset.
    pub(super) fn push(&mut self, output: &Output, timestamp_ms: i64) -> Offset {
        let offset = self.next;
        self.next += 1;
        self.bytes += cost(output);
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
        self.next += 1;
    }

    /// Frees the oldest messages below `limit` until `room` more bytes fit under `bytes_max`; says whether
    /// they fit. An empty log takes anything, else one large commit would be refused for ever.
    pub(super) fn make_room(&mut self, room: usize, bytes_max: usize, limit: Offset) -> bool {
        while self.bytes + room > bytes_max {
            match self.messages.front() {
                None => return true,
                Some(oldest) if oldest.offset >= limit => return false,
                Some(_) => self.forget_oldest(),
            }
        }
        true
    }

    /// Keeps only the newest message of each key, and no tombstones; says whether it was worth trying.
    pub(super) fn compact(&mut self) -> bool {
        if self.bytes / 2 < self.compacted_bytes {
            return false;
        }
        let newest: HashMap<Bytes, Offset> = self
            .messages
            .iter()
            .filter_map(|message| message.key.clone().map(|key| (key, message.offset)))
            .collect();
        self.messages.retain(|message| match &message.key {
            None => true,
            Some(key) => message.value.is_some() && newest.get(key) == Some(&message.offset),
        });
        self.bytes = self.messages.iter().map(kept_cost).sum();
        self.compacted_bytes = self.bytes;
        true
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.first = oldest.offset + 1;
            self.bytes -= kept_cost(&oldest);
        }
    }
}
