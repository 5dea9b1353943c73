//! The one loop that every service runs: poll, apply, commit. It is the same for the first start, a crash, a
//! rebalance and an aborted transaction, because all of them arrive as `Revoked` and `Assigned`.
//!
//! [`Worker::step`] makes one turn, so a test or a single-threaded run (`oddwatch score`) can drive several
//! services in one thread.

use std::time::Duration;

use metrics::{Counter, Histogram};

use crate::{
    deadline, metrics as names,
    port::{
        Assignment, Batch, CommitOutcome, Error, Event, Member, Outputs, Partition, PollLimits,
        Start,
    },
};

/// How often a full exchange is offered the last outputs again after a stop was asked for, 1 ms apart.
const STOPPING_OFFERS_MAX: u32 = 1_000;

/// What a service does with its input. Implementations have no thread, socket or lock of their own.
pub trait Processor: Send {
    /// Why a step can fail; failures of the exchange convert into it.
    type Error: From<Error> + Send;

    /// Makes ready for a partition and says where its input has to start so that the state is whole again.
    ///
    /// # Errors
    /// If the state can't be restored; ends the worker.
    fn restore(&mut self, assignment: &Assignment) -> Result<Start, Self::Error>;

    /// Forgets a partition's state.
    fn drop_partition(&mut self, partition: &Partition);

    /// Changes state by a batch and returns what is to be written. For a replayed batch the result is thrown
    /// away (and need not be built).
    ///
    /// # Errors
    /// If the service can't go on; ends the worker.
    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Self::Error>;

    /// Called when nothing new came; `at_end` lists the partitions that are read to their end.
    ///
    /// # Errors
    /// If the service can't go on; ends the worker.
    fn idle(&mut self, at_end: &[Partition]) -> Result<Outputs, Self::Error> {
        let _ = at_end;
        Ok(Outputs::default())
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A batch was applied, or partitions came or went.
    Worked,
    /// Nothing to do within the wait.
    Idle,
    /// The exchange had no room for the outputs; the next step offers them again.
    Full,
}

/// A member of a group together with the processor it drives.
pub struct Worker<P> {
    member: Box<dyn Member>,
    processor: P,
    limits: PollLimits,
    uncommitted: Option<Outputs>,
    counts: Counts,
}

/// Handles of the metrics, made once.
struct Counts {
    live_batches: Counter,
    live_messages: Counter,
    replay_batches: Counter,
    replay_messages: Counter,
    commit_seconds: Histogram,
    full: Counter,
    rewinds: Counter,
}

impl<P: Processor> Worker<P> {
    /// A worker on a joined member.
    pub fn new(member: Box<dyn Member>, processor: P, limits: PollLimits) -> Self {
        let counts = Counts::new(&member.group().name);
        Self { member, processor, limits, uncommitted: None, counts }
    }

    /// The processor, to look at from outside between steps.
    pub fn processor(&self) -> &P {
        &self.processor
    }

    /// Makes one turn of the loop, waiting at most the limits' `wait`.
    ///
    /// # Errors
    /// What the processor or the exchange could not get over; the worker must not be used any more.
    pub fn step(&mut self) -> Result<Step, P::Error> {
        if let Some(outputs) = self.uncommitted.take() {
            return self.commit(outputs);
        }
        let event = match self.member.poll(&self.limits) {
            Err(Error::Unavailable { what }) => {
                tracing::warn!(what, "exchange unavailable, trying again");
                return Ok(Step::Idle);
            }
            polled => polled?,
        };
        match event {
            Event::Assigned(assignments) => {
                for assignment in &assignments {
                    let start = self.processor.restore(assignment)?;
                    self.member.start(&assignment.partition, start)?;
                }
                Ok(Step::Worked)
            }
            Event::Revoked(partitions) => {
                for partition in &partitions {
                    self.processor.drop_partition(partition);
                }
                Ok(Step::Worked)
            }
            Event::Batch(batch) => {
                self.counts.batch(&batch);
                let outputs = self.processor.apply(&batch)?;
                if batch.replay { Ok(Step::Worked) } else { self.commit(outputs) }
            }
            Event::Idle(at_end) => {
                let outputs = self.processor.idle(&at_end)?;
                if outputs.is_empty() {
                    return Ok(Step::Idle);
                }
                self.commit(outputs)
            }
        }
    }

    /// Steps until `stop` says so, then leaves the group. The batch in hand is committed first, unless the
    /// exchange stays full: then it comes again to whoever takes over.
    ///
    /// # Errors
    /// As [`Worker::step`].
    pub fn run(mut self, stop: &dyn Fn() -> bool) -> Result<(), P::Error> {
        let mut offers_left = STOPPING_OFFERS_MAX;
        loop {
            if stop() {
                if self.uncommitted.is_none() || offers_left == 0 {
                    break;
                }
                offers_left -= 1;
            }
            if self.step()? == Step::Full {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.member.leave();
        Ok(())
    }

    fn commit(&mut self, outputs: Outputs) -> Result<Step, P::Error> {
        let offered_at = deadline::now();
        match self.member.commit(&outputs)? {
            CommitOutcome::Committed => {
                self.counts.commit_seconds.record(offered_at.elapsed());
                Ok(Step::Worked)
            }
            CommitOutcome::Rewound => {
                self.counts.rewinds.increment(1);
                Ok(Step::Worked)
            }
            CommitOutcome::Full => {
                self.counts.full.increment(1);
                self.uncommitted = Some(outputs);
                Ok(Step::Full)
            }
        }
    }
}

impl Counts {
    fn new(group: &str) -> Self {
        let of = |name, kind: &'static str| metrics::counter!(name, "group" => group.to_owned(), "kind" => kind);
        Self {
            live_batches: of(names::BATCHES, "live"),
            live_messages: of(names::MESSAGES, "live"),
            replay_batches: of(names::BATCHES, "replay"),
            replay_messages: of(names::MESSAGES, "replay"),
            commit_seconds: metrics::histogram!(names::COMMIT_SECONDS, "group" => group.to_owned()),
            full: metrics::counter!(names::FULL, "group" => group.to_owned()),
            rewinds: metrics::counter!(names::REWINDS, "group" => group.to_owned()),
        }
    }

    fn batch(&self, batch: &Batch) {
        let messages: usize = batch.slices.iter().map(|slice| slice.messages.len()).sum();
        let (batches, of_messages) = if batch.replay {
            (&self.replay_batches, &self.replay_messages)
        } else {
            (&self.live_batches, &self.live_messages)
        };
        batches.increment(1);
        of_messages.increment(messages as u64);
    }
}
