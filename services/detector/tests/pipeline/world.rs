//! An exchange with topics and definitions, what is sent to the detector and what it wrote.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use control::{SetupOptions, parse_definitions, set_up};
use domain::{
    Anomaly, Batch, Definition, Drift, Flags, Id, Item, Limits, Micros, Origin, Position, Reason,
    Row, Score, ScoreItem, SeriesRef, Topics,
};
use exchange::{
    Exchange, FollowFrom, MemoryExchange, MemoryOptions, Output, Partition, PollLimits, Step,
    Worker,
};
use oddwatch_detector::{DEFAULTS, DetectorConfig, DetectorProcessor, processor};
use runtime::Clock;
use snapshot::{SaverConfig, Store};
use stage::{Snapshots, StageError, StageOptions};

/// A row, as windowing would have written it.
#[derive(Clone, Debug)]
pub(crate) struct Rec {
    pub(crate) key: &'static str,
    pub(crate) window: Option<&'static str>,
    pub(crate) at_ms: i64,
    pub(crate) log_ms: i64,
    pub(crate) values: Vec<(&'static str, f64)>,
    pub(crate) flags: Flags,
    pub(crate) drift: bool,
}

/// A row of series `k` of the default stream, with one value.
pub(crate) fn rec(at_ms: i64, value: f64) -> Rec {
    let values = vec![("v", value)];
    let flags = Flags::default();
    Rec { key: "k", window: None, at_ms, log_ms: at_ms, values, flags, drift: false }
}

/// A row of calm noise between 0 and 2.
pub(crate) fn calm(at: i64) -> Rec {
    rec(at, (at * 37 % 101) as f64 / 50.0)
}

pub(crate) struct World {
    pub(crate) exchange: MemoryExchange,
    pub(crate) config: DetectorConfig,
    /// The config version of the rows that follow.
    pub(crate) version: u64,
    topics: Topics,
    setup: SetupOptions,
    /// Where workers keep their states; nowhere unless a test says so.
    pub(crate) snapshots: Option<Snapshots>,
    items: u64,
    /// The numbers of the last rows.
    rows: BTreeMap<(&'static str, Option<&'static str>), u64>,
}

/// A score with what it names.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    pub(crate) detector: String,
    pub(crate) version: u64,
    pub(crate) series: SeriesRef,
    pub(crate) score: Score,
}

#[derive(serde::Deserialize)]
struct File {
    detector: DetectorConfig,
}

impl World {
    pub(crate) fn new(definitions: &str) -> Self {
        let file: File = toml::from_str(DEFAULTS).unwrap();
        let setup = SetupOptions {
            topic_prefix: String::new(),
            create_topics: true,
            partitions: 1,
            records_partitions: 1,
            input_retention_ms: None,
            memory_bytes_max: 1 << 30,
        };
        let mut world = Self {
            exchange: MemoryExchange::new(MemoryOptions::new(Arc::new(|| 7))),
            config: file.detector,
            version: 0,
            topics: Topics::new(""),
            setup,
            snapshots: None,
            items: 0,
            rows: BTreeMap::new(),
        };
        world.define(definitions);
        world
    }

    /// Changed definitions, in force from the next row on.
    pub(crate) fn define(&mut self, text: &str) {
        let definitions = parse_definitions("test.toml", text).unwrap();
        let log = set_up(&self.exchange, &self.setup, &definitions, 0).unwrap();
        self.version = log.latest().version;
    }

    /// A start with another limit, which is in force from the next row on.
    pub(crate) fn limit(&mut self, model_bytes_max: u64) {
        let most = u64::MAX;
        let limits =
            Limits { series_max: most, features_max: most, held_rows_max: most, model_bytes_max };
        let limits = Definition::Limits(limits);
        self.version = self.append("control", wire::control::encode_definition(&limits, 0)) + 1;
        self.config.model_bytes_max = usize::try_from(model_bytes_max).unwrap();
    }

    /// Removes a definition.
    pub(crate) fn remove(&mut self, key: &str) {
        let removed = Definition::Removed(key.into());
        self.version = self.append("control", wire::control::encode_definition(&removed, 0)) + 1;
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

    /// The next items as a batch.
    pub(crate) fn batch(&mut self, rows: &[Rec]) -> Batch {
        let source = "detection.requested/0".into();
        let mut batch = Batch::new(Position { source, epoch: 1, number: self.items + 1 });
        batch.sources.push("records/0".into());
        for rec in rows {
            self.items += 1;
            let number = self.rows.entry((rec.key, rec.window)).or_default();
            *number += 1;
            let series = SeriesRef {
                stream: "default".into(),
                key: rec.key.into(),
                window: rec.window.map(Into::into),
                features: rec.values.iter().map(|(name, _)| Arc::from(*name)).collect(),
            };
            let values: Vec<_> = rec.values.iter().map(|(_, value)| *value).collect();
            let values = batch.push_values(&values);
            batch.items.push(Item::Row(Row {
                series: batch.series.len() as u32,
                row: *number,
                event_at: rec.at_ms * 1000,
                ingested_at: self.items as Micros,
                log_time: rec.log_ms * 1000,
                config_version: self.version,
                origin: Origin { source: 0, offset: self.items, index: 0 },
                flags: rec.flags,
                values,
                extras: None,
                drift: rec.drift.then(|| Arc::new(drift(&series, *number))),
            }));
            batch.series.push(series);
        }
        batch
    }

    /// Sends rows as one message.
    pub(crate) fn send(&mut self, rows: &[Rec]) {
        let batch = self.batch(rows);
        self.append("detection.requested", requested(&batch));
    }

    pub(crate) fn tick(&mut self, log_time: Micros) {
        let mut batch = self.batch(&[]);
        self.items += 1;
        batch.items.push(Item::Tick(log_time));
        self.append("detection.requested", requested(&batch));
    }

    /// Says that a series, whose rows have this window, is forgotten.
    pub(crate) fn forget(&mut self, key: &'static str, log_time: Micros) {
        let mut batch = self.batch(&[]);
        self.items += 1;
        self.rows.remove(&(key, None));
        batch.series.push(SeriesRef {
            stream: "default".into(),
            key: key.into(),
            window: None,
            features: Arc::new(["v".into()]),
        });
        batch.items.push(Item::Forget { series: 0, log_time });
        self.append("detection.requested", requested(&batch));
    }

    /// A new worker, which takes over from the one before and takes so many messages at a time.
    pub(crate) fn worker(&self, messages_max: usize) -> Worker<DetectorProcessor> {
        let port: Arc<dyn Exchange> = Arc::new(self.exchange.clone());
        let clock = Clock::Given(Arc::new(|| 9));
        let mut options = StageOptions::bare(&port, &self.topics, &clock).unwrap();
        options.snapshots.clone_from(&self.snapshots);
        let processor = processor(self.config.clone(), options);
        let member = self.exchange.join(&DetectorProcessor::group(&self.topics, "test")).unwrap();
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

    /// How many items were sent.
    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    /// The input offset of the newest snapshot.
    pub(crate) fn kept(&self) -> Option<u64> {
        let input = Partition::new("detection.requested", 0);
        let newest = self.snapshots.as_ref()?.newest("detector", &input).unwrap();
        newest.map(|header| header.offset)
    }

    /// Everything sent so far goes through a new worker.
    pub(crate) fn run(&self) -> Result<(), StageError> {
        settle(&mut self.worker(1_000))
    }

    /// Sends rows, each as a message of its own, and runs.
    pub(crate) fn pass(&mut self, rows: impl IntoIterator<Item = Rec>) {
        rows.into_iter().for_each(|row| self.send(&[row]));
        self.run().unwrap();
    }

    fn read(&self, topic: &str) -> Vec<Bytes> {
        let mut follower = self.exchange.follow(topic, FollowFrom::Earliest).unwrap();
        let mut values = vec![];
        while !follower.caught_up().unwrap() {
            let messages = follower.next(Duration::ZERO, 1_000).unwrap();
            values.extend(messages.into_iter().map(|(_, message)| message.value.unwrap()));
        }
        values
    }

    /// Scores and ticks in their order; checks their numbers.
    pub(crate) fn completed(&self) -> Vec<Result<Scored, Micros>> {
        let mut all = vec![];
        for value in self.read("detection.completed") {
            let batch = wire::scores::decode_completed(&value).unwrap();
            assert_eq!(batch.first.number, all.len() as u64 + 1, "without hole or repeat");
            all.extend(batch.items.into_iter().map(|item| match item {
                ScoreItem::Tick(at) => Err(at),
                ScoreItem::Score(score) => {
                    let (name, version) = &batch.detectors[score.detector as usize];
                    let series = batch.series[score.series as usize].clone();
                    let score = Score { series: 0, detector: 0, ..score };
                    Ok(Scored { detector: name.to_string(), version: *version, series, score })
                }
            }));
        }
        all
    }

    pub(crate) fn scores(&self) -> Vec<Scored> {
        self.completed().into_iter().filter_map(Result::ok).collect()
    }

    pub(crate) fn events(&self) -> Vec<Anomaly> {
        let messages = self.read("anomaly.detected");
        messages.iter().map(|value| wire::events::decode_anomaly(value).unwrap()).collect()
    }

    /// The events of all anomalies' lives, such as `opened k#31 d 1 odd`, each life told without a gap.
    pub(crate) fn lives(&self) -> Vec<String> {
        let mut told: BTreeMap<Id, u32> = BTreeMap::new();
        let line = |event: Anomaly| {
            let last = told.entry(event.id).or_default();
            assert_eq!(event.revision, *last + 1, "{event:?}");
            *last = event.revision;
            let silent = if event.silent { " silent" } else { "" };
            let no_data = if event.no_data { " no data" } else { "" };
            let (phase, key, row) = (event.phase.name(), &event.series.key, event.row);
            format!("{phase} {key}#{row} {} {} odd{silent}{no_data}", event.detector, event.rows)
        };
        self.events().into_iter().map(line).collect()
    }

    pub(crate) fn refusals(&self) -> Vec<(Reason, String)> {
        let messages = self.read("records.rejected");
        let refusals = messages.iter().map(|value| {
            let (reason, refusal) = wire::events::decode_refusal(value).unwrap();
            (reason, format!("{} at {}", refusal.source, refusal.offset))
        });
        refusals.collect()
    }

    /// All that was written, every field, bit for bit.
    pub(crate) fn exact(&self) -> Vec<String> {
        let mut all: Vec<_> = self.completed().iter().map(|item| format!("{item:?}")).collect();
        // As they are encoded: they name the config version too.
        all.extend(self.read("anomaly.detected").iter().map(|event| format!("{event:?}")));
        all.extend(self.refusals().iter().map(|refusal| format!("{refusal:?}")));
        all
    }
}

/// A detector on the default stream, of which this is said. What it does not say is chosen so that a
/// person can tell what comes of a row: each is judged by itself, and nothing rests.
pub(crate) fn detector(name: &str, says: &str) -> String {
    let mut text = format!("[[detectors]]\nname = \"{name}\"\nstream = \"default\"\n{says}\n");
    for (field, value) in [
        ("algorithm", "{ kind = \"robust_z\" }"),
        ("threshold", "{ contamination = 0.0001 }"),
        ("rest_rows", "0"),
        ("habituation", "0"),
    ] {
        if !says.contains(&format!("{field} =")) {
            text += &format!("{field} = {value}\n");
        }
    }
    text
}

pub(crate) fn requested(batch: &Batch) -> Vec<u8> {
    wire::rows::encode_requested(batch, wire::events::Stamps::default())
}

fn drift(series: &SeriesRef, row: u64) -> Drift {
    Drift {
        id: Id::of(&[b"drift"]),
        position: Position { source: "records/0".into(), epoch: 1, number: row },
        series: SeriesRef { features: Arc::from([]), ..series.clone() },
        feature: "v".into(),
        method: "adwin".into(),
        statistic: 2.0,
        bound: 1.0,
        p_value: 1e-9,
        kind: domain::DriftKind::Level,
        features: vec!["v".into()],
        before: domain::Summary { count: 9, mean: 1.0, deviation: 1.0, quantiles: [1.0; 5] },
        after: domain::Summary { count: 9, mean: 3.0, deviation: 1.0, quantiles: [3.0; 5] },
        began_row: row,
        began_at: 0,
        actions: vec![],
        row,
        event_at: 0,
        ingested_at: 0,
        log_time: 0,
        config_version: 1,
        tags: vec![],
        traceparent: None,
    }
}

/// Steps until nothing happens any more.
pub(crate) fn settle(worker: &mut Worker<DetectorProcessor>) -> Result<(), StageError> {
    for _ in 0..100_000 {
        if worker.step()? == Step::Idle {
            return Ok(());
        }
    }
    panic!("the worker does not come to rest");
}
