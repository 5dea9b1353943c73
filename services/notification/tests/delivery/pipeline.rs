//! The first loop on the memory exchange: alerts, repeats, replays, refusals.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use domain::{AlertState, Drift, Finding, Id, Phase, Position, Reason, SeriesRef};
use exchange::{Fault, FaultHook};
use wire::events::{Stamps, decode_alert, decode_refusal, encode_drift};

use crate::world::{World, anomaly, opened};

fn drift(name: &str) -> Drift {
    Drift {
        id: Id::of(&[name.as_bytes()]),
        position: Position { source: "records.accepted/0".into(), epoch: 1, number: 9 },
        series: SeriesRef {
            stream: "default".into(),
            key: "cpu/0".into(),
            window: None,
            features: Arc::from([]),
        },
        feature: "value".into(),
        method: "adwin".into(),
        statistic: 3.0,
        bound: 2.0,
        p_value: 1e-7,
        kind: domain::DriftKind::Level,
        features: vec!["value".into()],
        before: domain::Summary { count: 90, mean: 4.8, deviation: 1.0, quantiles: [4.0; 5] },
        after: domain::Summary { count: 30, mean: 17.2, deviation: 2.0, quantiles: [17.0; 5] },
        began_row: 4,
        began_at: 1_599_999_940_000_000,
        actions: vec![],
        row: 9,
        event_at: 1,
        ingested_at: 2,
        log_time: 3,
        config_version: 1,
        tags: vec![],
        traceparent: None,
    }
}

fn find_drift(world: &World, partition: u32, drift: &Drift) {
    let value = encode_drift(drift, Stamps::default());
    world.append(&world.topics.drifts, partition, &drift.series.key, value);
}

/// A life of two anomalies and a drift, over both partitions.
fn find_some(world: &World) {
    world.find(0, &opened("a"));
    world.find(1, &opened("b"));
    world.find(0, &anomaly("a", 2, Phase::Updated));
    find_drift(world, 1, &drift("d"));
    world.find(0, &anomaly("a", 3, Phase::Cleared));
}

/// The alerts as partition, key, value; sorted by partition, in order within.
fn alerts(world: &World) -> Vec<(u32, String, Vec<u8>)> {
    let mut all: Vec<_> = world
        .messages(&world.topics.alerts)
        .into_iter()
        .map(|(partition, message)| {
            let key = String::from_utf8(message.key.unwrap().to_vec()).unwrap();
            (partition, key, message.value.unwrap().to_vec())
        })
        .collect();
    all.sort_by_key(|(partition, ..)| *partition);
    all
}

#[test]
fn findings_become_alerts_in_their_partition() {
    let world = World::new();
    find_some(&world);
    world.notify();
    let told: Vec<_> = alerts(&world)
        .iter()
        .map(|(partition, key, value)| {
            let alert = decode_alert(value).unwrap();
            assert_eq!(*key, alert.id.to_string());
            let kind = match &alert.finding {
                Finding::Anomaly(anomaly) => anomaly.id.to_string(),
                Finding::Drift(_) => "drift".into(),
            };
            (*partition, kind, alert.state, alert.revision)
        })
        .collect();
    let [a, b] = ["a", "b"].map(|name| Id::of(&[name.as_bytes()]).to_string());
    let mut expect = vec![
        (0, a.clone(), AlertState::Firing, 1),
        (0, a.clone(), AlertState::Firing, 2),
        (0, a, AlertState::Resolved, 3),
        (1, b, AlertState::Firing, 1),
        (1, "drift".into(), AlertState::Firing, 1),
    ];
    // The order between anomalies and drifts is open.
    expect[3..].sort_by(|x, y| x.1.cmp(&y.1));
    let mut told = told;
    told[3..].sort_by(|x, y| x.1.cmp(&y.1));
    assert_eq!(told, expect);
}

#[test]
fn the_same_log_gives_the_same_alerts() {
    let worlds = [World::new(), World::new()];
    for world in &worlds {
        find_some(world);
        world.notify();
    }
    assert_eq!(alerts(&worlds[0]), alerts(&worlds[1]));
}

#[test]
fn a_restart_replays_and_writes_nothing_again() {
    let world = World::new();
    find_some(&world);
    world.notify();
    let before = alerts(&world);
    world.notify();
    assert_eq!(alerts(&world), before);
    // What was seen before the restart is known after it: these are repeats.
    find_some(&world);
    world.notify();
    assert_eq!(alerts(&world), before);
    world.find(1, &anomaly("b", 2, Phase::Cleared));
    world.notify();
    assert_eq!(alerts(&world).len(), before.len() + 1);
}

#[test]
fn an_aborted_commit_loses_and_doubles_nothing() {
    let expect = {
        let world = World::new();
        find_some(&world);
        world.notify();
        alerts(&world)
    };
    let commits = Arc::new(AtomicU32::new(0));
    let hook: FaultHook =
        Arc::new(move |_| (commits.fetch_add(1, Ordering::Relaxed) < 3).then_some(Fault::Rewind));
    let world = World::with_faults(Some(hook));
    find_some(&world);
    world.notify();
    let mut found = alerts(&world);
    let sorted = |alerts: &mut Vec<_>| alerts.sort();
    let mut expect = expect;
    sorted(&mut found);
    sorted(&mut expect);
    assert_eq!(found, expect);
}

#[test]
fn poison_is_refused_with_its_reason_and_the_rest_goes_on() {
    let world = World::new();
    let (anomalies, drifts) = (&world.topics.anomalies, &world.topics.drifts);
    world.append(anomalies, 0, "k0", b"\xff\xff not protobuf".to_vec());
    // EventMetadata with version 9 in field 1 of an event.
    world.append(anomalies, 1, "k1", vec![0x0a, 0x02, 0x08, 0x09]);
    world.append(drifts, 1, "k2", b"".to_vec());
    world.find(0, &opened("a"));
    world.find(1, &opened("b"));
    world.notify();
    assert_eq!(alerts(&world).len(), 2);
    let mut refused: Vec<_> = world
        .messages(&world.topics.rejected)
        .iter()
        .map(|(_, message)| {
            let (reason, refused) = decode_refusal(message.value.as_deref().unwrap()).unwrap();
            assert_eq!(refused.service, "notification");
            assert_eq!(refused.key.as_deref(), message.key.as_deref());
            let key = String::from_utf8(refused.key.unwrap()).unwrap();
            (key, reason, refused.source, refused.offset)
        })
        .collect();
    refused.sort();
    let expect = [
        ("k0", Reason::Undecodable, "anomaly.detected/0", 0),
        ("k1", Reason::UnknownVersion, "anomaly.detected/1", 0),
        ("k2", Reason::Undecodable, "drift.detected/1", 0),
    ];
    let expect = expect
        .map(|(key, reason, source, offset)| (key.to_owned(), reason, source.to_owned(), offset));
    assert_eq!(refused, expect);
    // Nothing of it comes again after a restart.
    world.notify();
    assert_eq!(world.messages(&world.topics.rejected).len(), 3);
}
