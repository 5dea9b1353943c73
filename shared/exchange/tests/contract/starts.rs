//! Partitions that wait for their start while the others go on, and what comes again after a rewind.

use std::{collections::BTreeSet, sync::mpsc, thread, time::Duration};

use oddwatch_exchange::{CommitOutcome, Error, Event, Fault, Partition, Start};

use crate::bed::{Bed, Seat, Seen, numbers, output, partition, values};

/// How long a member may take to leave; a consumer that does not close is given up after 5 s.
const LEAVE_MAX: Duration = Duration::from_secs(4);

impl Seat {
    fn start(&mut self, partition: &Partition, start: Start) {
        self.member.start(partition, start).expect("start");
    }

    /// Expects these partitions to be revoked by the next poll.
    fn revoked(&mut self, partitions: &[Partition]) {
        assert_eq!(self.poll(), Event::Revoked(partitions.to_vec()));
    }

    fn leaves_at_once(self) {
        let (done, left) = mpsc::sync_channel(1);
        thread::spawn(move || {
            self.member.leave();
            let _ = done.send(());
        });
        left.recv_timeout(LEAVE_MAX).expect("it does not leave");
    }
}

fn of(seen: &[Seen], number: u32) -> Vec<Seen> {
    seen.iter().filter(|seen| seen.partition == number).cloned().collect()
}

pub fn a_partition_waits_for_its_start_while_others_go_on(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    let (early, late) = (partition(&topic, 0), partition(&topic, 1));
    for number in 0..2 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 10));
    }
    let mut first = bed.join("a", &[&topic]);
    first.begin(Start::Committed);
    first.read(20);
    first.committed(Vec::new());
    first.leaves_at_once();

    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.assigned().len(), 2);
    seat.start(&early, Start::Committed);
    for round in 0..20 {
        bed.append(&topic, 0, numbers(100 + round..101 + round));
        bed.append(&topic, 1, numbers(200 + round..201 + round));
        let seen = seat.read(1);
        assert_eq!((seen[0].partition, &*seen[0].value), (0, &*(100 + round).to_string()));
        seat.committed(vec![output(&out, 0, "x")]);
    }
    // Only what was started is said to be at its end.
    let told = (0..50).any(|_| match seat.poll() {
        Event::Idle(at_end) => {
            assert!(!at_end.contains(&late), "{at_end:?}");
            at_end == [early.clone()]
        }
        event => panic!("unexpected {event:?}"),
    });
    assert!(told, "the end was not told");
    // With a batch in hand, too: the other's start does not touch it.
    bed.append(&topic, 0, numbers(120..121));
    assert_eq!(values(&seat.read(1)), ["120"]);
    seat.start(&late, Start::At(6));
    seat.committed(Vec::new());
    let seen = seat.read(24);
    assert_eq!(values(&seen[..4]), numbers(16..20));
    assert!(seen[..4].iter().all(|seen| seen.replay), "{seen:?}");
    assert_eq!(values(&seen[4..]), numbers(200..220));
    assert!(seen[4..].iter().all(|seen| !seen.replay && seen.partition == 1), "{seen:?}");
    seat.committed(Vec::new());
    bed.append(&topic, 0, numbers(300..301));
    bed.append(&topic, 1, numbers(301..302));
    assert_eq!(seat.read(2).len(), 2);
    seat.leaves_at_once();

    let mut again = bed.join("a", &[&topic]);
    let assigned = again.begin(Start::Committed);
    let offsets: Vec<_> = assigned.iter().map(|a| a.committed.clone().map(|c| c.offset)).collect();
    assert_eq!(offsets, [Some(31), Some(30)]);
}

pub fn only_what_awaits_its_start_is_started(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    bed.append(&topic, 0, numbers(0..5));
    let (mine, other) = (partition(&topic, 0), partition(&topic, 1));
    let mut seat = bed.join("a", &[&topic]);
    let refused = |seat: &mut Seat, partition: &Partition| match seat
        .member
        .start(partition, Start::Earliest)
    {
        Err(Error::Fatal { what }) => assert!(what.contains(&partition.to_string()), "{what}"),
        other => panic!("{other:?}"),
    };
    refused(&mut seat, &mine);
    assert_eq!(seat.assigned().len(), 2);
    seat.start(&mine, Start::Committed);
    refused(&mut seat, &mine);
    assert_eq!(values(&seat.read(5)), numbers(0..5));
    refused(&mut seat, &mine);
    // Rewound, but not yet told of again.
    seat.member.rewind().expect("rewind");
    refused(&mut seat, &mine);
    seat.revoked(std::slice::from_ref(&mine));
    refused(&mut seat, &mine);
    seat.start(&other, Start::Committed);
    seat.begin(Start::Committed);
    assert_eq!(values(&seat.read(5)), numbers(0..5));
}

pub fn members_leave_whatever_awaits_its_start(bed: &dyn Bed) {
    let topic = bed.topic("in", 3);
    bed.append(&topic, 0, numbers(0..5));
    // None started; one started but not polled; one read.
    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.assigned().len(), 3);
    seat.leaves_at_once();
    let mut seat = bed.join("a", &[&topic]);
    let assigned = seat.assigned();
    seat.start(&assigned[1].partition, Start::Committed);
    seat.leaves_at_once();
    let mut seat = bed.join("a", &[&topic]);
    let assigned = seat.assigned();
    seat.start(&assigned[0].partition, Start::Committed);
    assert_eq!(values(&seat.read(5)), numbers(0..5));
    seat.leaves_at_once();
    // Before anything was told.
    bed.join("a", &[&topic]).leaves_at_once();
    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.begin(Start::Committed).len(), 3);
    assert_eq!(values(&seat.read(5)), numbers(0..5));
}

/// A member that starts only what it is told to.
struct Waiting {
    seat: Seat,
    owned: BTreeSet<Partition>,
}

impl Waiting {
    fn join(bed: &dyn Bed, member: &str, topic: &std::sync::Arc<str>) -> Self {
        Self { seat: bed.join(member, &[topic]), owned: BTreeSet::new() }
    }

    /// One poll; the values of a batch, which is committed.
    fn turn(&mut self) -> Vec<String> {
        match self.seat.poll() {
            Event::Assigned(assignments) => {
                for assignment in assignments {
                    assert!(self.owned.insert(assignment.partition), "assigned twice");
                }
            }
            Event::Revoked(partitions) => {
                for partition in partitions {
                    assert!(self.owned.remove(&partition), "{partition} was not owned");
                }
            }
            Event::Batch(batch) => {
                let messages = batch.slices.iter().flat_map(|slice| &slice.messages);
                let values = messages.map(crate::bed::text).collect();
                self.seat.committed(Vec::new());
                return values;
            }
            Event::Idle(_) => {}
        }
        Vec::new()
    }
}

fn turn_until(members: &mut [&mut Waiting], condition: impl Fn(&[&mut Waiting]) -> bool) {
    for _ in 0..300 {
        if condition(members) {
            return;
        }
        for member in members.iter_mut() {
            assert_eq!(member.turn(), Vec::<String>::new(), "nothing was to be read");
        }
    }
    let owned: Vec<_> = members.iter().map(|member| member.owned.clone()).collect();
    panic!("the members did not get there: {owned:?}");
}

pub fn what_awaits_its_start_moves_to_another_member(bed: &dyn Bed) {
    let topic = bed.topic("in", 4);
    let all: BTreeSet<_> = (0..4).map(|number| partition(&topic, number)).collect();
    let (mut a, mut b) = (Waiting::join(bed, "a", &topic), Waiting::join(bed, "b", &topic));
    turn_until(&mut [&mut a], |members| !members[0].owned.is_empty());
    turn_until(&mut [&mut a, &mut b], |members| members.iter().all(|m| m.owned.len() == 2));
    assert!(a.owned.is_disjoint(&b.owned));

    // The first has started one of its two when it leaves, the heir one of its own.
    let (mine, theirs) = (b.owned.clone(), a.owned.clone());
    let started = mine.first().expect("owned");
    a.seat.start(theirs.first().expect("owned"), Start::Committed);
    b.seat.start(started, Start::Committed);
    for _ in 0..3 {
        a.turn();
        b.turn();
    }
    a.seat.leaves_at_once();
    turn_until(&mut [&mut b], |members| members[0].owned.len() == 4);
    assert_eq!(b.owned, all);

    // A third one comes while three of four await their start.
    let mut c = Waiting::join(bed, "c", &topic);
    turn_until(&mut [&mut b, &mut c], |members| members.iter().all(|m| m.owned.len() == 2));
    assert!(b.owned.is_disjoint(&c.owned));

    // Everything can still be read, once.
    for partition in b.owned.iter().filter(|partition| *partition != started) {
        b.seat.start(partition, Start::Committed);
    }
    for partition in &c.owned {
        c.seat.start(partition, Start::Committed);
    }
    for number in 0..4 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 10));
    }
    let mut seen = Vec::new();
    for _ in 0..300 {
        seen.extend(b.turn());
        seen.extend(c.turn());
        if seen.len() >= 40 {
            break;
        }
    }
    seen.sort_by_key(|value| value.parse::<u32>().expect("u32"));
    assert_eq!(seen, numbers(0..40));
}

pub fn a_rewind_in_place_of_a_commit_makes_everything_come_again(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    let all = [partition(&topic, 0), partition(&topic, 1)];
    for number in 0..2 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 5));
    }
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    // The first time nothing is committed, the second time a part.
    let mut before = seat.read(10);
    seat.member.rewind().expect("rewind");
    seat.revoked(&all);
    let assigned = seat.begin(Start::Committed);
    assert!(assigned.iter().all(|assignment| assignment.committed.is_none()), "{assigned:?}");
    let mut again = seat.read(10);
    before.sort();
    again.sort();
    assert_eq!(again, before);
    seat.committed(vec![output(&out, 0, "once")]);

    bed.append(&topic, 1, numbers(15..18));
    assert_eq!(values(&seat.read(3)), numbers(15..18));
    seat.member.rewind().expect("rewind");
    seat.revoked(&all);
    let assigned = seat.begin(Start::Committed);
    let offsets: Vec<_> = assigned.iter().map(|a| a.committed.clone().map(|c| c.offset)).collect();
    assert_eq!(offsets, [Some(5), Some(5)]);
    assert_eq!(values(&seat.read(3)), numbers(15..18));
    assert_eq!(bed.values(&out), ["once"]);

    // With replay in hand, and with nothing.
    seat.committed(Vec::new());
    seat.member.rewind().expect("rewind");
    seat.revoked(&all);
    seat.begin(Start::Earliest);
    let seen = seat.read(13);
    assert!(seen.iter().all(|seen| seen.replay), "{seen:?}");
    seat.member.rewind().expect("rewind");
    seat.revoked(&all);
    seat.begin(Start::Earliest);
    assert_eq!(of(&seat.read(13), 1), of(&seen, 1));
    seat.quiet();
}

pub fn a_rewind_leaves_what_awaits_its_start(bed: &dyn Bed) {
    let topic = bed.topic("in", 3);
    let (first, second, third) = (partition(&topic, 0), partition(&topic, 1), partition(&topic, 2));
    for number in 0..3 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 5));
    }
    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.assigned().len(), 3);
    seat.start(&first, Start::Committed);
    assert_eq!(values(&seat.read(5)), numbers(0..5));
    // Started since the last poll: rewound as well.
    seat.start(&second, Start::Committed);
    seat.member.rewind().expect("rewind");
    seat.revoked(&[first.clone(), second.clone()]);
    // Twice in a row is once.
    seat.member.rewind().expect("rewind");
    let assigned = seat.begin(Start::Committed);
    let came: Vec<_> = assigned.into_iter().map(|assignment| assignment.partition).collect();
    assert_eq!(came, [first.clone(), second.clone()]);
    assert_eq!(seat.read(10).len(), 10);
    // The third has been told of once and waits on, also over an aborted commit.
    bed.faults().plan([Fault::Rewind]);
    assert_eq!(seat.commit(Vec::new()), CommitOutcome::Rewound);
    seat.start(&third, Start::At(2));
    seat.revoked(&[first, second]);
    assert_eq!(seat.begin(Start::Committed).len(), 2);
    let seen = seat.read(13);
    assert_eq!(values(&of(&seen, 2)), numbers(22..25));
    seat.committed(Vec::new());
    seat.quiet();
}
