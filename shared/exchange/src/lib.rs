//! How a service reads and writes: partitioned logs, consumer groups and atomic commits.
//!
//! The crate knows bytes, offsets and headers, and nothing of what the bytes mean. Read in this order:
//!
//! - [`port`]: the words and the three seams ([`Exchange`], [`Member`], [`Follower`]) with two real
//!   implementations each;
//! - [`processor`]: what a service is to its worker;
//! - [`worker`]: the one loop that every service runs on a [`Member`]; `suspicion` finds items that kill a process,
//!   `progress` tells of restores;
//! - [`memory`]: the embedded exchange, the default of `oddwatch up`; `disk` is its store, if it has one;
//! - [`kafka`]: Apache Kafka through librdkafka, transactional;
//! - [`faults`]: planned misfortune for both, by which tests and the simulation judge the services;
//! - [`points`]: named points at which a process can be made to die, for tests of real processes.

mod checks;
mod counts;
mod deadline;
mod disk;
mod error;
pub mod faults;
pub mod kafka;
pub mod memory;
pub mod metrics;
mod placement;
pub mod points;
pub mod port;
pub mod processor;
mod progress;
mod suspicion;
pub mod worker;

pub use faults::{Fault, FaultHook};
pub use kafka::{KafkaExchange, KafkaOptions};
pub use memory::{DiskOptions, Durability, MemoryExchange, MemoryOptions};
pub use placement::murmur2_partition;
pub use port::{
    Append, Assignment, Batch, CommitOutcome, Committed, Error, Event, Exchange, FollowFrom,
    Follower, Group, Header, MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, Member, Message, Offset,
    Output, Outputs, Partition, PollLimits, Slice, Start, TopicInfo, TopicSpec,
};
pub use processor::{Place, Processor, Restore};
pub use progress::Restoring;
pub use worker::{Step, Worker};
