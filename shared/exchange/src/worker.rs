//! The one loop that every service runs: poll, apply, commit. It is the same for the first start, a crash, a
//! rebalance and an aborted transaction, because all of them arrive as `Revoked` and `Assigned`.
//!
//! [`Worker::step`] makes one turn, so a test or a single-threaded run (`oddwatch score`) can drive several
//! services in one thread.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use crate::{
    counts::Counts,
    deadline,
    points::{self, Point},
    port::{
        Assignment, Batch, CommitOutcome, Error, Event, Member, Outputs, Partition, PollLimits,
        Slice, Start,
    },
    processor::{Place, Processor, Restore},
    progress::{Progress, Restoring},
    suspicion::{Next, Suspects},
};

/// How often a full exchange is offered the last outputs again after a stop was asked for, 1 ms apart.
const STOPPING_OFFERS_MAX: u32 = 1_000;
/// How long a poll waits while states are loaded, or saved, on other threads.
const BUSY_WAIT: Duration = Duration::from_millis(5);

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
    uncommitted: Option<Uncommitted>,
    suspects: Suspects,
    /// How many partitions are loading.
    loading: usize,
    /// Loaded, but the exchange could not be asked to start them.
    waiting: BTreeMap<Partition, Start>,
    progress: Progress,
    counts: Counts,
}

/// Outputs that were offered, and the partitions of the batch they come from.
struct Uncommitted {
    outputs: Outputs,
    partitions: Vec<Partition>,
}

impl<P: Processor> Worker<P> {
    /// A worker on a joined member.
    pub fn new(member: Box<dyn Member>, processor: P, limits: PollLimits) -> Self {
        let group = &member.group().name;
        let (counts, progress) = (Counts::new(group), Progress::new(group));
        Self {
            member,
            processor,
            limits,
            uncommitted: None,
            suspects: Suspects::default(),
            loading: 0,
            waiting: BTreeMap::new(),
            progress,
            counts,
        }
    }

    /// The processor, to look at from outside between steps.
    pub fn processor(&self) -> &P {
        &self.processor
    }

    /// A handle that tells how many of its partitions are not restored yet.
    pub fn restoring(&self) -> Restoring {
        self.progress.restoring()
    }

    /// Makes one turn of the loop, waiting at most the limits' `wait`.
    ///
    /// # Errors
    /// What the processor or the exchange could not get over; the worker must not be used any more.
    pub fn step(&mut self) -> Result<Step, P::Error> {
        if let Some(uncommitted) = self.uncommitted.take() {
            return self.commit(uncommitted);
        }
        self.start_loaded()?;
        for (partition, start) in std::mem::take(&mut self.waiting) {
            self.start(&partition, start)?;
        }
        let event = match self.member.poll(&self.poll_limits()) {
            Err(Error::Unavailable { what }) => {
                tracing::warn!(what, "exchange unavailable, trying again");
                return Ok(Step::Idle);
            }
            polled => polled?,
        };
        match event {
            Event::Assigned(assignments) => {
                let partitions = names_of(assignments.iter().map(|one| &one.partition));
                tracing::info!(group = self.member.group().name, partitions, "partitions come");
                for assignment in assignments {
                    self.restore(assignment)?;
                }
                self.settle()?;
                Ok(Step::Worked)
            }
            Event::Revoked(partitions) => {
                let names = names_of(partitions.iter());
                tracing::info!(
                    group = self.member.group().name,
                    partitions = names,
                    "partitions go"
                );
                for partition in &partitions {
                    self.processor.drop_partition(partition);
                    self.waiting.remove(partition);
                    self.progress.revoked(partition);
                }
                Ok(Step::Worked)
            }
            Event::Batch(batch) => {
                self.counts.batch(&batch);
                self.progress.batch(&batch);
                self.batch(&batch)
            }
            Event::Idle(at_end) => {
                self.progress.idle(&at_end);
                let outputs = self.processor.idle(&at_end)?;
                if outputs.is_empty() {
                    self.settle()?;
                    return Ok(Step::Idle);
                }
                self.commit(Uncommitted { outputs, partitions: vec![] })
            }
        }
    }

    /// Makes everything come again, in place of a batch that the processor has refused by an error of its own.
    ///
    /// # Errors
    /// What the exchange could not get over.
    pub fn rewind(&mut self) -> Result<(), P::Error> {
        Ok(self.member.rewind()?)
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

    fn poll_limits(&self) -> PollLimits {
        let mut limits = self.limits;
        if self.loading > 0 || self.processor.is_busy() {
            limits.wait = limits.wait.min(BUSY_WAIT);
        }
        if self.suspects.is_careful() {
            limits.messages_max = 1;
        }
        limits
    }

    fn restore(&mut self, mut assignment: Assignment) -> Result<(), P::Error> {
        self.suspects.assigned(&mut assignment, self.processor.can_skip());
        let committed = assignment.committed.as_ref().map(|committed| committed.offset);
        self.progress.assigned(&assignment.partition, committed);
        match self.processor.restore(&assignment)? {
            Restore::Start(start) => self.start(&assignment.partition, start),
            Restore::Later => {
                self.loading += 1;
                Ok(())
            }
        }
    }

    fn start_loaded(&mut self) -> Result<(), P::Error> {
        if self.loading == 0 {
            return Ok(());
        }
        let restored = self.processor.restored()?;
        let any = !restored.is_empty();
        for (partition, start) in restored {
            self.start(&partition, start)?;
        }
        self.loading = self.processor.loading();
        if any { self.settle() } else { Ok(()) }
    }

    fn start(&mut self, partition: &Partition, start: Start) -> Result<(), P::Error> {
        // One question without an answer, which takes seconds, is enough for a turn.
        if !self.waiting.is_empty() {
            self.waiting.insert(partition.clone(), start);
            return Ok(());
        }
        match self.member.start(partition, start) {
            Err(Error::Lost { wanted, first, .. }) => {
                let start = self.processor.lost(partition, wanted, first)?;
                self.start(partition, start)
            }
            Err(Error::Unavailable { what }) => {
                tracing::warn!(what, "exchange unavailable, trying again");
                self.waiting.insert(partition.clone(), start);
                Ok(())
            }
            started => {
                self.progress.started(partition, start);
                Ok(started?)
            }
        }
    }

    fn batch(&mut self, batch: &Batch) -> Result<Step, P::Error> {
        if batch.replay {
            points::pass(Point::MidReplay);
        } else {
            for Slice { partition, .. } in &batch.slices {
                if self.suspects.waits(partition) {
                    self.suspects.set_base(partition, self.processor.metadata(partition));
                }
            }
            if let Some(partition) = self.suspects.searched(batch).cloned() {
                return self.search(&partition, batch);
            }
            let marks = self.suspects.marks(batch);
            if !marks.is_empty() && !self.note(marks)? {
                return Ok(Step::Worked);
            }
        }
        let Some(mut outputs) = self.guarded(batch, |processor| processor.apply(batch))? else {
            return Ok(Step::Worked);
        };
        if batch.replay {
            return Ok(Step::Worked);
        }
        self.suspects.clear(batch, &mut outputs);
        let with_messages = batch.slices.iter().filter(|slice| !slice.messages.is_empty());
        let partitions = with_messages.map(|slice| slice.partition.clone()).collect();
        self.commit(Uncommitted { outputs, partitions })
    }

    /// Notes metadata; says whether the batch in hand is still to be applied.
    fn note(&mut self, metadata: Vec<(Partition, String)>) -> Result<bool, P::Error> {
        Ok(match self.member.note(&metadata)? {
            CommitOutcome::Committed => {
                self.suspects.noted(metadata);
                true
            }
            // What can't be noted now is not worth waiting for.
            CommitOutcome::Full => true,
            CommitOutcome::Rewound => {
                self.counts.rewinds.increment(1);
                false
            }
        })
    }

    /// Looks for the deadly item of the batch's only message, one rehearsal at a time.
    fn search(&mut self, partition: &Partition, batch: &Batch) -> Result<Step, P::Error> {
        let only = |slice: &&Slice| slice.partition == *partition;
        let message = batch.slices.iter().find(only).and_then(|slice| slice.messages.first());
        let Some(message) = message else { return Ok(Step::Worked) };
        let items = catch_unwind(AssertUnwindSafe(|| self.processor.items(message))).unwrap_or(1);
        let next = self.suspects.next(partition, items);
        match next {
            None => return Ok(Step::Worked),
            Some(Next::Skip { item }) => {
                let place = Place { partition: partition.clone(), offset: message.offset, item };
                self.skip(&place, "the process died on it, again and again")?;
                // Else another death, before the partition makes progress, would skip it once more.
                if let Some(base) = self.suspects.base(partition)
                    && !self.note(vec![(partition.clone(), base)])?
                {
                    return Ok(Step::Worked);
                }
            }
            Some(Next::Rehearse { items, note }) => {
                tracing::warn!(%partition, offset = message.offset, items, "looking for a deadly item");
                if !self.note(vec![(partition.clone(), note)])? {
                    return Ok(Step::Worked);
                }
                let rehearse = |processor: &mut P| processor.rehearse(batch, items);
                if self.guarded(batch, rehearse)?.is_none() {
                    return Ok(Step::Worked);
                }
                if let Some(note) = self.suspects.survived(partition, items)
                    && !self.note(vec![(partition.clone(), note)])?
                {
                    return Ok(Step::Worked);
                }
            }
        }
        self.member.rewind()?;
        Ok(Step::Worked)
    }

    /// Runs a part of the processor that may panic on an item: the item is skipped from then on, everything
    /// comes again, and the answer is `None`.
    fn guarded<T>(
        &mut self,
        batch: &Batch,
        run: impl FnOnce(&mut P) -> Result<T, P::Error>,
    ) -> Result<Option<T>, P::Error> {
        // What a panic leaves half-way is thrown away by the rewind.
        match catch_unwind(AssertUnwindSafe(|| run(&mut self.processor))) {
            Ok(done) => done.map(Some),
            Err(panic) => {
                let what = text(&*panic);
                let Some(place) = self.processor.place() else {
                    let what = format!("a panic outside of any item: {what}");
                    return Err(Error::Fatal { what }.into());
                };
                let replay = batch.replay;
                tracing::error!(%place, replay, what, "panicked on an item, which is skipped");
                self.skip(&place, &format!("panicked: {what}"))?;
                self.member.rewind()?;
                Ok(None)
            }
        }
    }

    fn skip(&mut self, place: &Place, why: &str) -> Result<(), P::Error> {
        self.counts.skipped.increment(1);
        self.processor.skip(place, why)?;
        self.suspects.skipped(&place.partition);
        Ok(())
    }

    fn commit(&mut self, uncommitted: Uncommitted) -> Result<Step, P::Error> {
        let offered_at = deadline::now();
        match self.member.commit(&uncommitted.outputs)? {
            CommitOutcome::Committed => {
                self.counts.commit_seconds.record(offered_at.elapsed());
                self.suspects.passed(&uncommitted.partitions);
                self.settle()?;
                Ok(Step::Worked)
            }
            CommitOutcome::Rewound => {
                self.counts.rewinds.increment(1);
                Ok(Step::Worked)
            }
            CommitOutcome::Full => {
                self.counts.full.increment(1);
                self.uncommitted = Some(uncommitted);
                Ok(Step::Full)
            }
        }
    }

    fn settle(&mut self) -> Result<(), P::Error> {
        for (partition, offset) in self.processor.settled()? {
            self.member.release(&partition, offset)?;
        }
        Ok(())
    }
}

fn names_of<'a>(partitions: impl Iterator<Item = &'a Partition>) -> String {
    partitions.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}
