//! Windowing on the memory exchange: from batches on `records.accepted` to what stands on `detection.requested`,
//! `drift.detected` and `records.rejected`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

mod loss;
mod restart;
mod world;

use domain::{Item, LOG_TIME_END, Reason};
use oddwatch_windowing::state::State;
use proptest::prelude::*;
use stage::{Life, Origin, Select};

use crate::world::{Rec, World, accepted, rec, stream};

const NAN: f64 = f64::NAN;

/// Sends the records one by one to a stream of which this is said; these rows are to be scored.
fn check(says: &str, records: &[Rec], expected: &[&str]) -> World {
    let mut world = World::stream(says);
    world.pass(records);
    assert_eq!(world.rows(), expected, "{says}");
    world
}

#[test]
fn rows_are_numbered_per_series() {
    let of = |key, at| Rec { key, ..rec(at, 1.5) };
    let records = [of("a", 1), of("b", 1), of("a", 2), of("b", 2), of("a", 3)];
    let rows = ["a#1@1 [1.5]", "b#1@1 [1.5]", "a#2@2 [1.5]", "b#2@2 [1.5]", "a#3@3 [1.5]"];
    check("", &records, &rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_within_lateness_gives_bit_equal_rows(
        records in prop::collection::vec((0i64..40, 0usize..3, 0u8..4), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        parts in 1usize..9,
    ) {
        let features: [&[&str]; 3] = [&["a"], &["a", "b"], &["b", "c"]];
        let of = |(at, shape, value): &(i64, usize, u8)| Rec {
            values: features[*shape].iter().map(|name| (*name, f64::from(*value) / 3.0)).collect(),
            ..rec(*at, 0.0)
        };
        let records: Vec<_> = records.iter().map(of).collect();
        let mut other = records.clone();
        (0..other.len()).for_each(|at| other.swap(at, order[at].index(records.len())));
        let says = "lateness_ms = 40\nwindows = [{ name = \"w\", size = 3, features = [\"std\"] }]";
        let rows = |records: &[Rec], parts| {
            let mut world = World::stream(says);
            records.chunks(parts).for_each(|part| world.send(part));
            world.tick("records/0", LOG_TIME_END);
            world.run().unwrap();
            assert!(world.refusals().is_empty());
            world.rows()
        };
        prop_assert_eq!(rows(&other, parts), rows(&records, records.len()));
    }
}

#[test]
fn late_rows_go_by_their_policy() {
    let records = [rec(30, 1.0), rec(19, 2.0), rec(20, 3.0), rec(50, 4.0)];
    let scored = ["k#1@19 [2.0] late", "k#2@20 [3.0]", "k#3@30 [1.0]"];
    assert!(check("lateness_ms = 10", &records, &scored).refusals().is_empty());
    let refused = ["k#1@20 [3.0]", "k#2@30 [1.0]"];
    let world = check("lateness_ms = 10\nlate = \"refuse\"", &records, &refused);
    assert_eq!(world.refusals(), [(Reason::Late, "records/0 at 2".to_owned())]);
    check("", &records[..2], &["k#1@30 [1.0]", "k#2@19 [2.0] late"]);
}

#[test]
fn windows_make_rows_of_records_in_time() {
    let says = "windows = [{ name = \"w\", size = 3, slide = 2, features = [\"sum\", \"max\"] }]";
    let records = [(1, 1.0), (2, 2.0), (1, 99.0), (3, 3.0), (4, 4.0), (5, 5.0)];
    let rows = [
        "k#1@1 [1.0]",
        "k#2@2 [2.0]",
        "k#3@1 [99.0] late",
        "k#4@3 [3.0]",
        "k/w#1@3 [6.0, 3.0]",
        "k#5@4 [4.0]",
        "k#6@5 [5.0]",
        "k/w#2@5 [12.0, 5.0]",
    ];
    check(says, &records.map(|(at, value)| rec(at, value)), &rows);
}

/// A level with some noise, 30 higher after row 400.
fn step(at: i64) -> Rec {
    let noise = (at * 37 % 101) as f64 / 50.0;
    rec(at, if at > 400 { 30.0 + noise } else { noise })
}

#[test]
fn a_step_is_one_drift_and_marked_at_its_row_and_the_next_of_each_window() {
    let says = "windows = [{ name = \"w\", size = 50, slide = 20, features = [\"mean\"] }]";
    let mut world = World::stream(says);
    for at in 1..=800 {
        world.send(&[step(at)]);
        if at % 50 == 0 {
            world.send(&[step(at - 40)]);
        }
    }
    world.run().unwrap();
    let [drift] = &world.drifts()[..] else { panic!("{:?}", world.drifts()) };
    assert!(drift.after.mean - drift.before.mean > 20.0, "{drift:?}");
    let mut marks = vec![];
    for batch in world.requested() {
        for row in batch.rows().filter(|row| row.drift.is_some()) {
            let window = batch.series[row.series as usize].window.clone();
            assert_eq!(row.drift.as_deref(), Some(drift));
            marks.push((window.map(|name| name.to_string()), row.row, row.event_at));
        }
    }
    // Late rows are numbered too; a window row comes with every 20th record from the 50th on.
    let found = drift.event_at / 1000;
    assert!((401..460).contains(&found), "{found}");
    let in_window = found + (50 - found).rem_euclid(20);
    let number = |rows| u64::try_from(rows).unwrap();
    assert_eq!(
        marks,
        [
            (None, drift.row, found * 1000),
            (Some("w".into()), number((in_window - 50) / 20 + 1), in_window * 1000),
        ]
    );
}

#[test]
fn ticks_pass_on_when_the_least_log_time_grows() {
    let mut world = World::new("", 2);
    world.send(&[Rec { log_ms: 10, ..rec(1, 1.0) }]);
    let ticks = [
        ("records/0", 20),
        ("records/1", 5),
        ("records/1", 5),
        ("records/1", 15),
        ("gone/0", 99),
        ("records/0", 15),
        ("records/1", 30),
    ];
    ticks.into_iter().for_each(|(source, ms)| world.tick(source, ms * 1000));
    world.run().unwrap();
    assert_eq!(world.rows(), ["k#1@1 [1.0]", "tick 5", "tick 15", "tick 20"]);
}

#[test]
fn a_tick_passes_on_a_log_time_that_only_rows_have_told() {
    let mut world = World::stream("lateness_ms = 10");
    world.send(&[Rec { log_ms: 100, ..rec(5, 1.0) }]);
    world.send(&[Rec { key: "other", log_ms: 200, ..rec(5, 1.0) }]);
    world.tick("records/0", 200_000);
    world.run().unwrap();
    assert_eq!(world.rows(), ["k#1@5 [1.0]", "tick 200"]);
}

#[test]
fn silence_releases_held_rows_in_order() {
    let mut world = World::stream("lateness_ms = 10");
    world.send(&[rec(25, 2.0), rec(20, 1.0), rec(30, 3.0)]);
    world.tick("records/0", 5_001);
    world.tick("records/0", 5_000);
    // In time by the series' own watermark, but newer rows have left.
    world.send(&[Rec { log_ms: 6, ..rec(24, 4.0) }, Rec { log_ms: 6, ..rec(26, 5.0) }]);
    world.tick("records/0", LOG_TIME_END);
    world.run().unwrap();
    let rows = ["k#1@20 [1.0]", "k#2@25 [2.0]", "tick 5"];
    let then = ["k#3@24 [4.0] late", "k#4@26 [5.0]", "k#5@30 [3.0]", "tick end"];
    assert_eq!(world.rows(), [&rows[..], &then].concat());
}

#[test]
fn a_source_that_is_gone_holds_ticks_no_longer() {
    let other = "[[streams]]\nname = \"b\"\ntopic = \"b\"\n";
    let mut world = World::new(&format!("{}{other}", stream("")), 1);
    world.send(&[rec(1, 1.0)]);
    world.tick("b/0", 1_000);
    world.tick("records/0", 9_000);
    world.remove("stream/b");
    world.define("");
    world.send(&[Rec { log_ms: 9, ..rec(2, 2.0) }]);
    world.tick("records/0", 9_000);
    world.run().unwrap();
    assert_eq!(world.rows(), ["k#1@1 [1.0]", "tick 0", "tick 1", "k#2@2 [2.0]", "tick 9"]);
}

#[test]
fn limits_refuse_by_name() {
    let many = |names: &[&'static str]| Rec {
        values: names.iter().map(|name| (*name, 1.0)).collect(),
        ..rec(1, 0.0)
    };
    let mut world = World::stream("");
    (world.config.series_max, world.config.features_max) = (2, 2);
    world.pass(&[
        many(&["a", "b", "c"]),
        many(&["a"]),
        many(&["b", "c"]),
        many(&["a", "b"]),
        Rec { key: "l", ..rec(1, 1.0) },
        Rec { key: "m", ..rec(1, 1.0) },
        Rec { key: "l", ..rec(2, 1.0) },
    ]);
    assert_eq!(world.rows(), ["k#1@1 [1.0]", "k#2@1 [1.0, 1.0]", "l#1@1 [1.0]", "l#2@2 [1.0]"]);
    let refused = |reason, offset| (reason, format!("records/0 at {offset}"));
    let (features, series) = (Reason::TooManyFeatures, Reason::TooManySeries);
    assert_eq!(world.refusals(), [refused(features, 1), refused(features, 3), refused(series, 6)]);
}

#[test]
fn too_many_held_rows_leave_early_and_in_order() {
    let mut world = World::stream("lateness_ms = 1000");
    world.config.held_rows_max = 2;
    world.pass(&[rec(10, 1.0), rec(30, 3.0), rec(20, 2.0), rec(15, 4.0), rec(9, 5.0)]);
    assert_eq!(world.rows(), ["k#1@10 [1.0]", "k#2@15 [4.0]", "k#3@9 [5.0] late"]);
}

#[test]
fn a_series_is_widened_by_new_features() {
    let of = |at, values: &[(&'static str, f64)]| Rec { values: values.to_vec(), ..rec(at, 0.0) };
    let says = "windows = [{ name = \"w\", size = 2, features = [\"sum\"] }]";
    let records = [
        of(1, &[("b", 1.0)]),
        of(2, &[("b", 2.0)]),
        of(3, &[("a", 3.0), ("b", 4.0)]),
        of(4, &[("a", 5.0)]),
    ];
    let nan = format!("{NAN:?}");
    let world = check(
        says,
        &records,
        &[
            "k#1@1 [1.0]",
            "k#2@2 [2.0]",
            "k/w#1@2 [3.0]",
            "k#3@3 [4.0, 3.0]",
            &format!("k#4@4 [{nan}, 5.0]"),
            "k/w#2@4 [4.0, 8.0]",
        ],
    );
    let features = |batch: &domain::Batch| -> Vec<String> {
        batch.series.iter().map(|series| series.features.join(" ")).collect()
    };
    let batches = world.requested();
    assert_eq!(
        batches.iter().flat_map(features).collect::<Vec<_>>(),
        ["b", "b.sum", "b a", "b.sum a.sum"]
    );
}

#[test]
fn a_changed_stream_is_in_force_from_its_row_on() {
    let mut world = World::stream("lateness_ms = 10");
    world.send(&[rec(20, 1.0), rec(15, 2.0)]);
    world.define(&stream("lateness_ms = 0\nlate = \"refuse\""));
    world.send(&[rec(20, 3.0), rec(19, 4.0)]);
    world.remove("stream/default");
    world.define("[[streams]]\nname = \"x\"");
    world.pass(&[rec(21, 5.0)]);
    assert_eq!(world.rows(), ["k#1@15 [2.0]", "k#2@20 [1.0]", "k#3@20 [3.0]"]);
    let at = |reason, offset| (reason, format!("records/0 at {offset}"));
    assert_eq!(world.refusals(), [at(Reason::Late, 4), at(Reason::UnknownStream, 5)]);
}

#[test]
fn a_hole_stops_with_partition_and_numbers() {
    let mut world = World::stream("");
    world.send(&[rec(1, 1.0), rec(2, 2.0)]);
    let _lost = world.segment(&[rec(3, 3.0)]);
    world.send(&[rec(4, 4.0)]);
    assert_eq!(
        world.run().unwrap_err().to_string(),
        "records.accepted/0: items of records/0 are missing: expected number 3 of epoch 1, found 4"
    );
    assert!(world.rows().is_empty(), "nothing of that cycle is written");
}

#[test]
fn repeats_are_dropped_and_counted_once() {
    let mut world = World::stream("");
    let first = world.segment(&[rec(1, 1.0), rec(2, 2.0)]);
    let (mut both, rest) = (first.clone(), world.segment(&[rec(3, 3.0)]));
    both.series.extend(rest.series.clone());
    for item in rest.items {
        let Item::Row(row) = item else { continue };
        let values = both.push_values(&rest.values);
        both.items.push(Item::Row(domain::Row { series: 2, values, ..row }));
    }
    let segments = [first.clone(), first, both.clone()];
    let mut state =
        State::new("records.accepted/0".into(), Origin::of(Life::first(0)), &world.config);
    let mut out = state.output();
    state.apply(&world.control(), &segments, Select::all_but(None), &mut out).unwrap();
    assert_eq!((state.counts.rows, state.counts.repeats, out.items()), (3, 4, 3));
    for segment in segments {
        world.append("records.accepted", accepted(&[segment]));
    }
    world.run().unwrap();
    assert_eq!(world.rows(), ["k#1@1 [1.0]", "k#2@2 [2.0]", "k#3@3 [3.0]"]);
}

#[test]
fn what_cannot_be_read_is_refused_and_the_stream_goes_on() {
    let mut world = World::stream("");
    world.append("records.accepted", b"\xff\xff".to_vec());
    world.send(&[rec(1, 1.0)]);
    // Metadata (field 1) of layout version (field 1) 9.
    world.append("records.accepted", vec![0x0a, 2, 0x08, 9]);
    world.pass(&[rec(2, 2.0)]);
    assert_eq!(world.rows(), ["k#1@1 [1.0]", "k#2@2 [2.0]"]);
    let at = |reason, offset| (reason, format!("records.accepted/0 at {offset}"));
    assert_eq!(world.refusals(), [at(Reason::Undecodable, 0), at(Reason::UnknownVersion, 2)]);
}
