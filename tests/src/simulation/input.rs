//! The records that users publish: odd ones, drifting ones, late ones, the same ones twice, and such as no service
//! can take.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Micros, Reason};
use exchange::Output;

use super::{
    deadly::{DREAD_DIE, DREAD_PANIC, Deadly, Death, INGEST_DIE, INGEST_PANIC, value},
    dice::Dice,
    plan::{OTHER, Plan},
};
use crate::oracle::Sent;

/// Event time of the first records: long past, so that none is of the future.
const BEGIN_US: Micros = 1_577_836_800_000_000;
/// Event time between two records of a series.
const STEP_US: Micros = 10_000;
/// After so many records of a series its level changes.
const DRIFT_AFTER: usize = 130;
/// The most records of a message.
const RECORDS_MAX: usize = 6;

/// A message that is to be published.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) output: Output,
    /// What becomes of its records.
    pub(crate) sent: Vec<Sent>,
    /// Ingest dies on it.
    pub(crate) kills_ingest: bool,
}

/// One series.
struct Series {
    stream: &'static str,
    key: Arc<str>,
    features: usize,
    at: Micros,
    records: usize,
}

/// All messages of a plan, in the order in which they are published.
pub(crate) fn drafts(plan: &Plan) -> Vec<Draft> {
    let dice = &mut Dice::new(plan.seed, 2);
    let mut series: Vec<Series> = (0..plan.series).map(|n| series(plan, n, dice)).collect();
    let mut drafts: Vec<Draft> = vec![];
    for _ in 0..plan.messages {
        if dice.happens(30)
            && let Some(last) = drafts.last().filter(|last| !last.kills_ingest).cloned()
        {
            drafts.push(last);
            continue;
        }
        let count = if dice.happens(200) { dice.between(2, RECORDS_MAX) } else { 1 };
        drafts.push(draft(plan, &mut series, count, dice));
    }
    plan.deadly.iter().for_each(|deadly| plant(plan, *deadly, &mut series, &mut drafts, dice));
    drafts
}

fn series(plan: &Plan, number: usize, dice: &mut Dice) -> Series {
    let dreads =
        |death| number == 0 && plan.deadly.contains(&Deadly { service: "notification", death });
    let key = match () {
        () if dreads(Death::Die) => DREAD_DIE.into(),
        () if dreads(Death::Panic) => DREAD_PANIC.into(),
        () => Arc::from(format!("k{number}")),
    };
    let has_other = plan.definitions.iter().any(|d| d.key() == format!("stream/{OTHER}"));
    let stream = if has_other && number % 2 == 1 { OTHER } else { "default" };
    Series { stream, key, features: *dice.pick(&[1, 1, 1, 2, 3]), at: BEGIN_US, records: 0 }
}

fn draft(plan: &Plan, series: &mut [Series], count: usize, dice: &mut Dice) -> Draft {
    let first = dice.below(series.len());
    let (stream, key) = (series[first].stream, series[first].key.clone());
    if dice.happens(15) {
        return message(
            plan,
            stream,
            &key,
            b"{\"series\":".to_vec(),
            vec![Sent::Refused(Reason::Undecodable)],
        );
    }
    let mut texts = vec![];
    let mut sent = vec![];
    for _ in 0..count {
        let scatters = plan.scattered && dice.happens(500);
        let other = dice.below(series.len());
        let one = if scatters && series[other].stream == stream { other } else { first };
        let (text, what) = record(&mut series[one], None, dice);
        texts.push(text);
        sent.push(what);
    }
    let text = if count == 1 { texts.concat() } else { format!("[{}]", texts.join(",")) };
    message(plan, stream, &key, text.into_bytes(), sent)
}

fn message(plan: &Plan, stream: &str, key: &str, text: Vec<u8>, sent: Vec<Sent>) -> Draft {
    let topic = if stream == OTHER { OTHER } else { "records" };
    let output = Output {
        topic: topic.into(),
        partition: None,
        key: (!plan.scattered).then(|| Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::from(text)),
        headers: vec![],
    };
    Draft { output, sent, kills_ingest: false }
}

/// The next record of a series; `deadly` is a value that it must have.
fn record(series: &mut Series, deadly: Option<f64>, dice: &mut Dice) -> (String, Sent) {
    series.at += STEP_US;
    series.records += 1;
    let jitter = if dice.happens(200) { dice.below(25) as Micros * STEP_US } else { 0 };
    let event_at = series.at - jitter;
    let level = (series.records / DRIFT_AFTER) as f64 * 20.0;
    let mut values: Vec<f64> = (0..series.features)
        .map(|feature| {
            let odd = if dice.happens(40) { 300.0 } else { 0.0 };
            10.0 * feature as f64 + level + dice.unit() + odd
        })
        .collect();
    if dice.happens(10) {
        values.push(dice.unit());
    }
    if dice.happens(15) {
        let at = dice.below(values.len());
        values[at] = *dice.pick(&[-0.0, 5e-324, 1e308, -1e308, 1e-300, 4_503_599_627_370_497.5]);
    }
    if let Some(deadly) = deadly {
        values[0] = deadly;
    }
    let key = &series.key;
    if deadly.is_none() && dice.happens(15) {
        return (format!("{{\"series\":{key:?},\"value\":1}}"), Sent::Refused(Reason::NoTime));
    }
    if deadly.is_none() && dice.happens(10) {
        let text = format!("{{\"series\":{key:?},\"time\":4000000000000000,\"value\":1}}");
        return (text, Sent::Refused(Reason::Future));
    }
    let (said, named) = match values[..] {
        [one] => (format!("\"value\":{one:?}"), vec![("value".into(), one)]),
        _ => {
            let names = ["a", "b", "c", "d"];
            let named: Vec<(Arc<str>, f64)> =
                names.iter().zip(&values).map(|(name, value)| (Arc::from(*name), *value)).collect();
            let mut texts: Vec<_> = named.iter().map(|(n, v)| format!("{n:?}:{v:?}")).collect();
            // A value that is null is missing, and may be that of a feature that nobody knows yet.
            if values.len() < names.len() && dice.happens(30) {
                texts.push(format!("{:?}:null", names[values.len()]));
            }
            (format!("\"values\":{{{}}}", texts.join(",")), named)
        }
    };
    let id = if dice.happens(500) {
        format!(",\"record_id\":{}", series.records)
    } else {
        String::new()
    };
    let tags = if dice.happens(50) { ",\"tags\":{\"host\":\"h1\"}" } else { "" };
    let text = format!("{{\"series\":{key:?},\"time\":{event_at},{said}{tags}{id}}}");
    let (stream, key) = (series.stream.into(), Arc::clone(key));
    (text, Sent::Row { stream, key, event_at, values: named })
}

/// Puts deadly rows somewhere into the middle.
fn plant(
    plan: &Plan,
    deadly: Deadly,
    series: &mut [Series],
    drafts: &mut Vec<Draft>,
    dice: &mut Dice,
) {
    for _ in 0..dice.between(1, 2) {
        let at = dice.below(drafts.len());
        let one = dice.below(series.len());
        if deadly.service == "ingest" {
            let draft = &mut drafts[at];
            let text = match deadly.death {
                Death::Panic => INGEST_PANIC,
                Death::Die => INGEST_DIE,
            };
            let value = draft.output.value.take().unwrap_or_default();
            let with = format!("{} {{{text}}}", String::from_utf8_lossy(&value));
            draft.output.value = Some(with.into());
            draft.kills_ingest = true;
        } else if let Some(value) = value(deadly) {
            let series = &mut series[one];
            let (text, sent) = record(series, Some(value), dice);
            let (stream, key) = (series.stream, Arc::clone(&series.key));
            drafts.insert(at, message(plan, stream, &key, text.into_bytes(), vec![sent]));
        }
    }
}
