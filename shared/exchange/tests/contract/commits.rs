//! Commits: all or nothing, whatever happens around them.

use bytes::Bytes;
use oddwatch_exchange::{
    CommitOutcome, Committed, Error, Event, Fault, MESSAGE_BYTES_MAX, Outputs, Start,
};

use crate::bed::{Bed, Seat, numbers, output, partition, values};

pub fn outputs_and_offsets_are_atomic(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 2));
    bed.append(&topic, 0, numbers(0..5));
    bed.append(&topic, 1, numbers(5..10));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(10);
    assert_eq!(bed.values(&out), Vec::<String>::new());
    seat.committed(vec![output(&out, 0, "a"), output(&out, 1, "b"), output(&out, 0, "c")]);
    let everything = bed.everything(&out);
    assert_eq!(everything, [(0, "a".into()), (0, "c".into()), (1, "b".into())]);
    seat.member.leave();
    bed.restart();

    let mut again = bed.join("a", &[&topic]);
    let assigned = again.begin(Start::Committed);
    let offsets: Vec<_> = assigned.iter().map(|a| a.committed.clone().map(|c| c.offset)).collect();
    assert_eq!(offsets, [Some(5), Some(5)]);
    again.quiet();
}

pub fn a_refused_commit_leaves_nothing_and_everything_comes_again(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    bed.append(&topic, 1, numbers(5..10));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    let first = seat.read(10);
    bed.faults().plan([Fault::Rewind]);
    assert_eq!(seat.commit(vec![output(&out, 0, "lost")]), CommitOutcome::Rewound);
    match seat.poll() {
        Event::Revoked(partitions) => assert_eq!(partitions.len(), 2),
        event => panic!("unexpected {event:?}"),
    }
    let assigned = seat.begin(Start::Committed);
    assert!(assigned.iter().all(|assignment| assignment.committed.is_none()), "{assigned:?}");
    let mut again = seat.read(10);
    again.sort();
    let mut before = first;
    before.sort();
    assert_eq!(again, before);
    assert_eq!(bed.values(&out), Vec::<String>::new());
    seat.committed(vec![output(&out, 0, "kept")]);
    assert_eq!(bed.values(&out), ["kept"]);
    seat.quiet();
}

pub fn readers_see_nothing_of_an_aborted_commit(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut writer = bed.join("writer", &[&topic]);
    writer.begin(Start::Committed);
    writer.read(5);
    bed.faults().plan([Fault::Rewind]);
    assert_eq!(writer.commit(vec![output(&out, 0, "aborted")]), CommitOutcome::Rewound);
    writer.poll();
    writer.begin(Start::Committed);
    writer.read(5);
    writer.committed(vec![output(&out, 0, "kept")]);

    let mut group = bed.group("reader", &[&out]);
    group.name.push_str("-readers");
    let mut reader = Seat { member: bed.exchange().join(&group).expect("join") };
    reader.begin(Start::Committed);
    assert_eq!(values(&reader.read(1)), ["kept"]);
    reader.quiet();
}

pub fn a_full_exchange_takes_the_same_outputs_later(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    bed.faults().plan([Fault::Full, Fault::Full]);
    for expect in [CommitOutcome::Full, CommitOutcome::Full, CommitOutcome::Committed] {
        assert_eq!(seat.commit(vec![output(&out, 0, "once")]), expect);
    }
    assert_eq!(bed.values(&out), ["once"]);
}

pub fn a_restart_continues_at_the_committed_offset(bed: &dyn Bed) {
    let topic = bed.topic("in", 1);
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.begin(Start::Committed)[0].committed, None);
    seat.read(5);
    let metadata = "m".repeat(3_900);
    let outputs =
        Outputs { messages: Vec::new(), metadata: vec![(partition(&topic, 0), metadata.clone())] };
    assert_eq!(seat.member.commit(&outputs).expect("commit"), CommitOutcome::Committed);
    seat.member.leave();
    bed.restart();
    bed.append(&topic, 0, numbers(5..8));

    let mut again = bed.join("a", &[&topic]);
    let assigned = again.begin(Start::Committed);
    assert_eq!(assigned[0].committed, Some(Committed { offset: 5, metadata }));
    let seen = again.read(3);
    assert_eq!(values(&seen), numbers(5..8));
    assert!(seen.iter().all(|seen| !seen.replay));
}

pub fn metadata_stays_until_it_is_replaced(bed: &dyn Bed) {
    let topic = bed.topic("in", 1);
    let commit = |metadata: Option<&str>, expect: &str| {
        bed.restart();
        bed.append(&topic, 0, numbers(0..1));
        let mut seat = bed.join("a", &[&topic]);
        let found = seat.begin(Start::Committed)[0]
            .committed
            .clone()
            .unwrap_or(Committed { offset: 0, metadata: String::new() });
        assert_eq!(found.metadata, expect);
        seat.read(1);
        let metadata = metadata.map(|metadata| (partition(&topic, 0), metadata.to_owned()));
        let metadata = metadata.into_iter().collect();
        seat.member.commit(&Outputs { messages: Vec::new(), metadata }).expect("commit");
    };
    commit(Some("one"), "");
    commit(None, "one");
    commit(Some("two"), "one");
    commit(None, "two");

    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    let metadata = vec![(partition(&topic, 0), "x".repeat(4_001))];
    match seat.member.commit(&Outputs { messages: Vec::new(), metadata }) {
        Err(Error::Oversized { bytes: 4_001, bytes_max: 4_000, .. }) => {}
        other => panic!("{other:?}"),
    }
}

pub fn the_start_is_committed_before_anything_was_read(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    bed.append(&topic, 1, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    let assigned = seat.assigned();
    seat.member.start(&assigned[0].partition, Start::Committed).expect("start");
    seat.member.start(&assigned[1].partition, Start::At(2)).expect("start");
    seat.committed(Vec::new());
    drop(seat);
    bed.restart();

    let mut again = bed.join("a", &[&topic]);
    let assigned = again.begin(Start::Committed);
    let offsets: Vec<_> = assigned.iter().map(|a| a.committed.clone().map(|c| c.offset)).collect();
    assert_eq!(offsets, [Some(0), Some(2)]);
    assert_eq!(values(&again.read(3)), numbers(2..5));
}

pub fn a_death_before_the_commit_is_never_seen(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    bed.faults().plan([Fault::DieBefore]);
    let outputs = Outputs { messages: vec![output(&out, 0, "ghost")], metadata: Vec::new() };
    assert!(matches!(seat.member.commit(&outputs), Err(Error::Fatal { .. })));
    drop(seat);
    bed.restart();
    // The successor ends what the dead one left open.
    let mut again = bed.join("a", &[&topic]);
    assert_eq!(again.begin(Start::Committed)[0].committed, None);
    assert_eq!(values(&again.read(5)), numbers(0..5));
    again.committed(vec![output(&out, 0, "real")]);
    assert_eq!(bed.values(&out), ["real"]);
}

pub fn a_death_after_the_commit_repeats_nothing(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    bed.faults().plan([Fault::DieAfter]);
    let outputs = Outputs { messages: vec![output(&out, 0, "written")], metadata: Vec::new() };
    assert!(matches!(seat.member.commit(&outputs), Err(Error::Fatal { .. })));
    drop(seat);
    bed.restart();
    let mut again = bed.join("a", &[&topic]);
    let committed = again.begin(Start::Committed)[0].committed.clone();
    assert_eq!(committed.map(|committed| committed.offset), Some(5));
    again.quiet();
    assert_eq!(bed.values(&out), ["written"]);
}

pub fn an_oversized_output_is_refused_by_name(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    let sized = |bytes: usize| {
        let mut output = output(&out, 0, "");
        output.value = Some(Bytes::from(vec![b'x'; bytes]));
        output
    };
    let messages = vec![output(&out, 0, "small"), sized(MESSAGE_BYTES_MAX + 1)];
    match seat.member.commit(&Outputs { messages, metadata: Vec::new() }) {
        Err(Error::Oversized { topic, bytes, bytes_max }) => {
            assert_eq!(topic, *out);
            assert_eq!((bytes, bytes_max), (MESSAGE_BYTES_MAX + 1, MESSAGE_BYTES_MAX));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bed.values(&out), Vec::<String>::new());
    // The batch is still uncommitted; the largest that fits does fit.
    seat.committed(vec![sized(MESSAGE_BYTES_MAX)]);
    assert_eq!(bed.values(&out)[0].len(), MESSAGE_BYTES_MAX);
}

pub fn a_commit_without_anything_is_free(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..1));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(1);
    seat.committed(vec![output(&out, 0, "x")]);
    // A planned fault would strike if these reached the broker.
    bed.faults().plan([Fault::Rewind]);
    for _ in 0..3 {
        seat.committed(Vec::new());
    }
    assert_eq!(seat.commit(vec![output(&out, 0, "y")]), CommitOutcome::Rewound);
}
