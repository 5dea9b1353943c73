//! What the front doors share: which streams there are, appending with a bound, and why a request is not
//! taken. They only append to the streams' topics; what is in the records is checked by ingest proper.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use control::ControlLog;
use domain::definition::DEFAULT_STREAM;
use exchange::{Append, Exchange, Output};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    config::IngestConfig,
    metrics,
    streams::{StreamSpec, Streams},
};

/// After how many seconds a client is told to try again.
pub(crate) const RETRY_SECONDS: u64 = 1;

/// The front doors' way to the exchange; clones share it.
#[derive(Clone)]
pub struct FrontDoor(Arc<Shared>);

struct Shared {
    appender: Arc<dyn Append>,
    known: Mutex<Known>,
    records_topic: String,
    topic_prefix: String,
    config: IngestConfig,
    permits: Arc<Semaphore>,
}

/// The streams in force, as far as `control` was read.
struct Known {
    control: ControlLog,
    streams: Arc<Streams>,
}

/// Why a request is not taken, by what the client can do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// Name another stream, or define this one.
    #[error("there is no stream {0:?}")]
    NoStream(String),
    /// Send something else.
    #[error("{0}")]
    Invalid(String),
    /// Send less.
    #[error("{0}")]
    TooLarge(String),
    /// The stream takes another format.
    #[error("{0}")]
    WrongFormat(String),
    /// Try again later.
    #[error("{0}; try again in {RETRY_SECONDS} s")]
    Busy(String),
    /// The broker is away; what was written is not known.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing that the client could do.
    #[error("{0}")]
    Failed(String),
}

impl PublishError {
    fn cause(&self) -> &'static str {
        match self {
            Self::NoStream(_) => "no_stream",
            Self::Invalid(_) => "invalid",
            Self::TooLarge(_) => "too_large",
            Self::WrongFormat(_) => "wrong_format",
            Self::Busy(_) => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Failed(_) => "failed",
        }
    }
}

/// Messages to append and how many records they hold.
pub(crate) struct Encoded {
    pub(crate) messages: Vec<Output>,
    pub(crate) records: usize,
}

impl FrontDoor {
    /// A front door. It reads `control` on for itself.
    ///
    /// # Errors
    /// `Unavailable` if nothing can be appended.
    pub fn new(
        exchange: &dyn Exchange,
        control: ControlLog,
        topic_prefix: &str,
        config: IngestConfig,
    ) -> Result<Self, exchange::Error> {
        let streams = Arc::new(Streams::new(control.latest(), topic_prefix));
        Ok(Self(Arc::new(Shared {
            appender: exchange.appender()?,
            known: Mutex::new(Known { control, streams }),
            records_topic: domain::Topics::new(topic_prefix).records.to_string(),
            topic_prefix: topic_prefix.to_owned(),
            permits: Arc::new(Semaphore::new(config.publish_in_flight_max)),
            config,
        })))
    }

    pub(crate) fn config(&self) -> &IngestConfig {
        &self.0.config
    }

    /// Appends what `encode` makes for the stream (empty: the default one); answers with the number of
    /// records once they are durable.
    pub(crate) async fn publish(
        &self,
        door: &'static str,
        stream: String,
        encode: impl FnOnce(&Arc<str>, &StreamSpec) -> Result<Encoded, PublishError> + Send + 'static,
    ) -> Result<u64, PublishError> {
        let published = self.append(stream, encode).await;
        match &published {
            Ok(records) => {
                ::metrics::counter!(metrics::PUBLISHED, "door" => door).increment(*records);
            }
            Err(error) => {
                let cause = error.cause();
                ::metrics::counter!(metrics::PUBLISH_FAILED, "door" => door, "cause" => cause)
                    .increment(1);
            }
        }
        published
    }

    async fn append(
        &self,
        stream: String,
        encode: impl FnOnce(&Arc<str>, &StreamSpec) -> Result<Encoded, PublishError> + Send + 'static,
    ) -> Result<u64, PublishError> {
        let permit = self.permit().await?;
        let shared = self.0.clone();
        let appended = tokio::task::spawn_blocking(move || {
            // Held until the append has ended, even if the client is gone.
            let _permit = permit;
            let streams = shared.streams();
            let found = match stream.as_str() {
                "" => streams.on_topic(&shared.records_topic).or(streams.named(DEFAULT_STREAM)),
                name => streams.named(name),
            };
            let (topic, spec) = found.ok_or_else(|| {
                let name = if stream.is_empty() { DEFAULT_STREAM.to_owned() } else { stream };
                PublishError::NoStream(name)
            })?;
            let Encoded { messages, records } = encode(topic, spec)?;
            shared.appender.append(messages).map_err(refused)?;
            Ok(records as u64)
        });
        appended.await.unwrap_or_else(|error| Err(PublishError::Failed(error.to_string())))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, PublishError> {
        let wait = Duration::from_millis(self.0.config.publish_wait_ms);
        match tokio::time::timeout(wait, self.0.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(PublishError::Busy("too many requests are being appended".into())),
        }
    }
}

impl Shared {
    /// The streams in force now; those last known if `control` can't be read.
    fn streams(&self) -> Arc<Streams> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = known.control.refresh() {
            tracing::debug!(%error, "control was not read");
        }
        if known.control.latest().version > known.streams.version {
            known.streams = Arc::new(Streams::new(known.control.latest(), &self.topic_prefix));
        }
        known.streams.clone()
    }
}

fn refused(error: exchange::Error) -> PublishError {
    match error {
        exchange::Error::Full { .. } => PublishError::Busy(error.to_string()),
        exchange::Error::Oversized { .. } => PublishError::TooLarge(error.to_string()),
        exchange::Error::Unavailable { .. } => PublishError::Unavailable(error.to_string()),
        _ => PublishError::Failed(error.to_string()),
    }
}

/// Refuses requests without records and with too many.
pub(crate) fn check_count(records: usize, records_max: usize) -> Result<(), PublishError> {
    match records {
        0 => Err(PublishError::Invalid(
            "the request has no records: at least one is expected".into(),
        )),
        n if n > records_max => Err(PublishError::TooLarge(format!(
            "the request has {n} records, at most {records_max} are taken: send several requests"
        ))),
        _ => Ok(()),
    }
}
