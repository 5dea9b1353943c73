//! Ingest, windowing and detector on a memory exchange, stepped in one thread.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use control::{ControlLog, ControlWriter};
use detector::DetectorProcessor;
use domain::{Anomaly, Definition, Score, ScoreItem, Stream, Topics};
use exchange::{
    Append, Assignment, Batch, Exchange, FollowFrom, Follower, Group, Output, Outputs, Partition,
    PollLimits, Processor, Restore, Slice, Start, Step, Worker,
    memory::{MemoryExchange, MemoryOptions},
};
use ingest::{IngestOptions, IngestProcessor};
use runtime::Clock;
use stage::{LossPolicy, StageOptions};
use windowing::WindowingProcessor;

use super::{Refused, table::InputRow};
use crate::{failure::Failure, settings::Settings};

/// What became of one input row.
pub(crate) struct Outcome {
    /// The text of its time.
    pub(crate) time: String,
    /// Its series key.
    pub(crate) key: String,
    /// Its score, or why it was refused.
    pub(crate) result: Result<Score, Refused>,
}

/// So many messages are read from a followed topic at a time.
const READ_MAX: usize = 1_000;
/// Its own settings differ from a service's: no record comes from the future, and only the end ticks.
const OVERRIDES: [(&str, &str); 4] = [
    ("ingest.future_ms", "0"),
    ("ingest.tick_ms", "0"),
    ("exchange.records_partitions", "1"),
    ("ingest.message_bytes_max", "4194304"),
];

/// The services, and what they have said so far.
pub(crate) struct Pipeline {
    topics: Topics,
    appender: Arc<dyn Append>,
    ingest: Worker<IngestProcessor>,
    windowing: Worker<WindowingProcessor>,
    detector: Worker<DetectorProcessor>,
    completed: Box<dyn Follower>,
    rejected: Box<dyn Follower>,
    findings: Worker<Findings>,
    features: Vec<String>,
    finish: ingest::Finish,
    /// Number of the first row of each message, by offset.
    messages: HashMap<u64, u64>,
    /// Time and key of rows without a result.
    waiting: BTreeMap<u64, (String, String)>,
    results: BTreeMap<u64, Result<Score, Refused>>,
    found: Arc<Mutex<Vec<Anomaly>>>,
    rows: u64,
}

/// Reads anomalies and drifts as a group does, so that the exchange can forget what was read.
struct Findings {
    topics: Topics,
    anomalies: Arc<Mutex<Vec<Anomaly>>>,
}

impl Processor for Findings {
    type Error = Failure;

    fn restore(&mut self, _: &Assignment) -> Result<Restore, Failure> {
        Ok(Restore::Start(Start::Committed))
    }

    fn drop_partition(&mut self, _: &Partition) {}

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Failure> {
        let mut anomalies = self.anomalies.lock().unwrap_or_else(PoisonError::into_inner);
        let of_anomalies = |slice: &&Slice| slice.partition.topic == self.topics.anomalies;
        for slice in batch.slices.iter().filter(of_anomalies) {
            for message in &slice.messages {
                let bytes = message.value.as_deref().unwrap_or_default();
                anomalies.push(wire::events::decode_anomaly(bytes).map_err(unreadable)?);
            }
        }
        Ok(Outputs::default())
    }
}

fn unreadable(error: wire::DecodeError) -> Failure {
    Failure::other(error.to_string())
}

impl Pipeline {
    /// Services that have read nothing, for rows with these values.
    pub(crate) fn new(features: &[String]) -> Result<Self, Failure> {
        let overrides = OVERRIDES.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = Settings::load_defaults(&overrides)?;
        // Nothing here may depend on when it runs.
        let clock = Clock::Given(Arc::new(|| 0));
        let exchange = MemoryExchange::new(MemoryOptions::new(Arc::new(|| 0)));
        let stream = Stream { features: features.to_vec(), ..Stream::implicit() };
        let setup = settings.setup();
        control::set_up(&exchange, &setup, &[Definition::Stream(stream)], 0)?;
        let topics = Topics::new("");
        let port: Arc<dyn Exchange> = Arc::new(exchange.clone());
        let stage = || StageOptions::bare(&port, &topics, &clock);
        let limits =
            PollLimits { wait: Duration::ZERO, cycle: Duration::ZERO, ..settings.limits() };
        let log = ControlLog::open(&exchange, &topics)?;
        let inputs = ingest::input_topics(log.latest(), "");
        let ingest = IngestProcessor::new(IngestOptions {
            exchange: Arc::clone(&port),
            control: log,
            writer: ControlWriter::open(&exchange, &topics)?,
            snapshots: None,
            loss: LossPolicy::Stop,
            topics: topics.clone(),
            topic_prefix: String::new(),
            config: settings.ingest.clone(),
            clock: clock.clone(),
        })?;
        let finish = ingest.finish();
        let windowing = windowing::processor(settings.windowing.clone(), stage()?);
        let detector = detector::processor(settings.detector.clone(), stage()?);
        let group = Group { name: ingest::GROUP.into(), member: "score".into(), topics: inputs };
        let found = Arc::default();
        let findings = Findings { topics: topics.clone(), anomalies: Arc::clone(&found) };
        let read = vec![topics.anomalies.clone(), topics.drifts.clone()];
        let readers = Group { name: "score".into(), member: "score".into(), topics: read };
        let follow = |topic: &str| exchange.follow(topic, FollowFrom::Earliest);
        Ok(Self {
            appender: exchange.appender()?,
            ingest: Worker::new(exchange.join(&group)?, ingest, limits),
            windowing: Worker::new(
                exchange.join(&WindowingProcessor::group(&topics, "score"))?,
                windowing,
                limits,
            ),
            detector: Worker::new(
                exchange.join(&DetectorProcessor::group(&topics, "score"))?,
                detector,
                limits,
            ),
            completed: follow(&topics.completed)?,
            rejected: follow(&topics.rejected)?,
            findings: Worker::new(exchange.join(&readers)?, findings, limits),
            topics,
            features: features.to_vec(),
            finish,
            messages: HashMap::new(),
            waiting: BTreeMap::new(),
            results: BTreeMap::new(),
            found,
            rows: 0,
        })
    }

    /// Publishes rows and lets the services work on them.
    pub(crate) fn push(&mut self, rows: Vec<InputRow>) -> Result<(), Failure> {
        let first = self.rows;
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            let named = self.features.iter().zip(&row.values);
            records.push(wire::v1::Record {
                series: row.key.clone(),
                time_us: row.time_us,
                values: named.filter_map(|(name, v)| Some((name.clone(), (*v)?))).collect(),
                ..Default::default()
            });
            self.waiting.insert(self.rows, (row.time_text, row.key));
            self.rows += 1;
        }
        let value = Bytes::from(wire::records::encode_records(records));
        let output = Output {
            topic: self.topics.records.clone(),
            partition: Some(0),
            key: None,
            value: Some(value),
            headers: vec![],
        };
        let written = loop {
            match self.appender.append(vec![output.clone()]) {
                Ok(written) => break written,
                Err(exchange::Error::Full { .. }) => self.pump()?,
                Err(error) => return Err(error.into()),
            }
        };
        self.messages.extend(written.iter().map(|(_, offset)| (*offset, first)));
        self.pump()
    }

    /// Says that no more rows come: all that waits is released.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.finish.when_idle();
        self.pump()
    }

    /// The results of rows whose predecessors all have theirs, in the file's order.
    pub(crate) fn take_outcomes(&mut self) -> Vec<Outcome> {
        let mut outcomes = vec![];
        while let Some(entry) = self.waiting.first_entry() {
            let Some(result) = self.results.remove(entry.key()) else { break };
            let (time, key) = entry.remove();
            outcomes.push(Outcome { time, key, result });
        }
        outcomes
    }

    /// The events of anomalies since the last call.
    pub(crate) fn take_anomalies(&mut self) -> Vec<Anomaly> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says so if a row has no result at the end.
    pub(crate) fn check_complete(&self) -> Result<(), Failure> {
        match self.waiting.first_key_value() {
            None => Ok(()),
            Some((row, _)) => Err(Failure::other(format!(
                "{} rows have no result, the first is row {}",
                self.waiting.len(),
                row + 1
            ))),
        }
    }

    /// Steps the services until none has anything to do, and collects what they say.
    fn pump(&mut self) -> Result<(), Failure> {
        loop {
            let mut worked = self.ingest.step()? != Step::Idle;
            worked |= self.windowing.step()? != Step::Idle;
            worked |= self.detector.step()? != Step::Idle;
            worked |= self.findings.step()? != Step::Idle;
            worked |= self.collect()?;
            if !worked {
                return Ok(());
            }
        }
    }

    fn collect(&mut self) -> Result<bool, Failure> {
        let completed = self.completed.next(Duration::ZERO, READ_MAX)?;
        for (_, message) in &completed {
            let bytes = message.value.as_deref().unwrap_or_default();
            let batch = wire::scores::decode_completed(bytes).map_err(unreadable)?;
            for item in batch.items {
                if let ScoreItem::Score(score) = item {
                    let row = self.row_of(score.origin.offset, score.origin.index);
                    self.results.insert(row, Ok(score));
                }
            }
        }
        let rejected = self.rejected.next(Duration::ZERO, READ_MAX)?;
        for (_, message) in &rejected {
            let bytes = message.value.as_deref().unwrap_or_default();
            let (reason, refused) = wire::events::decode_refusal(bytes).map_err(unreadable)?;
            let row = self.row_of(refused.offset, refused.index);
            self.results.insert(row, Err((reason, refused.detail)));
        }
        Ok(!(completed.is_empty() && rejected.is_empty()))
    }

    fn row_of(&self, offset: u64, index: u32) -> u64 {
        self.messages.get(&offset).map_or(u64::MAX, |first| first + u64::from(index))
    }
}
