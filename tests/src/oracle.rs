//! The oracle: one checker that judges every fault test by the seven invariants of a run.
//!
//! # What it is given
//! An [`Evidence`]. Fill what the test has; what is left empty is not judged:
//!
//! - `input`: every record that was published, by source partition, offset and index, with what must become of it
//!   at ingest: the row that it is, or the reason for which it is refused. Required.
//! - `committed`: the content of every topic as a read_committed reader got it, from the beginning, each partition
//!   in its order. Fill it message by message with [`Committed::take`], during the run and after it, or all at once
//!   with [`Committed::read`]. Required, `control` included.
//! - `poison`: rows that the test planned to be deadly. Without a plan every refusal as POISON is a fault.
//! - `replay`: what [`replay()`] makes of the same `committed`: windowing and detector applied once, in this process
//!   and without an exchange, to the very messages of `records.accepted` and `detection.requested`. Every item must
//!   be the same, bit for bit. It holds for every run: with changed definitions, with ticks that decide, with rows
//!   that were skipped.
//! - `single`: the outputs of a run that nothing disturbed, on the same records at the same offsets. Scores are
//!   compared by series and row. It may be given only if definitions did not change in mid-run, no row was deadly,
//!   and each series' records come from one source partition. Series whose rows depend on ticks (held back by
//!   lateness and come late, or cleared in silence) are left out.
//! - `receivers`: what each receiver of alerts got: id and payload of every delivery, in order.
//! - `end`: how far each reader has come when the faults have healed, and memory before and after.
//! - `texts` and `secrets`: everything that was logged or published, and what must not be in it.
//!
//! # What it says
//! [`judge`] returns a [`Fault`] for each violation that it sees, with the number of the invariant:
//!
//! 1. each record is scored, or refused, once: by source, offset and index, at every service;
//! 2. items are numbered 1..n by source and epoch, without a hole or a repeat; nothing goes back;
//! 3. values, scores and drifts are those of the replay and of the single run, bit for bit;
//! 4. so are anomalies and their ids; each finding has its one alert, each alert its finding;
//! 5. each receiver gets each alert, under one payload per id, and once if it honours ids;
//! 6. all readers come to the end, and memory returns to within 10 %;
//! 7. there is no secret in any text.

mod anomalies;
mod committed;
mod count;
mod flat;
mod frozen;
mod numbers;
mod outside;
mod replay;
mod same;

use std::{collections::BTreeSet, fmt, sync::Arc};

use domain::{Micros, Reason};

pub use committed::{ByPartition, Committed, Refused, State, Told};
pub use outside::{End, Lag, Receiver, Text};
pub use replay::{Limits, replay};

/// A record as it was published, and what must become of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The partition that it was published to, as `topic/number`.
    pub source: Arc<str>,
    /// The message's offset there.
    pub offset: u64,
    /// Its index within the message, from 0.
    pub index: u32,
    /// The message's own time; `None` if the test does not know it.
    pub ingested_at: Option<Micros>,
    /// What it is.
    pub sent: Sent,
}

/// What must become of a record at ingest.
#[derive(Clone, Debug)]
pub enum Sent {
    /// It is accepted as this row.
    Row {
        /// The stream.
        stream: Arc<str>,
        /// The series key.
        key: Arc<str>,
        /// Event time.
        event_at: Micros,
        /// Its values by feature name.
        values: Vec<(Arc<str>, f64)>,
    },
    /// It is refused. A message that can't be read at all is one such record, of index 0.
    Refused(Reason),
}

/// A row that was planned to be deadly for a service, by the record that it is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Poison {
    /// The service that dies on it: `ingest`, `windowing`, `detector` or `notification`.
    pub service: String,
    /// The record's source as `topic/number`; for notification the partition that the finding is read from.
    pub source: String,
    /// The message's offset there.
    pub offset: u64,
    /// The record's index within the message; 0 for ingest and notification, which refuse whole messages.
    pub index: u32,
}

/// All that is known of a run; the head of this file says what each part is.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What was published.
    pub input: Vec<Record>,
    /// What was committed.
    pub committed: Committed,
    /// What was planned to be deadly; a row that two detectors die on stands twice.
    pub poison: Vec<Poison>,
    /// What [`replay()`] makes of `committed`.
    pub replay: Option<Committed>,
    /// What an uninterrupted run committed.
    pub single: Option<Committed>,
    /// What receivers got.
    pub receivers: Vec<Receiver>,
    /// How it stands at the end.
    pub end: Option<End>,
    /// What was logged or published.
    pub texts: Vec<Text>,
    /// What must be in none of them.
    pub secrets: Vec<String>,
}

/// A violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of the invariant.
    pub invariant: u8,
    /// What is wrong, where.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.what)
    }
}

/// Collects the faults of one invariant; the first few of each check tell enough.
struct Faults<'a> {
    invariant: u8,
    all: &'a mut Vec<Fault>,
}

impl Faults<'_> {
    fn add(&mut self, what: impl Into<String>) {
        self.all.push(Fault { invariant: self.invariant, what: what.into() });
    }
}

/// Judges a run. An empty answer means that nothing is wrong with it.
pub fn judge(evidence: &Evidence) -> Vec<Fault> {
    let mut all = vec![];
    let mut by = |invariant: u8, check: &dyn Fn(&Evidence, &mut Faults<'_>)| {
        check(evidence, &mut Faults { invariant, all: &mut all });
    };
    by(1, &|evidence, faults| {
        evidence.committed.unreadable.iter().for_each(|what| faults.add(what.clone()));
    });
    by(1, &count::judge);
    by(2, &numbers::judge);
    by(3, &same::judge);
    by(4, &anomalies::judge);
    by(5, &outside::judge_receivers);
    by(6, &outside::judge_end);
    by(7, &outside::judge_secrets);
    all
}

/// The first faults as lines, for a failing test's words.
pub fn first(faults: &[Fault]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = faults.iter().take(SHOWN).map(ToString::to_string).collect();
    format!("{} fault(s), the first:\n{}", faults.len(), shown.join("\n"))
}

/// Those of the first set that are not in the second, and the other way round.
fn differences<'a, T: Ord>(a: &'a BTreeSet<T>, b: &'a BTreeSet<T>) -> (Vec<&'a T>, Vec<&'a T>) {
    (a.difference(b).collect(), b.difference(a).collect())
}
