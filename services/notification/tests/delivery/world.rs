//! An exchange with its topics, a clock that is told the time, findings to publish and channels to
//! run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use control::{ControlLog, ControlWriter, SetupOptions};
use domain::{
    Anomaly, Channel, ChannelKind, Contribution, Definition, Id, Phase, Position, SeriesRef,
    Severity, Topics,
};
use exchange::{
    Append as _, Exchange, FaultHook, FollowFrom, Member, MemoryExchange, MemoryOptions, Message,
    Output, PollLimits, Step, Worker,
};
use oddwatch_notification::{
    ChannelRuntime, DEFAULTS, NotificationConfig, NotificationProcessor, channel_group,
    channel_workers, group,
};
use runtime::{Clock, Stop};
use tokio::runtime::Runtime;
use wire::events::Stamps;

/// How long anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
const PARTITIONS: u32 = 2;

#[derive(serde::Deserialize)]
struct Settings {
    notification: NotificationConfig,
}

/// The defaults, with quick retries.
pub(crate) fn config() -> NotificationConfig {
    let settings: Settings = runtime::settings::load(DEFAULTS, None, [].into(), &[]).unwrap();
    settings.notification.check().unwrap();
    NotificationConfig { backoff_ms: 2, backoff_ms_max: 20, ..settings.notification }
}

pub(crate) struct World {
    pub(crate) exchange: MemoryExchange,
    pub(crate) topics: Topics,
    now: Arc<AtomicI64>,
}

impl World {
    /// Empty topics at a fixed time.
    pub(crate) fn new() -> Self {
        Self::with_faults(None)
    }

    pub(crate) fn with_faults(faults: Option<FaultHook>) -> Self {
        let now = Arc::new(AtomicI64::new(1_700_000_000_000_000));
        let clock = Arc::clone(&now);
        let mut options =
            MemoryOptions::new(Arc::new(move || clock.load(Ordering::Relaxed) / 1_000));
        options.faults = faults;
        let world = Self { exchange: MemoryExchange::new(options), topics: Topics::new(""), now };
        world.define(&[]);
        world
    }

    pub(crate) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::Given(Arc::new(move || now.load(Ordering::Relaxed)))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_micros() as i64, Ordering::Relaxed);
    }

    /// Appends those definitions to `control` that are not in force.
    pub(crate) fn define(&self, definitions: &[Definition]) {
        let options = SetupOptions {
            topic_prefix: String::new(),
            create_topics: true,
            partitions: PARTITIONS,
            records_partitions: 1,
            input_retention_ms: None,
            memory_bytes_max: 1 << 20,
        };
        control::set_up(&self.exchange, &options, definitions, self.clock().now()).unwrap();
    }

    pub(crate) fn append(&self, topic: &Arc<str>, partition: u32, key: &str, value: Vec<u8>) {
        let output = Output {
            topic: Arc::clone(topic),
            partition: Some(partition),
            key: Some(Bytes::from(key.to_owned())),
            value: Some(value.into()),
            headers: vec![],
        };
        self.exchange.append(vec![output]).unwrap();
    }

    pub(crate) fn find(&self, partition: u32, anomaly: &Anomaly) {
        let value = wire::events::encode_anomaly(anomaly, Stamps::default());
        self.append(&self.topics.anomalies, partition, &anomaly.series.key, value);
    }

    /// The first loop, to be stepped by hand.
    pub(crate) fn worker(&self) -> Worker<NotificationProcessor> {
        let member = self.exchange.join(&group(&self.topics, "test-0")).unwrap();
        let control = ControlLog::open(&self.exchange, &self.topics).unwrap();
        let writer = ControlWriter::open(&self.exchange, &self.topics).unwrap();
        let (topics, clock) = (self.topics.clone(), self.clock());
        let processor = NotificationProcessor::new(topics, control, writer, &config(), clock);
        let limits =
            PollLimits { wait: Duration::ZERO, cycle: Duration::ZERO, ..Default::default() };
        Worker::new(member, processor, limits)
    }

    /// Runs the first loop until it finds nothing more.
    pub(crate) fn notify(&self) {
        let mut worker = self.worker();
        while worker.step().unwrap() != Step::Idle {}
    }

    /// Commits the alert of an anomaly, through the first loop.
    pub(crate) fn alert(&self, anomaly: &Anomaly) {
        self.find(0, anomaly);
        self.notify();
    }

    /// All messages of a topic with their partitions.
    pub(crate) fn messages(&self, topic: &str) -> Vec<(u32, Message)> {
        let mut follower = self.exchange.follow(topic, FollowFrom::Earliest).unwrap();
        let mut all = vec![];
        while !follower.caught_up().unwrap() {
            all.extend(follower.next(Duration::ZERO, 1_000).unwrap());
        }
        all
    }

    /// Runs the defined channels.
    /// Another process of the same name, of which only the channel `name` is here.
    pub(crate) fn successor(&self, name: &str) -> Box<dyn Member> {
        self.exchange.join(&channel_group(&self.topics, name, "test")).unwrap()
    }

    pub(crate) fn channels(&self, config: NotificationConfig, runtime: &Runtime) -> Channels {
        let stop = Stop::default();
        let shared =
            ChannelRuntime { config, clock: self.clock(), handle: runtime.handle().clone() };
        let exchange = Arc::new(self.exchange.clone());
        let thread =
            channel_workers(exchange, self.topics.clone(), "test", shared, stop.clone()).unwrap();
        Channels { stop, thread: Some(thread) }
    }
}

/// Running channels; they are stopped when dropped.
pub(crate) struct Channels {
    stop: Stop,
    thread: Option<thread::JoinHandle<Result<(), control::Error>>>,
}

impl Channels {
    /// Asks them to stop and waits; panics if they take longer than `within`.
    pub(crate) fn stop(mut self, within: Duration) {
        self.stop.stop();
        let thread = self.thread.take().unwrap();
        let (done, is_done) = mpsc::sync_channel(1);
        thread::spawn(move || done.send(thread.join().unwrap()));
        is_done.recv_timeout(within).expect("channels did not stop in time").unwrap();
    }
}

impl Channels {
    /// Whether they have ended by themselves.
    pub(crate) fn have_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(thread::JoinHandle::is_finished)
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A runtime for clients and servers; channel threads drive it from outside.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn channel(name: &str, kind: ChannelKind) -> Definition {
    Definition::Channel(Channel { name: name.into(), kind })
}

/// An event of the anomaly `name` of series `cpu/0`.
pub(crate) fn anomaly(name: &str, revision: u32, phase: Phase) -> Anomaly {
    Anomaly {
        id: Id::of(&[name.as_bytes()]),
        revision,
        position: Position { source: "records.accepted/0".into(), epoch: 1, number: 7 },
        phase,
        silent: false,
        no_data: false,
        series: SeriesRef {
            stream: "default".into(),
            key: "cpu/0".into(),
            window: None,
            features: Arc::from([Arc::from("value")]),
        },
        detector: "default".into(),
        detector_version: 0,
        opened_row: 7,
        row: 7,
        rows: 1,
        opened_at: 1_600_000_000_000_000,
        event_at: 1_600_000_000_000_000,
        ingested_at: 1_600_000_000_000_000,
        log_time: 1_600_000_000_000_000,
        score: 0.8,
        score_max: 0.8,
        threshold: 0.7,
        confidence: 1.0,
        severity: Severity::High,
        contributions: vec![Contribution {
            feature: "value".into(),
            share: 1.0,
            value: 99.2,
            expected: 4.8,
            lower: 1.2,
            upper: 9.7,
        }],
        config_version: 1,
        tags: vec![],
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

/// The opening of the anomaly `name`.
pub(crate) fn opened(name: &str) -> Anomaly {
    anomaly(name, 1, Phase::Opened)
}
