//! Reading: order, limits, ends, and starting behind what is committed.

use std::time::Duration;

use oddwatch_exchange::{Error, Event, PollLimits, Start};

use crate::{
    bed::{Bed, limits, numbers, output, partition, values},
    releases::{forgetful, overrun},
};

pub fn order_is_kept_within_a_partition(bed: &dyn Bed) {
    let topic = bed.topic("in", 3);
    for number in 0..3 {
        bed.append(&topic, number, numbers(number * 1_000..number * 1_000 + 400));
    }
    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.begin(Start::Committed).len(), 3);
    let mut seen = seat.read(1_200);
    for number in 0..3 {
        let of: Vec<_> = seen.iter().filter(|seen| seen.partition == number).cloned().collect();
        assert_eq!(values(&of), numbers(number * 1_000..number * 1_000 + 400));
        assert!(of.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets rise");
    }
    seen.retain(|seen| seen.replay);
    assert_eq!(seen, [], "nothing was committed, so nothing is replay");
}

pub fn a_batch_keeps_its_limits(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    for number in 0..2 {
        bed.append(&topic, number, numbers(0..50));
    }
    bed.append(&topic, 0, ["x".repeat(1_000)]);
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    let limits = PollLimits {
        wait: Duration::from_millis(100),
        cycle: Duration::ZERO,
        messages_max: 7,
        bytes_max: 300,
    };
    let (mut messages, mut polls) = (0, 0);
    while messages < 101 {
        polls += 1;
        assert!(polls < 500, "only {messages} messages in {polls} polls");
        if let Event::Batch(batch) = seat.member.poll(&limits).expect("poll") {
            let all: Vec<_> = batch.slices.iter().flat_map(|slice| &slice.messages).collect();
            let bytes: usize = all.iter().map(|message| message.size()).sum();
            assert!(all.len() <= 7, "{} messages", all.len());
            assert!(bytes <= 300 || all.len() == 1, "{bytes} bytes in {} messages", all.len());
            assert!(batch.slices.is_sorted_by_key(|slice| slice.partition.number));
            messages += all.len();
            seat.committed(Vec::new());
        }
    }
    assert_eq!(messages, 101);
}

pub fn the_end_of_a_partition_is_told(bed: &dyn Bed) {
    let (topic, other) = (bed.topic("in", 2), bed.topic("other", 1));
    bed.append(&topic, 0, numbers(0..3));
    let mut seat = bed.join("a", &[&topic, &other]);
    seat.begin(Start::Committed);
    seat.read(3);
    seat.committed(Vec::new());
    let all = [partition(&topic, 0), partition(&topic, 1), partition(&other, 0)];
    let mut ends = Vec::new();
    for _ in 0..100 {
        match seat.poll() {
            Event::Idle(at_end) => ends = at_end,
            event => panic!("unexpected {event:?}"),
        }
        if ends.len() == 3 {
            break;
        }
    }
    assert_eq!(ends, all);

    // A message takes its partition from the end until that is reached again; the others stay there.
    bed.append(&topic, 1, numbers(3..4));
    seat.read(1);
    for _ in 0..100 {
        if let Event::Idle(at_end) = seat.poll()
            && at_end == all
        {
            return;
        }
    }
    panic!("the end was not told again");
}

pub fn starting_behind_the_committed_offset_is_replay(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 1));
    // Commits between them leave markers, so offsets have holes.
    let mut first = bed.join("a", &[&topic]);
    first.begin(Start::Committed);
    for round in 0..3 {
        bed.append(&topic, 0, numbers(round * 10..round * 10 + 10));
        first.read(10);
        first.committed(vec![output(&out, 0, "round")]);
    }
    first.member.leave();
    bed.append(&topic, 0, numbers(30..40));

    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Earliest);
    let seen = seat.read(40);
    assert_eq!(values(&seen), numbers(0..40));
    assert!(seen[..30].iter().all(|seen| seen.replay), "{seen:?}");
    assert!(seen[30..].iter().all(|seen| !seen.replay), "{seen:?}");
    seat.committed(Vec::new());
    assert_eq!(bed.values(&out).len(), 3);
}

pub fn starting_at_an_offset_is_replay_up_to_the_committed_one(bed: &dyn Bed) {
    let (topic, sink) = (bed.topic("in", 1), bed.topic("sink", 1));
    // The input is written by transactions: markers lie between its messages and at its end.
    bed.append(&sink, 0, numbers(0..1));
    let mut upstream = bed.join("upstream", &[&sink]);
    upstream.begin(Start::Committed);
    upstream.read(1);
    for round in 0..4 {
        let values = numbers(round * 5..round * 5 + 5);
        upstream.committed(values.iter().map(|v| output(&topic, 0, v)).collect());
    }

    let mut first = bed.join("a", &[&topic]);
    first.begin(Start::Committed);
    let before = first.read(20);
    first.committed(Vec::new());
    first.member.leave();

    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::At(before[7].offset));
    let seen = seat.read(13);
    assert_eq!(values(&seen), numbers(7..20));
    assert!(seen.iter().all(|seen| seen.replay), "{seen:?}");
    // Behind the committed offset there is only a marker: the next message is live.
    seat.quiet();
    upstream.committed(vec![output(&topic, 0, "20")]);
    let seen = seat.read(1);
    assert_eq!((seen[0].value.as_str(), seen[0].replay), ("20", false));
}

pub fn an_offset_past_the_end_is_lost(bed: &dyn Bed) {
    let topic = bed.topic("in", 1);
    bed.append(&topic, 0, numbers(0..3));
    let mut seat = bed.join("a", &[&topic]);
    let assigned = seat.assigned();
    let lost = seat.member.start(&assigned[0].partition, Start::At(1_000));
    match lost {
        Err(Error::Lost { wanted: 1_000, first: 0, .. }) => {}
        other => panic!("{other:?}"),
    }
    seat.member.start(&assigned[0].partition, Start::Committed).expect("start elsewhere");
    assert_eq!(seat.read(3).len(), 3);
}

pub fn a_start_at_what_is_gone_is_lost(bed: &dyn Bed) {
    let topic = forgetful(bed, "in", 2);
    let gone = partition(&topic, 0);
    for number in 0..2 {
        bed.append(&topic, number, numbers(0..10));
    }
    let mut first = bed.join("a", &[&topic]);
    first.begin(Start::Committed);
    first.read(20);
    first.committed(Vec::new());
    first.member.leave();
    let kept = overrun(bed, &topic, 0);
    assert!(kept > 10, "{kept}");

    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.assigned().len(), 2);
    for (start, offset) in
        [(Start::Committed, 10), (Start::At(3), 3), (Start::At(kept - 1), kept - 1)]
    {
        match seat.member.start(&gone, start) {
            Err(Error::Lost { partition, wanted, first }) => {
                assert_eq!((partition, wanted, first), (gone.clone(), offset, kept));
            }
            other => panic!("{start:?}: {other:?}"),
        }
    }
    // The other one is not concerned; this one can be started where something is left.
    seat.member.start(&partition(&topic, 1), Start::Committed).expect("start");
    seat.member.start(&gone, Start::At(kept)).expect("start");
    let seen = seat.read(70 - kept as usize);
    assert_eq!(seen[0].offset, kept);
    assert!(seen.iter().all(|seen| seen.partition == 0 && !seen.replay), "{seen:?}");
}

pub fn the_earliest_start_is_the_first_message_kept(bed: &dyn Bed) {
    let topic = forgetful(bed, "in", 1);
    let kept = overrun(bed, &topic, 0);
    let mut seat = bed.join("a", &[&topic]);
    assert_eq!(seat.begin(Start::Committed)[0].committed, None);
    assert_eq!(seat.read(60 - kept as usize)[0].offset, kept);
    seat.member.rewind().expect("rewind");
    seat.poll();
    seat.begin(Start::Earliest);
    assert_eq!(seat.read(60 - kept as usize)[0].offset, kept);
}

pub fn what_goes_while_it_is_read_is_lost(bed: &dyn Bed) {
    let topic = forgetful(bed, "in", 2);
    bed.append(&topic, 0, numbers(0..10));
    let mut seat = bed.join("a", &[&topic]);
    let assigned = seat.assigned();
    seat.member.start(&assigned[0].partition, Start::At(4)).expect("start");
    seat.member.start(&assigned[1].partition, Start::Committed).expect("start");
    // It was there when the start was asked for; it is gone when it is read.
    let kept = overrun(bed, &topic, 0);
    // What was delivered by then is not concerned, and it is said as often as one asks.
    for _ in 0..2 {
        let lost = (0..100).find_map(|_| match seat.member.poll(&limits()) {
            Err(error) => Some(error),
            Ok(Event::Idle(_)) => None,
            Ok(event) => panic!("unexpected {event:?}"),
        });
        match lost {
            Some(Error::Lost { partition, wanted, first }) => {
                assert_eq!((partition.number, wanted, first), (0, 4, kept));
            }
            other => panic!("{other:?}"),
        }
    }
    drop(seat);
    let mut again = bed.join("a", &[&topic]);
    again.begin(Start::Earliest);
    assert_eq!(again.read(70 - kept as usize)[0].offset, kept);
}
