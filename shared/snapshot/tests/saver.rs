//! Snapshots are taken when they are due, one at a time, and a partition's end or a process's
//! leaves nothing half.

mod common;

use std::sync::Arc;

use common::{
    Item, PARTITION, SERVICE,
    bench::{Bench, every_second_or_100_bytes, state},
    config, load, noise, offsets, wanted,
};
use oddwatch_snapshot::{Saver, SaverConfig, Subject};

#[test]
fn due_by_bytes_by_time_and_not_without_input() {
    for inline in [true, false] {
        let mut bench = Bench::new(every_second_or_100_bytes(), inline);
        bench.add(PARTITION, state());
        bench.settle(1_000);
        assert!(!bench.saver.in_progress(), "there was no input");
        bench.apply(PARTITION, 99);
        bench.settle(1_001);
        assert!(!bench.saver.in_progress(), "neither bytes nor time");
        bench.apply(PARTITION, 1);
        bench.settle(1_001);
        bench.complete(1_001);
        bench.check(&[(PARTITION, 2)]);
        bench.apply(PARTITION, 1);
        bench.complete(2_000);
        bench.check(&[]);
        bench.complete(2_001);
        bench.check(&[(PARTITION, 3)]);
        bench.complete(9_000);
        bench.check(&[]);
    }
}

#[test]
fn one_at_a_time_in_turns() {
    let mut bench = Bench::new(every_second_or_100_bytes(), true);
    for partition in ["rows/0", "rows/1", "rows/2"] {
        bench.add(partition, state());
        bench.apply(partition, 100);
    }
    bench.settle(1);
    let capturing = |bench: &Bench| {
        bench.shelf.0.values().filter(|(state, _)| state.items.is_capturing()).count()
    };
    assert_eq!(capturing(&bench), 1);
    for _ in 0..30 {
        // The first comes due again and again, and has to wait for the others.
        bench.apply("rows/0", 100);
        bench.settle(1);
        assert!(capturing(&bench) <= 1);
    }
    let order: Vec<_> = bench.released.iter().map(|at| at.partition.as_str()).collect();
    assert_eq!(order[..5], ["rows/0", "rows/1", "rows/2", "rows/0", "rows/0"]);
}

#[test]
fn a_single_threaded_run_is_a_function_of_its_calls() {
    let run = || {
        let mut bench = Bench::new(every_second_or_100_bytes(), true);
        for partition in ["rows/0", "rows/1"] {
            bench.add(partition, state());
        }
        let mut told = vec![];
        for step in 0..500_u64 {
            let partition = if step % 3 == 0 { "rows/0" } else { "rows/1" };
            bench.shelf.state(partition).items.get_mut(step as usize % 100).0 = noise(step, 60);
            bench.apply(partition, 10);
            bench.settle(step as i64 * 20);
            told.push((bench.saver.in_progress(), std::mem::take(&mut bench.released)));
        }
        let snapshot = load(&bench.store, &Subject::new(SERVICE, "rows/1"), &wanted());
        (told, snapshot.expect("the store reads").state)
    };
    let (told, state) = run();
    assert!(told.iter().filter(|(_, released)| !released.is_empty()).count() > 10);
    assert_eq!((told, state), run());
}

#[test]
fn a_partition_that_goes_takes_its_snapshot_with_it() {
    for inline in [true, false] {
        let mut bench = Bench::new(every_second_or_100_bytes(), inline);
        bench.add(PARTITION, state());
        bench.add("rows/9", state());
        bench.apply(PARTITION, 100);
        bench.settle(1);
        assert!(bench.shelf.state(PARTITION).items.is_capturing());
        // It goes and comes back with another state; the thread may not have answered yet.
        bench.saver.dropped(PARTITION);
        bench.add(PARTITION, state());
        bench.apply("rows/9", 100);
        bench.settle(1);
        bench.complete(1);
        bench.complete(1);
        bench.check(&[("rows/9", 1)]);
        assert!(offsets(&bench.store).is_empty());
        // A state that is away without a word does no harm either.
        bench.apply(PARTITION, 100);
        bench.settle(2);
        bench.shelf.0.remove(PARTITION);
        bench.complete(2);
        bench.check(&[]);
        assert!(offsets(&bench.store).is_empty());
    }
}

#[test]
fn finish_saves_everything_that_changed_and_waits() {
    for inline in [true, false] {
        let mut bench = Bench::new(config(2_000), inline);
        for partition in ["rows/0", "rows/1", "rows/2"] {
            bench.add(partition, state());
        }
        bench.apply("rows/0", 1);
        bench.apply("rows/2", 1);
        let released = bench.saver.finish(5, &mut bench.shelf);
        bench.released.extend(released);
        bench.check(&[("rows/0", 1), ("rows/2", 1)]);
        let released = bench.saver.finish(6, &mut bench.shelf);
        assert!(released.is_empty() && !bench.saver.in_progress());

        // One that is under way is taken to its end, and again if its state went on.
        let config = every_second_or_100_bytes();
        bench.saver = Saver::new(Arc::clone(&bench.store), SERVICE, config, inline);
        bench.add(PARTITION, state());
        bench.apply(PARTITION, 100);
        bench.settle(1);
        assert!(bench.saver.in_progress());
        bench.apply(PARTITION, 1);
        bench.shelf.state(PARTITION).items.get_mut(50).0 = b"changed".to_vec();
        let released = bench.saver.finish(2, &mut bench.shelf);
        bench.released.extend(released);
        assert_eq!(bench.released.iter().map(|at| at.offset).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(offsets(&bench.store), [2, 1]);
    }
}

#[test]
fn many_partitions_change_while_all_are_saved() {
    let mut bench = Bench::new(
        SaverConfig { every_ms: 50, input_bytes: 500, slice_bytes: 1_000, ..Default::default() },
        false,
    );
    let names: Vec<String> = (0..20).map(|number| format!("rows/{number}")).collect();
    for name in &names {
        bench.add(name, state());
    }
    for step in 0..4_000_u64 {
        let name = &names[(step * step % 20) as usize];
        bench.shelf.state(name).items.get_mut(step as usize % 100).0 = noise(step, 80);
        bench.shelf.state(name).items.insert(Item(vec![]));
        bench.apply(name, 30);
        bench.settle(step as i64);
    }
    let released = bench.saver.finish(9_999, &mut bench.shelf);
    assert!(!released.is_empty());
    for (name, (state, offset)) in bench.shelf.0.iter().filter(|(_, (_, offset))| *offset > 0) {
        let subject = Subject::new(SERVICE, name.as_str());
        let loaded = load(&bench.store, &subject, &wanted()).expect("it reads");
        let (header, content) = loaded.state.expect("a snapshot");
        assert_eq!((header.offset, loaded.refused), (*offset, vec![]));
        assert!(content == state.content(), "{name}");
    }
}
