//! What all clients have in common: settings, silence on stderr, and what an error of librdkafka means to a
//! caller.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    client::Client,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::KafkaOptions;
use crate::port::{Error, Group, Message, Offset};

/// How long one question to a broker (offsets, watermarks, metadata) may take.
pub(super) const ASK: Duration = Duration::from_secs(10);

/// The promises of the port rest on these.
const FIXED: [&str; 14] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "partition.assignment.strategy",
    "partitioner",
    "transactional.id",
];

/// Refuses overrides of what the promises rest on.
pub(super) fn check_overrides(overrides: &[(String, String)]) -> Result<(), Error> {
    for (name, _) in overrides {
        if FIXED.contains(&bare(name).1) {
            let what = format!("the Kafka setting {name} must not be overridden");
            return Err(Error::Fatal { what });
        }
    }
    Ok(())
}

/// Which kind of client a configuration is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Consumer,
    Producer,
}

/// A configuration with what all clients share.
pub(super) fn config(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", &options.client_id)
        // A restarted broker is found again within a second; the default grows to ten.
        .set("reconnect.backoff.max.ms", "1000")
        .set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// Applies the overrides last.
pub(super) fn override_settings(config: &mut ClientConfig, options: &KafkaOptions, kind: Kind) {
    for (name, value) in &options.overrides {
        match bare(name) {
            (None, name) => config.set(name, value),
            (Some(only), name) if only == kind => config.set(name, value),
            _ => config,
        };
    }
}

fn bare(name: &str) -> (Option<Kind>, &str) {
    if let Some(bare) = name.strip_prefix("consumer.") {
        (Some(Kind::Consumer), bare)
    } else if let Some(bare) = name.strip_prefix("producer.") {
        (Some(Kind::Producer), bare)
    } else {
        (None, name)
    }
}

/// Keeps librdkafka's log lines off stderr (a broker that is down makes dozens a second) and remembers the last
/// complaint, to be told when something really fails.
#[derive(Default)]
pub(super) struct Quiet {
    complaint: Mutex<Option<String>>,
}

impl Quiet {
    /// The last complaint, if there was one.
    pub(super) fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(target: "librdkafka", ?level, facility, text, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "librdkafka error");
        // "All brokers down" says less than the reason before it.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
            *complaint = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Quiet {}

/// The broker did not do as asked.
pub(super) fn unavailable(asked: &str, error: &KafkaError) -> Error {
    Error::Unavailable { what: format!("{asked}: {}", reason(error)) }
}

/// The client can't go on.
pub(super) fn fatal(asked: &str, error: &KafkaError) -> Error {
    Error::Fatal { what: format!("{asked}: {}", reason(error)) }
}

/// An error in words: librdkafka's own for transactions, the code's otherwise.
pub(super) fn reason(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        error => error.to_string(),
    }
}

/// Whether a code says that a producer was fenced; one about its epoch is the other way of saying it.
pub(super) fn is_fenced(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

/// What the caller is told when a client has died of a fatal error, `None` while it lives.
pub(super) fn death<C: ClientContext>(client: &Client<C>, group: &Group) -> Option<Error> {
    let (code, text) = client.fatal_error()?;
    let taken_over = is_fenced(code) || code == Code::FencedInstanceId;
    Some(if taken_over { fenced(group) } else { Error::Fatal { what: text } })
}

/// This member's name has been taken over.
pub(super) fn fenced(group: &Group) -> Error {
    Error::Fenced { group: group.name.clone(), member: group.member.clone() }
}

/// Copies a message out of librdkafka's memory.
pub(super) fn owned(message: &impl rdkafka::Message) -> Message {
    use bytes::Bytes;
    use rdkafka::message::Headers;

    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let of = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.map_or_else(Bytes::new, Bytes::copy_from_slice))
        };
        headers.iter().map(of).collect()
    });
    Message {
        offset: offset(message.offset()),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
    }
}

/// Kafka's offsets are signed, ours are not: real ones are never negative.
pub(super) fn offset(raw: i64) -> Offset {
    Offset::try_from(raw).unwrap_or_default()
}

/// An offset as Kafka wants it.
pub(super) fn raw(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
