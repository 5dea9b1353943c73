//! Reads the `control` log. A config version is the offset of an entry plus one.

use std::time::Duration;

use domain::{Definition, Definitions, Topics};
use exchange::{Exchange, FollowFrom, Follower};

use crate::Error;

/// How long one read waits.
const WAIT: Duration = Duration::from_millis(50);
/// How many reads may come back empty before a version that the input names counts as missing (10 s).
const EMPTY_READS_MAX: u32 = 200;
const ENTRIES_MAX: usize = 1_000;

/// The log as far as it was read.
pub struct ControlLog {
    follower: Box<dyn Follower>,
    entries: Vec<(u64, Definition)>,
    latest: Definitions,
}

impl ControlLog {
    /// Opens the log and reads it to its present end.
    ///
    /// # Errors
    /// If it can't be read, or an entry can't be understood.
    pub fn open(exchange: &dyn Exchange, topics: &Topics) -> Result<Self, Error> {
        let follower = exchange.follow(&topics.control, FollowFrom::Earliest)?;
        let mut log = Self { follower, entries: vec![], latest: Definitions::default() };
        while !log.follower.caught_up()? {
            log.read(WAIT)?;
        }
        Ok(log)
    }

    /// Reads what is there now, without waiting; says whether there was anything new.
    ///
    /// # Errors
    /// As [`ControlLog::open`].
    pub fn refresh(&mut self) -> Result<bool, Error> {
        self.read(Duration::ZERO)
    }

    /// Waits until the log has been read up to `version`.
    ///
    /// # Errors
    /// As [`ControlLog::open`]; `Behind` if the log does not reach that far within some seconds.
    pub fn read_to(&mut self, version: u64) -> Result<(), Error> {
        let mut empty = 0;
        while self.latest.version < version {
            if self.read(WAIT)? {
                empty = 0;
            } else {
                empty += 1;
            }
            if empty > EMPTY_READS_MAX {
                return Err(Error::Behind { wanted: version, last: self.latest.version });
            }
        }
        Ok(())
    }

    /// The definitions as of the last entry read.
    pub fn latest(&self) -> &Definitions {
        &self.latest
    }

    /// Brings `definitions` to `version`; never back. The log must have been read that far.
    pub fn advance(&self, definitions: &mut Definitions, version: u64) {
        let from = self.entries.partition_point(|(v, _)| *v <= definitions.version);
        for (v, definition) in self.entries[from..].iter().take_while(|(v, _)| *v <= version) {
            definitions.apply(*v, definition.clone());
        }
    }

    fn read(&mut self, wait: Duration) -> Result<bool, Error> {
        let messages = self.follower.next(wait, ENTRIES_MAX)?;
        for (_, message) in &messages {
            let version = message.offset + 1;
            let bytes = message.value.as_deref().unwrap_or_default();
            let definition = wire::control::decode_definition(bytes)
                .map_err(|source| Error::Entry { version, source })?;
            self.latest.apply(version, definition.clone());
            self.entries.push((version, definition));
        }
        Ok(!messages.is_empty())
    }
}
