//! Ingest: the sequencer. It reads users' records from their topics, checks them, gives each row its place,
//! number and log time, and writes rows and ticks to `records.accepted`, what it refuses to
//! `records.rejected`. What later services must not ask a clock for, it writes into the log.
//!
//! In the order of a record's way:
//!
//! - [`config`]: limits and their defaults;
//! - `streams`: the streams in force, ready to decode with;
//! - `codec`: a message to checked records, and the memory that is committed with offsets;
//! - `cycle`: rows, ticks and refusals of one poll cycle;
//! - `state`: what is known of each source; decides;
//! - `memories`: that a source has been read, kept beside the exchange;
//! - [`service`]: the processor that the worker drives;
//! - `door`, [`grpc`], [`http`]: the front doors, which only append to the streams' topics;
//! - [`metrics`]: what is counted.

mod codec;
pub mod config;
mod cycle;
mod door;
pub mod grpc;
pub mod http;
mod memories;
pub mod metrics;
pub mod service;
mod state;
mod streams;

pub use config::{DEFAULTS, IngestConfig};
pub use door::FrontDoor;
pub use service::{Finish, GROUP, IngestError, IngestOptions, IngestProcessor};
pub use streams::{check_stream, input_topics};

/// Reads a time as it may stand in a record: RFC 3339, `YYYY-MM-DD HH:MM:SS` (UTC) or Unix s, ms, us or ns.
///
/// # Errors
/// What is wrong with it and what would be right.
pub fn parse_time(text: &str) -> Result<domain::Micros, String> {
    codec::time::of_text(text, &streams::Zone::Utc).map_err(|fault| fault.detail)
}
