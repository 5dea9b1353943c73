//! `AlertService.Subscribe` on a real gRPC server.

use std::{sync::Arc, time::Duration};

use domain::Phase;
use oddwatch_notification::{Alerts, NotificationConfig};
use runtime::Stop;
use tokio::{runtime::Runtime, time::timeout};
use tonic::{Code, Streaming, service::RoutesBuilder, transport::Channel};
use wire::v1::{
    AlertState, SubscribeRequest, SubscribeResponse, alert_service_client::AlertServiceClient,
};

use crate::world::{DEADLINE, World, anomaly, config, opened, runtime};

struct Server {
    client: AlertServiceClient<Channel>,
    stop: Stop,
}

fn serve(world: &World, config: &NotificationConfig, runtime: &Runtime) -> Server {
    let stop = Stop::default();
    let exchange = Arc::new(world.exchange.clone());
    let alerts = Alerts::new(exchange, &world.topics, config, stop.clone());
    let mut routes = RoutesBuilder::default();
    routes.add_service(alerts.into_service());
    let address = "127.0.0.1:0".parse().unwrap();
    let client = runtime.block_on(async {
        let address =
            runtime::server::serve_grpc(address, routes, wire::v1::DESCRIPTORS, stop.clone())
                .await
                .unwrap();
        AlertServiceClient::connect(format!("http://{address}")).await.unwrap()
    });
    Server { client, stop }
}

impl Server {
    fn subscribe(
        &self,
        runtime: &Runtime,
        request: SubscribeRequest,
    ) -> Result<Streaming<SubscribeResponse>, tonic::Status> {
        let mut client = self.client.clone();
        runtime
            .block_on(async { timeout(DEADLINE, client.subscribe(request)).await })
            .expect("no answer in time")
            .map(tonic::Response::into_inner)
    }
}

/// The next alert; `None` if the stream has ended.
fn next(
    stream: &mut Streaming<SubscribeResponse>,
    runtime: &Runtime,
) -> Option<(String, u32, AlertState)> {
    let answer = runtime
        .block_on(async { timeout(DEADLINE, stream.message()).await })
        .expect("no alert in time");
    let alert = answer.unwrap()?.alert.unwrap();
    let state = alert.state();
    Some((alert.alert_id, alert.revision, state))
}

fn revision(stream: &mut Streaming<SubscribeResponse>, runtime: &Runtime) -> u32 {
    next(stream, runtime).unwrap().1
}

#[test]
fn a_subscriber_sees_what_is_committed() {
    let (world, runtime) = (World::new(), runtime());
    let server = serve(&world, &config(), &runtime);
    world.alert(&opened("a"));
    let mut new = server.subscribe(&runtime, SubscribeRequest::default()).unwrap();
    let from_start = SubscribeRequest { from_start: true, ..Default::default() };
    let mut all = server.subscribe(&runtime, from_start).unwrap();
    let other = SubscribeRequest { key: "other".into(), ..Default::default() };
    let mut other = server.subscribe(&runtime, other).unwrap();
    world.alert(&anomaly("a", 2, Phase::Updated));
    world.alert(&anomaly("a", 3, Phase::Cleared));
    assert_eq!([1, 2, 3].map(|_| revision(&mut all, &runtime)), [1, 2, 3]);
    let (id, revision, state) = next(&mut new, &runtime).unwrap();
    assert_eq!((revision, state), (2, AlertState::Firing));
    assert_eq!(next(&mut new, &runtime), Some((id, 3, AlertState::Resolved)));
    // Streams end when the process is to stop, also those that had nothing to tell.
    server.stop.stop();
    for stream in [&mut new, &mut all, &mut other] {
        assert_eq!(next(stream, &runtime), None);
    }
}

#[test]
fn subscribers_are_limited_and_make_room_when_they_go() {
    let (world, runtime) = (World::new(), runtime());
    let config = NotificationConfig { subscribers_max: 2, subscriber_queue_max: 1, ..config() };
    let server = serve(&world, &config, &runtime);
    let from_start = SubscribeRequest { from_start: true, ..Default::default() };
    let first = server.subscribe(&runtime, from_start.clone()).unwrap();
    let _second = server.subscribe(&runtime, from_start).unwrap();
    let refused = server.subscribe(&runtime, SubscribeRequest::default()).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("notification.subscribers_max"), "{refused}");
    // Nobody reads `first`, and its reader has more to tell than fits: it must see all the same
    // that it is gone.
    for revision in 1..10 {
        world.alert(&anomaly("a", revision, Phase::Updated));
    }
    drop(first);
    let freed = runtime.block_on(async {
        let mut client = server.client.clone();
        timeout(Duration::from_secs(2), async {
            loop {
                match client.subscribe(SubscribeRequest::default()).await {
                    Ok(_) => break,
                    Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
                }
            }
        })
        .await
    });
    freed.expect("the place was not freed in time");
}
