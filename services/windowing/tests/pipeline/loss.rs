//! What windowing says and does when what it would restore its state from is gone.

use stage::LossPolicy;

use crate::world::{World, rec};

/// The world goes on elsewhere: with the same messages, but nobody's offsets.
fn forgotten(world: &World) -> World {
    let mut other = World::stream("");
    for topic in ["records.accepted", "detection.requested"] {
        for value in world.read(topic) {
            other.append(topic, value.to_vec());
        }
    }
    other.snapshots.clone_from(&world.snapshots);
    other
}

fn check_stops(world: &World, parts: &[&str]) {
    let before = world.read("detection.requested").len();
    let error = world.run().unwrap_err().to_string();
    for part in ["windowing can't restore records.accepted/0", "loss.policy"].iter().chain(parts) {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
    assert_eq!(world.read("detection.requested").len(), before, "nothing was written");
}

#[test]
fn no_offset_where_there_is_an_output_is_a_loss() {
    let mut world = World::stream("");
    world.pass(&[rec(1, 1.0), rec(2, 2.0)]);
    let mut other = forgotten(&world);
    check_stops(&other, &["output in detection.requested/0", "no committed offset"]);
    other.loss = LossPolicy::RestartFresh;
    other.run().unwrap();
    // The old ones, and all that is kept once more under a new epoch.
    assert_eq!(other.epochs(), [(1, 1), (2, 1)]);
    other.loss = LossPolicy::Stop;
    other.run().unwrap();
    assert_eq!(other.epochs().len(), 2, "a restart after that is an ordinary one");
}

#[test]
fn no_offset_where_there_is_a_snapshot_is_a_loss() {
    let mut world = World::stream("");
    world.keep_snapshots();
    world.pass(&[rec(1, 1.0), rec(2, 2.0), rec(3, 3.0)]);
    let mut other = World::stream("");
    other.snapshots.clone_from(&world.snapshots);
    let what = format!("a snapshot as of offset {}", world.kept().unwrap());
    check_stops(&other, &[&what, "no committed offset"]);
    other.loss = LossPolicy::RestartFresh;
    other.pass(&[rec(4, 4.0)]);
    assert_eq!(other.epochs(), [(2, 1)]);
}

#[test]
fn input_that_is_gone_before_a_restore_is_a_loss() {
    let mut world = World::bounded(4_000);
    for at in 1..=60 {
        world.send(&[rec(at, at as f64)]);
        if at % 5 == 0 && world.run().is_err() {
            break;
        }
    }
    let (before, end) = (world.epochs(), world.read("records.accepted").len());
    assert!(end < 60, "nothing was trimmed");
    check_stops(&world, &["offsets 0 to", "are gone"]);
    world.loss = LossPolicy::RestartFresh;
    world.run().unwrap();
    world.send(&[rec(100, 1.0)]);
    world.run().unwrap();
    world.send(&[rec(101, 1.0)]);
    world.run().unwrap();
    let after = world.epochs();
    // What was worked on is not worked on again, and the new numbers have no hole.
    assert_eq!(after[..before.len()], before);
    assert!(after[before.len()..].iter().all(|(epoch, _)| *epoch > 1), "{after:?}");
    assert!(after.len() > before.len());
}
