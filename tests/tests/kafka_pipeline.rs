//! The pipeline on a real broker: records published by a client that is not ours, four processes, two of them
//! killed in the middle, a further one joining. What an outside reader sees must be what `oddwatch score` says of
//! the same files, bit for bit, each row once.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use domain::{AlertState, Finding, Phase};
use exchange::{Exchange as _, Message};
use oddwatch_tests::{
    broker::{Deployment, Reader},
    ledger::Ledger,
    nab, needs,
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

/// Small batches at first, so that there is a middle: ingest takes at most 20,000 records a second, and the
/// detector one message a cycle.
const SLOW_INGEST: [&str; 2] = ["worker.batch_messages_max=200", "worker.cycle_ms=10"];
const SLOW_WINDOWING: [&str; 1] = ["worker.batch_messages_max=4"];
const SLOW_DETECTOR: [&str; 2] = ["worker.batch_messages_max=1", "worker.cycle_ms=20"];

/// What is read from outside, from the beginning and all the time.
struct Readers {
    completed: Reader<Ledger>,
    anomalies: Reader<Anomalies>,
    alerts: Reader<Alerts>,
}

impl Readers {
    fn start(deployment: &Deployment) -> Self {
        let topics = &deployment.topics;
        Self {
            completed: deployment.read(&topics.completed, Ledger::take),
            anomalies: deployment.read(&topics.anomalies, Anomalies::take),
            alerts: deployment.read(&topics.alerts, Alerts::take),
        }
    }

    fn scored(&self) -> usize {
        self.completed.look(Ledger::scores)
    }

    fn wait_scored(&self, rows: usize, services: &mut [&mut Service]) {
        until(&format!("{rows} scored rows"), LIMIT, || {
            services.iter_mut().for_each(|service| service.check_alive());
            (self.scored() >= rows).then_some(())
        });
    }

    fn wait_alerted(&self, services: &mut [&mut Service]) {
        until("alert of each anomaly's events", LIMIT, || {
            services.iter_mut().for_each(|service| service.check_alive());
            let told = self.anomalies.look(|anomalies| anomalies.told.clone());
            self.alerts.look(|alerts| alerts.told == told).then_some(())
        });
    }

    /// Compares all that was read with what `oddwatch score` says of the files. The services have ended: what was
    /// committed last is read too, so that a row that came twice at the very end is seen.
    fn judge(self, deployment: &Deployment, files: &[nab::Series]) {
        let completed = self.completed.finish();
        let anomalies = self.anomalies.finish();
        let alerts = self.alerts.finish();
        let mut faults = completed.faults();
        faults.extend(anomalies.faults);
        let (mut rows, mut events) = (0, BTreeSet::new());
        for file in files {
            let oracle = offline::score(&file.path, deployment.folder.path());
            assert_eq!(oracle.rows.len(), file.lines.len(), "{}", file.key);
            faults.extend(completed.faults_against(&file.key, &oracle.rows));
            rows += oracle.rows.len();
            events.extend(oracle.events);
        }
        let first = faults[..faults.len().min(10)].join("\n");
        assert!(faults.is_empty(), "{} faults, the first:\n{first}", faults.len());
        assert_eq!(completed.scores(), rows);
        assert!(!events.is_empty());
        assert_eq!(anomalies.events, events);
        for (anomaly, found) in &alerts.of_anomaly {
            assert_eq!(found.len(), 1, "anomaly {anomaly} has alerts {found:?}");
        }
        let ids: BTreeSet<_> = alerts.of_anomaly.values().flatten().collect();
        assert_eq!(ids.len(), anomalies.opened.len(), "one alert for each anomaly");
        assert_eq!(alerts.firing, anomalies.opened);
    }
}

#[test]
fn what_is_scored_survives_kills_and_a_third_worker() {
    const TEST: &str = "what_is_scored_survives_kills_and_a_third_worker";
    let (Some(deployment), Some(data)) = (Deployment::new(TEST), needs::data(TEST)) else {
        return;
    };
    let files = nab::series(&data, &["realKnownCause", "realAWSCloudwatch"]);
    let lines = nab::mixed(&files);
    // Published before the kills, while the killed are down, while a third worker joins, and when it has joined.
    let (before, rest) = lines.split_at(lines.len() / 2);
    let (during, rest) = rest.split_at(lines.len() / 5);
    let (coming, after) = rest.split_at(rest.len() / 2);
    let publish = |lines: &[&str]| {
        deployment.publish(&deployment.topics.records, lines.iter().copied());
    };

    let mut ingest = deployment.start("ingest", "0", &SLOW_INGEST);
    let windowing = deployment.start("windowing", "0", &SLOW_WINDOWING);
    let detector = deployment.start("detector", "0", &SLOW_DETECTOR);
    let mut notification = deployment.start("notification", "0", &[]);
    check_partitions(&deployment);
    let readers = Readers::start(&deployment);

    // All have their partitions before it begins, so that none is far ahead of another at the kills.
    let (first, begun) = before.split_at(200);
    publish(first);
    readers.wait_scored(first.len(), &mut [&mut ingest, &mut notification]);
    thread::scope(|scope| {
        scope.spawn(|| publish(begun));
        readers.wait_scored(before.len() / 8, &mut [&mut ingest, &mut notification]);
        let windowed = windowing.metric("oddwatch_windowing_rows_total", &[]);
        detector.kill();
        windowing.kill();
        let at_kill = readers.scored();
        assert!(0 < at_kill && at_kill < before.len(), "no middle: {at_kill} rows scored");
        assert!(windowed < before.len() as f64, "no middle: {windowed} rows windowed");
    });

    publish(during);
    let mut windowing = deployment.start("windowing", "0", &SLOW_WINDOWING);
    let mut detector = deployment.start("detector", "0", &SLOW_DETECTOR);
    let mut third = deployment.start("detector", "third", &[]);
    let mut chunks = coming.chunks(500);
    until("partition for the third worker", LIMIT, || {
        third.check_alive();
        publish(chunks.next().unwrap_or_default());
        (third.metric("oddwatch_detector_models", &[]) > 0.0).then_some(())
    });
    publish(&chunks.flatten().chain(after).copied().collect::<Vec<_>>());
    let mut all = [&mut ingest, &mut windowing, &mut detector, &mut third, &mut notification];
    readers.wait_scored(lines.len(), &mut all);
    readers.wait_alerted(&mut all);
    for (service, name) in [(&detector, "first"), (&third, "third")] {
        assert!(service.metric("oddwatch_detector_scores_total", &[]) > 0.0, "{name} is idle");
    }
    let of_detector = ["oddwatch-detector\"", "kind=\"replay\""];
    let replayed = detector.metric("oddwatch_exchange_messages_total", &of_detector);
    assert!(replayed > 0.0, "the killed detector has restored nothing");
    for service in [ingest, windowing, detector, third, notification] {
        assert_eq!(service.terminate().0, Some(0));
    }
    readers.judge(&deployment, &files);
    let count = |count: &mut u32, _, _: &Message| *count += 1;
    let refused = deployment.read(&deployment.topics.rejected, count).finish();
    assert_eq!(refused, 0, "records were refused");
}

/// Four partitions, of users' records and between the services.
fn check_partitions(deployment: &Deployment) {
    let topics = &deployment.topics;
    for topic in [&topics.records, &topics.accepted, &topics.completed] {
        let found = deployment.exchange.topic(topic).expect("the broker answers");
        assert_eq!(found.map(|topic| topic.partitions), Some(4), "{topic}");
    }
}
