//! The cluster itself: is it there, which topics has it, what do they take.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::executor::block_on;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    KafkaOptions, Quiet,
    client::{self, ASK, Kind, unavailable},
    follower::shows_any,
};
use crate::{
    checks::check_partitions,
    deadline::Deadline,
    port::{Error, MESSAGE_OVERHEAD_BYTES, Offset, Output, Partition, TopicSpec},
};

/// Both the clients' and our topics' limit; user topics may have less.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;

/// A connection for questions, and what was learned by them.
pub(super) struct Cluster {
    pub(super) options: KafkaOptions,
    asker: BaseConsumer<Quiet>,
    /// The largest message that a topic takes, by topic.
    message_bytes_max: Mutex<HashMap<Arc<str>, usize>>,
}

impl Cluster {
    pub(super) fn connect(options: KafkaOptions) -> Result<Self, Error> {
        let mut config = client::config(&options);
        client::override_settings(&mut config, &options, Kind::Consumer);
        let asker: BaseConsumer<Quiet> = config
            .create_with_context(Quiet::default())
            .map_err(|error| client::fatal("the Kafka settings are refused", &error))?;
        let cluster = Self { options, asker, message_bytes_max: Mutex::default() };
        let deadline = Deadline::after(cluster.options.connect_timeout);
        loop {
            let slice = deadline.left_or_zero().clamp(Duration::from_millis(1), ASK / 20);
            let answer = cluster.asker.fetch_metadata(None, slice);
            if answer.is_ok_and(|metadata| !metadata.brokers().is_empty()) {
                return Ok(cluster);
            }
            cluster.listen();
            if deadline.left().is_none() {
                return Err(cluster.silence());
            }
        }
    }

    /// Serves the client's events, so that its complaints are heard and its log queue stays empty.
    fn listen(&self) {
        for _ in 0..100 {
            let _ = self.asker.poll(Duration::ZERO);
        }
    }

    fn silence(&self) -> Error {
        let complaint = self.asker.context().complaint();
        let why = match complaint.as_deref() {
            // librdkafka took something else's answer for a size, and would have its limit raised.
            Some(text) if text.contains("Invalid response size") => {
                "what answers is no Kafka broker"
            }
            Some(text) => text,
            None => "nothing there answers as a Kafka broker does",
        };
        let what = format!(
            "no Kafka broker at {} within {:?}: {why}",
            self.options.brokers, self.options.connect_timeout
        );
        Error::Unavailable { what }
    }

    /// The number of partitions of a topic, or `None` if there is no such topic.
    pub(super) fn partitions(&self, topic: &str) -> Result<Option<u32>, Error> {
        Ok(self.all_partitions()?.remove(topic))
    }

    /// The number of partitions of a topic that has to be there.
    pub(super) fn expect_partitions(&self, topic: &str) -> Result<u32, Error> {
        self.partitions(topic)?.ok_or_else(|| missing(topic))
    }

    fn all_partitions(&self) -> Result<HashMap<String, u32>, Error> {
        // All topics: asking for one by name would create it where the brokers create topics by themselves.
        let metadata = self
            .asker
            .fetch_metadata(None, ASK)
            .map_err(|error| unavailable("asking Kafka for its topics", &error))?;
        self.listen();
        let topics = metadata.topics().iter();
        let of = |topic: &rdkafka::metadata::MetadataTopic| {
            (topic.name().to_owned(), topic.partitions().len() as u32)
        };
        Ok(topics.filter(|topic| !topic.partitions().is_empty()).map(of).collect())
    }

    /// The first offset kept and the one behind the last committed message or marker.
    pub(super) fn watermarks(&self, partition: &Partition) -> Result<(Offset, Offset), Error> {
        let number = partition.number as i32;
        let answer = self.asker.fetch_watermarks(&partition.topic, number, ASK);
        self.listen();
        match answer {
            Ok((first, end)) => Ok((client::offset(first), client::offset(end))),
            Err(error) => {
                Err(unavailable(&format!("asking for the offsets of {partition}"), &error))
            }
        }
    }

    /// Whether anything was ever committed to a partition.
    pub(super) fn written(&self, partition: &Partition) -> Result<bool, Error> {
        let partitions = self.expect_partitions(&partition.topic)?;
        if partition.number >= partitions {
            return Err(Error::Topic {
                what: format!(
                    "topic {} has no partition {}, only 0 to {}",
                    partition.topic,
                    partition.number,
                    partitions - 1
                ),
            });
        }
        match self.watermarks(partition)? {
            (_, 0) => Ok(false),
            (0, _) => shows_any(self, partition, 0),
            // What was there first is gone, so it was there.
            _ => Ok(true),
        }
    }

    /// Creates what is missing and checks what is there.
    pub(super) fn create_topics(&self, specs: &[TopicSpec]) -> Result<(), Error> {
        let existing = self.all_partitions()?;
        let mut missing = Vec::new();
        for spec in specs {
            match existing.get(&*spec.name) {
                Some(found) => check_partitions(&spec.name, *found, spec.partitions)?,
                None => missing.push(spec),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let retentions: Vec<String> = missing
            .iter()
            .map(|spec| spec.retention_ms.map_or_else(|| "-1".to_owned(), |ms| ms.to_string()))
            .collect();
        let batch_bytes_max = BATCH_BYTES_MAX.to_string();
        let topics: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(&retentions)
            .map(|(spec, retention)| {
                let policy = if spec.compacted { "compact" } else { "delete" };
                // -1: the cluster's default replication.
                NewTopic::new(&spec.name, spec.partitions as i32, TopicReplication::Fixed(-1))
                    // Retention goes by the time of arrival; by event time, old data would be deleted at once.
                    .set("message.timestamp.type", "LogAppendTime")
                    .set("max.message.bytes", &batch_bytes_max)
                    .set("retention.ms", retention)
                    .set("cleanup.policy", policy)
            })
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(ASK));
        let results = block_on(self.admin()?.create_topics(&topics, &options))
            .map_err(|error| unavailable("creating topics", &error))?;
        for result in results {
            match result {
                Ok(name) => tracing::info!(topic = name, "topic created"),
                // Another process was faster; whether it made the same is checked below.
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    let what = format!("topic {name} could not be created: {code}");
                    return Err(Error::Topic { what });
                }
            }
        }
        self.await_topics(&missing)
    }

    /// Topics are created before the brokers' metadata show them.
    fn await_topics(&self, specs: &[&TopicSpec]) -> Result<(), Error> {
        let deadline = Deadline::after(ASK);
        loop {
            let existing = self.all_partitions()?;
            let absent = specs.iter().find(|spec| !existing.contains_key(&*spec.name));
            let Some(absent) = absent else {
                return specs.iter().try_for_each(|spec| {
                    check_partitions(&spec.name, existing[&*spec.name], spec.partitions)
                });
            };
            if deadline.left().is_none() {
                let what =
                    format!("topic {} was created but does not show after {ASK:?}", absent.name);
                return Err(Error::Unavailable { what });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Refuses outputs that their topics would: one of them would poison its whole transaction.
    pub(super) fn check_sizes(&self, outputs: &[Output]) -> Result<(), Error> {
        let mut last: Option<(&Arc<str>, usize)> = None;
        for output in outputs {
            let bytes_max = match last {
                Some((topic, bytes_max)) if Arc::ptr_eq(topic, &output.topic) => bytes_max,
                _ => self.message_bytes_max(&output.topic)?,
            };
            last = Some((&output.topic, bytes_max));
            let bytes = output.size();
            if bytes > bytes_max {
                let topic = output.topic.to_string();
                return Err(Error::Oversized { topic, bytes, bytes_max });
            }
        }
        Ok(())
    }

    fn message_bytes_max(&self, topic: &Arc<str>) -> Result<usize, Error> {
        let known = || self.message_bytes_max.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes_max) = known().get(topic) {
            return Ok(*bytes_max);
        }
        self.expect_partitions(topic)?;
        let bytes_max = self.batch_bytes_max(topic)?.min(BATCH_BYTES_MAX);
        let bytes_max = bytes_max.saturating_sub(MESSAGE_OVERHEAD_BYTES);
        known().insert(Arc::clone(topic), bytes_max);
        Ok(bytes_max)
    }

    fn batch_bytes_max(&self, topic: &str) -> Result<usize, Error> {
        let options = AdminOptions::new().request_timeout(Some(ASK));
        let admin = self.admin()?;
        let described =
            block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options))
                .map_err(|error| {
                    unavailable(&format!("asking for the limits of topic {topic}"), &error)
                })?;
        let found = described.into_iter().flatten().find_map(|resource| {
            resource.get("max.message.bytes").and_then(|entry| entry.value.clone())
        });
        // Without the right to ask, Kafka's default is assumed.
        Ok(found.and_then(|value| value.parse().ok()).unwrap_or(1_048_588))
    }

    fn admin(&self) -> Result<AdminClient<Quiet>, Error> {
        let mut config = client::config(&self.options);
        client::override_settings(&mut config, &self.options, Kind::Producer);
        config
            .create_with_context(Quiet::default())
            .map_err(|error: KafkaError| client::fatal("the Kafka settings are refused", &error))
    }
}

pub(super) fn missing(topic: &str) -> Error {
    Error::Topic { what: format!("topic {topic} does not exist; create it first") }
}
