//! The store behind a memory exchange with a data directory: one SQLite database in write-ahead
//! mode.
//!
//! One [`Change`] is one transaction: all of it is there after a kill -9, or nothing.
//! [`Durability`] says what a power failure may take. The layers above know neither SQL nor files;
//! this one knows no group and no topic by meaning, only rows: [`codec`] and [`chunk`] say how they
//! look, [`directory`] who may open them, [`rows`] how they are written and read.

mod chunk;
mod codec;
mod directory;
mod rows;
mod syncing;

use std::{
    ops::RangeInclusive,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, ffi};

use self::{chunk::Chunk, codec::Root, directory::Directory, rows::Row, syncing::Syncing};
pub(crate) use self::{
    chunk::{ChunkMeta, ChunkWriter},
    codec::{Extent, OffsetRecord, TopicRecord},
};
use crate::port::{Error, Message, Offset};

/// The most partitions of all topics together: their numbers share a row's number with offsets.
pub(crate) const PARTITIONS_MAX: u32 = 1 << rows::PARTITION_BITS;

/// Chunks of more than one message are closed at this cost, so that a read is never large.
const CHUNK_BYTES_MAX: u64 = 256 << 10;

/// What survives what, once a commit or an append was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process in any way. A power failure or a crash of the operating system may
    /// take what the last second or so brought, whole commits from the end.
    Process,
    /// A power failure too: every commit waits for the disk.
    Disk,
}

/// What a store needs to know.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// What survives what.
    pub durability: Durability,
    /// Bound in bytes per partition: ring topics forget their oldest messages there, others answer
    /// `Full` until no group needs them.
    pub disk_bytes_max: u64,
    /// Bound in bytes per partition of the newest messages that are kept in memory too, as is the
    /// topic's `memory_bytes_max`: the smaller one holds.
    pub cache_bytes_max: usize,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { durability: Durability::Process, disk_bytes_max: 1 << 30, cache_bytes_max: 4 << 20 }
    }
}

/// A partition's number among those of all topics.
pub(crate) type PartitionId = u32;

/// What is written together or not at all.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) topics: Vec<(u32, TopicRecord)>,
    pub(crate) extents: Vec<(PartitionId, Extent)>,
    pub(crate) offsets: Vec<(String, PartitionId, OffsetRecord)>,
    /// Chunks that begin within these offsets go.
    pub(crate) dropped: Vec<(PartitionId, RangeInclusive<Offset>)>,
    pub(crate) chunks: Vec<(PartitionId, ChunkWriter)>,
}

/// Everything but the messages.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) topics: Vec<TopicRecord>,
    /// By [`PartitionId`].
    pub(crate) extents: Vec<Extent>,
    pub(crate) offsets: Vec<(String, PartitionId, OffsetRecord)>,
}

/// What is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) partition: PartitionId,
    pub(crate) from: Offset,
    pub(crate) until: Offset,
}

/// Messages as they were fetched.
#[derive(Default)]
pub(crate) struct Fetched {
    pub(crate) messages: Vec<Message>,
    /// Below this offset there are no others than these and those before.
    pub(crate) covered: Offset,
}

/// An open store. Its directory is locked until it is dropped.
pub(crate) struct Disk {
    options: DiskOptions,
    readers: Mutex<Vec<Connection>>,
    syncing: Option<Syncing>,
    /// Closed last of all connections: that empties the log.
    writer: Mutex<Writer>,
    /// Whether it was said that there is no room.
    told_full: AtomicBool,
    directory: Directory,
}

struct Writer {
    db: Connection,
    root: Root,
    /// A write failed in a way that leaves unknown what is on the disk.
    broken: bool,
}

impl Disk {
    /// Opens the store of a directory, or makes one, and reads all but the messages.
    pub(crate) fn open(path: &Path, options: DiskOptions) -> Result<(Self, Found), Error> {
        let mut directory = Directory::take(path)?;
        let failed = |directory: &Directory, error| error_of(directory, &error);
        let mut db = rows::connect(&directory.database(), options.durability)
            .map_err(|error| failed(&directory, error))?;
        match rows::identify(&db).map_err(|error| failed(&directory, error))? {
            rows::Identity::Empty if !directory.is_created() => {
                rows::create(&mut db).map_err(|error| failed(&directory, error))?;
            }
            rows::Identity::Ours { layout: directory::LAYOUT } => {}
            rows::Identity::Ours { layout } => return Err(directory.of_another_layout(layout)),
            rows::Identity::Empty => return Err(directory.damaged("its tables are gone")),
            rows::Identity::Foreign => {
                return Err(directory.damaged("exchange.db is a database of another program"));
            }
        }
        rows::log_ahead(&db).map_err(|error| failed(&directory, error))?;
        let (root, found) = rows::load(&db).map_err(|error| trouble(&directory, error))?;
        if !directory.is_created() {
            directory.set_created()?;
        }
        let other = rows::connect(&directory.database(), options.durability)
            .map_err(|error| failed(&directory, error))?;
        let disk = Self {
            options,
            readers: Mutex::default(),
            syncing: Some(Syncing::start(other).map_err(|e| directory.failed(&e.to_string()))?),
            writer: Mutex::new(Writer { db, root, broken: false }),
            told_full: AtomicBool::new(false),
            directory,
        };
        Ok((disk, found))
    }

    /// The bound of a partition.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.options.disk_bytes_max
    }

    /// The bound of what a partition keeps in memory.
    pub(crate) fn cache_bytes_max(&self) -> usize {
        self.options.cache_bytes_max
    }

    /// The cost from which a chunk takes no further message.
    pub(crate) fn chunk_bytes_max(&self) -> u64 {
        CHUNK_BYTES_MAX.min(self.options.disk_bytes_max / 16)
    }

    /// Writes a change, all of it or nothing; `false` if the disk has no room for it.
    pub(crate) fn write(&self, change: Change) -> Result<bool, Error> {
        let mut writer = lock(&self.writer);
        let syncing = self.syncing.as_ref();
        if writer.broken || syncing.is_some_and(Syncing::is_broken) {
            return Err(self.directory.failed("an earlier write failed"));
        }
        let Writer { db, root, .. } = &mut *writer;
        match rows::write(db, root, change) {
            Ok((root, bytes)) => {
                writer.root = root;
                if let Some(syncing) = syncing {
                    syncing.written(bytes);
                }
                self.told_full.store(false, Ordering::Relaxed);
                Ok(true)
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                if !self.told_full.swap(true, Ordering::Relaxed) {
                    let path = self.directory.database().display().to_string();
                    tracing::error!(
                        path,
                        "no room on the disk, nothing is accepted until there is"
                    );
                }
                Ok(false)
            }
            Err(error) => {
                writer.broken = true;
                Err(error_of(&self.directory, &error))
            }
        }
    }

    /// Up to `chunks_max` chunks of a partition that begin at an offset or later.
    pub(crate) fn metas(
        &self,
        partition: PartitionId,
        from: Offset,
        chunks_max: usize,
    ) -> Result<Vec<ChunkMeta>, Error> {
        self.reading(|db| rows::metas(db, partition, from, chunks_max).map_err(Trouble::from))
    }

    /// The messages that are wanted, or those up to the chunk that makes `bytes_max` full. Nothing
    /// if the first ones are gone.
    pub(crate) fn fetch(&self, wanted: Wanted, bytes_max: usize) -> Result<Fetched, Error> {
        let Wanted { partition, from, until } = wanted;
        self.reading(|db| {
            let snapshot = db.unchecked_transaction()?;
            let extent = rows::extent(&snapshot, partition)?;
            if extent.first > from {
                return Ok(Fetched { covered: from, ..Fetched::default() });
            }
            let (before, start) = rows::chunk_at(&snapshot, partition, from)?;
            let (mut messages, mut end) = (Vec::new(), before.map(|last| last + 1));
            let (mut bytes, mut is_full) = (0, false);
            rows::each_chunk(&snapshot, partition, start, until, |row| {
                let chunk = decode(&row)?;
                check_hole(chunk.after, end, from)?;
                end = Some(row.meta.last + 1);
                bytes += row.value.len();
                messages.extend(chunk.messages.into_iter().filter(|m| m.offset >= from));
                is_full = bytes >= bytes_max;
                Ok(!is_full)
            })?;
            let reached = end.unwrap_or(0).max(from);
            if is_full {
                return Ok(Fetched { messages, covered: reached });
            }
            if reached < extent.end {
                // The next chunk is not wanted, but has to follow where these have ended.
                let mut is_there = false;
                rows::each_chunk(&snapshot, partition, until, rows::OFFSET_MAX, |row| {
                    is_there = true;
                    check_hole(decode(&row)?.after, end, from)?;
                    Ok(false)
                })?;
                if !is_there {
                    return Err(missing(reached));
                }
            }
            Ok(Fetched { messages, covered: reached.max(until) })
        })
    }

    /// Shows a partition's chunks one after the other, as they are when it begins.
    pub(crate) fn scan(
        &self,
        partition: PartitionId,
        mut each: impl FnMut(ChunkMeta, Vec<Message>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.reading(|db| {
            rows::each_chunk(db, partition, 0, rows::OFFSET_MAX, |row| {
                each(row.meta, decode(&row)?.messages).map_err(Trouble::Other)?;
                Ok(true)
            })
        })
    }

    fn reading<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, Error> {
        let pooled = lock(&self.readers).pop();
        let db = match pooled {
            Some(db) => db,
            None => rows::connect(&self.directory.database(), self.options.durability)
                .map_err(|error| error_of(&self.directory, &error))?,
        };
        let found = read(&db).map_err(|trouble_found| trouble(&self.directory, trouble_found));
        lock(&self.readers).push(db);
        found
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The thread ends and closes its connection first, the readers follow, the writer comes
        // last.
        drop(self.syncing.take());
        lock(&self.readers).clear();
    }
}

/// Why rows could not be read.
pub(crate) enum Trouble {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// What was read can't be what was written.
    Damaged(String),
    /// Whoever was shown the rows failed.
    Other(Error),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn trouble(directory: &Directory, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Sqlite(error) => error_of(directory, &error),
        Trouble::Damaged(why) => directory.damaged(&why),
        Trouble::Other(error) => error,
    }
}

fn error_of(directory: &Directory, error: &rusqlite::Error) -> Error {
    let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
    match code {
        // A database that was cut short can't be read where it ends; a table or column that is
        // gone, or a row that is no row, is a damaged schema.
        None
        | Some((ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown, _))
        | Some((_, ffi::SQLITE_IOERR_SHORT_READ)) => directory.damaged(&error.to_string()),
        _ => directory.failed(&error.to_string()),
    }
}

fn decode(row: &Row) -> Result<Chunk, Trouble> {
    let value = Bytes::copy_from_slice(row.value);
    let wrong = || format!("the messages from offset {} on have a wrong checksum", row.meta.first);
    Chunk::decode(&row.meta, row.id, &value).ok_or_else(|| Trouble::Damaged(wrong()))
}

/// Refuses a chunk that does not follow where the last one ended, or, for the first one, where it
/// was to begin.
fn check_hole(after: Option<Offset>, end: Option<Offset>, from: Offset) -> Result<(), Trouble> {
    let follows = match (after, end) {
        (None, _) => true,
        (Some(after), Some(end)) => after == end,
        (Some(after), None) => after <= from,
    };
    if follows { Ok(()) } else { Err(missing(end.unwrap_or(from))) }
}

fn missing(from: Offset) -> Trouble {
    Trouble::Damaged(format!("messages from offset {from} on are missing"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
