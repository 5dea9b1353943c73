//! Invariant 1: what is published is accepted or refused, what is accepted becomes a row or is refused, what is a
//! row is scored by each detector that reads it or is refused; each once, nothing else, and in its order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    iter::Peekable,
    sync::Arc,
};

use domain::{Definition, Definitions, Flags, Reason, SeriesRef};

use super::{
    Committed, Evidence, Faults, Poison, Record, Refused, Sent,
    flat::{self, Flat, FlatRow, FlatScoreItem},
};

/// A record by where it was published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordAt {
    source: Arc<str>,
    offset: u64,
    index: u32,
}

impl RecordAt {
    pub(super) fn new(source: &Arc<str>, offset: u64, index: u32) -> Self {
        Self { source: Arc::clone(source), offset, index }
    }

    fn of(refused: &Refused) -> Self {
        Self::new(&refused.source.as_str().into(), refused.offset, refused.index)
    }
}

impl fmt::Display for RecordAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offset {} index {}", self.source, self.offset, self.index)
    }
}

/// How often something was seen.
type Counts<K> = BTreeMap<K, usize>;

fn count<K: Ord>(all: impl Iterator<Item = K>) -> Counts<K> {
    let mut counts = Counts::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    counts
}

pub(super) fn judge(evidence: &Evidence, faults: &mut Faults<'_>) {
    poison(evidence, faults);
    ingest(evidence, faults);
    windowing(evidence, faults);
    detector(evidence, faults);
}

/// What was planned to be deadly was refused so and skipped, and nothing else.
fn poison(evidence: &Evidence, faults: &mut Faults<'_>) {
    let committed = &evidence.committed;
    let refusals = committed.rejected.values().flatten().map(|told| &told.content);
    let poisoned = refusals.filter(|refused| refused.reason == Reason::Poison.name());
    let found = count(poisoned.map(|refused| Poison {
        service: refused.service.clone(),
        source: refused.source.clone(),
        offset: refused.offset,
        index: refused.index,
    }));
    let planned = count(evidence.poison.iter().cloned());
    for poison in planned.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let times = |counts: &Counts<Poison>| counts.get(poison).copied().unwrap_or(0);
        let (found, planned) = (times(&found), times(&planned));
        if found != planned {
            faults.add(format!("{poison:?} was refused {found} times as POISON, not {planned}"));
        }
    }
    let skips = committed.control.iter().filter_map(|(_, entry)| match &entry.content {
        Definition::Skip(skip) => Some((&skip.service, &skip.partition, skip.offset, skip.item)),
        _ => None,
    });
    let skips: BTreeSet<_> = skips.collect();
    let skips = count(skips.into_iter().map(|(service, ..)| service));
    let planned = count(evidence.poison.iter().map(|poison| &poison.service));
    if skips != planned {
        faults.add(format!("control skips {skips:?} items by service, not {planned:?}"));
    }
}

/// Each record is accepted as what it is, in its partition, or refused for its reason.
fn ingest(evidence: &Evidence, faults: &mut Faults<'_>) {
    let committed = &evidence.committed;
    let refused = count(committed.refused_by("ingest").map(RecordAt::of));
    let is_poison = |refused: &&Refused| refused.reason == Reason::Poison.name();
    let poisoned = committed.refused_by("ingest").filter(is_poison);
    let poisoned: BTreeSet<(&str, u64)> = poisoned.map(|r| (&*r.source, r.offset)).collect();
    let reasons: BTreeMap<RecordAt, &str> =
        committed.refused_by("ingest").map(|r| (RecordAt::of(r), r.reason)).collect();
    let partitions = committed.partitions();
    let mut rows: BTreeMap<RecordAt, Vec<(u32, FlatRow<'_>)>> = BTreeMap::new();
    for (partition, told) in &committed.accepted {
        for row in flat::accepted_rows(told) {
            rows.entry(row.place()).or_default().push((*partition, row));
        }
    }
    let mut known: BTreeSet<RecordAt> = BTreeSet::new();
    for record in &evidence.input {
        let at = RecordAt::new(&record.source, record.offset, record.index);
        let accepted = rows.get(&at).map_or(&[][..], Vec::as_slice);
        // A message that ingest dies on is refused as a whole.
        let times = match poisoned.contains(&(&*record.source, record.offset)) {
            true => refused.get(&RecordAt { index: 0, ..at.clone() }),
            false => refused.get(&at),
        };
        let times = times.copied().unwrap_or(0);
        if accepted.len() + times != 1 {
            let accepted = accepted.len();
            faults.add(format!("{at} was accepted {accepted} times and refused {times} times"));
        }
        for (partition, row) in accepted {
            for wrong in wrong(record, row) {
                faults.add(format!("{at} was accepted as {row}: {wrong}"));
            }
            let right =
                partitions.map(|of| exchange::murmur2_partition(row.series.key.as_bytes(), of));
            if right.is_some_and(|right| right != *partition) {
                faults.add(format!("{at} is in partition {partition}, not {right:?}"));
            }
        }
        match (&record.sent, reasons.get(&at)) {
            (Sent::Refused(reason), Some(found)) if reason.name() == *found => {}
            (_, Some(found)) if *found != Reason::Poison.name() => {
                faults.add(format!("{at} was refused as {found}, it is {:?}", record.sent));
            }
            _ => {}
        }
        known.insert(at);
    }
    for unknown in rows.keys().chain(refused.keys()).filter(|at| !known.contains(at)) {
        faults.add(format!("{unknown} was never published"));
    }
}

/// What is wrong with an accepted row.
fn wrong(record: &Record, row: &FlatRow<'_>) -> Vec<String> {
    let Sent::Row { stream, key, event_at, values } = &record.sent else {
        return vec![format!("it should have been refused: {:?}", record.sent)];
    };
    let mut wrong = vec![];
    let SeriesRef { stream: found_stream, key: found_key, window, features } = row.series;
    if (stream, key) != (found_stream, found_key) || window.is_some() {
        wrong.push(format!("the series is {stream}/{key}"));
    }
    if (row.row.row, row.row.flags) != (0, Flags::default()) || row.row.drift.is_some() {
        wrong.push("it has a number, a flag or a drift already".to_owned());
    }
    if *event_at != row.row.event_at {
        wrong.push(format!("event time is {event_at}"));
    }
    if record.ingested_at.is_some_and(|at| at != row.row.ingested_at) {
        wrong.push(format!("it came at {:?}, not {}", record.ingested_at, row.row.ingested_at));
    }
    let present = |(_, value): &(&Arc<str>, u64)| !f64::from_bits(*value).is_nan();
    let sent: BTreeMap<&Arc<str>, u64> = values.iter().map(|(n, v)| (n, v.to_bits())).collect();
    let found = features.iter().zip(row.values.iter().map(|v| v.to_bits())).filter(present);
    if sent != found.collect() {
        wrong.push(format!("its values are {values:?}"));
    }
    wrong
}

/// Each accepted row leaves as one row, or is refused.
fn windowing(evidence: &Evidence, faults: &mut Faults<'_>) {
    let committed = &evidence.committed;
    let rows = || committed.accepted.values().flat_map(|told| flat::accepted_rows(told));
    let accepted = count(rows().map(|row| row.place()));
    // A record that comes again with its id is dropped, if it is not forgotten that it came.
    let mut with_id: BTreeMap<(&str, &str, &str), Vec<RecordAt>> = BTreeMap::new();
    for row in rows() {
        let Some(id) = row.row.extras.as_deref().and_then(|extras| extras.record_id.as_deref())
        else {
            continue;
        };
        with_id.entry((&row.series.stream, &row.series.key, id)).or_default().push(row.place());
    }
    let repeated = with_id.values().filter(|places| places.len() > 1);
    let repeated: Vec<&Vec<RecordAt>> = repeated.collect();
    let refused = committed.refused_by("windowing").map(RecordAt::of);
    let rows = committed.requested.values().flat_map(|told| flat::requested(told));
    let left = rows.filter_map(|item| match item {
        Flat::Row(row) if row.series.window.is_none() && row.is_record() => Some(row.place()),
        _ => None,
    });
    let left = count(left.chain(refused));
    let times_left = |at: &RecordAt| left.get(at).copied().unwrap_or(0);
    for places in &repeated {
        let left: usize = places.iter().map(times_left).sum();
        if !(1..=places.len()).contains(&left) || times_left(&places[0]) != 1 {
            faults.add(format!("windowing: of {places:?}, which are repeats, {left} left"));
        }
    }
    let repeated: BTreeSet<&RecordAt> = repeated.into_iter().flatten().collect();
    let all = accepted.keys().chain(left.keys()).filter(|at| !repeated.contains(at));
    for at in all.collect::<BTreeSet<_>>() {
        let times = |counts: &Counts<RecordAt>| counts.get(at).copied().unwrap_or(0);
        let (came, left) = (times(&accepted), times(&left));
        if came != left {
            faults
                .add(format!("windowing: {at} came {came} times and left, or was refused, {left}"));
        }
    }
}

/// Each row is scored by the detectors that read it, in its order, or refused; ticks are passed on.
fn detector(evidence: &Evidence, faults: &mut Faults<'_>) {
    let committed = &evidence.committed;
    let mut refusals = Refusals::of(committed);
    let partitions = committed.requested.keys().chain(committed.completed.keys());
    for partition in partitions.collect::<BTreeSet<_>>() {
        let completed = committed.completed.get(partition).map_or(&[][..], Vec::as_slice);
        let mut said = flat::completed(completed).peekable();
        let requested = committed.requested.get(partition).map_or(&[][..], Vec::as_slice);
        let mut definitions = Definitions::default();
        for item in flat::requested(requested) {
            let lacking = match &item {
                Flat::Row(row) => {
                    lacking(committed, row, &mut definitions, &mut said, &mut refusals)
                }
                Flat::Tick(log_time) => {
                    let is_it =
                        |said: &FlatScoreItem<'_>| said.same(&FlatScoreItem::Tick(*log_time));
                    said.next_if(is_it).is_none().then(|| "tick".to_owned())
                }
                Flat::Forget(..) => None,
            };
            if let Some(lacking) = lacking {
                let next = said.peek().map(ToString::to_string);
                faults.add(format!("detector {partition}: no {lacking} of {item}, but {next:?}"));
                break;
            }
        }
        if let Some(item) = said.next() {
            faults.add(format!("detector {partition}: {item} is of no row, or came again"));
        }
    }
    for (at, left) in refusals.left {
        if !left.is_empty() && !refusals.unread.contains(&at) {
            faults.add(format!("detector: {at} was refused {} times too often", left.len()));
        }
    }
}

/// What the detector refused and was not met yet.
struct Refusals<'a> {
    left: BTreeMap<RecordAt, Vec<&'a Refused>>,
    /// Records of rows that no detector reads.
    unread: BTreeSet<RecordAt>,
}

impl<'a> Refusals<'a> {
    fn of(committed: &'a Committed) -> Self {
        let mut left: BTreeMap<RecordAt, Vec<&Refused>> = BTreeMap::new();
        for refused in committed.refused_by("detector") {
            left.entry(RecordAt::of(refused)).or_default().push(refused);
        }
        Self { left, unread: BTreeSet::new() }
    }
}

/// Takes a row's scores, or its refusal; says which score is lacking.
fn lacking<'a>(
    committed: &Committed,
    row: &FlatRow<'_>,
    definitions: &mut Definitions,
    said: &mut Peekable<impl Iterator<Item = FlatScoreItem<'a>>>,
    refusals: &mut Refusals<'_>,
) -> Option<String> {
    let before = (row.row.config_version > definitions.version).then(|| definitions.clone());
    committed.advance(definitions, row.row.config_version);
    let readers = readers(definitions, row.series);
    let Some(first) = readers.first() else {
        refusals.unread.insert(row.place());
        return None;
    };
    if said.peek().is_none_or(|said| !is_score_of(said, row, first))
        && let Some(refused) = refusals.left.get_mut(&row.place()).and_then(Vec::pop)
    {
        // A row that is skipped does not even bring its version into force.
        if refused.reason == Reason::Poison.name() {
            *definitions = before.unwrap_or_else(|| definitions.clone());
        }
        return None;
    }
    let mut lacks =
        |reader: &(u64, String)| said.next_if(|said| is_score_of(said, row, reader)).is_none();
    readers.iter().find(|reader| lacks(reader)).map(|(_, name)| format!("score by {name}"))
}

/// The detectors that score rows of a series, in their order: version and name.
fn readers(definitions: &Definitions, series: &SeriesRef) -> Vec<(u64, String)> {
    let detectors = definitions.detectors_of(&series.stream).into_iter();
    detectors
        .filter(|(_, d)| d.enabled && d.window.as_deref() == series.window.as_deref())
        .map(|(version, detector)| (version, detector.name))
        .collect()
}

fn is_score_of(item: &FlatScoreItem<'_>, row: &FlatRow<'_>, reader: &(u64, String)) -> bool {
    let FlatScoreItem::Score(score) = item else { return false };
    let (name, version) = score.detector;
    score.series == row.series
        && score.place() == row.place()
        && score.score.row == row.row.row
        && (*version, &**name) == (reader.0, &*reader.1)
}
