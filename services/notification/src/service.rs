//! The first loop: findings in, alerts out, in one commit. Decides nothing; `state` does.

use std::sync::Arc;

use control::{ControlLog, ControlWriter};
use domain::{Finding, Micros, Reason, Topics};
use exchange::{
    Assignment, Batch, Group, Message, Output, Outputs, Partition, Place, Processor, Restore, Start,
};
use runtime::Clock;
use wire::events::Stamps;

use crate::{
    codec::{self, Refused},
    config::NotificationConfig,
    metrics as names,
    state::{self, State},
};

/// The service's name, as in refusals.
pub const SERVICE: &str = "notification";

/// Why notification can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// Control can't be read or written.
    #[error(transparent)]
    Control(#[from] control::Error),
}

/// The group of the first loop; `member` is this thread's configured, stable name.
pub fn group(topics: &Topics, member: &str) -> Group {
    Group {
        name: topics.group("oddwatch-notification"),
        member: member.into(),
        topics: vec![Arc::clone(&topics.anomalies), Arc::clone(&topics.drifts)],
    }
}

/// Makes one alert of each anomaly and each drift.
///
/// The clock only stamps when an alert was published; nothing depends on it.
pub struct NotificationProcessor {
    topics: Topics,
    control: ControlLog,
    writer: ControlWriter,
    clock: Clock,
    state: State,
    /// The message in hand.
    hand: Option<Place>,
}

impl NotificationProcessor {
    /// A processor without partitions.
    pub fn new(
        topics: Topics,
        control: ControlLog,
        writer: ControlWriter,
        config: &NotificationConfig,
        clock: Clock,
    ) -> Self {
        let state = State::new(config.open_max, config.finished_max);
        Self { topics, control, writer, clock, state, hand: None }
    }

    fn output(
        &mut self,
        partition: &Partition,
        message: &Message,
        replay: bool,
        now: Micros,
    ) -> Option<Output> {
        let offset = message.offset;
        self.hand = Some(Place { partition: partition.clone(), offset, item: Place::WHOLE });
        if self.control.skipped(SERVICE, partition, message).is_some() {
            let detail = "notification panicked or died on it".to_owned();
            let refused = Refused { reason: Reason::Poison, detail };
            return (!replay).then(|| self.refusal(partition, message, refused, now));
        }
        let finding = codec::decode_finding(&self.topics, &partition.topic, message);
        let new = finding.as_ref().is_ok_and(|finding| self.state.take(partition, finding));
        if replay {
            return None;
        }
        let made = finding.and_then(|finding| {
            if !new {
                metrics::counter!(names::REPEATS, "finding" => name_of(&finding)).increment(1);
                return Ok(None);
            }
            self.alert(partition, finding, now).map(Some)
        });
        made.unwrap_or_else(|refused| Some(self.refusal(partition, message, refused, now)))
    }

    fn alert(
        &self,
        partition: &Partition,
        finding: Finding,
        now: Micros,
    ) -> Result<Output, Refused> {
        let finding_name = name_of(&finding);
        let ingested_at = match &finding {
            Finding::Anomaly(anomaly) => anomaly.ingested_at,
            Finding::Drift(drift) => drift.ingested_at,
        };
        let alert = state::alert_of(finding);
        let stamps = Stamps::published(now);
        let output = codec::encode_alert(&self.topics, partition.number, &alert, stamps)?;
        let state = alert.state.name();
        metrics::counter!(names::ALERTS, "finding" => finding_name, "state" => state).increment(1);
        let seconds = now.saturating_sub(ingested_at).max(0) as f64 / 1e6;
        metrics::histogram!(names::ALERT_SECONDS).record(seconds);
        Ok(output)
    }

    fn refusal(
        &self,
        partition: &Partition,
        message: &Message,
        refused: Refused,
        now: Micros,
    ) -> Output {
        metrics::counter!(names::REFUSED, "reason" => refused.reason.name()).increment(1);
        codec::encode_refusal(&self.topics, partition, message, refused, Stamps::published(now))
    }
}

fn name_of(finding: &Finding) -> &'static str {
    match finding {
        Finding::Anomaly(_) => "anomaly",
        Finding::Drift(_) => "drift",
    }
}

impl Processor for NotificationProcessor {
    type Error = Error;

    /// State is rebuilt from what is kept of the input: it is small, and only drops repeats.
    fn restore(&mut self, assignment: &Assignment) -> Result<Restore, Error> {
        self.control.read_all()?;
        self.state.drop_partition(&assignment.partition);
        Ok(Restore::Start(Start::Earliest))
    }

    fn drop_partition(&mut self, partition: &Partition) {
        self.state.drop_partition(partition);
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Error> {
        let now = self.clock.now();
        let mut outputs = Outputs::default();
        for slice in &batch.slices {
            for message in &slice.messages {
                outputs.messages.extend(self.output(&slice.partition, message, batch.replay, now));
            }
        }
        let forgotten = self.state.take_forgotten();
        if forgotten > 0 {
            metrics::counter!(names::FORGOTTEN).increment(forgotten);
        }
        Ok(outputs)
    }

    fn can_skip(&self) -> bool {
        true
    }

    fn place(&self) -> Option<Place> {
        self.hand.clone()
    }

    fn skip(&mut self, place: &Place, why: &str) -> Result<(), Error> {
        let place = Place { item: Place::WHOLE, ..place.clone() };
        self.writer.skip(SERVICE, &place, why, self.clock.now())?;
        Ok(())
    }
}
