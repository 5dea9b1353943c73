//! The oracle is judged itself: good histories pass, and each of more than a thousand histories that were changed in
//! one place is flagged, under an invariant that the change breaks.

mod content;
mod histories;
mod messages;
mod outside;
mod tools;

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::Topics;
use oddwatch_tests::{
    local::Sections,
    oracle::{self, Evidence, Fault, Limits, first},
};
use rand_core::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use wire::events::Stamps;

use tools::Mutation;

/// How often each mutation is made in each history.
const TIMES: u64 = 5;

/// A history by the number of its seed.
type Histories = BTreeMap<u64, Evidence>;

#[test]
fn good_histories_pass() {
    for (seed, evidence) in histories::all() {
        let faults = judge(evidence.clone());
        assert!(faults.is_empty(), "seed {seed}: {}", first(&faults));
    }
}

#[test]
fn each_of_a_thousand_mutated_histories_is_flagged() {
    let histories = histories::all();
    let mut made = 0;
    let mut missed = vec![];
    let all = [messages::MUTATIONS, content::MUTATIONS, outside::MUTATIONS];
    for (number, mutation) in all.into_iter().flatten().enumerate() {
        let made_before = made;
        for (seed, evidence) in histories {
            for time in 0..TIMES {
                let part = time + 1_000 * number as u64 + 1_000_000 * seed;
                let random = Pcg64Mcg::seed_from_u64(part);
                made += mutate(mutation, *seed, evidence, random, &mut missed);
            }
        }
        assert!(made > made_before, "{}: no history has any place for it", mutation.name);
    }
    let words = missed[..missed.len().min(10)].join("\n");
    assert!(missed.is_empty(), "{} of {made} were missed:\n{words}", missed.len());
    assert!(made >= 1_000, "only {made} histories");
}

/// Changes a copy of a history in one place, if it has any for this, and judges it.
fn mutate(
    mutation: &Mutation,
    seed: u64,
    evidence: &Evidence,
    mut random: Pcg64Mcg,
    missed: &mut Vec<String>,
) -> usize {
    let mut changed = evidence.clone();
    let Some(place) = (mutation.make)(&mut changed, &mut random) else { return 0 };
    let faults = judge(changed);
    if !faults.iter().any(|fault| mutation.breaks.contains(&fault.invariant)) {
        let found: Vec<u8> = faults.iter().map(|fault| fault.invariant).collect();
        let Mutation { name, breaks, .. } = mutation;
        missed.push(format!("seed {seed}, {name} at {place}: none of {breaks:?} in {found:?}"));
    }
    1
}

/// Judges as a test does: with a replay of what was read.
fn judge(mut evidence: Evidence) -> Vec<Fault> {
    let committed = &mut evidence.committed;
    for told in committed.accepted.values_mut().flatten() {
        told.bytes = wire::rows::encode_accepted(&told.content, Stamps::default()).into();
    }
    for told in committed.requested.values_mut().flatten() {
        told.bytes = wire::rows::encode_requested(&told.content, Stamps::default()).into();
    }
    for (_, told) in &mut committed.control {
        told.bytes = Bytes::from(wire::control::encode_definition(&told.content, 0));
    }
    let Sections { windowing, detector, .. } = Sections::defaults().expect("the defaults are good");
    let replay = oracle::replay(committed, &Topics::new(""), &Limits { windowing, detector });
    let mut faults = vec![];
    match replay {
        Ok(replay) => evidence.replay = Some(replay),
        // A stage that can't go on is seen by any test.
        Err(error) => faults.push(Fault { invariant: 2, what: error.to_string() }),
    }
    faults.extend(oracle::judge(&evidence));
    faults
}
