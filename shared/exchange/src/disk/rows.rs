//! The tables, and the statements on them.
//!
//! `topics` by index, `extents` by partition + 1 (row 0 is the [`Root`]), `offsets` by group and
//! partition, `chunks` by partition and first offset in one number: messages of a partition lie
//! side by side.

use std::{path::Path, time::Duration};

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Result, ToSql, TransactionBehavior, params,
};

use super::{
    Change, Durability, Found, PartitionId, Trouble,
    chunk::ChunkMeta,
    codec::{Extent, OffsetRecord, Root, TopicRecord, seed},
    directory::LAYOUT,
};
use crate::port::Offset;

/// Bits of a chunk's row number that hold its partition; the offset has the rest of 63.
pub(super) const PARTITION_BITS: u32 = 20;
const OFFSET_BITS: u32 = 63 - PARTITION_BITS;
/// No offset reaches it: a million a second would take 278 years.
pub(super) const OFFSET_MAX: Offset = (1 << OFFSET_BITS) - 1;

/// "OWex": tells our databases from those of other programs.
const APPLICATION_ID: i32 = 0x4f57_6578;

/// Pages of the log at which the writer itself empties it, should the other thread not keep up: 64
/// MiB.
const LOG_PAGES_MAX: u32 = (64 << 20) / 4096;

const TABLES: &str = "
    create table topics (id integer primary key, value blob not null) strict;
    create table extents (id integer primary key, value blob not null) strict;
    create table offsets (name text not null, partition integer not null, value blob not null,
        primary key (name, partition)) strict, without rowid;
    create table chunks (id integer primary key, last integer not null, cost integer not null,
        at integer not null, value blob not null) strict;";

/// A chunk's row.
pub(super) struct Row<'a> {
    pub(super) id: u64,
    pub(super) meta: ChunkMeta,
    pub(super) value: &'a [u8],
}

/// What a database file is.
pub(super) enum Identity {
    Empty,
    Ours { layout: u32 },
    Foreign,
}

fn row_id(partition: PartitionId, offset: Offset) -> i64 {
    (i64::from(partition) << OFFSET_BITS) | offset.min(OFFSET_MAX) as i64
}

fn offset_of(id: i64) -> Offset {
    id as u64 & OFFSET_MAX
}

pub(super) fn connect(path: &Path, durability: Durability) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(10))?;
    // Normal syncs the log before it goes into the database, full after every transaction.
    let synchronous = match durability {
        Durability::Process => "normal",
        Durability::Disk => "full",
    };
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "cache_size", -4_000)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_MAX)?;
    db.pragma_update(None, "journal_size_limit", LOG_PAGES_MAX * 4096)?;
    Ok(db)
}

pub(super) fn identify(db: &Connection) -> Result<Identity> {
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (id, layout) = (number("application_id")?, number("user_version")?);
    let tables: u32 = db.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
    Ok(match (id, tables) {
        (0, 0) => Identity::Empty,
        (APPLICATION_ID, _) => Identity::Ours { layout: layout as u32 },
        _ => Identity::Foreign,
    })
}

pub(super) fn create(db: &mut Connection) -> Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    let insert = "insert into extents values (0, ?1)";
    transaction.execute(insert, [Root::default().encode()])?;
    transaction.commit()
}

/// Turns the write-ahead log on.
pub(super) fn log_ahead(db: &Connection) -> Result<()> {
    db.query_row("pragma journal_mode = wal", [], |_| Ok(()))
}

/// Everything but the chunks, checked: every row counted, whole, and written by a commit that is
/// there.
pub(super) fn load(db: &Connection) -> Result<(Root, Found), Trouble> {
    let damaged = |what: &str| Trouble::Damaged(what.to_owned());
    let value: Option<Vec<u8>> =
        db.query_row("select value from extents where id = 0", [], |row| row.get(0)).optional()?;
    let root = value.and_then(|value| Root::decode(&value));
    let root = root.ok_or_else(|| damaged("its root is not whole"))?;
    let mut found = Found::default();

    let mut topics = db.prepare("select id, value from topics order by id")?;
    let mut rows = topics.query([])?;
    while let Some(row) = rows.next()? {
        let (id, value): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let record = TopicRecord::decode(&value, seed("topic", id));
        let whole = record.filter(|(commit, _)| *commit <= root.commit);
        let whole = whole.filter(|_| id == found.topics.len() as u64);
        found.topics.push(whole.ok_or_else(|| damaged("a topic is not whole"))?.1);
    }
    let mut extents = db.prepare("select id, value from extents where id > 0 order by id")?;
    let mut rows = extents.query([])?;
    while let Some(row) = rows.next()? {
        let (id, value): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let record = Extent::decode(&value, seed("extent", id - 1));
        let whole = record.filter(|(commit, _)| *commit <= root.commit);
        let whole = whole.filter(|_| id == found.extents.len() as u64 + 1);
        let (_, extent) =
            whole.ok_or_else(|| damaged("what is known of a partition is not whole"))?;
        check_ends(db, (id - 1) as PartitionId, &extent)?;
        found.extents.push(extent);
    }
    let mut offsets = db.prepare("select name, partition, value from offsets")?;
    let mut rows = offsets.query([])?;
    while let Some(row) = rows.next()? {
        let (name, partition): (String, u32) = (row.get(0)?, row.get(1)?);
        let value: Vec<u8> = row.get(2)?;
        let record = OffsetRecord::decode(&value, seed(&name, partition.into()));
        let whole = record.filter(|(commit, _)| *commit <= root.commit);
        let (_, record) = whole.ok_or_else(|| damaged("an offset is not whole"))?;
        found.offsets.push((name, partition, record));
    }
    let partitions: u64 = found.topics.iter().map(|topic| u64::from(topic.spec.partitions)).sum();
    let counts = [found.topics.len(), found.extents.len(), found.offsets.len()];
    if counts.map(|count| count as u64) != [root.topics, root.partitions, root.offsets]
        || partitions != root.partitions
    {
        return Err(damaged("rows are missing"));
    }
    Ok((root, found))
}

/// The newest chunk is where the partition ends, and there is one where something is kept.
fn check_ends(db: &Connection, partition: PartitionId, extent: &Extent) -> Result<(), Trouble> {
    let newest =
        "select id, last, cost, at from chunks where id between ?1 and ?2 order by id desc limit 1";
    let range = params![row_id(partition, 0), row_id(partition, OFFSET_MAX)];
    let newest = db.query_row(newest, range, meta).optional()?;
    let ends = match newest {
        None => extent.bytes == 0,
        Some(newest) => newest.last + 1 == extent.end && newest.first >= extent.first,
    };
    if ends && extent.end <= extent.next {
        return Ok(());
    }
    Err(Trouble::Damaged(format!("the newest messages of partition {partition} are missing")))
}

fn meta(row: &rusqlite::Row<'_>) -> Result<ChunkMeta> {
    Ok(ChunkMeta {
        first: offset_of(row.get(0)?),
        last: row.get(1)?,
        cost: row.get(2)?,
        timestamp_ms: row.get(3)?,
    })
}

pub(super) fn extent(db: &Connection, partition: PartitionId) -> Result<Extent, Trouble> {
    let mut statement = db.prepare_cached("select value from extents where id = ?1")?;
    let value: Vec<u8> = statement.query_row([u64::from(partition) + 1], |row| row.get(0))?;
    let extent = Extent::decode(&value, seed("extent", partition.into()));
    let what = || format!("what is known of partition {partition} is not whole");
    extent.map(|(_, extent)| extent).ok_or_else(|| Trouble::Damaged(what()))
}

pub(super) fn metas(
    db: &Connection,
    partition: PartitionId,
    from: Offset,
    chunks_max: usize,
) -> Result<Vec<ChunkMeta>> {
    let mut statement = db.prepare_cached(
        "select id, last, cost, at from chunks where id between ?1 and ?2 order by id limit ?3",
    )?;
    let range = params![row_id(partition, from), row_id(partition, OFFSET_MAX), chunks_max];
    statement.query_map(range, meta)?.collect()
}

/// Where the chunk before an offset ends, if it does not reach it, and where the first chunk that
/// may reach it begins.
pub(super) fn chunk_at(
    db: &Connection,
    partition: PartitionId,
    offset: Offset,
) -> Result<(Option<Offset>, Offset)> {
    let mut statement = db.prepare_cached(
        "select id, last, cost, at from chunks where id between ?1 and ?2 order by id desc limit 1",
    )?;
    let range = params![row_id(partition, 0), row_id(partition, offset)];
    Ok(match statement.query_row(range, meta).optional()? {
        Some(chunk) if chunk.last >= offset => (None, chunk.first),
        Some(chunk) => (Some(chunk.last), offset),
        None => (None, offset),
    })
}

/// Shows the chunks that begin at an offset or later and before another one, until `each` says that
/// it is enough.
pub(super) fn each_chunk(
    db: &Connection,
    partition: PartitionId,
    from: Offset,
    until: Offset,
    mut each: impl FnMut(Row<'_>) -> Result<bool, Trouble>,
) -> Result<(), Trouble> {
    let mut statement = db.prepare_cached(
        "select id, last, cost, at, value from chunks where id >= ?1 and id < ?2 order by id",
    )?;
    let mut rows = statement.query(params![row_id(partition, from), row_id(partition, until)])?;
    while let Some(row) = rows.next()? {
        let value = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        let id: u64 = row.get(0)?;
        if !each(Row { id, meta: meta(row)?, value })? {
            break;
        }
    }
    Ok(())
}

/// Writes a change in one transaction; the new root, and about how many bytes that was.
pub(super) fn write(db: &mut Connection, root: &Root, change: Change) -> Result<(Root, u64)> {
    let mut root = Root { commit: root.commit + 1, ..*root };
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let rows = change.topics.len() + change.extents.len() + change.offsets.len();
    // A page for each row: that is what goes into the log.
    let mut bytes = (rows + change.chunks.len()) as u64 * 4_096;
    write_records(&transaction, &mut root, &change)?;
    for (partition, offsets) in &change.dropped {
        let range = [row_id(*partition, *offsets.start()), row_id(*partition, *offsets.end())];
        let delete = "delete from chunks where id between ?1 and ?2";
        transaction.prepare_cached(delete)?.execute(range)?;
    }
    for (partition, chunk) in change.chunks {
        let id = row_id(partition, chunk.meta().first);
        let (meta, value) = chunk.finish(id as u64);
        bytes += value.len() as u64;
        let insert = "insert into chunks values (?1, ?2, ?3, ?4, ?5)";
        let row = params![id, meta.last, meta.cost, meta.timestamp_ms, value];
        transaction.prepare_cached(insert)?.execute(row)?;
    }
    let update = "update extents set value = ?1 where id = 0";
    transaction.prepare_cached(update)?.execute([root.encode()])?;
    transaction.commit()?;
    Ok((root, bytes))
}

/// Writes the small rows, and counts in the root those that are new.
fn write_records(db: &Connection, root: &mut Root, change: &Change) -> Result<()> {
    let commit = root.commit;
    for (id, record) in &change.topics {
        let value = record.encode(commit, seed("topic", (*id).into()));
        let update = "update topics set value = ?2 where id = ?1";
        let insert = "insert into topics values (?1, ?2)";
        root.topics += put(db, update, insert, params![id, value])?;
    }
    for (partition, extent) in &change.extents {
        let value = extent.encode(commit, seed("extent", (*partition).into()));
        let update = "update extents set value = ?2 where id = ?1";
        let insert = "insert into extents values (?1, ?2)";
        let row = params![u64::from(*partition) + 1, value];
        root.partitions += put(db, update, insert, row)?;
    }
    for (name, partition, record) in &change.offsets {
        let value = record.encode(commit, seed(name, (*partition).into()));
        let update = "update offsets set value = ?3 where name = ?1 and partition = ?2";
        let insert = "insert into offsets values (?1, ?2, ?3)";
        root.offsets += put(db, update, insert, params![name, partition, value])?;
    }
    Ok(())
}

/// Replaces a row, or inserts it; how many rows there are more.
fn put(db: &Connection, update: &str, insert: &str, row: &[&dyn ToSql]) -> Result<u64> {
    if db.prepare_cached(update)?.execute(row)? == 0 {
        db.prepare_cached(insert)?.execute(row)?;
        return Ok(1);
    }
    Ok(0)
}
