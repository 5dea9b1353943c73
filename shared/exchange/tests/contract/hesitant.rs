//! The worker's own promises: an exchange that can't be asked for a moment does not end it, what it is to start
//! waits; and what a processor makes of a replay is not written.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use oddwatch_exchange::{
    Assignment, Batch, CommitOutcome, Error, Event, Group, Member, Offset, Outputs, Partition,
    PollLimits, Processor, Restore, Start, Step, Worker,
};

use crate::bed::{Bed, MemoryBed, limits, numbers, output, text};

/// A member that does not answer the next questions.
struct Hesitant {
    member: Box<dyn Member>,
    silences: Arc<AtomicUsize>,
}

impl Member for Hesitant {
    fn poll(&mut self, limits: &PollLimits) -> Result<Event, Error> {
        self.member.poll(limits)
    }

    fn start(&mut self, partition: &Partition, start: Start) -> Result<(), Error> {
        let silences = self.silences.load(Ordering::Relaxed);
        if silences > 0 {
            self.silences.store(silences - 1, Ordering::Relaxed);
            return Err(Error::Unavailable { what: "silence".into() });
        }
        self.member.start(partition, start)
    }

    fn commit(&mut self, outputs: &Outputs) -> Result<CommitOutcome, Error> {
        self.member.commit(outputs)
    }

    fn note(&mut self, metadata: &[(Partition, String)]) -> Result<CommitOutcome, Error> {
        self.member.note(metadata)
    }

    fn rewind(&mut self) -> Result<(), Error> {
        self.member.rewind()
    }

    fn release(&mut self, partition: &Partition, offset: Offset) -> Result<(), Error> {
        self.member.release(partition, offset)
    }

    fn group(&self) -> &Group {
        self.member.group()
    }

    fn leave(self: Box<Self>) {
        self.member.leave();
    }
}

struct Copier {
    out: Arc<str>,
    start: Start,
}

/// A worker that copies, and how many questions of it will find no answer.
fn worker(
    bed: &dyn Bed,
    name: &str,
    topic: &Arc<str>,
    copier: Copier,
) -> (Worker<Copier>, Arc<AtomicUsize>) {
    let silences = Arc::new(AtomicUsize::new(0));
    let member = Hesitant { member: bed.join(name, &[topic]).member, silences: silences.clone() };
    (Worker::new(Box::new(member), copier, limits()), silences)
}

impl Processor for Copier {
    type Error = Error;

    fn restore(&mut self, _: &Assignment) -> Result<Restore, Error> {
        Ok(Restore::Start(self.start))
    }

    fn drop_partition(&mut self, _: &Partition) {}

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Error> {
        let messages = batch.slices.iter().flat_map(|slice| &slice.messages);
        let messages = messages.map(|message| output(&self.out, 0, &text(message))).collect();
        Ok(Outputs { messages, metadata: Vec::new() })
    }
}

#[test]
fn what_cannot_be_started_now_is_started_later() {
    let bed = MemoryBed::new();
    let bed: &dyn Bed = &bed;
    let (topic, out) = (bed.topic("in", 3), bed.topic("out", 1));
    for number in 0..3 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 10));
    }
    let copier = Copier { out: out.clone(), start: Start::Committed };
    let (mut worker, silences) = worker(bed, "a", &topic, copier);
    silences.store(5, Ordering::Relaxed);
    for _ in 0..300 {
        worker.step().expect("step");
        if bed.values(&out).len() == 30 {
            break;
        }
    }
    let mut written: Vec<u32> = bed.values(&out).iter().map(|v| v.parse().expect("u32")).collect();
    written.sort_unstable();
    assert_eq!(written, (0..30).collect::<Vec<_>>());
    assert_eq!(worker.step().expect("step"), Step::Idle);
}

#[test]
fn what_goes_before_it_could_be_started_is_not_started() {
    let bed = MemoryBed::new();
    let bed: &dyn Bed = &bed;
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    let copier = || Copier { out: out.clone(), start: Start::Committed };
    let (mut first, silences) = worker(bed, "a", &topic, copier());
    silences.store(usize::MAX, Ordering::Relaxed);
    first.step().expect("assigned");
    // The other takes one partition; then the first is answered again.
    let (mut other, _) = worker(bed, "b", &topic, copier());
    for number in 0..2 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 10));
    }
    for _ in 0..20 {
        first.step().expect("step");
        other.step().expect("step");
    }
    assert_eq!(bed.values(&out).len(), 10);
    silences.store(0, Ordering::Relaxed);
    for _ in 0..20 {
        first.step().expect("it starts what it has, and no more");
        other.step().expect("step");
    }
    assert_eq!(bed.values(&out).len(), 20);
}

#[test]
fn what_is_replayed_is_not_written_again() {
    let bed = MemoryBed::new();
    let bed: &dyn Bed = &bed;
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    for life in 0..3 {
        bed.append(&topic, 0, numbers(life * 10..life * 10 + 10));
        let copier = Copier { out: out.clone(), start: Start::Earliest };
        let (mut worker, _) = worker(bed, "a", &topic, copier);
        while worker.step().expect("step") != Step::Idle {}
    }
    assert_eq!(bed.values(&out), numbers(0..30));
}
