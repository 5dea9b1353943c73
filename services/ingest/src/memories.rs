//! Keeps, beside the exchange, that a source has been read, and how far: the memory itself is committed with the
//! offsets, but brokers forget the offsets of idle groups, and a source without any looks like a new one.

use std::collections::BTreeMap;

use domain::Micros;
use exchange::{Offset, Partition, Slice};
use snapshot::{Begun, Capture, Header, Partitions, Saver};
use stage::Snapshots;

use crate::{codec::memory::Memory, cycle::SERVICE, state::State};

/// The version of what is kept.
const VERSION: u32 = 1;

/// The snapshots of a worker's sources.
pub(crate) struct Memories {
    snapshots: Snapshots,
    saver: Saver,
    sources: BTreeMap<String, Read>,
}

/// How far a source was read.
struct Read {
    partition: Partition,
    offset: Offset,
    /// Its memory, when it is to be kept: there is nothing to it but a head.
    memory: Option<Memory>,
}

impl Memories {
    pub(crate) fn new(snapshots: Snapshots) -> Self {
        let Snapshots { store, config, inline } = snapshots.clone();
        let saver = Saver::new(store, SERVICE, config, inline);
        Self { snapshots, saver, sources: BTreeMap::new() }
    }

    /// A source has come.
    pub(crate) fn assigned(&mut self, partition: &Partition, now: Micros) {
        self.saver.assigned(&partition.to_string(), vec![], now / 1000);
    }

    /// What is kept of a source.
    pub(crate) fn newest(&self, partition: &Partition) -> Result<Option<Header>, snapshot::Error> {
        self.snapshots.newest(SERVICE, partition)
    }

    /// A source has gone.
    pub(crate) fn dropped(&mut self, partition: &Partition) {
        let name = partition.to_string();
        self.saver.dropped(&name);
        self.sources.remove(&name);
    }

    /// These were read.
    pub(crate) fn applied(&mut self, slices: &[Slice]) {
        for Slice { partition, messages, .. } in slices {
            let Some(last) = messages.last() else { continue };
            let name = partition.to_string();
            self.saver.applied(&name, messages.iter().map(|message| message.size() as u64).sum());
            let unread = Read { partition: partition.clone(), offset: 0, memory: None };
            self.sources.entry(name).or_insert(unread).offset = last.offset + 1;
        }
    }

    /// Everything read is committed.
    pub(crate) fn settle(&mut self, state: &State, now: Micros) {
        self.saver.settle(now / 1000, &mut Sources { sources: &mut self.sources, state });
    }
}

struct Sources<'a> {
    sources: &'a mut BTreeMap<String, Read>,
    state: &'a State,
}

impl Partitions for Sources<'_> {
    type State = Read;

    fn get(&mut self, partition: &str) -> Option<(&mut Read, u64)> {
        let read = self.sources.get_mut(partition)?;
        read.memory = Some(self.state.memory(&read.partition)?.clone());
        let offset = read.offset;
        Some((read, offset))
    }
}

impl Capture for Read {
    fn begin(&mut self) -> Begun {
        let memory = self.memory.take();
        Begun {
            state_version: VERSION,
            config_version: memory.as_ref().map_or(0, |memory| memory.version),
            epoch: memory.as_ref().map_or(0, |memory| memory.epoch),
            next: 0,
            head: memory.map_or(vec![], |memory| memory.encode().into_bytes()),
        }
    }

    fn advance(&mut self, _: usize, _: &mut Vec<u8>) -> bool {
        true
    }

    fn buffered(&self) -> usize {
        0
    }

    fn cancel(&mut self) {}
}
