//! A state as of one moment, written out while it goes on changing: a stream must not stand still
//! for the seconds that a gigabyte takes.

use std::{
    collections::{BTreeSet, VecDeque},
    ops::Index,
};

use crate::record;

/// What copy-on-write has written is kept in pieces of this size: a growing vector would stop the
/// stream, now and then, to copy a hundred megabytes.
const PIECE_BYTES: usize = 256 << 10;
/// An index and a length.
const VARINTS_BYTES_MAX: usize = 20;

/// An item that can write itself.
pub trait Encode {
    /// Appends the item's bytes to `out`. The same item must always write the same bytes.
    fn encode(&self, out: &mut Vec<u8>);
}

/// What is captured: a head and many items. The services' partition states implement it.
pub trait Capture {
    /// Starts a capture of the state as it is now; one that is going on is given up.
    fn begin(&mut self) -> Begun;

    /// Appends about so many bytes of whole records, as [`Slices::advance`] does, and says whether
    /// that was all.
    fn advance(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool;

    /// The bytes that copy-on-write has written and `advance` has not taken yet.
    fn buffered(&self) -> usize;

    /// Gives the capture up.
    fn cancel(&mut self);
}

/// What a capture starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// The version of the state's encoding, the service's own number.
    pub state_version: u32,
    /// The config version in force.
    pub config_version: u64,
    /// The epoch of the service's own numbers.
    pub epoch: u32,
    /// The number of the next output item.
    pub next: u64,
    /// The small part of the state, written at once.
    pub head: Vec<u8>,
}

/// The partitions of a worker, to be captured one after another.
pub trait Partitions {
    /// A partition's state.
    type State: Capture;

    /// The state of a partition, and the input offset to go on from; `None` if it can't be captured
    /// now, because it is being restored or has gone.
    fn get(&mut self, partition: &str) -> Option<(&mut Self::State, u64)>;
}

/// Items by number, whose content as of one moment can be written out slice by slice while it goes
/// on changing: an item that is about to change and was not written yet is written first. The place
/// of an item that was removed is given to the next one, the lowest first, so that the same changes
/// make the same places.
///
/// A record is the item's index, its length (both varints) and its bytes. The order of records is
/// not that of the items; each item that was there at [`Slices::begin`] has exactly one.
#[derive(Clone, Debug)]
pub struct Slices<T> {
    items: Vec<Option<T>>,
    vacant: BTreeSet<usize>,
    /// The items below `end` belong to the capture, those below `next` are written; `end` is 0
    /// without a capture, so that one comparison tells `get_mut` that there is nothing to do.
    end: usize,
    next: usize,
    /// One bit for each item of the capture: written before its turn.
    early: Vec<u64>,
    /// The records of those that are not out yet, and their length.
    ahead: VecDeque<Vec<u8>>,
    ahead_bytes: usize,
    scratch: Vec<u8>,
    capturing: bool,
}

impl<T> Slices<T> {
    /// Without items.
    pub fn new() -> Self {
        Self::from(vec![])
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.items.len() - self.vacant.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of places: every index is below it.
    pub fn places(&self) -> usize {
        self.items.len()
    }

    /// Adds an item and tells its index. It is not part of a capture that is going on.
    pub fn insert(&mut self, item: T) -> usize {
        let Some(index) = self.vacant.pop_first() else {
            self.items.push(Some(item));
            return self.items.len() - 1;
        };
        if index < self.end {
            self.early[index / 64] |= 1 << (index % 64);
        }
        self.items[index] = Some(item);
        index
    }

    /// The item with this index, if there is one.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index)?.as_ref()
    }

    /// The items with their indexes, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }

    /// Whether a capture is going on.
    pub fn is_capturing(&self) -> bool {
        self.capturing
    }

    /// The bytes of records that were written before their turn and wait for [`Slices::advance`].
    pub fn buffered(&self) -> usize {
        self.ahead_bytes
    }

    /// Starts a capture of what is there now. One that is going on is given up.
    pub fn begin(&mut self) {
        self.cancel();
        self.capturing = true;
        self.end = self.items.len();
        self.early.resize(self.end.div_ceil(64), 0);
    }

    /// Gives up the capture, if one is going on, and its memory.
    pub fn cancel(&mut self) {
        self.capturing = false;
        self.end = 0;
        self.next = 0;
        self.early.clear();
        self.ahead = VecDeque::new();
        self.ahead_bytes = 0;
    }
}

impl<T: Encode> Slices<T> {
    /// The item, to be changed; without a capture this costs one comparison more than a vector's.
    ///
    /// # Panics
    /// If there is no such item, as indexing does.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        if index < self.end {
            self.save(index);
        }
        match &mut self.items[index] {
            Some(item) => item,
            None => no_item(index),
        }
    }

    /// Takes an item out.
    ///
    /// # Panics
    /// If there is no such item, as indexing does.
    pub fn remove(&mut self, index: usize) -> T {
        self.get_mut(index);
        let Some(item) = self.items[index].take() else { no_item(index) };
        self.vacant.insert(index);
        item
    }

    /// Appends about `bytes` bytes of records to `out`, and at least one record if there is one:
    /// those that were written before their turn come first. `true` once all of the capture is out,
    /// which ends it (and if there was none).
    pub fn advance(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        let enough = out.len().saturating_add(bytes.max(1));
        while out.len() < enough
            && let Some(piece) = self.ahead.pop_front()
        {
            self.ahead_bytes -= piece.len();
            out.extend_from_slice(&piece);
        }
        while out.len() < enough && self.next < self.end {
            let index = self.next;
            self.next += 1;
            if self.early[index / 64] & (1 << (index % 64)) == 0
                && let Some(item) = &self.items[index]
            {
                self.scratch.clear();
                item.encode(&mut self.scratch);
                record::put_record(out, index, &self.scratch);
            }
        }
        let done = self.next == self.end && self.ahead.is_empty();
        if done {
            self.cancel();
        }
        done
    }

    /// Writes an item that is about to change, if that was not done.
    #[cold]
    fn save(&mut self, index: usize) {
        let bit = 1 << (index % 64);
        if index < self.next || self.early[index / 64] & bit != 0 {
            return;
        }
        self.early[index / 64] |= bit;
        let Some(item) = &self.items[index] else { return };
        self.scratch.clear();
        item.encode(&mut self.scratch);
        let needed = self.scratch.len() + VARINTS_BYTES_MAX;
        let piece = match self.ahead.back_mut() {
            Some(piece) if piece.capacity() - piece.len() >= needed => piece,
            _ => self.ahead.push_back_mut(Vec::with_capacity(needed.max(PIECE_BYTES))),
        };
        let before = piece.len();
        record::put_record(piece, index, &self.scratch);
        self.ahead_bytes += piece.len() - before;
    }
}

/// As indexing a vector beyond its end: an index comes from `insert` and is used no more after `remove`, so this is
/// a mistake in the program.
#[cold]
fn no_item(index: usize) -> ! {
    panic!("there is no item {index}")
}

impl<T> From<Vec<Option<T>>> for Slices<T> {
    fn from(items: Vec<Option<T>>) -> Self {
        let is_vacant = |(index, item): (usize, &Option<T>)| item.is_none().then_some(index);
        Self {
            vacant: items.iter().enumerate().filter_map(is_vacant).collect(),
            items,
            end: 0,
            next: 0,
            early: vec![],
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            scratch: vec![],
            capturing: false,
        }
    }
}

impl<T> Default for Slices<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Index<usize> for Slices<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        match &self.items[index] {
            Some(item) => item,
            None => no_item(index),
        }
    }
}
