//! The second loop: committed alerts out to one channel. This is the edge of the system, so `apply`
//! is not pure: it sends, and waits. Within a partition alerts are sent in their order; partitions
//! do not wait for each other.
//!
//! Offsets are committed once a whole batch has been taken by the receiver or given up. A batch
//! that is interrupted comes again; what this process knows to be done is then skipped, and after a
//! crash the receiver drops the repeats by their ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use domain::{Id, Topics};
use exchange::{
    Assignment, Batch, Group, Message, Offset, Outputs, Partition, Processor, Restore, Slice, Start,
};
use futures::future::join_all;
use runtime::{Clock, Stop, clock::Stopwatch};
use tokio::{runtime::Handle, time::Sleep};

use crate::{
    channels::{SendError, Sender},
    config::NotificationConfig,
    metrics as names,
    payload::Delivery,
};

/// Why a channel's worker ends.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// It was asked to stop; what was not sent comes again.
    #[error("stopped")]
    Stopped,
    /// It has been busy for as long as it may be without asking the broker: rewind, and go on with
    /// the same [`Place`].
    #[error("the turn is over")]
    TurnOver,
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
}

/// What all channels of a process share.
#[derive(Clone)]
pub struct ChannelRuntime {
    /// Limits and times.
    pub config: NotificationConfig,
    /// Says how old an alert is.
    pub clock: Clock,
    /// Runs the network clients: a multi-threaded runtime that outlives the channels.
    pub handle: Handle,
}

/// How far a channel has come beyond what is committed; kept when its worker starts anew.
#[derive(Clone, Debug, Default)]
pub struct Place {
    progress: BTreeMap<Partition, Progress>,
    /// Partitions whose committed offset is gone: they go on with the first alert kept.
    lost: BTreeSet<Partition>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Everything below is done.
    next: Offset,
    /// Failed attempts at the first alert from there.
    attempts: u32,
}

impl Place {
    /// Notes that alerts of a partition were gone before they were read.
    pub fn lose(&mut self, partition: Partition) {
        self.lost.insert(partition);
    }
}

/// The group of a channel; `member` is this process's configured, stable name.
pub fn channel_group(topics: &Topics, channel: &str, member: &str) -> Group {
    Group {
        name: topics.group(&format!("oddwatch-notification-channel-{channel}")),
        member: format!("{member}-channel-{channel}"),
        topics: vec![Arc::clone(&topics.alerts)],
    }
}

/// Sends the alerts of its partitions to one channel.
pub struct ChannelProcessor {
    courier: Courier,
    place: Place,
    handle: Handle,
    stop: Stop,
}

impl ChannelProcessor {
    /// A processor of the channel `name`. Alerts from before `since_ms` (broker's time,
    /// milliseconds since 1970) are not sent: a channel begins with its definition.
    pub fn new(
        name: &str,
        sender: Sender,
        since_ms: i64,
        place: Place,
        runtime: &ChannelRuntime,
        stop: Stop,
    ) -> Self {
        let courier = Courier {
            channel: name.to_owned(),
            sender,
            since_ms,
            config: runtime.config.clone(),
            clock: runtime.clock.clone(),
        };
        Self { courier, place, handle: runtime.handle.clone(), stop }
    }

    /// How far it has come.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl Processor for ChannelProcessor {
    type Error = ChannelError;

    fn restore(&mut self, assignment: &Assignment) -> Result<Restore, ChannelError> {
        let lost = self.place.lost.remove(&assignment.partition);
        Ok(Restore::Start(if lost { Start::Earliest } else { Start::Committed }))
    }

    fn drop_partition(&mut self, _: &Partition) {
        // Progress stays: it is one small entry per partition, and after an aborted commit it saves
        // repeats.
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, ChannelError> {
        if batch.replay {
            return Ok(Outputs::default());
        }
        let (courier, stop) = (&self.courier, &self.stop);
        let slices = batch.slices.iter().map(|slice| {
            let progress = self.place.progress.get(&slice.partition).copied().unwrap_or_default();
            courier.deliver_slice(slice, progress)
        });
        let ends = self.handle.block_on(async {
            tokio::select! {
                biased;
                () = stop.wait() => None,
                ends = join_all(slices) => Some(ends),
            }
        });
        let mut all_done = true;
        for (slice, (progress, done)) in batch.slices.iter().zip(ends.ok_or(ChannelError::Stopped)?)
        {
            self.place.progress.insert(slice.partition.clone(), progress);
            all_done &= done;
        }
        if all_done { Ok(Outputs::default()) } else { Err(ChannelError::TurnOver) }
    }
}

/// Brings single alerts to the receiver.
struct Courier {
    channel: String,
    sender: Sender,
    since_ms: i64,
    config: NotificationConfig,
    clock: Clock,
}

impl Courier {
    /// Delivers a slice in order; says how far it came and whether that is the end.
    async fn deliver_slice(&self, slice: &Slice, mut progress: Progress) -> (Progress, bool) {
        let mut turn = pin!(tokio::time::sleep(self.config.turn_max()));
        for message in &slice.messages {
            if message.offset < progress.next {
                continue;
            }
            if !self.deliver(message, &mut progress.attempts, turn.as_mut()).await {
                return (progress, false);
            }
            progress = Progress { next: message.offset + 1, attempts: 0 };
        }
        (progress, true)
    }

    /// Delivers one alert or gives it up; `false` if the turn ended before.
    async fn deliver(
        &self,
        message: &Message,
        attempts: &mut u32,
        mut turn: Pin<&mut Sleep>,
    ) -> bool {
        // A tombstone, or from before the channel was.
        let (Some(value), true) = (&message.value, message.timestamp_ms >= self.since_ms) else {
            return true;
        };
        let delivery = match Delivery::of(value, self.config.contributions_max) {
            Ok(delivery) => delivery,
            Err(error) => {
                let offset = message.offset;
                tracing::error!(channel = self.channel, offset, %error, "alert can't be read");
                self.dropped("undecodable");
                return true;
            }
        };
        loop {
            if is_over(turn.as_mut()).await {
                return false;
            }
            let (what, after) = match self.attempt(&delivery).await {
                Ok(()) => return true,
                Err(SendError::Refused { what }) => {
                    tracing::error!(
                        channel = self.channel,
                        alert = delivery.id,
                        error = what,
                        "alert refused"
                    );
                    self.dropped("refused");
                    return true;
                }
                Err(SendError::Retry { what, after }) => (what, after),
            };
            *attempts += 1;
            if self.is_expired(message) {
                let attempts = *attempts;
                tracing::error!(
                    channel = self.channel,
                    alert = delivery.id,
                    attempts,
                    error = what,
                    "alert given up"
                );
                self.dropped("expired");
                return true;
            }
            if *attempts == 1 {
                tracing::warn!(
                    channel = self.channel,
                    alert = delivery.id,
                    error = what,
                    "alert not sent, trying again"
                );
            }
            metrics::counter!(names::RETRIES, "channel" => self.channel.clone()).increment(1);
            let delay = delay(&self.config, &delivery.id, *attempts, after);
            tokio::select! {
                biased;
                () = turn.as_mut() => return false,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<(), SendError> {
        let watch = Stopwatch::start();
        let result = self.sender.send(delivery).await;
        let channel = self.channel.clone();
        metrics::histogram!(names::SEND_SECONDS, "channel" => channel.clone())
            .record(watch.elapsed());
        if result.is_ok() {
            metrics::counter!(names::SENT, "channel" => channel).increment(1);
        }
        result
    }

    /// By the alert's own age and not by the time spent on it: so a dead receiver's backlog is
    /// bounded, and a restart changes nothing.
    fn is_expired(&self, message: &Message) -> bool {
        let age_ms = (self.clock.now() / 1_000).saturating_sub(message.timestamp_ms);
        age_ms >= 0 && age_ms.unsigned_abs() >= self.config.retry_for_ms
    }

    fn dropped(&self, reason: &'static str) {
        let channel = self.channel.clone();
        metrics::counter!(names::DROPPED, "channel" => channel, "reason" => reason).increment(1);
    }
}

/// Whether the time is up, without waiting.
async fn is_over(mut turn: Pin<&mut Sleep>) -> bool {
    poll_fn(|context| std::task::Poll::Ready(turn.as_mut().poll(context).is_ready())).await
}

/// The wait after so many failed attempts: doubling, from half to the whole by a hash of the id, so
/// that deliveries that failed together do not come back together; at least what the receiver asked
/// for, if that is no longer than the maximum.
fn delay(
    config: &NotificationConfig,
    id: &str,
    attempts: u32,
    asked: Option<Duration>,
) -> Duration {
    let doubled = config.backoff_ms.saturating_mul(1 << attempts.saturating_sub(1).min(30));
    let whole = doubled.min(config.backoff_ms_max);
    let jitter = Id::of(&[id.as_bytes(), &attempts.to_le_bytes()]).seed() % (whole / 2 + 1);
    let max = Duration::from_millis(config.backoff_ms_max);
    Duration::from_millis(whole - jitter).max(asked.unwrap_or_default().min(max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::defaults;

    #[test]
    fn waits_double_up_to_the_maximum_and_differ_by_id() {
        let config = NotificationConfig { backoff_ms: 100, backoff_ms_max: 1_000, ..defaults() };
        let check = |attempts: u32, asked: Option<u64>, from: u64, to: u64| {
            let delay = delay(&config, "a", attempts, asked.map(Duration::from_millis));
            let ms = delay.as_millis() as u64;
            assert!((from..=to).contains(&ms), "attempt {attempts}: {ms} ms, not {from} to {to}");
        };
        check(1, None, 50, 100);
        check(2, None, 100, 200);
        check(4, None, 400, 800);
        check(5, None, 500, 1_000);
        check(u32::MAX, None, 500, 1_000);
        check(1, Some(700), 700, 700);
        check(1, Some(3_600_000), 1_000, 1_000);
        let of = |id| delay(&config, id, 5, None);
        assert_eq!(of("a"), of("a"));
        assert!(["b", "c", "d"].iter().any(|id| of(id) != of("a")));
    }
}
