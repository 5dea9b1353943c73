//! `oddwatch up` on the memory exchange, used as the README says: records by command line, HTTP and gRPC; alerts by
//! command line and gRPC; health, readiness, metrics, reflection.

use std::{collections::BTreeSet, fs, future::Future, time::Duration};

use oddwatch_tests::{
    process::{Service, run},
    wait::{LIMIT, until},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::timeout};
use tokio_stream::StreamExt as _;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use wire::{
    tonic::transport::{Channel, Endpoint},
    v1::{
        AlertState, PublishRequest, PublishStreamRequest, Record, SubscribeRequest, alert::Finding,
        alert_service_client::AlertServiceClient, ingest_service_client::IngestServiceClient,
    },
};

/// What people may build dashboards and rules on.
const METRICS: [&str; 22] = [
    "oddwatch_ingest_accepted_total",
    "oddwatch_ingest_refused_total",
    "oddwatch_ingest_ticks_total",
    "oddwatch_ingest_read_bytes_total",
    "oddwatch_ingest_config_version",
    "oddwatch_ingest_published_total",
    "oddwatch_ingest_publish_failed_total",
    "oddwatch_windowing_rows_total",
    "oddwatch_windowing_late_rows_total",
    "oddwatch_windowing_drifts_total",
    "oddwatch_windowing_series",
    "oddwatch_detector_scores_total",
    "oddwatch_detector_anomalies_total",
    "oddwatch_detector_models",
    "oddwatch_detector_model_bytes",
    "oddwatch_detector_record_to_anomaly_seconds",
    "oddwatch_notification_alerts_total",
    "oddwatch_notification_alert_seconds",
    "oddwatch_notification_subscriber_alerts_total",
    "oddwatch_exchange_batches_total",
    "oddwatch_exchange_messages_total",
    "oddwatch_exchange_commit_seconds",
];

struct Up {
    service: Service,
    runtime: Runtime,
    folder: TempDir,
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let service = Service::start(folder.path(), "up", &["up"]);
        Self { service, runtime: Runtime::new().expect("a runtime"), folder }
    }

    /// Runs to the end, with a deadline.
    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { timeout(LIMIT, future).await }).expect("an answer in time")
    }

    fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(self.service.grpc_url()).expect("a URL");
        self.wait(endpoint.connect()).expect("gRPC answers")
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::blocking::get(self.service.url(path)).expect("HTTP answers");
        (answer.status().as_u16(), answer.text().expect("text"))
    }

    fn post(&self, kind: &str, body: String) -> (u16, String) {
        let client = reqwest::blocking::Client::new();
        let request = client.post(self.service.url("/v1/records")).header("content-type", kind);
        let answer = request.body(body).send().expect("the front door answers");
        (answer.status().as_u16(), answer.text().expect("text"))
    }

    fn wait_scored(&self, rows: u32) {
        until(&format!("{rows} scored rows"), LIMIT, || {
            let scores = self.service.metric("oddwatch_detector_scores_total", &[]);
            (scores >= f64::from(rows)).then_some(())
        });
    }
}

/// A calm record of a series.
fn calm(series: &str, second: i64) -> Record {
    Record {
        series: series.into(),
        time_us: (1_714_564_800 + second) * 1_000_000,
        value_list: vec![(20 + second % 5) as f64],
        ..Default::default()
    }
}

fn as_json(record: &Record) -> String {
    let (time, value) = (record.time_us, record.value_list[0]);
    json!({ "series": record.series, "time": time, "value": value }).to_string()
}

#[test]
fn a_record_by_hand_becomes_an_alert() {
    let up = Up::start();
    let lines: String = (0..60).map(|s| as_json(&calm("door", s)) + "\n").collect();
    let file = up.folder.path().join("records.ndjson");
    fs::write(&file, lines).expect("records can be written");
    let url = up.service.url("");
    let ended = run(&["publish", file.to_str().expect("a path is text"), "--to", &url]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(0), "60 records are durable\n"),
        "{ended:?}"
    );
    let by_hand = ["publish", "--series", "door", "--value", "90", "--time"];
    let ended = run(&[&by_hand[..], &["2024-05-01T12:01:01Z", "--to", &url]].concat());
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(0), "1 record is durable\n"),
        "{ended:?}"
    );
    let ended = run(&["alerts", "--from-start", "--count", "1", "--to", &up.service.grpc_url()]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let said = ["firing", "door", "value 90", "expected"];
    assert!(said.iter().all(|word| ended.stdout.contains(word)), "{ended:?}");
    assert_eq!(up.service.terminate().0, Some(0));
}

#[test]
fn records_go_in_by_http_and_grpc_and_alerts_come_out() {
    let up = Up::start();
    let mut door = IngestServiceClient::new(up.channel());
    let mut alerts = AlertServiceClient::new(up.channel());
    let wanted = SubscribeRequest { key: "by-grpc".into(), ..Default::default() };
    let mut alerts = up.wait(alerts.subscribe(wanted)).expect("a subscription").into_inner();

    assert_eq!(up.post("application/json", as_json(&calm("a", 0))).0, 200);
    let array = format!("[{},{}]", as_json(&calm("a", 1)), as_json(&calm("b", 1)));
    assert_eq!(up.post("application/json", array), (200, r#"{"records":2}"#.into()));
    let lines = (2..5).map(|s| as_json(&calm("a", s)) + "\n").collect();
    assert_eq!(up.post("application/x-ndjson", lines), (200, r#"{"records":3}"#.into()));
    assert_eq!(up.post("application/json", "{".into()).0, 400);
    assert_eq!(up.post("text/plain", "1".into()).0, 415);

    let records: Vec<Record> = (0..60).map(|s| calm("by-grpc", s)).collect();
    let request = PublishRequest { stream: String::new(), records };
    let answer = up.wait(door.publish(request)).expect("published").into_inner();
    assert_eq!(answer.records, 60);
    let batch = |second| PublishStreamRequest {
        stream: String::new(),
        records: vec![calm("by-stream", second)],
    };
    let batches = tokio_stream::iter((0..5).map(batch));
    let answer = up.wait(door.publish_stream(batches)).expect("published").into_inner();
    assert_eq!(answer.records, 5);
    let request = PublishRequest { stream: "none".into(), records: vec![calm("a", 9)] };
    let refused = up.wait(door.publish(request)).expect_err("there is no such stream");
    assert!(refused.message().contains("\"none\""), "{refused}");
    up.wait_scored(71);

    let odd = Record { value_list: vec![90.0], ..calm("by-grpc", 60) };
    let request = PublishRequest { stream: String::new(), records: vec![odd] };
    up.wait(door.publish(request)).expect("published");
    let alert = up.wait(alerts.next()).expect("the stream goes on").expect("an alert");
    let alert = alert.alert.expect("an alert");
    assert_eq!(alert.state(), AlertState::Firing);
    let Some(Finding::Anomaly(anomaly)) = alert.finding else { panic!("{alert:?}") };
    let series = anomaly.series.expect("a series");
    assert_eq!((series.key.as_str(), anomaly.opened_row), ("by-grpc", 61));
    let why = &anomaly.contributions[0];
    assert!(why.value > why.upper && why.lower <= why.expected, "{why:?}");
    assert_eq!(up.service.terminate().0, Some(0));
}

#[test]
fn it_tells_its_health_metrics_and_services() {
    let up = Up::start();
    assert_eq!(up.get("/healthz"), (200, "ok\n".into()));
    // It serves while its partitions are being restored.
    until("readiness", LIMIT, || (up.get("/readyz") == (200, "ready\n".into())).then_some(()));
    assert_eq!(up.get("/nothing").0, 404);
    let lines: String = (0..60).map(|s| as_json(&calm("a", s)) + "\n").collect();
    let odd = Record { value_list: vec![90.0], ..calm("a", 60) };
    let mut alerts = AlertServiceClient::new(up.channel());
    let wanted = SubscribeRequest::default();
    let mut alerts = up.wait(alerts.subscribe(wanted)).expect("a subscription").into_inner();
    assert_eq!(up.post("application/x-ndjson", lines + &as_json(&odd)).0, 200);
    assert_eq!(up.post("application/x-ndjson", "{".into()).0, 400);
    up.wait(alerts.next()).expect("the stream goes on").expect("an alert");
    up.wait_scored(61);
    let metrics = up.service.metrics();
    let lacking: Vec<_> =
        METRICS.iter().filter(|name| !metrics.contains(&format!("# TYPE {name} "))).collect();
    assert!(lacking.is_empty(), "{lacking:?} lack:\n{metrics}");
    assert!(
        up.service.metric("oddwatch_ingest_config_version", &[]) > 0.0,
        "the layout's at least"
    );

    let mut health = HealthClient::new(up.channel());
    let answer = up.wait(health.check(HealthCheckRequest::default())).expect("health answers");
    assert_eq!(answer.into_inner().status().as_str_name(), "SERVING");
    let services = reflected(&up);
    for service in ["IngestService", "AlertService"] {
        assert!(services.contains(&format!("oddwatch.v1.{service}")), "{services:?}");
    }
    assert!(services.contains("grpc.health.v1.Health"), "{services:?}");
    let (status, took) = up.service.terminate();
    assert!(status == Some(0) && took < Duration::from_secs(5), "{status:?} after {took:?}");
}

/// The services that reflection lists.
fn reflected(up: &Up) -> BTreeSet<String> {
    let mut client = ServerReflectionClient::new(up.channel());
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut answers = up
        .wait(client.server_reflection_info(tokio_stream::once(request)))
        .expect("reflection answers")
        .into_inner();
    let answer = up.wait(answers.next()).expect("one answer").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    list.service.into_iter().map(|service| service.name).collect()
}
