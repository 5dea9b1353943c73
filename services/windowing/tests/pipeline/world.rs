//! An exchange with topics and definitions, what is sent to windowing and what it wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use control::{ControlLog, SetupOptions, parse_definitions, set_up};
use domain::{
    Batch, Definition, Drift, Extras, Flags, Item, Limits, Micros, Origin, Position, Reason, Row,
    SeriesRef, Topics,
};
use exchange::{
    Exchange, FollowFrom, MemoryExchange, MemoryOptions, Output, Partition, PollLimits, Step,
    TopicSpec, Worker,
};
use oddwatch_windowing::{DEFAULTS, WindowingConfig, WindowingProcessor, processor};
use runtime::Clock;
use snapshot::{SaverConfig, Store};
use stage::{LossPolicy, Snapshots, StageError, StageOptions};

/// A record, as ingest would have accepted it.
#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub(crate) stream: &'static str,
    pub(crate) key: &'static str,
    pub(crate) at_ms: i64,
    /// How far its source had been read.
    pub(crate) log_ms: i64,
    /// The id that its publisher gave it; empty if none.
    pub(crate) id: &'static str,
    pub(crate) values: Vec<(&'static str, f64)>,
}

/// A record of series `k` of the default stream, with one value.
pub(crate) fn rec(at_ms: i64, value: f64) -> Rec {
    Rec { stream: "default", key: "k", at_ms, log_ms: 0, id: "", values: vec![("v", value)] }
}

pub(crate) struct World {
    pub(crate) exchange: MemoryExchange,
    pub(crate) config: WindowingConfig,
    /// The config version of the rows that follow.
    pub(crate) version: u64,
    topics: Topics,
    setup: SetupOptions,
    /// Where workers keep their states; nowhere unless a test says so.
    pub(crate) snapshots: Option<Snapshots>,
    /// What happens when input or offsets are gone.
    pub(crate) loss: LossPolicy,
    /// The numbers of the sources' last items.
    numbers: BTreeMap<String, u64>,
    offset: u64,
}

#[derive(serde::Deserialize)]
struct File {
    windowing: WindowingConfig,
}

impl World {
    /// With these definitions, and so many partitions of `records`.
    pub(crate) fn new(definitions: &str, sources: u32) -> Self {
        Self::made(definitions, sources, None)
    }

    /// With the default stream, and an input that keeps so many bytes.
    pub(crate) fn bounded(input_bytes_max: usize) -> Self {
        Self::made(&stream(""), 1, Some(input_bytes_max))
    }

    fn made(definitions: &str, sources: u32, input_bytes_max: Option<usize>) -> Self {
        let file: File = toml::from_str(DEFAULTS).unwrap();
        let setup = SetupOptions {
            topic_prefix: String::new(),
            create_topics: true,
            partitions: 1,
            records_partitions: sources,
            input_retention_ms: None,
            memory_bytes_max: 1 << 30,
        };
        let mut world = Self {
            exchange: MemoryExchange::new(MemoryOptions::new(Arc::new(|| 7))),
            config: file.windowing,
            version: 0,
            topics: Topics::new(""),
            setup,
            snapshots: None,
            loss: LossPolicy::Stop,
            numbers: BTreeMap::new(),
            offset: 0,
        };
        if let Some(memory_bytes_max) = input_bytes_max {
            let name = world.topics.accepted.clone();
            let spec = TopicSpec {
                name,
                partitions: 1,
                retention_ms: None,
                compacted: false,
                memory_bytes_max,
                ring: false,
            };
            world.exchange.create_topics(&[spec]).unwrap();
        }
        world.define(definitions);
        world
    }

    /// A world of one source, with a stream of which this is said.
    pub(crate) fn stream(says: &str) -> Self {
        Self::new(&stream(says), 1)
    }

    /// Changed definitions, in force from the next row on.
    pub(crate) fn define(&mut self, text: &str) {
        let definitions = parse_definitions("test.toml", text).unwrap();
        let log = set_up(&self.exchange, &self.setup, &definitions, 0).unwrap();
        self.version = log.latest().version;
    }

    /// A start with other limits, which are in force from the next record on.
    pub(crate) fn limit(&mut self, limits: WindowingConfig) {
        let WindowingConfig { series_max, features_max, held_rows_max } = limits;
        let written = Definition::Limits(Limits {
            series_max: series_max as u64,
            features_max: features_max as u64,
            held_rows_max: held_rows_max as u64,
            model_bytes_max: u64::MAX,
        });
        let written = self.append("control", wire::control::encode_definition(&written, 0));
        self.version = written + 1;
        self.config = limits;
    }

    /// Removes a definition.
    pub(crate) fn remove(&mut self, key: &str) {
        let removed = Definition::Removed(key.into());
        let written = self.append("control", wire::control::encode_definition(&removed, 0));
        self.version = written + 1;
    }

    pub(crate) fn append(&self, topic: &str, value: Vec<u8>) -> u64 {
        let output = Output {
            topic: topic.into(),
            partition: Some(0),
            key: None,
            value: Some(Bytes::from(value)),
            headers: vec![],
        };
        self.exchange.appender().unwrap().append(vec![output]).unwrap()[0].1
    }

    /// The next items of a source as a batch.
    fn batch(&mut self, source: &str, items: usize) -> Batch {
        let last = self.numbers.entry(source.into()).or_default();
        let first = Position { source: source.into(), epoch: 1, number: *last + 1 };
        *last += items as u64;
        Batch::new(first)
    }

    /// Records of `records/0`, as one segment.
    pub(crate) fn segment(&mut self, records: &[Rec]) -> Batch {
        let mut batch = self.batch("records/0", records.len());
        batch.sources.push("records/0".into());
        for rec in records {
            self.offset += 1;
            let values: Vec<_> = rec.values.iter().map(|(_, value)| *value).collect();
            batch.series.push(SeriesRef {
                stream: rec.stream.into(),
                key: rec.key.into(),
                window: None,
                features: rec.values.iter().map(|(name, _)| Arc::from(*name)).collect(),
            });
            let values = batch.push_values(&values);
            batch.items.push(Item::Row(Row {
                series: batch.series.len() as u32 - 1,
                row: 0,
                event_at: rec.at_ms * 1000,
                ingested_at: self.offset as Micros,
                log_time: rec.log_ms * 1000,
                config_version: self.version,
                origin: Origin { source: 0, offset: self.offset, index: 0 },
                flags: Flags::default(),
                values,
                extras: (!rec.id.is_empty()).then(|| {
                    let record_id = Some(rec.id.into());
                    Arc::new(Extras { record_id, ..Extras::default() })
                }),
                drift: None,
            }));
        }
        batch
    }

    /// Sends records as one message.
    pub(crate) fn send(&mut self, records: &[Rec]) {
        let segment = self.segment(records);
        self.append("records.accepted", accepted(&[segment]));
    }

    /// Sends a tick of a source.
    pub(crate) fn tick(&mut self, source: &str, log_time: Micros) {
        let mut batch = self.batch(source, 1);
        batch.items.push(Item::Tick(log_time));
        self.append("records.accepted", accepted(&[batch]));
    }

    pub(crate) fn control(&self) -> ControlLog {
        ControlLog::open(&self.exchange, &self.topics).unwrap()
    }

    /// A new worker, which takes over from the one before and takes so many messages at a time.
    pub(crate) fn worker(&self, messages_max: usize) -> Worker<WindowingProcessor> {
        let port: Arc<dyn Exchange> = Arc::new(self.exchange.clone());
        let clock = Clock::Given(Arc::new(|| 9));
        let mut options = StageOptions::bare(&port, &self.topics, &clock).unwrap();
        options.snapshots.clone_from(&self.snapshots);
        options.loss = self.loss;
        let processor = processor(self.config.clone(), options);
        let member = self.exchange.join(&WindowingProcessor::group(&self.topics, "test")).unwrap();
        let limits = PollLimits {
            wait: Duration::ZERO,
            cycle: Duration::ZERO,
            messages_max,
            ..PollLimits::default()
        };
        Worker::new(member, processor, limits)
    }

    /// From now on workers keep their states: one snapshot after the other, in small slices.
    pub(crate) fn keep_snapshots(&mut self) {
        let config = SaverConfig { input_bytes: 1, slice_bytes: 64, kept: 2, ..Default::default() };
        let store = Arc::new(Store::memory());
        self.snapshots = Some(Snapshots { store, config, inline: true });
    }

    /// The input offset of the newest snapshot.
    pub(crate) fn kept(&self) -> Option<u64> {
        let input = Partition::new("records.accepted", 0);
        let newest = self.snapshots.as_ref()?.newest("windowing", &input).unwrap();
        newest.map(|header| header.offset)
    }

    /// Everything sent so far goes through a new worker.
    pub(crate) fn run(&self) -> Result<(), StageError> {
        settle(&mut self.worker(1_000))
    }

    /// Sends records, each as a message of its own, and runs.
    pub(crate) fn pass(&mut self, records: &[Rec]) {
        records.iter().for_each(|rec| self.send(std::slice::from_ref(rec)));
        self.run().unwrap();
    }

    pub(crate) fn read(&self, topic: &str) -> Vec<Bytes> {
        let mut follower = self.exchange.follow(topic, FollowFrom::Earliest).unwrap();
        let mut values = vec![];
        while !follower.caught_up().unwrap() {
            let messages = follower.next(Duration::ZERO, 1_000).unwrap();
            values.extend(messages.into_iter().map(|(_, message)| message.value.unwrap()));
        }
        values
    }

    /// The batches to be scored; checks their numbers.
    pub(crate) fn requested(&self) -> Vec<Batch> {
        let messages = self.read("detection.requested");
        let batches: Vec<_> =
            messages.iter().map(|value| wire::rows::decode_requested(value).unwrap()).collect();
        let (mut epoch, mut next) = (0, 1);
        for batch in &batches {
            if batch.first.epoch > epoch {
                (epoch, next) = (batch.first.epoch, 1);
            }
            assert_eq!(batch.first.epoch, epoch, "epochs never go back");
            assert_eq!(batch.first.number, next, "without hole or repeat");
            next += batch.items.len() as u64;
        }
        batches
    }

    /// Epoch and first number of each batch.
    pub(crate) fn epochs(&self) -> Vec<(u32, u64)> {
        self.requested().iter().map(|batch| (batch.first.epoch, batch.first.number)).collect()
    }

    /// What is to be scored, such as `k#3@500 [1.5] late drift` or `tick 500`, in milliseconds.
    pub(crate) fn rows(&self) -> Vec<String> {
        let batches = self.requested();
        batches.iter().flat_map(|batch| batch.items.iter().map(|item| line(batch, item))).collect()
    }

    /// The same in full: every field, bit for bit.
    pub(crate) fn exact(&self) -> Vec<String> {
        let mut all = vec![];
        for batch in self.requested() {
            all.extend(batch.items.iter().map(|item| match item {
                Item::Tick(_) => format!("{item:?}"),
                Item::Forget { series, log_time } => {
                    format!("Forget {:?} {log_time}", batch.series[*series as usize])
                }
                Item::Row(row) => {
                    let series = &batch.series[row.series as usize];
                    let values = batch.values_of(row);
                    let row = Row { series: 0, values: 0..0, ..row.clone() };
                    format!("{series:?} {row:?} {values:?}")
                }
            }));
        }
        all.extend(self.drifts().iter().map(|drift| format!("{drift:?}")));
        all.extend(self.refusals().iter().map(|refusal| format!("{refusal:?}")));
        all
    }

    pub(crate) fn drifts(&self) -> Vec<Drift> {
        let messages = self.read("drift.detected");
        let drifts: Vec<_> =
            messages.iter().map(|value| wire::events::decode_drift(value).unwrap()).collect();
        let ids: BTreeSet<_> = drifts.iter().map(|drift| drift.id.to_string()).collect();
        assert_eq!(ids.len(), drifts.len(), "each once");
        drifts
    }

    pub(crate) fn refusals(&self) -> Vec<(Reason, String)> {
        let messages = self.read("records.rejected");
        let refusals = messages.iter().map(|value| {
            let (reason, refusal) = wire::events::decode_refusal(value).unwrap();
            (reason, format!("{} at {}", refusal.source, refusal.offset))
        });
        refusals.collect()
    }
}

/// A definitions file with one stream, named `default`, of which this is said.
pub(crate) fn stream(says: &str) -> String {
    format!("[[streams]]\nname = \"default\"\n{says}\n")
}

pub(crate) fn accepted(segments: &[Batch]) -> Vec<u8> {
    wire::rows::encode_accepted(segments, wire::events::Stamps::default())
}

fn line(batch: &Batch, item: &Item) -> String {
    let row = match item {
        Item::Row(row) => row,
        Item::Tick(Micros::MAX) => return "tick end".into(),
        Item::Tick(at) => return format!("tick {}", at / 1000),
        Item::Forget { series, log_time } => {
            let SeriesRef { key, window, .. } = &batch.series[*series as usize];
            let window = window.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
            return format!("{key}{window} forgotten {}", log_time / 1000);
        }
    };
    let series = &batch.series[row.series as usize];
    let window = series.window.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    let flags = [
        (row.flags.late, " late"),
        (row.flags.imputed, " imputed"),
        (row.flags.no_data, " no data"),
        (row.drift.is_some(), " drift"),
    ];
    let said: String = flags.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    let (key, number, at, values) =
        (&series.key, row.row, row.event_at / 1000, batch.values_of(row));
    format!("{key}{window}#{number}@{at} {values:?}{said}")
}

/// Steps until nothing happens any more.
pub(crate) fn settle(worker: &mut Worker<WindowingProcessor>) -> Result<(), StageError> {
    for _ in 0..100_000 {
        if worker.step()? == Step::Idle {
            return Ok(());
        }
    }
    panic!("the worker does not come to rest");
}
