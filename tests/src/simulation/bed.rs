//! Exchanges to simulate on.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use exchange::{Exchange, MemoryExchange, MemoryOptions};
use tempfile::TempDir;

use crate::local::Failed;

/// Where a simulation takes its exchanges from.
pub trait Bed {
    /// An exchange without topics.
    ///
    /// # Errors
    /// If there is none.
    fn open(&self, options: MemoryOptions) -> Result<Arc<dyn Exchange>, Failed>;

    /// All processes die at this moment, and nothing of theirs is flushed or closed: the exchange as it is found
    /// afterwards; `None` if it ends with them.
    ///
    /// # Errors
    /// If what is left can't be opened.
    fn after_crash(&self, options: MemoryOptions) -> Result<Option<Arc<dyn Exchange>>, Failed>;
}

/// In memory only.
pub struct InMemory;

impl Bed for InMemory {
    fn open(&self, options: MemoryOptions) -> Result<Arc<dyn Exchange>, Failed> {
        Ok(Arc::new(MemoryExchange::new(options)))
    }

    fn after_crash(&self, _: MemoryOptions) -> Result<Option<Arc<dyn Exchange>>, Failed> {
        Ok(None)
    }
}

/// In a directory. A crash is a copy of its files as they are, while they are in use.
pub struct OnDisk {
    folder: TempDir,
    /// The number of the directory that was opened last.
    last: Mutex<usize>,
}

/// Little is kept in memory, so that most is read from the disk.
const CACHE_BYTES_MAX: usize = 2_000;

impl OnDisk {
    /// With directories of its own, which are gone afterwards.
    ///
    /// # Errors
    /// If none can be made.
    pub fn new() -> Result<Self, Failed> {
        Ok(Self { folder: tempfile::tempdir()?, last: Mutex::new(0) })
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    /// The last directory and the next one.
    fn next(&self) -> (PathBuf, PathBuf) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        (self.path(*last - 1), self.path(*last))
    }
}

impl Bed for OnDisk {
    fn open(&self, mut options: MemoryOptions) -> Result<Arc<dyn Exchange>, Failed> {
        options.disk.cache_bytes_max = CACHE_BYTES_MAX;
        Ok(Arc::new(MemoryExchange::open(&self.next().1, options)?))
    }

    fn after_crash(&self, mut options: MemoryOptions) -> Result<Option<Arc<dyn Exchange>>, Failed> {
        let (from, to) = self.next();
        fs::create_dir(&to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        options.disk.cache_bytes_max = CACHE_BYTES_MAX;
        Ok(Some(Arc::new(MemoryExchange::open(&to, options)?)))
    }
}
