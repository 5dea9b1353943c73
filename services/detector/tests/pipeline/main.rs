//! The detector on the memory exchange: from batches on `detection.requested` to what stands on
//! `detection.completed`, `anomaly.detected` and `records.rejected`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

mod change;
mod feedback;
mod given;
mod lacking;
mod restart;
mod world;

use domain::{LOG_TIME_END, Reason};

use domain::Flags;

use crate::world::{Rec, Scored, World, calm, detector, rec};

const LATE: Flags = Flags { late: true, imputed: false, no_data: false };

const FIXED: &str = "threshold = { score = 0.6 }\nclear_after = 3";

/// Calm rows, but for those that are said to be otherwise: row number and value.
fn rows(count: i64, odd: &[(i64, f64)]) -> Vec<Rec> {
    let mut rows: Vec<_> = (1..=count).map(calm).collect();
    for &(at, value) in odd {
        rows[at as usize - 1].values[0].1 = value;
    }
    rows
}

/// The same, with a second value.
fn pairs(count: i64, odd: &[(i64, f64)]) -> Vec<Rec> {
    let mut rows = rows(count, odd);
    for row in &mut rows {
        row.values.push(("w", (row.at_ms * 59 % 101) as f64));
    }
    rows
}

/// All that is said of rows, but where they stand.
fn verdicts(scores: &[Scored]) -> Vec<String> {
    let verdict = |Scored { score: s, .. }: &Scored| {
        let said = (s.score, s.raw, s.confidence, s.threshold, s.is_anomaly);
        format!("{:?} {said:?} {:?}", s.event_at, (s.expected, s.lower, s.upper, s.top_share))
    };
    scores.iter().map(verdict).collect()
}

fn pass(definitions: &str, rows: Vec<Rec>) -> World {
    let mut world = World::new(definitions);
    world.pass(rows);
    world
}

#[test]
fn every_row_is_scored_in_order_and_ticks_stay_in_their_place() {
    let mut world = World::new("");
    world.send(&[calm(1), Rec { key: "l", ..calm(1) }, calm(2)]);
    world.tick(5_000);
    world.send(&[calm(3), Rec { flags: LATE, ..calm(2) }]);
    world.run().unwrap();
    let said: Vec<_> = world
        .completed()
        .into_iter()
        .map(|item| match item {
            Err(at) => format!("tick {at}"),
            Ok(Scored { detector, version, series, score }) => {
                assert!((0.0..=1.0).contains(&score.score) && score.confidence <= 1.0);
                let (flag, key) = (if score.flags.late { " late" } else { "" }, series.key);
                format!("{detector} {version} {key}#{}@{}{flag}", score.row, score.event_at)
            }
        })
        .collect();
    let of = |row: &str| format!("default 0 {row}");
    let before = [of("k#1@1000"), of("l#1@1000"), of("k#2@2000"), "tick 5000".into()];
    assert_eq!(said, [&before[..], &[of("k#3@3000"), of("k#4@2000 late")]].concat());
}

#[test]
fn the_life_of_an_anomaly() {
    let check = |odd: &[(i64, f64)], expected: &[&str]| {
        let world = pass(&detector("d", FIXED), rows(300, odd));
        assert_eq!(world.lives(), expected, "{odd:?}");
    };
    check(&[], &[]);
    check(&[(20, 50.0)], &[]);
    check(&[(200, 50.0)], &["opened k#200 d 1 odd", "cleared k#203 d 1 odd"]);
    check(
        &[(200, 12.0), (202, 1e6), (204, 1e6)],
        &["opened k#200 d 1 odd", "updated k#202 d 2 odd", "cleared k#207 d 3 odd"],
    );
    check(&[(299, 50.0)], &["opened k#299 d 1 odd"]);
}

#[test]
fn silence_clears() {
    let mut world = World::new(&detector("d", &format!("{FIXED}\nsilence_ms = 1000")));
    rows(200, &[(200, 50.0)]).iter().for_each(|row| world.send(std::slice::from_ref(row)));
    [300, 1_199, 1_200, 1_300].into_iter().for_each(|ms| world.tick(ms * 1000));
    world.pass([Rec { at_ms: 201, log_ms: 1_400, ..rec(0, 60.0) }]);
    world.tick(LOG_TIME_END);
    world.run().unwrap();
    let first = ["opened k#200 d 1 odd", "cleared k#200 d 1 odd silent"];
    let second = ["opened k#201 d 1 odd", "cleared k#201 d 1 odd silent"];
    assert_eq!(world.lives(), [first, second].concat());
    assert_eq!(world.events()[1].log_time, 1_200_000);
}

#[test]
fn an_anomaly_is_explained() {
    for algorithm in ["robust_z", "half_space_trees"] {
        let says = format!("algorithm = {{ kind = \"{algorithm}\" }}");
        let world = pass(&detector("d", &says), pairs(600, &[(500, 50.0)]));
        let events = world.events();
        let opened = events.iter().find(|event| event.row == 500).expect(algorithm);
        let [first, second] = &opened.contributions[..] else { panic!("{opened:?}") };
        assert!((first.share + second.share - 1.0).abs() < 1e-9 && first.share >= second.share);
        assert_eq!((&*first.feature, first.value), ("v", 50.0), "{algorithm}");
        for part in [first, second] {
            assert!(part.lower <= part.expected && part.expected <= part.upper, "{part:?}");
        }
        assert!(first.upper < 50.0 && (second.lower..second.upper).contains(&second.value));
        let score = &world.scores()[499].score;
        assert_eq!((score.value, score.expected, score.upper), (50.0, first.expected, first.upper));
    }
}

#[test]
fn late_rows_are_scored_but_not_learned() {
    let late = |row: Rec| Rec { flags: LATE, values: vec![("v", 1e5)], ..row };
    let with_late = rows(400, &[(300, 40.0)])
        .into_iter()
        .flat_map(|row| if row.at_ms % 3 == 0 { vec![late(row.clone()), row] } else { vec![row] });
    let seen = pass(&detector("d", FIXED), with_late.collect());
    let scores = seen.scores();
    let (late, others): (Vec<_>, Vec<_>) = scores.into_iter().partition(|s| s.score.flags.late);
    assert_eq!(late.len(), 133);
    assert!(late.iter().skip(10).all(|s| s.score.is_anomaly), "late rows can be odd");
    let unseen = pass(&detector("d", FIXED), rows(400, &[(300, 40.0)]));
    assert_eq!(verdicts(&others), verdicts(&unseen.scores()));
    assert_eq!(seen.lives().len(), unseen.lives().len());
}

#[test]
fn a_threshold_is_fixed_or_follows_the_contamination() {
    let check = |says: &str, share: std::ops::Range<f64>| {
        let world = pass(&detector("d", &format!("threshold = {{ {says} }}")), rows(2_000, &[]));
        let scores = world.scores();
        let past = |s: &&Scored| s.score.score >= s.score.threshold;
        let found = scores.iter().filter(past).count() as f64 / scores.len() as f64;
        assert!(share.contains(&found), "{says}: {found}");
        assert!(scores.iter().skip(30).all(|s| s.score.is_anomaly == past(&s)), "{says}");
        scores.iter().map(|s| s.score.threshold).collect::<Vec<_>>()
    };
    let fixed = check("score = 0.75", 0.0..0.01);
    assert!(fixed.iter().all(|threshold| (threshold - 0.75).abs() < 1e-9));
    let found = check("contamination = 0.1", 0.05..0.2);
    assert!(found.iter().any(|threshold| *threshold != found[0]), "it follows the rows");
}

#[test]
fn two_detectors_score_one_stream() {
    let both =
        detector("a", FIXED) + &detector("b", "algorithm = { kind = \"robust_z\", window = 8 }");
    let (one, two) = (
        pass(&detector("a", FIXED), rows(300, &[(250, 40.0)])),
        pass(&both, rows(300, &[(250, 40.0)])),
    );
    let scores = two.scores();
    let names: Vec<_> = scores.iter().map(|s| s.detector.as_str()).collect();
    assert_eq!(names, ["a", "b"].repeat(300));
    let (a, b): (Vec<_>, Vec<_>) = scores.into_iter().partition(|s| s.detector == "a");
    assert_eq!(verdicts(&a), verdicts(&one.scores()));
    assert_ne!(verdicts(&a), verdicts(&b));
    let ids = two.events().iter().map(|event| event.id).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids.len(), 2, "{:?}", two.lives());
}

#[test]
fn a_detector_reads_a_window_or_the_records() {
    let window = "[[streams]]\nname = \"default\"\n\
                  windows = [{ name = \"w\", size = 9, features = [\"std\"] }]\n";
    let of = |row: Rec| [Rec { window: Some("w"), ..row.clone() }, row];
    let check = |definitions: &str, expected: &[(&str, Option<&str>)]| {
        let world = pass(
            &format!("{window}{definitions}"),
            rows(20, &[]).into_iter().flat_map(of).collect(),
        );
        let scores = world.scores();
        let read = scores.iter().map(|s| (s.detector.as_str(), s.series.window.as_deref()));
        assert_eq!(read.collect::<Vec<_>>(), expected.repeat(20));
    };
    let in_window = detector("d", "window = \"w\"");
    check("", &[("default", None)]);
    check(&in_window, &[("d", Some("w"))]);
    check(&(in_window + &detector("e", "")), &[("d", Some("w")), ("e", None)]);
}

#[test]
fn a_drift_lets_a_model_relearn_at_exactly_its_row() {
    let mut input = rows(300, &[]);
    input[199].drift = true;
    let confidence = |says: &str| -> Vec<f64> {
        let world = pass(&detector("d", says), input.clone());
        world.scores().iter().map(|s| s.score.confidence).collect()
    };
    let (stays, relearns) = (confidence(""), confidence("on_drift = \"relearn\""));
    assert_eq!(stays[..199], relearns[..199]);
    assert!(stays[199] > 0.3 && stays[199] >= stays[198]);
    assert_eq!(relearns[199..], stays[..101]);
}

#[test]
fn models_beyond_their_bound_are_refused_and_others_go_on() {
    let mut world = World::new(&detector("d", ""));
    world.config.model_bytes_max = 2 * 10_000;
    let of = |key, at| Rec { key, ..calm(at) };
    world.pass([of("a", 1), of("b", 1), of("c", 1), of("d", 1), of("e", 1), of("a", 2)]);
    let known = world.scores().iter().map(|s| s.series.key.to_string()).collect::<Vec<_>>();
    assert!(known.len() > 1 && known.last().unwrap() == "a", "{known:?}");
    assert_eq!(world.refusals().len() + known.len(), 6);
    assert!(world.refusals().iter().all(|(reason, _)| *reason == Reason::TooManySeries));
    let before = world.scores().len();
    world.define(&(0..9).map(|n| detector(&format!("more{n}"), "")).collect::<String>());
    world.pass([of("a", 3)]);
    assert_eq!(world.scores().len(), before, "refused, not grown");
    (0..9).for_each(|n| world.remove(&format!("detector/more{n}")));
    world.pass([of("a", 4)]);
    assert_eq!(world.scores().len(), before + 1);
}

#[test]
fn a_hole_stops_with_partition_and_numbers() {
    let mut world = World::new("");
    world.send(&[calm(1), calm(2)]);
    let _lost = world.batch(&[calm(3)]);
    world.send(&[calm(4)]);
    assert_eq!(
        world.run().unwrap_err().to_string(),
        "detection.requested/0: items of detection.requested/0 are missing: expected number 3 of epoch 1, found 4"
    );
    assert!(world.scores().is_empty(), "nothing of that cycle is written");
}

#[test]
fn what_cannot_be_read_is_refused_and_the_stream_goes_on() {
    let mut world = World::new("");
    world.append("detection.requested", b"\xff\xff".to_vec());
    world.send(&[calm(1)]);
    // Metadata (field 1) of layout version (field 1) 9.
    world.append("detection.requested", vec![0x0a, 2, 0x08, 9]);
    let repeated = world.batch(&[calm(2)]);
    world.append("detection.requested", world::requested(&repeated));
    world.append("detection.requested", world::requested(&repeated));
    world.pass([calm(3)]);
    assert_eq!(world.scores().iter().map(|s| s.score.row).collect::<Vec<_>>(), [1, 2, 3]);
    let at = |reason, offset| (reason, format!("detection.requested/0 at {offset}"));
    assert_eq!(world.refusals(), [at(Reason::Undecodable, 0), at(Reason::UnknownVersion, 2)]);
}
