//! The words of the exchange and its seams. `memory` and `kafka` implement them; one contract suite
//! (`tests/contract`) holds both to the same promises.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

pub use crate::error::Error;

/// The place of a message in its partition. Offsets never go back, but need not be consecutive: every
/// commit burns one, as Kafka's transaction markers do.
pub type Offset = u64;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic's full name, prefix included.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub number: u32,
}

impl Partition {
    /// A partition by topic name and number.
    pub fn new(topic: impl Into<Arc<str>>, number: u32) -> Self {
        Self { topic: topic.into(), number }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// A header of a message: name and value.
pub type Header = (String, Bytes);

/// A message as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its offset in the partition it was read from.
    pub offset: Offset,
    /// When the broker appended it (LogAppendTime), in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in their order.
    pub headers: Vec<Header>,
}

impl Message {
    /// Key, value and headers in bytes.
    pub fn size(&self) -> usize {
        size(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The topic's full name.
    pub topic: Arc<str>,
    /// The partition; `None` places by murmur2 of the key, as Kafka's Java clients do, or in turn
    /// without a key.
    pub partition: Option<u32>,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in their order.
    pub headers: Vec<Header>,
}

impl Output {
    /// Key, value and headers in bytes: what a topic's limit of message size counts.
    pub fn size(&self) -> usize {
        size(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }
}

fn size(key: Option<&Bytes>, value: Option<&Bytes>, headers: &[Header]) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    key.map_or(0, Bytes::len) + value.map_or(0, Bytes::len) + headers
}

impl Output {
    /// A message without headers for a given partition.
    pub fn to(topic: &Arc<str>, partition: u32, key: Option<&[u8]>, value: Vec<u8>) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition: Some(partition),
            key: key.map(Bytes::copy_from_slice),
            value: Some(Bytes::from(value)),
            headers: vec![],
        }
    }
}

/// What one cycle writes, atomically together with the offsets of everything delivered so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The messages; their order is kept within each partition.
    pub messages: Vec<Output>,
    /// Metadata to be stored with the committed offset of these input partitions (at most
    /// [`METADATA_BYTES_MAX`] each). A partition not named here keeps the metadata last committed for it,
    /// or none. Naming a partition commits its offset even if nothing was delivered.
    pub metadata: Vec<(Partition, String)>,
}

impl Outputs {
    /// Whether there is nothing to write; offsets may still need committing.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.metadata.is_empty()
    }
}

/// The most metadata that goes with one committed offset (Kafka's default limit is 4,096 bytes).
pub const METADATA_BYTES_MAX: usize = 4_000;

/// The largest message that topics of ours take: 8 MiB less what Kafka adds to a batch of one.
pub const MESSAGE_BYTES_MAX: usize = (8 << 20) - MESSAGE_OVERHEAD_BYTES;

/// What Kafka may add to a message: 61 bytes for the batch, 21 for the record, 10 for each header.
pub(crate) const MESSAGE_OVERHEAD_BYTES: usize = 1_024;

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: Offset,
    /// The metadata stored with it.
    pub metadata: String,
}

/// A partition that has come to this member and waits for [`Member::start`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which.
    pub partition: Partition,
    /// What the group has committed for it; `None` if it never did (or the broker forgot).
    pub committed: Option<Committed>,
}

/// Where reading an assigned partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the committed offset, or at the first one kept if nothing was committed.
    Committed,
    /// At the first offset kept; what lies below the committed offset arrives marked `replay`.
    Earliest,
    /// At this offset; what lies below the committed offset arrives marked `replay`.
    At(Offset),
}

/// Consecutive messages of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Where they come from.
    pub partition: Partition,
    /// The messages, by offset. May be empty when only `at_end` changed.
    pub messages: Vec<Message>,
    /// Whether the partition had been read to its end when the slice was taken.
    pub at_end: bool,
}

/// What one poll cycle found.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// One slice per partition, sorted by partition.
    pub slices: Vec<Slice>,
    /// All of it lies below the committed offsets: it rebuilds state, and its outputs were committed
    /// before. A batch is either replay or not, never both.
    pub replay: bool,
}

/// What a poll tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// These partitions have come. Each waits for [`Member::start`], which may come after further polls:
    /// until then the partition is not read, while the others go on.
    Assigned(Vec<Assignment>),
    /// These are gone, or must be started afresh: their state is to be dropped.
    Revoked(Vec<Partition>),
    /// Messages. Unless `replay`, they must be answered with [`Member::commit`] before the next poll.
    /// Partitions that came to their end since they were last told of are in it too, without messages.
    Batch(Batch),
    /// Nothing new within the wait. Lists the started partitions that are read to their end (sorted);
    /// a commit may follow (ticks), but need not.
    Idle(Vec<Partition>),
}

/// Bounds of one poll.
#[derive(Clone, Copy, Debug)]
pub struct PollLimits {
    /// How long to wait for the first message.
    pub wait: Duration,
    /// The least length of a cycle under load: after the first message the poll goes on collecting
    /// until this long after the previous poll returned a batch. Zero delay when idle.
    pub cycle: Duration,
    /// The most messages in a batch.
    pub messages_max: usize,
    /// The most bytes in a batch (one message may exceed it alone).
    pub bytes_max: usize,
}

impl Default for PollLimits {
    fn default() -> Self {
        Self {
            wait: Duration::from_millis(100),
            cycle: Duration::from_millis(5),
            messages_max: 20_000,
            bytes_max: 4 << 20,
        }
    }
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Outputs and offsets are durable and visible, all of them.
    Committed,
    /// No room now (a bounded log is full, or the client's queue is): nothing was written; offer the same
    /// outputs again.
    Full,
    /// The transaction was aborted, nothing was written: the member's partitions are coming again, as
    /// `Revoked` and `Assigned`.
    Rewound,
}

/// Membership of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The group's name, such as `oddwatch-detector`.
    pub name: String,
    /// This member's configured, stable name: service, instance and thread. A second member with the same
    /// name fences the first.
    pub member: String,
    /// The topics it reads.
    pub topics: Vec<Arc<str>>,
}

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The full name.
    pub name: Arc<str>,
    /// Number of partitions, fixed at creation.
    pub partitions: u32,
    /// How long messages are kept; `None` for ever.
    pub retention_ms: Option<i64>,
    /// Only the newest message per key is kept.
    pub compacted: bool,
    /// Bound in bytes per partition for exchanges that keep topics in memory.
    pub memory_bytes_max: usize,
    /// What the memory exchange does at the bound: `false`, refuse (back-pressure; messages go when no
    /// group that ever joined needs them: see [`Member::release`]); `true`, forget the oldest.
    pub ring: bool,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// The full name.
    pub name: Arc<str>,
    /// Number of partitions.
    pub partitions: u32,
}

/// Where a follower starts, in every partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowFrom {
    /// At the first offset kept.
    Earliest,
    /// Behind the last message there now.
    Latest,
}

/// Writes outside any group: front doors and control. Answers when durable.
pub trait Append: Send + Sync {
    /// Appends the messages and returns their partitions and offsets, in order, once all are durable.
    /// Blocks meanwhile.
    ///
    /// # Errors
    /// `Full`: none, or only a first part, was written and the caller may try again later; `Oversized`: none was
    /// written; `Unavailable`: it is not known what was written.
    fn append(&self, messages: Vec<Output>) -> Result<Vec<(u32, Offset)>, Error>;
}

/// A member of a group: owns partitions, reads them, writes outputs and offsets atomically.
///
/// The calls go in this order: `poll` → (`Assigned`: `start` each, at once or later; `Batch`: `commit` until it is
/// not `Full`) → `poll` … `note` and `release` may come between any of them, `rewind` in place of a `commit`.
pub trait Member: Send {
    /// Waits for what comes next.
    ///
    /// # Errors
    /// As [`Error`]; all but `Unavailable` end the member.
    fn poll(&mut self, limits: &PollLimits) -> Result<Event, Error>;

    /// Begins reading an assigned partition; not one that is gone, as the next poll will tell.
    ///
    /// # Errors
    /// `Lost` if [`Start::At`] or the committed offset lies below the first offset kept; `Unavailable`: it may be
    /// tried again later, the partition waits on.
    fn start(&mut self, partition: &Partition, start: Start) -> Result<(), Error>;

    /// Writes outputs and the offsets of everything delivered (not of replay), all or nothing. Partitions
    /// that have no committed offset yet get the one they start at, so that an output never exists without one.
    /// With nothing to write it returns at once.
    ///
    /// # Errors
    /// `Fenced`, `Oversized` (nothing written; the batch is still uncommitted) or `Fatal`.
    fn commit(&mut self, outputs: &Outputs) -> Result<CommitOutcome, Error>;

    /// Stores metadata with the committed offsets of started partitions, which stay where they are, whatever was
    /// delivered since. A partition that has no committed offset yet gets the one it was started at. All or
    /// nothing; answers when durable.
    ///
    /// # Errors
    /// As [`Member::commit`].
    fn note(&mut self, metadata: &[(Partition, String)]) -> Result<CommitOutcome, Error>;

    /// Makes everything come again, as `Revoked` and `Assigned`, as after an aborted transaction. Takes the place
    /// of a batch's commit.
    ///
    /// # Errors
    /// `Fenced` or `Fatal`.
    fn rewind(&mut self) -> Result<(), Error>;

    /// Says that no restore of this group will need the partition's messages below `offset`. Exchanges that trim
    /// by need keep the others; Kafka trims by age and takes no note of it.
    ///
    /// # Errors
    /// `Fenced` or `Fatal`.
    fn release(&mut self, partition: &Partition, offset: Offset) -> Result<(), Error>;

    /// The group that it is a member of.
    fn group(&self) -> &Group;

    /// Leaves the group; uncommitted batches will come again to whoever takes over. Dropping does the same.
    fn leave(self: Box<Self>);
}

/// Reads all partitions of a topic without a group; sees committed messages only.
pub trait Follower: Send {
    /// Waits up to `wait` for messages, at most `messages_max`, each with its partition number.
    ///
    /// # Errors
    /// `Unavailable`, `Lost` (the next call goes on from the first message kept) or `Fatal`.
    fn next(&mut self, wait: Duration, messages_max: usize) -> Result<Vec<(u32, Message)>, Error>;

    /// Whether everything that was committed when this is called has been returned by `next`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn caught_up(&mut self) -> Result<bool, Error>;
}

/// A connection to an exchange; cheap to clone and share.
pub trait Exchange: Send + Sync {
    /// Creates the topics that are missing.
    ///
    /// # Errors
    /// `Topic` if one exists with another number of partitions.
    fn create_topics(&self, specs: &[TopicSpec]) -> Result<(), Error>;

    /// The topic as it is, or `None` if there is none of that name.
    ///
    /// # Errors
    /// `Unavailable`.
    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, Error>;

    /// Whether anything was ever written to a partition, kept or not.
    ///
    /// # Errors
    /// `Topic` if it is missing; `Unavailable`.
    fn written(&self, partition: &Partition) -> Result<bool, Error>;

    /// Joins a group. Partitions come with [`Member::poll`].
    ///
    /// # Errors
    /// `Topic` if a topic is missing; `Unavailable`.
    fn join(&self, group: &Group) -> Result<Box<dyn Member>, Error>;

    /// Opens a writer outside any group.
    ///
    /// # Errors
    /// `Unavailable`.
    fn appender(&self) -> Result<Arc<dyn Append>, Error>;

    /// Follows all partitions of a topic.
    ///
    /// # Errors
    /// `Topic` if it is missing; `Unavailable`.
    fn follow(&self, topic: &str, from: FollowFrom) -> Result<Box<dyn Follower>, Error>;
}
