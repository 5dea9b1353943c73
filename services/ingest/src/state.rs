//! What ingest knows of its sources, and what follows from a poll. It decides: which records are accepted,
//! their numbers and partitions, when a source ticks and with which log time. Time comes as an argument.
//!
//! **Log time.** A source's log time is the largest timestamp of its messages; where the source was read to
//! its end it is the clock as of *before* the poll that found the end ([`Times::polled_after`]), because what
//! was appended before that would have been found. A source that the poll did not tell of, but that was at
//! its end, may have messages that wait behind those of others: it follows the clock one tick behind. Log time
//! never goes back, and no timestamp carries it further past the clock than `future_ms`: topics of users may
//! have timestamps of their producers, and one wrong clock among those must not end all windows.
//!
//! **The start.** A source without a committed offset writes its memory with the first cycle, idle or not, in
//! the transaction of its first output at the latest: no output ever exists without a committed offset.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{LOG_TIME_END, LOG_TIME_NONE, Micros};
use exchange::{Message, Partition, Slice};

use crate::{
    codec::{self, Fault, memory::Memory},
    config::IngestConfig,
    cycle::{Cycle, Read, RefusedMessage, no_stream, poisonous},
    streams::{StreamSpec, Streams},
};

/// The readings of the clock that a cycle may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The present: when ticks are due.
    pub(crate) now: Micros,
    /// A time certainly before the poll that led to this cycle.
    pub(crate) polled_after: Micros,
}

#[cfg(test)]
mod tests;

/// What a poll found.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    /// Messages, by partition.
    Batch(&'a [Slice]),
    /// Nothing; these are read to their end. With `finish` they get their last tick.
    Idle { at_end: &'a [Partition], finish: bool },
}

/// All sources that this process owns.
pub(crate) struct State {
    config: IngestConfig,
    partitions: usize,
    sources: BTreeMap<Partition, Source>,
    /// When the last round of ticks was written.
    ticked_at: Option<Micros>,
    /// [`Times::polled_after`] of that round.
    ticked_after: Micros,
    /// The message in hand.
    hand: Option<(Partition, u64)>,
    /// Messages on which ingest panicked or died, by partition and offset.
    poisonous: BTreeSet<(Partition, u64)>,
}

/// One source.
struct Source {
    name: Arc<str>,
    memory: Memory,
    /// The clock for which it is known to have been read to its end, while it is.
    at_end: Option<Micros>,
    /// Nothing is committed for it yet.
    is_fresh: bool,
    /// It has ticked since it came here.
    has_ticked: bool,
    /// It has had its last tick.
    is_finished: bool,
}

/// Whether a source was read to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Reached,
    NotReached,
    NotTold,
}

impl State {
    pub(crate) fn new(config: IngestConfig, partitions: u32) -> Self {
        Self {
            config,
            partitions: partitions as usize,
            sources: BTreeMap::new(),
            ticked_at: None,
            ticked_after: LOG_TIME_NONE,
            hand: None,
            poisonous: BTreeSet::new(),
        }
    }

    /// Takes over a source with the metadata that was committed for it, and returns the config version that
    /// was in force in it; says what is wrong with the metadata otherwise.
    pub(crate) fn restore(
        &mut self,
        partition: &Partition,
        metadata: Option<&str>,
    ) -> Result<u64, String> {
        let memory = match metadata {
            None => Memory::fresh(self.config.epoch, self.partitions),
            Some(text) => Memory::decode(text, self.partitions)?,
        };
        let version = memory.version;
        let source = Source::new(partition, memory, metadata.is_none());
        self.sources.insert(partition.clone(), source);
        Ok(version)
    }

    /// Takes over a source whose memory is lost, under a new epoch of numbers.
    pub(crate) fn restart(&mut self, partition: &Partition, epoch: u32) {
        let memory = Memory::fresh(epoch, self.partitions);
        self.sources.insert(partition.clone(), Source::new(partition, memory, true));
    }

    /// What would be committed with a source's offset.
    pub(crate) fn memory(&self, partition: &Partition) -> Option<&Memory> {
        self.sources.get(partition).map(|source| &source.memory)
    }

    /// The message in hand.
    pub(crate) fn hand(&self) -> Option<&(Partition, u64)> {
        self.hand.as_ref()
    }

    /// From now on these messages are refused unread.
    pub(crate) fn set_poisonous(&mut self, poisonous: BTreeSet<(Partition, u64)>) {
        self.poisonous = poisonous;
    }

    pub(crate) fn drop_source(&mut self, partition: &Partition) {
        self.sources.remove(partition);
    }

    /// What follows from a poll: what is written, and the metadata of the sources that changed.
    pub(crate) fn cycle(
        &mut self,
        found: Found<'_>,
        streams: &Streams,
        times: Times,
    ) -> (Cycle, Vec<(Partition, String)>) {
        let mut cycle = Cycle::new(self.partitions);
        let mut metadata = vec![];
        let ticks = self.config.tick_ms > 0;
        let tick_us = self.config.tick_ms.saturating_mul(1_000);
        let is_due = ticks && self.ticked_at.is_none_or(|at| times.now.abs_diff(at) >= tick_us);
        for (partition, source) in &mut self.sources {
            let (messages, end) = found.of(partition);
            cycle.begin_source();
            if !messages.is_empty() {
                source.memory.version = source.memory.version.max(streams.version);
                let spec = streams.of_topic(&partition.topic);
                let latest = latest_log_time(&self.config, times.now);
                for message in messages {
                    let timestamp = message.timestamp_ms.saturating_mul(1_000).min(latest);
                    source.memory.log_time = source.memory.log_time.max(timestamp);
                    let hand = (partition.clone(), message.offset);
                    if self.poisonous.contains(&hand) {
                        source.refuse(&mut cycle, message, poisonous());
                    } else {
                        self.hand = Some(hand);
                        source.take(&mut cycle, &self.config, spec, &partition.topic, message);
                    }
                }
            }
            source.at_end = match end {
                End::Reached => Some(times.polled_after),
                End::NotReached => None,
                End::NotTold => source.at_end.map(|at| at.max(self.ticked_after)),
            };
            let finish = matches!(found, Found::Idle { finish: true, .. });
            let ticked = if finish && end == End::Reached && !source.is_finished {
                source.is_finished = true;
                source.memory.log_time = LOG_TIME_END;
                source.tick(&mut cycle)
            } else {
                (is_due || (ticks && !source.has_ticked)) && source.tick(&mut cycle)
            };
            if ticked || source.is_fresh || !messages.is_empty() {
                source.is_fresh = false;
                metadata.push((partition.clone(), source.memory.encode()));
            }
        }
        if is_due {
            self.ticked_at = Some(times.now);
            self.ticked_after = times.polled_after;
        }
        (cycle, metadata)
    }
}

/// How far a message's timestamp may carry log time.
fn latest_log_time(config: &IngestConfig, now: Micros) -> Micros {
    let future_ms = i64::try_from(config.future_ms).unwrap_or(i64::MAX);
    let latest = now.saturating_add(future_ms.saturating_mul(1_000));
    if future_ms == 0 { Micros::MAX } else { latest }
}

impl<'a> Found<'a> {
    fn of(self, partition: &Partition) -> (&'a [Message], End) {
        let end = |reached| if reached { End::Reached } else { End::NotReached };
        match self {
            Self::Idle { at_end, .. } => (&[], end(at_end.contains(partition))),
            Self::Batch(slices) => {
                match slices.iter().find(|slice| slice.partition == *partition) {
                    None => (&[], End::NotTold),
                    Some(slice) => (&slice.messages, end(slice.at_end)),
                }
            }
        }
    }
}

impl Source {
    fn new(partition: &Partition, memory: Memory, is_fresh: bool) -> Self {
        Self {
            name: Arc::from(partition.to_string()),
            memory,
            at_end: None,
            is_fresh,
            has_ticked: false,
            is_finished: false,
        }
    }

    /// Reads one message.
    fn take(
        &mut self,
        cycle: &mut Cycle,
        config: &IngestConfig,
        spec: Option<&StreamSpec>,
        topic: &str,
        message: &Message,
    ) {
        let ingested_at = message.timestamp_ms.saturating_mul(1_000);
        cycle.read_bytes += message.size() as u64;
        let read = |index| Read { offset: message.offset, index, ingested_at };
        let mut refused = RefusedMessage::new(&self.name, message);
        match spec {
            None => refused.add(cycle, read(0), no_stream(topic)),
            Some(spec) => codec::decode(spec, config, message, &mut |index, record| match record {
                Ok(record) => {
                    cycle.row(&self.name, &mut self.memory, spec, record, read(index));
                }
                Err(fault) => refused.add(cycle, read(index), fault),
            }),
        }
        refused.finish(cycle, read(0));
    }

    /// Refuses a message unread.
    fn refuse(&self, cycle: &mut Cycle, message: &Message, fault: Fault) {
        let ingested_at = message.timestamp_ms.saturating_mul(1_000);
        let mut refused = RefusedMessage::new(&self.name, message);
        let read = Read { offset: message.offset, index: 0, ingested_at };
        refused.add(cycle, read, fault);
    }

    /// Writes a tick, if its log time is known.
    fn tick(&mut self, cycle: &mut Cycle) -> bool {
        let end = self.at_end.unwrap_or(LOG_TIME_NONE);
        self.memory.log_time = self.memory.log_time.max(end);
        if self.memory.log_time == LOG_TIME_NONE {
            return false;
        }
        cycle.tick(&self.name, &mut self.memory);
        self.has_ticked = true;
        true
    }
}
