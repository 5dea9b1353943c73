//! How the exchange fails, by what the caller can do about it.

use crate::port::{Offset, Partition};

/// A failure of the exchange, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker can't be reached or does not answer: try later, or exit with 69.
    #[error("{what}")]
    Unavailable {
        /// What was tried, where, and how long.
        what: String,
    },
    /// Another member with the same name has taken over: leave.
    #[error(
        "member {member} of group {group} was fenced: another process runs under the same name"
    )]
    Fenced {
        /// The group.
        group: String,
        /// The member's configured name.
        member: String,
    },
    /// No room now: try again after a while.
    #[error("{what} is full")]
    Full {
        /// What has no room.
        what: String,
    },
    /// An output is larger than its topic takes; nothing of its cycle was written.
    #[error("a message of {bytes} bytes to {topic} exceeds its limit of {bytes_max} bytes")]
    Oversized {
        /// The topic.
        topic: String,
        /// The message's size: key, value and headers.
        bytes: usize,
        /// The topic's limit.
        bytes_max: usize,
    },
    /// A topic is missing or not as it must be.
    #[error("{what}")]
    Topic {
        /// Which topic, what is wrong, what would be right.
        what: String,
    },
    /// Input that was committed as not yet read is gone (retention overran the reader).
    #[error("{partition}: offset {wanted} is gone, the first one kept is {first}")]
    Lost {
        /// The partition.
        partition: Partition,
        /// The offset asked for.
        wanted: Offset,
        /// The first offset that is kept.
        first: Offset,
    },
    /// The data directory can't be used: somebody else uses it, it holds something else, it is damaged, or it can
    /// be read or written no more. A person is needed; on opening exit with 78, later with 1.
    #[error("{what}")]
    Store {
        /// Which directory, what is wrong, what would be right.
        what: String,
    },
    /// The member must not go on (unknown outcome of a commit, fatal client error): leave the process.
    #[error("{what}")]
    Fatal {
        /// What happened.
        what: String,
    },
}
