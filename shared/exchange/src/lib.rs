//! How a service reads and writes: partitioned logs, consumer groups and atomic commits.
//!
//! The crate knows bytes, offsets and headers, and nothing of what the bytes mean. Read in this order:
//!
//! - [`port`]: the words and the three seams ([`Exchange`], [`Member`], [`Follower`]) with two real
//!   implementations each;
//! - [`worker`]: the one loop that every service runs on a [`Member`];
//! - [`memory`]: the embedded exchange, the default of `oddwatch up`;
//! - [`kafka`]: Apache Kafka through librdkafka, transactional;
//! - [`faults`]: planned misfortune for both, by which tests and the simulation judge the services.

mod checks;
mod deadline;
mod error;
pub mod faults;
pub mod kafka;
pub mod memory;
pub mod metrics;
mod placement;
pub mod port;
pub mod worker;

pub use faults::{Fault, FaultHook};
pub use kafka::{KafkaExchange, KafkaOptions};
pub use memory::{MemoryExchange, MemoryOptions};
pub use placement::murmur2_partition;
pub use port::{
    Append, Assignment, Batch, CommitOutcome, Committed, Error, Event, Exchange, FollowFrom,
    Follower, Group, Header, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, Member, Message, Offset,
    Output, Outputs, Partition, PollLimits, Slice, Start, TopicInfo, TopicSpec,
};
pub use worker::{Processor, Step, Worker};
