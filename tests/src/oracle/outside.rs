//! Invariants 5 to 7: what is seen from outside: deliveries, an end in peace, no secret anywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Faults};

/// A receiver of alerts, such as a webhook's server or a subscriber.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    /// What messages call it.
    pub name: String,
    /// Whether it drops repeats by their id itself, so that none may be left in `got`.
    pub honours_ids: bool,
    /// Id and payload of each delivery, in order.
    pub got: Vec<(String, Vec<u8>)>,
}

/// How it stands when the last fault has healed.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// Every reader.
    pub lags: Vec<Lag>,
    /// Memory in bytes before the faults; 0 if it was not measured.
    pub bytes_before: u64,
    /// Memory in bytes after them.
    pub bytes_after: u64,
}

/// How far a reader has come.
#[derive(Clone, Debug)]
pub struct Lag {
    /// Group and partition.
    pub reader: String,
    /// The next offset that it reads.
    pub position: u64,
    /// The offset behind the last message.
    pub end: u64,
}

/// A text that people may see: a log, metrics, a dead letter.
#[derive(Clone, Debug)]
pub struct Text {
    /// Where it was found.
    pub name: String,
    /// What it says.
    pub text: String,
}

pub(super) fn judge_receivers(evidence: &Evidence, faults: &mut Faults<'_>) {
    let states = evidence.committed.alerts.values().flatten();
    let states: BTreeSet<&str> = states.map(|told| &*told.content.id).collect();
    let mut payloads: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for Receiver { name, honours_ids, got } in &evidence.receivers {
        let mut ids = BTreeSet::new();
        for (id, payload) in got {
            if !ids.insert(&**id) && *honours_ids {
                faults.add(format!("{name} got {id} twice"));
            }
            if *payloads.entry(id).or_insert(payload) != payload {
                faults.add(format!("{name} got {id} with another payload than before"));
            }
            if !states.contains(&**id) {
                faults.add(format!("{name} got {id}, which is no state of any alert"));
            }
        }
        let lacking: Vec<_> = states.difference(&ids).collect();
        if let Some(first) = lacking.first() {
            faults.add(format!("{name} did not get {} alerts, such as {first}", lacking.len()));
        }
    }
}

pub(super) fn judge_end(evidence: &Evidence, faults: &mut Faults<'_>) {
    let Some(End { lags, bytes_before, bytes_after }) = &evidence.end else { return };
    for Lag { reader, position, end } in lags.iter().filter(|lag| lag.position < lag.end) {
        faults.add(format!("{reader} stands at {position}, the end is {end}"));
    }
    let bytes_max = bytes_before + bytes_before / 10;
    if *bytes_before > 0 && *bytes_after > bytes_max {
        faults.add(format!("memory is {bytes_after} bytes, it was {bytes_before}"));
    }
}

pub(super) fn judge_secrets(evidence: &Evidence, faults: &mut Faults<'_>) {
    let refused = evidence.committed.rejected.values().flatten().map(|told| &told.content);
    let details = refused.map(|refused| ("records.rejected", &*refused.detail));
    let texts = evidence.texts.iter().map(|Text { name, text }| (&**name, &**text));
    for (name, text) in texts.chain(details) {
        for (number, secret) in evidence.secrets.iter().enumerate() {
            if text.contains(&**secret) {
                // The secret itself must not come into the test's words.
                faults.add(format!("{name} has secret number {number} in it"));
            }
        }
    }
}
