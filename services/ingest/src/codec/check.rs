//! What holds for records of any format: a key, a time within bounds, known features, finite values, and
//! nothing larger than configured.

use std::{borrow::Cow, sync::Arc};

use domain::{Extras, Micros, Reason};

use super::{Context, Fault, Names, Record, Values, quoted};
use crate::streams::Defined;

/// A record's values as they were found; NaN is missing.
#[derive(Debug, Default)]
pub(crate) enum Found<'a> {
    #[default]
    None,
    /// One value without a name.
    One(f64),
    /// Values without names.
    List(Vec<f64>),
    /// Values by name, in any order.
    Named(Vec<(Cow<'a, str>, f64)>),
}

/// Tags as they were found.
pub(crate) type Tags<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A record from its parts. `series` is the key that the record itself has; `values_total` may be larger than
/// what was collected in `found`.
pub(crate) fn record<'a>(
    context: &Context<'a>,
    series: Option<Cow<'a, str>>,
    event_at: Micros,
    found: Found<'a>,
    values_total: usize,
    tags: Tags<'a>,
    record_id: Option<Cow<'a, str>>,
) -> Result<Record<'a>, Fault> {
    let key = key(context, series)?;
    not_in_future(context, event_at)?;
    let values_max = context.config.features_max;
    if values_total > values_max {
        let detail =
            format!("the record has {values_total} values, at most {values_max} are taken");
        return Err(Fault::new(Reason::TooManyFeatures, detail));
    }
    let (names, values) = match &context.spec.features {
        Some(defined) => (Names::Defined, as_defined(defined, found)?),
        None => as_found(context, found)?,
    };
    if !values.as_slice().iter().any(|value| value.is_finite()) {
        return Err(Fault::new(
            Reason::NoValue,
            "the record has no value: a number in value, or numbers in values, is expected",
        ));
    }
    Ok(Record { key, event_at, names, values, extras: extras(context, tags, record_id)? })
}

/// A `traceparent` of the W3C's form, version 00; anything else is as good as none.
pub(crate) fn traceparent(text: &str) -> Option<&str> {
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.split('-');
    for len in [2, 32, 16, 2] {
        parts.next().filter(|part| part.len() == len && is_hex(part))?;
    }
    parts.next().is_none().then_some(text)
}

fn key<'a>(context: &Context<'a>, series: Option<Cow<'a, str>>) -> Result<Cow<'a, str>, Fault> {
    let key = match series {
        Some(series) if !series.is_empty() => series,
        _ => match context.key.filter(|_| may_use_kafka_key(context)) {
            None => {
                let detail = "the record has no series, and the message no key that names it";
                return Err(Fault::new(Reason::NoSeries, detail));
            }
            Some(key) => Cow::Borrowed(std::str::from_utf8(key).map_err(|_| {
                Fault::new(
                    Reason::WrongType,
                    "the message's key is no UTF-8 and can't name a series",
                )
            })?),
        },
    };
    text_fits(context.config.key_bytes_max, "the series key", &key)?;
    Ok(key)
}

/// A stream that says where the key stands means just that: another key would make other series.
fn may_use_kafka_key(context: &Context<'_>) -> bool {
    match &context.spec.shape {
        crate::streams::Shape::Pointers(pointers) => pointers.key.is_none(),
        _ => true,
    }
}

fn not_in_future(context: &Context<'_>, event_at: Micros) -> Result<(), Fault> {
    let future_ms = i64::try_from(context.config.future_ms).unwrap_or(i64::MAX);
    let latest = context.ingested_at.saturating_add(future_ms.saturating_mul(1_000));
    if future_ms == 0 || event_at <= latest {
        return Ok(());
    }
    let ahead_ms = event_at.saturating_sub(context.ingested_at) / 1_000;
    let detail =
        format!("the time is {ahead_ms} ms past the message's own, at most {future_ms} are taken");
    Err(Fault::new(Reason::Future, detail))
}

/// The values in the order that the stream defines, missing ones as NaN. Values without names are taken to be
/// in that order; a single one may also be the feature `value`.
fn as_defined(defined: &Defined, found: Found<'_>) -> Result<Values, Fault> {
    let unknown = |name: &str| {
        let known = defined.names.iter().take(10).map(|name| quoted(name)).collect::<Vec<_>>();
        let more = if defined.names.len() > 10 { ", …" } else { "" };
        let known = known.join(", ");
        let detail = format!("{name} is no feature of the stream, which has {known}{more}");
        Fault::new(Reason::UnknownFeature, detail)
    };
    let mut values = vec![f64::NAN; defined.names.len()];
    match found {
        Found::None => {}
        Found::One(value) => match defined.index("value") {
            Some(index) => values[index] = value,
            None if values.len() == 1 => values[0] = value,
            None => return Err(unknown("\"value\"")),
        },
        Found::List(list) => {
            for (index, value) in list.into_iter().enumerate() {
                *values.get_mut(index).ok_or_else(|| unknown(&format!("value {index}")))? = value;
            }
        }
        Found::Named(named) => {
            let mut seen = vec![false; values.len()];
            for (name, value) in named {
                let index = defined.index(&name).ok_or_else(|| unknown(&quoted(&name)))?;
                if std::mem::replace(&mut seen[index], true) {
                    return Err(twice(&name));
                }
                values[index] = value;
            }
        }
    }
    Ok(Values::Many(values))
}

/// The values that the record brings, by name.
fn as_found<'a>(context: &Context<'_>, found: Found<'a>) -> Result<(Names<'a>, Values), Fault> {
    match found {
        Found::None => Ok((Names::Value, Values::One([f64::NAN]))),
        Found::One(value) => Ok((Names::Value, Values::One([value]))),
        Found::List(list) => Ok((Names::Positions, Values::Many(list))),
        Found::Named(mut named) => {
            if !named.is_sorted_by(|(a, _), (b, _)| a < b) {
                named.sort_by(|(a, _), (b, _)| a.cmp(b));
                if let Some(pair) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    return Err(twice(&pair[0].0));
                }
            }
            for (name, _) in &named {
                text_fits(context.config.key_bytes_max, "a feature's name", name)?;
            }
            let (names, values) = named.into_iter().unzip();
            Ok((Names::Own(names), Values::Many(values)))
        }
    }
}

fn twice(name: &str) -> Fault {
    Fault::new(Reason::Undecodable, format!("feature {} stands twice", quoted(name)))
}

fn extras(
    context: &Context<'_>,
    mut tags: Tags<'_>,
    record_id: Option<Cow<'_, str>>,
) -> Result<Option<Arc<Extras>>, Fault> {
    let record_id = record_id.filter(|id| !id.is_empty());
    if tags.is_empty() && context.traceparent.is_none() && record_id.is_none() {
        return Ok(None);
    }
    let (count, tags_max) = (tags.len(), context.config.tags_max);
    if count > tags_max {
        let detail = format!("the record has {count} tags or more, at most {tags_max} are taken");
        return Err(Fault::new(Reason::TooLarge, detail));
    }
    for text in tags.iter().flat_map(|(name, value)| [name, value]) {
        text_fits(context.config.tag_bytes_max, "a tag", text)?;
    }
    if let Some(id) = &record_id {
        text_fits(context.config.key_bytes_max, "the record's id", id)?;
    }
    // The sort is stable: of tags with one name the last in the record stays, as JSON readers have it.
    tags.sort_by(|(a, _), (b, _)| a.cmp(b));
    tags.reverse();
    tags.dedup_by(|(a, _), (b, _)| a == b);
    tags.reverse();
    let tags = tags.iter().map(|(name, value)| (Arc::from(&**name), Arc::from(&**value))).collect();
    let traceparent = context.traceparent.map(Arc::from);
    let record_id = record_id.map(|id| Arc::from(&*id));
    Ok(Some(Arc::new(Extras { tags, traceparent, record_id })))
}

fn text_fits(bytes_max: usize, what: &str, text: &str) -> Result<(), Fault> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let bytes = text.len();
    let text = quoted(text);
    let detail = format!("{what} has {bytes} bytes, at most {bytes_max} are taken: {text}");
    Err(Fault::new(Reason::TooLarge, detail))
}
