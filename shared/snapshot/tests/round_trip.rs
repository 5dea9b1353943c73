//! What is saved is loaded: all sizes, in memory and in files; and which snapshots are kept.

mod common;

use std::sync::Arc;

use common::{
    PARTITION, SERVICE, Shelf, State, config, load, noise, offsets, save, subject, wanted,
};
use oddwatch_snapshot::{Released, Saver, Store, Subject, Wanted};

/// Saves and loads a state in memory and in a directory.
#[track_caller]
fn check(state: &State) {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().join("not/there/yet");
    let urls = ["memory:///".to_owned(), path.display().to_string()];
    for url in urls {
        let store = Arc::new(Store::open(&url, None).expect("the store opens"));
        save(&store, state, 77, &[]);
        let loaded = load(&store, &subject(), &wanted()).expect("the store can be read");
        assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
        let (header, content) = loaded.state.expect("a snapshot");
        assert!(content == state.content(), "{url}");
        assert_eq!(loaded.newest.as_ref(), Some(&header));
        assert_eq!(loaded.kept, [77]);
        assert_eq!(
            (header.subject, header.offset, header.taken_at_ms, header.state_version),
            (subject(), 77, 77, state.begun.state_version)
        );
        assert_eq!(
            (header.config_version, header.epoch, header.next),
            (state.begun.config_version, state.begun.epoch, state.begun.next)
        );
    }
}

#[test]
fn all_sizes() {
    check(&State::new(b"", vec![]));
    check(&State::new(b"head", vec![]));
    check(&State::new(b"", vec![vec![]]));
    check(&State::new(b"head", vec![vec![], vec![0; 127], vec![1; 128], noise(1, 300)]));
    // Around the length of a block, and a head and an item of several.
    for length in [(1 << 20) - 5, (1 << 20) - 4, (1 << 20) - 3, 3 << 20] {
        check(&State::new(&noise(2, length), vec![noise(3, 10)]));
        check(&State::new(b"", vec![noise(4, length), b"after".to_vec()]));
    }
    check(&State::new(b"many", (0..20_000).map(|index| noise(index, 20)).collect()));
    // Several parts of 8 MiB.
    check(&State::new(b"large", (0..300).map(|index| noise(index, 60_000)).collect()));
}

#[test]
fn a_snapshot_is_the_state_as_of_its_begin() {
    for inline in [true, false] {
        let store = Arc::new(Store::memory());
        let mut saver = Saver::new(Arc::clone(&store), SERVICE, config(3_000), inline);
        let state = State::new(b"begin", (0..200).map(|index| noise(index, 100)).collect());
        let before = state.content();
        let mut shelf = Shelf::of(PARTITION, state, 500);
        saver.assigned(PARTITION, vec![], 0);
        saver.applied(PARTITION, u64::MAX);
        let mut released = saver.settle(1, &mut shelf);
        for step in 0_u64.. {
            if !saver.in_progress() {
                break;
            }
            // The stream goes on: items change and come, and so does the offset.
            let state = shelf.state(PARTITION);
            state.items.get_mut(step as usize * 7 % 200).0 = noise(step, 50);
            state.items.insert(common::Item(noise(step, 10)));
            state.begun.head = b"later".to_vec();
            shelf.0.get_mut(PARTITION).expect("it is there").1 += 1;
            released.extend(saver.settle(2, &mut shelf));
        }
        let expected = Released { partition: PARTITION.to_owned(), offset: 500, needed_from: 0 };
        assert_eq!(released, [expected]);
        let loaded = load(&store, &subject(), &wanted()).expect("the store can be read");
        let (header, content) = loaded.state.expect("a snapshot");
        assert!(header.taken_at_ms == 1 && content == before);
    }
}

#[test]
fn the_last_three_are_kept() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let url = format!("file://{}", directory.path().display());
    let store = Arc::new(Store::open(&url, None).expect("the store opens"));
    let state = |offset: u64| State::new(&offset.to_le_bytes(), vec![]);
    let check = |offset: u64, expected: &[u64]| {
        let kept = load(&store, &subject(), &wanted()).expect("the store can be read").kept;
        save(&store, &state(offset), offset, &kept);
        assert_eq!(offsets(&store), expected);
        let loaded = load(&store, &subject(), &wanted()).expect("the store can be read");
        assert_eq!(loaded.kept, expected);
        assert_eq!(loaded.state.expect("a snapshot").1, state(offset).content());
    };
    check(0, &[0]);
    check(5, &[5, 0]);
    check(10, &[10, 5, 0]);
    check(20, &[20, 10, 5]);
    check(20, &[20, 10, 5]);
    check(u64::MAX, &[u64::MAX, 20, 10]);
    // Another partition's, another service's and other files are nobody else's business.
    let others = [Subject::new(SERVICE, "rows.in_1/30"), Subject::new("detector", PARTITION)];
    for other in &others {
        assert_eq!(common::save_as(&store, other, &state(1), 1, &[]).len(), 1);
    }
    std::fs::write(directory.path().join(SERVICE).join(PARTITION).join("notes.txt"), "x")
        .expect("a file beside the snapshots");
    let names = store.list(&subject()).expect("the store can be listed");
    assert_eq!(names.len(), 3);
    let expected = "windowing/rows.in_1/3/00000000000000000020.snapshot";
    assert!(names[1].name.ends_with(expected) && names[1].bytes > 0, "{}", names[1].name);
    assert!(others.iter().all(|other| store.list(other).expect("it lists").len() == 1));
}

#[test]
fn one_with_a_larger_offset_is_not_used_and_not_an_error() {
    let store = Arc::new(Store::memory());
    for (offset, kept) in [(10, &[][..]), (20, &[10]), (30, &[20, 10])] {
        save(&store, &State::new(&[offset as u8], vec![]), offset, kept);
    }
    let check = |offset_max: u64, offset: Option<u64>, kept: &[u64]| {
        let wanted = Wanted { offset_max, ..wanted() };
        let loaded = load(&store, &subject(), &wanted).expect("the store can be read");
        assert_eq!(loaded.state.map(|(header, _)| header.offset), offset);
        assert_eq!((loaded.kept.as_slice(), loaded.refused.as_slice()), (kept, &[][..]));
        // That there is a newer one is told all the same: it may mean a loss.
        assert_eq!(loaded.newest.map(|header| header.offset), Some(30));
    };
    check(u64::MAX, Some(30), &[30, 20, 10]);
    check(30, Some(30), &[30, 20, 10]);
    check(29, Some(20), &[20, 10]);
    check(10, Some(10), &[10]);
    check(9, None, &[]);
}

#[test]
fn one_that_the_committed_offset_never_reached_is_removed_by_the_next() {
    let store = Arc::new(Store::memory());
    let mut other_epoch = State::new(b"", vec![]);
    other_epoch.begun.epoch = 1;
    // (epoch, offset) of what lies there, in order of time: time is the offset.
    for (state, offset, kept) in [
        (&other_epoch, 1, &[][..]),
        (&State::new(b"", vec![]), 2, &[1][..]),
        (&other_epoch, 3, &[2, 1]),
    ] {
        save(&store, state, offset, kept);
    }
    let loaded = load(&store, &subject(), &Wanted { offset_max: 2, ..wanted() });
    let kept = loaded.expect("the store can be read").kept;
    assert_eq!(kept, [2], "those of another epoch are not to be kept");
    let mut saver = Saver::new(Arc::clone(&store), SERVICE, config(1_000), true);
    let mut shelf = Shelf::of(PARTITION, State::new(b"", vec![]), 2);
    saver.assigned(PARTITION, kept, 0);
    saver.applied(PARTITION, 1);
    // A process that was stopped for long and goes on must not remove what its successor wrote.
    saver.finish(2, &mut shelf);
    assert_eq!(offsets(&store), [3, 2]);
    saver.applied(PARTITION, 1);
    saver.finish(4, &mut shelf);
    assert_eq!(offsets(&store), [2]);
}

#[test]
fn nothing_there_is_no_state() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().display().to_string();
    for store in [Store::memory(), Store::open(&path, None).expect("the store opens")] {
        let loaded = load(&store, &subject(), &wanted()).expect("the store can be read");
        assert!(loaded.state.is_none() && loaded.newest.is_none());
        assert!(loaded.refused.is_empty() && loaded.kept.is_empty());
        assert_eq!(store.list(&subject()).expect("the store can be listed"), []);
    }
}
