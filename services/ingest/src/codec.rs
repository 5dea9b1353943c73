//! A message of a source to checked records, and why a record can't be one.
//!
//! - [`json`]: one object or an array, fields in the default places or where the stream's pointers say;
//! - [`protobuf`]: `RecordBatch`, bare or in Confluent's framing;
//! - [`time`]: times as people write them;
//! - [`check`]: what holds for records of any format;
//! - [`memory`]: what is committed with the offsets.
//!
//! A stream of JSON takes protobuf as well (the gRPC front door writes it): a message says which it is by
//! its `content-type` header, else by its first byte, which is 0x00, 0x08 or 0x12 in protobuf only.

pub(crate) mod check;
pub(crate) mod json;
pub(crate) mod memory;
pub(crate) mod protobuf;
#[cfg(test)]
mod tests;
pub(crate) mod time;

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use domain::{Extras, Micros, Reason};
use exchange::{Header, Message};

use crate::{
    config::IngestConfig,
    streams::{Shape, StreamSpec},
};

/// Why a record is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    /// What is wrong, where, and what would be right.
    pub(crate) detail: String,
    /// The record by itself if it is one of several in the message.
    pub(crate) payload: Option<Vec<u8>>,
}

impl Fault {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), payload: None }
    }

    /// The same fault, of this field.
    pub(crate) fn at(mut self, field: &str) -> Self {
        self.detail.insert_str(0, ": ");
        self.detail.insert_str(0, field);
        self
    }
}

/// A record that holds what [`check`] promises.
#[derive(Debug, PartialEq)]
pub(crate) struct Record<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) event_at: Micros,
    pub(crate) names: Names<'a>,
    pub(crate) values: Values,
    pub(crate) extras: Option<Arc<Extras>>,
}

/// What the values are called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Names<'a> {
    /// As the stream defines.
    Defined,
    /// One value, `value`.
    Value,
    /// `v0`, `v1`, …
    Positions,
    /// These, sorted.
    Own(Vec<Cow<'a, str>>),
}

/// The values in the order of their names; NaN is missing.
#[derive(Debug, PartialEq)]
pub(crate) enum Values {
    One([f64; 1]),
    Many(Vec<f64>),
}

impl Values {
    pub(crate) fn as_slice(&self) -> &[f64] {
        match self {
            Self::One(value) => value,
            Self::Many(values) => values,
        }
    }
}

/// What a message's records have in common.
pub(crate) struct Context<'a> {
    pub(crate) spec: &'a StreamSpec,
    pub(crate) config: &'a IngestConfig,
    /// The Kafka key.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) ingested_at: Micros,
    pub(crate) traceparent: Option<&'a str>,
}

/// Takes each record, or why it is none, with its index within the message.
pub(crate) type Each<'e> = &'e mut dyn FnMut(u32, Result<Record<'_>, Fault>);

/// Reads a message's records in their order.
pub(crate) fn decode(spec: &StreamSpec, config: &IngestConfig, message: &Message, each: Each<'_>) {
    let bytes =
        message.key.as_ref().map_or(0, Bytes::len) + message.value.as_ref().map_or(0, Bytes::len);
    if bytes > config.message_bytes_max {
        let bytes_max = config.message_bytes_max;
        let detail = format!("the message has {bytes} bytes, at most {bytes_max} are taken");
        return each(0, Err(Fault::new(Reason::TooLarge, detail)));
    }
    let Some(value) = message.value.as_deref().filter(|value| !value.is_empty()) else {
        let detail = "the message is empty: a record is expected";
        return each(0, Err(Fault::new(Reason::Undecodable, detail)));
    };
    let context = Context {
        spec,
        config,
        key: message.key.as_deref().filter(|key| !key.is_empty()),
        ingested_at: message.timestamp_ms.saturating_mul(1_000),
        traceparent: header(&message.headers, "traceparent").and_then(check::traceparent),
    };
    if is_protobuf(spec, &message.headers, value) {
        protobuf::decode(&context, value, each);
    } else {
        json::decode(&context, value, each);
    }
}

fn is_protobuf(spec: &StreamSpec, headers: &[Header], value: &[u8]) -> bool {
    if matches!(spec.shape, Shape::Protobuf) {
        return true;
    }
    match header(headers, "content-type") {
        Some(kind) if kind.starts_with("application/x-protobuf") => true,
        Some(kind) if kind.starts_with("application/json") => false,
        _ => matches!(value.first(), Some(0x00 | 0x08 | 0x12)),
    }
}

fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

/// Text of a user within a message to people: quoted, and short.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}
