//! How far a worker's restores have come: for readiness, the log and metrics. Part of no decision.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use metrics::{Gauge, Histogram};

use crate::{
    deadline, metrics as names,
    port::{Batch, Offset, Partition, Start},
};

/// How many partitions of a worker are not restored yet; shared with whoever answers for readiness.
#[derive(Clone, Default)]
pub struct Restoring(Arc<AtomicUsize>);

impl Restoring {
    /// The number of partitions that have come and are not where they were yet.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// The restores of one worker.
pub(crate) struct Progress {
    group: String,
    restoring: Restoring,
    partitions: BTreeMap<Partition, Restore>,
    gauge: Gauge,
    seconds: Histogram,
}

struct Restore {
    began: Instant,
    committed: Option<Offset>,
    messages: usize,
}

impl Progress {
    pub(crate) fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            restoring: Restoring::default(),
            partitions: BTreeMap::new(),
            gauge: metrics::gauge!(names::RESTORING, "group" => group.to_owned()),
            seconds: metrics::histogram!(names::RESTORE_SECONDS, "group" => group.to_owned()),
        }
    }

    pub(crate) fn restoring(&self) -> Restoring {
        self.restoring.clone()
    }

    /// A partition has come.
    pub(crate) fn assigned(&mut self, partition: &Partition, committed: Option<Offset>) {
        let restore = Restore { began: deadline::now(), committed, messages: 0 };
        self.partitions.insert(partition.clone(), restore);
        self.tell();
    }

    /// Its state is loaded; it is read from here on.
    pub(crate) fn started(&self, partition: &Partition, start: Start) {
        let Some(restore) = self.partitions.get(partition) else { return };
        let (group, committed) = (&self.group, restore.committed);
        let ms = restore.began.elapsed().as_millis() as u64;
        tracing::info!(group, %partition, ?start, ?committed, ms, "partition starts");
    }

    /// A partition has gone.
    pub(crate) fn revoked(&mut self, partition: &Partition) {
        self.partitions.remove(partition);
        self.tell();
    }

    /// What a batch says of restores: a live one, or one at its end, ends them.
    pub(crate) fn batch(&mut self, batch: &Batch) {
        if self.partitions.is_empty() {
            return;
        }
        for slice in &batch.slices {
            if let Some(restore) = self.partitions.get_mut(&slice.partition) {
                if batch.replay {
                    restore.messages += slice.messages.len();
                }
                if slice.at_end || (!batch.replay && !slice.messages.is_empty()) {
                    self.restored(&slice.partition);
                }
            }
        }
        self.tell();
    }

    /// These partitions are read to their end.
    pub(crate) fn idle(&mut self, at_end: &[Partition]) {
        if !self.partitions.is_empty() {
            at_end.iter().for_each(|partition| self.restored(partition));
            self.tell();
        }
    }

    fn restored(&mut self, partition: &Partition) {
        let Some(restore) = self.partitions.remove(partition) else { return };
        let (group, elapsed) = (&self.group, restore.began.elapsed());
        self.seconds.record(elapsed);
        let (replayed, ms) = (restore.messages, elapsed.as_millis() as u64);
        tracing::info!(group, %partition, replayed, ms, "partition restored");
    }

    fn tell(&self) {
        self.restoring.0.store(self.partitions.len(), Ordering::Release);
        self.gauge.set(self.partitions.len() as f64);
    }
}
