//! Notes: metadata that is stored without moving the committed offset.

use oddwatch_exchange::{
    CommitOutcome, Committed, Error, Event, Fault, METADATA_BYTES_MAX, Outputs, Start,
};

use crate::bed::{Bed, Seat, numbers, output, partition, values};

fn committed(offset: u64, metadata: &str) -> Option<Committed> {
    Some(Committed { offset, metadata: metadata.to_owned() })
}

impl Seat {
    /// Notes metadata for partitions of one topic.
    fn note(&mut self, notes: &[(oddwatch_exchange::Partition, &str)]) -> CommitOutcome {
        let notes: Vec<_> = notes.iter().map(|(p, note)| (p.clone(), (*note).to_owned())).collect();
        self.member.note(&notes).expect("note")
    }
}

pub fn a_note_leaves_the_offset_where_it_is(bed: &dyn Bed) {
    let topic = bed.topic("in", 1);
    let p = partition(&topic, 0);
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    let metadata = vec![(p.clone(), "first".to_owned())];
    seat.member.commit(&Outputs { messages: Vec::new(), metadata }).expect("commit");
    // With nothing in hand, and with a batch that was delivered but is not committed.
    assert_eq!(seat.note(&[(p.clone(), "second")]), CommitOutcome::Committed);
    bed.append(&topic, 0, numbers(5..10));
    seat.read(5);
    assert_eq!(seat.note(&[(p, "third")]), CommitOutcome::Committed);
    drop(seat);

    let mut again = bed.join("a", &[&topic]);
    assert_eq!(again.begin(Start::Committed)[0].committed, committed(5, "third"));
    let seen = again.read(5);
    assert_eq!(values(&seen), numbers(5..10));
    assert!(seen.iter().all(|seen| !seen.replay), "{seen:?}");
}

pub fn a_note_before_any_commit_commits_the_start(bed: &dyn Bed) {
    let topic = bed.topic("in", 3);
    for number in 0..3 {
        bed.append(&topic, number, numbers(number * 10..number * 10 + 5));
    }
    let mut seat = bed.join("a", &[&topic]);
    for assignment in seat.assigned() {
        seat.member.start(&assignment.partition, Start::At(2)).expect("start");
    }
    // One before anything was read, one behind a batch that is not committed, one not at all.
    assert_eq!(seat.note(&[(partition(&topic, 0), "early")]), CommitOutcome::Committed);
    seat.read(9);
    assert_eq!(seat.note(&[(partition(&topic, 1), "late")]), CommitOutcome::Committed);
    drop(seat);

    let mut again = bed.join("a", &[&topic]);
    let assigned = again.begin(Start::Committed);
    let found: Vec<_> = assigned.iter().map(|assignment| assignment.committed.clone()).collect();
    assert_eq!(found, [committed(2, "early"), committed(2, "late"), None]);
    let seen = again.read(11);
    assert!(seen.iter().all(|seen| !seen.replay), "{seen:?}");
}

pub fn a_commit_keeps_what_was_noted(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    for number in 0..2 {
        bed.append(&topic, number, numbers(0..5));
    }
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(10);
    // Partition 0 is noted before it has a committed offset, partition 1 after.
    seat.note(&[(partition(&topic, 0), "zero")]);
    seat.committed(vec![output(&out, 0, "x")]);
    seat.note(&[(partition(&topic, 1), "one")]);
    bed.append(&topic, 1, numbers(5..7));
    seat.read(2);
    seat.committed(Vec::new());
    drop(seat);

    let mut again = bed.join("a", &[&topic]);
    let assigned = again.begin(Start::Committed);
    let found: Vec<_> = assigned.iter().map(|assignment| assignment.committed.clone()).collect();
    assert_eq!(found, [committed(5, "zero"), committed(7, "one")]);
    again.quiet();
}

pub fn a_note_goes_with_the_partition_to_another_member(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    let mut first = bed.join("a", &[&topic]);
    first.begin(Start::Committed);
    first.note(&[(partition(&topic, 0), "0"), (partition(&topic, 1), "1")]);
    let mut second = bed.join("b", &[&topic]);
    let mut moved = Vec::new();
    for _ in 0..300 {
        first.poll();
        if let Event::Assigned(assignments) = second.poll() {
            moved = assignments;
            break;
        }
    }
    assert_eq!(moved.len(), 1, "one of two moves");
    let note = moved[0].partition.number.to_string();
    assert_eq!(moved[0].committed, committed(0, &note));
}

pub fn a_refused_note_changes_nothing(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    let (p, q) = (partition(&topic, 0), partition(&topic, 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.note(&[(p.clone(), "kept")]);
    seat.read(5);

    let much = "x".repeat(METADATA_BYTES_MAX + 1);
    match seat.member.note(&[(p.clone(), "lost".to_owned()), (q, much)]) {
        Err(Error::Oversized { bytes, bytes_max, .. }) => {
            assert_eq!((bytes, bytes_max), (METADATA_BYTES_MAX + 1, METADATA_BYTES_MAX));
        }
        other => panic!("{other:?}"),
    }
    bed.faults().plan([Fault::Full, Fault::Rewind]);
    assert_eq!(seat.note(&[(p.clone(), "lost")]), CommitOutcome::Full);
    assert_eq!(seat.note(&[(p.clone(), "lost")]), CommitOutcome::Rewound);
    assert!(matches!(seat.poll(), Event::Revoked(partitions) if partitions.len() == 2));
    let assigned = seat.begin(Start::Committed);
    assert_eq!(assigned[0].committed, committed(0, "kept"));
    assert_eq!(assigned[1].committed, None);
    assert_eq!(values(&seat.read(5)), numbers(0..5));

    // Nothing to note is nothing to do: a planned fault would strike if this reached the broker.
    bed.faults().plan([Fault::DieBefore]);
    assert_eq!(seat.note(&[]), CommitOutcome::Committed);
    let died = seat.member.note(&[(p, "lost".to_owned())]);
    assert!(matches!(died, Err(Error::Fatal { .. })), "{died:?}");
    drop(seat);
    let mut again = bed.join("a", &[&topic]);
    assert_eq!(again.begin(Start::Committed)[0].committed, committed(0, "kept"));
}

pub fn a_note_is_for_started_partitions_only(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    let mut seat = bed.join("a", &[&topic]);
    let assigned = seat.assigned();
    seat.member.start(&assigned[0].partition, Start::Committed).expect("start");
    match seat.member.note(&[(assigned[1].partition.clone(), "x".to_owned())]) {
        Err(Error::Fatal { what }) => assert!(what.contains(&*topic), "{what}"),
        other => panic!("{other:?}"),
    }
}
