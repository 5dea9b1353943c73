//! The content of every topic, decoded: what any read_committed reader sees.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use domain::{Alert, Anomaly, Batch, Definition, Definitions, Drift, Reason, ScoreBatch, Topics};
use exchange::{Error, Exchange, FollowFrom, Message, Offset, Output};
use wire::DecodeError;

/// A message: where it stands, and what it says.
#[derive(Clone, Debug)]
pub struct Told<T> {
    /// Its offset.
    pub offset: Offset,
    /// Its bytes.
    pub bytes: Bytes,
    /// What it says.
    pub content: T,
}

/// Messages by partition number, in their order.
pub type ByPartition<T> = BTreeMap<u32, Vec<Told<T>>>;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The service that refused.
    pub service: String,
    /// The partition that the record, or message, was read from.
    pub source: String,
    /// The message's offset there.
    pub offset: u64,
    /// The record's index within the message.
    pub index: u32,
    /// The name of the reason.
    pub reason: &'static str,
    /// What was wrong.
    pub detail: String,
    /// The message's, or the series', key.
    pub key: Option<Vec<u8>>,
    /// What is kept of it.
    pub payload: Vec<u8>,
}

/// A state of an alert, with the id by which receivers drop repeats.
#[derive(Clone, Debug)]
pub struct State {
    /// The id of this state.
    pub id: String,
    /// What it says.
    pub alert: Alert,
}

/// What was committed to every topic but `records`.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// `control`: each entry with the config version that it makes.
    pub control: Vec<(u64, Told<Definition>)>,
    /// `records.accepted`: segments.
    pub accepted: ByPartition<Vec<Batch>>,
    /// `records.rejected`.
    pub rejected: ByPartition<Refused>,
    /// `detection.requested`.
    pub requested: ByPartition<Batch>,
    /// `detection.completed`.
    pub completed: ByPartition<ScoreBatch>,
    /// `anomaly.detected`.
    pub anomalies: ByPartition<Anomaly>,
    /// `drift.detected`.
    pub drifts: ByPartition<Drift>,
    /// `alerts`.
    pub alerts: ByPartition<State>,
    /// Messages that no reader can understand.
    pub unreadable: Vec<String>,
}

impl Committed {
    /// Takes a message of one of our topics; one of another topic is passed over. Each partition's messages must
    /// come in their order.
    pub fn take(&mut self, topics: &Topics, topic: &str, partition: u32, message: &Message) {
        if let Err(error) = self.decode(topics, topic, partition, message) {
            let offset = message.offset;
            self.unreadable.push(format!("{topic}/{partition} offset {offset}: {error}"));
        }
    }

    /// Takes what a processor wants written, as if it had been written at offsets from 0.
    pub(super) fn take_outputs(&mut self, topics: &Topics, partition: u32, outputs: Vec<Output>) {
        for (offset, output) in (0..).zip(outputs) {
            let Output { topic, key, value, headers, .. } = output;
            let message = Message { offset, timestamp_ms: 0, key, value, headers };
            self.take(topics, &topic, partition, &message);
        }
    }

    /// Reads all topics from their first to their last message.
    ///
    /// # Errors
    /// If the exchange can't be read, or has forgotten the first messages.
    pub fn read(exchange: &dyn Exchange, topics: &Topics) -> Result<Self, Error> {
        const MESSAGES_MAX: usize = 10_000;
        let mut committed = Self::default();
        for topic in Self::topics(topics) {
            let mut follower = exchange.follow(topic, FollowFrom::Earliest)?;
            while !follower.caught_up()? {
                for (partition, message) in follower.next(Duration::ZERO, MESSAGES_MAX)? {
                    committed.take(topics, topic, partition, &message);
                }
            }
        }
        Ok(committed)
    }

    /// The topics that are judged.
    pub fn topics(topics: &Topics) -> [&str; 8] {
        [
            &topics.control,
            &topics.accepted,
            &topics.rejected,
            &topics.requested,
            &topics.completed,
            &topics.anomalies,
            &topics.drifts,
            &topics.alerts,
        ]
        .map(|name| &**name)
    }

    fn decode(
        &mut self,
        topics: &Topics,
        topic: &str,
        partition: u32,
        message: &Message,
    ) -> Result<(), DecodeError> {
        let bytes = message.value.as_deref().unwrap_or_default();
        let offset = message.offset;
        if *topic == *topics.control {
            let entry = told(offset, message, wire::control::decode_definition(bytes)?);
            self.control.push((offset + 1, entry));
        } else if *topic == *topics.accepted {
            let content = wire::rows::decode_accepted(bytes)?;
            add(&mut self.accepted, partition, told(offset, message, content));
        } else if *topic == *topics.requested {
            let content = wire::rows::decode_requested(bytes)?;
            add(&mut self.requested, partition, told(offset, message, content));
        } else if *topic == *topics.completed {
            add(
                &mut self.completed,
                partition,
                told(offset, message, wire::scores::decode_completed(bytes)?),
            );
        } else if *topic == *topics.anomalies {
            add(
                &mut self.anomalies,
                partition,
                told(offset, message, wire::events::decode_anomaly(bytes)?),
            );
        } else if *topic == *topics.drifts {
            add(
                &mut self.drifts,
                partition,
                told(offset, message, wire::events::decode_drift(bytes)?),
            );
        } else if *topic == *topics.rejected {
            add(&mut self.rejected, partition, told(offset, message, refused(bytes)?));
        } else if *topic == *topics.alerts && message.value.is_some() {
            let alert = wire::events::decode_alert(bytes)?;
            let metadata = wire::events::decode_alert_message(bytes)?.metadata;
            let id = metadata.map(|metadata| metadata.id).unwrap_or_default();
            add(&mut self.alerts, partition, told(offset, message, State { id, alert }));
        }
        Ok(())
    }

    /// All refusals of one service.
    pub(super) fn refused_by<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Refused> {
        let all = self.rejected.values().flatten().map(|told| &told.content);
        all.filter(move |refused| refused.service == service)
    }

    /// Brings `definitions` to a version.
    pub(super) fn advance(&self, definitions: &mut Definitions, version: u64) {
        for (entry, told) in &self.control {
            if *entry > definitions.version && *entry <= version {
                definitions.apply(*entry, told.content.clone());
            }
        }
    }

    /// The layout that was agreed on, as its number of partitions.
    pub(super) fn partitions(&self) -> Option<u32> {
        let mut definitions = Definitions::default();
        self.advance(&mut definitions, u64::MAX);
        definitions.layout.map(|layout| layout.partitions)
    }

    /// The bytes of all messages, topic by topic and partition by partition.
    pub fn bytes(&self) -> impl Iterator<Item = &Bytes> {
        fn of<T>(all: &ByPartition<T>) -> impl Iterator<Item = &Bytes> {
            all.values().flatten().map(|told| &told.bytes)
        }
        let control = self.control.iter().map(|(_, told)| &told.bytes);
        let rows = of(&self.accepted).chain(of(&self.requested)).chain(of(&self.completed));
        let found = of(&self.anomalies).chain(of(&self.drifts)).chain(of(&self.alerts));
        control.chain(rows).chain(found).chain(of(&self.rejected))
    }

    /// How many rows have scores.
    pub fn scores(&self) -> usize {
        let batches = self.completed.values().flatten().map(|told| &told.content);
        let is_score = |item: &&domain::ScoreItem| matches!(item, domain::ScoreItem::Score(_));
        batches.map(|batch| batch.items.iter().filter(is_score).count()).sum()
    }
}

fn add<T>(all: &mut ByPartition<T>, partition: u32, told: Told<T>) {
    all.entry(partition).or_default().push(told);
}

fn told<T>(offset: Offset, message: &Message, content: T) -> Told<T> {
    Told { offset, bytes: message.value.clone().unwrap_or_default(), content }
}

fn refused(bytes: &[u8]) -> Result<Refused, DecodeError> {
    let (reason, message): (Reason, _) = wire::events::decode_refusal(bytes)?;
    Ok(Refused {
        service: message.service,
        source: message.source,
        offset: message.offset,
        index: message.index,
        reason: reason.name(),
        detail: message.detail,
        key: message.key,
        payload: message.payload,
    })
}
