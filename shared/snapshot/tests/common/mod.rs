//! A small state, a shelf of partitions, and what the tests do with them.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod bench;
pub(crate) mod faulty;

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use oddwatch_snapshot::{
    Begun, Capture, Encode, Error, Header, Loaded, Partitions, Released, Saver, SaverConfig,
    Slices, Store, Subject, Wanted,
};

/// An item: bytes that write themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item(pub(crate) Vec<u8>);

impl Encode for Item {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// A partition's state.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) begun: Begun,
    pub(crate) items: Slices<Item>,
}

/// What a snapshot restores of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) head: Vec<u8>,
    pub(crate) items: BTreeMap<u32, Vec<u8>>,
}

impl State {
    pub(crate) fn new(head: &[u8], items: Vec<Vec<u8>>) -> Self {
        let begun = Begun {
            state_version: 3,
            config_version: 11,
            epoch: 2,
            next: 1_000,
            head: head.to_vec(),
        };
        Self {
            begun,
            items: items.into_iter().map(|item| Some(Item(item))).collect::<Vec<_>>().into(),
        }
    }

    pub(crate) fn content(&self) -> Content {
        let items = self.items.iter().map(|(index, item)| (index as u32, item.0.clone()));
        Content { head: self.begun.head.clone(), items: items.collect() }
    }
}

impl Capture for State {
    fn begin(&mut self) -> Begun {
        self.items.begin();
        self.begun.clone()
    }

    fn advance(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        self.items.advance(bytes, out)
    }

    fn buffered(&self) -> usize {
        self.items.buffered()
    }

    fn cancel(&mut self) {
        self.items.cancel();
    }
}

/// Partitions by name, with their offsets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(pub(crate) BTreeMap<String, (State, u64)>);

impl Partitions for Shelf {
    type State = State;

    fn get(&mut self, partition: &str) -> Option<(&mut State, u64)> {
        self.0.get_mut(partition).map(|(state, offset)| (state, *offset))
    }
}

impl Shelf {
    pub(crate) fn of(partition: &str, state: State, offset: u64) -> Self {
        Self(BTreeMap::from([(partition.to_owned(), (state, offset))]))
    }

    pub(crate) fn state(&mut self, partition: &str) -> &mut State {
        &mut self.0.get_mut(partition).expect("a partition of the test").0
    }
}

pub(crate) const SERVICE: &str = "windowing";
pub(crate) const PARTITION: &str = "rows.in_1/3";

pub(crate) fn subject() -> Subject {
    Subject::new(SERVICE, PARTITION)
}

/// Whatever has the state version, epoch and offset that the tests use.
pub(crate) fn wanted() -> Wanted {
    Wanted { offset_max: u64::MAX, epoch: Some(2), state_versions: 2..=3 }
}

/// Slices of `bytes`; never due by themselves.
pub(crate) fn config(bytes: usize) -> SaverConfig {
    SaverConfig {
        every_ms: i64::MAX / 4,
        input_bytes: u64::MAX,
        slice_bytes: bytes,
        ..SaverConfig::default()
    }
}

/// Takes one snapshot, in this thread, of a state as of `offset`; `kept` are those there already.
pub(crate) fn save_as(
    store: &Arc<Store>,
    subject: &Subject,
    state: &State,
    offset: u64,
    kept: &[u64],
) -> Vec<Released> {
    let service = Box::leak(subject.service.clone().into_boxed_str());
    let mut saver = Saver::new(Arc::clone(store), service, config(1_000), true);
    let mut shelf = Shelf::of(&subject.partition, state.clone(), offset);
    saver.assigned(&subject.partition, kept.to_vec(), 0);
    saver.applied(&subject.partition, 1);
    saver.finish(offset as i64, &mut shelf)
}

/// As [`save_as`] for the usual subject; must succeed.
#[track_caller]
pub(crate) fn save(store: &Arc<Store>, state: &State, offset: u64, kept: &[u64]) {
    let released = save_as(store, &subject(), state, offset, kept);
    assert_eq!(released.len(), 1, "the snapshot at {offset} failed");
}

/// Loads a content.
pub(crate) fn load(
    store: &Store,
    subject: &Subject,
    wanted: &Wanted,
) -> Result<Loaded<Content>, Error> {
    store.load(subject, wanted, begin, item)
}

pub(crate) fn begin(_: &Header, head: &[u8]) -> Result<Content, String> {
    Ok(Content { head: head.to_vec(), items: BTreeMap::new() })
}

pub(crate) fn item(content: &mut Content, index: u32, bytes: &[u8]) -> Result<(), String> {
    match content.items.insert(index, bytes.to_vec()) {
        None => Ok(()),
        Some(_) => Err("it comes twice".to_owned()),
    }
}

/// The offsets that are listed, newest first.
#[track_caller]
pub(crate) fn offsets(store: &Store) -> Vec<u64> {
    let listed = store.list(&subject()).expect("the store can be listed");
    listed.iter().map(|listed| listed.offset).collect()
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

/// Looks until there is something to return, for 60 seconds at most.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..60_000 {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(1)); // poll interval
    }
    panic!("no {what} within 60 s");
}
