//! One transaction: what it goes through, and what each error in it means.
//!
//! Found by killing a broker under load: a transaction that was open for longer than its time is aborted by the
//! returning broker, which tells the producer that it was fenced; a commit that was under way is answered when the
//! broker is back, as often as it is asked for; what the group has against the offsets (another generation, another
//! member of our name) is no more than a lost assignment, often our own consumer that has joined anew.

use std::{thread, time::Duration};

use rdkafka::{
    TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, BaseRecord, Producer, PurgeConfig},
};

use super::{
    client,
    writer::{Deliveries, Failure, headers},
};
use crate::{
    deadline::Deadline,
    faults::Fault,
    points::{self, Point},
    port::{Error, Group, Output},
};

/// How long a commit or an abort is asked for: over a broker's restart. With the time of a transaction it stays
/// below `max.poll.interval.ms`, so the partitions are still ours afterwards.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long the drain before a commit sleeps when nothing has come in. `BaseProducer::poll` with a time-out spins
/// its last millisecond away: 1.5 of 2 cores with three workers.
const DRAIN: Duration = Duration::from_micros(200);

/// One transaction on one producer.
pub(super) struct Attempt<'a> {
    producer: &'a BaseProducer<Deliveries>,
    group: &'a Group,
    /// Until when it is worth trying.
    deadline: Deadline,
}

impl<'a> Attempt<'a> {
    /// A transaction that may take so long.
    pub(super) fn new(
        producer: &'a BaseProducer<Deliveries>,
        group: &'a Group,
        timeout: Duration,
    ) -> Self {
        Self { producer, group, deadline: Deadline::after(timeout) }
    }

    /// Sends everything and commits. Unless it ends the member or was given up, a failure has been aborted.
    pub(super) fn run(
        &self,
        outputs: &[Output],
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
        fault: Option<Fault>,
    ) -> Result<(), Failure> {
        match self.fill(outputs, offsets, metadata, fault) {
            Ok(()) => self.commit(),
            Err(failure) if failure.is_abortable() => {
                self.abort()?;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whether nobody has fenced the producer, asked by a transaction that is aborted in any case.
    pub(super) fn is_ours(
        &self,
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
    ) -> Result<bool, Failure> {
        let patient = Attempt { deadline: Deadline::after(PATIENCE), ..*self };
        let send = || {
            let left = patient.deadline.left_or_zero();
            self.producer.send_offsets_to_transaction(offsets, metadata, left)
        };
        let sent = patient
            .patiently("beginning a transaction", || self.producer.begin_transaction())
            .and_then(|()| patient.patiently("sending offsets", send));
        let ended = match sent {
            // Whatever the group has against the offsets: the producer got as far as to ask it.
            Ok(()) => self.abort(),
            Err(failure) if failure.is_abortable() => self.abort(),
            failed => failed,
        };
        match ended {
            Ok(()) => Ok(true),
            Err(Failure::Fenced(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    fn fill(
        &self,
        outputs: &[Output],
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
        fault: Option<Fault>,
    ) -> Result<(), Failure> {
        points::pass(Point::BeforeBegin);
        self.producer.context().forget();
        self.patiently("beginning a transaction", || self.producer.begin_transaction())?;
        for output in outputs {
            self.send(output)?;
        }
        self.drain()?;
        points::pass(Point::AfterSend);
        if offsets.count() > 0 {
            let send = || {
                let left = self.deadline.left_or_zero();
                self.producer.send_offsets_to_transaction(offsets, metadata, left)
            };
            self.patiently("sending offsets", send)?;
        }
        points::pass(Point::AfterOffsets);
        match fault {
            Some(Fault::Rewind) => Err(Failure::Abort("planned".into())),
            // As a real death would, it leaves the transaction open: the successor ends it.
            Some(Fault::DieBefore) => Err(Failure::End(died())),
            _ => Ok(()),
        }
    }

    /// Once it was asked for, a commit can't be taken back: it is asked for until the answer comes, also over a
    /// restart of the broker.
    fn commit(&self) -> Result<(), Failure> {
        let commit = Attempt { deadline: Deadline::after(PATIENCE), ..*self };
        let call = || self.producer.commit_transaction(commit.deadline.left_or_zero());
        let failure = match commit.patiently("committing", call) {
            Ok(()) => {
                points::pass(Point::AfterCommit);
                return Ok(());
            }
            // An abort that is answered proves that it was not committed.
            Err(failure @ Failure::Abort(_)) => self.abort().err().unwrap_or(failure),
            Err(failure) => failure,
        };
        // Whether it was committed is not known: only a restart tells.
        Err(match failure {
            Failure::Late(reason) | Failure::GivenUp(reason) => {
                let what = format!("the outcome of a commit is unknown: {reason}");
                Failure::End(Error::Fatal { what })
            }
            failure => failure,
        })
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
            return self.death(code, what);
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
            if error.is_fatal() || client::is_fenced(error.code()) {
                return Err(self.death(error.code(), reason));
            }
            if error.code() == Code::FencedInstanceId {
                return Err(Failure::Unseated(reason));
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

    /// What it means that a producer has died.
    fn death(&self, code: Code, reason: String) -> Failure {
        let client = self.producer.client();
        let code = client.fatal_error().map_or(code, |(code, _)| code);
        match code {
            code if client::is_fenced(code) => Failure::Fenced(reason),
            // A restarted broker never learnt that the transaction was begun.
            Code::InvalidTransactionalState | Code::InvalidProducerIdMapping => {
                Failure::GivenUp(reason)
            }
            _ => {
                let death = client::death(client, self.group);
                Failure::End(death.unwrap_or(Error::Fatal { what: reason }))
            }
        }
    }

    /// Ends the transaction without a trace. Purge and flush come first: abort would wait for delivery reports
    /// that nobody polls.
    fn abort(&self) -> Result<(), Failure> {
        let abort = Attempt { deadline: Deadline::after(PATIENCE), ..*self };
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
