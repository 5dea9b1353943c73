//! Deadly rows: some values, texts and keys kill whoever works on them, by a panic or all of a sudden. What is deadly
//! depends on the content alone, as in life, so that it kills again at every attempt.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

use control::{ControlLog, History};
use detector::Detection;
use domain::{Anomaly, Batch, Hole, Micros, Phase, Refusal, Topics};
use exchange::{Message, Output, Partition};
use snapshot::Header;
use stage::{Choice, Halt, Origin, Select, Stage};
use windowing::Windowing;
use wire::DecodeError;

use super::luck::AS_PLANNED;
use crate::oracle::{Committed, Poison, Record};

/// How it kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Death {
    /// The service panics, which the worker catches.
    Panic,
    /// The process dies, which nothing catches.
    Die,
}

/// Whom it kills, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadly {
    /// The service.
    pub(crate) service: &'static str,
    /// How.
    pub(crate) death: Death,
}

/// All of them.
pub(crate) const DEADLY: [Deadly; 8] = {
    const fn of(service: &'static str, death: Death) -> Deadly {
        Deadly { service, death }
    }
    [
        of("ingest", Death::Panic),
        of("ingest", Death::Die),
        of("windowing", Death::Panic),
        of("windowing", Death::Die),
        of("detector", Death::Panic),
        of("detector", Death::Die),
        of("notification", Death::Panic),
        of("notification", Death::Die),
    ]
};

/// The value that kills a stage.
pub(crate) fn value(deadly: Deadly) -> Option<f64> {
    match (deadly.service, deadly.death) {
        ("windowing", Death::Panic) => Some(666_001.0),
        ("windowing", Death::Die) => Some(666_002.0),
        ("detector", Death::Panic) => Some(666_003.0),
        ("detector", Death::Die) => Some(666_004.0),
        _ => None,
    }
}

/// The text in a message that kills ingest.
pub(crate) const INGEST_PANIC: &str = "\"deadly\":\"panic\"";
/// The same, without a panic.
pub(crate) const INGEST_DIE: &str = "\"deadly\":\"die\"";

/// The series whose first anomalies kill notification.
pub(crate) const DREAD_PANIC: &str = "dread-panic";
/// The same, without a panic.
pub(crate) const DREAD_DIE: &str = "dread-die";

fn death_by(service: &'static str, values: &[f64]) -> Option<Death> {
    let kills = |death| {
        let deadly = value(Deadly { service, death });
        deadly.is_some_and(|deadly| values.iter().any(|v| v.to_bits() == deadly.to_bits()))
    };
    [Death::Panic, Death::Die].into_iter().find(|death| kills(*death))
}

/// Whether ingest dies on a message.
pub(crate) fn kills_ingest(_: &Topics, _: &Partition, message: &Message) -> Option<Death> {
    let has = |text: &str| {
        let bytes = message.value.as_deref().unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    };
    // Few messages have tags: one search for all of them.
    if !has("\"deadly\"") {
        return None;
    }
    if has(INGEST_PANIC) { Some(Death::Panic) } else { has(INGEST_DIE).then_some(Death::Die) }
}

/// Whether notification dies on a message.
pub(crate) fn kills_notification(
    topics: &Topics,
    partition: &Partition,
    message: &Message,
) -> Option<Death> {
    let key = message.key.as_deref().unwrap_or_default();
    let is_dread = key == DREAD_PANIC.as_bytes() || key == DREAD_DIE.as_bytes();
    if *partition.topic != *topics.anomalies || !is_dread {
        return None;
    }
    let bytes = message.value.as_deref().unwrap_or_default();
    death_by_anomaly(&wire::events::decode_anomaly(bytes).ok()?)
}

fn death_by_anomaly(anomaly: &Anomaly) -> Option<Death> {
    match (anomaly.phase, &*anomaly.series.key) {
        (Phase::Opened, DREAD_PANIC) => Some(Death::Panic),
        (Phase::Opened, DREAD_DIE) => Some(Death::Die),
        _ => None,
    }
}

/// A stage that dies on some rows.
pub(crate) trait Mortal: Stage {
    /// The rows of an input that it dies on, by index.
    fn deadly(input: &Self::Input) -> Vec<(u64, Death)>;
}

fn deadly_rows(service: &'static str, first: u64, batch: &Batch) -> Vec<(u64, Death)> {
    let rows = (first..).zip(&batch.items).filter_map(|(index, item)| match item {
        domain::Item::Row(row) => Some((index, death_by(service, batch.values_of(row))?)),
        domain::Item::Tick(_) | domain::Item::Forget { .. } => None,
    });
    rows.collect()
}

impl Mortal for Windowing {
    fn deadly(segments: &Vec<Batch>) -> Vec<(u64, Death)> {
        let mut first = 0;
        let mut found = vec![];
        for segment in segments {
            found.extend(deadly_rows(Self::SERVICE, first, segment));
            first += segment.items.len() as u64;
        }
        found
    }
}

impl Mortal for Detection {
    fn deadly(batch: &Batch) -> Vec<(u64, Death)> {
        deadly_rows(Self::SERVICE, 0, batch)
    }
}

/// A stage in which some rows are deadly. The real one applies what comes before such a row, and comes as far as to
/// have the row in hand.
#[derive(Clone)]
pub(crate) struct Haunted<S>(pub(crate) S);

impl<S: Mortal> Stage for Haunted<S> {
    const SERVICE: &'static str = S::SERVICE;
    const GROUP: &'static str = S::GROUP;
    const STATE_VERSIONS: RangeInclusive<u32> = S::STATE_VERSIONS;
    type State = S::State;
    type Saved = S::Saved;
    type Input = S::Input;
    type Output = S::Output;

    fn apply(
        state: &mut S::State,
        control: &ControlLog,
        input: &S::Input,
        select: Select<'_>,
        out: &mut S::Output,
    ) -> Result<(), Halt> {
        let deadly = S::deadly(input).into_iter();
        let deadly = deadly.filter(|(index, _)| select.choose(*index) == Choice::Take).min();
        let Some((index, death)) = deadly else {
            return S::apply(state, control, input, select, out);
        };
        S::apply(state, control, input, select.until(index), out)?;
        match death {
            Death::Panic => panic!("{AS_PLANNED}: a deadly row"),
            Death::Die => {
                let source_name = format!("{AS_PLANNED}: a deadly row").into();
                Err(Hole { source_name, epoch: 0, expected: 0, found: 0 }.into())
            }
        }
    }

    fn input_topic(topics: &Topics) -> &Arc<str> {
        S::input_topic(topics)
    }

    fn output_topic(topics: &Topics) -> &Arc<str> {
        S::output_topic(topics)
    }

    fn fresh(&self, partition: &Partition, origin: Origin) -> S::State {
        self.0.fresh(partition, origin)
    }

    fn decode(bytes: &[u8]) -> Result<S::Input, DecodeError> {
        S::decode(bytes)
    }

    fn items(input: &S::Input) -> u64 {
        S::items(input)
    }

    fn config_version(input: &S::Input) -> u64 {
        S::config_version(input)
    }

    fn output(state: &S::State) -> S::Output {
        S::output(state)
    }

    fn refuse(out: &mut S::Output, refusal: Refusal) {
        S::refuse(out, refusal);
    }

    fn written(&self, state: &mut S::State, out: &S::Output, replay: bool) {
        self.0.written(state, out, replay);
    }

    fn encode(topics: &Topics, to: u32, out: &S::Output, now: Micros, messages: &mut Vec<Output>) {
        S::encode(topics, to, out, now, messages);
    }

    fn observe<'a>(states: impl Iterator<Item = &'a S::State>) {
        S::observe(states);
    }

    fn read_head(
        &self,
        partition: &Partition,
        history: &Arc<History>,
        header: &Header,
        head: &[u8],
    ) -> Result<S::Saved, String> {
        self.0.read_head(partition, history, header, head)
    }

    fn read_item(saved: &mut S::Saved, index: u32, bytes: &[u8]) -> Result<(), String> {
        S::read_item(saved, index, bytes)
    }

    fn revive(saved: S::Saved) -> Result<S::State, String> {
        S::revive(saved)
    }
}

/// All that was deadly in a run, by what was published and what each service wrote for the next.
pub(crate) fn poison(
    input: &[Record],
    texts: &BTreeSet<(String, u64)>,
    committed: &Committed,
) -> Vec<Poison> {
    let mut poison: Vec<Poison> = vec![];
    let published: BTreeSet<(String, u64)> =
        input.iter().map(|record| (record.source.to_string(), record.offset)).collect();
    for (source, offset) in texts.intersection(&published) {
        let service = "ingest".into();
        poison.push(Poison { service, source: source.clone(), offset: *offset, index: 0 });
    }
    let segments = committed.accepted.values().flatten().flat_map(|told| &told.content);
    poison.extend(segments.flat_map(|segment| poison_of("windowing", segment)));
    let batches = committed.requested.values().flatten().map(|told| &told.content);
    poison.extend(batches.flat_map(|batch| poison_of("detector", batch)));
    for (partition, told) in &committed.anomalies {
        for told in told.iter().filter(|told| death_by_anomaly(&told.content).is_some()) {
            let source = format!("anomaly.detected/{partition}");
            let (service, offset) = ("notification".into(), told.offset);
            poison.push(Poison { service, source, offset, index: 0 });
        }
    }
    poison
}

fn poison_of(service: &'static str, batch: &Batch) -> Vec<Poison> {
    let deadly = batch.rows().filter(|row| death_by(service, batch.values_of(row)).is_some());
    deadly
        .map(|row| Poison {
            service: service.into(),
            source: batch.sources[row.origin.source as usize].to_string(),
            offset: row.origin.offset,
            index: row.origin.index,
        })
        .collect()
}
