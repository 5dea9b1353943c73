//! How snapshots fail, by what the caller can do about it.

use std::{error::Error as StdError, io, path::PathBuf};

/// A failure of the store, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no store that this build can open: correct the configuration.
    #[error("{url}: {why}")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it and what would be right.
        why: String,
    },
    /// The directory can't be used: make room or make way, or name another one.
    #[error("{}: {why}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        why: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The store did not do what it was asked to: try again later.
    #[error("{what}")]
    Store {
        /// What was tried, and on which object.
        what: String,
        /// What the store said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The service's own part of a snapshot failed: a defect, and trying again will not help.
    #[error("{object}: {why}")]
    State {
        /// The snapshot, or the partition.
        object: String,
        /// What the service's part did.
        why: String,
    },
}

impl Error {
    pub(crate) fn store(
        what: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Store { what: what.into(), source: source.into() }
    }

    /// All levels in one line, for a log.
    pub(crate) fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let level = error.to_string();
            // object_store's errors print their sources themselves.
            if !text.contains(&level) {
                text.push_str(": ");
                text.push_str(&level);
            }
            source = error.source();
        }
        text
    }
}
