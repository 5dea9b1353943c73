//! What people say of rows reaches the model from the config version of the entry on, and is part of its state.

use domain::{Definition, Feedback};

use crate::world::{Scored, World, calm, detector, rec, settle};

const STACK: &str = "algorithm = { kind = \"ensemble\", combine = \"stack\", members = \
    [{ kind = \"robust_z\" }, { kind = \"ewma\", half_life = 20 }] }";

fn say(world: &mut World, detector: &str, series: &str, row: u64, odd: bool) {
    let (detector, stream) = (detector.to_owned(), "default".to_owned());
    let feedback = Feedback { detector, stream, series: series.into(), row, odd, note: "".into() };
    let entry = wire::control::encode_definition(&Definition::Feedback(feedback), 0);
    world.version = world.append("control", entry) + 1;
}

/// Rows with a spike every so often; feedback on row 90 as `told` says, once row 120 was scored.
fn story(told: Option<(&str, &str, u64, bool)>) -> World {
    let mut world = World::new(&(detector("a", STACK) + &detector("b", "")));
    for at in 1..=300 {
        world.send(&[if at % 30 == 0 { rec(at, 9.0) } else { calm(at) }]);
        if at == 120 {
            match told {
                Some((detector, series, row, odd)) => {
                    for _ in 0..8 {
                        say(&mut world, detector, series, row, odd);
                    }
                }
                None => (0..8).for_each(|_| world.remove("detector/nobody")),
            }
        }
    }
    world
}

fn scores(world: &World) -> Vec<Scored> {
    world.run().unwrap();
    world.scores()
}

#[test]
fn feedback_changes_scores_from_its_version_on() {
    let untold = scores(&story(None));
    let differs = |told| {
        let told = scores(&story(Some(told)));
        assert_eq!(told.len(), untold.len());
        let pairs = untold.iter().zip(&told).enumerate();
        let differ = pairs.filter(|(_, (a, b))| a.score.raw.to_bits() != b.score.raw.to_bits());
        let first = differ.map(|(at, (a, _))| (at, a.detector.clone())).next();
        (first.clone().map(|(at, _)| at / 2 + 1), first.map(|(_, detector)| detector))
    };
    assert_eq!(differs(("a", "k", 90, false)), (Some(121), Some("a".into())));
    assert_eq!(differs(("b", "k", 90, false)), (None, None), "it learns nothing from feedback");
    assert_eq!(differs(("c", "k", 90, false)), (None, None), "there is no such detector");
    assert_eq!(differs(("a", "l", 90, false)), (None, None), "there is no such series");
    assert_eq!(differs(("a", "k", 121, false)), (None, None), "it comes after the feedback");
}

#[test]
fn what_feedback_taught_survives_a_restart() {
    let whole = story(Some(("a", "k", 90, false)));
    whole.run().unwrap();
    let expected = whole.exact();
    let mut restored = 0;
    for steps in [60, 119, 121, 150, 280] {
        let mut world = story(Some(("a", "k", 90, false)));
        world.keep_snapshots();
        let mut first = world.worker(1);
        for _ in 0..steps {
            first.step().unwrap();
        }
        drop(first);
        restored += usize::from(world.kept().is_some());
        settle(&mut world.worker(40)).unwrap();
        assert!(world.exact() == expected, "after {steps} steps");
    }
    assert!(restored > 2, "{restored}");
}
