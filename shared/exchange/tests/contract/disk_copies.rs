//! A copier on a disk, and everything that can happen to it and to its process.

use std::{sync::Arc, time::Duration};

use oddwatch_exchange::{CommitOutcome, DiskOptions, Event, Fault, Outputs, PollLimits, Start};
use proptest::prelude::*;

use crate::{
    bed::{Bed, Seat, limits, numbers, output, text},
    disk_bed::{DiskBed, tight},
};

#[derive(Clone, Debug)]
enum Move {
    Append(u32),
    Copy,
    Fail(Fault),
    Restart,
    Reread,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let faults = [Fault::Full, Fault::Rewind, Fault::DieBefore, Fault::DieAfter];
    let one = prop_oneof![
        3 => (1_u32..60).prop_map(Move::Append),
        6 => Just(Move::Copy),
        1 => prop::sample::select(faults.to_vec()).prop_map(Move::Fail),
        1 => Just(Move::Restart),
        1 => Just(Move::Reread),
    ];
    prop::collection::vec(one, 1..40)
}

/// One turn of a copier; `false` if it died.
fn turn(seat: &mut Seat, start: Start, out: &Arc<str>) -> bool {
    let limits = PollLimits { wait: Duration::ZERO, cycle: Duration::ZERO, ..limits() };
    match seat.member.poll(&limits).expect("poll") {
        Event::Assigned(assignments) => {
            for assignment in assignments {
                seat.member.start(&assignment.partition, start).expect("start");
            }
            true
        }
        Event::Batch(batch) if !batch.replay => {
            let messages = batch.slices.iter().flat_map(|slice| &slice.messages);
            let messages = messages.map(|message| output(out, 0, &text(message))).collect();
            let outputs = Outputs { messages, metadata: Vec::new() };
            loop {
                match seat.member.commit(&outputs) {
                    Ok(CommitOutcome::Full) => {}
                    outcome => return outcome.is_ok(),
                }
            }
        }
        Event::Batch(_) | Event::Revoked(_) | Event::Idle(_) => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever happens to a copier and its process, its output is its input: nothing lost, nothing
    /// twice, in order.
    #[test]
    fn a_copy_is_exact_whatever_happens(moves in moves()) {
        let bed = DiskBed::with(DiskOptions { disk_bytes_max: 1 << 30, ..tight() });
        let dyn_bed: &dyn Bed = &bed;
        let (topic, out) = (dyn_bed.topic("in", 1), dyn_bed.topic("out", 1));
        let (mut written, mut start) = (0, Start::Committed);
        let mut seat: Option<Seat> = None;
        for next in moves.into_iter().chain(std::iter::repeat_n(Move::Copy, 8)) {
            match next {
                Move::Append(count) => {
                    dyn_bed.append(&topic, 0, numbers(written..written + count));
                    written += count;
                }
                Move::Fail(fault) => bed.faults().plan([fault]),
                Move::Reread => (seat, start) = (None, Start::Earliest),
                Move::Restart => {
                    (seat, start) = (None, Start::Committed);
                    bed.restart();
                }
                Move::Copy => {
                    let mut at = seat.take().unwrap_or_else(|| dyn_bed.join("a", &[&topic]));
                    seat = turn(&mut at, start, &out).then_some(at);
                }
            }
        }
        drop(seat);
        bed.faults().clear();
        bed.restart();
        let mut at = dyn_bed.join("a", &[&topic]);
        for _ in 0..6 {
            turn(&mut at, Start::Committed, &out);
        }
        prop_assert_eq!(dyn_bed.values(&topic), numbers(0..written));
        prop_assert_eq!(dyn_bed.values(&out), numbers(0..written));
    }
}
