//! A restart anywhere changes nothing: what two workers wrote is what one would have written.

use domain::LOG_TIME_END;

use crate::world::{Rec, Scored, World, calm, detector, settle};

/// Everything that happens to the detector: anomalies, late rows, drift, silence, changed definitions, refusals.
fn story() -> World {
    let says = "threshold = { score = 0.6 }\nclear_after = 2\nsilence_ms = 15";
    let policies = [("b", "relearn"), ("w", "widen"), ("f", "freeze")];
    let policies = policies.map(|(name, policy)| detector(name, &format!("on_drift = {policy:?}")));
    let mut world = World::new(&(detector("a", says) + &policies.concat()));
    for at in 1..=500 {
        let value = match at % 90 {
            0 => 9.0,
            1 | 2 => 1e6,
            _ => calm(at).values[0].1,
        };
        let row = Rec {
            values: vec![("v", value)],
            flags: domain::Flags { late: at % 17 == 0, imputed: at % 29 == 0, no_data: false },
            drift: at % 130 == 0,
            ..calm(at)
        };
        let other = Rec { key: "other", values: vec![("v", value), ("w", 1.0)], ..calm(at) };
        let rows = if at > 181 && at < 230 { vec![row] } else { vec![row, other] };
        world.send(&rows);
        match at {
            250 => world.define(&detector("a", "clear_after = 9")),
            271 => world.remove("detector/b"),
            350 => world.define(&detector("b", "algorithm = { kind = \"robust_z\", window = 20 }")),
            _ if at % 40 == 0 => world.tick(at * 1000),
            _ if at % 110 == 0 => {
                world.append("detection.requested", vec![0xff]);
            }
            _ => {}
        }
    }
    world.tick(LOG_TIME_END);
    world
}

#[test]
fn a_restart_anywhere_changes_nothing() {
    let whole = story();
    whole.run().unwrap();
    let (expected, lives) = (whole.exact(), whole.lives());
    let has = |part: &str| expected.iter().chain(&lives).any(|line| line.contains(part));
    for part in ["late: true", "updated", "silent", "cleared other", "Err(", "Undecodable"] {
        assert!(has(part), "the story has no {part}: {lives:#?}");
    }
    for (steps, messages_max) in [(1, 1), (2, 1), (40, 1), (252, 1), (4, 97), (9, 50)] {
        let world = story();
        let mut first = world.worker(messages_max);
        for _ in 0..steps {
            first.step().unwrap();
        }
        drop(first);
        settle(&mut world.worker(messages_max + 13)).unwrap();
        assert!(world.exact() == expected, "after {steps} steps of {messages_max}");
    }
}

#[test]
fn a_restart_from_a_snapshot_changes_nothing() {
    let whole = story();
    whole.run().unwrap();
    let expected = whole.exact();
    let mut restored = 0;
    for steps in (1..620).step_by(23) {
        let mut world = story();
        world.keep_snapshots();
        let mut first = world.worker(1 + steps % 3);
        for _ in 0..steps {
            first.step().unwrap();
        }
        drop(first);
        let before = world.kept();
        restored += usize::from(before.is_some());
        let mut second = world.worker(40);
        for _ in 0..6 {
            second.step().unwrap();
        }
        drop(second);
        settle(&mut world.worker(7)).unwrap();
        assert!(world.kept() >= before, "a snapshot got lost after {steps} steps");
        assert!(world.exact() == expected, "after {steps} steps");
    }
    assert!(restored > 20, "only {restored} restores had a snapshot");
}

/// Three starts, each with its limit: room for two series, for all, for two again.
const STARTS: [u64; 3] = [14_000, 10_000_000, 14_000];

/// Rows of ever more series, as they came after each of the starts.
fn limited() -> World {
    let mut world = World::new(&detector("a", ""));
    for (start, keys) in [["a", "b", "c"], ["c", "d", "e"], ["a", "e", "f"]].iter().enumerate() {
        world.limit(STARTS[start]);
        for at in 1..=30 {
            let rows = keys.map(|key| Rec { key, ..calm(start as i64 * 30 + at) });
            world.send(&rows);
        }
    }
    world
}

#[test]
fn a_restart_with_other_limits_changes_no_replay() {
    let whole = limited();
    whole.run().unwrap();
    let expected = whole.exact();
    let scored = |key: &str| {
        let is_of = |one: &&Scored| &*one.series.key == key;
        whole.scores().iter().filter(is_of).count()
    };
    // The third found no room until the second start, the sixth never.
    assert_eq!(["a", "b", "c", "d", "e", "f"].map(scored), [60, 30, 30, 30, 60, 0]);
    assert_eq!(whole.refusals().len(), 60);
    for steps in (1..94).step_by(4) {
        for (now, snapshots) in [(0, false), (14_000, false), (10_000_000, false), (0, true)] {
            let mut world = limited();
            if snapshots {
                world.keep_snapshots();
            }
            let mut first = world.worker(1);
            for _ in 0..steps {
                first.step().unwrap();
            }
            drop(first);
            world.config.model_bytes_max = now;
            settle(&mut world.worker(7)).unwrap();
            let case = format!("{now} bytes after {steps} steps, snapshots: {snapshots}");
            assert!(world.exact() == expected, "{case}");
        }
    }
}

#[test]
fn an_anomaly_that_a_snapshot_found_open_ends_by_silence() {
    let says = "threshold = { score = 0.6 }\nclear_after = 9\nsilence_ms = 15";
    let mut world = World::new(&detector("a", says));
    world.keep_snapshots();
    (1..=100).for_each(|at| world.send(&[calm(at)]));
    let opened_at = world.items();
    (101..=103).for_each(|at| world.send(&[Rec { values: vec![("v", 1e6)], ..calm(at) }]));
    // Nothing more of its series, but enough for snapshots.
    (104..=163).for_each(|at| world.send(&[Rec { key: "other", ..calm(at) }]));
    settle(&mut world.worker(1)).unwrap();
    assert!(world.kept() > Some(opened_at + 5), "{:?}", world.kept());
    assert!(!world.lives().iter().any(|line| line.ends_with("silent")), "{:?}", world.lives());

    world.tick(900 * 1000);
    settle(&mut world.worker(1)).unwrap();
    assert!(world.lives().iter().any(|line| line.ends_with("silent")), "{:?}", world.lives());
}
