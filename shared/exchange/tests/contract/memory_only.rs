//! What only the memory exchange promises: bounds in bytes, rings, and the same result for every interleaving.

use std::sync::Arc;

use oddwatch_exchange::{CommitOutcome, Error, Fault, FollowFrom, Start, TopicSpec};
use proptest::prelude::*;

use crate::bed::{Bed, MemoryBed, numbers, output, spec, values};

const BYTES_MAX: usize = 20_000;

fn bounded(bed: &MemoryBed, name: &str, change: impl FnOnce(&mut TopicSpec)) -> Arc<str> {
    let mut spec = spec(name, 1);
    spec.memory_bytes_max = BYTES_MAX;
    change(&mut spec);
    bed.exchange().create_topics(std::slice::from_ref(&spec)).expect("create topic");
    spec.name
}

#[test]
fn a_full_topic_pushes_back_until_its_readers_have_passed() {
    let bed = MemoryBed::new();
    let dyn_bed: &dyn Bed = &bed;
    let topic = dyn_bed.topic("in", 1);
    let out = bounded(&bed, "out", |_| {});
    dyn_bed.append(&topic, 0, numbers(0..1));
    let mut writer = dyn_bed.join("writer", &[&topic]);
    writer.begin(Start::Committed);
    writer.read(1);
    let mut group = dyn_bed.group("reader", &[&out]);
    group.name = "readers".into();
    let mut reader = crate::bed::Seat { member: bed.exchange().join(&group).expect("join") };
    reader.begin(Start::Committed);

    let value = "x".repeat(1_000);
    let mut written = 0;
    while writer.commit(vec![output(&out, 0, &value)]) == CommitOutcome::Committed {
        written += 1;
        assert!(written < 20, "it never fills up");
    }
    let held = bed.held_bytes();
    assert!(held <= BYTES_MAX + 1_000, "{held} bytes");
    assert_eq!(writer.commit(vec![output(&out, 0, &value)]), CommitOutcome::Full);
    let full = bed.exchange().appender().expect("appender").append(vec![output(&out, 0, &value)]);
    assert!(matches!(full, Err(Error::Full { .. })), "{full:?}");

    // Reading alone frees nothing, committing does.
    reader.read(written);
    assert_eq!(writer.commit(vec![output(&out, 0, &value)]), CommitOutcome::Full);
    reader.committed(Vec::new());
    writer.committed(vec![output(&out, 0, &value)]);
    assert_eq!(reader.read(1).len(), 1);

    // Only what was needed is gone: a replay still finds the rest.
    let mut follower = bed.exchange().follow(&out, FollowFrom::Earliest).expect("follow");
    let kept = follower.next(std::time::Duration::ZERO, 100).expect("next");
    assert_eq!(kept.len(), written);
}

#[test]
fn one_commit_larger_than_the_bound_is_taken_by_an_empty_topic() {
    let bed = MemoryBed::new();
    let out = bounded(&bed, "out", |_| {});
    let appender = bed.exchange().appender().expect("appender");
    appender.append(vec![output(&out, 0, &"x".repeat(2 * BYTES_MAX))]).expect("append");
    let full = appender.append(vec![output(&out, 0, "x")]);
    assert!(matches!(full, Err(Error::Full { what }) if what == "out/0"));
}

#[test]
fn a_ring_forgets_the_oldest_and_says_so() {
    let bed = MemoryBed::new();
    let ring = bounded(&bed, "ring", |spec| spec.ring = true);
    let mut follower = bed.exchange().follow(&ring, FollowFrom::Earliest).expect("follow");
    let appender = bed.exchange().appender().expect("appender");
    for i in 0..100 {
        let value = format!("{i:0>1000}");
        appender.append(vec![output(&ring, 0, &value)]).expect("append");
    }
    assert!(bed.held_bytes() <= BYTES_MAX, "{}", bed.held_bytes());
    let first = match follower.next(std::time::Duration::ZERO, 1_000) {
        Err(Error::Lost { wanted: 0, first, .. }) => first,
        other => panic!("{other:?}"),
    };
    let rest = follower.next(std::time::Duration::ZERO, 1_000).expect("next");
    assert_eq!(rest[0].1.offset, first);
    assert_eq!(rest.last().expect("some").1.offset, 99);

    let mut seat = (&bed as &dyn Bed).join("a", &[&ring]);
    let assigned = seat.assigned();
    let lost = seat.member.start(&assigned[0].partition, Start::At(3));
    assert!(matches!(lost, Err(Error::Lost { wanted: 3, .. })), "{lost:?}");
}

#[test]
fn a_compacted_topic_keeps_the_newest_of_each_key() {
    let bed = MemoryBed::new();
    let topic = bounded(&bed, "alerts", |spec| spec.compacted = true);
    let appender = bed.exchange().appender().expect("appender");
    for i in 0..200_u32 {
        let mut message = output(&topic, 0, &format!("{i:0>1000}"));
        message.key = Some(format!("{}", i % 4).into());
        appender.append(vec![message]).expect("append");
    }
    assert!(bed.held_bytes() <= BYTES_MAX, "{}", bed.held_bytes());
    let values = (&bed as &dyn Bed).values(&topic);
    let newest = |v: &String| v.parse::<u32>().expect("number") >= 196;
    assert_eq!(values.iter().filter(|value| newest(value)).count(), 4);
}

#[derive(Clone, Debug)]
enum Move {
    Append(u32),
    Copy,
    Fail(Fault),
    Leave,
    Seize,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let faults = [Fault::Full, Fault::Rewind, Fault::DieBefore, Fault::DieAfter];
    let one = prop_oneof![
        3 => (1_u32..6).prop_map(Move::Append),
        6 => Just(Move::Copy),
        2 => prop::sample::select(faults.to_vec()).prop_map(Move::Fail),
        1 => Just(Move::Leave),
        1 => Just(Move::Seize),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    /// Whatever happens to a copier, its output is its input: nothing lost, nothing twice, in order.
    #[test]
    fn a_copy_is_exact_whatever_happens(moves in moves()) {
        let bed = MemoryBed::new();
        let dyn_bed: &dyn Bed = &bed;
        let (topic, out) = (dyn_bed.topic("in", 1), dyn_bed.topic("out", 1));
        let mut written = 0;
        let mut seat = Some(dyn_bed.join("a", &[&topic]));
        for next in moves.into_iter().chain(std::iter::repeat_n(Move::Copy, 8)) {
            match next {
                Move::Append(count) => {
                    dyn_bed.append(&topic, 0, numbers(written..written + count));
                    written += count;
                }
                Move::Fail(fault) => bed.faults().plan([fault]),
                Move::Leave => seat = None,
                Move::Seize => seat = Some(dyn_bed.join("a", &[&topic])),
                Move::Copy => {
                    let mut at = seat.take().unwrap_or_else(|| dyn_bed.join("a", &[&topic]));
                    seat = copy(&mut at, &out).then_some(at);
                }
            }
        }
        bed.faults().clear();
        let mut at = dyn_bed.join("a", &[&topic]);
        for _ in 0..4 {
            copy(&mut at, &out);
        }
        prop_assert_eq!(dyn_bed.values(&out), numbers(0..written));
    }
}

/// One turn of a copier; `false` if it died.
fn copy(seat: &mut crate::bed::Seat, out: &Arc<str>) -> bool {
    use oddwatch_exchange::{Event, Outputs, PollLimits};

    let limits = PollLimits {
        wait: std::time::Duration::ZERO,
        cycle: std::time::Duration::ZERO,
        ..PollLimits::default()
    };
    match seat.member.poll(&limits).expect("poll") {
        Event::Assigned(assignments) => {
            for assignment in assignments {
                seat.member.start(&assignment.partition, Start::Committed).expect("start");
            }
            true
        }
        Event::Revoked(_) | Event::Idle(_) => true,
        Event::Batch(batch) => {
            let messages = batch.slices.iter().flat_map(|slice| &slice.messages);
            let messages = messages.map(|m| output(out, 0, &crate::bed::text(m))).collect();
            let outputs = Outputs { messages, metadata: Vec::new() };
            loop {
                match seat.member.commit(&outputs) {
                    Ok(CommitOutcome::Full) => {}
                    outcome => return outcome.is_ok(),
                }
            }
        }
    }
}

#[test]
fn a_ring_is_read_by_groups_as_far_as_it_goes() {
    let bed = MemoryBed::new();
    let ring = bounded(&bed, "ring", |spec| spec.ring = true);
    let dyn_bed: &dyn Bed = &bed;
    dyn_bed.append(&ring, 0, numbers(0..10));
    let mut seat = dyn_bed.join("a", &[&ring]);
    seat.begin(Start::Committed);
    assert_eq!(values(&seat.read(10)), numbers(0..10));
    seat.committed(Vec::new());
    for _ in 0..40 {
        dyn_bed.append(&ring, 0, ["x".repeat(1_000)]);
    }
    let lost = seat.member.poll(&crate::bed::limits());
    assert!(matches!(lost, Err(Error::Lost { wanted: 10, .. })), "{lost:?}");
}
