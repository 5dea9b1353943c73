//! What is refused, and why.

use std::{fmt, sync::Arc};

use crate::Micros;

/// Why a record was refused. The names are what users see in `records.rejected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not decodable: broken JSON, torn protobuf.
    Undecodable,
    /// An event or record layout of a version this build does not know.
    UnknownVersion,
    /// A field has the wrong type.
    WrongType,
    /// No series key.
    NoSeries,
    /// No time.
    NoTime,
    /// No value at all.
    NoValue,
    /// A value is NaN or infinite.
    NonFinite,
    /// A time outside of what can be represented or is allowed.
    TimeOutOfBounds,
    /// Event time more than five minutes past the message's own time.
    Future,
    /// A message or a text is too large.
    TooLarge,
    /// More features than `features_max`.
    TooManyFeatures,
    /// A feature that the stream does not define.
    UnknownFeature,
    /// A stream that is not defined (any more).
    UnknownStream,
    /// More series than `series_max`.
    TooManySeries,
    /// Behind the watermark, in a stream (or window) whose policy is to refuse.
    Late,
    /// A record or row on which a service panicked or died; skipped for good by an entry in
    /// `control`.
    Poison,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 16] = [
        Self::Undecodable,
        Self::UnknownVersion,
        Self::WrongType,
        Self::NoSeries,
        Self::NoTime,
        Self::NoValue,
        Self::NonFinite,
        Self::TimeOutOfBounds,
        Self::Future,
        Self::TooLarge,
        Self::TooManyFeatures,
        Self::UnknownFeature,
        Self::UnknownStream,
        Self::TooManySeries,
        Self::Late,
        Self::Poison,
    ];

    /// The name that users see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "UNDECODABLE",
            Self::UnknownVersion => "UNKNOWN_VERSION",
            Self::WrongType => "WRONG_TYPE",
            Self::NoSeries => "NO_SERIES",
            Self::NoTime => "NO_TIME",
            Self::NoValue => "NO_VALUE",
            Self::NonFinite => "NON_FINITE",
            Self::TimeOutOfBounds => "TIME_OUT_OF_BOUNDS",
            Self::Future => "FUTURE",
            Self::TooLarge => "TOO_LARGE",
            Self::TooManyFeatures => "TOO_MANY_FEATURES",
            Self::UnknownFeature => "UNKNOWN_FEATURE",
            Self::UnknownStream => "UNKNOWN_STREAM",
            Self::TooManySeries => "TOO_MANY_SERIES",
            Self::Late => "LATE",
            Self::Poison => "POISON",
        }
    }

    /// Reads a name back.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The most bytes of a refused message that are kept.
pub const REFUSED_BYTES_MAX: usize = 64 * 1024;

/// A refused record, as it goes to `records.rejected`.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// What was wrong, where in the record, and what would be right.
    pub detail: String,
    /// The service that refused it.
    pub service: &'static str,
    /// The partition it was read from, as `topic/number`.
    pub source: Arc<str>,
    /// The message's offset there.
    pub offset: u64,
    /// The record's index within the message.
    pub index: u32,
    /// The message's own time.
    pub ingested_at: Micros,
    /// The message's key.
    pub key: Option<Vec<u8>>,
    /// The message, its first [`REFUSED_BYTES_MAX`] bytes.
    pub payload: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_its_reason() {
        assert_eq!(Reason::parse("POISON"), Some(Reason::Poison));
        assert_eq!(Reason::parse("poison"), None);
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(Reason::parse(reason.name()), Some(reason));
            assert_eq!(reason as usize, at, "ALL is in the order of the enum and lacks none");
        }
        assert_eq!(Reason::ALL.len(), Reason::Poison as usize + 1);
    }
}
