//! Which channels run: those that `control` defines, each on a thread of its own. A channel that is
//! defined, changed or removed starts, starts anew or stops within a second, and no other channel
//! notices.
//!
//! A channel sends the alerts that were committed from the moment on in which it was defined (by
//! the broker's time of the `control` entry): a new channel is not flooded with a month of old
//! alerts, and none is missed because a process was not there yet. A changed channel goes on where
//! it was.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use domain::{Channel, Definition, Topics};
use exchange::{Exchange, FollowFrom, Follower, PollLimits, Step, Worker};
use runtime::Stop;

use crate::{
    channels::Sender,
    metrics as names,
    sender::{ChannelError, ChannelProcessor, ChannelRuntime, Place, channel_group},
};

/// How long one look at `control` waits; also how soon a wish to stop is seen.
const LOOK: Duration = Duration::from_millis(200);
const ENTRIES_MAX: usize = 1_000;
/// The wait before a channel is opened, or its group joined, again.
const AGAIN: Duration = Duration::from_secs(2);

/// Runs the channels on a thread of its own, named `channels`, until asked to stop or until one of
/// them can't go on. Wait for the thread before the tokio runtime is dropped.
///
/// # Errors
/// If the thread can't be made.
pub fn channel_workers(
    exchange: Arc<dyn Exchange>,
    topics: Topics,
    member: &str,
    runtime: ChannelRuntime,
    stop: Stop,
) -> io::Result<JoinHandle<Result<(), control::Error>>> {
    let supervisor = ChannelSupervisor { exchange, topics, member: member.to_owned(), runtime };
    thread::Builder::new().name("channels".into()).spawn(move || supervisor.run(&stop))
}

/// Follows `control` and runs the channels it defines.
pub struct ChannelSupervisor {
    /// Where alerts are read from.
    pub exchange: Arc<dyn Exchange>,
    /// The names of the topics.
    pub topics: Topics,
    /// This process's configured, stable name.
    pub member: String,
    /// What the channels share.
    pub runtime: ChannelRuntime,
}

/// A channel as defined, and when it first was, by the broker's time.
#[derive(Clone, PartialEq)]
struct Defined {
    channel: Channel,
    since_ms: i64,
}

struct Running {
    defined: Defined,
    stop: Stop,
    thread: JoinHandle<Result<(), exchange::Error>>,
}

impl ChannelSupervisor {
    /// Runs until asked to stop. Blocks meanwhile; stops within some two seconds.
    ///
    /// # Errors
    /// If `control` can't be read, or the exchange failed a channel for good.
    pub fn run(&self, stop: &Stop) -> Result<(), control::Error> {
        let mut running = BTreeMap::new();
        let result = self.supervise(stop, &mut running);
        running.values().for_each(|channel: &Running| channel.stop.stop());
        let ends: Vec<_> = running.into_values().map(end).collect();
        metrics::gauge!(names::CHANNELS).set(0.0);
        result.and_then(|()| Ok(ends.into_iter().collect::<Result<(), _>>()?))
    }

    fn supervise(
        &self,
        stop: &Stop,
        running: &mut BTreeMap<String, Running>,
    ) -> Result<(), control::Error> {
        let mut follower = self.exchange.follow(&self.topics.control, FollowFrom::Earliest)?;
        let mut defined = BTreeMap::new();
        while !stop.stopped() && !follower.caught_up()? {
            read(&mut *follower, &mut defined)?;
        }
        let mut changed = true;
        while !stop.stopped() {
            if changed {
                self.adjust(&defined, running)?;
            }
            changed = read(&mut *follower, &mut defined)?;
            // A channel ends by itself only if it can't go on.
            if running.values().any(|channel| channel.thread.is_finished()) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Stops what is no longer defined so, and starts what is.
    fn adjust(
        &self,
        defined: &BTreeMap<String, Defined>,
        running: &mut BTreeMap<String, Running>,
    ) -> Result<(), exchange::Error> {
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(running)
            .into_iter()
            .partition(|(name, channel)| defined.get(name) == Some(&channel.defined));
        *running = kept;
        gone.values().for_each(|channel| channel.stop.stop());
        for (name, channel) in gone {
            tracing::info!(channel = name, "channel stops");
            end(channel)?;
        }
        for (name, channel) in defined {
            if running.contains_key(name) {
                continue;
            }
            if running.len() >= self.runtime.config.channels_max {
                let channels_max = self.runtime.config.channels_max;
                tracing::error!(
                    channel = name,
                    channels_max,
                    "channel not started: too many channels"
                );
                continue;
            }
            running.insert(name.clone(), self.start(channel)?);
        }
        metrics::gauge!(names::CHANNELS).set(running.len() as f64);
        Ok(())
    }

    fn start(&self, defined: &Defined) -> Result<Running, exchange::Error> {
        let stop = Stop::default();
        let worker = ChannelThread {
            exchange: Arc::clone(&self.exchange),
            topics: self.topics.clone(),
            member: self.member.clone(),
            defined: defined.clone(),
            runtime: self.runtime.clone(),
            stop: stop.clone(),
        };
        let name = &defined.channel.name;
        tracing::info!(channel = name, "channel starts");
        let thread = thread::Builder::new()
            .name(format!("channel {name}"))
            .spawn(move || worker.run())
            .map_err(|error| exchange::Error::Fatal {
                what: format!("channel {name}: no thread: {error}"),
            })?;
        Ok(Running { defined: defined.clone(), stop, thread })
    }
}

/// Waits for a channel that was asked to stop, or has ended.
fn end(channel: Running) -> Result<(), exchange::Error> {
    let name = channel.defined.channel.name;
    channel.thread.join().unwrap_or_else(|_| {
        Err(exchange::Error::Fatal { what: format!("channel {name} panicked") })
    })
}

/// Reads what is new in `control`; says whether channels may have changed.
fn read(
    follower: &mut dyn Follower,
    defined: &mut BTreeMap<String, Defined>,
) -> Result<bool, control::Error> {
    let messages = match follower.next(LOOK, ENTRIES_MAX) {
        // The channels that run go on; the follower finds its way back.
        Err(exchange::Error::Unavailable { what }) => {
            tracing::warn!(error = what, "control can't be read now");
            return Ok(false);
        }
        messages => messages?,
    };
    for (_, message) in &messages {
        let version = message.offset + 1;
        let bytes = message.value.as_deref().unwrap_or_default();
        let definition = wire::control::decode_definition(bytes)
            .map_err(|source| control::Error::Entry { version, source })?;
        match definition {
            Definition::Channel(channel) => {
                let name = channel.name.clone();
                let before = defined.get(&name).map(|before: &Defined| before.since_ms);
                let since_ms = before.unwrap_or(message.timestamp_ms);
                defined.insert(name, Defined { channel, since_ms });
            }
            Definition::Removed(key) => {
                if let Some(name) = key.strip_prefix("channel/") {
                    defined.remove(name);
                }
            }
            _ => {}
        }
    }
    Ok(!messages.is_empty())
}

/// One channel on its own thread.
struct ChannelThread {
    exchange: Arc<dyn Exchange>,
    topics: Topics,
    member: String,
    defined: Defined,
    runtime: ChannelRuntime,
    stop: Stop,
}

impl ChannelThread {
    fn run(&self) -> Result<(), exchange::Error> {
        let name = &self.defined.channel.name;
        let mut place = Place::default();
        while !self.stop.stopped() {
            let Some(sender) = self.open() else { continue };
            match self.drive(sender, &mut place) {
                Err(ChannelError::Stopped) => break,
                // `drive` goes on by itself.
                Err(ChannelError::TurnOver) => {}
                Err(ChannelError::Exchange(exchange::Error::Lost { partition, wanted, first })) => {
                    let partition_name = partition.to_string();
                    tracing::error!(
                        channel = name,
                        partition = partition_name,
                        wanted,
                        first,
                        "alerts were gone before they were sent"
                    );
                    metrics::counter!(names::LOST, "channel" => name.clone()).increment(1);
                    place.lose(partition);
                }
                Err(ChannelError::Exchange(exchange::Error::Unavailable { what })) => {
                    tracing::warn!(
                        channel = name,
                        error = what,
                        "alerts can't be read now, trying again"
                    );
                    self.wait(AGAIN);
                }
                Err(ChannelError::Exchange(error)) => {
                    tracing::error!(channel = name, %error, "channel can't go on");
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Joins the group and steps until something ends it. Leaves the group in any case.
    fn drive(&self, sender: Sender, place: &mut Place) -> Result<(), ChannelError> {
        let name = &self.defined.channel.name;
        let group = channel_group(&self.topics, name, &self.member);
        let member = self.exchange.join(&group)?;
        let (since_ms, stop) = (self.defined.since_ms, self.stop.clone());
        let processor =
            ChannelProcessor::new(name, sender, since_ms, place.clone(), &self.runtime, stop);
        let limits =
            PollLimits { messages_max: self.runtime.config.batch_max, ..PollLimits::default() };
        let mut worker = Worker::new(member, processor, limits);
        let result = loop {
            if self.stop.stopped() {
                break Ok(());
            }
            match worker.step() {
                Ok(Step::Full) => thread::sleep(Duration::from_millis(1)),
                Ok(Step::Worked | Step::Idle) => {}
                // To leave and join anew would fence one that has replaced this process while it stood still.
                Err(ChannelError::TurnOver) => {
                    if let Err(error) = worker.rewind() {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        *place = worker.processor().place().clone();
        result
    }

    /// Opens the channel, or says why not and waits a little.
    fn open(&self) -> Option<Sender> {
        let Channel { name, kind } = &self.defined.channel;
        let opened =
            Sender::open(kind, self.runtime.config.attempt_max(), self.runtime.clock.clone());
        opened
            .inspect_err(|error| {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(channel = name, %error, cause, "channel can't be opened");
                self.wait(AGAIN);
            })
            .ok()
    }

    /// Waits so long, or until asked to stop.
    fn wait(&self, time: Duration) {
        self.runtime.handle.block_on(async {
            tokio::select! {
                () = self.stop.wait() => {}
                () = tokio::time::sleep(time) => {}
            }
        });
    }
}
