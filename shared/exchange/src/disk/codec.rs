//! How topics, extents and offsets look as bytes. Every value ends with a checksum that also covers
//! where it belongs, so a damaged or misplaced one is never taken for another: SQLite itself checks
//! structure only.
//!
//! Numbers are little-endian; lengths are `u32`. A change of any form here or in `chunk` is a new
//! `LAYOUT`.

use twox_hash::XxHash3_64;

use crate::port::{Committed, Offset, TopicSpec};

/// Stands for "none" where a length is expected.
const NONE: u32 = u32::MAX;
const CHECKSUM_BYTES: usize = 8;

/// What is kept of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Everything below is gone.
    pub(crate) first: Offset,
    /// The offset of the next message.
    pub(crate) next: Offset,
    /// One past the newest message; 0 if there never was one.
    pub(crate) end: Offset,
    /// What the messages kept count against the bound.
    pub(crate) bytes: u64,
    /// `bytes` after the last compaction.
    pub(crate) compacted_bytes: u64,
}

/// A topic with the groups that ever joined it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    pub(crate) spec: TopicSpec,
    pub(crate) readers: Vec<String>,
}

/// What a group has said of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OffsetRecord {
    pub(crate) committed: Option<Committed>,
    pub(crate) released: Option<Offset>,
}

/// What every transaction changes: its number, and how many rows there are to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) commit: u64,
    pub(crate) topics: u64,
    pub(crate) partitions: u64,
    pub(crate) offsets: u64,
}

/// Appends the checksum of `bytes` at the place that `seed` names.
pub(super) fn sealed(mut bytes: Vec<u8>, seed: u64) -> Vec<u8> {
    let sum = XxHash3_64::oneshot_with_seed(seed, &bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// What is left without the checksum, if that is right.
pub(super) fn opened(bytes: &[u8], seed: u64) -> Option<&[u8]> {
    let (bytes, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    let right = XxHash3_64::oneshot_with_seed(seed, bytes) == u64::from_le_bytes(*sum);
    right.then_some(bytes)
}

/// The seed of a text and a number, for rows that are named so.
pub(crate) fn seed(text: &str, number: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(number, text.as_bytes())
}

pub(super) fn put_bytes(to: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => to.extend(NONE.to_le_bytes()),
        Some(bytes) => {
            to.extend((bytes.len() as u32).to_le_bytes());
            to.extend(bytes);
        }
    }
}

pub(super) fn put_numbers(to: &mut Vec<u8>, numbers: &[u64]) {
    to.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

/// Reads what was put, from the front.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// `Some(None)` is a value that is not there.
    pub(super) fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match self.u32()? {
            NONE => Some(None),
            length => self.take(length as usize).map(Some),
        }
    }

    pub(super) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()??.to_vec()).ok()
    }
}

impl Root {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_numbers(&mut bytes, &[self.commit, self.topics, self.partitions, self.offsets]);
        sealed(bytes, 0)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(opened(bytes, 0)?);
        Some(Self {
            commit: fields.u64()?,
            topics: fields.u64()?,
            partitions: fields.u64()?,
            offsets: fields.u64()?,
        })
    }
}

impl Extent {
    pub(crate) fn encode(&self, commit: u64, seed: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(56);
        let (kept, compacted) = (self.bytes, self.compacted_bytes);
        put_numbers(&mut bytes, &[commit, self.first, self.next, self.end, kept, compacted]);
        sealed(bytes, seed)
    }

    /// The extent and the commit that wrote it.
    pub(crate) fn decode(bytes: &[u8], seed: u64) -> Option<(u64, Self)> {
        let mut fields = Fields(opened(bytes, seed)?);
        let commit = fields.u64()?;
        let extent = Self {
            first: fields.u64()?,
            next: fields.u64()?,
            end: fields.u64()?,
            bytes: fields.u64()?,
            compacted_bytes: fields.u64()?,
        };
        Some((commit, extent))
    }
}

impl TopicRecord {
    pub(crate) fn encode(&self, commit: u64, seed: u64) -> Vec<u8> {
        let (spec, mut bytes) = (&self.spec, Vec::new());
        put_numbers(&mut bytes, &[commit, u64::from(spec.partitions)]);
        put_numbers(&mut bytes, &[spec.memory_bytes_max as u64]);
        put_numbers(&mut bytes, &[spec.retention_ms.map_or(u64::MAX, |ms| ms.max(0) as u64)]);
        bytes.push(u8::from(spec.compacted) | u8::from(spec.ring) << 1);
        put_bytes(&mut bytes, Some(spec.name.as_bytes()));
        put_numbers(&mut bytes, &[self.readers.len() as u64]);
        self.readers.iter().for_each(|group| put_bytes(&mut bytes, Some(group.as_bytes())));
        sealed(bytes, seed)
    }

    pub(crate) fn decode(bytes: &[u8], seed: u64) -> Option<(u64, Self)> {
        let mut fields = Fields(opened(bytes, seed)?);
        let (commit, partitions) = (fields.u64()?, u32::try_from(fields.u64()?).ok()?);
        let memory_bytes_max = usize::try_from(fields.u64()?).unwrap_or(usize::MAX);
        let retention_ms = i64::try_from(fields.u64()?).ok();
        let flags = fields.u8()?;
        let (compacted, ring) = (flags & 1 != 0, flags & 2 != 0);
        let name = fields.text()?.into();
        let readers = (0..fields.u64()?).map(|_| fields.text()).collect::<Option<_>>()?;
        let spec = TopicSpec { name, partitions, retention_ms, compacted, memory_bytes_max, ring };
        Some((commit, Self { spec, readers }))
    }
}

impl OffsetRecord {
    pub(crate) fn encode(&self, commit: u64, seed: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_numbers(&mut bytes, &[commit, self.released.unwrap_or(u64::MAX)]);
        if let Some(committed) = &self.committed {
            put_numbers(&mut bytes, &[committed.offset]);
            put_bytes(&mut bytes, Some(committed.metadata.as_bytes()));
        }
        sealed(bytes, seed)
    }

    pub(crate) fn decode(bytes: &[u8], seed: u64) -> Option<(u64, Self)> {
        let mut fields = Fields(opened(bytes, seed)?);
        let commit = fields.u64()?;
        let released = Some(fields.u64()?).filter(|offset| *offset != u64::MAX);
        let committed = if fields.0.is_empty() {
            None
        } else {
            Some(Committed { offset: fields.u64()?, metadata: fields.text()? })
        };
        Some((commit, Self { committed, released }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let extent = Extent { first: 1, next: 2, end: 3, bytes: 4, compacted_bytes: 5 };
        assert_eq!(Extent::decode(&extent.encode(9, 7), 7), Some((9, extent)));
        assert_eq!(Extent::decode(&extent.encode(9, 7), 8), None);
        let root = Root { commit: 1, topics: 2, partitions: 3, offsets: 4 };
        assert_eq!(Root::decode(&root.encode()), Some(root));
        let committed = Some(Committed { offset: 3, metadata: "m".into() });
        for record in [
            OffsetRecord::default(),
            OffsetRecord { committed: committed.clone(), released: None },
            OffsetRecord { committed, released: Some(0) },
        ] {
            assert_eq!(OffsetRecord::decode(&record.encode(1, 2), 2), Some((1, record)));
        }
        let spec = TopicSpec {
            name: "t".into(),
            partitions: 3,
            retention_ms: None,
            compacted: true,
            memory_bytes_max: 1,
            ring: false,
        };
        for retention_ms in [None, Some(0), Some(i64::MAX)] {
            let spec = TopicSpec { retention_ms, ..spec.clone() };
            let record = TopicRecord { spec, readers: vec!["a".into(), String::new()] };
            assert_eq!(TopicRecord::decode(&record.encode(1, 2), 2), Some((1, record)));
        }
    }
}
