//! The parts of a record of a stream with JSON pointers of its own, from a parsed tree.

use std::borrow::Cow;

use serde_json::Value;

use super::parts::{Collected, Parts, Scalar, TagsFound, of_values};
use crate::{
    codec::{Fault, check::Found, quoted},
    config::{FEATURES_MAX, TAGS_MAX},
    streams::Pointers,
};

/// Finds the parts of a record.
pub(crate) fn parts<'a>(pointers: &'a Pointers, record: &'a Value) -> Parts<'a> {
    let mut parts = Parts::default();
    if let Some(pointer) = &pointers.key {
        parts.series_at = pointer;
    }
    if let Some(pointer) = &pointers.time {
        parts.time_at = pointer;
    }
    if let Some(pointer) = &pointers.record_id {
        parts.record_id_at = pointer;
    }
    parts.record_id = scalar(record.pointer(parts.record_id_at));
    parts.series = scalar(record.pointer(parts.series_at));
    parts.time = scalar(record.pointer(parts.time_at));
    if pointers.values.is_empty() {
        if let Some(value) = record.get("value") {
            parts.take_value(&scalar(Some(value)));
        }
        if let Some(values) = record.get("values") {
            parts.take_values(collect(values));
        }
    } else {
        parts.take_values(pointed(pointers, record));
    }
    let tags_at = pointers.tags.as_deref().unwrap_or("/tags");
    if let Some(tags) = record.pointer(tags_at) {
        parts.take_tags(tags_of(tags, tags_at));
    }
    parts
}

fn scalar(value: Option<&Value>) -> Scalar<'_> {
    match value {
        None | Some(Value::Null) => Scalar::Null,
        Some(Value::Bool(value)) => Scalar::Bool(*value),
        Some(Value::Number(number)) => match (number.as_i128(), number.as_f64()) {
            (Some(integer), _) => Scalar::Integer(integer),
            (None, Some(float)) => Scalar::Float(float),
            // Not without serde_json's arbitrary precision.
            (None, None) => Scalar::Null,
        },
        Some(Value::String(text)) => Scalar::Text(Cow::Borrowed(text)),
        Some(Value::Array(_)) => Scalar::Array,
        Some(Value::Object(_)) => Scalar::Object,
    }
}

/// The values that the stream's pointers name; what is not there is missing.
fn pointed<'a>(pointers: &'a Pointers, record: &'a Value) -> Collected<'a> {
    let mut fault = None;
    let mut value_at = |pointer: &str| {
        let value = scalar(record.pointer(pointer)).value();
        value.map_err(|wrong| keep(&mut fault, wrong, pointer)).unwrap_or(f64::NAN)
    };
    let values = pointers.values.iter();
    let named: Vec<_> =
        values.map(|(name, pointer)| (Cow::from(name.as_str()), value_at(pointer))).collect();
    Collected { total: named.len(), found: Found::Named(named), fault }
}

fn collect(values: &Value) -> Collected<'_> {
    let mut fault = None;
    match values {
        Value::Array(list) => {
            let values = list.iter().take(FEATURES_MAX).enumerate().map(|(index, value)| {
                let value = scalar(Some(value)).value();
                let place = |wrong| keep(&mut fault, wrong, &format!("/values/{index}"));
                value.map_err(place).unwrap_or(f64::NAN)
            });
            let found = Found::List(values.collect());
            Collected { found, total: list.len(), fault }
        }
        Value::Object(object) => {
            let named = object.iter().take(FEATURES_MAX).map(|(name, value)| {
                let value = scalar(Some(value)).value();
                let place = |wrong| keep(&mut fault, wrong, &of_values(name));
                (Cow::from(name.as_str()), value.map_err(place).unwrap_or(f64::NAN))
            });
            let found = Found::Named(named.collect());
            Collected { found, total: object.len(), fault }
        }
        Value::Null => Collected::default(),
        other => {
            let expected = "an object of numbers or an array";
            let fault = scalar(Some(other)).wrong_type(expected).at("/values");
            Collected { fault: Some(fault), ..Collected::default() }
        }
    }
}

fn tags_of<'a>(tags: &'a Value, at: &str) -> TagsFound<'a> {
    let mut found = TagsFound::default();
    match tags {
        Value::Object(object) => {
            for (name, value) in object.iter().take(TAGS_MAX + 1) {
                match value {
                    Value::String(value) => found.tags.push((name.into(), value.into())),
                    Value::Null => {}
                    other => {
                        let wrong = scalar(Some(other)).wrong_type("a text");
                        keep(&mut found.fault, wrong, &format!("{at}, {}", quoted(name)));
                    }
                }
            }
        }
        Value::Null => {}
        other => keep(&mut found.fault, scalar(Some(other)).wrong_type("an object of texts"), at),
    }
    found
}

/// Keeps the first fault.
fn keep(fault: &mut Option<Fault>, wrong: Fault, place: &str) {
    fault.get_or_insert_with(|| wrong.at(place));
}
