//! Two transactional producers in turn: outputs and offsets of a cycle, all or nothing.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    ClientContext, Message as _, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header as RawHeader, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig},
};

use super::{
    KafkaOptions, Quiet,
    client::{self, Kind},
    topics::BATCH_BYTES_MAX,
};
use crate::{
    deadline::Deadline,
    faults::Fault,
    port::{Error, Group, Header, Output},
};

/// How long the drain before a commit sleeps when nothing has come in. `BaseProducer::poll` with a time-out spins
/// its last millisecond away: 1.5 of 2 cores with three workers.
const DRAIN: Duration = Duration::from_micros(200);

/// Why a transaction did not commit.
pub(super) enum Failure {
    /// Abortable: nothing of it will be seen.
    Abort(String),
    /// It took longer than a transaction may.
    Late(String),
    /// The client's queue stayed full.
    Full,
    /// The member is over.
    End(Error),
}

/// The producers of one member.
pub(super) struct Writer {
    group: Group,
    producers: [BaseProducer<Deliveries>; 2],
    turn: usize,
    transaction_timeout: Duration,
}

impl Writer {
    /// Opens both producers, which fences a predecessor of the same name and ends its open transaction.
    pub(super) fn open(options: &KafkaOptions, group: &Group) -> Result<Self, Error> {
        let open = |turn: usize| -> Result<BaseProducer<Deliveries>, Error> {
            let producer = producer(options, &format!("{}-{turn}", group.member))?;
            let asked = format!("opening transactions of member {}", group.member);
            producer.init_transactions(client::ASK * 3).map_err(|error| {
                client::death(producer.client(), group)
                    .unwrap_or_else(|| client::unavailable(&asked, &error))
            })?;
            Ok(producer)
        };
        Ok(Self {
            group: group.clone(),
            producers: [open(0)?, open(1)?],
            turn: 0,
            transaction_timeout: options.transaction_timeout,
        })
    }

    /// Writes outputs and offsets in one transaction. Unless it ends the member, a failure has been aborted.
    pub(super) fn transact(
        &mut self,
        outputs: &[Output],
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
        fault: Option<Fault>,
    ) -> Result<(), Failure> {
        self.turn ^= 1;
        let deadline = Deadline::after(self.transaction_timeout);
        let producer = &self.producers[self.turn];
        let attempt = Attempt { producer, group: &self.group, deadline, given_up_at: deadline };
        let done = attempt.run(outputs, offsets, metadata, fault);
        if let Err(Failure::Abort(_) | Failure::Late(_) | Failure::Full) = &done {
            attempt.abort()?;
        }
        done
    }
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

/// One transaction on one producer.
struct Attempt<'a> {
    producer: &'a BaseProducer<Deliveries>,
    group: &'a Group,
    /// Until when it is worth trying.
    deadline: Deadline,
    /// From when on the broker may have given the transaction up by itself.
    given_up_at: Deadline,
}

impl Attempt<'_> {
    fn run(
        &self,
        outputs: &[Output],
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
        fault: Option<Fault>,
    ) -> Result<(), Failure> {
        self.producer.context().forget();
        self.patiently("beginning a transaction", || self.producer.begin_transaction())?;
        for output in outputs {
            self.send(output)?;
        }
        self.drain()?;
        if offsets.count() > 0 {
            let send = || {
                let left = self.deadline.left_or_zero();
                self.producer.send_offsets_to_transaction(offsets, metadata, left)
            };
            self.patiently("sending offsets", send)?;
        }
        match fault {
            Some(Fault::Rewind) => return Err(Failure::Abort("planned".into())),
            // As a real death would, it leaves the transaction open: the successor ends it.
            Some(Fault::DieBefore) => return Err(Failure::End(died())),
            _ => {}
        }
        let commit = || self.producer.commit_transaction(self.deadline.left_or_zero());
        match self.patiently("committing", commit) {
            // Whether it was committed is not known: only a restart tells.
            Err(Failure::Late(reason)) => {
                let what = format!("the outcome of a commit is unknown: {reason}");
                Err(Failure::End(Error::Fatal { what }))
            }
            done => done,
        }
    }

    fn send(&self, output: &Output) -> Result<(), Failure> {
        loop {
            let sent = self.producer.send(BaseRecord::<[u8], [u8]> {
                topic: &output.topic,
                partition: output.partition.map(|number| number as i32),
                payload: output.value.as_deref(),
                key: output.key.as_deref(),
                timestamp: None,
                headers: headers(&output.headers),
                delivery_opaque: (),
            });
            match sent {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), _)) => {
                    if self.deadline.left().is_none() {
                        return Err(Failure::Full);
                    }
                    self.producer.poll(Duration::ZERO);
                    thread::sleep(DRAIN);
                }
                Err((error, _)) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                    return Err(self.refused(&output.topic, code));
                }
            }
        }
    }

    /// What a refused output means: the end if trying again can't help, else an abort.
    fn refused(&self, topic: &str, code: Code) -> Failure {
        let what = format!("an output to topic {topic} was refused: {code}");
        if self.producer.client().fatal_error().is_some() {
            return Failure::End(self.death(code, what));
        }
        match code {
            Code::InvalidRecord
            | Code::InvalidTopic
            | Code::MessageBatchTooLarge
            | Code::MessageSizeTooLarge
            | Code::PolicyViolation
            | Code::TopicAuthorizationFailed
            | Code::UnknownPartition
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition => match self.abort() {
                Ok(()) => Failure::End(Error::Topic { what }),
                Err(failure) => failure,
            },
            _ => Failure::Abort(what),
        }
    }

    /// Waits for all delivery reports.
    fn drain(&self) -> Result<(), Failure> {
        let mut before = self.producer.in_flight_count();
        while before > 0 {
            self.producer.poll(Duration::ZERO);
            let after = self.producer.in_flight_count();
            if after == before {
                if self.deadline.left().is_none() {
                    return Err(Failure::Late("the outputs were not delivered in time".into()));
                }
                thread::sleep(DRAIN);
            }
            before = after;
        }
        match self.producer.context().failure() {
            None => Ok(()),
            Some((topic, code)) => Err(self.refused(&topic, code)),
        }
    }

    /// Calls until it succeeds, is not worth another try, or the transaction's time is over.
    fn patiently(
        &self,
        asked: &str,
        call: impl Fn() -> Result<(), KafkaError>,
    ) -> Result<(), Failure> {
        loop {
            let Err(error) = call() else { return Ok(()) };
            let reason = format!("{asked}: {}", client::reason(&error));
            let KafkaError::Transaction(error) = error else { return Err(Failure::Abort(reason)) };
            if error.is_fatal() || client::is_taken_over(error.code()) {
                return Err(Failure::End(self.death(error.code(), reason)));
            }
            if error.txn_requires_abort() {
                return Err(Failure::Abort(reason));
            }
            if !error.is_retriable() {
                return Err(Failure::End(Error::Fatal { what: reason }));
            }
            if self.deadline.left().is_none() {
                return Err(Failure::Late(reason));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A broker that gives a transaction up fences its producer, just as another process under the same name
    /// does; which of them it was, only the time tells.
    fn death(&self, code: Code, reason: String) -> Error {
        let death = client::death(self.producer.client(), self.group);
        let fenced = client::is_taken_over(code) || matches!(death, Some(Error::Fenced { .. }));
        match death {
            _ if fenced && self.given_up_at.left().is_none() => {
                let what = format!(
                    "a transaction of member {} took too long and was given up by the broker, or another \
                     process runs under the same name: {reason}",
                    self.group.member
                );
                Error::Fatal { what }
            }
            _ if fenced => client::fenced(self.group),
            Some(death) => death,
            None => Error::Fatal { what: reason },
        }
    }

    /// Ends the transaction without a trace. Purge and flush come first: abort would wait for delivery reports
    /// that nobody polls.
    fn abort(&self) -> Result<(), Failure> {
        let abort = Attempt { deadline: Deadline::after(client::ASK * 2), ..*self };
        self.producer.purge(PurgeConfig::default().queue().inflight());
        // What could not be flushed is aborted all the same.
        let _ = self.producer.flush(client::ASK);
        let call = || self.producer.abort_transaction(abort.deadline.left_or_zero());
        match abort.patiently("aborting", call) {
            Err(Failure::Abort(what) | Failure::Late(what)) => {
                Err(Failure::End(Error::Fatal { what }))
            }
            done => done,
        }
    }
}

fn died() -> Error {
    Error::Fatal { what: "died before the commit, as planned".into() }
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
struct Deliveries {
    quiet: Quiet,
    failure: Mutex<Option<(String, Code)>>,
}

impl Deliveries {
    fn forget(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failure(&self) -> Option<(String, Code)> {
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
