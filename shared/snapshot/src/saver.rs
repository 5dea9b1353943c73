//! When to take which partition's snapshot, and how: slice by slice between the worker's cycles, at
//! most one at a time, written by a thread. What goes wrong is told and tried again; the stream
//! goes on.

use std::sync::Arc;

use metrics::{Counter, Gauge};

use crate::{
    Begun, Capture, Error, Header, Partitions, Store, Subject, metrics as names,
    schedule::Schedule,
    writer::{End, Order, Wait, Writer},
};

/// After so many failures [`Saver::finish`] gives up: a process that is to stop should not wait for
/// a store that is away, once for each partition.
const FINISH_FAILURES_MAX: usize = 2;

/// When snapshots are taken, and at what cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaverConfig {
    /// A partition with new input gets a snapshot after so long.
    pub every_ms: i64,
    /// And after so much input.
    pub input_bytes: u64,
    /// So much of a state is written between two cycles: 2 MiB take 1 to 2 ms.
    pub slice_bytes: usize,
    /// So many snapshots of a partition are kept, at least 1.
    pub kept: usize,
    /// If items change so fast that more than this waits for the writer, the worker waits as well;
    /// if that takes the writer longer than half a second, the snapshot is given up.
    pub buffered_bytes_max: usize,
}

impl Default for SaverConfig {
    fn default() -> Self {
        Self {
            every_ms: 60_000,
            input_bytes: 64 << 20,
            slice_bytes: 2 << 20,
            kept: 3,
            buffered_bytes_max: 256 << 20,
        }
    }
}

/// A snapshot that has become durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The partition.
    pub partition: String,
    /// The snapshot's input offset.
    pub offset: u64,
    /// Input below this offset is not needed any more: it is that of the oldest snapshot that is
    /// kept, or 0 until there are as many as are to be kept.
    pub needed_from: u64,
}

/// Takes the snapshots of a worker's partitions.
pub struct Saver {
    service: &'static str,
    config: SaverConfig,
    schedule: Schedule,
    writer: Writer,
    running: Option<Running>,
    counts: Counts,
}

struct Running {
    partition: String,
    name: String,
    kept: Vec<u64>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Slices are being taken.
    Advancing,
    /// All was handed over.
    Publishing,
    /// Only the writer's answer is waited for.
    GivenUp,
}

struct Counts {
    taken: Counter,
    bytes: Gauge,
    failures: Counter,
}

impl Saver {
    /// A saver of a service's partitions. `inline` starts no thread: what it does is then a
    /// function of its calls and the store, and every call waits for the store.
    pub fn new(
        store: Arc<Store>,
        service: &'static str,
        config: SaverConfig,
        inline: bool,
    ) -> Self {
        let counts = Counts {
            taken: metrics::counter!(names::TAKEN, "service" => service),
            bytes: metrics::gauge!(names::BYTES, "service" => service),
            failures: metrics::counter!(names::FAILURES, "service" => service),
        };
        Self {
            service,
            schedule: Schedule::new(config.every_ms, config.input_bytes, config.kept),
            config,
            writer: Writer::new(store, inline),
            running: None,
            counts,
        }
    }

    /// A partition has come; `kept` is what [`crate::Loaded::kept`] said.
    pub fn assigned(&mut self, partition: &str, kept: Vec<u64>, now_ms: i64) {
        self.give_up(partition);
        self.schedule.assigned(partition, kept, now_ms);
    }

    /// A partition has gone, and its state with it.
    pub fn dropped(&mut self, partition: &str) {
        self.give_up(partition);
        self.schedule.dropped(partition);
    }

    /// So much input was applied to a partition's state.
    pub fn applied(&mut self, partition: &str, bytes: u64) {
        self.schedule.applied(partition, bytes);
    }

    /// Whether a snapshot is being taken: [`Saver::settle`] should then be called soon again.
    pub fn in_progress(&self) -> bool {
        self.running.is_some()
    }

    /// To be called after every committed cycle, and when idle: goes on with the snapshot that is
    /// being taken, or begins one that is due. Returns those that have become durable since.
    pub fn settle<P: Partitions>(&mut self, now_ms: i64, partitions: &mut P) -> Vec<Released> {
        let mut released = vec![];
        self.collect(false, partitions, &mut released);
        if self.running.is_none() {
            let due = self.schedule.due(now_ms);
            let _ = due.iter().any(|partition| self.begin(partition, now_ms, partitions));
        }
        self.advance(Wait::Not, partitions);
        self.collect(false, partitions, &mut released);
        released
    }

    /// Takes snapshots of all partitions that had input since their last one and waits until they
    /// are durable: the orderly end. Gives up after two failures; what is missing then is replayed.
    pub fn finish<P: Partitions>(&mut self, now_ms: i64, partitions: &mut P) -> Vec<Released> {
        let mut released = vec![];
        let mut failures = self.complete(partitions, &mut released);
        for partition in self.schedule.unsaved() {
            if failures >= FINISH_FAILURES_MAX {
                tracing::warn!(partition, "no snapshot before the end, the store fails");
            } else if self.begin(&partition, now_ms, partitions) {
                failures += self.complete(partitions, &mut released);
            }
        }
        released
    }

    /// Takes the running snapshot to its end; returns how many failed.
    fn complete<P: Partitions>(
        &mut self,
        partitions: &mut P,
        released: &mut Vec<Released>,
    ) -> usize {
        let mut failures = 0;
        while self.running.is_some() {
            let advanced = self.advance(Wait::ToTheEnd, partitions);
            failures += self.collect(!advanced, partitions, released);
        }
        failures
    }

    /// Begins a snapshot, unless the partition can't be captured now.
    fn begin<P: Partitions>(&mut self, partition: &str, now_ms: i64, partitions: &mut P) -> bool {
        let Some((state, offset)) = partitions.get(partition) else { return false };
        let Begun { state_version, config_version, epoch, next, head } = state.begin();
        let header = Header {
            subject: Subject::new(self.service, partition),
            state_version,
            config_version,
            epoch,
            offset,
            next,
            taken_at_ms: now_ms,
        };
        let kept = self.schedule.begun(partition, offset, now_ms);
        self.running = Some(Running {
            partition: partition.to_owned(),
            name: format!("{} at {offset}", header.subject),
            kept: kept.clone(),
            stage: Stage::Advancing,
        });
        self.writer.give(Order::Begin { header, head, kept });
        true
    }

    /// Takes a slice, if one is to be taken and there is room for it, and more if copy-on-write has
    /// written more.
    fn advance<P: Partitions>(&mut self, wait: Wait, partitions: &mut P) -> bool {
        let Some(running) = self.running.as_mut().filter(|at| at.stage == Stage::Advancing) else {
            return false;
        };
        let Some((state, _)) = partitions.get(&running.partition) else {
            running.stage = Stage::GivenUp;
            self.writer.give(Order::Cancel);
            return false;
        };
        let mut advanced = false;
        loop {
            let buffered = state.buffered();
            if advanced && buffered <= self.config.slice_bytes {
                return true;
            }
            let crowded = buffered > self.config.buffered_bytes_max;
            let room = self.writer.buffer(if crowded { wait.max(Wait::AWhile) } else { wait });
            let Some(mut slice) = room else {
                if crowded {
                    state.cancel();
                    running.stage = Stage::GivenUp;
                    self.writer.give(Order::Cancel);
                    let snapshot = &running.name;
                    tracing::warn!(snapshot, buffered, "snapshot given up, the store is too slow");
                    self.counts.failures.increment(1);
                }
                return advanced;
            };
            slice.reserve(self.config.slice_bytes);
            let done = state.advance(self.config.slice_bytes, &mut slice);
            self.writer.give(Order::Slice(slice));
            if done {
                running.stage = Stage::Publishing;
                self.writer.give(Order::Finish);
                return true;
            }
            advanced = true;
        }
    }

    /// Takes the writer's answer, if there is one; returns how many told of a failure.
    fn collect<P: Partitions>(
        &mut self,
        wait: bool,
        partitions: &mut P,
        released: &mut Vec<Released>,
    ) -> usize {
        let Some(end) = self.writer.answer(wait) else { return 0 };
        let Some(running) = self.running.take() else { return 0 };
        match end {
            End::Durable(bytes) => {
                self.counts.taken.increment(1);
                self.counts.bytes.set(bytes as f64);
                tracing::debug!(snapshot = running.name, bytes, "snapshot taken");
                if running.stage != Stage::GivenUp {
                    released.extend(self.released(running));
                }
                0
            }
            End::Failed(error) => {
                self.failed(&running, &error, partitions);
                1
            }
            End::Cancelled => 0,
        }
    }

    fn released(&mut self, running: Running) -> Option<Released> {
        let offset = running.kept.first().copied()?;
        let needed_from = self.schedule.durable(&running.partition, running.kept)?;
        Some(Released { partition: running.partition, offset, needed_from })
    }

    fn failed<P: Partitions>(&self, running: &Running, error: &Error, partitions: &mut P) {
        self.counts.failures.increment(1);
        let (snapshot, error) = (&running.name, error.in_full());
        tracing::warn!(snapshot, error, "snapshot not taken, to be tried again when it is due");
        if running.stage == Stage::Advancing
            && let Some((state, _)) = partitions.get(&running.partition)
        {
            state.cancel();
        }
    }

    /// Gives up the running snapshot if it is this partition's.
    fn give_up(&mut self, partition: &str) {
        if let Some(running) = &mut self.running
            && running.partition == partition
            && running.stage != Stage::GivenUp
        {
            running.stage = Stage::GivenUp;
            self.writer.give(Order::Cancel);
        }
    }
}
