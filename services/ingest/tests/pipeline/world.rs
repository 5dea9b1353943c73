//! An exchange with streams, and ingest workers on it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use control::{ControlLog, ControlWriter, SetupOptions, parse_definitions, set_up};
use domain::{Batch, Item, Reason, Topics};
use exchange::{
    Exchange, FollowFrom, Group, MemoryExchange, MemoryOptions, Output, PollLimits, Step, Worker,
};
use oddwatch_ingest::{
    DEFAULTS, FrontDoor, GROUP, IngestConfig, IngestError, IngestOptions, IngestProcessor,
    input_topics,
};
use runtime::{Clock, settings};
use stage::{LossPolicy, Snapshots};

pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

#[derive(serde::Deserialize)]
struct File {
    ingest: IngestConfig,
}

/// An exchange, set up, with a clock that stands where it is put.
pub(crate) struct World {
    pub(crate) exchange: MemoryExchange,
    pub(crate) now_ms: Arc<AtomicI64>,
    config: IngestConfig,
    members: u32,
    /// Where it is kept that sources were read; nowhere unless a test says so.
    pub(crate) snapshots: Option<Snapshots>,
    /// What happens when records or offsets are gone.
    pub(crate) loss: LossPolicy,
}

impl World {
    pub(crate) fn new(
        overrides: &[(&str, &str)],
        options: impl FnOnce(&mut MemoryOptions),
    ) -> Self {
        Self::made(overrides, options, |_| {})
    }

    /// The same, `before` the topics are set up.
    pub(crate) fn made(
        overrides: &[(&str, &str)],
        options: impl FnOnce(&mut MemoryOptions),
        before: impl FnOnce(&MemoryExchange),
    ) -> Self {
        let overrides: Vec<_> =
            overrides.iter().map(|(k, v)| (format!("ingest.{k}"), (*v).to_owned())).collect();
        let file: File = settings::load(DEFAULTS, None, Default::default(), &overrides).unwrap();
        let now_ms = Arc::new(AtomicI64::new(NOW_MS));
        let clock = now_ms.clone();
        let mut memory = MemoryOptions::new(Arc::new(move || clock.load(Ordering::Relaxed)));
        options(&mut memory);
        let exchange = MemoryExchange::new(memory);
        before(&exchange);
        let definitions = parse_definitions(
            "test.toml",
            "[[streams]]\nname = \"orders\"\ntopic = \"shop\"\nformat = { key = \"/shop\" }\n\
             [[streams]]\nname = \"proto\"\ntopic = \"proto\"\nformat = { protobuf = true }\n",
        )
        .unwrap();
        let setup = SetupOptions {
            topic_prefix: String::new(),
            create_topics: true,
            partitions: 4,
            records_partitions: 2,
            input_retention_ms: None,
            memory_bytes_max: 1 << 20,
        };
        set_up(&exchange, &setup, &definitions, 0).unwrap();
        Self {
            exchange,
            now_ms,
            config: file.ingest,
            members: 0,
            snapshots: None,
            loss: LossPolicy::Stop,
        }
    }

    pub(crate) fn control(&self) -> ControlLog {
        ControlLog::open(&self.exchange, &Topics::new("")).unwrap()
    }

    pub(crate) fn worker(&mut self) -> Worker<IngestProcessor> {
        let control = self.control();
        let topics = input_topics(control.latest(), "");
        let now_ms = self.now_ms.clone();
        let options = IngestOptions {
            exchange: Arc::new(self.exchange.clone()),
            control,
            writer: ControlWriter::open(&self.exchange, &Topics::new("")).unwrap(),
            snapshots: self.snapshots.clone(),
            loss: self.loss,
            topics: Topics::new(""),
            topic_prefix: String::new(),
            config: self.config.clone(),
            clock: Clock::Given(Arc::new(move || now_ms.load(Ordering::Relaxed) * 1_000)),
        };
        let processor = IngestProcessor::new(options).unwrap();
        self.members += 1;
        let member = format!("ingest-{}", self.members);
        let group = Group { name: GROUP.into(), member, topics };
        let limits = PollLimits { wait: Duration::ZERO, ..PollLimits::default() };
        Worker::new(self.exchange.join(&group).unwrap(), processor, limits)
    }

    pub(crate) fn door(&self) -> FrontDoor {
        FrontDoor::new(&self.exchange, self.control(), "", self.config.clone()).unwrap()
    }

    pub(crate) fn append(&self, topic: &str, key: Option<&str>, value: impl Into<Bytes>) {
        let output = Output {
            topic: topic.into(),
            partition: None,
            key: key.map(|key| Bytes::from(key.to_owned())),
            value: Some(value.into()),
            headers: vec![],
        };
        self.exchange.appender().unwrap().append(vec![output]).unwrap();
    }

    pub(crate) fn read(&self, topic: &str) -> Vec<(u32, Bytes)> {
        let mut follower = self.exchange.follow(topic, FollowFrom::Earliest).unwrap();
        let mut values = vec![];
        while !follower.caught_up().unwrap() {
            let messages = follower.next(Duration::ZERO, 1_000).unwrap();
            values.extend(messages.into_iter().map(|(number, m)| (number, m.value.unwrap())));
        }
        values
    }

    pub(crate) fn accepted(&self) -> Vec<(u32, Batch)> {
        let messages = self.read("records.accepted").into_iter();
        let segments = messages.flat_map(|(number, value)| {
            let segments = wire::rows::decode_accepted(&value).unwrap().into_iter();
            segments.map(move |batch| (number, batch))
        });
        segments.collect()
    }

    /// `stream/series=value` of every accepted row, sorted; checks the numbers on the way.
    pub(crate) fn rows(&self) -> Vec<String> {
        let mut last: BTreeMap<(u32, String), u64> = BTreeMap::new();
        let mut rows = vec![];
        for (number, batch) in self.accepted() {
            let last = last.entry((number, batch.first.source.to_string())).or_default();
            assert_eq!(batch.first.number, *last + 1, "{number} {}", batch.first.source);
            *last += batch.items.len() as u64;
            for row in batch.rows() {
                let series = &batch.series[row.series as usize];
                let value = batch.values_of(row)[0];
                rows.push(format!("{}/{}={value}", series.stream, series.key));
            }
        }
        rows.sort();
        rows
    }

    pub(crate) fn ticks(&self) -> Vec<(u32, String, i64)> {
        let mut ticks = vec![];
        for (number, batch) in self.accepted() {
            for item in &batch.items {
                if let Item::Tick(log_time) = item {
                    ticks.push((number, batch.first.source.to_string(), *log_time));
                }
            }
        }
        ticks
    }

    pub(crate) fn refusals(&self) -> Vec<(Reason, String)> {
        let messages = self.read("records.rejected").into_iter();
        let refusals = messages.map(|(_, value)| {
            let (reason, refusal) = wire::events::decode_refusal(&value).unwrap();
            (reason, refusal.source)
        });
        refusals.collect()
    }
}

/// Steps until nothing happens any more; the clock stands still meanwhile.
pub(crate) fn settle(worker: &mut Worker<IngestProcessor>) {
    try_settle(worker).unwrap();
}

/// The same, or why the worker can't go on.
pub(crate) fn try_settle(worker: &mut Worker<IngestProcessor>) -> Result<(), IngestError> {
    for _ in 0..1_000 {
        if worker.step()? == Step::Idle {
            return Ok(());
        }
    }
    panic!("the worker does not come to rest");
}

pub(crate) fn json(series: &str, value: f64) -> String {
    format!(r#"{{"series":"{series}","time":5,"value":{value}}}"#)
}
