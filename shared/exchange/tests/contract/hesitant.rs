//! An exchange that can't be asked for a moment does not end the worker: what it is to start waits.

use oddwatch_exchange::{
    Assignment, Batch, CommitOutcome, Error, Event, Group, Member, Offset, Outputs, Partition,
    PollLimits, Processor, Restore, Start, Step, Worker,
};

use crate::bed::{Bed, MemoryBed, limits, numbers, output, text};

/// A member that does not answer the first questions.
struct Hesitant {
    member: Box<dyn Member>,
    silences: usize,
}

impl Member for Hesitant {
    fn poll(&mut self, limits: &PollLimits) -> Result<Event, Error> {
        self.member.poll(limits)
    }

    fn start(&mut self, partition: &Partition, start: Start) -> Result<(), Error> {
        if let Some(left) = self.silences.checked_sub(1) {
            self.silences = left;
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
    out: std::sync::Arc<str>,
}

impl Processor for Copier {
    type Error = Error;

    fn restore(&mut self, _: &Assignment) -> Result<Restore, Error> {
        Ok(Restore::Start(Start::Committed))
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
    let member = Hesitant { member: bed.join("a", &[&topic]).member, silences: 5 };
    let mut worker = Worker::new(Box::new(member), Copier { out: out.clone() }, limits());
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
    let member = Hesitant { member: bed.join("a", &[&topic]).member, silences: usize::MAX };
    let mut worker = Worker::new(Box::new(member), Copier { out: out.clone() }, limits());
    worker.step().expect("assigned");
    // The other takes one partition, and the whole when the first has gone.
    let other = Hesitant { member: bed.join("b", &[&topic]).member, silences: 0 };
    let mut other = Worker::new(Box::new(other), Copier { out: out.clone() }, limits());
    for number in 0..2 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 10));
    }
    for _ in 0..20 {
        worker.step().expect("step");
        other.step().expect("step");
    }
    assert_eq!(bed.values(&out).len(), 10);
    drop(worker);
    for _ in 0..20 {
        other.step().expect("step");
    }
    assert_eq!(bed.values(&out).len(), 20);
}
