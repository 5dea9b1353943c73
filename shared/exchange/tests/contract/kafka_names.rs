//! Who sits under a name: what looks like a successor and is none must not end a member.
//!
//! A broker fences the producer of a transaction that it gives up. A static member whose session is over joins anew
//! and fences whoever sits on its seat, be it itself or its successor. Only one who has opened both producers is a
//! successor; see `groups::a_zombie_is_fenced`.

use std::time::Duration;

use oddwatch_exchange::{CommitOutcome, Event, Partition, Start};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, Producer},
};

use crate::bed::{Bed, KafkaBed, Seat, numbers, output, values};

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", std::env::var("KAFKA_BOOTSTRAP").expect("the bed is open"));
    config
}

/// A consumer that has taken the seat of a member, but has not opened its producers.
fn usurper(bed: &dyn Bed, topic: &std::sync::Arc<str>) -> BaseConsumer {
    let group = bed.group("a", &[topic]);
    let usurper: BaseConsumer = config()
        .set("group.id", group.name)
        .set("group.instance.id", group.member)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "6000")
        .set("enable.auto.commit", "false")
        .create()
        .expect("consumer");
    usurper.subscribe(&[topic]).expect("subscribe");
    for _ in 0..300 {
        let _ = usurper.poll(Duration::from_millis(100));
        if usurper.assignment().expect("assignment").count() > 0 {
            return usurper;
        }
    }
    panic!("it is given nothing");
}

/// Waits until a member has learnt that its partitions are gone.
fn revoked(seat: &mut Seat) {
    for _ in 0..300 {
        match seat.poll() {
            Event::Revoked(partitions) => {
                assert_eq!(partitions.len(), 2);
                return;
            }
            Event::Idle(_) => {}
            event => panic!("unexpected {event:?}"),
        }
    }
    panic!("nothing is revoked");
}

#[test]
fn a_seat_taken_during_a_commit_is_taken_back() {
    // It learns from the commit, not from a heartbeat, as far as that can be arranged.
    let overrides = [("consumer.heartbeat.interval.ms", "5000")];
    let Some(bed) = KafkaBed::open_with("seat-commit", &overrides) else { return };
    let bed: &dyn Bed = &bed;
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    let usurper = usurper(bed, &topic);
    assert_eq!(seat.commit(vec![output(&out, 0, "aborted")]), CommitOutcome::Rewound);
    // Who does not know yet that they are gone may start them.
    for number in [0, 1] {
        let partition = Partition::new(std::sync::Arc::clone(&topic), number);
        seat.member.start(&partition, Start::Committed).expect("nothing happens");
    }
    revoked(&mut seat);
    again(bed, &mut seat, &topic);
    seat.committed(vec![output(&out, 0, "once")]);
    drop(usurper);
    bed.append(&topic, 1, numbers(5..8));
    assert_eq!(values(&seat.read(3)), numbers(5..8));
    seat.committed(vec![output(&out, 0, "on")]);
    assert_eq!(bed.values(&out), ["once", "on"]);
}

/// Partitions may come and go once more before the seat is its own again.
fn again(bed: &dyn Bed, seat: &mut Seat, topic: &std::sync::Arc<str>) {
    let mut seen = Vec::new();
    for _ in 0..300 {
        match seat.poll() {
            Event::Assigned(assignments) => {
                for one in assignments {
                    seat.member.start(&one.partition, Start::Committed).expect("start");
                }
            }
            Event::Revoked(_) => seen.clear(),
            Event::Batch(batch) => {
                let messages = batch.slices.iter().flat_map(|slice| &slice.messages);
                seen.extend(messages.map(crate::bed::text));
            }
            Event::Idle(_) => {}
        }
        if seen.len() == 5 {
            assert_eq!(seen, numbers(0..5), "{topic} of {}", bed.prefix());
            return;
        }
    }
    panic!("{seen:?} came again");
}

#[test]
fn a_seat_taken_while_idle_is_taken_back() {
    let Some(bed) = KafkaBed::open("seat-idle") else { return };
    let bed: &dyn Bed = &bed;
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.quiet();
    let usurper = usurper(bed, &topic);
    revoked(&mut seat);
    bed.append(&topic, 0, numbers(0..5));
    again(bed, &mut seat, &topic);
    seat.committed(vec![output(&out, 0, "once")]);
    drop(usurper);
    assert_eq!(bed.values(&out), ["once"]);
}

#[test]
fn a_producer_that_was_fenced_alone_is_replaced() {
    let Some(bed) = KafkaBed::open("one-producer") else { return };
    let bed: &dyn Bed = &bed;
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    // As a broker does that gives a transaction up. The first transaction is the second producer's.
    let id = format!("{}-1", bed.group("a", &[&topic]).member);
    let other: BaseProducer = config().set("transactional.id", id).create().expect("producer");
    other.init_transactions(Duration::from_secs(30)).expect("init");
    assert_eq!(seat.commit(vec![output(&out, 0, "aborted")]), CommitOutcome::Rewound);
    revoked(&mut seat);
    seat.begin(Start::Committed);
    assert_eq!(values(&seat.read(5)), numbers(0..5));
    seat.committed(vec![output(&out, 0, "once")]);
    for (number, value) in (5..8).zip(["on", "and", "on"]) {
        bed.append(&topic, 1, numbers(number..number + 1));
        seat.read(1);
        seat.committed(vec![output(&out, 0, value)]);
    }
    assert_eq!(bed.values(&out), ["once", "on", "and", "on"]);
}
