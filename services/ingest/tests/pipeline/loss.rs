//! What ingest says and does when records or offsets are gone.

use std::sync::Arc;

use exchange::{Exchange, TopicSpec};
use snapshot::{SaverConfig, Store};
use stage::{LossPolicy, Snapshots};

use crate::world::{World, json, settle, try_settle};

fn keep(world: &mut World) {
    let config = SaverConfig { input_bytes: 1, ..SaverConfig::default() };
    let store = Arc::new(Store::memory());
    world.snapshots = Some(Snapshots { store, config, inline: true });
}

fn check_stops(world: &mut World, parts: &[&str]) {
    let before = world.read("records.accepted").len();
    let error = try_settle(&mut world.worker()).unwrap_err().to_string();
    for part in ["ingest can't go on with records/", "loss.policy"].iter().chain(parts) {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
    assert_eq!(world.read("records.accepted").len(), before, "nothing was written");
}

#[test]
fn a_source_that_was_read_is_not_taken_for_a_new_one() {
    let mut world = World::new(&[], |_| {});
    keep(&mut world);
    for number in 0..8 {
        world.append("records", Some(&format!("key{number}")), json("a", f64::from(number)));
    }
    let mut worker = world.worker();
    settle(&mut worker);
    // The same records elsewhere, but nobody's offsets.
    let mut other = World::new(&[], |_| {});
    other.snapshots.clone_from(&world.snapshots);
    for number in 0..8 {
        other.append("records", Some(&format!("key{number}")), json("a", f64::from(number)));
    }
    check_stops(&mut other, &["no committed offset", "was read up to offset"]);
    other.loss = LossPolicy::RestartFresh;
    settle(&mut other.worker());
    let accepted = other.accepted();
    let firsts: Vec<_> = accepted.iter().map(|(_, batch)| batch.first.clone()).collect();
    assert!(firsts.iter().any(|first| first.epoch > 1 && first.number == 1), "{firsts:?}");
}

#[test]
fn records_that_are_gone_before_they_were_read_are_a_loss() {
    // Whoever keeps records on a ring may lose some.
    let mut ring = World::made(
        &[],
        |_| {},
        |exchange| {
            let spec = TopicSpec {
                name: "records".into(),
                partitions: 2,
                retention_ms: None,
                compacted: false,
                memory_bytes_max: 2_000,
                ring: true,
            };
            exchange.create_topics(&[spec]).unwrap();
        },
    );
    settle(&mut ring.worker());
    for number in 0..100 {
        ring.append("records", Some("k"), json("a", f64::from(number)));
    }
    check_stops(&mut ring, &["records 0 to", "are gone before they were read"]);
    ring.loss = LossPolicy::RestartFresh;
    settle(&mut ring.worker());
    let rows: usize = ring.accepted().iter().map(|(_, batch)| batch.items.len()).sum();
    assert!(rows > 0, "it goes on with what is there");
}
