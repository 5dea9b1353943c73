//! Ways to change a history in one place. Each says which invariant it breaks; it answers where it was made, or nothing
//! if the history has no place for it.

use domain::{Batch, Flags, Item, Phase, ScoreItem};
use oddwatch_tests::oracle::{ByPartition, Evidence, Sent, State, Told};
use rand_core::RngCore as _;
use rand_pcg::Pcg64Mcg;

use crate::outside;

/// One way.
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    /// One of these invariants must be found broken; others may be too.
    pub(crate) breaks: &'static [u8],
    pub(crate) make: fn(&mut Evidence, &mut Pcg64Mcg) -> Option<String>,
}

/// A number below `end`, if there is any.
pub(crate) fn below(end: usize, random: &mut Pcg64Mcg) -> Option<usize> {
    (end > 0).then(|| (random.next_u64() % end as u64) as usize)
}

/// Flips one bit of a number.
fn flip(value: &mut f64, random: &mut Pcg64Mcg) {
    *value = f64::from_bits(value.to_bits() ^ (1 << (random.next_u64() % 64)));
}

/// A partition that has messages.
fn partition<'a, T>(
    all: &'a mut ByPartition<T>,
    random: &mut Pcg64Mcg,
) -> Option<(u32, &'a mut Vec<Told<T>>)> {
    let full: Vec<u32> = all.iter().filter(|(_, told)| !told.is_empty()).map(|(p, _)| *p).collect();
    let number = full[below(full.len(), random)?];
    Some((number, all.get_mut(&number)?))
}

/// One message.
pub(crate) fn one<'a, T>(
    all: &'a mut ByPartition<T>,
    random: &mut Pcg64Mcg,
) -> Option<(String, &'a mut T)> {
    let (number, told) = partition(all, random)?;
    let at = below(told.len(), random)?;
    Some((format!("{number}/{at}"), &mut told[at].content))
}

/// One item of one batch of those that `is` takes.
fn item<'a>(
    batches: impl Iterator<Item = &'a mut Batch>,
    random: &mut Pcg64Mcg,
    is: impl Fn(&Item) -> bool,
) -> Option<(String, &'a mut Batch, usize)> {
    let mut places: Vec<(&'a mut Batch, usize)> = vec![];
    for batch in batches {
        let found: Vec<usize> = (0..batch.items.len()).filter(|at| is(&batch.items[*at])).collect();
        if let Some(at) = below(found.len(), random) {
            places.push((batch, found[at]));
        }
    }
    let at = below(places.len(), random)?;
    let (batch, index) = places.swap_remove(at);
    Some((format!("{:?} item {index}", batch.first), batch, index))
}

fn is_row(item: &Item) -> bool {
    matches!(item, Item::Row(_))
}

/// A row of `records.accepted`, to be changed.
fn accepted_row(
    evidence: &mut Evidence,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Row, &mut [f64], &mut Pcg64Mcg),
) -> Option<String> {
    let batches = evidence.committed.accepted.values_mut().flatten().flat_map(|t| &mut t.content);
    let (place, batch, index) = item(batches, random, is_row)?;
    change_row(batch, index, random, change);
    Some(place)
}

/// A row of `detection.requested`, to be changed.
fn requested_row(
    evidence: &mut Evidence,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Row, &mut [f64], &mut Pcg64Mcg),
) -> Option<String> {
    let batches = evidence.committed.requested.values_mut().flatten().map(|t| &mut t.content);
    let (place, batch, index) = item(batches, random, is_row)?;
    change_row(batch, index, random, change);
    Some(place)
}

fn change_row(
    batch: &mut Batch,
    index: usize,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Row, &mut [f64], &mut Pcg64Mcg),
) {
    let Batch { items, values, .. } = batch;
    if let Item::Row(row) = &mut items[index] {
        let values = &mut values[row.values.start as usize..row.values.end as usize];
        change(row, values, random);
    }
}

fn flip_one(_: &mut domain::Row, values: &mut [f64], random: &mut Pcg64Mcg) {
    if let Some(at) = below(values.len(), random) {
        flip(&mut values[at], random);
    }
}

/// A score, to be changed.
fn score(
    evidence: &mut Evidence,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Score, &mut Pcg64Mcg),
) -> Option<String> {
    let (place, batch) = one(&mut evidence.committed.completed, random)?;
    let is_score = |at: &usize| matches!(batch.items[*at], ScoreItem::Score(_));
    let scores: Vec<usize> = (0..batch.items.len()).filter(is_score).collect();
    let at = scores[below(scores.len(), random)?];
    if let ScoreItem::Score(score) = &mut batch.items[at] {
        change(score, random);
    }
    Some(format!("{place} item {at}"))
}

fn drop_one<T>(all: &mut ByPartition<T>, random: &mut Pcg64Mcg) -> Option<String> {
    let (number, told) = partition(all, random)?;
    let at = below(told.len(), random)?;
    told.remove(at);
    Some(format!("{number}/{at}"))
}

/// The last message leaves a trace only if there are rows in it: ticks that carry log time no further are passed
/// on by nobody.
fn drop_accepted(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (number, told) = partition(&mut evidence.committed.accepted, random)?;
    let at = below(told.len(), random)?;
    let items = told[at].content.iter().flat_map(|segment| &segment.items);
    let has_rows = items.filter(|item| matches!(item, domain::Item::Row(_))).count() > 0;
    if at + 1 == told.len() && !has_rows {
        return None;
    }
    told.remove(at);
    Some(format!("{number}/{at}"))
}

fn double_one<T: Clone>(all: &mut ByPartition<T>, random: &mut Pcg64Mcg) -> Option<String> {
    let (number, told) = partition(all, random)?;
    let at = below(told.len(), random)?;
    told.insert(at, told[at].clone());
    Some(format!("{number}/{at}"))
}

/// Two neighbours change their contents, unless they may stand either way.
fn swap_two<T>(
    all: &mut ByPartition<T>,
    random: &mut Pcg64Mcg,
    ordered: impl Fn(&T, &T) -> bool,
) -> Option<String> {
    let (number, told) = partition(all, random)?;
    let pairs: Vec<usize> =
        (1..told.len()).filter(|at| ordered(&told[at - 1].content, &told[*at].content)).collect();
    let at = pairs[below(pairs.len(), random)?];
    told.swap(at - 1, at);
    let offset = told[at].offset;
    told[at].offset = std::mem::replace(&mut told[at - 1].offset, offset);
    Some(format!("{number}/{at}"))
}

fn of_one_kind(a: &State, b: &State) -> bool {
    let is_drift = |state: &State| matches!(state.alert.finding, domain::Finding::Drift(_));
    is_drift(a) == is_drift(b)
}

/// All ways.
pub(crate) const MUTATIONS: &[Mutation] = &[
    // Whole messages.
    Mutation { name: "accepted lost", breaks: &[1, 2, 3], make: drop_accepted },
    Mutation {
        name: "requested lost",
        breaks: &[1, 2, 3],
        make: |e, r| drop_one(&mut e.committed.requested, r),
    },
    Mutation {
        name: "completed lost",
        breaks: &[1, 2, 3],
        make: |e, r| drop_one(&mut e.committed.completed, r),
    },
    Mutation {
        name: "refusal lost",
        breaks: &[1],
        make: |e, r| drop_one(&mut e.committed.rejected, r),
    },
    Mutation {
        name: "anomaly lost",
        breaks: &[4],
        make: |e, r| drop_one(&mut e.committed.anomalies, r),
    },
    Mutation {
        name: "drift lost",
        breaks: &[3],
        make: |e, r| drop_one(&mut e.committed.drifts, r),
    },
    Mutation {
        name: "alert lost",
        breaks: &[4],
        make: |e, r| drop_one(&mut e.committed.alerts, r),
    },
    Mutation {
        name: "accepted twice",
        breaks: &[2],
        make: |e, r| double_one(&mut e.committed.accepted, r),
    },
    Mutation {
        name: "requested twice",
        breaks: &[2],
        make: |e, r| double_one(&mut e.committed.requested, r),
    },
    Mutation {
        name: "completed twice",
        breaks: &[2],
        make: |e, r| double_one(&mut e.committed.completed, r),
    },
    Mutation {
        name: "refusal twice",
        breaks: &[1],
        make: |e, r| double_one(&mut e.committed.rejected, r),
    },
    Mutation {
        name: "anomaly twice",
        breaks: &[4],
        make: |e, r| double_one(&mut e.committed.anomalies, r),
    },
    Mutation {
        name: "drift twice",
        breaks: &[4],
        make: |e, r| double_one(&mut e.committed.drifts, r),
    },
    Mutation {
        name: "alert twice",
        breaks: &[4],
        make: |e, r| double_one(&mut e.committed.alerts, r),
    },
    Mutation {
        name: "accepted swapped",
        breaks: &[2],
        make: |e, r| {
            // Segments of different sources may come in any order.
            let same = |a: &Vec<Batch>, b: &Vec<Batch>| {
                a.iter().any(|a| b.iter().any(|b| a.first.source == b.first.source))
            };
            swap_two(&mut e.committed.accepted, r, same)
        },
    },
    Mutation {
        name: "requested swapped",
        breaks: &[2],
        make: |e, r| swap_two(&mut e.committed.requested, r, |_, _| true),
    },
    Mutation {
        name: "completed swapped",
        breaks: &[2],
        make: |e, r| swap_two(&mut e.committed.completed, r, |_, _| true),
    },
    Mutation {
        name: "anomalies swapped",
        breaks: &[4],
        make: |e, r| swap_two(&mut e.committed.anomalies, r, |_, _| true),
    },
    Mutation {
        name: "alerts swapped",
        breaks: &[4],
        make: |e, r| swap_two(&mut e.committed.alerts, r, of_one_kind),
    },
    Mutation {
        name: "offset goes back",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.completed, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            told.swap(at - 1, at);
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "in another partition",
        breaks: &[1],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.accepted, r)?;
            let all = std::mem::take(told);
            let has_rows = all.iter().flat_map(|t| &t.content).any(|b| b.rows().next().is_some());
            e.committed.accepted.insert(number + 100, all);
            has_rows.then(|| number.to_string())
        },
    },
    // What was published.
    Mutation {
        name: "a record that nobody published",
        breaks: &[1],
        make: |e, r| {
            let at = below(e.input.len(), r)?;
            Some(e.input.remove(at).source.to_string())
        },
    },
    Mutation {
        name: "published with another value",
        breaks: &[1],
        make: |e, r| {
            let at = below(e.input.len(), r)?;
            let Sent::Row { values, .. } = &mut e.input[at].sent else { return None };
            let value = below(values.len(), r)?;
            flip(&mut values[value].1, r);
            Some(at.to_string())
        },
    },
    Mutation {
        name: "published at another time",
        breaks: &[1],
        make: |e, r| {
            let at = below(e.input.len(), r)?;
            let Sent::Row { event_at, .. } = &mut e.input[at].sent else { return None };
            *event_at += 1;
            Some(at.to_string())
        },
    },
    // Numbers, epochs and times.
    Mutation {
        name: "a number is skipped",
        breaks: &[2],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.requested, r)?;
            batch.first.number += 1;
            Some(place)
        },
    },
    Mutation {
        name: "a number of scores comes again",
        breaks: &[2],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.completed, r)?;
            batch.first.number = batch.first.number.checked_sub(1).filter(|n| *n > 0)?;
            Some(place)
        },
    },
    Mutation {
        name: "a number of a source is skipped",
        breaks: &[2],
        make: |e, r| {
            let (place, segments) = one(&mut e.committed.accepted, r)?;
            let at = below(segments.len(), r)?;
            segments[at].first.number += 1;
            Some(place)
        },
    },
    Mutation {
        name: "an epoch goes back",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.completed, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            told[at].content.first.epoch -= 1;
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "an epoch rises without reason",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.requested, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            told[at].content.first.epoch += 1;
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "log time goes back",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.requested, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            let before = told[at - 1].content.log_time();
            match told[at].content.items.first_mut()? {
                Item::Row(row) => row.log_time = before.checked_sub(1)?,
                Item::Tick(log_time) => *log_time = before.checked_sub(1)?,
            }
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "the config version goes back",
        breaks: &[2, 3],
        make: |e, r| {
            accepted_row(e, r, |row, _, _| row.config_version = 0)
                .filter(|_| e.committed.accepted.values().all(|told| told.len() > 3))
        },
    },
    // Rows.
    Mutation {
        name: "one bit of an accepted value",
        breaks: &[1],
        make: |e, r| accepted_row(e, r, flip_one),
    },
    Mutation {
        name: "one bit of a value",
        breaks: &[3],
        make: |e, r| requested_row(e, r, flip_one),
    },
    Mutation {
        name: "another event time",
        breaks: &[1],
        make: |e, r| accepted_row(e, r, |row, _, _| row.event_at += 1),
    },
    Mutation {
        name: "another record",
        breaks: &[1],
        make: |e, r| accepted_row(e, r, |row, _, _| row.origin.offset += 1_000_000),
    },
    Mutation {
        name: "a row's number",
        breaks: &[2],
        make: |e, r| requested_row(e, r, |row, _, _| row.row += 1),
    },
    Mutation {
        name: "a row is late",
        breaks: &[3],
        make: |e, r| {
            requested_row(e, r, |row, _, _| {
                row.flags = Flags { late: !row.flags.late, ..row.flags };
            })
        },
    },
    Mutation {
        name: "a drift's mark is lost",
        breaks: &[3],
        make: |e, r| {
            let batches = e.committed.requested.values_mut().flatten().map(|t| &mut t.content);
            let marked = |item: &Item| matches!(item, Item::Row(row) if row.drift.is_some());
            let (place, batch, index) = item(batches, r, marked)?;
            if let Item::Row(row) = &mut batch.items[index] {
                row.drift = None;
            }
            Some(place)
        },
    },
    Mutation {
        name: "a tick tells another time",
        breaks: &[3],
        make: |e, r| {
            let batches = e.committed.requested.values_mut().flatten().map(|t| &mut t.content);
            let (place, batch, index) = item(batches, r, |item| matches!(item, Item::Tick(_)))?;
            batch.items[index] = Item::Tick(1);
            Some(place)
        },
    },
    Mutation {
        name: "two items of a message swapped",
        breaks: &[3],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.requested, r)?;
            let at = 1 + below(batch.items.len().checked_sub(1)?, r)?;
            (batch.items[at - 1] != batch.items[at]).then_some(())?;
            batch.items.swap(at - 1, at);
            Some(place)
        },
    },
    // Scores.
    Mutation {
        name: "one bit of a score",
        breaks: &[3],
        make: |e, r| {
            score(e, r, |s, r| {
                let at = below(9, r).unwrap_or(0);
                let all = [
                    &mut s.score,
                    &mut s.raw,
                    &mut s.confidence,
                    &mut s.threshold,
                    &mut s.top_share,
                    &mut s.value,
                    &mut s.expected,
                    &mut s.lower,
                    &mut s.upper,
                ];
                all.into_iter().skip(at).take(1).for_each(|value| flip(value, r));
            })
        },
    },
    Mutation {
        name: "a score of another row",
        breaks: &[1],
        make: |e, r| score(e, r, |score, _| score.row += 1),
    },
    Mutation {
        name: "a score of another record",
        breaks: &[1],
        make: |e, r| score(e, r, |score, _| score.origin.index += 1),
    },
    Mutation {
        name: "an anomaly or none",
        breaks: &[3],
        make: |e, r| score(e, r, |score, _| score.is_anomaly = !score.is_anomaly),
    },
    Mutation {
        name: "a score by another definition",
        breaks: &[1],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.completed, r)?;
            let at = below(batch.detectors.len(), r)?;
            batch.detectors[at].1 += 1;
            Some(place)
        },
    },
    Mutation {
        name: "a score within a message is lost",
        breaks: &[1],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.completed, r)?;
            let at = below(batch.items.len(), r)?;
            batch.items.remove(at);
            Some(place)
        },
    },
    // Findings.
    Mutation {
        name: "an anomaly's id",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            anomaly.id = domain::Id::of(&[b"another"]);
            Some(place)
        },
    },
    Mutation {
        name: "an anomaly's revision",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            anomaly.revision += 1;
            Some(place)
        },
    },
    Mutation {
        name: "an anomaly's phase",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            let opened = anomaly.phase == Phase::Opened;
            anomaly.phase = if opened { Phase::Updated } else { Phase::Opened };
            Some(place)
        },
    },
    Mutation {
        name: "one bit of an anomaly's score",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            flip(&mut anomaly.score, r);
            Some(place)
        },
    },
    Mutation {
        name: "one bit of a share",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            let at = below(anomaly.contributions.len(), r)?;
            flip(&mut anomaly.contributions[at].share, r);
            Some(place)
        },
    },
    Mutation {
        name: "a drift's statistic",
        breaks: &[3],
        make: |e, r| {
            let (place, drift) = one(&mut e.committed.drifts, r)?;
            flip(&mut drift.statistic, r);
            Some(place)
        },
    },
    Mutation { name: "an alert's id", breaks: &[4], make: outside::alert_id },
    Mutation { name: "an alert's state", breaks: &[4], make: outside::alert_state },
    Mutation { name: "an alert's revision", breaks: &[4], make: outside::alert_revision },
    Mutation { name: "an alert's delivery id", breaks: &[4], make: outside::state_id },
    // Refusals.
    Mutation { name: "refused for another reason", breaks: &[1], make: outside::reason },
    Mutation { name: "refused as poison", breaks: &[1], make: outside::poison },
    Mutation { name: "refused by another service", breaks: &[1], make: outside::service },
    Mutation { name: "another record was refused", breaks: &[1], make: outside::refused_record },
    Mutation { name: "an item is skipped that nobody planned", breaks: &[1], make: outside::skip },
    // Outside.
    Mutation { name: "a delivery is lost", breaks: &[5], make: outside::lost },
    Mutation { name: "a delivery is repeated", breaks: &[5], make: outside::repeated },
    Mutation { name: "another payload", breaks: &[5], make: outside::payload },
    Mutation { name: "a delivery of no alert", breaks: &[5], make: outside::unknown },
    Mutation { name: "a reader that lags", breaks: &[6], make: outside::lag },
    Mutation { name: "memory that grew", breaks: &[6], make: outside::memory },
    Mutation { name: "a secret in a log", breaks: &[7], make: outside::secret },
    Mutation { name: "a secret in a dead letter", breaks: &[7], make: outside::secret_refused },
];
