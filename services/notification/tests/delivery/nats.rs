//! NATS against a real server, named by `NATS_URL`.

use std::{env, net::SocketAddr, time::Duration};

use async_nats::{Subscriber, jetstream};
use domain::{Anomaly, ChannelKind, Id};
use futures::StreamExt as _;
use oddwatch_notification::NotificationConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinHandle,
    time::timeout,
};

use crate::world::{DEADLINE, World, channel, config, opened, runtime};

/// The server, or `None` if there is none and this test is skipped.
fn server(test: &str) -> Option<String> {
    let url = env::var("NATS_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        println!("skipped: {test}: NATS_URL is not set");
        let required = env::var("ODDWATCH_REQUIRE").is_ok_and(|what| what == "all");
        assert!(!required, "{test} needs NATS_URL, and ODDWATCH_REQUIRE is all");
    }
    url
}

/// A name that no other run uses.
fn unique(test: &str) -> String {
    let now = runtime::Clock::System.now();
    format!("{test}-{}-{now}", std::process::id())
}

fn of_series(name: &str, stream: &str, key: &str) -> Anomaly {
    let mut anomaly = opened(name);
    anomaly.series.stream = stream.into();
    anomaly.series.key = key.into();
    anomaly
}

/// Everything that is published for a stream from now on.
fn subscribe(runtime: &Runtime, url: &str, stream: &str) -> Subscriber {
    runtime.block_on(async {
        let client = async_nats::connect(url).await.unwrap();
        let subscription = client.subscribe(format!("alerts.*.{stream}.>")).await.unwrap();
        // The server has the subscription once it has answered a request that was sent behind it.
        let _ = client.request("oddwatch.nobody", "".into()).await;
        subscription
    })
}

/// Passes connections on to a server until it is aborted, which cuts them all.
fn proxy(runtime: &Runtime, at: &str, server: String) -> (SocketAddr, JoinHandle<()>) {
    let listener = runtime.block_on(TcpListener::bind(at)).unwrap();
    let address = listener.local_addr().unwrap();
    let task = runtime.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&server).await.unwrap();
            connections.spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, task)
}

#[test]
fn an_alert_is_published_on_the_subject_of_its_series() {
    let Some(url) = server("an_alert_is_published_on_the_subject_of_its_series") else { return };
    let (world, runtime) = (World::new(), runtime());
    let stream = unique("fan-out");
    let mut subscription = subscribe(&runtime, &url, &stream);
    world.define(&[channel("n", ChannelKind::Nats { url })]);
    let _channels = world.channels(config(), &runtime);
    world.alert(&of_series("a", &stream, "host.1 cpu>"));
    let message = runtime
        .block_on(async { timeout(DEADLINE, subscription.next()).await })
        .expect("nothing was published in time")
        .unwrap();
    assert_eq!(message.subject.as_str(), format!("alerts.high.{stream}.host%2E1%20cpu%3E"));
    let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(json["anomaly_id"], Id::of(&[b"a"]).to_string());
    assert_eq!(json["series"], "host.1 cpu>");
    let headers = message.headers.unwrap();
    assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), json["id"]);
    assert_eq!(headers.get("traceparent").unwrap().as_str(), json["traceparent"]);
}

#[test]
fn a_jetstream_stream_drops_repeats_by_id() {
    let Some(url) = server("a_jetstream_stream_drops_repeats_by_id") else { return };
    let runtime = runtime();
    let name = unique("repeats");
    let mut stream = runtime.block_on(async {
        let client = async_nats::connect(&url).await.unwrap();
        let config = jetstream::stream::Config {
            name: name.clone(),
            subjects: vec![format!("alerts.*.{name}.>")],
            storage: jetstream::stream::StorageType::Memory,
            ..Default::default()
        };
        jetstream::new(client).create_stream(config).await.unwrap()
    });
    // Two worlds without a common past send the same alert; each then sends one of its own.
    for own in ["b", "c"] {
        let world = World::new();
        world.define(&[channel("n", ChannelKind::Nats { url: url.clone() })]);
        let channels = world.channels(config(), &runtime);
        world.alert(&of_series("a", &name, "k"));
        world.alert(&of_series(own, &name, "k"));
        let expect = if own == "b" { 2 } else { 3 };
        let stored = runtime.block_on(async {
            timeout(DEADLINE, async {
                while stream.info().await.unwrap().state.messages < expect {}
                stream.info().await.unwrap().state.messages
            })
            .await
        });
        assert_eq!(stored.expect("not stored in time"), expect);
        channels.stop(Duration::from_secs(2));
    }
    runtime.block_on(async {
        let client = async_nats::connect(&url).await.unwrap();
        jetstream::new(client).delete_stream(&name).await.unwrap();
    });
}

#[test]
fn a_server_that_is_not_there_keeps_only_its_channel_waiting() {
    let Some(url) = server("a_server_that_is_not_there_keeps_only_its_channel_waiting") else {
        return;
    };
    let (world, runtime) = (World::new(), runtime());
    let stream = unique("gone");
    let mut subscription = subscribe(&runtime, &url, &stream);
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = ChannelKind::Nats { url: format!("nats://{free}") };
    world.define(&[channel("gone", gone), channel("here", ChannelKind::Nats { url })]);
    let config = NotificationConfig { attempt_ms_max: 500, ..config() };
    let channels = world.channels(config, &runtime);
    world.alert(&of_series("a", &stream, "k"));
    runtime
        .block_on(async { timeout(DEADLINE, subscription.next()).await })
        .expect("nothing was published in time")
        .unwrap();
    channels.stop(Duration::from_secs(2));
}

#[test]
fn a_lost_connection_comes_back_by_itself() {
    let Some(url) = server("a_lost_connection_comes_back_by_itself") else { return };
    let (world, runtime) = (World::new(), runtime());
    let stream = unique("lost");
    let mut subscription = subscribe(&runtime, &url, &stream);
    let server = url.trim_start_matches("nats://").to_owned();
    let (address, connections) = proxy(&runtime, "127.0.0.1:0", server.clone());
    world.define(&[channel("n", ChannelKind::Nats { url: format!("nats://{address}") })]);
    let _channels = world.channels(config(), &runtime);
    let mut arrives = |name: &str, within: Duration| {
        world.alert(&of_series(name, &stream, "k"));
        runtime.block_on(async { timeout(within, subscription.next()).await }).is_ok()
    };
    assert!(arrives("a", DEADLINE));
    connections.abort();
    // A message that was written just before the cut was noticed may be lost; none is later.
    let noticed = (0..100).any(|number| !arrives(&format!("b{number}"), Duration::from_millis(50)));
    assert!(noticed, "the connection was cut, and alerts arrived");
    let (_, _connections) = proxy(&runtime, &address.to_string(), server);
    assert!(arrives("c", DEADLINE));
}
