//! Invariant 2: items are numbered 1..n by source and epoch, without a hole or a repeat, in order; times and
//! versions never go back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{Batch, Definition, Micros, Position, Track};

use super::{
    Committed, Evidence, Faults,
    flat::{self, Flat, FlatScoreItem},
};

pub(super) fn judge(evidence: &Evidence, faults: &mut Faults<'_>) {
    let committed = &evidence.committed;
    let redefined = redefined(committed);
    for (partition, told) in &committed.accepted {
        let mut numbers = Numbers::new("records.accepted", *partition);
        let mut times = Times::default();
        for (message, segment) in told.iter().flat_map(|m| m.content.iter().map(move |s| (m, s))) {
            numbers.offset(message.offset, faults);
            let (first, count) = flat::position(segment);
            numbers.take(first, count, faults);
            times.segment(segment, *partition, faults);
        }
    }
    for (partition, told) in &committed.requested {
        let mut numbers = Numbers::new("detection.requested", *partition);
        for message in told {
            numbers.offset(message.offset, faults);
            let (first, count) = flat::position(&message.content);
            numbers.take(first, count, faults);
        }
        let log_times = flat::requested(told).map(|item| match item {
            Flat::Tick(log_time) | Flat::Forget(_, log_time) => log_time,
            Flat::Row(row) => row.row.log_time,
        });
        numbers.log_times(log_times, faults);
        rows(told, *partition, &redefined, faults);
    }
    for (partition, told) in &committed.completed {
        let mut numbers = Numbers::new("detection.completed", *partition);
        for message in told {
            numbers.offset(message.offset, faults);
            numbers.take(&message.content.first, message.content.items.len() as u64, faults);
        }
        let log_times = flat::completed(told).map(|item| match item {
            FlatScoreItem::Tick(log_time) => log_time,
            FlatScoreItem::Score(score) => score.score.log_time,
        });
        numbers.log_times(log_times, faults);
    }
    for (partition, told) in &committed.anomalies {
        let mut numbers = Numbers::new("anomaly.detected", *partition);
        for message in told {
            numbers.offset(message.offset, faults);
            numbers.not_back(&message.content.position, faults);
        }
    }
    for (partition, told) in &committed.drifts {
        let mut numbers = Numbers::new("drift.detected", *partition);
        for message in told {
            numbers.offset(message.offset, faults);
            numbers.not_back(&message.content.position, faults);
        }
    }
    for (topic, partitions) in
        [("records.rejected", offsets(&committed.rejected)), ("alerts", offsets(&committed.alerts))]
    {
        for (partition, offsets) in partitions {
            let mut numbers = Numbers::new(topic, partition);
            offsets.into_iter().for_each(|offset| numbers.offset(offset, faults));
        }
    }
}

fn offsets<T>(told: &super::ByPartition<T>) -> Vec<(u32, Vec<u64>)> {
    told.iter().map(|(p, told)| (*p, told.iter().map(|told| told.offset).collect())).collect()
}

/// Streams that were defined more than once: windows of theirs may have gone and come again.
fn redefined(committed: &Committed) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    let entries = committed.control.iter().filter_map(|(_, entry)| match &entry.content {
        Definition::Stream(stream) => Some(&*stream.name),
        _ => None,
    });
    entries.filter(|name| !seen.insert(*name)).collect()
}

/// The rows of each series are numbered from 1, by its windows apart. Those of a window that has gone and come again
/// begin anew.
fn rows(
    told: &[super::Told<Batch>],
    partition: u32,
    redefined: &BTreeSet<&str>,
    faults: &mut Faults<'_>,
) {
    let mut last: BTreeMap<_, u64> = BTreeMap::new();
    for item in flat::requested(told) {
        let row = match item {
            Flat::Tick(_) => continue,
            Flat::Forget(series, _) => {
                last.remove(&(&series.stream, &series.key, &series.window));
                continue;
            }
            Flat::Row(row) => row,
        };
        let series = row.series;
        let last = last.entry((&series.stream, &series.key, &series.window)).or_default();
        let begins = row.row.row == 1 && series.window.is_some();
        let begins = begins && redefined.contains(&*series.stream);
        if row.row.row != *last + 1 && !begins {
            faults.add(format!("detection.requested/{partition}: {row} follows row {last}"));
        }
        *last = row.row.row;
    }
}

/// The numbers of one partition of one topic.
struct Numbers {
    name: String,
    track: Track,
    /// By source: a partition has items of several, in any order.
    last: BTreeMap<Arc<str>, (u32, u64)>,
    offset: Option<u64>,
}

impl Numbers {
    fn new(topic: &str, partition: u32) -> Self {
        let name = format!("{topic}/{partition}");
        Self { name, track: Track::default(), last: BTreeMap::new(), offset: None }
    }

    fn offset(&mut self, offset: u64, faults: &mut Faults<'_>) {
        if self.offset.is_some_and(|last| last > offset) {
            faults.add(format!("{}: offset {offset} comes behind {:?}", self.name, self.offset));
        }
        self.offset = Some(offset);
    }

    fn take(&mut self, first: &Position, count: u64, faults: &mut Faults<'_>) {
        let name = &self.name;
        match self.track.take(first, count) {
            Ok(0) => {}
            Ok(repeats) => faults.add(format!("{name}: {repeats} items came again at {first:?}")),
            Err(hole) => faults.add(format!("{name}: {hole}")),
        }
    }

    fn not_back(&mut self, position: &Position, faults: &mut Faults<'_>) {
        let at = (position.epoch, position.number);
        let last = self.last.insert(Arc::clone(&position.source), at);
        if last.is_some_and(|last| last > at) {
            faults.add(format!("{}: {position:?} comes behind {last:?}", self.name));
        }
    }

    fn log_times(&self, log_times: impl Iterator<Item = Micros>, faults: &mut Faults<'_>) {
        let mut last = Micros::MIN;
        for log_time in log_times {
            if log_time < last {
                faults.add(format!("{}: log time {log_time} comes behind {last}", self.name));
            }
            last = log_time.max(last);
        }
    }
}

/// Log time and config version of each source in one partition.
#[derive(Default)]
struct Times {
    last: BTreeMap<Arc<str>, (Micros, u64)>,
}

impl Times {
    fn segment(&mut self, segment: &Batch, partition: u32, faults: &mut Faults<'_>) {
        let source = &segment.first.source;
        let (log_time, version) = self.last.entry(source.clone()).or_insert((Micros::MIN, 0));
        for item in flat::items(segment) {
            let (log_now, version_now) = match item {
                Flat::Tick(log_time) | Flat::Forget(_, log_time) => (log_time, *version),
                Flat::Row(row) => (row.row.log_time, row.row.config_version),
            };
            if log_now < *log_time || version_now < *version {
                faults.add(format!(
                    "records.accepted/{partition}: {item} of {source} comes behind log time {log_time} and \
                     config version {version}"
                ));
            }
            (*log_time, *version) = (log_now.max(*log_time), version_now.max(*version));
        }
    }
}
