//! Reads every topic as people do: without a group, from the first message on, all the time, so that it has what is
//! forgotten later.

use std::{collections::BTreeMap, time::Duration};

use domain::Topics;
use exchange::{Error, Exchange, FollowFrom, Follower, Offset};

use crate::oracle::Committed;

/// The reader.
pub(crate) struct Reader {
    topics: Topics,
    followers: Vec<(String, Box<dyn Follower>)>,
    /// The next offset by the number of the follower, and partition.
    next: BTreeMap<(usize, u32), Offset>,
    committed: Committed,
}

impl Reader {
    pub(crate) fn new(exchange: &dyn Exchange, topics: &Topics) -> Result<Self, Error> {
        let (next, committed) = (BTreeMap::new(), Committed::default());
        let mut reader = Self { topics: topics.clone(), followers: vec![], next, committed };
        reader.reopen(exchange)?;
        Ok(reader)
    }

    /// Goes on where it was, on an exchange that was opened again.
    pub(crate) fn reopen(&mut self, exchange: &dyn Exchange) -> Result<(), Error> {
        self.followers.clear();
        for topic in Committed::topics(&self.topics) {
            let follower = exchange.follow(topic, FollowFrom::Earliest)?;
            self.followers.push((topic.to_owned(), follower));
        }
        Ok(())
    }

    /// Reads all that was committed since the last look.
    pub(crate) fn read(&mut self) -> Result<(), Error> {
        for (number, (topic, follower)) in self.followers.iter_mut().enumerate() {
            for (partition, message) in follower.next(Duration::ZERO, usize::MAX)? {
                let next = self.next.entry((number, partition)).or_default();
                if message.offset >= *next {
                    *next = message.offset + 1;
                    self.committed.take(&self.topics, topic, partition, &message);
                }
            }
        }
        Ok(())
    }

    /// All that was committed.
    pub(crate) fn finish(&mut self) -> Result<Committed, Error> {
        self.read()?;
        Ok(std::mem::take(&mut self.committed))
    }
}
