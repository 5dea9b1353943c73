//! What a changed definition does to models and open anomalies, at exactly the row with its version.

use crate::{
    FIXED, pairs, rows, verdicts,
    world::{Rec, World, calm, detector},
};

/// Row 200 is odd; `change` comes into force with row 202 of 260.
fn changed(definitions: &str, change: impl Fn(&mut World)) -> World {
    let mut world = World::new(definitions);
    for row in rows(260, &[(200, 50.0)]) {
        if row.at_ms == 202 {
            change(&mut world);
        }
        world.send(&[row]);
    }
    world.run().unwrap();
    world
}

#[test]
fn a_paused_detector_keeps_its_model_and_scores_nothing() {
    let paused = || {
        let mut world = World::new(&detector("d", FIXED));
        rows(200, &[]).into_iter().for_each(|row| world.send(&[row]));
        world
    };
    let mut world = paused();
    world.define(&detector("d", &format!("{FIXED}\nenabled = false")));
    (201..=250).for_each(|at| world.send(&[Rec { values: vec![("v", 9e9)], ..calm(at) }]));
    world.define(&detector("d", FIXED));
    world.pass((251..=300).map(calm));
    let mut other = paused();
    other.pass((251..=300).map(calm));
    assert_eq!(verdicts(&world.scores()), verdicts(&other.scores()));
    assert!(world.lives().is_empty());
}

#[test]
fn a_changed_threshold_is_in_force_at_its_row_and_the_model_stays() {
    let before = detector("d", FIXED);
    let after = detector("d", "threshold = { score = 0.9 }\nclear_after = 3");
    let (world, other) = (changed(&before, |world| world.define(&after)), changed(&before, |_| {}));
    let (scores, others) = (world.scores(), other.scores());
    for (at, (found, unchanged)) in (1..).zip(scores.iter().zip(&others)) {
        let expected = if at < 202 { 0.6 } else { 0.9 };
        assert!((found.score.threshold - expected).abs() < 1e-9, "row {at}");
        assert_eq!(found.score.confidence, unchanged.score.confidence, "row {at}");
    }
    assert_eq!(scores[201].score.score, others[201].score.score);
    assert_ne!(scores[200].version, scores[201].version);
    assert_eq!(world.lives(), ["opened k#200 d 1 odd", "cleared k#203 d 1 odd"]);
}

#[test]
fn an_anomaly_ends_with_its_model() {
    let check = |definitions: &str, change: &dyn Fn(&mut World), scored: usize| {
        let world = changed(definitions, change);
        assert_eq!(world.lives(), ["opened k#200 d 1 odd", "cleared k#201 d 1 odd"]);
        let cleared = &world.events()[1];
        assert_eq!((cleared.position.number, cleared.log_time), (202, 202_000));
        assert_eq!(world.scores().len(), scored);
        world
    };
    let d = detector("d", FIXED);
    let both = d.clone() + &detector("e", "enabled = false");
    check(&both, &|world| world.remove("detector/d"), 201);
    // The stream has the implicit one then.
    check(&d, &|world| world.remove("detector/d"), 260);
    let other =
        detector("d", &format!("{FIXED}\nalgorithm = {{ kind = \"robust_z\", window = 64 }}"));
    let world = check(&d, &|world| world.define(&other), 260);
    let scores = world.scores();
    assert!(scores[200].score.confidence > 0.3 && scores[201].score.confidence < 0.1, "anew");
}

#[test]
fn the_same_algorithm_by_another_name_keeps_its_model() {
    let named = format!("{FIXED}\nalgorithm = {{ kind = \"robust_z\", window = 256 }}");
    let world = changed(&detector("d", FIXED), |world| world.define(&detector("d", &named)));
    let other = changed(&detector("d", FIXED), |_| {});
    assert_eq!(verdicts(&world.scores()), verdicts(&other.scores()));
    assert_eq!(world.lives(), other.lives());
}

#[test]
fn a_new_detector_before_others_changes_nothing_for_them() {
    let world = changed(&detector("d", FIXED), |world| world.define(&detector("a", FIXED)));
    let other = changed(&detector("d", FIXED), |_| {});
    let mut scores = world.scores();
    scores.retain(|score| score.detector == "d");
    assert_eq!(verdicts(&scores), verdicts(&other.scores()));
    assert_eq!(world.lives(), other.lives());
}

#[test]
fn a_widened_series_starts_anew_and_its_anomaly_ends() {
    let mut world = World::new(&detector("d", FIXED));
    let wide = pairs(260, &[]).split_off(200);
    world.pass(rows(200, &[(200, 50.0)]).into_iter().chain(wide));
    assert_eq!(world.lives(), ["opened k#200 d 1 odd", "cleared k#200 d 1 odd"]);
    let scores = world.scores();
    assert_eq!((scores.len(), scores[199].series.features.len()), (260, 1));
    assert_eq!((scores[200].series.features.len(), scores[200].score.confidence), (2, 0.0));
}

#[test]
fn a_stream_and_its_detector_change_at_once() {
    let both = |window: &str| {
        let windows =
            format!("windows = [{{ name = {window:?}, size = 9, features = [\"std\"] }}]");
        let reads = detector("d", &format!("window = {window:?}"));
        format!("[[streams]]\nname = \"default\"\n{windows}\n{reads}")
    };
    let mut world = World::new(&both("a"));
    let of = |name, at| Rec { window: Some(name), ..calm(at) };
    world.send(&[of("a", 1), of("b", 1)]);
    world.define(&both("b"));
    world.pass([of("a", 2), of("b", 2)]);
    let read = world.scores().into_iter().map(|s| (s.series.window, s.score.event_at / 1000));
    assert_eq!(read.collect::<Vec<_>>(), [(Some("a".into()), 1), (Some("b".into()), 2)]);
}

#[test]
fn each_policy_acts_at_the_row_of_the_drift_and_at_no_other() {
    // The level is another one from row 200 on, where the drift is marked.
    let with = |policy: &str| {
        let mut all = rows(400, &[]);
        all[199].drift = true;
        all[199..].iter_mut().for_each(|row| row.values[0].1 += 40.0);
        let mut world = World::new(&detector("d", &format!("{FIXED}\non_drift = {policy:?}")));
        world.pass(all);
        world.scores()
    };
    let none = with("none");
    for policy in ["relearn", "widen", "freeze"] {
        let scores = with(policy);
        assert_eq!(verdicts(&scores[..199]), verdicts(&none[..199]), "{policy}: before it");
        assert_ne!(verdicts(&scores[199..]), verdicts(&none[199..]), "{policy}: from it on");
        let (at, usual) = (&scores[199].score, &none[199].score);
        match policy {
            "relearn" => assert!(at.confidence < usual.confidence, "{at:?}"),
            "widen" => assert!(at.raw == usual.raw && at.score < usual.score, "{at:?}"),
            // Nothing of the new level is learned: what was expected stays.
            _ => {
                assert_eq!(at.score, usual.score);
                let (last, adapted) = (&scores[399].score, &none[399].score);
                assert_eq!((last.confidence, last.expected), (at.confidence, at.expected));
                assert!(adapted.confidence > usual.confidence, "the other one learns");
            }
        }
    }
    // A changed definition lets it learn again.
    let mut world = World::new(&detector("d", &format!("{FIXED}\non_drift = \"freeze\"")));
    let mut all = rows(400, &[]);
    all[199].drift = true;
    let rest = all.split_off(300);
    world.pass(all);
    world.define(&detector("d", "threshold = { score = 0.7 }\nclear_after = 3"));
    world.pass(rest);
    let confidence: Vec<_> = world.scores().iter().map(|s| s.score.confidence).collect();
    assert!(confidence[299] == confidence[200] && confidence[399] > confidence[300]);
}
