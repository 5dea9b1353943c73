//! The language between services: the generated messages of `proto/oddwatch/v1`, and the conversions between
//! them and the types of `domain`. Only this crate knows prost.
//!
//! - [`v1`]: generated messages, gRPC clients and servers;
//! - [`rows`]: `records.accepted` and `detection.requested`;
//! - [`scores`]: what goes to `detection.completed`;
//! - [`events`]: anomalies, drifts, alerts, refusals;
//! - [`control`]: what goes to `control`;
//! - [`records`]: what users publish.

mod columns;
pub mod control;
pub mod events;
pub mod records;
pub mod rows;
pub mod scores;

pub use tonic;

/// The generated code; its comments are those of the proto files.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod v1 {
    include!("gen/oddwatch.v1.rs");

    /// The compiled proto files, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptor.bin");
}

/// The layout version that this build writes and reads.
pub const EVENT_VERSION: u32 = 1;

/// Why bytes are no event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not this message at all.
    #[error("not a {message}: {source}")]
    Undecodable {
        /// The message expected.
        message: &'static str,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// A layout that this build does not know.
    #[error("{message} of layout version {found}, this build reads version {EVENT_VERSION}")]
    UnknownVersion {
        /// The message expected.
        message: &'static str,
        /// The version found.
        found: u32,
    },
    /// Decodable, but it contradicts itself.
    #[error("{message}: {wrong}")]
    Malformed {
        /// The message expected.
        message: &'static str,
        /// What is wrong.
        wrong: String,
    },
}

fn decode<M: prost::Message + Default>(
    message: &'static str,
    bytes: &[u8],
) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|source| DecodeError::Undecodable { message, source })
}

fn check_version(message: &'static str, found: u32) -> Result<(), DecodeError> {
    if found == EVENT_VERSION {
        return Ok(());
    }
    Err(DecodeError::UnknownVersion { message, found })
}

fn malformed(message: &'static str, wrong: impl Into<String>) -> DecodeError {
    DecodeError::Malformed { message, wrong: wrong.into() }
}
