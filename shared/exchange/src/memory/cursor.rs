//! Where a reader is in a partition: members and followers read through it, from memory and, when
//! they are behind, from the store. Fetching happens without the lock, in bounded pieces.

use std::collections::VecDeque;

use super::{
    log::Log,
    state::{State, TopicIndex},
};
use crate::{
    disk::{Disk, Wanted},
    port::{Error, Message, Offset},
};

/// How much is fetched at once: a larger message comes alone.
const FETCH_BYTES_MAX: usize = 1 << 20;

/// A place in a partition, and what was fetched ahead of it.
pub(super) struct Cursor {
    /// The next offset to deliver.
    position: Offset,
    fetched: VecDeque<Message>,
    /// Between the position and here there is nothing that was not fetched.
    covered: Offset,
}

impl Cursor {
    pub(super) fn new(position: Offset) -> Self {
        Self { position, fetched: VecDeque::new(), covered: position }
    }

    /// The next offset to deliver.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// Where what is at hand ends.
    fn reach(&self) -> Offset {
        self.position.max(self.covered)
    }

    /// The first offset kept, if that lies beyond what is at hand.
    pub(super) fn lost(&self, log: &Log) -> Option<Offset> {
        let first = log.first();
        (self.fetched.is_empty() && self.reach() < first).then_some(first)
    }

    /// What is at hand. When all of it is delivered and [`Cursor::lacking`] says so, more is in the
    /// store.
    pub(super) fn messages<'a>(&'a self, log: &'a Log) -> impl Iterator<Item = &'a Message> {
        let cached = (self.reach() >= log.cached_from()).then(|| log.from(self.reach()));
        self.fetched.iter().chain(cached.into_iter().flatten())
    }

    /// Goes on behind a delivered message.
    pub(super) fn advance(&mut self, delivered: Offset) {
        self.position = delivered + 1;
        while self.fetched.front().is_some_and(|message| message.offset <= delivered) {
            self.fetched.pop_front();
        }
    }

    /// Leaves out what was not delivered.
    pub(super) fn skip_to(&mut self, position: Offset) {
        *self = Self::new(position);
    }

    /// What is to be fetched before there is more at hand.
    pub(super) fn lacking(&self, state: &State, place: (TopicIndex, u32)) -> Option<Wanted> {
        let log = state.log(place.0, place.1);
        let (from, until) = (self.reach(), log.cached_from());
        let lacks = self.fetched.is_empty() && log.first() <= from && from < until;
        lacks.then(|| Wanted { partition: state.id(place), from, until })
    }

    /// Fetches what was lacking. Without the lock: what the log has become meanwhile is looked at
    /// afterwards.
    pub(super) fn fetch(&mut self, wanted: Wanted, disk: &Disk) -> Result<(), Error> {
        let fetched = disk.fetch(wanted, FETCH_BYTES_MAX)?;
        self.fetched = fetched.messages.into();
        self.covered = fetched.covered;
        Ok(())
    }
}
