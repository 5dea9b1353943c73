//! The data directory: what may lie in it, who holds it, and what is said when it can't be used.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{deadline::Deadline, port::Error};

/// The version of what lies in the directory; rises when older programs could not read it.
pub(super) const LAYOUT: u32 = 1;

const DATABASE: &str = "exchange.db";
/// Locked by the process that uses the directory; says so once the database is complete.
const LOCK: &str = "exchange.lock";
/// What SQLite keeps beside the database, and what file systems put into every root.
const COMPANIONS: [&str; 4] =
    ["exchange.db-wal", "exchange.db-shm", "exchange.db-journal", "lost+found"];
/// How long a process that is just ending may still hold the lock, and how often it is tried.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);
const CREATED: &str =
    "This directory belongs to an Oddwatch exchange. Its lock is held while it runs.\n";

/// A directory that this process alone uses.
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
    /// Whether a database was completed in it before.
    created: bool,
}

impl Directory {
    /// Creates the directory if need be and locks it.
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        let failed = |error| unusable(path, &format!("{error}"));
        fs::create_dir_all(path).map_err(failed)?;
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let known = |known: &str| name == known;
            if !(known(DATABASE) || known(LOCK) || COMPANIONS.iter().any(|name| known(name))) {
                let what = format!(
                    "{} holds {}, which is not of Oddwatch: give the exchange a directory of its \
                     own, or move that away",
                    path.display(),
                    name.display()
                );
                return Err(Error::Store { what });
            }
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(path.join(LOCK)).map_err(failed)?;
        let deadline = Deadline::after(LOCK_WAIT);
        while let Err(error) = lock.try_lock() {
            if let TryLockError::Error(error) = error {
                return Err(failed(error));
            }
            if deadline.left().is_none() {
                let what = format!(
                    "{} is in use by another process: stop that one, or give another directory",
                    path.display()
                );
                return Err(Error::Store { what });
            }
            thread::sleep(LOCK_INTERVAL);
        }
        let mut said = Vec::new();
        lock.read_to_end(&mut said).map_err(failed)?;
        let taken = Self { path: path.to_owned(), lock, created: !said.is_empty() };
        taken.check_files()?;
        Ok(taken)
    }

    /// SQLite would begin afresh, and drop what is in the log, where the database itself is missing
    /// or empty.
    fn check_files(&self) -> Result<(), Error> {
        let bytes = |name: &str| fs::metadata(self.path.join(name)).map_or(0, |found| found.len());
        let logged = bytes(COMPANIONS[0]) > 0;
        if (self.created || logged) && bytes(DATABASE) == 0 {
            return Err(self.damaged(&format!("{DATABASE} is missing or empty")));
        }
        Ok(())
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(super) fn is_created(&self) -> bool {
        self.created
    }

    /// Notes that the database is complete: from now on it must never be empty.
    pub(super) fn set_created(&mut self) -> Result<(), Error> {
        let written = self.lock.write_all(CREATED.as_bytes()).and_then(|()| self.lock.sync_all());
        written.map_err(|error| unusable(&self.path, &error.to_string()))?;
        self.created = true;
        Ok(())
    }

    /// The error of a store that can't be trusted.
    pub(super) fn damaged(&self, why: &str) -> Error {
        let what = format!(
            "the store in {} is damaged ({why}): restore it from a copy or move it away to begin \
             afresh; start with --memory to run without it",
            self.path.display()
        );
        Error::Store { what }
    }

    /// The error of a store that another version wrote.
    pub(super) fn of_another_layout(&self, found: u32) -> Error {
        let what = format!(
            "the store in {} has layout {found}, {LAYOUT} expected: start the version of Oddwatch \
             that wrote it, or move it away to begin afresh",
            self.path.display()
        );
        Error::Store { what }
    }

    /// The error of a store that can't be read or written now.
    pub(super) fn failed(&self, why: &str) -> Error {
        unusable(&self.path, why)
    }
}

fn unusable(path: &Path, why: &str) -> Error {
    let what = format!(
        "the data directory {} can't be used: {why}; make it readable and writable, or give \
         another",
        path.display()
    );
    Error::Store { what }
}
