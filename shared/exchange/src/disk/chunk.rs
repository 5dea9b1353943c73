//! How messages look as bytes: those of one partition that were written together are one chunk, a
//! row of its own.
//!
//! A chunk says where the messages before it end. So a chunk that got lost between two others is
//! noticed when they are read, though each of them is whole.

use bytes::Bytes;
use twox_hash::XxHash3_64;

use super::codec::{Fields, opened, put_bytes, put_numbers, sealed};
use crate::port::{Header, Message, Offset, Output};

/// What is known of a chunk without reading its messages. A chunk holds messages of one partition
/// that were written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkMeta {
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    pub(crate) cost: u64,
    pub(crate) timestamp_ms: i64,
}

/// A chunk in the making: messages one after the other.
pub(crate) struct ChunkWriter {
    bytes: Vec<u8>,
    meta: ChunkMeta,
}

impl ChunkWriter {
    /// `after`: where the messages before it end; `None` if messages between them may have been
    /// compacted away.
    pub(crate) fn new(first: Offset, after: Option<Offset>, timestamp_ms: i64) -> Self {
        let mut bytes = Vec::new();
        put_numbers(&mut bytes, &[after.unwrap_or(u64::MAX)]);
        Self { bytes, meta: ChunkMeta { first, last: first, cost: 0, timestamp_ms } }
    }

    pub(crate) fn meta(&self) -> ChunkMeta {
        self.meta
    }

    pub(crate) fn cost(&self) -> u64 {
        self.meta.cost
    }

    pub(crate) fn put(&mut self, offset: Offset, output: &Output, cost: u64) {
        let (key, value) = (output.key.as_deref(), output.value.as_deref());
        self.put_fields(offset, key, value, &output.headers, cost);
    }

    pub(crate) fn put_again(&mut self, message: &Message, cost: u64) {
        let (key, value) = (message.key.as_deref(), message.value.as_deref());
        self.put_fields(message.offset, key, value, &message.headers, cost);
    }

    fn put_fields(
        &mut self,
        offset: Offset,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
        cost: u64,
    ) {
        put_numbers(&mut self.bytes, &[offset]);
        put_bytes(&mut self.bytes, key);
        put_bytes(&mut self.bytes, value);
        self.bytes.extend((headers.len() as u32).to_le_bytes());
        for (name, value) in headers {
            put_bytes(&mut self.bytes, Some(name.as_bytes()));
            put_bytes(&mut self.bytes, Some(value));
        }
        self.meta.last = offset;
        self.meta.cost += cost;
    }

    /// The chunk as it is stored in row `id`.
    pub(crate) fn finish(self, id: u64) -> (ChunkMeta, Vec<u8>) {
        (self.meta, sealed(self.bytes, self.meta.seed(id)))
    }
}

impl ChunkMeta {
    fn seed(&self, id: u64) -> u64 {
        let mut bytes = Vec::with_capacity(32);
        put_numbers(&mut bytes, &[self.first, self.last, self.cost, self.timestamp_ms as u64]);
        XxHash3_64::oneshot_with_seed(id, &bytes)
    }
}

/// A chunk as it was read.
pub(crate) struct Chunk {
    pub(crate) after: Option<Offset>,
    pub(crate) messages: Vec<Message>,
}

impl Chunk {
    /// `None` if the bytes are not those that were written in row `id` with this meta.
    pub(crate) fn decode(meta: &ChunkMeta, id: u64, bytes: &Bytes) -> Option<Self> {
        let mut fields = Fields(opened(bytes, meta.seed(id))?);
        let after = Some(fields.u64()?).filter(|after| *after != u64::MAX);
        let mut messages = Vec::new();
        let shared = |part: &[u8]| bytes.slice_ref(part);
        while !fields.0.is_empty() {
            let offset = fields.u64()?;
            let (key, value) = (fields.bytes()?.map(shared), fields.bytes()?.map(shared));
            let mut headers = Vec::new();
            for _ in 0..fields.u32()? {
                headers.push((fields.text()?, shared(fields.bytes()??)));
            }
            let timestamp_ms = meta.timestamp_ms;
            messages.push(Message { offset, timestamp_ms, key, value, headers });
        }
        Some(Self { after, messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let output = Output {
            topic: "t".into(),
            partition: None,
            key: Some(Bytes::from_static(b"key")),
            value: None,
            headers: vec![("a".into(), Bytes::new()), ("a".into(), Bytes::from_static(&[0, 255]))],
        };
        let mut writer = ChunkWriter::new(7, Some(5), -3);
        writer.put(7, &output, 10);
        writer.put(9, &Output { key: None, value: Some(Bytes::new()), ..output.clone() }, 20);
        let (meta, bytes) = writer.finish(42);
        assert_eq!(meta, ChunkMeta { first: 7, last: 9, cost: 30, timestamp_ms: -3 });
        let stored = Bytes::from(bytes.clone());
        let chunk = Chunk::decode(&meta, 42, &stored).expect("whole");
        assert_eq!(chunk.after, Some(5));
        assert_eq!(chunk.messages.iter().map(|m| m.offset).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(chunk.messages[0].headers, output.headers);
        assert_eq!((&chunk.messages[0].key, &chunk.messages[0].value), (&output.key, &None));
        assert_eq!(chunk.messages[1].value, Some(Bytes::new()));

        // In another row, with another meta, or with any bit changed it is not taken.
        assert!(Chunk::decode(&meta, 43, &stored).is_none());
        assert!(Chunk::decode(&ChunkMeta { cost: 31, ..meta }, 42, &stored).is_none());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Chunk::decode(&meta, 42, &damaged.into()).is_none(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Chunk::decode(&meta, 42, &stored.slice(..length)).is_none(), "{length}");
        }
    }
}
