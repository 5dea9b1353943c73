//! What notification knows: which findings have become alerts already, per partition and bounded.
//! It decides what is a repeat and what the alert of a finding is; it cannot wait, log or read
//! time.

use std::collections::{BTreeMap, HashMap};

use domain::{Alert, AlertState, Anomaly, Finding, Id, Phase, Severity};
use exchange::Partition;

use crate::summary;

/// What has been seen, by partition of `anomaly.detected` and `drift.detected`.
pub(crate) struct State {
    open_max: usize,
    finished_max: usize,
    partitions: HashMap<Partition, Seen>,
    forgotten: u64,
}

/// What has been seen in one partition: the last revision of each anomaly.
struct Seen {
    open: Recent,
    /// Finished anomalies, and drifts with revision 1.
    finished: Recent,
}

impl State {
    pub(crate) fn new(open_max: usize, finished_max: usize) -> Self {
        Self { open_max, finished_max, partitions: HashMap::new(), forgotten: 0 }
    }

    /// Forgets a partition.
    pub(crate) fn drop_partition(&mut self, partition: &Partition) {
        self.partitions.remove(partition);
    }

    /// Takes a finding; says whether it is new, so that it makes an alert, or a repeat.
    pub(crate) fn take(&mut self, partition: &Partition, finding: &Finding) -> bool {
        if !self.partitions.contains_key(partition) {
            let seen =
                Seen { open: Recent::new(self.open_max), finished: Recent::new(self.finished_max) };
            self.partitions.insert(partition.clone(), seen);
        }
        let Some(seen) = self.partitions.get_mut(partition) else { return true };
        match finding {
            Finding::Anomaly(anomaly) => {
                let (new, forgotten) = seen.take_anomaly(anomaly);
                self.forgotten += u64::from(forgotten);
                new
            }
            Finding::Drift(drift) => {
                let new = seen.finished.get(drift.id).is_none();
                if new {
                    seen.finished.set(drift.id, 1);
                }
                new
            }
        }
    }

    /// How many open anomalies were forgotten for want of room since this was last asked.
    pub(crate) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }
}

impl Seen {
    /// Says whether the event is new, and whether another open anomaly had to be forgotten for it.
    fn take_anomaly(&mut self, anomaly: &Anomaly) -> (bool, bool) {
        let last = self.open.get(anomaly.id).or_else(|| self.finished.get(anomaly.id));
        if last.is_some_and(|last| anomaly.revision <= last) {
            return (false, false);
        }
        if anomaly.phase == Phase::Cleared {
            self.open.remove(anomaly.id);
            self.finished.set(anomaly.id, anomaly.revision);
            (true, false)
        } else {
            self.finished.remove(anomaly.id);
            (true, self.open.set(anomaly.id, anomaly.revision))
        }
    }
}

/// The alert of a finding: a function of the finding alone, so that it is the same on every replay,
/// whatever of the input is still kept.
pub(crate) fn alert_of(finding: Finding) -> Alert {
    let summary = summary::of(&finding);
    match &finding {
        Finding::Anomaly(anomaly) => Alert {
            id: Id::of(&[b"alert/anomaly", anomaly.id.to_string().as_bytes()]),
            // Each event of the anomaly is one state of the alert, so its count is the alert's.
            revision: anomaly.revision,
            state: match anomaly.phase {
                Phase::Opened | Phase::Updated => AlertState::Firing,
                Phase::Cleared => AlertState::Resolved,
            },
            severity: anomaly.severity,
            summary,
            finding,
        },
        Finding::Drift(drift) => Alert {
            id: Id::of(&[b"alert/drift", drift.id.to_string().as_bytes()]),
            revision: 1,
            state: AlertState::Firing,
            severity: Severity::Low,
            summary,
            finding,
        },
    }
}

/// A map that forgets its oldest entry when it is full.
struct Recent {
    max: usize,
    by_id: HashMap<Id, (u64, u32)>,
    by_age: BTreeMap<u64, Id>,
    next_age: u64,
}

impl Recent {
    fn new(max: usize) -> Self {
        Self { max, by_id: HashMap::new(), by_age: BTreeMap::new(), next_age: 0 }
    }

    fn get(&self, id: Id) -> Option<u32> {
        self.by_id.get(&id).map(|(_, revision)| *revision)
    }

    /// Sets an entry, which is then the newest; says whether another one was forgotten.
    fn set(&mut self, id: Id, revision: u32) -> bool {
        self.remove(id);
        self.by_id.insert(id, (self.next_age, revision));
        self.by_age.insert(self.next_age, id);
        self.next_age += 1;
        if self.by_id.len() <= self.max {
            return false;
        }
        if let Some((_, oldest)) = self.by_age.pop_first() {
            self.by_id.remove(&oldest);
        }
        true
    }

    fn remove(&mut self, id: Id) {
        if let Some((age, _)) = self.by_id.remove(&id) {
            self.by_age.remove(&age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::{anomaly, drift};

    /// An event of the anomaly `name`, in short: `o1` is opened with revision 1, `u2` updated, `c3`
    /// cleared; `d` is a drift of that name.
    fn event(name: &str, event: &str) -> Finding {
        let id = Id::of(&[name.as_bytes()]);
        if event == "d" {
            return Finding::Drift(domain::Drift { id, ..drift() });
        }
        let phase = match &event[..1] {
            "o" => Phase::Opened,
            "u" => Phase::Updated,
            _ => Phase::Cleared,
        };
        Finding::Anomaly(Anomaly { id, phase, revision: event[1..].parse().unwrap(), ..anomaly() })
    }

    /// Events as `name event`; expected are those that make an alert, and how many open ones were
    /// forgotten. Two open and two finished ones are remembered.
    fn check(events: &[&str], expect: &[&str], forgotten: u64) {
        let mut state = State::new(2, 2);
        let partition = Partition::new("anomaly.detected", 0);
        let new: Vec<&str> = events
            .iter()
            .copied()
            .filter(|text| {
                let (name, what) = text.split_once(' ').unwrap();
                state.take(&partition, &event(name, what))
            })
            .collect();
        assert_eq!(new, expect, "{events:?}");
        assert_eq!(state.take_forgotten(), forgotten, "{events:?}");
    }

    #[test]
    fn each_revision_makes_one_alert() {
        check(&["a o1", "a u2", "a c3"], &["a o1", "a u2", "a c3"], 0);
        check(&["a o1", "a o1", "a u2", "a o1", "a u2"], &["a o1", "a u2"], 0);
        check(&["a o1", "a c2", "a o1", "a c2"], &["a o1", "a c2"], 0);
        check(&["a u5", "a u4"], &["a u5"], 0);
        check(&["a d", "a d", "b d"], &["a d", "b d"], 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        // The third open anomaly makes the first one forgotten: its repeat is taken for new.
        check(&["a o1", "b o1", "c o1", "a o1"], &["a o1", "b o1", "c o1", "a o1"], 2);
        check(&["a o1", "b o1", "a u2", "c o1", "a u2"], &["a o1", "b o1", "a u2", "c o1"], 1);
        // Only the last two finished ones are remembered, and that is no loss to speak of.
        let events = ["a c2", "b c2", "c c2", "b c2", "c c2", "a c2"];
        check(&events, &["a c2", "b c2", "c c2", "a c2"], 0);
    }

    #[test]
    fn partitions_and_their_loss_are_independent() {
        let mut state = State::new(2, 2);
        let (here, there) = (Partition::new("t", 0), Partition::new("t", 1));
        let finding = event("a", "o1");
        assert!(state.take(&here, &finding));
        assert!(state.take(&there, &finding));
        state.drop_partition(&here);
        assert!(state.take(&here, &finding));
        assert!(!state.take(&there, &finding));
    }

    #[test]
    fn an_alert_keeps_its_id_and_resolves() {
        let check = |what: &str, state: AlertState, revision: u32| {
            let alert = alert_of(event("a", what));
            assert_eq!((alert.state, alert.revision), (state, revision), "{what}");
            alert.id
        };
        let ids = [
            check("o1", AlertState::Firing, 1),
            check("u2", AlertState::Firing, 2),
            check("c3", AlertState::Resolved, 3),
        ];
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_ne!(check("d", AlertState::Firing, 1), ids[0]);
        assert_ne!(alert_of(event("b", "o1")).id, ids[0]);
    }
}
