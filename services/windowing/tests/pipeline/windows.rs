//! Windows over time and sessions: when they close, by records, by the watermark and by ticks.

use domain::LOG_TIME_END;

use crate::world::{Rec, World, rec};

const HOPS: &str = r#"late = "score"
windows = [{ name = "w", size_ms = 20, hop_ms = 10, features = ["sum"] }]"#;

/// A record, and how far its source had been read.
fn heard(at_ms: i64, value: f64) -> Rec {
    Rec { log_ms: at_ms, ..rec(at_ms, value) }
}

#[test]
fn a_window_over_time_closes_before_the_record_that_ends_it() {
    let mut world = World::stream(HOPS);
    world.pass(&[rec(3, 1.0), rec(10, 2.0), rec(19, 4.0), rec(500, 8.0)]);
    world.tick("records/0", LOG_TIME_END);
    world.run().unwrap();
    let rows = [
        "k#1@3 [1.0]",
        "k/w#1@10 [1.0]",
        "k#2@10 [2.0]",
        "k#3@19 [4.0]",
        "k/w#2@20 [7.0]",
        "k/w#3@30 [6.0]",
        "k#4@500 [8.0]",
        "k/w#4@510 [8.0]",
        "k/w#5@520 [8.0]",
        "tick end",
    ];
    assert_eq!(world.rows(), rows);
}

#[test]
fn a_silent_series_closes_its_windows_and_what_is_older_is_late() {
    let mut world = World::stream(HOPS);
    world.send(&[heard(1, 1.0)]);
    for log_ms in [9, 10, 12] {
        world.tick("records/0", log_ms * 1_000);
    }
    world.send(&[heard(9, 2.0), heard(11, 4.0), heard(20, 8.0)]);
    world.run().unwrap();
    let rows = [
        "k#1@1 [1.0]",
        "tick 9",
        "k/w#1@10 [1.0]",
        "tick 10",
        "tick 12",
        "k#2@9 [2.0] late",
        "k#3@11 [4.0]",
        "k/w#2@20 [5.0]",
        "k#4@20 [8.0]",
    ];
    assert_eq!(world.rows(), rows);
}

#[test]
fn a_window_waits_for_its_records_as_long_as_they_may_come() {
    let mut world = World::stream(&format!("lateness_ms = 5\n{HOPS}"));
    world.send(&[heard(1, 1.0), heard(12, 2.0), heard(9, 4.0)]);
    // Event time 12, 5 of lateness: the window that ends at 10 is closed at 15.
    for log_ms in [14, 15] {
        world.tick("records/0", log_ms * 1_000);
    }
    world.run().unwrap();
    let rows = ["k#1@1 [1.0]", "tick 14", "k#2@9 [4.0]", "k/w#1@10 [5.0]", "tick 15"];
    assert_eq!(world.rows(), rows);
}

#[test]
fn a_session_is_a_row_once_it_is_over() {
    let says = r#"windows = [{ name = "s", gap_ms = 10, features = ["count", "max"] }]"#;
    let mut world = World::stream(says);
    world.send(&[heard(1, 1.0), heard(10, 2.0), heard(20, 3.0)]);
    for log_ms in [29, 30] {
        world.tick("records/0", log_ms * 1_000);
    }
    world.run().unwrap();
    let rows = [
        "k#1@1 [1.0]",
        "k#2@10 [2.0]",
        "k/s#1@10 [2.0, 2.0]",
        "k#3@20 [3.0]",
        "tick 29",
        "k/s#2@20 [1.0, 3.0]",
        "tick 30",
    ];
    assert_eq!(world.rows(), rows);
}

#[test]
fn a_new_feature_joins_a_window_that_is_open() {
    let mut world = World::stream(HOPS);
    let both = Rec { values: vec![("v", 2.0), ("x", 3.0)], ..rec(4, 0.0) };
    world.pass(&[rec(3, 1.0), both, rec(10, 0.0)]);
    let nan = f64::NAN;
    let last = format!("k#3@10 [0.0, {nan:?}]");
    assert_eq!(world.rows(), ["k#1@3 [1.0]", "k#2@4 [2.0, 3.0]", "k/w#1@10 [3.0, 3.0]", &last]);
}
