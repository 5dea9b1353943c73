//! Writing outside any group: idempotent, answered when durable.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};

use super::{
    Quiet,
    client::{self, Kind},
    topics::{BATCH_BYTES_MAX, Cluster, missing},
    writer::headers,
};
use crate::{
    deadline::Deadline,
    port::{Append, Error, Offset, Output},
};

/// How much longer than librdkafka a call waits for the reports.
const GRACE: Duration = Duration::from_secs(1);

/// A writer for front doors and control.
pub(super) struct KafkaAppender {
    cluster: Arc<Cluster>,
    producer: ThreadedProducer<Reports>,
}

impl KafkaAppender {
    pub(super) fn open(cluster: Arc<Cluster>) -> Result<Self, Error> {
        let options = &cluster.options;
        let mut config = client::config(options);
        config
            .set("enable.idempotence", "true")
            // One request per partition and 5 ms; with 1 ms a busy front door saturates the broker.
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", BATCH_BYTES_MAX.to_string())
            .set("message.timeout.ms", options.append_timeout.as_millis().to_string())
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "65536");
        client::override_settings(&mut config, options, Kind::Producer);
        let producer = config
            .create_with_context(Reports::default())
            .map_err(|error| client::fatal("the Kafka settings are refused", &error))?;
        Ok(Self { cluster, producer })
    }

    fn send(&self, output: &Output, report: Box<Report>) -> Result<(), Error> {
        let sent = self.producer.send(BaseRecord::<[u8], [u8], Box<Report>> {
            topic: &output.topic,
            partition: output.partition.map(|number| number as i32),
            payload: output.value.as_deref(),
            key: output.key.as_deref(),
            timestamp: None,
            headers: headers(&output.headers),
            delivery_opaque: report,
        });
        match sent {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(code), _)) => Err(refused(&output.topic, code)),
            Err((error, _)) => Err(client::fatal("appending", &error)),
        }
    }
}

impl Append for KafkaAppender {
    fn append(&self, messages: Vec<Output>) -> Result<Vec<(u32, Offset)>, Error> {
        self.cluster.check_sizes(&messages)?;
        let call = Arc::new(Call::new(messages.len()));
        let mut refusal = None;
        for (index, output) in messages.iter().enumerate() {
            let report = Box::new(Report { call: Arc::clone(&call), index });
            if let Err(error) = self.send(output, report) {
                call.give_up(messages.len() - index);
                refusal = Some(error);
                break;
            }
        }
        let answers = call.wait(self.cluster.options.append_timeout + GRACE);
        match refusal {
            Some(error) => Err(error),
            None => answers
                .into_iter()
                .zip(&messages)
                .map(|(answer, output)| match answer {
                    Some(Ok(place)) => Ok(place),
                    Some(Err(code)) => Err(refused(&output.topic, code)),
                    None => Err(refused(&output.topic, Code::MessageTimedOut)),
                })
                .collect(),
        }
    }
}

impl Drop for KafkaAppender {
    fn drop(&mut self) {
        // Calls have ended, so nobody waits for what may still be queued.
        let _ = self.producer.flush(Duration::from_millis(500));
    }
}

fn refused(topic: &str, code: Code) -> Error {
    match code {
        Code::QueueFull => Error::Full { what: "the queue to Kafka".into() },
        Code::UnknownTopic | Code::UnknownTopicOrPartition => missing(topic),
        Code::UnknownPartition => {
            Error::Topic { what: format!("topic {topic} has no such partition") }
        }
        Code::TopicAuthorizationFailed
        | Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidRecord
        | Code::PolicyViolation => {
            Error::Topic { what: format!("appending to topic {topic}: {code}") }
        }
        code => Error::Unavailable { what: format!("appending to topic {topic}: {code}") },
    }
}

/// Where a message went, or why not; `None` until it is known.
type Answer = Option<Result<(u32, Offset), Code>>;

/// One call of `append`: where its messages went.
struct Call {
    state: Mutex<(usize, Vec<Answer>)>,
    done: Condvar,
}

/// Which message of which call a delivery report is about.
struct Report {
    call: Arc<Call>,
    index: usize,
}

impl Call {
    fn new(messages: usize) -> Self {
        Self { state: Mutex::new((messages, vec![None; messages])), done: Condvar::new() }
    }

    fn answer(&self, index: usize, answer: Result<(u32, Offset), Code>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1[index] = Some(answer);
        state.0 -= 1;
        if state.0 == 0 {
            self.done.notify_one();
        }
    }

    /// So many messages were never sent.
    fn give_up(&self, messages: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 -= messages;
    }

    fn wait(&self, wait: Duration) -> Vec<Answer> {
        let deadline = Deadline::after(wait);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.0 > 0
            && let Some(left) = deadline.left()
        {
            let waited = self.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.1.clone()
    }
}

/// Passes delivery reports to the calls that wait for them.
#[derive(Default)]
struct Reports {
    quiet: Quiet,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.quiet.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        let answer = match result {
            Ok(message) => Ok((message.partition() as u32, client::offset(message.offset()))),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
        };
        report.call.answer(report.index, answer);
    }
}
