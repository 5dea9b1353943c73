//! Rows that stand in for what did not come, and series that are forgotten.

use domain::{Flags, Muted};

use crate::{
    FIXED, rows,
    world::{Rec, World, calm, detector, rec, settle},
};

const IMPUTED: Flags = Flags { late: false, imputed: true, no_data: false };
const NO_DATA: Flags = Flags { late: false, imputed: false, no_data: true };

fn nothing(at_ms: i64) -> Rec {
    Rec { flags: NO_DATA, ..rec(at_ms, f64::NAN) }
}

#[test]
fn an_imputed_row_is_learned_and_opens_nothing() {
    let mut all = rows(300, &[(200, 50.0)]);
    all[199].flags = IMPUTED;
    let mut world = World::new(&detector("d", FIXED));
    world.pass(all);
    assert!(world.lives().is_empty());
    let scores = world.scores();
    let said = &scores[199].score;
    assert!(said.score >= said.threshold && !said.is_anomaly);
    assert_eq!((said.muted, said.flags), (Some(Muted::Imputed), IMPUTED));
    let mut other = World::new(&detector("d", FIXED));
    other.pass(rows(300, &[(200, 50.0)]));
    let raw = |world: &World| world.scores()[250].score.raw.to_bits();
    assert_eq!(raw(&world), raw(&other), "both have learned it");
}

#[test]
fn no_data_is_an_anomaly_until_data_come() {
    let mut world = World::new(&detector("d", &format!("{FIXED}\nsilence_ms = 1000")));
    let mut all = rows(100, &[]);
    all.extend([nothing(150), calm(400), calm(401)]);
    let last = all.split_off(101);
    all.iter().for_each(|row| world.send(std::slice::from_ref(row)));
    world.tick(9_000_000);
    world.pass(last);
    assert_eq!(world.lives(), ["opened k#101 d 1 odd no data", "cleared k#102 d 1 odd"]);
    let events = world.events();
    assert_eq!((events[0].score, events[0].severity.name()), (1.0, "critical"));
    assert_eq!(events[0].contributions[0].share, 0.0, "no value is to blame");
    let said = &world.scores()[100].score;
    assert!(said.is_anomaly && said.flags.no_data && said.confidence == 1.0);
}

#[test]
fn no_data_goes_on_with_an_open_anomaly_and_odd_data_go_on_with_it() {
    let mut world = World::new(&detector("d", FIXED));
    let mut all = rows(200, &[(200, 50.0)]);
    all.extend([nothing(210), rec(220, 60.0), calm(221), calm(222), calm(223)]);
    world.pass(all);
    let told = world.lives();
    assert_eq!(told.first().map(String::as_str), Some("opened k#200 d 1 odd"));
    assert_eq!(told.last().map(String::as_str), Some("cleared k#205 d 3 odd"));
    assert!(told.iter().any(|line| line.ends_with("no data")), "{told:?}");
}

#[test]
fn quiet_times_keep_no_data_from_opening() {
    let quiet = "quiet = [{ from = \"00:00\", until = \"00:00\" }]";
    let mut world = World::new(&detector("d", &format!("{FIXED}\n{quiet}")));
    world.pass(rows(100, &[]).into_iter().chain([nothing(150)]));
    assert!(world.lives().is_empty());
    assert_eq!(world.scores()[100].score.muted, Some(Muted::Quiet));
}

#[test]
fn a_forgotten_series_clears_its_anomaly_and_begins_anew() {
    let story = || {
        let mut world = World::new(&detector("d", FIXED));
        let before = rows(200, &[(200, 50.0)]);
        before.iter().for_each(|row| world.send(std::slice::from_ref(row)));
        world.send(&[Rec { key: "l", ..calm(200) }]);
        world.forget("k", 900_000);
        world.forget("gone", 900_000);
        world.send(&[calm(1), calm(2)]);
        world
    };
    let world = story();
    world.run().unwrap();
    assert_eq!(world.lives(), ["opened k#200 d 1 odd", "cleared k#200 d 1 odd silent"]);
    assert_eq!(world.events()[1].log_time, 900_000);
    let confidence = |at: usize| world.scores()[at].score.confidence;
    assert!(confidence(201) < confidence(199), "its model is new");
    let expected = world.exact();
    for steps in [150, 201, 202, 203, 204] {
        let mut again = story();
        again.keep_snapshots();
        let mut first = again.worker(1);
        for _ in 0..steps {
            first.step().unwrap();
        }
        drop(first);
        settle(&mut again.worker(3)).unwrap();
        assert!(again.exact() == expected, "a restart after {steps} steps");
    }
}
