//! The threads of a run, each with one job: reading the machine into `records`, disturbing it, and following
//! `detection.completed` and `alerts`. They tell the run's one loop what they see.

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use bytes::Bytes;
use domain::Micros;
use exchange::{Append, Follower, Message, Output};

use super::{
    DemoError, disturbance::Prepared, metrics::Sampler, pace::Pace, plan::Plan, story::Event,
};

/// How long a follower waits for messages before it looks whether the run is over.
const WAIT: Duration = Duration::from_millis(50);
const MESSAGES_MAX: usize = 1_000;
/// A full exchange is offered the same records again after this time.
const FULL_WAIT: Micros = 20_000;

/// Tells of an event; `false` once nobody listens.
type Tell = SyncSender<Event>;

fn tell_end(tell: &Tell, end: Result<(), DemoError>) {
    if let Err(error) = end {
        // If nobody listens any more, the run is over anyway.
        let _ = tell.send(Event::Broken(error));
    }
}

/// When the machine is read.
#[derive(Clone, Copy)]
pub(crate) struct Readings {
    /// So often.
    pub(crate) every: Micros,
    /// Not any more from here on.
    pub(crate) ends: Micros,
}

/// Reads the machine and publishes what it shows, as any user would.
pub(crate) fn sample(
    mut sampler: Sampler,
    append: &Arc<dyn Append>,
    topic: &Arc<str>,
    readings: Readings,
    pace: &Pace,
    tell: &Tell,
) {
    let mut publish = || -> Result<(), DemoError> {
        let mut due = pace.now();
        while due < readings.ends && pace.wait_until(due) {
            let now = pace.now();
            let samples = sampler.sample(now);
            let records: Vec<_> = samples.iter().map(|s| s.record(now / 1_000)).collect();
            let value = Bytes::from(serde_json::Value::Array(records).to_string());
            // Told before it is done: a score may be back before the append is.
            if tell.send(Event::Published(samples)).is_err()
                || !append_when_there_is_room(append, topic, &value, pace)?
            {
                break;
            }
            // Readings that a busy machine made late are left out, not made up for.
            due += readings.every * ((pace.now() - due) / readings.every + 1);
        }
        Ok(())
    };
    let end = publish();
    tell_end(tell, end);
}

/// Says whether it was written; it is not when the run ends before there is room.
fn append_when_there_is_room(
    append: &Arc<dyn Append>,
    topic: &Arc<str>,
    value: &Bytes,
    pace: &Pace,
) -> Result<bool, DemoError> {
    loop {
        let output = Output {
            topic: topic.clone(),
            partition: None,
            key: None,
            value: Some(value.clone()),
            headers: vec![],
        };
        match append.append(vec![output]) {
            Ok(_) => return Ok(true),
            Err(exchange::Error::Full { .. }) => {
                if !pace.wait_until(pace.now() + FULL_WAIT) {
                    return Ok(false);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Disturbs the machine as planned.
pub(crate) fn disturb(plan: &Plan, started_at: Micros, pace: &Pace, tell: &Tell) {
    for step in &plan.steps {
        if !pace.wait_until(started_at + step.begins.as_micros() as Micros) {
            return;
        }
        let prepared = match Prepared::new(step.kind) {
            Ok(prepared) => prepared,
            Err(why) => {
                let _ = tell.send(Event::LeftOut { kind: step.kind, why });
                continue;
            }
        };
        let (kind, what, at) = (step.kind, prepared.describe(), pace.now());
        let until = at + step.lasts.as_micros() as Micros;
        if tell.send(Event::Began { kind, what, at, until }).is_err() {
            return;
        }
        let failed = prepared.cause(pace, until).err();
        let at = pace.now();
        let whole = at >= until;
        if tell.send(Event::Ended { kind, at, whole, failed }).is_err() {
            return;
        }
    }
}

/// Follows `detection.completed`.
pub(crate) fn scores(follower: Box<dyn Follower>, pace: &Pace, tell: &Tell) {
    let end = follow(follower, pace, |message, received_at| {
        let batch = wire::scores::decode_completed(value(&message))?;
        Ok(tell.send(Event::Scored { batch, received_at }).is_ok())
    });
    tell_end(tell, end);
}

/// Follows `alerts`.
pub(crate) fn alerts(follower: Box<dyn Follower>, pace: &Pace, tell: &Tell) {
    let end = follow(follower, pace, |message, received_at| {
        if message.value.is_none() {
            return Ok(true);
        }
        let metadata = wire::events::decode_alert_message(value(&message))?.metadata;
        let published_at = metadata.map_or(0, |metadata| metadata.published_at_us);
        let alert = Box::new(wire::events::decode_alert(value(&message))?);
        Ok(tell.send(Event::Alerted { alert, published_at, received_at }).is_ok())
    });
    tell_end(tell, end);
}

fn value(message: &Message) -> &[u8] {
    message.value.as_deref().unwrap_or_default()
}

/// Hands every message on until the run is over or nobody listens.
fn follow(
    mut follower: Box<dyn Follower>,
    pace: &Pace,
    mut hand_on: impl FnMut(Message, Micros) -> Result<bool, DemoError>,
) -> Result<(), DemoError> {
    while !pace.stopped() {
        for (_, message) in follower.next(WAIT, MESSAGES_MAX)? {
            if !hand_on(message, pace.now())? {
                return Ok(());
            }
        }
    }
    Ok(())
}
