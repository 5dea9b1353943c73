//! Records as JSON: one object, or an array of them.
//!
//! - [`parts`]: an object with its fields in the default places, read in one pass without a tree;
//! - [`pointers`]: an object whose parts are where the stream's JSON pointers say;
//! - [`any`]: values of any type;
//! - [`split`]: the text of each of several records.
//!
//! In an array each object is a record of its own: one with a wrong field is refused alone. What is not JSON
//! refuses the whole message, since nobody knows where its records end.

mod any;
pub(crate) mod parts;
pub(crate) mod pointers;
mod split;

use std::borrow::Cow;

use domain::{Micros, Reason, refusal::REFUSED_BYTES_MAX};
use serde::de::IgnoredAny;
use serde_json::Value;

pub(crate) use self::split::{BadJson, split, split_lines};
use self::{
    parts::{Parts, Scalar},
    split::Elements,
};
use super::{Context, Each, Fault, Record, check, time};
use crate::streams::{Shape, StreamSpec};

/// Reads the records of a message.
pub(crate) fn decode(context: &Context<'_>, bytes: &[u8], each: Each<'_>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if first(bytes) != Some(b'[') {
        return one(context, bytes, &mut |record| each(0, record));
    }
    let elements = match serde_json::from_slice::<Elements<'_>>(bytes) {
        Ok(elements) => elements,
        Err(error) => return each(0, Err(not_json(&error, bytes))),
    };
    let (count, count_max) = (elements.total, context.config.records_per_message_max);
    if count > count_max {
        let detail = format!("the message has {count} records, at most {count_max} are taken");
        return each(0, Err(Fault::new(Reason::TooLarge, detail)));
    }
    for (index, element) in elements.found.iter().enumerate() {
        let text = element.get().as_bytes();
        one(context, text, &mut |mut record| {
            if let Err(fault) = &mut record {
                fault.payload = Some(text[..text.len().min(REFUSED_BYTES_MAX)].to_vec());
            }
            each(index as u32, record);
        });
    }
}

/// The series key that a JSON record names itself, if it does.
pub(crate) fn key_of(spec: &StreamSpec, text: &str) -> Option<String> {
    let value: Value;
    let parts = match &spec.shape {
        Shape::Pointers(pointers) => {
            value = serde_json::from_str(text).ok()?;
            pointers::parts(pointers, &value)
        }
        Shape::Plain | Shape::Protobuf => serde_json::from_str(text).ok()?,
    };
    parts.series.into_key().ok()?.filter(|key| !key.is_empty()).map(Cow::into_owned)
}

/// Reads one record.
fn one(context: &Context<'_>, bytes: &[u8], then: &mut dyn FnMut(Result<Record<'_>, Fault>)) {
    if first(bytes) != Some(b'{') {
        return then(Err(match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => {
                Fault::new(Reason::WrongType, "a record is a JSON object, this is another value")
            }
            Err(error) => not_json(&error, bytes),
        }));
    }
    match &context.spec.shape {
        Shape::Pointers(pointers) => match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => then(record(context, pointers::parts(pointers, &value))),
            Err(error) => then(Err(not_json(&error, bytes))),
        },
        Shape::Plain | Shape::Protobuf => match serde_json::from_slice(bytes) {
            Ok(parts) => then(record(context, parts)),
            Err(error) => then(Err(not_json(&error, bytes))),
        },
    }
}

/// Checks the parts of a record.
fn record<'a>(context: &Context<'a>, parts: Parts<'a>) -> Result<Record<'a>, Fault> {
    if let Some(fault) = parts.fault {
        return Err(fault);
    }
    let series = parts.series.into_key().map_err(|fault| fault.at(parts.series_at))?;
    let event_at = event_time(context, &parts.time).map_err(|fault| fault.at(parts.time_at))?;
    let id = parts.record_id.into_key().map_err(|fault| fault.at(parts.record_id_at))?;
    let values_total = parts.values_total;
    check::record(context, series, event_at, parts.values, values_total, parts.tags, id)
}

fn event_time(context: &Context<'_>, found: &Scalar<'_>) -> Result<Micros, Fault> {
    match found {
        Scalar::Null => {
            let detail = "the record has no time: RFC 3339 or Unix s, ms, us or ns is expected";
            Err(Fault::new(Reason::NoTime, detail))
        }
        Scalar::Integer(number) => time::of_integer(*number),
        Scalar::Float(number) => time::of_float(*number),
        Scalar::Text(text) => time::of_text(text, &context.spec.zone),
        other => Err(other.wrong_type("a text or a number")),
    }
}

fn first(bytes: &[u8]) -> Option<u8> {
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// What the parser found wrong. A number too large for a float and the words that other languages write for
/// what is not finite are told apart from broken text.
fn not_json(error: &serde_json::Error, bytes: &[u8]) -> Fault {
    let said = error.to_string();
    if said.starts_with("number out of range") {
        let detail = format!("{said}: a number that a 64-bit float can hold is expected");
        return Fault::new(Reason::NonFinite, detail);
    }
    let word = word_at(error, bytes);
    let is_word = |known: &str| word.eq_ignore_ascii_case(known.as_bytes());
    if ["nan", "inf", "infinity"].into_iter().any(is_word) {
        let detail = format!(
            "{} at line {} column {} is no JSON: a number, or null for a missing value, is expected",
            String::from_utf8_lossy(word),
            error.line(),
            error.column()
        );
        return Fault::new(Reason::NonFinite, detail);
    }
    Fault::new(Reason::Undecodable, format!("not JSON: {said}"))
}

/// The letters around the place of an error.
fn word_at<'a>(error: &serde_json::Error, bytes: &'a [u8]) -> &'a [u8] {
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
    let line = line.unwrap_or_default();
    let mut at = error.column().saturating_sub(1).min(line.len());
    at += usize::from(matches!(line.get(at), Some(b'+' | b'-')));
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let start = line[..at].iter().rposition(|byte| !is_letter(byte)).map_or(0, |before| before + 1);
    let len = line[start..].iter().take_while(|byte| is_letter(byte)).count();
    &line[start..start + len]
}
