//! Which partition's snapshot is due, and which snapshots of it are kept.

use std::{collections::BTreeMap, iter};

use twox_hash::XxHash3_64;

/// The time alone makes a snapshot due only after this share of the input that makes one due by itself: 64 KiB of
/// 64 MiB. A large state is not written again for a few ticks.
const LEAST_SHARE: u64 = 1_024;
/// After so long any input will do: what a restore needs must not grow old.
const PATIENCE_MS: i64 = 24 * 3_600_000;

/// The partitions of a saver. Pure: time comes in.
#[derive(Debug)]
pub(crate) struct Schedule {
    every_ms: i64,
    input_bytes: u64,
    kept_max: usize,
    partitions: BTreeMap<String, Entry>,
    /// Counts what was begun.
    turn: u64,
}

#[derive(Debug)]
struct Entry {
    /// The offsets of the snapshots that are kept, newest first.
    kept: Vec<u64>,
    due_at_ms: i64,
    /// From then on any input makes one due.
    at_last_ms: i64,
    /// Input since the begin of the last snapshot that became durable.
    unsaved: u64,
    /// Input since the begin of the last snapshot, whatever became of it: one that failed is not
    /// tried again at every cycle.
    since_begin: u64,
    turn: u64,
}

impl Schedule {
    pub(crate) fn new(every_ms: i64, input_bytes: u64, kept_max: usize) -> Self {
        Self {
            every_ms: every_ms.max(1),
            input_bytes,
            kept_max: kept_max.max(1),
            partitions: BTreeMap::new(),
            turn: 0,
        }
    }

    /// A partition has come, with these snapshots, newest first.
    pub(crate) fn assigned(&mut self, partition: &str, mut kept: Vec<u64>, now_ms: i64) {
        // Spread by name, so that partitions that come together are not due together.
        let spread = XxHash3_64::oneshot(partition.as_bytes()) % self.every_ms as u64;
        let due_at_ms = now_ms.saturating_add(1 + spread as i64);
        kept.truncate(self.kept_max);
        let at_last_ms = now_ms.saturating_add(PATIENCE_MS);
        let entry = Entry { kept, due_at_ms, at_last_ms, unsaved: 0, since_begin: 0, turn: 0 };
        self.partitions.insert(partition.to_owned(), entry);
    }

    pub(crate) fn dropped(&mut self, partition: &str) {
        self.partitions.remove(partition);
    }

    pub(crate) fn applied(&mut self, partition: &str, bytes: u64) {
        if let Some(entry) = self.partitions.get_mut(partition) {
            // Input without bytes is input.
            entry.unsaved = entry.unsaved.saturating_add(bytes.max(1));
            entry.since_begin = entry.since_begin.saturating_add(bytes.max(1));
        }
    }

    /// The partitions that are due; the one whose turn is longest ago comes first.
    pub(crate) fn due(&mut self, now_ms: i64) -> Vec<String> {
        let mut due = vec![];
        for (partition, entry) in &mut self.partitions {
            // The clock may have been set back.
            entry.due_at_ms = entry.due_at_ms.min(now_ms.saturating_add(self.every_ms));
            entry.at_last_ms = entry.at_last_ms.min(now_ms.saturating_add(PATIENCE_MS));
            let by_time = now_ms >= entry.due_at_ms;
            let least = if now_ms < entry.at_last_ms { self.input_bytes / LEAST_SHARE } else { 0 };
            if by_time && entry.unsaved < least.max(1) {
                // Idle partitions stay spread.
                let late = (now_ms - entry.due_at_ms) / self.every_ms;
                entry.due_at_ms += (late + 1) * self.every_ms;
            } else if by_time || entry.since_begin >= self.input_bytes {
                due.push((entry.turn, partition));
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, partition)| partition.clone()).collect()
    }

    /// The partitions with input that is in no durable snapshot.
    pub(crate) fn unsaved(&self) -> Vec<String> {
        let unsaved = self.partitions.iter().filter(|(_, entry)| entry.unsaved > 0);
        unsaved.map(|(partition, _)| partition.clone()).collect()
    }

    /// A snapshot with this offset was begun; returns those to be kept once it is durable, newest
    /// first.
    pub(crate) fn begun(&mut self, partition: &str, offset: u64, now_ms: i64) -> Vec<u64> {
        self.turn += 1;
        let Some(entry) = self.partitions.get_mut(partition) else { return vec![offset] };
        entry.turn = self.turn;
        entry.since_begin = 0;
        entry.due_at_ms = now_ms.saturating_add(self.every_ms);
        entry.at_last_ms = now_ms.saturating_add(PATIENCE_MS);
        let older = entry.kept.iter().copied().filter(|kept| *kept < offset);
        iter::once(offset).chain(older).take(self.kept_max).collect()
    }

    /// The snapshot last begun has become durable and these are kept. Returns the offset below
    /// which no input is needed any more.
    pub(crate) fn durable(&mut self, partition: &str, kept: Vec<u64>) -> Option<u64> {
        let entry = self.partitions.get_mut(partition)?;
        entry.unsaved = entry.since_begin;
        entry.kept = kept;
        // As long as there are fewer than are to be kept, damage to them leaves nothing but all of
        // the input.
        let full = entry.kept.len() == self.kept_max;
        Some(entry.kept.last().copied().filter(|_| full).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Do<'a> {
        Assigned(&'a str, &'a [u64]),
        Applied(&'a str, u64),
        Due(i64, &'a [&'a str]),
        Begun(&'a str, u64, i64, &'a [u64]),
        Durable(&'a str, &'a [u64], Option<u64>),
        Dropped(&'a str),
    }
    use Do::*;

    /// Every 1,000 ms or 100 bytes, three kept.
    fn check(steps: &[Do<'_>]) {
        let mut schedule = Schedule::new(1_000, 100, 3);
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Assigned(partition, kept) => {
                    schedule.assigned(partition, kept.to_vec(), 0);
                }
                Applied(partition, bytes) => schedule.applied(partition, bytes),
                Due(now_ms, expected) => assert_eq!(schedule.due(now_ms), expected, "{number}"),
                Begun(partition, offset, now_ms, kept) => {
                    assert_eq!(schedule.begun(partition, offset, now_ms), kept, "{number}");
                }
                Durable(partition, kept, needed) => {
                    assert_eq!(schedule.durable(partition, kept.to_vec()), needed, "{number}");
                }
                Dropped(partition) => schedule.dropped(partition),
            }
        }
    }

    #[test]
    fn due_by_bytes_or_time_and_only_after_input() {
        check(&[Assigned("a", &[]), Due(1_000, &[]), Due(5_000, &[])]);
        check(&[Assigned("a", &[]), Applied("a", 1), Due(1_000, &["a"])]);
        check(&[Assigned("a", &[]), Applied("a", 0), Due(1_000, &["a"])]);
        check(&[
            Assigned("a", &[]),
            Applied("a", 99),
            Due(0, &[]),
            Applied("a", 1),
            Due(0, &["a"]),
        ]);
        check(&[Applied("a", 100), Due(1_000, &[])]);
        check(&[Assigned("a", &[]), Applied("a", 100), Dropped("a"), Due(1_000, &[])]);
        // Set back by an hour, the clock does not put snapshots off for an hour.
        let back = Due(-3_600_000, &[]);
        check(&[Assigned("a", &[]), Applied("a", 1), back, Due(-3_599_000, &["a"])]);
    }

    #[test]
    fn a_failed_one_is_due_again_later_and_a_durable_one_after_more_input() {
        let begin = || [Assigned("a", &[]), Applied("a", 100), Due(0, &["a"])];
        let begun = || Begun("a", 7, 0, &[7]);
        let durable = || Durable("a", &[7], Some(0));
        let check_after = |steps: Vec<Do<'_>>| {
            check(&begin().into_iter().chain(iter::once(begun())).chain(steps).collect::<Vec<_>>());
        };
        check_after(vec![Due(0, &[]), Due(999, &[]), Due(1_000, &["a"])]);
        check_after(vec![Applied("a", 99), Due(0, &[]), Applied("a", 1), Due(0, &["a"])]);
        check_after(vec![durable(), Due(1_000, &[]), Due(9_000, &[])]);
        check_after(vec![Applied("a", 1), durable(), Due(999, &[]), Due(1_000, &["a"])]);
    }

    #[test]
    fn partitions_take_turns() {
        let all = || [Applied("a", 100), Applied("b", 100), Applied("c", 100)];
        let assigned = [Assigned("a", &[]), Assigned("b", &[]), Assigned("c", &[])];
        let turns = [
            Due(0, &["a", "b", "c"]),
            Begun("b", 1, 0, &[1]),
            Applied("b", 100),
            Due(0, &["a", "c", "b"]),
            Begun("a", 1, 0, &[1]),
            Due(0, &["c", "b"]),
        ];
        check(&assigned.into_iter().chain(all()).chain(turns).collect::<Vec<_>>());
    }

    #[test]
    fn input_is_needed_from_the_oldest_of_three() {
        check(&[
            Assigned("a", &[]),
            Begun("a", 10, 0, &[10]),
            Durable("a", &[10], Some(0)),
            Begun("a", 20, 0, &[20, 10]),
            Durable("a", &[20, 10], Some(0)),
            Begun("a", 30, 0, &[30, 20, 10]),
            Durable("a", &[30, 20, 10], Some(10)),
            Begun("a", 40, 0, &[40, 30, 20]),
            Durable("a", &[40, 30, 20], Some(20)),
            // Again at the same offset, and at an earlier one after the input was set back.
            Begun("a", 40, 0, &[40, 30, 20]),
            Begun("a", 25, 0, &[25, 20]),
            Durable("a", &[25, 20], Some(0)),
            Durable("b", &[1], None),
        ]);
        check(&[Assigned("a", &[5, 4, 3, 2]), Begun("a", 9, 0, &[9, 5, 4])]);
    }

    #[test]
    fn idle_partitions_stay_spread() {
        let mut schedule = Schedule::new(60_000, 100, 3);
        let names: Vec<String> = (0..60).map(|number| format!("rows/{number}")).collect();
        for name in &names {
            schedule.assigned(name, vec![], 0);
        }
        assert!(schedule.due(600_000).is_empty());
        for name in &names {
            schedule.applied(name, 1);
        }
        // 60 partitions over a minute: in none of its seconds are more than 6 due.
        let counts: Vec<usize> =
            (600..660).map(|second| schedule.due(second * 1_000 + 999).len()).collect();
        let steps = counts.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(counts[59] == 60 && counts[0] <= 6 && steps <= Some(6), "{counts:?}");
    }

    #[test]
    fn little_input_waits_for_more_but_not_for_ever() {
        let mut schedule = Schedule::new(1_000, 64 << 20, 3);
        schedule.assigned("a", vec![], 0);
        schedule.applied("a", 65_535);
        assert!(schedule.due(50_000).is_empty());
        schedule.applied("a", 1);
        assert_eq!(schedule.due(60_000), ["a"]);
        schedule.begun("a", 5, 60_000);
        schedule.durable("a", vec![5]);
        schedule.applied("a", 10);
        assert!(schedule.due(60_000 + PATIENCE_MS - 1).is_empty());
        assert_eq!(schedule.due(61_000 + PATIENCE_MS), ["a"]);
    }
}
