//! Two transactional producers in turn: outputs and offsets of a cycle, all or nothing.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rdkafka::{
    ClientContext, Message as _, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header as RawHeader, OwnedHeaders},
    producer::{BaseProducer, DeliveryResult, Producer, ProducerContext},
};

use super::{
    KafkaOptions, Quiet,
    client::{self, Kind},
    topics::BATCH_BYTES_MAX,
    transaction::Attempt,
};
use crate::{
    faults::Fault,
    port::{Error, Group, Header, Output},
};

/// Why a transaction did not commit.
pub(super) enum Failure {
    /// Abortable: nothing of it will be seen.
    Abort(String),
    /// Abortable as well: the group has another member of this name.
    Unseated(String),
    /// It took longer than a transaction may.
    Late(String),
    /// It ended at the broker before the commit was asked for: nothing of it will be seen, and its producer is of
    /// no more use.
    GivenUp(String),
    /// Its producer was fenced: by another process of the same name, or by a broker that gave the transaction up.
    /// If it was the broker, nothing of it will be seen, because it gives up only what it was not asked to commit.
    Fenced(String),
    /// The client's queue stayed full.
    Full,
    /// The member is over.
    End(Error),
}

impl Failure {
    /// Whether the transaction is still open and can be aborted.
    pub(super) fn is_abortable(&self) -> bool {
        matches!(self, Self::Abort(_) | Self::Unseated(_) | Self::Late(_) | Self::Full)
    }

    /// What ends a member that can't get over it.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::End(error) => error,
            Self::Full => Error::Full { what: "the queue to Kafka".into() },
            Self::Abort(what)
            | Self::Unseated(what)
            | Self::Late(what)
            | Self::GivenUp(what)
            | Self::Fenced(what) => Error::Fatal { what },
        }
    }
}

/// The producers of one member.
pub(super) struct Writer {
    options: KafkaOptions,
    group: Group,
    producers: [BaseProducer<Deliveries>; 2],
    turn: usize,
}

impl Writer {
    /// Opens both producers, which fences a predecessor of the same name and ends its open transaction.
    pub(super) fn open(options: &KafkaOptions, group: &Group) -> Result<Self, Error> {
        let producers = [open(options, group, 0)?, open(options, group, 1)?];
        Ok(Self { options: options.clone(), group: group.clone(), producers, turn: 0 })
    }

    /// Writes outputs and offsets in one transaction; see [`Attempt::run`].
    pub(super) fn transact(
        &mut self,
        outputs: &[Output],
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
        fault: Option<Fault>,
    ) -> Result<(), Failure> {
        self.turn ^= 1;
        self.attempt(self.turn).run(outputs, offsets, metadata, fault)
    }

    /// Whether this process is still the last that opened producers under its name. The producer whose turn it was
    /// not has no transaction that a broker could have given up: only another process fences it. `offsets`, of
    /// which there must be one, are never committed.
    pub(super) fn is_ours(
        &self,
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
    ) -> Result<bool, Failure> {
        self.attempt(self.turn ^ 1).is_ours(offsets, metadata)
    }

    fn attempt(&self, turn: usize) -> Attempt<'_> {
        Attempt::new(&self.producers[turn], &self.group, self.options.transaction_timeout)
    }

    /// Replaces the producer of the last transaction.
    pub(super) fn reopen(&mut self) -> Result<(), Error> {
        self.producers[self.turn] = open(&self.options, &self.group, self.turn)?;
        Ok(())
    }
}

fn open(
    options: &KafkaOptions,
    group: &Group,
    turn: usize,
) -> Result<BaseProducer<Deliveries>, Error> {
    let producer = producer(options, &format!("{}-{turn}", group.member))?;
    let asked = format!("opening transactions of member {}", group.member);
    producer.init_transactions(client::ASK * 3).map_err(|error| {
        client::death(producer.client(), group)
            .unwrap_or_else(|| client::unavailable(&asked, &error))
    })?;
    Ok(producer)
}

fn producer(options: &KafkaOptions, id: &str) -> Result<BaseProducer<Deliveries>, Error> {
    let mut config = client::config(options);
    config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", options.transaction_timeout.as_millis().to_string())
        // A cycle's outputs are all there when the first is sent: nothing to wait for.
        .set("linger.ms", "0")
        // After a commit the broker refuses the next transaction until the markers are written; the default
        // of 100 ms between tries was most of a transaction's time (105 ms; 5.5 ms with these).
        .set("retry.backoff.ms", "1")
        .set("retry.backoff.max.ms", "5")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", BATCH_BYTES_MAX.to_string())
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "131072");
    client::override_settings(&mut config, options, Kind::Producer);
    config
        .create_with_context(Deliveries::default())
        .map_err(|error| client::fatal("the Kafka settings are refused", &error))
}

/// Headers as librdkafka wants them; `None` costs nothing.
pub(super) fn headers(headers: &[Header]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    Some(headers.iter().fold(empty, |headers, (key, value): &(String, Bytes)| {
        headers.insert(RawHeader { key, value: Some(&**value) })
    }))
}

/// Remembers the first output that the broker refused.
#[derive(Default)]
pub(super) struct Deliveries {
    quiet: Quiet,
    failure: Mutex<Option<(String, Code)>>,
}

impl Deliveries {
    pub(super) fn forget(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failure(&self) -> Option<(String, Code)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.quiet.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| (message.topic().to_owned(), code));
        }
    }
}
