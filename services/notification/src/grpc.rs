//! `AlertService.Subscribe`: follows the committed alerts and streams those that the client wants.
//! Each client has a blocking thread that reads and a bounded queue; a slow client makes its own
//! reader wait and nobody else.

use std::{pin::Pin, sync::Arc, thread, time::Duration};

use domain::Topics;
use exchange::{Exchange, FollowFrom, Follower};
use futures::{Stream, StreamExt as _};
use runtime::Stop;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use wire::v1::{
    Alert, Severity, SubscribeRequest, SubscribeResponse,
    alert::Finding,
    alert_service_server::{AlertService, AlertServiceServer},
};

use crate::{config::NotificationConfig, metrics as names};

/// How long a reader waits for alerts before it looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(250);
const ALERTS_MAX: usize = 256;

/// The gRPC service; clones share the limit of subscribers.
#[derive(Clone)]
pub struct Alerts {
    exchange: Arc<dyn Exchange>,
    topic: Arc<str>,
    queue_max: usize,
    subscribers_max: usize,
    places: Arc<Semaphore>,
    stop: Stop,
}

impl Alerts {
    /// The service on the alerts of this exchange; ends its streams when `stop` is asked.
    pub fn new(
        exchange: Arc<dyn Exchange>,
        topics: &Topics,
        config: &NotificationConfig,
        stop: Stop,
    ) -> Self {
        Self {
            exchange,
            topic: Arc::clone(&topics.alerts),
            queue_max: config.subscriber_queue_max,
            subscribers_max: config.subscribers_max,
            places: Arc::new(Semaphore::new(config.subscribers_max)),
            stop,
        }
    }

    /// To be added to a server's routes.
    pub fn into_service(self) -> AlertServiceServer<Self> {
        AlertServiceServer::new(self)
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            metrics::counter!(names::SUBSCRIBERS_REFUSED).increment(1);
            let max = self.subscribers_max;
            Status::resource_exhausted(format!(
                "{max} clients are subscribed, which is the limit (notification.subscribers_max)"
            ))
        })
    }
}

#[tonic::async_trait]
impl AlertService for Alerts {
    type SubscribeStream =
        Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send + 'static>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let request = request.into_inner();
        let place = self.place()?;
        let (exchange, topic) = (Arc::clone(&self.exchange), Arc::clone(&self.topic));
        let from = if request.from_start { FollowFrom::Earliest } else { FollowFrom::Latest };
        // Opened before the answer: what is committed after a client has the answer reaches it.
        let follower = tokio::task::spawn_blocking(move || exchange.follow(&topic, from))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (queue, alerts) = mpsc::channel(self.queue_max);
        let reader = Reader { follower, request, queue, stop: self.stop.clone(), _place: place };
        thread::Builder::new()
            .name("subscriber".into())
            .spawn(move || reader.run())
            .map_err(|error| Status::resource_exhausted(format!("no thread: {error}")))?;
        let stop = self.stop.clone();
        let alerts =
            ReceiverStream::new(alerts).take_until(Box::pin(async move { stop.wait().await }));
        Ok(Response::new(Box::pin(alerts)))
    }
}

/// Reads alerts for one client; its place is free again when it ends.
struct Reader {
    follower: Box<dyn Follower>,
    request: SubscribeRequest,
    queue: mpsc::Sender<Result<SubscribeResponse, Status>>,
    stop: Stop,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    fn run(mut self) {
        metrics::gauge!(names::SUBSCRIBERS).increment(1.0);
        while !self.stop.stopped() && !self.queue.is_closed() {
            match self.follower.next(LOOK, ALERTS_MAX) {
                Ok(messages) => {
                    let values =
                        messages.iter().filter_map(|(_, message)| message.value.as_deref());
                    if !values.into_iter().all(|value| self.offer(value)) {
                        break;
                    }
                }
                // A ring overran it, or the topic was cut: the next call goes on from what is kept.
                Err(error @ exchange::Error::Lost { .. }) => {
                    tracing::warn!(%error, "a subscriber missed alerts");
                }
                Err(error) => {
                    tracing::warn!(%error, "a subscription ends");
                    let _ = self.queue.blocking_send(Err(Status::unavailable(error.to_string())));
                    break;
                }
            }
        }
        metrics::gauge!(names::SUBSCRIBERS).decrement(1.0);
    }

    /// Hands an alert on, if it is wanted; waits while the queue is full. Says whether the client
    /// is still there.
    fn offer(&self, value: &[u8]) -> bool {
        let alert = match wire::events::decode_alert_message(value) {
            Ok(alert) => alert,
            Err(error) => {
                tracing::warn!(%error, "alert can't be read");
                return true;
            }
        };
        if !is_wanted(&alert, &self.request) {
            return true;
        }
        metrics::counter!(names::SUBSCRIBER_ALERTS).increment(1);
        self.queue.blocking_send(Ok(SubscribeResponse { alert: Some(alert) })).is_ok()
    }
}

fn is_wanted(alert: &Alert, request: &SubscribeRequest) -> bool {
    let (stream, key) = match &alert.finding {
        Some(Finding::Anomaly(anomaly)) => match &anomaly.series {
            Some(series) => (series.stream.as_str(), series.key.as_str()),
            None => ("", ""),
        },
        Some(Finding::Drift(drift)) => (drift.stream.as_str(), drift.key.as_str()),
        None => ("", ""),
    };
    let severe_enough =
        request.severity_min() == Severity::Unspecified || alert.severity >= request.severity_min;
    severe_enough
        && (request.stream.is_empty() || request.stream == stream)
        && (request.key.is_empty() || request.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{state::alert_of, summary::tests};

    fn alert(finding: domain::Finding) -> Alert {
        let bytes = wire::events::encode_alert(&alert_of(finding), wire::events::Stamps::default());
        wire::events::decode_alert_message(&bytes).unwrap()
    }

    #[test]
    fn a_client_gets_what_it_asked_for() {
        // Critical, of series cpu/0 in stream default.
        let anomaly = alert(domain::Finding::Anomaly(tests::anomaly()));
        // Low, of the same series.
        let drift = alert(domain::Finding::Drift(tests::drift()));
        let check = |severity_min: Severity, stream: &str, key: &str, expect: [bool; 2]| {
            let request = SubscribeRequest {
                severity_min: severity_min.into(),
                stream: stream.into(),
                key: key.into(),
                from_start: false,
            };
            let found = [is_wanted(&anomaly, &request), is_wanted(&drift, &request)];
            assert_eq!(found, expect, "{request:?}");
        };
        check(Severity::Unspecified, "", "", [true, true]);
        check(Severity::Low, "", "", [true, true]);
        check(Severity::Medium, "", "", [true, false]);
        check(Severity::Critical, "default", "cpu/0", [true, false]);
        check(Severity::Unspecified, "default", "cpu/1", [false, false]);
        check(Severity::Unspecified, "other", "", [false, false]);
    }
}
