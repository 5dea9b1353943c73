//! Groups: fencing, sharing, taking over, and the worker's loop on top.

use std::{collections::BTreeSet, sync::Arc};

use oddwatch_exchange::{
    Assignment, Batch, CommitOutcome, Error, Event, Fault, Outputs, Partition, Processor, Restore,
    Start, Step, Worker,
};

use crate::bed::{Bed, Seat, limits, numbers, output, text, values};

pub fn a_zombie_is_fenced(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut zombie = bed.join("a", &[&topic]);
    zombie.begin(Start::Committed);
    zombie.read(5);
    let mut heir = bed.join("a", &[&topic]);
    let outputs = Outputs { messages: vec![output(&out, 0, "zombie")], metadata: Vec::new() };
    match zombie.member.commit(&outputs) {
        Err(Error::Fenced { member, .. }) => assert!(member.ends_with('a')),
        other => panic!("{other:?}"),
    }
    assert_eq!(heir.begin(Start::Committed).len(), 2);
    assert_eq!(values(&heir.read(5)), numbers(0..5));
    heir.committed(vec![output(&out, 0, "heir")]);
    assert_eq!(bed.values(&out), ["heir"]);
    // The zombie's death does not disturb the heir.
    drop(zombie);
    bed.append(&topic, 1, numbers(5..7));
    assert_eq!(values(&heir.read(2)), numbers(5..7));
}

pub fn two_members_share_and_take_over(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 4), bed.topic("out", 1));
    let mut shares = [Share::new(bed.join("a", &[&topic])), Share::new(bed.join("b", &[&topic]))];
    let settled = |shares: &[Share]| shares.iter().all(|share| share.owned.len() == 2);
    Share::turn_until(&mut shares, &out, settled);
    assert!(shares[0].owned.is_disjoint(&shares[1].owned));

    for number in 0..4 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 10));
    }
    let done = |shares: &[Share]| shares.iter().map(|share| share.seen).sum::<usize>() == 40;
    Share::turn_until(&mut shares, &out, done);

    let [a, b] = shares;
    a.seat.member.leave();
    for number in 0..4 {
        bed.append(&topic, number, numbers(40 + number * 10..40 + number * 10 + 10));
    }
    let before = b.seen;
    let mut rest = [b];
    Share::turn_until(&mut rest, &out, |shares| shares[0].seen == before + 40);
    assert_eq!(rest[0].owned.len(), 4);
    let mut written: Vec<u32> = bed.values(&out).iter().map(|v| v.parse().expect("u32")).collect();
    written.sort_unstable();
    assert_eq!(written, (0..80).collect::<Vec<_>>());
}

pub fn groups_do_not_disturb_each_other(bed: &dyn Bed) {
    let topic = bed.topic("in", 1);
    bed.append(&topic, 0, numbers(0..5));
    let mut first = bed.join("a", &[&topic]);
    let mut group = bed.group("b", &[&topic]);
    group.name.push_str("-other");
    let mut second = Seat { member: bed.exchange().join(&group).expect("join") };
    first.begin(Start::Committed);
    second.begin(Start::Committed);
    assert_eq!(values(&first.read(5)), numbers(0..5));
    first.committed(Vec::new());
    assert_eq!(values(&second.read(5)), numbers(0..5));
    assert_eq!(second.commit(Vec::new()), CommitOutcome::Committed);
}

/// A copier that restores nothing and remembers nothing.
struct Copier {
    out: Arc<str>,
}

#[derive(Debug)]
struct Stop(Error);

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl Processor for Copier {
    type Error = Stop;

    fn restore(&mut self, _: &Assignment) -> Result<Restore, Stop> {
        Ok(Restore::Start(Start::Committed))
    }

    fn drop_partition(&mut self, _: &Partition) {}

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Stop> {
        let messages = batch.slices.iter().flat_map(|slice| &slice.messages);
        let messages = messages.map(|message| output(&self.out, 0, &text(message))).collect();
        Ok(Outputs { messages, metadata: Vec::new() })
    }
}

pub fn a_worker_survives_whatever_befalls_its_commits(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    let group = bed.group("a", &[&topic]);
    let worker = || {
        let member = bed.exchange().join(&group).expect("join");
        Worker::new(member, Copier { out: Arc::clone(&out) }, limits())
    };
    // The last is followed by no other that would make up for what it loses.
    let faults = [Fault::Rewind, Fault::Full, Fault::DieBefore, Fault::DieAfter, Fault::Full];
    bed.faults().plan(faults);
    let (mut running, mut appended) = (worker(), 0);
    for _ in 0..300 {
        match running.step() {
            Ok(Step::Idle) if bed.faults().is_empty() && appended > 0 => break,
            Ok(Step::Idle) => {
                for number in 0..2 {
                    bed.append(&topic, number, numbers(appended..appended + 10));
                    appended += 10;
                }
            }
            Ok(_) => {}
            Err(Stop(Error::Fatal { .. })) => {
                drop(running);
                running = worker();
            }
            Err(Stop(other)) => panic!("{other:?}"),
        }
    }
    assert!(bed.faults().is_empty(), "not all faults came to pass");
    let mut written: Vec<u32> = bed.values(&out).iter().map(|v| v.parse().expect("u32")).collect();
    written.sort_unstable();
    assert_eq!(written, (0..appended).collect::<Vec<_>>(), "each message was copied once");
}

/// A member that copies, and what it has at present.
struct Share {
    seat: Seat,
    owned: BTreeSet<Partition>,
    seen: usize,
}

impl Share {
    fn new(seat: Seat) -> Self {
        Self { seat, owned: BTreeSet::new(), seen: 0 }
    }

    fn turn(&mut self, out: &Arc<str>) {
        match self.seat.poll() {
            Event::Assigned(assignments) => {
                for assignment in assignments {
                    self.seat.member.start(&assignment.partition, Start::Committed).expect("start");
                    self.owned.insert(assignment.partition);
                }
            }
            Event::Revoked(partitions) => {
                for partition in partitions {
                    assert!(self.owned.remove(&partition), "{partition} was not owned");
                }
            }
            Event::Batch(batch) => {
                let messages: Vec<_> = batch.slices.iter().flat_map(|s| &s.messages).collect();
                let copies = messages.iter().map(|m| output(out, 0, &text(m))).collect();
                if self.seat.commit(copies) == CommitOutcome::Committed {
                    self.seen += messages.len();
                }
            }
            Event::Idle(_) => {}
        }
    }

    fn turn_until(shares: &mut [Share], out: &Arc<str>, condition: impl Fn(&[Share]) -> bool) {
        for _ in 0..300 {
            if condition(shares) {
                return;
            }
            for share in shares.iter_mut() {
                share.turn(out);
            }
        }
        panic!("the members did not get there");
    }
}
