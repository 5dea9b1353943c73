//! What may go and what stays: messages that no group needs any more.

use std::{sync::Arc, time::Duration};

use oddwatch_exchange::{CommitOutcome, FollowFrom, Start};

use crate::bed::{Bed, MemoryBed, Seat, numbers, output, partition, spec, values};

const BYTES_MAX: usize = 25_000;

/// Makes the oldest messages of a partition go and returns the first offset kept.
pub fn overrun(bed: &dyn Bed, topic: &Arc<str>, number: u32) -> u64 {
    let value = "x".repeat(1_000);
    let messages = (0..60).map(|_| output(topic, number, &value)).collect();
    let places = bed.exchange().appender().expect("appender").append(messages).expect("append");
    bed.forget(&partition(topic, number), places[40].1);
    let mut follower = bed.exchange().follow(topic, FollowFrom::Earliest).expect("follow");
    for _ in 0..300 {
        let found = follower.next(Duration::from_millis(100), 1_000).expect("next");
        if let Some((_, first)) = found.iter().find(|(found, _)| *found == number) {
            return first.offset;
        }
    }
    panic!("nothing is left");
}

/// A topic that forgets its oldest messages: in memory at its bound, on Kafka when told to.
pub fn forgetful(bed: &dyn Bed, what: &str, partitions: u32) -> Arc<str> {
    let mut spec = spec(&format!("{}{what}", bed.prefix()), partitions);
    (spec.ring, spec.memory_bytes_max) = (true, BYTES_MAX);
    bed.exchange().create_topics(std::slice::from_ref(&spec)).expect("create topic");
    spec.name
}

pub fn a_release_takes_nothing_that_a_restore_may_need(bed: &dyn Bed) {
    let topic = bed.topic("in", 1);
    bed.append(&topic, 0, numbers(0..10));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.member.release(&partition(&topic, 0), 0).expect("release at the start");
    seat.read(10);
    // With a batch in hand; and a lower one does not take the higher one back.
    seat.member.release(&partition(&topic, 0), 4).expect("release");
    seat.committed(Vec::new());
    seat.member.release(&partition(&topic, 0), 2).expect("release less");
    bed.append(&topic, 0, numbers(10..12));
    assert_eq!(values(&seat.read(2)), numbers(10..12));
    drop(seat);

    let mut again = bed.join("a", &[&topic]);
    let assigned = again.assigned();
    assert_eq!(assigned[0].committed.as_ref().map(|committed| committed.offset), Some(10));
    again.member.start(&assigned[0].partition, Start::At(4)).expect("start");
    let seen = again.read(6);
    assert_eq!(values(&seen), numbers(4..10));
    assert!(seen.iter().all(|seen| seen.replay), "{seen:?}");
    let seen = again.read(2);
    assert_eq!(values(&seen), numbers(10..12));
    assert!(seen.iter().all(|seen| !seen.replay), "{seen:?}");
}

/// For exchanges that trim by need: once a group has released anything, what it has not released stays, though it
/// was committed.
pub fn a_full_topic_gives_up_what_was_released(bed: &dyn Bed) {
    let mut spec = spec(&format!("{}in", bed.prefix()), 1);
    spec.memory_bytes_max = BYTES_MAX;
    bed.exchange().create_topics(std::slice::from_ref(&spec)).expect("create topic");
    let (topic, value) = (&spec.name, "x".repeat(1_000));
    let appender = bed.exchange().appender().expect("appender");
    let fill = || {
        let taken =
            (0..100).take_while(|_| appender.append(vec![output(topic, 0, &value)]).is_ok());
        taken.count()
    };
    let mut seat = bed.join("a", &[topic]);
    seat.begin(Start::Committed);
    seat.member.release(&partition(topic, 0), 0).expect("release nothing");
    let all = fill();
    seat.read(all);
    seat.committed(Vec::new());
    assert_eq!(fill(), 0, "committed, but not released");
    seat.member.release(&partition(topic, 0), 7).expect("release");
    assert_eq!(fill(), 7);
    seat.member.release(&partition(topic, 0), 5).expect("release less");
    assert_eq!(fill(), 0);
    drop(seat);

    // The group's word outlives the member.
    assert_eq!(fill(), 0);
    let mut again = bed.join("a", &[topic]);
    let assigned = again.assigned();
    again.member.start(&assigned[0].partition, Start::At(7)).expect("start");
    assert_eq!(again.read(all - 7).last().map(|seen| seen.replay), Some(true));
    assert_eq!(again.read(7).len(), 7);
    again.committed(Vec::new());

    // A second group that has released nothing needs what it has not committed.
    let mut group = bed.group("b", &[topic]);
    group.name.push_str("-other");
    let mut other = Seat { member: bed.exchange().join(&group).expect("join") };
    other.begin(Start::Committed);
    again.member.release(&partition(topic, 0), all as u64).expect("release all of the first");
    assert_eq!(fill(), 0);
    other.read(all);
    assert_eq!(other.commit(Vec::new()), CommitOutcome::Committed);
    assert_eq!(fill(), all - 7);
}

#[test]
fn memory_gives_up_what_was_released() {
    a_full_topic_gives_up_what_was_released(&MemoryBed::new());
}
