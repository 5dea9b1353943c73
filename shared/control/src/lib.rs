//! The `control` log as every service sees it: which definitions are in force at which config version, and
//! how topics and definitions are set up when a process starts.
//!
//! - [`log`]: reads the log up to a version;
//! - [`file`]: a definitions file;
//! - [`refuse`]: what a service does with a message that it can't read;
//! - [`writer`]: appends to it;
//! - [`setup`]: topics, layout and definitions at start.

pub mod file;
pub mod log;
pub mod refuse;
pub mod setup;
pub mod writer;

pub use file::parse_definitions;
pub use log::{ControlLog, History, Skipped};
pub use refuse::{poisonous, undecodable};
pub use setup::{SetupOptions, set_up};
pub use writer::ControlWriter;

/// Why control can't be read or set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// A definition or a setting is wrong; exit with 78.
    #[error("{0}")]
    Invalid(String),
    /// An entry of the log can't be read by this build.
    #[error("control entry {version}: {source}")]
    Entry {
        /// The entry's config version.
        version: u64,
        /// What is wrong with it.
        source: wire::DecodeError,
    },
    /// A version that the log does not reach.
    #[error("config version {wanted} is in force in the input, but control ends at {last}")]
    Behind {
        /// The version asked for.
        wanted: u64,
        /// The last one there.
        last: u64,
    },
}
