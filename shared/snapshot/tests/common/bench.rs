//! A saver over a store with faults, driven step by step.

use std::sync::Arc;

use object_store::{ObjectStore, memory::InMemory};
use oddwatch_snapshot::{Released, Saver, SaverConfig, Store, Subject};

use super::{
    SERVICE, Shelf, State,
    faulty::{Faults, Faulty},
    load, noise, until, wanted,
};

/// A saver over a store with faults, and the partitions it saves.
pub(crate) struct Bench {
    pub(crate) store: Arc<Store>,
    pub(crate) faults: Faults,
    pub(crate) saver: Saver,
    pub(crate) shelf: Shelf,
    pub(crate) released: Vec<Released>,
}

impl Bench {
    pub(crate) fn new(config: SaverConfig, inline: bool) -> Self {
        Self::over(InMemory::new(), config, inline)
    }

    pub(crate) fn over(objects: impl ObjectStore, config: SaverConfig, inline: bool) -> Self {
        let faults = Faults::default();
        let objects = Arc::new(Faulty { inner: objects, faults: faults.clone() });
        let store = Arc::new(Store::over(objects, "", None));
        let saver = Saver::new(Arc::clone(&store), SERVICE, config, inline);
        Self { store, faults, saver, shelf: Shelf::default(), released: vec![] }
    }

    pub(crate) fn add(&mut self, partition: &str, state: State) {
        self.shelf.0.insert(partition.to_owned(), (state, 0));
        self.saver.assigned(partition, vec![], 0);
    }

    /// So many bytes of input, one offset.
    pub(crate) fn apply(&mut self, partition: &str, bytes: u64) {
        self.shelf.0.get_mut(partition).expect("a partition of the test").1 += 1;
        self.saver.applied(partition, bytes);
    }

    pub(crate) fn settle(&mut self, now_ms: i64) {
        let released = self.saver.settle(now_ms, &mut self.shelf);
        self.released.extend(released);
    }

    /// Settles until nothing is in progress.
    pub(crate) fn complete(&mut self, now_ms: i64) {
        until("end of the snapshot", || {
            // The writer may be behind: settle in bursts between two pauses.
            (0..100).find_map(|_| {
                self.settle(now_ms);
                (!self.saver.in_progress()).then_some(())
            })
        });
    }

    /// Those that became durable since the last look: partition and offset.
    #[track_caller]
    pub(crate) fn check(&mut self, expected: &[(&str, u64)]) {
        let released: Vec<(&str, u64)> =
            self.released.iter().map(|at| (at.partition.as_str(), at.offset)).collect();
        assert_eq!(released, expected);
        for Released { partition, offset, .. } in std::mem::take(&mut self.released) {
            let subject = Subject::new(SERVICE, partition.as_str());
            let loaded = load(&self.store, &subject, &wanted()).expect("the store reads");
            assert_eq!(loaded.state.expect("a snapshot").0.offset, offset);
        }
    }
}

pub(crate) fn state() -> State {
    State::new(b"head", (0..100).map(|index| noise(index, 100)).collect())
}

pub(crate) fn every_second_or_100_bytes() -> SaverConfig {
    SaverConfig { every_ms: 1_000, input_bytes: 100, slice_bytes: 3_000, ..Default::default() }
}
