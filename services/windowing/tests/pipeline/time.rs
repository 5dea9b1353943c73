//! Time: records that come in any order, again or not at all, and clocks that are wrong.

use domain::{LOG_TIME_END, Micros, Reason};
use oddwatch_windowing::state::{Counts, State};
use proptest::prelude::*;
use stage::{Life, Origin, Select};

use crate::{
    check,
    world::{Rec, World, rec, stream},
};

const HOUR_MS: i64 = 3_600_000;

/// Records of a stream, then ticks (ms); these rows are to be scored, and the ticks passed on.
fn silence(says: &str, records: &[Rec], ticks: &[i64], expected: &[&str]) -> World {
    let mut world = World::stream(says);
    records.iter().for_each(|rec| world.send(std::slice::from_ref(rec)));
    ticks.iter().for_each(|ms| world.tick("records/0", ms * 1000));
    world.run().unwrap();
    let rows = world.rows();
    let rows: Vec<_> = rows.iter().filter(|row| !row.starts_with("tick")).collect();
    assert_eq!(rows, expected, "{says}");
    world
}

/// What became of the records: in time, reordered, late, late and refused, repeated.
fn counted(says: &str, records: &[Rec]) -> (Counts, Vec<(Reason, String)>) {
    let mut world = World::stream(says);
    let segment = world.segment(records);
    let origin = Origin::of(Life::first(0));
    let mut state = State::new("records.accepted/0".into(), origin, &world.config);
    let mut out = state.output();
    state.apply(&world.control(), &[segment], Select::all_but(None), &mut out).unwrap();
    let refused = out.refusals.iter().map(|refusal| (refusal.reason, refusal.detail.clone()));
    (state.counts, refused.collect())
}

#[test]
fn gaps_are_filled_when_the_next_record_comes() {
    let records = [rec(0, 1.0), rec(10, 2.0), rec(40, 5.0)];
    let filled = ["k#1@0 [1.0]", "k#2@10 [2.0]", "k#3@20 [3.0] imputed", "k#4@30 [4.0] imputed"];
    let rows = [&filled[..], &["k#5@40 [5.0]"]].concat();
    check("interval_ms = 10\ngaps = \"linear\"", &records, &rows);
    let late = [rec(40, 5.0), rec(0, 1.0), rec(10, 2.0), rec(100, 6.0)];
    let says = "interval_ms = 10\ngaps = \"linear\"\nlateness_ms = 50";
    check(says, &late, &rows);
}

#[test]
fn gaps_are_filled_in_silence_and_a_record_that_comes_for_one_is_late() {
    let says = "interval_ms = 10\ngaps = \"previous\"";
    let rows = ["k#1@0 [1.5]", "k#2@10 [1.5] imputed", "k#3@20 [1.5] imputed"];
    let mut world = silence(says, &[rec(0, 1.5)], &[0, 15, 16, 25, 26], &rows);
    world.send(&[Rec { log_ms: 27, ..rec(20, 7.0) }, Rec { log_ms: 28, ..rec(30, 8.0) }]);
    world.run().unwrap();
    assert_eq!(world.rows()[8..], ["k#4@20 [7.0] late", "k#5@30 [8.0]"]);
    let silent = "interval_ms = 10\ngaps = \"linear\"";
    silence(silent, &[rec(0, 1.5)], &[0, 500], &["k#1@0 [1.5]"]);
}

#[test]
fn no_data_is_told_once_at_its_time_and_again_after_data() {
    let says = "interval_ms = 10\nno_data_after = 3";
    let rows = ["k#1@0 [1.5]", "k#2@30 [NaN] no data"];
    let mut world = silence(says, &[rec(0, 1.5)], &[0, 35, 36, 900], &rows);
    world.send(&[Rec { log_ms: 900, ..rec(890, 7.0) }]);
    world.tick("records/0", 2_000_000);
    world.run().unwrap();
    let rows: Vec<_> = world.rows().into_iter().filter(|row| row.starts_with('k')).collect();
    assert_eq!(rows[2..], ["k#3@890 [7.0]", "k#4@920 [NaN] no data"]);
}

#[test]
fn imputed_rows_are_no_drift_and_stand_in_windows() {
    let says = "interval_ms = 10\ngaps = \"zero\"\n\
        windows = [{ name = \"w\", size = 2, features = [\"sum\"] }]";
    let rows = ["k#1@0 [1.0]", "k#2@10 [0.0] imputed", "k/w#1@10 [1.0] imputed", "k#3@20 [5.0]"];
    let then = ["k/w#2@20 [5.0] imputed", "k#4@30 [6.0]", "k/w#3@30 [11.0]"];
    let records = [rec(0, 1.0), rec(20, 5.0), rec(30, 6.0)];
    check(says, &records, &[&rows[..], &then].concat());
}

#[test]
fn a_record_that_comes_again_is_counted_and_never_scored_twice() {
    let of = |id, at| Rec { id, ..rec(at, 1.0) };
    let records = [of("a", 1), of("b", 2), of("a", 3), of("a", 1), of("c", 4), of("a", 5)];
    check(
        "record_ids = 2",
        &records,
        &["k#1@1 [1.0]", "k#2@2 [1.0]", "k#3@4 [1.0]", "k#4@5 [1.0]"],
    );
    assert_eq!(counted("record_ids = 2", &records).0.repeated, 2);
    let other = [of("a", 1), Rec { key: "l", ..of("a", 1) }];
    check("", &other, &["k#1@1 [1.0]", "l#1@1 [1.0]"]);
    check("record_ids = 0", &records[2..4], &["k#1@3 [1.0]", "k#2@1 [1.0] late"]);
}

#[test]
fn a_repeat_behind_a_refusal_is_refused_again() {
    let of = |id, at| Rec { id, ..rec(at, 1.0) };
    let (counts, refused) = counted("late = \"refuse\"", &[of("a", 9), of("b", 1), of("b", 1)]);
    assert_eq!((counts.repeated, counts.late_refused, refused.len()), (0, 2, 2));
}

#[test]
fn a_series_unseen_for_its_ttl_is_forgotten_and_begins_anew() {
    let says = "series_ttl_ms = 100\n\
        windows = [{ name = \"w\", size = 2, features = [\"sum\"] }]";
    let records = [rec(0, 1.0), Rec { key: "l", log_ms: 60, ..rec(0, 2.0) }];
    let rows = ["k#1@0 [1.0]", "l#1@0 [2.0]", "k forgotten 100", "k/w forgotten 100"];
    let mut world = silence(says, &records, &[99, 100, 159], &rows);
    let again = [Rec { log_ms: 159, ..rec(0, 3.0) }, Rec { key: "m", log_ms: 159, ..rec(0, 4.0) }];
    world.send(&again);
    world.tick("records/0", 160_000);
    world.run().unwrap();
    let rows: Vec<_> = world.rows().into_iter().filter(|row| !row.starts_with("tick")).collect();
    assert_eq!(rows[4..], ["k#1@0 [3.0]", "m#1@0 [4.0]", "l forgotten 160", "l/w forgotten 160"]);
}

#[test]
fn the_series_of_a_stream_have_a_limit_of_their_own_that_forgotten_ones_free() {
    let of = |key, log_ms| Rec { key, log_ms, ..rec(0, 1.0) };
    let mut world = World::stream("series_max = 1\nseries_ttl_ms = 100");
    world.send(&[of("a", 0), of("b", 10)]);
    world.tick("records/0", 200_000);
    world.pass(&[of("b", 200), of("a", 210)]);
    assert_eq!(world.rows(), ["a#1@0 [1.0]", "a forgotten 200", "tick 200", "b#1@0 [1.0]"]);
    let refused = |offset| (Reason::TooManySeries, format!("records/0 at {offset}"));
    assert_eq!(world.refusals(), [refused(2), refused(4)]);
    let (_, refused) = counted("series_max = 0", &[rec(0, 1.0)]);
    assert_eq!(refused[0].1, "series_max of stream \"default\" is 0");
}

#[test]
fn one_record_of_the_year_2100_fills_no_century_and_makes_the_others_late() {
    let year_2100 = 4_102_444_800_000;
    let says = "interval_ms = 60000\ngaps = \"zero\"\ngap_rows_max = 2\n\
        windows = [{ name = \"w\", size = 3, features = [\"sum\"] }]\nlate = \"score\"";
    let records = [rec(0, 1.0), rec(year_2100, 2.0), rec(60_000, 3.0)];
    let rows = [
        "k#1@0 [1.0]",
        "k#2@60000 [0.0] imputed",
        "k#3@120000 [0.0] imputed",
        "k/w#1@120000 [1.0] imputed",
        "k#4@4102444800000 [2.0]",
        "k/w#2@4102444800000 [2.0] imputed",
        "k#5@60000 [3.0] late",
    ];
    check(says, &records, &rows);
}

#[test]
fn a_clock_that_jumps_back_an_hour_is_late_until_it_has_caught_up() {
    let minute = HOUR_MS / 60;
    let records: Vec<_> = (0..4).map(|n| rec(HOUR_MS + n * minute, 1.0)).collect();
    let back: Vec<_> = (0..3).map(|n| rec(n * 30 * minute + 4 * minute, 2.0)).collect();
    let all = [records, back].concat();
    let (counts, _) = counted("", &all);
    assert_eq!((counts.in_time, counts.late), (5, 2));
    // With an hour of lateness they take their places.
    let (counts, _) = counted("lateness_ms = 3600000", &all);
    assert_eq!((counts.in_time, counts.reordered, counts.late), (5, 2, 0));
}

#[test]
fn daylight_saving_is_no_gap_since_event_time_is_universal() {
    // The last Sunday of October 2025 in Europe: 2:30 comes twice on the clock, an hour apart in event time.
    let first = 1_761_438_600_000;
    let records: Vec<_> = (0..4).map(|n| rec(first + n * HOUR_MS / 2, 1.0)).collect();
    let says = "interval_ms = 1800000\ngaps = \"zero\"\nformat = { zone = \"Europe/Berlin\" }";
    let world = check(
        says,
        &records,
        &[
            "k#1@1761438600000 [1.0]",
            "k#2@1761440400000 [1.0]",
            "k#3@1761442200000 [1.0]",
            "k#4@1761444000000 [1.0]",
        ],
    );
    assert!(world.refusals().is_empty());
}

#[test]
fn two_records_of_the_same_time_both_count() {
    let rows = ["k#1@5 [2.0]", "k#2@5 [1.0]", "k#3@5 [1.0]"];
    check("", &[rec(5, 2.0), rec(5, 1.0), rec(5, 1.0)], &rows);
    // Where rows wait, equal times are ordered by content.
    let says = "lateness_ms = 1";
    let rows = ["k#1@5 [1.0]", "k#2@5 [1.0]", "k#3@5 [2.0]"];
    check(says, &[rec(5, 2.0), rec(5, 1.0), rec(5, 1.0), rec(99, 0.0)], &rows);
}

#[test]
fn the_years_before_and_after_1970_are_as_good_as_any() {
    let says = "interval_ms = 1\ngaps = \"previous\"";
    let rows = ["k#1@-2 [1.0]", "k#2@-1 [1.0] imputed", "k#3@0 [2.0]", "k#4@1 [3.0]"];
    check(says, &[rec(-2, 1.0), rec(0, 2.0), rec(1, 3.0)], &rows);
    let edges = [rec(Micros::MIN / 1000, 1.0), rec(Micros::MAX / 1000, 2.0)];
    let (counts, refused) = counted("interval_ms = 1\nlateness_ms = 600000000", &edges);
    assert_eq!((counts.in_time, refused.len()), (2, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every order of arrival within the lateness gives the same rows, bit for bit, with the gaps filled.
    #[test]
    fn any_order_within_lateness_fills_the_same_gaps(
        records in prop::collection::vec((0i64..60, 0u8..4), 1..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 40),
        policy in 0usize..5,
        no_data_after in 0u32..4,
    ) {
        let of = |(at, value): &(i64, u8)| rec(*at * 5, f64::from(*value) / 3.0);
        let records: Vec<_> = records.iter().map(of).collect();
        let mut other = records.clone();
        (0..other.len()).for_each(|at| other.swap(at, order[at].index(records.len())));
        let gaps = ["previous", "linear", "zero", "seasonal", "none"][policy];
        let says = format!(
            "lateness_ms = 300\ninterval_ms = 10\ngaps = {gaps:?}\nseason_ms = 50\n\
             no_data_after = {no_data_after}"
        );
        let rows = |records: &[Rec]| {
            let mut world = World::stream(&says);
            world.send(records);
            world.tick("records/0", LOG_TIME_END);
            world.run().unwrap();
            world.rows()
        };
        prop_assert_eq!(rows(&other), rows(&records));
    }

    /// Every record is in time, reordered, late, refused as late, or a repeat, and these add up to the input.
    #[test]
    fn every_record_is_accounted_for(
        records in prop::collection::vec((0i64..200, 0usize..12), 1..80),
        lateness in prop_oneof![Just(0i64), Just(30), Just(500)],
        refuses in any::<bool>(),
    ) {
        const IDS: [&str; 12] = ["", "", "", "", "", "", "a", "b", "c", "d", "e", "f"];
        let of = |(at, id): &(i64, usize)| Rec { id: IDS[*id], ..rec(*at, 1.0) };
        let records: Vec<_> = records.iter().map(of).collect();
        let late = if refuses { "refuse" } else { "score" };
        let (counts, refused) = counted(&format!("lateness_ms = {lateness}\nlate = {late:?}"), &records);
        let Counts { in_time, reordered, late, late_refused, repeated, .. } = counts;
        let total = in_time + reordered + late + late_refused + repeated;
        prop_assert_eq!(total as usize, records.len());
        prop_assert_eq!(late_refused as usize, refused.len());
        prop_assert_eq!(if refuses { late } else { late_refused }, 0);
        // The obvious definition: how far behind the newest one before it.
        let (mut newest, mut ids) = (i64::MIN, std::collections::BTreeSet::new());
        let mut expected = (0, 0, 0);
        for record in &records {
            if ids.contains(record.id) {
                continue;
            }
            let behind = newest.max(record.at_ms) - record.at_ms;
            let is_late = newest > i64::MIN && behind > lateness;
            match (behind, is_late) {
                (_, true) => expected.2 += 1,
                (0, _) => expected.0 += 1,
                _ => expected.1 += 1,
            }
            newest = newest.max(record.at_ms);
            let is_taken = !is_late || !refuses;
            if is_taken && !record.id.is_empty() {
                ids.insert(record.id);
            }
        }
        prop_assert_eq!((in_time, reordered, late + late_refused), expected);
    }
}

#[test]
fn a_stream_s_times_are_checked() {
    for (says, wrong) in [
        ("gaps = \"zero\"", "interval_ms: is needed by gaps and no_data_after: how often"),
        ("interval_ms = 10\ngaps = \"seasonal\"", "season_ms: must be from 2 to 10080 whole"),
        ("interval_ms = 10\ngaps = \"seasonal\"\nseason_ms = 25", "season_ms: must be"),
        ("interval_ms = 10\ngaps = { fixed = nan }", "gaps.fixed: must be a finite number"),
        ("lateness_ms = 10\nseries_ttl_ms = 10", "series_ttl_ms: must be more than lateness_ms"),
        ("record_ids = 100001", "record_ids: must be at most 100000"),
    ] {
        let text = stream(says);
        let error = control::parse_definitions("test.toml", &text).unwrap_err().to_string();
        assert!(error.contains(wrong), "{says}: {error}");
    }
}
