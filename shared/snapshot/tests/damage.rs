//! Whatever is wrong with a snapshot is found and told with its name, and the one before is used.

mod common;

use std::sync::Arc;

use common::{Content, PARTITION, SERVICE, State, load, noise, save, save_as, subject, wanted};
use futures::executor::block_on;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use oddwatch_snapshot::{Store, Subject, Wanted};

const OLD: u64 = 10;
const NEW: u64 = 20;

/// Two snapshots in memory, and how to spoil the newer one.
struct Bench {
    objects: Arc<InMemory>,
    store: Arc<Store>,
    good: Vec<u8>,
    old: Content,
    new: Content,
}

fn path(offset: u64) -> Path {
    Path::from(format!("below/{SERVICE}/{PARTITION}/{offset:020}.snapshot"))
}

impl Bench {
    fn new(state: &State) -> Self {
        let objects = Arc::new(InMemory::new());
        let shared = Arc::clone(&objects) as Arc<dyn ObjectStore>;
        let store = Arc::new(Store::over(shared, "below", None));
        let old = State::new(b"old", vec![b"item".to_vec()]);
        save(&store, &old, OLD, &[]);
        save(&store, state, NEW, &[OLD]);
        let mut bench =
            Self { objects, store, good: vec![], old: old.content(), new: state.content() };
        bench.good = bench.bytes(NEW);
        bench
    }

    fn bytes(&self, offset: u64) -> Vec<u8> {
        let bytes = block_on(async { self.objects.get(&path(offset)).await?.bytes().await });
        bytes.expect("the object is there").to_vec()
    }

    fn put(&self, offset: u64, bytes: Vec<u8>) {
        block_on(self.objects.put(&path(offset), bytes.into())).expect("memory takes it");
    }

    /// With these bytes in its place the newer one must be refused for a reason with these words.
    #[track_caller]
    fn check(&self, bytes: Vec<u8>, words: &str) {
        self.put(NEW, bytes);
        self.refused(&wanted(), words);
    }

    #[track_caller]
    fn refused(&self, wanted: &Wanted, words: &str) {
        let begin = |header: &_, head: &[u8]| common::begin(header, head);
        let item = |content: &mut Content, index, bytes: &[u8]| {
            // No decoder is to see damaged bytes.
            let right = if content.head == self.old.head { &self.old } else { &self.new };
            let item = right.items.get(&index).is_some_and(|right| right == bytes);
            assert!(item && content.head == right.head, "damaged item {index}");
            common::item(content, index, bytes)
        };
        let loaded = self.store.load(&subject(), wanted, begin, item).expect("memory reads");
        let [refused] = loaded.refused.as_slice() else { panic!("{:?}", loaded.refused) };
        assert!(refused.name.ends_with(path(NEW).as_ref()), "{}", refused.name);
        assert!(refused.why.contains(words), "{}, not {words}", refused.why);
        let (header, content) = loaded.state.expect("the one before is used");
        assert!(header.offset == OLD && content == self.old && loaded.kept == [OLD]);
    }

    fn flipped(&self, byte: usize, bit: usize) -> Vec<u8> {
        let mut bytes = self.good.clone();
        bytes[byte] ^= 1 << bit;
        bytes
    }

    /// The end of magic, versions, header and their checksum.
    fn start_end(&self) -> usize {
        let length: [u8; 4] = self.good[12..16].try_into().expect("four bytes");
        16 + u32::from_le_bytes(length) as usize + 8
    }
}

fn state() -> State {
    let items = (0..40).map(|index| [noise(index, 20), vec![7; 30]].concat()).collect();
    State::new(b"the newer head", items)
}

#[test]
fn cut_off_at_every_length() {
    let bench = Bench::new(&state());
    assert!(bench.good.len() > 500);
    for length in 0..bench.good.len() {
        bench.check(bench.good[..length].to_vec(), "cut off");
    }
    let longer = [bench.good.as_slice(), &[0]].concat();
    bench.check(longer, "follows its end");
}

#[test]
fn every_bit_of_the_start() {
    let bench = Bench::new(&state());
    for byte in 0..bench.start_end() {
        for bit in 0..8 {
            let words = match byte {
                0..8 => "not a snapshot",
                8..12 => "its format is",
                12..16 => "its header",
                _ => "its header's checksum is wrong",
            };
            // A longer header may reach behind the end.
            let cut = byte == 12 || byte == 13;
            bench.check(bench.flipped(byte, bit), if cut { "it" } else { words });
        }
    }
}

#[test]
fn bits_of_body_and_footer() {
    // Several blocks: the damage is in any of them, and the items before it are right.
    let items = (0..400).map(|index| noise(index, 10_000)).collect();
    let bench = Bench::new(&State::new(b"", items));
    let start = bench.start_end();
    let places = noise(99, 16 * 300);
    for place in places.chunks_exact(16) {
        let at = u64::from_le_bytes(place[..8].try_into().expect("eight bytes"));
        let byte = start + (at % (bench.good.len() - start) as u64) as usize;
        bench.check(bench.flipped(byte, usize::from(place[8] % 8)), "");
    }
    // In a small one nearly every byte of the body, and every bit of the footer.
    let bench = Bench::new(&state());
    let (start, end) = (bench.start_end(), bench.good.len());
    let body = (start..end - 36).map(|byte| (byte, byte % 8));
    let footer = (end - 36..end).flat_map(|byte| (0..8).map(move |bit| (byte, bit)));
    let flips: Vec<_> = body.chain(footer).collect();
    assert!(flips.len() > 700, "{}", flips.len());
    for (byte, bit) in flips {
        bench.check(bench.flipped(byte, bit), "");
    }
}

#[test]
fn blocks_that_are_whole_but_elsewhere() {
    let items = (0..3).map(|index| noise(index, 1 << 20)).collect();
    let bench = Bench::new(&State::new(b"", items));
    let length = |start: usize| {
        let stored: [u8; 4] =
            bench.good[start + 4..start + 8].try_into().expect("a block's stored length");
        8 + u32::from_le_bytes(stored) as usize + 8
    };
    let first = bench.start_end();
    let second = first + length(first);
    let third = second + length(second);
    let parts = [
        &bench.good[..first],
        &bench.good[second..third],
        &bench.good[first..second],
        &bench.good[third..],
    ];
    bench.check(parts.concat(), "a block's checksum is wrong");
    // One left out.
    bench.check([parts[0], parts[1], parts[3]].concat(), "a block's checksum is wrong");
}

#[test]
fn foreign_ones_are_named() {
    let check = |subject: &Subject, offset: u64, state: &State, words: &str| {
        let bench = Bench::new(&common::State::new(b"", vec![]));
        let other = Arc::new(InMemory::new());
        let shared = Arc::clone(&other) as Arc<dyn ObjectStore>;
        assert_eq!(
            save_as(&Arc::new(Store::over(shared, "", None)), subject, state, offset, &[]).len(),
            1
        );
        let from = Path::from(format!("{subject}/{offset:020}.snapshot"));
        let bytes = block_on(async { other.get(&from).await?.bytes().await });
        bench.check(bytes.expect("the object is there").to_vec(), words);
    };
    let state = State::new(b"", vec![]);
    let with = |change: fn(&mut State)| {
        let mut state = State::new(b"", vec![]);
        change(&mut state);
        state
    };
    check(
        &Subject::new(SERVICE, "rows.in_1/4"),
        NEW,
        &state,
        "a snapshot of windowing/rows.in_1/4, by its name of windowing/rows.in_1/3",
    );
    check(&Subject::new("detector", PARTITION), NEW, &state, "of detector/rows.in_1/3");
    check(&subject(), NEW + 1, &state, "from offset 21, by its name from 20");
    check(&subject(), NEW, &with(|state| state.begun.epoch = 1), "of epoch 1, not 2");
    check(&subject(), NEW, &with(|state| state.begun.epoch = 3), "of epoch 3, not 2");
    check(
        &subject(),
        NEW,
        &with(|state| state.begun.state_version = 4),
        "state version 4 is newer than 3",
    );
    check(
        &subject(),
        NEW,
        &with(|state| state.begun.state_version = 1),
        "state version 1 is older than 2",
    );
}

#[test]
fn a_newer_format_is_named() {
    let bench = Bench::new(&state());
    let mut newer = bench.good.clone();
    newer[8] = 2;
    bench.check(newer, "its format is 2, a newer build wrote it");
}

#[test]
fn what_a_service_can_not_decode_is_refused() {
    let bench = Bench::new(&State::new(b"bad", vec![b"right".to_vec(), b"wrong".to_vec()]));
    let check = |begin_fails: bool, words: &str| {
        let begin = |header: &_, head: &[u8]| match head {
            b"bad" if begin_fails => Err("no such head".to_owned()),
            _ => common::begin(header, head),
        };
        let item = |content: &mut Content, index, bytes: &[u8]| match bytes {
            b"wrong" => Err("a length of 9".to_owned()),
            _ => common::item(content, index, bytes),
        };
        let loaded = bench.store.load(&subject(), &wanted(), begin, item).expect("memory reads");
        assert_eq!(loaded.refused.len(), 1);
        assert_eq!(loaded.refused[0].why, words);
        assert_eq!(loaded.state.expect("the one before").1, bench.old);
    };
    check(true, "its head: no such head");
    check(false, "its item 1: a length of 9");
}

#[test]
fn all_damaged_is_no_state_but_is_told() {
    let bench = Bench::new(&state());
    let end = bench.good.len() - 1;
    bench.put(NEW, bench.flipped(end, 0));
    bench.put(OLD, b"ODDWSNAP".to_vec());
    let loaded = load(&bench.store, &subject(), &wanted()).expect("memory reads");
    assert!(loaded.state.is_none() && loaded.kept.is_empty());
    let offsets = [NEW, OLD].map(|offset| format!("/{}", path(offset)));
    let refused = loaded.refused.iter().zip(&offsets);
    assert!(loaded.refused.len() == 2 && refused.clone().all(|(at, end)| at.name.ends_with(end)));
    // The header of the newer one is whole: there was a state, and starting afresh would lose it.
    assert_eq!(loaded.newest.map(|header| header.offset), Some(NEW));
}

#[test]
fn older_ones_that_do_not_look_whole_are_not_counted_as_kept() {
    let bench = Bench::new(&state());
    let old = bench.bytes(OLD);
    for spoiled in [old[..old.len() - 1].to_vec(), old[..30].to_vec(), vec![], bench.good.clone()] {
        bench.put(OLD, spoiled);
        let loaded = load(&bench.store, &subject(), &wanted()).expect("memory reads");
        assert_eq!((loaded.kept, loaded.refused), (vec![NEW], vec![]));
    }
    // The next good one is the second; those that were no good are removed.
    save(&bench.store, &state(), 30, &[NEW]);
    assert_eq!(common::offsets(&bench.store), [30, NEW]);
}
