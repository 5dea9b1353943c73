//! Webhooks against a real HTTP server that answers as it is told.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use domain::{ChannelKind, Definition, Phase};
use exchange::PollLimits;
use hmac::{Hmac, Mac as _};
use oddwatch_notification::NotificationConfig;
use sha2::Sha256;
use tokio::{
    runtime::Runtime,
    sync::{Mutex, mpsc},
};

use crate::world::{DEADLINE, World, anomaly, channel, config, opened, runtime};

/// How a receiver answers.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    /// Never.
    Hang,
    /// 200, and a body without an end.
    Endless,
}

/// A received delivery.
struct Received {
    headers: HeaderMap,
    body: Bytes,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// `name` of the anomaly by its id, and the revision.
    fn is(&self, name: &str, revision: u32) -> bool {
        let id = domain::Id::of(&[name.as_bytes()]).to_string();
        self.json()["anomaly_id"] == id && self.json()["revision"] == revision
    }
}

/// A receiver on a port of its own.
struct Receiver {
    url: String,
    received: mpsc::Receiver<Received>,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    then: Answer,
    received: mpsc::Sender<Received>,
}

impl Receiver {
    /// Gives these answers in turn, and `then` for ever.
    fn start(runtime: &Runtime, answers: &[Answer], then: Answer) -> Self {
        let (sender, received) = mpsc::channel(1_000);
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let script = Script { answers, then, received: sender };
        let router = Router::new().route("/hook", post(answer)).with_state(script);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, received }
    }

    fn channel(&self, name: &str) -> Definition {
        channel(name, ChannelKind::Webhook { url: self.url.clone(), secret_file: None })
    }

    fn next(&mut self, runtime: &Runtime) -> Received {
        let next = async { tokio::time::timeout(DEADLINE, self.received.recv()).await };
        runtime.block_on(next).expect("nothing was delivered in time").unwrap()
    }

    /// Nothing else has come.
    fn assert_no_more(&mut self) {
        assert!(self.received.try_recv().is_err(), "another delivery");
    }
}

async fn answer(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = script.answers.lock().await.pop_front().unwrap_or(script.then);
    script.received.send(Received { headers, body }).await.unwrap();
    match answer {
        Answer::Status(302) => (StatusCode::FOUND, [(header::LOCATION, "/hook")]).into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Hang => std::future::pending().await,
        Answer::Endless => {
            let chunk = Bytes::from(vec![b'x'; 1 << 16]);
            let chunks = std::iter::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            Body::from_stream(futures::stream::iter(chunks)).into_response()
        }
    }
}

#[test]
fn a_delivery_is_signed_and_says_what_happened() {
    let (world, runtime) = (World::new(), runtime());
    let mut receiver = Receiver::start(&runtime, &[], Answer::Status(204));
    let key = [42; 32];
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("whsec_{}\n", BASE64.encode(key))).unwrap();
    let secret_file = Some(secret.path().to_str().unwrap().to_owned());
    world.define(&[channel("c", ChannelKind::Webhook { url: receiver.url.clone(), secret_file })]);
    let _channels = world.channels(config(), &runtime);
    world.alert(&opened("a"));
    world.alert(&anomaly("a", 2, Phase::Cleared));

    let first = receiver.next(&runtime);
    let json = first.json();
    assert!(first.is("a", 1));
    assert_eq!(json["state"], "firing");
    assert_eq!(json["severity"], "high");
    assert_eq!(
        json["summary"],
        "cpu/0 of stream default: value 99.2, expected 4.8 (1.2 to 9.7), score 0.80"
    );
    assert_eq!(first.header("webhook-id"), json["id"]);
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("webhook-timestamp"), "1700000000");
    assert_eq!(first.header("traceparent"), json["traceparent"]);
    let signature = first.header("webhook-signature").strip_prefix("v1,").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.1700000000.", first.header("webhook-id")).as_bytes());
    mac.update(&first.body);
    mac.verify_slice(&BASE64.decode(signature).unwrap()).unwrap();

    let second = receiver.next(&runtime);
    assert!(second.is("a", 2));
    assert_eq!(second.json()["state"], "resolved");
    assert_eq!(second.json()["alert_id"], json["alert_id"]);
    assert_ne!(second.header("webhook-id"), first.header("webhook-id"));
}

/// Two alerts `a` and `b` to a receiver that gives these answers; `expect` are the deliveries it
/// sees, with nothing behind them.
fn check(answers: &[Answer], config: NotificationConfig, expect: &[&str]) {
    let (world, runtime) = (World::new(), runtime());
    let mut receiver = Receiver::start(&runtime, answers, Answer::Status(200));
    world.define(&[receiver.channel("c")]);
    let _channels = world.channels(config, &runtime);
    world.find(0, &opened("a"));
    world.find(0, &opened("b"));
    world.find(0, &opened("end"));
    world.notify();
    let mut ids = std::collections::BTreeMap::new();
    for (index, name) in expect.iter().chain(&["end"]).enumerate() {
        let delivery = receiver.next(&runtime);
        assert!(delivery.is(name, 1), "delivery {index} is not of {name}");
        let id = delivery.header("webhook-id").to_owned();
        assert_eq!(*ids.entry(*name).or_insert_with(|| id.clone()), id, "one id for {name}");
        assert_eq!(delivery.header("webhook-signature"), "");
    }
    receiver.assert_no_more();
}

#[test]
fn what_may_pass_is_tried_again_in_order_with_the_same_id() {
    use Answer::Status;
    check(&[], config(), &["a", "b"]);
    check(&[Status(500)], config(), &["a", "a", "b"]);
    check(
        &[Status(200), Status(503), Status(429), Status(408)],
        config(),
        &["a", "b", "b", "b", "b"],
    );
    let quick = NotificationConfig { attempt_ms_max: 300, ..config() };
    check(&[Answer::Hang], quick, &["a", "a", "b"]);
}

#[test]
fn what_is_refused_for_good_is_dropped() {
    use Answer::Status;
    check(&[Status(400)], config(), &["a", "b"]);
    check(&[Status(410), Status(404)], config(), &["a", "b"]);
    // Not followed: a follower would be seen as another delivery.
    check(&[Status(302)], config(), &["a", "b"]);
}

#[test]
fn an_answer_without_an_end_holds_nothing_up() {
    check(&[Answer::Endless, Answer::Endless], config(), &["a", "b"]);
}

#[test]
fn a_turn_that_ends_repeats_nothing_that_was_taken() {
    use Answer::Status;
    let answers = [Status(200), Status(500), Status(500), Status(500), Status(500)];
    // Each wait outlasts the turn, so each attempt needs a new one.
    let config =
        NotificationConfig { turn_ms_max: 20, backoff_ms: 60, backoff_ms_max: 60, ..config() };
    check(&answers, config, &["a", "b", "b", "b", "b", "b"]);
}

/// As after standing still for long: the turn is over, and another process has come under the same name.
#[test]
fn a_turn_that_ends_overrules_no_successor() {
    let (world, runtime) = (World::new(), runtime());
    let mut receiver = Receiver::start(&runtime, &[], Answer::Status(500));
    world.define(&[receiver.channel("c")]);
    let config =
        NotificationConfig { turn_ms_max: 20, backoff_ms: 60, backoff_ms_max: 60, ..config() };
    let channels = world.channels(config, &runtime);
    world.alert(&opened("a"));
    assert!(receiver.next(&runtime).is("a", 1));
    let mut successor = world.successor("c");
    for _ in 0..200 {
        successor.poll(&PollLimits::default()).expect("it is not fenced");
        if channels.have_ended() {
            return;
        }
    }
    panic!("the channel does not notice that it was replaced");
}

#[test]
fn an_alert_that_is_too_old_has_one_attempt() {
    let (world, runtime) = (World::new(), runtime());
    let mut receiver = Receiver::start(&runtime, &[Answer::Status(500)], Answer::Status(200));
    world.define(&[receiver.channel("c")]);
    world.alert(&opened("old"));
    world.pass(Duration::from_secs(7_200));
    world.alert(&opened("young"));
    let _channels = world.channels(config(), &runtime);
    assert!(receiver.next(&runtime).is("old", 1));
    assert!(receiver.next(&runtime).is("young", 1));
}

#[test]
fn a_dead_receiver_delays_nobody_and_stops_in_time() {
    let (world, runtime) = (World::new(), runtime());
    let mut hanging = Receiver::start(&runtime, &[], Answer::Hang);
    let mut failing = Receiver::start(&runtime, &[], Answer::Status(500));
    let mut living = Receiver::start(&runtime, &[], Answer::Status(200));
    world.define(&[hanging.channel("h"), failing.channel("f"), living.channel("l")]);
    let channels = world.channels(config(), &runtime);
    world.alert(&opened("a"));
    assert!(hanging.next(&runtime).is("a", 1));
    assert!(failing.next(&runtime).is("a", 1));
    assert!(living.next(&runtime).is("a", 1));
    world.alert(&opened("b"));
    assert!(living.next(&runtime).is("b", 1));
    channels.stop(Duration::from_secs(2));
    hanging.assert_no_more();
    living.assert_no_more();

    // What was not taken comes again; what was taken does not.
    let _channels = world.channels(config(), &runtime);
    assert!(hanging.next(&runtime).is("a", 1));
    world.alert(&opened("c"));
    assert!(living.next(&runtime).is("c", 1));
}

/// Makes alerts until one reaches this receiver.
fn reach(world: &World, receiver: &mut Receiver, runtime: &Runtime, prefix: &str) {
    for number in 0..1_000 {
        world.alert(&opened(&format!("{prefix}{number}")));
        let next = async { tokio::time::timeout(DEADLINE / 1_000, receiver.received.recv()).await };
        if runtime.block_on(next).is_ok() {
            return;
        }
    }
    panic!("no alert reached the receiver in time");
}

#[test]
fn channels_come_change_and_go_as_they_are_defined() {
    let (world, runtime) = (World::new(), runtime());
    let [mut one, mut two, mut three] =
        [(); 3].map(|()| Receiver::start(&runtime, &[], Answer::Status(200)));
    world.alert(&opened("before"));
    let _channels = world.channels(config(), &runtime);
    world.pass(Duration::from_secs(1));
    world.define(&[one.channel("c")]);
    world.alert(&opened("a"));
    // A channel begins with its definition.
    assert!(one.next(&runtime).is("a", 1));
    world.define(&[two.channel("c")]);
    reach(&world, &mut two, &runtime, "changed");
    world.define(&[Definition::Removed("channel/c".into()), three.channel("d")]);
    // What is gone is stopped before what is new starts.
    reach(&world, &mut three, &runtime, "removed");
    for gone in [&mut one, &mut two] {
        while gone.received.try_recv().is_ok() {}
    }
    world.alert(&opened("end"));
    while !three.next(&runtime).is("end", 1) {}
    one.assert_no_more();
    two.assert_no_more();
}

#[test]
fn a_channel_whose_alerts_are_gone_goes_on_with_what_is_kept() {
    let (world, runtime) = (World::new(), runtime());
    let mut receiver = Receiver::start(&runtime, &[], Answer::Status(200));
    world.define(&[receiver.channel("c")]);
    let channels = world.channels(config(), &runtime);
    world.alert(&opened("a"));
    assert!(receiver.next(&runtime).is("a", 1));
    channels.stop(Duration::from_secs(2));
    // More than the ring of `alerts` holds.
    for round in 0..20 {
        for number in 0..200 {
            world.find(0, &opened(&format!("{round}/{number}")));
        }
        world.notify();
    }
    let first = &world.messages(&world.topics.alerts)[0].1;
    let first = wire::events::decode_alert(first.value.as_deref().unwrap()).unwrap().id;
    let _channels = world.channels(config(), &runtime);
    assert_eq!(receiver.next(&runtime).json()["alert_id"], first.to_string());
    while !receiver.next(&runtime).is("19/199", 1) {}
}

#[test]
fn a_secret_that_cannot_be_read_keeps_only_its_channel_from_sending() {
    let (world, runtime) = (World::new(), runtime());
    let mut receiver = Receiver::start(&runtime, &[], Answer::Status(200));
    let secret_file = Some("/nowhere/secret".to_owned());
    let unsigned = ChannelKind::Webhook { url: receiver.url.clone(), secret_file };
    world.define(&[channel("a", unsigned), receiver.channel("b")]);
    let channels = world.channels(config(), &runtime);
    world.alert(&opened("a"));
    assert!(receiver.next(&runtime).is("a", 1));
    channels.stop(Duration::from_secs(2));
    receiver.assert_no_more();
}
