//! A full disk, a store that hangs or is away: nothing of a failed snapshot is to be seen, it is
//! told and tried again, and the stream goes on.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{
    PARTITION, SERVICE, Shelf, State,
    bench::{Bench, every_second_or_100_bytes, state},
    config, load, noise, offsets, subject, until, wanted,
};
use object_store::local::LocalFileSystem;
use oddwatch_snapshot::{
    Begun, Capture, Error, Partitions, Saver, SaverConfig, Store, metrics as names,
};

#[test]
fn a_full_disk_leaves_nothing_and_is_tried_again() {
    for inline in [true, false] {
        // 300 bytes fail at once, 10 MB in the second part.
        for (length, room) in [(300, 100), (10_000_000, 9_000_000)] {
            let directory = tempfile::tempdir().expect("a directory for the test");
            let objects =
                LocalFileSystem::new_with_prefix(directory.path()).expect("the directory is there");
            let config = SaverConfig { slice_bytes: 1 << 20, ..every_second_or_100_bytes() };
            let mut bench = Bench::over(objects, config, inline);
            bench.add(PARTITION, State::new(b"", vec![noise(1, length / 2), noise(2, length / 2)]));
            bench.faults.room(Some(room));
            bench.apply(PARTITION, 100);
            bench.complete(1);
            bench.check(&[]);
            assert!(!bench.shelf.state(PARTITION).items.is_capturing());
            assert_eq!(files(directory.path()), 0, "something stays of what failed");
            assert!(offsets(&bench.store).is_empty());
            // The stream goes on, and no cycle tries again before it is due.
            bench.apply(PARTITION, 10);
            bench.settle(2);
            assert!(!bench.saver.in_progress());
            bench.faults.room(None);
            bench.complete(1_001);
            bench.check(&[(PARTITION, 2)]);
            assert_eq!(files(directory.path()), 1);
        }
    }
}

fn files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[test]
fn the_end_of_a_saver_takes_back_what_is_unfinished() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let url = directory.path().display().to_string();
    let store = Arc::new(Store::open(&url, None).expect("it opens"));
    let config = SaverConfig { slice_bytes: 9_000_000, ..every_second_or_100_bytes() };
    let mut saver = Saver::new(Arc::clone(&store), SERVICE, config, false);
    let mut shelf = Shelf::of(PARTITION, State::new(b"", vec![noise(1, 9_000_000); 2]), 1);
    saver.assigned(PARTITION, vec![], 0);
    saver.applied(PARTITION, 100);
    saver.settle(1, &mut shelf);
    until("an upload", || (files(directory.path()) == 1).then_some(()));
    assert!(offsets(&store).is_empty());
    drop(saver);
    assert_eq!(files(directory.path()), 0);
}

#[test]
fn a_failed_publication_is_tried_again_and_a_failed_removal_made_up_for() {
    let mut bench = Bench::new(every_second_or_100_bytes(), true);
    bench.add(PARTITION, State::new(b"", vec![noise(1, 9_000_000)]));
    let mut next = |broken: &[&'static str], durable: &[(&str, u64)], listed: &[u64]| {
        bench.faults.broken(broken);
        bench.apply(PARTITION, 100);
        bench.complete(1);
        bench.faults.broken(&[]);
        bench.check(durable);
        assert_eq!(offsets(&bench.store), listed);
    };
    next(&["complete"], &[], &[]);
    next(&[], &[(PARTITION, 2)], &[2]);
    next(&[], &[(PARTITION, 3)], &[3, 2]);
    next(&["list"], &[(PARTITION, 4)], &[4, 3, 2]);
    next(&["list"], &[(PARTITION, 5)], &[5, 4, 3, 2]);
    next(&["delete"], &[(PARTITION, 6)], &[6, 5, 4, 3, 2]);
    next(&["complete"], &[], &[6, 5, 4, 3, 2]);
    next(&[], &[(PARTITION, 8)], &[8, 6, 5]);
}

#[test]
fn a_store_that_hangs_does_not_stop_the_stream() {
    let config = SaverConfig { buffered_bytes_max: 5_000, ..every_second_or_100_bytes() };
    let mut bench = Bench::new(config, false);
    // Slices of 3,000 bytes; the first part of 8 MiB is where the store hangs.
    bench.add(PARTITION, State::new(b"", (0..10_000).map(|index| noise(index, 2_900)).collect()));
    bench.faults.shut(true);
    bench.apply(PARTITION, 100);
    bench.settle(1);
    until("a write that hangs", || {
        bench.settle(2);
        bench.faults.waiting().then_some(())
    });
    // A few slices may wait for the writer; then there is no room, and no more are taken.
    for _ in 0..8 {
        bench.settle(2);
    }
    let left = to_come(&mut bench);
    bench.settle(2);
    assert!(left > 0 && to_come(&mut bench) == left);
    for index in (0..10_000).rev() {
        bench.shelf.state(PARTITION).items.get_mut(index).0 = vec![1];
        bench.settle(2);
        if !bench.shelf.state(PARTITION).items.is_capturing() {
            break;
        }
        // What waits is bounded.
        assert!(bench.shelf.state(PARTITION).items.buffered() <= 5_000 + 2_910);
    }
    assert!(!bench.shelf.state(PARTITION).items.is_capturing(), "it was not given up");
    assert!(bench.saver.in_progress(), "the writer has not answered");
    bench.faults.shut(false);
    bench.complete(2);
    bench.check(&[]);
    bench.complete(1_001);
    bench.check(&[(PARTITION, 1)]);
}

#[test]
fn one_that_is_published_after_its_partition_has_gone_counts_for_nobody() {
    let mut bench = Bench::new(every_second_or_100_bytes(), false);
    bench.add(PARTITION, State::new(b"", vec![]));
    bench.apply(PARTITION, 100);
    bench.faults.shut(true);
    until("a publication that hangs", || {
        bench.settle(1);
        bench.faults.waiting().then_some(())
    });
    bench.saver.dropped(PARTITION);
    bench.add(PARTITION, State::new(b"", vec![]));
    bench.apply(PARTITION, 1);
    bench.faults.shut(false);
    bench.complete(1);
    // It is there, and good; but what the partition needs now, it does not know of.
    bench.check(&[]);
    assert_eq!(offsets(&bench.store), [1]);
    bench.apply(PARTITION, 1);
    let released = bench.saver.finish(2, &mut bench.shelf);
    assert_eq!((released[0].offset, released[0].needed_from), (2, 0));
    assert_eq!(offsets(&bench.store), [2]);
}

#[test]
fn what_changes_faster_than_it_is_written_waits_for_the_writer() {
    for inline in [true, false] {
        let config = SaverConfig { buffered_bytes_max: 50_000, ..every_second_or_100_bytes() };
        let mut bench = Bench::new(config, inline);
        bench.add(PARTITION, State::new(b"", (0..1_000).map(|index| noise(index, 900)).collect()));
        let before = bench.shelf.state(PARTITION).content();
        bench.apply(PARTITION, 100);
        bench.settle(1);
        for index in (0..1_000).rev() {
            bench.shelf.state(PARTITION).items.get_mut(index).0 = vec![1];
            if index % 100 == 0 {
                bench.settle(1);
                assert!(bench.shelf.state(PARTITION).items.buffered() <= 50_000);
            }
        }
        bench.complete(1);
        bench.check(&[(PARTITION, 1)]);
        let loaded = load(&bench.store, &subject(), &wanted()).expect("the store reads");
        assert!(loaded.state.is_some_and(|(_, content)| content == before));
    }
}

/// The bytes of a capture that are still to come.
fn to_come(bench: &mut Bench) -> usize {
    let mut rest = vec![];
    bench.shelf.state(PARTITION).clone().advance(usize::MAX, &mut rest);
    rest.len()
}

#[test]
fn finish_gives_up_when_the_store_is_away() {
    for inline in [true, false] {
        let mut bench = Bench::new(config(2_000), inline);
        for number in 0..5 {
            bench.add(&format!("rows/{number}"), state());
            bench.apply(&format!("rows/{number}"), 1);
        }
        bench.faults.room(Some(0));
        assert_eq!(bench.saver.finish(5, &mut bench.shelf), []);
        bench.faults.room(None);
        assert_eq!(bench.saver.finish(5, &mut bench.shelf).len(), 5);
    }
}

#[test]
fn a_store_that_can_not_be_read_is_an_error_and_not_an_empty_one() {
    let mut bench = Bench::new(config(1_000), true);
    bench.add(PARTITION, state());
    bench.apply(PARTITION, 1);
    assert_eq!(bench.saver.finish(1, &mut bench.shelf).len(), 1);
    for (broken, words) in [("list", "listing faulty:/windowing"), ("get", "reading faulty:/")] {
        bench.faults.broken(&[broken]);
        let error = load(&bench.store, &subject(), &wanted()).expect_err(broken);
        assert!(matches!(error, Error::Store { .. }) && error.to_string().contains(words));
    }
}

#[test]
fn a_state_that_writes_no_whole_records_is_a_failure() {
    struct TornState<'a>(&'a mut State);
    impl Capture for TornState<'_> {
        fn begin(&mut self) -> Begun {
            self.0.begin()
        }
        fn advance(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
            let done = self.0.advance(bytes, out);
            out.pop();
            done
        }
        fn buffered(&self) -> usize {
            0
        }
        fn cancel(&mut self) {
            self.0.cancel();
        }
    }
    struct View<'a>(TornState<'a>);
    impl<'a> Partitions for View<'a> {
        type State = TornState<'a>;
        fn get(&mut self, _: &str) -> Option<(&mut TornState<'a>, u64)> {
            Some((&mut self.0, 7))
        }
    }
    let mut shelf = Shelf::of(PARTITION, state(), 7);
    let store = Arc::new(Store::memory());
    let mut saver = Saver::new(Arc::clone(&store), SERVICE, config(2_000), true);
    saver.assigned(PARTITION, vec![], 0);
    saver.applied(PARTITION, 1);
    let released = saver.finish(1, &mut View(TornState(shelf.state(PARTITION))));
    assert!(released.is_empty() && offsets(&store).is_empty());
}

/// Counts and last values, by metric and service.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Seen {
    fn cell(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        let labels: String =
            key.labels().map(|label| format!(" {}={}", label.key(), label.value())).collect();
        let mut seen = self.0.lock().expect("no test panics in here");
        Arc::clone(seen.entry(format!("{}{labels}", key.name())).or_default())
    }
}

impl metrics::Recorder for Seen {
    fn describe_counter(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_gauge(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn describe_histogram(
        &self,
        _: metrics::KeyName,
        _: Option<metrics::Unit>,
        _: metrics::SharedString,
    ) {
    }
    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(
        &self,
        _: &metrics::Key,
        _: &metrics::Metadata<'_>,
    ) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[test]
fn what_happened_is_counted() {
    let seen = Seen::default();
    metrics::with_local_recorder(&seen, || {
        let mut bench = Bench::new(config(2_000), true);
        bench.add(PARTITION, state());
        for room in [None, Some(0), None] {
            bench.faults.room(room);
            bench.apply(PARTITION, 1);
            bench.saver.finish(1, &mut bench.shelf);
        }
        let none = |_: &mut (), _, _: &[u8]| Ok(());
        let refuse = |_: &_, _: &[u8]| Err("for the test".to_owned());
        let loaded = bench.store.load(&subject(), &wanted(), refuse, none).expect("it reads");
        assert_eq!(loaded.refused.len(), 2);
        let size = bench.store.list(&subject()).expect("it lists")[0].bytes;
        let seen = seen.0.lock().expect("no test panics in here");
        let value = |name: &str| {
            seen.get(&format!("{name} service=windowing")).map(|cell| cell.load(Ordering::Relaxed))
        };
        assert_eq!(value(names::TAKEN), Some(2));
        assert_eq!(value(names::FAILURES), Some(1));
        assert_eq!(value(names::REFUSED), Some(2));
        assert_eq!(value(names::BYTES), Some((size as f64).to_bits()));
        assert_eq!(seen.len(), 4);
    });
}
