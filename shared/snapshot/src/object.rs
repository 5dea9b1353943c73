//! The format of a snapshot, numbers little-endian:
//!
//! ```text
//! start    magic (8 bytes), format version (u32), length of the header (u32),
//!          header (postcard), checksum of all this (u64)
//! blocks   uncompressed length (u32, not 0), stored length (u32), a zstd frame,
//!          checksum of the three (u64) seeded by the start's checksum and the block's number
//! footer   0 (u32), number of items (u64), uncompressed length (u64),
//!          length of the whole object (u64), checksum of all that stands before it (u64)
//! ```
//!
//! Uncompressed, the blocks are one body: the head with its length, then records, cut anywhere.
//! Checksums are XXH3 with 64 bits. A block has its own so that a service's decoder never sees a
//! damaged byte, whatever a footer would say gigabytes later; the footer's covers what lies
//! between.

use std::{fmt, hash::Hasher, io};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;
use zstd::bulk::{Compressor, Decompressor};

use crate::record;

/// The format that this build writes, and the only one that it reads.
pub const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"ODDWSNAP";
/// Magic, format version and the header's length.
pub(crate) const START_BYTES: usize = 16;
pub(crate) const CHECKSUM_BYTES: usize = 8;
/// What stands before a block's frame.
pub(crate) const LENGTHS_BYTES: usize = 8;
pub(crate) const FOOTER_BYTES: usize = 36;
/// A topic's name has at most 249 bytes.
pub(crate) const HEADER_BYTES_MAX: usize = 4_096;
/// Uncompressed; larger ones gain less than 1 %, and this much is held while reading.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
/// The fastest of the ordinary levels: snapshots compete with the stream for processors.
const LEVEL: i32 = 1;

/// Whose state it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The service, such as `windowing`.
    pub service: String,
    /// The input partition, such as `topic/3`.
    pub partition: String,
}

impl Subject {
    /// The state of a service for a partition.
    pub fn new(service: impl Into<String>, partition: impl Into<String>) -> Self {
        Self { service: service.into(), partition: partition.into() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.partition)
    }
}

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whose state it is.
    pub subject: Subject,
    /// The version of the state's encoding, the service's own number.
    pub state_version: u32,
    /// The config version in force.
    pub config_version: u64,
    /// The epoch of the service's own numbers.
    pub epoch: u32,
    /// The input offset to go on from.
    pub offset: u64,
    /// The number of the next output item.
    pub next: u64,
    /// When it was begun, in milliseconds since 1970.
    pub taken_at_ms: i64,
}

/// The length of the header, from an object's first [`START_BYTES`].
pub(crate) fn header_length(start: &[u8]) -> Result<usize, String> {
    if start.get(..8) != Some(&MAGIC) {
        return Err("it is not a snapshot: its first 8 bytes are not \"ODDWSNAP\"".to_owned());
    }
    let format = number(start, 8);
    if format != FORMAT {
        let age = if format > FORMAT { "a newer build wrote it, or " } else { "" };
        return Err(format!(
            "its format is {format}, {age}it is damaged: this build reads {FORMAT}"
        ));
    }
    match number(start, 12) as usize {
        length if length <= HEADER_BYTES_MAX => Ok(length),
        length => Err(format!(
            "its header would have {length} bytes, at most {HEADER_BYTES_MAX}: damaged"
        )),
    }
}

/// The header and its checksum, from all the bytes up to and with the checksum.
pub(crate) fn header(bytes: &[u8]) -> Result<(Header, u64), String> {
    let end = bytes.len().saturating_sub(CHECKSUM_BYTES);
    let checksum = XxHash3_64::oneshot(&bytes[..end]);
    if long(bytes, end) != checksum {
        return Err("its header's checksum is wrong: it is damaged".to_owned());
    }
    let header = bytes.get(START_BYTES..end).unwrap_or_default();
    let header = postcard::from_bytes(header).map_err(|error| format!("its header: {error}"))?;
    Ok((header, checksum))
}

/// Makes an object: takes the head and records, gives bytes to be stored.
pub(crate) struct Sealer {
    compressor: Compressor<'static>,
    /// The body's bytes that fill no block yet.
    raw: Vec<u8>,
    /// Made, but not taken yet.
    sealed: Vec<u8>,
    frame: Vec<u8>,
    /// The checksum of all that was made.
    hash: XxHash3_64,
    seed: u64,
    totals: Totals,
    length: u64,
}

/// What the footer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// The number of records.
    pub(crate) items: u64,
    /// The uncompressed body.
    pub(crate) raw_bytes: u64,
}

impl Sealer {
    /// Begins an object with its header and the head of the state.
    pub(crate) fn new(header: &Header, head: &[u8]) -> io::Result<Self> {
        let encoded = postcard::to_allocvec(header).map_err(io::Error::other)?;
        if encoded.len() > HEADER_BYTES_MAX {
            return Err(io::Error::other(format!(
                "the header has {} bytes, at most {HEADER_BYTES_MAX}",
                encoded.len()
            )));
        }
        let mut start = MAGIC.to_vec();
        start.extend_from_slice(&FORMAT.to_le_bytes());
        start.extend_from_slice(&(encoded.len() as u32).to_le_bytes());
        start.extend_from_slice(&encoded);
        let checksum = XxHash3_64::oneshot(&start);
        start.extend_from_slice(&checksum.to_le_bytes());
        let mut sealer = Self {
            compressor: Compressor::new(LEVEL)?,
            raw: vec![],
            sealed: vec![],
            frame: Vec::with_capacity(frame_bytes_max()),
            hash: XxHash3_64::new(),
            seed: checksum,
            totals: Totals::default(),
            length: 0,
        };
        sealer.put(&start);
        record::put_varint(&mut sealer.raw, head.len() as u64);
        sealer.raw.extend_from_slice(head);
        sealer.cut(BLOCK_BYTES)?;
        Ok(sealer)
    }

    /// Counts records that are about to be added.
    ///
    /// # Errors
    /// If they are not whole, or not records.
    pub(crate) fn count(&mut self, records: &[u8]) -> Result<(), String> {
        let mut rest = records;
        while !rest.is_empty() {
            let Some((_, length)) = record::record(rest)? else {
                return Err("a slice ends within a record".to_owned());
            };
            rest = &rest[length..];
            self.totals.items += 1;
        }
        Ok(())
    }

    /// Adds some of the counted bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw.extend_from_slice(bytes);
        self.cut(BLOCK_BYTES)
    }

    /// Ends the object.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.cut(1)?;
        let mut footer = 0_u32.to_le_bytes().to_vec();
        footer.extend_from_slice(&self.totals.items.to_le_bytes());
        footer.extend_from_slice(&self.totals.raw_bytes.to_le_bytes());
        footer.extend_from_slice(&(self.length + FOOTER_BYTES as u64).to_le_bytes());
        self.put(&footer);
        let checksum = self.hash.finish();
        self.put(&checksum.to_le_bytes());
        Ok(())
    }

    /// How many bytes are ready to be stored.
    pub(crate) fn ready(&self) -> usize {
        self.sealed.len()
    }

    /// The next bytes to be stored, at most so many.
    pub(crate) fn take(&mut self, bytes_max: usize) -> Vec<u8> {
        let rest = self.sealed.split_off(bytes_max.min(self.sealed.len()));
        std::mem::replace(&mut self.sealed, rest)
    }

    /// The length of what was made so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Makes blocks until fewer than `least` bytes are left.
    fn cut(&mut self, least: usize) -> io::Result<()> {
        let raw = std::mem::take(&mut self.raw);
        let mut rest = raw.as_slice();
        while rest.len() >= least {
            let (block, after) = rest.split_at(rest.len().min(BLOCK_BYTES));
            self.block(block)?;
            rest = after;
        }
        let done = raw.len() - rest.len();
        self.raw = raw;
        self.raw.drain(..done);
        Ok(())
    }

    fn block(&mut self, raw: &[u8]) -> io::Result<()> {
        self.compressor.compress_to_buffer(raw, &mut self.frame)?;
        let mut block = Vec::with_capacity(LENGTHS_BYTES + self.frame.len() + CHECKSUM_BYTES);
        block.extend_from_slice(&(raw.len() as u32).to_le_bytes());
        block.extend_from_slice(&(self.frame.len() as u32).to_le_bytes());
        block.extend_from_slice(&self.frame);
        self.seed = self.seed.wrapping_add(1);
        let checksum = XxHash3_64::oneshot_with_seed(self.seed, &block);
        block.extend_from_slice(&checksum.to_le_bytes());
        self.totals.raw_bytes += raw.len() as u64;
        self.put(&block);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.hash.write(bytes);
        self.length += bytes.len() as u64;
        self.sealed.extend_from_slice(bytes);
    }
}

/// Unpacks blocks, one after another.
pub(crate) struct Opener {
    decompressor: Decompressor<'static>,
    block: Vec<u8>,
    seed: u64,
}

impl Opener {
    /// Begins behind a header with this checksum.
    pub(crate) fn new(header_checksum: u64) -> io::Result<Self> {
        let decompressor = Decompressor::new()?;
        Ok(Self { decompressor, block: Vec::with_capacity(BLOCK_BYTES), seed: header_checksum })
    }

    /// How many bytes a block has behind its lengths.
    pub(crate) fn rest(lengths: &[u8]) -> Result<usize, String> {
        let (raw, stored) = (number(lengths, 0) as usize, number(lengths, 4) as usize);
        if raw <= BLOCK_BYTES && stored <= frame_bytes_max() {
            Ok(stored + CHECKSUM_BYTES)
        } else {
            Err(format!("a block of {stored} bytes for {raw}: it is damaged"))
        }
    }

    /// The uncompressed bytes of a block, given whole.
    pub(crate) fn open(&mut self, block: &[u8]) -> Result<&[u8], String> {
        let end = block.len().saturating_sub(CHECKSUM_BYTES);
        self.seed = self.seed.wrapping_add(1);
        if long(block, end) != XxHash3_64::oneshot_with_seed(self.seed, &block[..end]) {
            return Err("a block's checksum is wrong: it is damaged".to_owned());
        }
        let frame = block.get(LENGTHS_BYTES..end).unwrap_or_default();
        self.block.clear();
        self.decompressor
            .decompress_to_buffer(frame, &mut self.block)
            .map_err(|error| format!("a block can't be unpacked: {error}"))?;
        if self.block.len() != number(block, 0) as usize {
            return Err("a block's length is wrong".to_owned());
        }
        Ok(&self.block)
    }
}

/// Checks a footer but for its checksum; `length` is that of the whole object.
pub(crate) fn footer(bytes: &[u8], length: u64) -> Result<(Totals, u64), String> {
    if bytes.len() != FOOTER_BYTES || number(bytes, 0) != 0 || long(bytes, 20) != length {
        return Err(format!("its {length} bytes do not end in a footer: it is cut off or damaged"));
    }
    let totals = Totals { items: long(bytes, 4), raw_bytes: long(bytes, 12) };
    Ok((totals, long(bytes, 28)))
}

fn frame_bytes_max() -> usize {
    zstd::zstd_safe::compress_bound(BLOCK_BYTES)
}

/// The number at `start`; 0 if it is not there.
pub(crate) fn number(bytes: &[u8], start: usize) -> u32 {
    bytes[start.min(bytes.len())..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], start: usize) -> u64 {
    bytes[start.min(bytes.len())..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
