//! A restart anywhere changes nothing: what two workers wrote is what one would have written.

use domain::LOG_TIME_END;
use oddwatch_windowing::WindowingConfig;

use crate::{
    step,
    world::{Rec, World, rec, settle, stream},
};

/// Everything that happens to windowing: lateness, late rows, windows, drift, ticks, refusals, changed definitions.
fn story() -> World {
    let window = r#"late = "score"
windows = [
        { name = "w", size = 30, slide = 7, features = ["mean", "p90", "rate", "distinct"] },
        { name = "hops", size_ms = 20, hop_ms = 4, features = ["std", "p50", "delta"] },
        { name = "runs", gap_ms = 2, size_ms_max = 30, features = ["count", "since_last"] },
    ]"#;
    let regular = r#"[[streams]]
        name = "regular"
        topic = "regular"
        interval_ms = 2
        gaps = "seasonal"
        season_ms = 20
        no_data_after = 9
        series_ttl_ms = 24
        record_ids = 2
        windows = [
            { name = "w", size = 3, features = ["sum"] },
            { name = "hops", size_ms = 8, hop_ms = 4, features = ["mean"] },
        ]
    "#;
    let mut world =
        World::new(&format!("{}{regular}", stream(&format!("lateness_ms = 8\n{window}"))), 2);
    world.config.features_max = 2;
    for at in 1..=600 {
        let log_ms = at;
        let wide = if at % 150 == 0 { vec![("v", 1.0), ("x", 2.0)] } else { step(at).values };
        let jumps = Rec { at_ms: at - at % 13, log_ms, values: wide, ..step(at) };
        let other = Rec { key: "other", log_ms, ..rec(-at % 5, at as f64) };
        let id = ["", "a", "b", "c"][at as usize % 4];
        let comes = at % 90 < 60 && at % 7 != 0;
        let regular = Rec { stream: "regular", key: "r", log_ms, id, ..step(at * 2) };
        world.send(&[jumps, other]);
        if comes {
            world.send(&[regular.clone(), Rec { key: "s", ..regular }]);
        }
        match at % 100 {
            10 => world.tick("records/0", at * 1000),
            20 | 60 | 80 => {
                let others = ["records/0", "records/1", "regular/0", "regular/1"];
                others.into_iter().for_each(|source| world.tick(source, (at - 3) * 1000));
            }
            30 => world.send(&[Rec { values: vec![("a", 1.0), ("b", 2.0)], ..rec(at, 0.0) }]),
            40 => {
                world.append("records.accepted", vec![0xff]);
            }
            50 if at == 350 => world.define(&stream(&format!("lateness_ms = 3\n{window}"))),
            _ => {}
        }
    }
    world.tick("records/0", LOG_TIME_END);
    world.tick("records/1", LOG_TIME_END);
    world.tick("regular/0", LOG_TIME_END);
    world.tick("regular/1", LOG_TIME_END);
    world
}

#[test]
fn a_restart_anywhere_changes_nothing() {
    let whole = story();
    whole.run().unwrap();
    let expected = whole.exact();
    let has = |part: &str| expected.iter().any(|line| line.contains(part));
    let parts =
        ["late: true", "imputed: true", "no_data: true", "Forget", "drift: Some", "Drift {"];
    for part in parts.into_iter().chain(["Tick", "TooManyFeatures", "Undecodable"]) {
        assert!(has(part), "the story has no {part}");
    }
    for (steps, messages_max) in [(1, 1), (2, 1), (40, 1), (351, 1), (6, 97), (13, 50)] {
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

const TIGHT: WindowingConfig = WindowingConfig { series_max: 2, features_max: 1, held_rows_max: 3 };
const WIDE: WindowingConfig = WindowingConfig { series_max: 9, features_max: 9, held_rows_max: 99 };

/// Records that meet every limit, as they came after three starts: with tight limits, with wide ones, and again.
fn limited() -> World {
    let mut world = World::stream("lateness_ms = 8");
    for (start, limits) in [TIGHT, WIDE, TIGHT].into_iter().enumerate() {
        world.limit(limits);
        let keys = [["a", "b", "c"], ["c", "d", "e"], ["a", "e", "f"]][start];
        for at in start as i64 * 30 + 1..=start as i64 * 30 + 30 {
            let of = |key| Rec { key, at_ms: at - at % 5, log_ms: at, ..rec(at, at as f64) };
            let wide = Rec { values: vec![("v", 1.0), ("w", 2.0)], ..of(keys[0]) };
            world.send(&keys.map(of));
            if at % 7 == 0 {
                world.send(&[wide]);
            }
        }
    }
    world.tick("records/0", LOG_TIME_END);
    world
}

#[test]
fn a_restart_with_other_limits_changes_no_replay() {
    let whole = limited();
    whole.run().unwrap();
    let expected = whole.exact();
    let with = |part: &str| expected.iter().filter(|line| line.contains(part)).count();
    // The third series is refused until the second start, the sixth always.
    assert_eq!(with("TooManySeries"), 60);
    // Eight are too wide; six waited in a series that had been let grow, until the limit was tight again.
    assert_eq!(with("TooManyFeatures"), 14);
    for steps in (1..108).step_by(4) {
        for (now, snapshots) in [(TIGHT, false), (WIDE, false), (TIGHT, true), (WIDE, true)] {
            let mut world = limited();
            if snapshots {
                world.keep_snapshots();
            }
            let mut first = world.worker(1);
            for _ in 0..steps {
                first.step().unwrap();
            }
            drop(first);
            world.config = now.clone();
            settle(&mut world.worker(7)).unwrap();
            let case = format!("{now:?} after {steps} steps, snapshots: {snapshots}");
            assert!(world.exact() == expected, "{case}");
        }
    }
}
