//! Reads the `control` log. A config version is the offset of an entry plus one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use domain::{Definition, Definitions, Feedback, Skip, Topics};
use exchange::{Exchange, FollowFrom, Follower, Message, Partition};

use crate::Error;

/// How long one read waits.
const WAIT: Duration = Duration::from_millis(50);
/// How many reads may come back empty before a version that the input names counts as missing (10 s).
const EMPTY_READS_MAX: u32 = 200;
const ENTRIES_MAX: usize = 1_000;

/// The entries of the log, each with the config version that it makes.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: Vec<(u64, Definition)>,
}

impl History {
    /// Brings `definitions` to `version`; never back. The log must have been read that far.
    pub fn advance(&self, definitions: &mut Definitions, version: u64) {
        let from = self.entries.partition_point(|(v, _)| *v <= definitions.version);
        for (v, definition) in self.entries[from..].iter().take_while(|(v, _)| *v <= version) {
            definitions.apply(*v, definition.clone());
        }
    }

    /// The feedback between two versions, the first excluded, in its order.
    pub fn feedback(&self, after: u64, until: u64) -> impl Iterator<Item = &Feedback> {
        let from = self.entries.partition_point(|(v, _)| *v <= after);
        let between = self.entries[from..].iter().take_while(move |(v, _)| *v <= until);
        between.filter_map(|(_, definition)| match definition {
            Definition::Feedback(feedback) => Some(feedback),
            _ => None,
        })
    }

    /// The definitions in force at a version.
    pub fn at(&self, version: u64) -> Definitions {
        let mut definitions = Definitions::default();
        self.advance(&mut definitions, version);
        definitions
    }
}

/// The log as far as it was read.
pub struct ControlLog {
    follower: Box<dyn Follower>,
    history: Arc<History>,
    latest: Definitions,
    skips: BTreeMap<(String, String), BTreeMap<u64, BTreeSet<u64>>>,
}

/// The items of a message that are skipped, by index; mostly none.
pub type Skipped<'a> = Option<&'a BTreeSet<u64>>;

impl ControlLog {
    /// Opens the log and reads it to its present end.
    ///
    /// # Errors
    /// If it can't be read, or an entry can't be understood.
    pub fn open(exchange: &dyn Exchange, topics: &Topics) -> Result<Self, Error> {
        let follower = exchange.follow(&topics.control, FollowFrom::Earliest)?;
        let mut log = Self {
            follower,
            history: Arc::default(),
            latest: Definitions::default(),
            skips: BTreeMap::new(),
        };
        log.read_all()?;
        Ok(log)
    }

    /// Reads to the present end.
    ///
    /// # Errors
    /// As [`ControlLog::open`].
    pub fn read_all(&mut self) -> Result<(), Error> {
        while !self.follower.caught_up()? {
            self.read(WAIT)?;
        }
        Ok(())
    }

    /// The items of a message that `service` skips. They hold whatever the version; before a replay the log must
    /// have been read to its end.
    pub fn skipped(&self, service: &str, partition: &Partition, message: &Message) -> Skipped<'_> {
        if self.skips.is_empty() {
            return None;
        }
        self.skips.get(&(service.to_owned(), partition.to_string()))?.get(&message.offset)
    }

    /// The messages of which `service` skips anything, by partition and offset.
    pub fn skipped_messages(&self, service: &str) -> BTreeSet<(Partition, u64)> {
        let of_service = self.skips.iter().filter(|((of, _), _)| of == service);
        let messages = of_service.flat_map(|((_, name), messages)| {
            let partition = name.rsplit_once('/').and_then(|(topic, number)| {
                number.parse().ok().map(|number| Partition::new(topic, number))
            });
            let offsets = messages.keys().copied();
            partition.into_iter().flat_map(move |partition| {
                offsets.clone().map(move |offset| (partition.clone(), offset))
            })
        });
        messages.collect()
    }

    /// What was read so far, for other threads.
    pub fn history(&self) -> Arc<History> {
        Arc::clone(&self.history)
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

    /// Brings `definitions` to `version`, as [`History::advance`] does.
    pub fn advance(&self, definitions: &mut Definitions, version: u64) {
        self.history.advance(definitions, version);
    }

    /// The feedback between two versions, as [`History::feedback`] gives it.
    pub fn feedback(&self, after: u64, until: u64) -> impl Iterator<Item = &Feedback> {
        self.history.feedback(after, until)
    }

    fn read(&mut self, wait: Duration) -> Result<bool, Error> {
        let messages = self.follower.next(wait, ENTRIES_MAX)?;
        for (_, message) in &messages {
            let version = message.offset + 1;
            let bytes = message.value.as_deref().unwrap_or_default();
            let definition = wire::control::decode_definition(bytes)
                .map_err(|source| Error::Entry { version, source })?;
            if let Definition::Skip(Skip { service, partition, offset, item, .. }) = &definition {
                let of_partition = self.skips.entry((service.clone(), partition.clone()));
                of_partition.or_default().entry(*offset).or_default().insert(*item);
            }
            self.latest.apply(version, definition.clone());
            Arc::make_mut(&mut self.history).entries.push((version, definition));
        }
        Ok(!messages.is_empty())
    }
}
