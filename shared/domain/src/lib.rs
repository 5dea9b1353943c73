//! The words of Oddwatch as types, in the order of a record's way: what a user defines
//! ([`definition`]), what travels ([`row`]), what is found ([`finding`]), what is refused
//! ([`refusal`]); and how state of all this is written for snapshots ([`encoding`]). No I/O, no
//! clock, no async.

pub mod definition;
pub mod encoding;
pub mod finding;
pub mod id;
pub mod refusal;
pub mod row;
pub mod topics;
pub mod track;

pub use definition::{
    Aggregate, Algorithm, Channel, ChannelKind, Combine, Definition, Definitions, Detector,
    Direction, DriftPolicy, DriftTest, Feedback, Format, GapPolicy, GivenModel, Invalid, Kind,
    LatePolicy, Layout, Limits, Parameter, Percentile, QuietTime, Shape, Skip, Source, Stream,
    Threshold, UnknownFeature, Window,
};
pub use finding::{
    Alert, AlertState, Anomaly, Contribution, Drift, DriftAction, DriftKind, Finding, Muted, Phase,
    Score, ScoreBatch, ScoreItem, Severity, Summary,
};
pub use id::Id;
pub use refusal::{Reason, Refusal};
pub use row::{Batch, Extras, Flags, Item, Origin, Position, Row, SeriesRef};
pub use topics::Topics;
pub use track::{Hole, Track};

/// Microseconds since 1970-01-01T00:00:00Z; the unit of every instant in Oddwatch.
pub type Micros = i64;

/// The log time before any source has been heard of.
pub const LOG_TIME_NONE: Micros = i64::MIN;

/// The log time that releases everything: the last tick of a finished input, such as a file.
pub const LOG_TIME_END: Micros = i64::MAX;
