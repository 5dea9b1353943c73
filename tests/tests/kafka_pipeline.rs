//! The pipeline on a real broker: records published by a client that is not ours, four processes, two of them
//! killed in the middle, a further one joining. What an outside reader sees must be what `oddwatch score` says of
//! the same files, bit for bit, each row once.

use std::collections::{BTreeMap, BTreeSet};

use domain::{AlertState, Finding, Phase};
use exchange::{Exchange as _, Message};
use oddwatch_tests::{
    broker::{Deployment, Reader},
    ledger::Ledger,
    nab,
    needs,
    offline::{self, Event},
    process::Service,
    wait::{LIMIT, until},
};

/// What was read from `anomaly.detected`.
#[derive(Default)]
struct Anomalies {
    /// Openings and worsenings, as the oracle tells them.
    events: BTreeSet<Event>,
    /// Ids of those that were opened.
    opened: BTreeSet<String>,
    /// Id and revision of every event.
    told: BTreeSet<(String, u32)>,
    faults: Vec<String>,
}

impl Anomalies {
    fn take(&mut self, _: u32, message: &Message) {
        let bytes = message.value.as_deref().unwrap_or_default();
        let anomaly = wire::events::decode_anomaly(bytes).expect("an anomaly can be read");
        let (id, key) = (anomaly.id.to_string(), anomaly.series.key.to_string());
        if !self.told.insert((id.clone(), anomaly.revision)) {
            self.faults.push(format!("revision {} of anomaly {id} came twice", anomaly.revision));
        }
        if anomaly.phase == Phase::Opened && !self.opened.insert(id.clone()) {
            self.faults.push(format!("anomaly {id} was opened twice"));
        }
        if anomaly.phase != Phase::Cleared {
            let phase = anomaly.phase.name().to_owned();
            let score_max = anomaly.score_max.to_bits();
            let event = (key, phase, anomaly.opened_row, anomaly.row, score_max);
            if !self.events.insert(event.clone()) {
                self.faults.push(format!("{event:?} was told twice"));
            }
        }
    }
}

/// What was read from `alerts`: for each anomaly the alert's id and the revisions of its states.
#[derive(Default)]
struct Alerts {
    of_anomaly: BTreeMap<String, BTreeSet<String>>,
    told: BTreeSet<(String, u32)>,
    firing: BTreeSet<String>,
}

impl Alerts {
    fn take(&mut self, _: u32, message: &Message) {
        let bytes = message.value.as_deref().unwrap_or_default();
        let alert = wire::events::decode_alert(bytes).expect("an alert can be read");
        let Finding::Anomaly(anomaly) = &alert.finding else { return };
        let id = anomaly.id.to_string();
        self.of_anomaly.entry(id.clone()).or_default().insert(alert.id.to_string());
        if alert.state == AlertState::Firing {
            self.firing.insert(id.clone());
        }
        self.told.insert((id, alert.revision));
    }
}

/// Small batches at first, so that there is a middle: each cycle of the detector takes one message.
const SLOW_INGEST: [&str; 1] = ["worker.batch_messages_max=400"];
const SLOW_WINDOWING: [&str; 1] = ["worker.batch_messages_max=4"];
const SLOW_DETECTOR: [&str; 2] = ["worker.batch_messages_max=1", "worker.cycle_ms=20"];

fn scored(completed: &Reader<Ledger>) -> usize {
    completed.look(Ledger::scores)
}

fn wait_scored(completed: &Reader<Ledger>, rows: usize, services: &mut [&mut Service]) {
    until(&format!("{rows} scored rows"), LIMIT, || {
        services.iter_mut().for_each(|service| service.check_alive());
        (scored(completed) >= rows).then_some(())
    });
}

#[test]
fn what_is_scored_survives_kills_and_a_third_worker() {
    const TEST: &str = "what_is_scored_survives_kills_and_a_third_worker";
    let (Some(deployment), Some(data)) = (Deployment::new(TEST), needs::data(TEST)) else {
        return;
    };
    let files = nab::series(&data, &["realKnownCause", "realAWSCloudwatch"]);
    let lines = nab::mixed(&files);
    let total = lines.len();
    // Published before the kills, while the killed are down, and when a further worker has joined.
    let (before, rest) = lines.split_at(total * 45 / 100);
    let (during, after) = rest.split_at(total * 35 / 100);

    let topics = &deployment.topics;
    let mut ingest = deployment.start("ingest", "0", &SLOW_INGEST);
    let windowing = deployment.start("windowing", "0", &SLOW_WINDOWING);
    let detector = deployment.start("detector", "0", &SLOW_DETECTOR);
    let mut notification = deployment.start("notification", "0", &[]);
    for topic in [&topics.records, &topics.accepted, &topics.completed] {
        let found = deployment.exchange.topic(topic).expect("the broker answers");
        assert_eq!(found.map(|topic| topic.partitions), Some(4), "{topic}");
    }
    let completed = deployment.read(&topics.completed, Ledger::take);
    let anomalies = deployment.read(&topics.anomalies, Anomalies::take);
    let alerts = deployment.read(&topics.alerts, Alerts::take);

    deployment.publish(&topics.records, before.iter().copied());
    wait_scored(&completed, before.len() / 4, &mut [&mut ingest, &mut notification]);
    detector.kill();
    windowing.kill();
    let at_kill = scored(&completed);
    assert!(0 < at_kill && at_kill < before.len(), "the kill hit no middle: {at_kill} rows");

    deployment.publish(&topics.records, during.iter().copied());
    let mut windowing = deployment.start("windowing", "0", &SLOW_WINDOWING);
    let mut detector = deployment.start("detector", "0", &SLOW_DETECTOR);
    wait_scored(&completed, at_kill + 1, &mut [&mut windowing, &mut detector]);
    let mut third = deployment.start("detector", "third", &[]);
    let at_join = scored(&completed);
    assert!(at_join < before.len() + during.len(), "the third joined at the end: {at_join} rows");
    until("partition for the third worker", LIMIT, || {
        third.check_alive();
        (third.metric("oddwatch_detector_models", &[]) > 0.0).then_some(())
    });
    deployment.publish(&topics.records, after.iter().copied());
    let mut all =
        [&mut ingest, &mut windowing, &mut detector, &mut third, &mut notification];
    wait_scored(&completed, total, &mut all);
    until("alert of each anomaly's events", LIMIT, || {
        all.iter_mut().for_each(|service| service.check_alive());
        let told = anomalies.look(|anomalies| anomalies.told.clone());
        alerts.look(|alerts| alerts.told == told).then_some(())
    });
    for (service, name) in [(&detector, "first"), (&third, "third")] {
        assert!(service.metric("oddwatch_detector_scores_total", &[]) > 0.0, "{name} is idle");
    }
    let of_detector = ["oddwatch-detector\"", "kind=\"replay\""];
    let replayed = detector.metric("oddwatch_exchange_messages_total", &of_detector);
    assert!(replayed > 0.0, "the killed detector has restored nothing");
    for service in [ingest, windowing, detector, third, notification] {
        assert_eq!(service.terminate().0, Some(0));
    }

    // What was committed last is read too, so that a row that came twice at the very end is seen.
    let completed = completed.finish();
    let anomalies = anomalies.finish();
    let alerts = alerts.finish();
    let mut faults = completed.faults();
    faults.extend(anomalies.faults);
    let mut events = BTreeSet::new();
    for file in &files {
        let oracle = offline::score(&file.path, deployment.folder.path());
        assert_eq!(oracle.rows.len(), file.lines.len());
        faults.extend(completed.faults_against(&file.key, &oracle.rows));
        events.extend(oracle.events);
    }
    assert_eq!(completed.scores(), total);
    assert!(faults.is_empty(), "{} faults, the first:\n{}", faults.len(), first(&faults));
    assert!(!events.is_empty());
    assert_eq!(anomalies.events, events);
    for (anomaly, found) in &alerts.of_anomaly {
        assert_eq!(found.len(), 1, "anomaly {anomaly} has alerts {found:?}");
    }
    let ids: BTreeSet<_> = alerts.of_anomaly.values().flatten().collect();
    assert_eq!(ids.len(), anomalies.opened.len(), "one alert for each anomaly");
    assert_eq!(alerts.firing, anomalies.opened);
    let refused = deployment.read(&topics.rejected, |count: &mut u32, _, _| *count += 1).finish();
    assert_eq!(refused, 0, "records were refused");
}

fn first(faults: &[String]) -> String {
    faults[..faults.len().min(10)].join("\n")
}
