//! Invariant 3: what windowing and the detector wrote is, bit for bit, what they write of the same input when
//! nothing disturbs them.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Definition, SeriesRef, Shape, Stream};

use super::{
    ByPartition, Committed, Evidence, Faults, Refused, Told,
    flat::{self, Flat, Said},
};

pub(super) fn judge(evidence: &Evidence, faults: &mut Faults<'_>) {
    if let Some(replay) = &evidence.replay {
        same_as_replay(&evidence.committed, replay, faults);
    }
    if let Some(single) = &evidence.single {
        same_as_single(&evidence.committed, single, faults);
    }
}

fn same_as_replay(found: &Committed, right: &Committed, faults: &mut Faults<'_>) {
    each(&found.requested, &right.requested, |partition, found, right| {
        let same = |a: &Flat<'_>, b: &Flat<'_>| a.same(b);
        let items = (flat::requested(found), flat::requested(right));
        first_difference("detection.requested", partition, items, same, faults);
    });
    each(&found.completed, &right.completed, |partition, found, right| {
        let same = |a: &flat::FlatScoreItem<'_>, b: &flat::FlatScoreItem<'_>| a.same(b);
        let items = (flat::completed(found), flat::completed(right));
        first_difference("detection.completed", partition, items, same, faults);
    });
    each(&found.drifts, &right.drifts, |partition, found, right| {
        let items = (texts(found), texts(right));
        first_difference("drift.detected", partition, items, String::eq, faults);
    });
    for service in ["windowing", "detector"] {
        let refusals = |committed: &Committed| {
            let mut all: Vec<Refused> = committed.refused_by(service).cloned().collect();
            all.sort();
            all.into_iter().map(|refused| format!("{refused:?}"))
        };
        let items = (refusals(found), refusals(right));
        first_difference("records.rejected", 0, items, String::eq, faults);
    }
}

/// Calls with the messages of each partition that either of them has.
pub(super) fn each<T>(
    found: &ByPartition<T>,
    right: &ByPartition<T>,
    mut compare: impl FnMut(u32, &[Told<T>], &[Told<T>]),
) {
    for partition in found.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
        let of = |all| ByPartition::<T>::get(all, partition).map_or(&[][..], Vec::as_slice);
        compare(*partition, of(found), of(right));
    }
}

/// Contents as texts: every number in full, NaN like NaN.
pub(super) fn texts<T: std::fmt::Debug>(told: &[Told<T>]) -> impl Iterator<Item = String> {
    told.iter().map(|told| format!("{:?}", told.content))
}

/// Tells of the first item that differs; what follows differs mostly too.
pub(super) fn first_difference<T: std::fmt::Display>(
    topic: &str,
    partition: u32,
    (mut found, mut right): (impl Iterator<Item = T>, impl Iterator<Item = T>),
    same: impl Fn(&T, &T) -> bool,
    faults: &mut Faults<'_>,
) {
    for item in 1.. {
        let (found, right) = match (found.next(), right.next()) {
            (None, None) => return,
            (Some(found), Some(right)) if same(&found, &right) => continue,
            (found, right) => (found, right),
        };
        let text = |item: Option<T>| item.map_or("nothing".to_owned(), |item| item.to_string());
        let (found, right) = (text(found), text(right));
        faults.add(format!("{topic}/{partition} item {item}: {found}\n  but the replay: {right}"));
        return;
    }
}

fn same_as_single(found: &Committed, right: &Committed, faults: &mut Faults<'_>) {
    let left_out = decided_by_ticks(found, right);
    let (found, right) = (scores(found), scores(right));
    for at in found.keys().chain(right.keys()).filter(|at| !left_out.contains(&at.0)) {
        let (found, right) = (found.get(at), right.get(at));
        if found != right {
            faults.add(format!("{at:?}: {found:?}\n  but the single run: {right:?}"));
            return;
        }
    }
}

/// A series by stream and key.
pub(super) type Name = (String, String);

/// Series, window, detector and its version, row.
type ScoreAt = (Name, Option<String>, String, u64, u64);

fn scores(committed: &Committed) -> BTreeMap<ScoreAt, Said> {
    let scores = committed.completed.values().flat_map(|told| flat::scores(told));
    let entry = |score: flat::FlatScore<'_>| {
        let window = score.series.window.as_deref().map(str::to_owned);
        let (detector, version) = score.detector;
        let row = score.score.row;
        ((name_of(score.series), window, detector.to_string(), *version, row), score.said())
    };
    scores.map(entry).collect()
}

pub(super) fn name_of(series: &SeriesRef) -> Name {
    (series.stream.to_string(), series.key.to_string())
}

/// Series of which, in either run, a row was late or stood in for a record, two rows have the same time, an anomaly
/// was cleared in silence, or all was forgotten, and those that are regular or have windows over time: where ticks may
/// have decided. With no lateness rows leave in the order of arrival, which is the same in both.
pub(super) fn decided_by_ticks(a: &Committed, b: &Committed) -> BTreeSet<Name> {
    let mut decided = BTreeSet::new();
    for committed in [a, b] {
        let anomalies = committed.anomalies.values().flatten().map(|told| &told.content);
        let silent = anomalies.filter(|anomaly| anomaly.silent);
        decided.extend(silent.map(|anomaly| name_of(&anomaly.series)));
        let waits = streams(committed, |stream| stream.lateness_ms > 0);
        let by_count = |shape| matches!(shape, Shape::Count { .. });
        let timed = streams(committed, |stream| {
            stream.interval_ms > 0 || stream.windows.iter().any(|window| !by_count(window.shape))
        });
        let mut times = BTreeSet::new();
        for item in committed.requested.values().flat_map(|told| flat::requested(told)) {
            let row = match item {
                Flat::Tick(_) => continue,
                Flat::Forget(series, _) => {
                    decided.insert(name_of(series));
                    continue;
                }
                Flat::Row(row) => row,
            };
            if !row.is_record() || timed.contains(&*row.series.stream) {
                decided.insert(name_of(row.series));
            }
            if row.series.window.is_some() || !waits.contains(&*row.series.stream) {
                continue;
            }
            let name = name_of(row.series);
            if row.row.flags.late || !times.insert((name.clone(), row.row.event_at)) {
                decided.insert(name);
            }
        }
        let refused = committed.refused_by("windowing").filter(|r| r.reason == "LATE");
        for key in refused.filter_map(|refused| refused.key.as_deref()) {
            let key = String::from_utf8_lossy(key);
            decided.extend(waits.iter().map(|stream| (stream.clone(), key.to_string())));
        }
    }
    decided
}

/// The streams of which this was so at any time.
fn streams(committed: &Committed, is_so: impl Fn(&Stream) -> bool) -> BTreeSet<String> {
    let entries = committed.control.iter().map(|(_, entry)| &entry.content);
    let streams = entries.filter_map(|entry| match entry {
        Definition::Stream(stream) if is_so(stream) => Some(stream.name.clone()),
        _ => None,
    });
    streams.collect()
}
