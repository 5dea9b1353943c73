//! Ingest on the memory exchange: from messages on `records` and requests at the front doors to what stands on
//! `records.accepted` and `records.rejected`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that fails")]

mod loss;
mod world;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use domain::{LOG_TIME_END, Reason};
use exchange::Fault;
use oddwatch_ingest::{grpc, http};
use tonic::codegen::Service as _;
use wire::v1::{self, ingest_service_server::IngestService as _};

use crate::world::{NOW_MS, World, json, settle};

#[test]
fn records_of_every_stream_are_accepted_or_refused() {
    let mut world = World::new(&[], |_| {});
    let mut worker = world.worker();
    world.append("records", None, json("a", 1.0));
    world.append("records", Some("b"), r#"[{"time":5,"value":2},{"time":5}]"#);
    world.append("shop", None, r#"{"shop":7,"time":5,"value":3}"#);
    world.append("shop", Some("key"), r#"{"time":5,"value":3}"#);
    world.append("proto", None, json("a", 1.0));
    settle(&mut worker);
    assert_eq!(world.rows(), ["default/a=1", "default/b=2", "orders/7=3"]);
    let mut refusals = world.refusals();
    refusals.sort();
    let reasons: Vec<_> = refusals.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(reasons, [Reason::Undecodable, Reason::NoSeries, Reason::NoValue]);
    assert!(refusals[1].1.starts_with("shop/"), "{refusals:?}");
    // Every source has ticked once in every partition, with the clock.
    let mut ticks = world.ticks();
    ticks.sort();
    assert_eq!(ticks.len(), 4 * 6);
    assert!(ticks.iter().all(|(_, _, log_time)| *log_time == NOW_MS * 1_000));
    world.now_ms.fetch_add(1_000, Ordering::Relaxed);
    settle(&mut worker);
    assert_eq!(world.ticks().len(), 2 * 4 * 6);
}

#[test]
fn restarts_takeovers_and_refused_commits_leave_no_hole() {
    let commits = AtomicI64::new(0);
    let mut world = World::new(&[], |options| {
        options.faults =
            Some(Arc::new(move |_| match commits.fetch_add(1, Ordering::Relaxed) % 5 {
                2 => Some(Fault::Rewind),
                3 => Some(Fault::Full),
                _ => None,
            }));
    });
    let mut workers = vec![world.worker()];
    let mut expected = vec![];
    for round in 0..60 {
        let series = format!("s{}", round % 7);
        world.append("records", Some(&series), json(&series, f64::from(round)));
        expected.push(format!("default/{series}={round}"));
        world.now_ms.fetch_add(300, Ordering::Relaxed);
        if round == 15 {
            workers.push(world.worker());
        }
        if round % 20 == 19 {
            // Dropped without a word, as if killed.
            workers.remove(0);
            workers.push(world.worker());
        }
        for worker in &mut workers {
            worker.step().unwrap();
        }
    }
    for _ in 0..100 {
        for worker in &mut workers {
            worker.step().unwrap();
        }
    }
    expected.sort();
    assert_eq!(world.rows(), expected);
}

#[test]
fn a_finished_input_ends_every_partition() {
    let mut world = World::new(&[("tick_ms", "0"), ("future_ms", "0")], |_| {});
    let mut worker = world.worker();
    world.append("records", None, r#"{"series":"a","time":"2999-01-01 00:00:00","value":1}"#);
    worker.processor().finish().when_idle();
    settle(&mut worker);
    assert_eq!(world.rows(), ["default/a=1"]);
    let ticks = world.ticks();
    assert_eq!(ticks.len(), 4 * 6);
    assert!(ticks.iter().all(|(_, _, log_time)| *log_time == LOG_TIME_END));
}

async fn post(routes: &mut Router, uri: &str, kind: &str, body: &str) -> (u16, String) {
    let request = Request::post(uri).header("content-type", kind);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = routes.call(request).await.unwrap();
    let status = response.status().as_u16();
    if status == 429 {
        assert_eq!(response.headers()["retry-after"], "1");
    }
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn http_takes_records_and_says_what_is_wrong() {
    let mut world =
        World::new(&[("publish_records_max", "3"), ("publish_bytes_max", "1024")], |_| {});
    let mut routes = http::routes(world.door());
    let (js, nd) = ("application/json; charset=utf-8", "application/x-ndjson");
    let body =
        "[{\"series\":\"a\",\"time\":5,\"value\":1},\n {\"series\":\"b\",\"time\":5,\"value\":2}]";
    for (uri, kind, body, status, words) in [
        ("/v1/records", js, &*json("a", 9.0), 200, r#"{"records":1}"#),
        ("/v1/records?stream=default", js, body, 200, r#"{"records":2}"#),
        ("/v1/records?stream=orders", nd, "{\"shop\":\"x\",\"time\":5,\"value\":3}\n", 200, ":1}"),
        ("/v1/records?stream=nope", js, "{}", 404, r#"there is no stream \"nope\""#),
        ("/v1/records?stream=proto", js, "{}", 415, "takes protobuf"),
        ("/v1/records", "text/csv", "a", 415, "application/x-ndjson is expected"),
        ("/v1/records", js, "[{},\n {\"a\" 1}]", 400, "line 2, column 7: expected `:`"),
        ("/v1/records", nd, "{}\n{\"a\":NaN}", 400, "line 2, column 6"),
        ("/v1/records", js, "[]", 400, "no records"),
        ("/v1/records", js, "[{},{},{},{}]", 413, "4 records, at most 3"),
        ("/v1/records", js, &" ".repeat(2_000), 413, "at most 1024 bytes"),
    ] {
        let (found, said) = post(&mut routes, uri, kind, body).await;
        assert_eq!(found, status, "{uri} {body}: {said}");
        assert!(said.contains(words), "{said}");
        if found >= 400 {
            assert!(said.contains(&format!("\"status\":{status}")), "{said}");
        }
    }
    let mut worker = world.worker();
    settle(&mut worker);
    assert_eq!(world.rows(), ["default/a=1", "default/a=9", "default/b=2", "orders/x=3"]);
}

#[tokio::test]
async fn grpc_takes_records_and_says_what_is_wrong() {
    let mut world = World::new(&[("publish_records_max", "3")], |_| {});
    let service = grpc::GrpcDoor::new(world.door());
    let record = |series: &str, value: f64| v1::Record {
        series: series.into(),
        time_us: 5_000_000,
        value_list: vec![value],
        ..Default::default()
    };
    let publish = async |stream: &str, records: Vec<v1::Record>| {
        let request = v1::PublishRequest { stream: stream.into(), records };
        let answer = service.publish(tonic::Request::new(request)).await;
        answer.map(|answer| answer.into_inner().records)
    };
    let records = vec![record("a", 1.0), record("b", 2.0), record("a", f64::NAN)];
    assert_eq!(publish("", records.clone()).await.unwrap(), 3);
    assert_eq!(publish("proto", records[..1].to_vec()).await.unwrap(), 1);
    for (stream, records, code, words) in [
        ("nope", records.clone(), tonic::Code::NotFound, "there is no stream \"nope\""),
        ("", vec![], tonic::Code::InvalidArgument, "no records"),
        ("", vec![record("a", 1.0); 4], tonic::Code::InvalidArgument, "4 records, at most 3"),
    ] {
        let status = publish(stream, records).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().contains(words), "{status}");
    }
    let mut worker = world.worker();
    settle(&mut worker);
    assert_eq!(world.rows(), ["default/a=1", "default/b=2", "proto/a=1"]);
    assert_eq!(world.refusals()[0].0, Reason::NonFinite);
}

#[tokio::test]
async fn a_client_stream_is_durable_when_it_is_answered() {
    let mut world = World::new(&[], |_| {});
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_service(grpc::service(world.door()));
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(server.serve_with_incoming(incoming));
    let mut client =
        v1::ingest_service_client::IngestServiceClient::connect(address).await.unwrap();
    let request = |stream: &str, value: f64| {
        let record = v1::Record {
            series: "a".into(),
            time_us: 5_000_000,
            value_list: vec![value],
            ..Default::default()
        };
        v1::PublishStreamRequest { stream: stream.into(), records: vec![record] }
    };
    let requests: Vec<_> = (1..=3).map(|value| request("", f64::from(value))).collect();
    let answer = client.publish_stream(futures::stream::iter(requests)).await.unwrap();
    assert_eq!(answer.into_inner().records, 3);
    let requests = [request("", 4.0), request("nope", 5.0), request("", 6.0)];
    let status = client.publish_stream(futures::stream::iter(requests)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(status.message().contains("1 records before are durable"), "{status}");
    let mut worker = world.worker();
    settle(&mut worker);
    let values: Vec<f64> =
        world.accepted().iter().flat_map(|(_, batch)| batch.values.clone()).collect();
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn a_full_exchange_is_told_with_when_to_try_again() {
    let mut world = World::new(&[], |_| {});
    // Nobody reads from the topic until it is full.
    let worker = world.worker();
    let mut routes = http::routes(world.door());
    let large = format!(r#"{{"series":"a","time":5,"value":1,"x":"{}"}}"#, "x".repeat(400_000));
    let mut answers = vec![];
    for _ in 0..4 {
        answers.push(post(&mut routes, "/v1/records", "application/json", &large).await.0);
    }
    assert_eq!(answers.first(), Some(&200));
    assert_eq!(answers.last(), Some(&429));
    let service = grpc::GrpcDoor::new(world.door());
    let tags = [("x".to_owned(), "x".repeat(400_000))].into();
    let record = v1::Record { series: "a".into(), tags, ..Default::default() };
    let request = v1::PublishRequest { stream: String::new(), records: vec![record] };
    let status = service.publish(tonic::Request::new(request)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
    drop(worker);
}
