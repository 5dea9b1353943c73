//! SIGTERM ends each process within five seconds with status 0 and its batch committed: after a restart no row is
//! lost and none comes twice.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use oddwatch_tests::{
    broker::Deployment,
    ledger::Ledger,
    process::Service,
    wait::{LIMIT, until},
};
use wire::v1::{SubscribeRequest, alert_service_client::AlertServiceClient};

const END_MAX: Duration = Duration::from_secs(5);
const SERIES: usize = 8;
/// Rows that a client sends at a time, again and again.
const CHUNK: usize = 200;
const CHUNKS_MAX: usize = 1_000;
/// Small batches at a slow pace, so that every process has work at the signal.
const SLOW: [&str; 2] = ["worker.batch_messages_max=100", "worker.cycle_ms=50"];

fn ends_in_time(service: Service, name: &str) {
    let (status, took) = service.terminate();
    assert_eq!(status, Some(0), "{name}");
    assert!(took < END_MAX, "{name} took {took:?}");
}

/// The rows of a chunk: each series goes on where it was.
fn lines(chunk: usize) -> Vec<String> {
    let row = |number: usize| {
        let (series, at) = (number % SERIES, 1_700_000_000 + number / SERIES);
        let value = (number * 7_919) % 1_000;
        format!("s{series}\t{{\"series\":\"s{series}\",\"time\":{at},\"value\":{value}}}")
    };
    (chunk * CHUNK..(chunk + 1) * CHUNK).map(row).collect()
}

/// Sends chunks from number `first` on until `ended`; returns the number of the next one.
fn send(deployment: &Deployment, first: usize, ended: &AtomicBool) -> usize {
    let mut chunk = first;
    // The bound ends it if the test has failed meanwhile.
    while !ended.load(Ordering::Acquire) && chunk - first < CHUNKS_MAX {
        let lines = lines(chunk);
        deployment.publish(&deployment.topics.records, lines.iter().map(String::as_str));
        chunk += 1;
    }
    chunk
}

/// Ends and restarts one process after the other while a client goes on sending.
fn restart_each(deployment: &Deployment, names: &[&str]) {
    let mut services: Vec<Service> =
        names.iter().map(|name| deployment.start(name, "0", &SLOW)).collect();
    let completed = deployment.read(&deployment.topics.completed, Ledger::take);
    let mut chunks = 0;
    for (at, name) in names.iter().enumerate() {
        let before = completed.look(Ledger::scores);
        let ended = AtomicBool::new(false);
        let (scored, next) = thread::scope(|scope| {
            let client = scope.spawn(|| send(deployment, chunks, &ended));
            until("score of a row just sent", LIMIT, || {
                services.iter_mut().for_each(Service::check_alive);
                (completed.look(Ledger::scores) > before).then_some(())
            });
            let scored = completed.look(Ledger::scores);
            ends_in_time(services.remove(at), name);
            ended.store(true, Ordering::Release);
            (scored, client.join().expect("the client ends"))
        });
        chunks = next;
        assert!(scored < chunks * CHUNK, "{name} had nothing to do any more");
        services.insert(at, deployment.start(name, "0", &SLOW));
    }
    let total = chunks * CHUNK;
    until("score of every row", LIMIT, || {
        services.iter_mut().for_each(Service::check_alive);
        (completed.look(Ledger::scores) >= total).then_some(())
    });
    for (service, name) in services.into_iter().zip(names) {
        ends_in_time(service, name);
    }
    let completed = completed.finish();
    let mut faults = completed.faults();
    for series in 0..SERIES {
        faults.extend(completed.faults_of_count(&format!("s{series}"), total / SERIES));
    }
    assert!(faults.is_empty(), "{} faults: {:?}", faults.len(), &faults[..faults.len().min(10)]);
    assert_eq!(completed.scores(), total);
}

#[test]
fn each_service_ends_with_its_batch_committed() {
    const TEST: &str = "each_service_ends_with_its_batch_committed";
    let Some(deployment) = Deployment::new(TEST) else { return };
    restart_each(&deployment, &["ingest", "windowing", "detector", "notification"]);
}

#[test]
fn all_in_one_process_end_with_their_batches_committed() {
    const TEST: &str = "all_in_one_process_end_with_their_batches_committed";
    let Some(deployment) = Deployment::new(TEST) else { return };
    restart_each(&deployment, &["up"]);
}

/// Without a broker, and with clients that would stay for ever.
#[test]
fn clients_do_not_keep_a_process_from_ending() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let service = Service::start(folder.path(), "up", &["up"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = service.grpc_url();
    let subscription = runtime.block_on(async {
        let mut client = AlertServiceClient::connect(url).await.expect("gRPC answers");
        client.subscribe(SubscribeRequest::default()).await.expect("it can be subscribed to")
    });
    let client = reqwest::blocking::Client::new();
    for _ in 0..20 {
        let body = lines(0)
            .iter()
            .filter_map(|line| line.split('\t').nth(1))
            .fold(String::new(), |all, line| all + line + "\n");
        let request = client
            .post(service.url("/v1/records"))
            .header("content-type", "application/x-ndjson")
            .body(body);
        assert_eq!(request.send().expect("the front door answers").status().as_u16(), 200);
    }
    ends_in_time(service, "up");
    drop(subscription);
}
