//! What one cycle writes: per target partition batches of rows and ticks, numbered without a hole, and the
//! refusals.
//!
//! A target gets one message per cycle with one segment per source; a message that would grow beyond
//! [`MESSAGE_BYTES_MAX`] is closed and the source goes on in a new one, whose numbers follow on.

mod names;
mod refusals;
mod series;

use std::sync::Arc;

use domain::{Batch, Flags, Item, Micros, Origin, Position, Reason, Refusal, Row, SeriesRef};

pub(crate) use self::refusals::{RefusedMessage, SERVICE, no_stream, poisonous};
use self::{names::NameSets, series::SeriesTable};
use crate::{
    codec::{Record, memory::Memory},
    streams::StreamSpec,
};

/// The bound of one message, by an upper estimate of its encoded size; the broker takes 8 MiB.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// The most bytes of a row's columns without values, of a value with its mark, of a series without text.
const ROW_BYTES: usize = 80;
const VALUE_BYTES: usize = 14;
const TEXT_BYTES: usize = 8;

/// Where a record was read.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) offset: u64,
    pub(crate) index: u32,
    pub(crate) ingested_at: Micros,
}

/// What one cycle writes, in the making.
pub(crate) struct Cycle {
    targets: Vec<Target>,
    names: NameSets,
    /// Of the source that is being read.
    series: SeriesTable,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) accepted: u64,
    pub(crate) ticks: u64,
    pub(crate) read_bytes: u64,
    /// Refused records by reason, in the order of [`Reason::ALL`].
    pub(crate) refused: [u64; Reason::ALL.len()],
}

/// The messages for one target partition.
#[derive(Default)]
struct Target {
    closed: Vec<Vec<Batch>>,
    open: Vec<Batch>,
    /// Upper estimate of the size of `open`.
    bytes: usize,
    /// Whether the last segment of `open` belongs to the source that is being read.
    is_current: bool,
    /// Rises with every segment; tells for which one a series was entered.
    generation: u32,
}

impl Cycle {
    pub(crate) fn new(partitions: usize) -> Self {
        Self {
            targets: std::iter::repeat_with(Target::default).take(partitions).collect(),
            names: NameSets::default(),
            series: SeriesTable::default(),
            refusals: vec![],
            accepted: 0,
            ticks: 0,
            read_bytes: 0,
            refused: [0; Reason::ALL.len()],
        }
    }

    /// What follows belongs to another source.
    pub(crate) fn begin_source(&mut self) {
        self.series.clear();
        for target in &mut self.targets {
            target.is_current = false;
        }
    }

    /// Adds an accepted record.
    pub(crate) fn row(
        &mut self,
        source: &Arc<str>,
        memory: &mut Memory,
        spec: &StreamSpec,
        record: Record<'_>,
        read: Read,
    ) {
        let values = record.values.as_slice();
        let features = self.names.set(&record.names, values.len(), spec);
        let partitions = self.targets.len() as u32;
        let entry = self.series.entry(&record.key, &features, |key| {
            exchange::murmur2_partition(key.as_bytes(), partitions)
        });
        let number = entry.target as usize;
        let target = &mut self.targets[number];
        let tags = record.extras.iter().flat_map(|extras| &extras.tags);
        let record_id = record.extras.as_ref().and_then(|extras| extras.record_id.as_ref());
        let bytes = ROW_BYTES
            + VALUE_BYTES * values.len()
            + tags.map(|(k, v)| k.len() + v.len() + 2 * TEXT_BYTES).sum::<usize>()
            + record_id.map_or(0, |id| id.len() + TEXT_BYTES)
            + features.iter().map(|name| name.len() + TEXT_BYTES).sum::<usize>()
            + spec.name.len()
            + record.key.len();
        target.make_room(bytes);
        let (batch, generation) = target.segment(source, memory, number);
        if entry.generation != generation {
            entry.generation = generation;
            entry.series = batch.series.len() as u32;
            batch.series.push(SeriesRef {
                stream: spec.name.clone(),
                key: entry.key.clone(),
                window: None,
                features,
            });
        }
        let values = batch.push_values(values);
        batch.items.push(Item::Row(Row {
            series: entry.series,
            row: 0,
            event_at: record.event_at,
            ingested_at: read.ingested_at,
            log_time: memory.log_time,
            config_version: memory.version,
            origin: Origin { source: 0, offset: read.offset, index: read.index },
            flags: Flags::default(),
            values,
            extras: record.extras,
            drift: None,
        }));
        memory.numbers[number] += 1;
        self.accepted += 1;
    }

    /// Adds a tick with the source's log time in every target partition.
    pub(crate) fn tick(&mut self, source: &Arc<str>, memory: &mut Memory) {
        for number in 0..self.targets.len() {
            let target = &mut self.targets[number];
            target.make_room(ROW_BYTES);
            let (batch, _) = target.segment(source, memory, number);
            batch.items.push(Item::Tick(memory.log_time));
            memory.numbers[number] += 1;
            self.ticks += 1;
        }
    }

    /// The messages: target partition and segments.
    pub(crate) fn take_messages(&mut self) -> impl Iterator<Item = (u32, Vec<Batch>)> {
        (0..).zip(std::mem::take(&mut self.targets)).flat_map(|(number, target)| {
            let last = (!target.open.is_empty()).then_some(target.open);
            target.closed.into_iter().chain(last).map(move |segments| (number, segments))
        })
    }
}

impl Target {
    /// Closes the open message if it has no room for so many bytes more.
    fn make_room(&mut self, bytes: usize) {
        if self.bytes + bytes > MESSAGE_BYTES_MAX && !self.open.is_empty() {
            self.closed.push(std::mem::take(&mut self.open));
            self.bytes = 0;
            self.is_current = false;
        }
        self.bytes += bytes;
    }

    /// The segment of the source that is being read, with its generation.
    fn segment(&mut self, source: &Arc<str>, memory: &Memory, number: usize) -> (&mut Batch, u32) {
        if !self.is_current {
            let mut batch = Batch::new(Position {
                source: source.clone(),
                epoch: memory.epoch,
                number: memory.numbers[number] + 1,
            });
            batch.sources.push(source.clone());
            self.open.push(batch);
            self.bytes += ROW_BYTES + 2 * source.len();
            self.is_current = true;
            self.generation += 1;
        }
        let last = self.open.len() - 1;
        (&mut self.open[last], self.generation)
    }
}
