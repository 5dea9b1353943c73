//! Ingest as the worker drives it: reads the clock and `control`, hands both to the state, encodes what comes
//! back. It decides nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use control::{ControlLog, ControlWriter};
use domain::{Micros, Reason, Topics};
use exchange::{
    Assignment, Batch, Exchange, Offset, Output, Outputs, Partition, Place, Processor, Restore,
    Start,
};
use runtime::Clock;
use stage::{LossPolicy, Snapshots};
use wire::events::Stamps;

use crate::{
    codec::memory::Memory,
    config::IngestConfig,
    cycle::{Cycle, SERVICE},
    memories::Memories,
    metrics::Counts,
    state::{Found, State, Times},
    streams::{Streams, input_topics},
};

/// The consumer group of all ingest workers.
pub const GROUP: &str = "oddwatch-ingest";

/// How often a warning about refused records is written at most, in microseconds.
const WARN_EVERY: Micros = 60_000_000;

/// Why ingest can't go on.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The `control` log failed.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// Nobody has set up the topics; exit with 78.
    #[error("control holds no layout: set up the topics first")]
    NoLayout,
    /// A topic is not as `control` says; exit with 78.
    #[error("topic {topic} has {found} partitions, control says {expected}; their number is fixed")]
    Partitions {
        /// The topic.
        topic: Arc<str>,
        /// What it has; 0 if it is missing.
        found: u32,
        /// What it must have.
        expected: u32,
    },
    /// What is committed with a source's offset is not what ingest wrote there; exit with 78.
    #[error(
        "{partition}: the memory committed with offset {offset} can't be read ({wrong}); if the offsets of \
         group {GROUP} (behind kafka.topic_prefix) were changed by hand, delete them and raise ingest.epoch"
    )]
    Memory {
        /// The source.
        partition: Partition,
        /// The committed offset.
        offset: u64,
        /// What is wrong.
        wrong: String,
    },
    /// Records, or what ingest knew of a source, are gone, and the policy is to stop.
    #[error(
        "ingest can't go on with {partition}: {what}. Bring it back, or set loss.policy = \"restart_fresh\" to go \
         on with what is there"
    )]
    Lost {
        /// The source.
        partition: Partition,
        /// What is gone.
        what: String,
    },
    /// The snapshots can't be asked.
    #[error(transparent)]
    Snapshots(#[from] snapshot::Error),
}

/// What a processor works with.
pub struct IngestOptions {
    /// Where it reads and writes.
    pub exchange: Arc<dyn Exchange>,
    /// The `control` log, read to behind the setup.
    pub control: ControlLog,
    /// Where skips are written down.
    pub writer: ControlWriter,
    /// Where it is kept that a source has been read, so that the loss of its offsets is seen.
    pub snapshots: Option<Snapshots>,
    /// What happens when records or offsets are gone.
    pub loss: LossPolicy,
    /// The topics' full names.
    pub topics: Topics,
    /// The prefix of users' topics.
    pub topic_prefix: String,
    /// Section `ingest`.
    pub config: IngestConfig,
    /// The clock.
    pub clock: Clock,
}

/// Says that no more input comes; any clone can say it from any thread.
#[derive(Clone, Default)]
pub struct Finish(Arc<AtomicBool>);

impl Finish {
    /// From now on, each source that is idle at its end writes one last tick, with
    /// [`domain::LOG_TIME_END`].
    pub fn when_idle(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Ingest, to be driven by [`exchange::Worker`].
pub struct IngestProcessor {
    control: ControlLog,
    writer: ControlWriter,
    memories: Option<Memories>,
    loss: LossPolicy,
    streams: Streams,
    state: State,
    topics: Topics,
    topic_prefix: String,
    clock: Clock,
    /// The clock at the last call: certainly before the next poll.
    called_at: Micros,
    finish: Finish,
    counts: Counts,
    warning: Warning,
}

/// Refused records that were not warned of yet.
#[derive(Default)]
struct Warning {
    refused: u64,
    warned_at: Option<Micros>,
}

impl IngestProcessor {
    /// A processor without sources.
    ///
    /// # Errors
    /// `NoLayout` or `Partitions` if the topics are not set up.
    pub fn new(options: IngestOptions) -> Result<Self, IngestError> {
        let IngestOptions { exchange, control, topics, topic_prefix, config, clock, .. } = options;
        let (writer, loss) = (options.writer, options.loss);
        let definitions = control.latest();
        let layout = definitions.layout.as_ref().ok_or(IngestError::NoLayout)?;
        let expected = layout.partitions;
        let found = exchange.topic(&topics.accepted)?.map_or(0, |topic| topic.partitions);
        if found != expected || expected == 0 {
            let topic = topics.accepted;
            return Err(IngestError::Partitions { topic, found, expected });
        }
        let counts = Counts::new();
        counts.config_version.set(definitions.version as f64);
        Ok(Self {
            streams: Streams::new(definitions, &topic_prefix),
            state: State::new(config, expected),
            control,
            writer,
            memories: options.snapshots.map(Memories::new),
            loss,
            topics,
            topic_prefix,
            called_at: clock.now(),
            clock,
            finish: Finish::default(),
            counts,
            warning: Warning::default(),
        })
    }

    /// A handle by which a finished input, such as a file, is ended.
    pub fn finish(&self) -> Finish {
        self.finish.clone()
    }

    fn cycle(&mut self, found: Found<'_>) -> Result<Outputs, IngestError> {
        match self.control.refresh() {
            // What is known holds on; the member's own poll tells if the exchange stays away.
            Err(control::Error::Exchange(exchange::Error::Unavailable { .. })) => {}
            refreshed => drop(refreshed?),
        }
        self.take_definitions();
        let now = self.clock.now();
        let times = Times { now, polled_after: self.called_at };
        self.called_at = now;
        let (mut cycle, metadata) = self.state.cycle(found, &self.streams, times);
        self.count(&cycle, now);
        let messages = encode(&mut cycle, &self.topics, now);
        Ok(Outputs { messages, metadata })
    }

    fn check_loss(&self, partition: &Partition, what: &str) -> Result<(), IngestError> {
        if self.loss == LossPolicy::Stop {
            return Err(IngestError::Lost { partition: partition.clone(), what: what.to_owned() });
        }
        tracing::error!(%partition, what, "input lost, going on without");
        Ok(())
    }

    fn take_definitions(&mut self) {
        let definitions = self.control.latest();
        if definitions.version > self.streams.version {
            for topic in input_topics(definitions, &self.topic_prefix) {
                if self.streams.of_topic(&topic).is_none() {
                    tracing::warn!(%topic, "a new stream's topic is read after a restart");
                }
            }
            self.streams = Streams::new(definitions, &self.topic_prefix);
            self.counts.config_version.set(definitions.version as f64);
        }
    }

    fn count(&mut self, cycle: &Cycle, now: Micros) {
        self.counts.accepted.increment(cycle.accepted);
        self.counts.ticks.increment(cycle.ticks);
        self.counts.read_bytes.increment(cycle.read_bytes);
        for (reason, &records) in Reason::ALL.into_iter().zip(&cycle.refused) {
            if records > 0 {
                self.counts.refused(reason, records);
                self.warning.refused += records;
            }
        }
        let Some(last) = cycle.refusals.last() else { return };
        if self.warning.warned_at.is_none_or(|at| now.abs_diff(at) >= WARN_EVERY as u64) {
            let refused = std::mem::take(&mut self.warning.refused);
            let (source, offset) = (&last.source, last.offset);
            tracing::warn!(refused, reason = %last.reason, %source, offset, "records refused");
            self.warning.warned_at = Some(now);
        }
    }
}

impl Processor for IngestProcessor {
    type Error = IngestError;

    fn restore(&mut self, assignment: &Assignment) -> Result<Restore, IngestError> {
        let Assignment { partition, committed } = assignment;
        // Skips hold for whatever comes again.
        self.control.read_all()?;
        self.state.set_poisonous(self.control.skipped_messages(SERVICE));
        let mut newest = None;
        if let Some(memories) = &mut self.memories {
            memories.assigned(partition, self.clock.now());
            // With an offset nothing else is needed, and a store that is away does no harm.
            if committed.is_none() {
                newest = memories.newest(partition)?;
            }
        }
        if let Some(newest) = newest {
            let what = format!(
                "it was read up to offset {} at least, but the group has no committed offset (any more)",
                newest.offset
            );
            self.check_loss(partition, &what)?;
            let seconds = u32::try_from(self.clock.now() / 1_000_000).unwrap_or(u32::MAX);
            self.state.restart(partition, seconds.max(newest.epoch + 1));
            return Ok(Restore::Start(Start::Earliest));
        }
        let metadata = committed.as_ref().map(|committed| committed.metadata.as_str());
        let restored = self.state.restore(partition, metadata);
        let version = restored.map_err(|wrong| IngestError::Memory {
            partition: partition.clone(),
            offset: committed.as_ref().map_or(0, |committed| committed.offset),
            wrong,
        })?;
        // The version in force never goes back, even if this process has read less of control so far.
        self.control.read_to(version)?;
        self.take_definitions();
        self.called_at = self.clock.now();
        Ok(Restore::Start(Start::Committed))
    }

    /// Records are gone; the numbers of what was accepted go on.
    fn lost(
        &mut self,
        partition: &Partition,
        wanted: Offset,
        first: Offset,
    ) -> Result<Start, IngestError> {
        if wanted >= first {
            // The topic is shorter than what was read of it: it is another one.
            let partition = partition.clone();
            return Err(exchange::Error::Lost { partition, wanted, first }.into());
        }
        let what = format!("records {wanted} to {} are gone before they were read", first - 1);
        self.check_loss(partition, &what)?;
        Ok(Start::At(first))
    }

    fn drop_partition(&mut self, partition: &Partition) {
        self.state.drop_source(partition);
        if let Some(memories) = &mut self.memories {
            memories.dropped(partition);
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, IngestError> {
        if let Some(memories) = &mut self.memories {
            memories.applied(&batch.slices);
        }
        self.cycle(Found::Batch(&batch.slices))
    }

    fn settled(&mut self) -> Result<Vec<(Partition, Offset)>, IngestError> {
        if let Some(memories) = &mut self.memories {
            memories.settle(&self.state, self.clock.now());
        }
        // It starts where it is committed: nothing is needed of what it has read.
        Ok(vec![])
    }

    fn metadata(&self, partition: &Partition) -> Option<String> {
        self.state.memory(partition).map(Memory::encode)
    }

    fn can_skip(&self) -> bool {
        true
    }

    fn place(&self) -> Option<Place> {
        let (partition, offset) = self.state.hand()?.clone();
        Some(Place { partition, offset, item: Place::WHOLE })
    }

    fn skip(&mut self, place: &Place, why: &str) -> Result<(), IngestError> {
        let place = Place { item: Place::WHOLE, ..place.clone() };
        self.writer.skip(SERVICE, &place, why, self.clock.now())?;
        Ok(())
    }

    fn idle(&mut self, at_end: &[Partition]) -> Result<Outputs, IngestError> {
        let finish = self.finish.0.load(Ordering::Acquire);
        self.cycle(Found::Idle { at_end, finish })
    }
}

fn encode(cycle: &mut Cycle, topics: &Topics, now: Micros) -> Vec<Output> {
    let stamps = Stamps::published(now);
    let output = |topic: &Arc<str>, partition, key: Option<Vec<u8>>, value: Vec<u8>| Output {
        topic: topic.clone(),
        partition,
        key: key.map(Bytes::from),
        value: Some(Bytes::from(value)),
        headers: vec![],
    };
    let accepted = cycle.take_messages().map(|(number, segments)| {
        let value = wire::rows::encode_accepted(&segments, stamps);
        output(&topics.accepted, Some(number), None, value)
    });
    let mut messages: Vec<_> = accepted.collect();
    messages.extend(cycle.refusals.iter().map(|refusal| {
        let value = wire::events::encode_refusal(refusal, stamps);
        output(&topics.rejected, None, refusal.key.clone(), value)
    }));
    messages
}
