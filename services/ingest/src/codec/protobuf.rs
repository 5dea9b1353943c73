//! Records as protobuf: `RecordBatch`, bare or in Confluent's framing.
//!
//! `time_us` of 0 counts as missing, since protobuf can't tell it from a time that nobody set.

use std::borrow::Cow;

use domain::Reason;
use wire::{DecodeError, records, v1};

use super::{
    Context, Each, Fault, Record,
    check::{self, Found},
    quoted, time,
};

/// Reads the records of a `RecordBatch`.
pub(crate) fn decode(context: &Context<'_>, bytes: &[u8], each: Each<'_>) {
    let batch = match records::decode_records(bytes) {
        Ok(batch) => batch,
        Err(error) => return each(0, Err(whole(&error))),
    };
    let (count, count_max) = (batch.len(), context.config.records_per_message_max);
    if count > count_max {
        let detail = format!("the message has {count} records, at most {count_max} are taken");
        return each(0, Err(Fault::new(Reason::TooLarge, detail)));
    }
    for (index, found) in batch.iter().enumerate() {
        let checked = record(context, found).map_err(|mut fault| {
            if count > 1 {
                fault.payload = Some(records::encode_records(vec![found.clone()]));
            }
            fault
        });
        each(index as u32, checked);
    }
}

fn whole(error: &DecodeError) -> Fault {
    let reason = match error {
        DecodeError::UnknownVersion { .. } => Reason::UnknownVersion,
        DecodeError::Undecodable { .. } | DecodeError::Malformed { .. } => Reason::Undecodable,
    };
    Fault::new(reason, error.to_string())
}

fn record<'a>(context: &Context<'a>, found: &'a v1::Record) -> Result<Record<'a>, Fault> {
    if found.time_us == 0 {
        let detail = "the record has no time: time_us in microseconds since 1970 is expected";
        return Err(Fault::new(Reason::NoTime, detail));
    }
    let event_at = time::within_bounds(found.time_us.into()).map_err(|f| f.at("time_us"))?;
    let context = Context {
        traceparent: check::traceparent(&found.traceparent).or(context.traceparent),
        ..*context
    };
    let total = found.values.len() + found.value_list.len();
    let series = Some(Cow::Borrowed(found.series.as_str()));
    let tags = found.tags.iter().map(|(k, v)| (Cow::from(k.as_str()), Cow::from(v.as_str())));
    let id = Some(Cow::Borrowed(found.record_id.as_str()));
    check::record(&context, series, event_at, values(found)?, total, tags.collect(), id)
}

fn values(found: &v1::Record) -> Result<Found<'_>, Fault> {
    if !found.values.is_empty() && !found.value_list.is_empty() {
        let detail = "the record has both values and value_list: one of them is expected";
        return Err(Fault::new(Reason::WrongType, detail));
    }
    let not_finite = |name: String, value: f64| {
        let detail = format!("{name} is {value}: a finite number is expected");
        Fault::new(Reason::NonFinite, detail)
    };
    if !found.values.is_empty() {
        if let Some((name, value)) = found.values.iter().find(|(_, value)| !value.is_finite()) {
            return Err(not_finite(format!("values[{}]", quoted(name)), *value));
        }
        let named = found.values.iter().map(|(name, value)| (Cow::from(name.as_str()), *value));
        return Ok(Found::Named(named.collect()));
    }
    let mut list = found.value_list.clone();
    for &index in &found.missing {
        let Some(value) = list.get_mut(index as usize) else {
            let len = found.value_list.len();
            let detail =
                format!("missing names value {index} of {len}: an index from 0 is expected");
            return Err(Fault::new(Reason::Undecodable, detail));
        };
        *value = 0.0;
    }
    if let Some(index) = list.iter().position(|value| !value.is_finite()) {
        return Err(not_finite(format!("value_list[{index}]"), list[index]));
    }
    for &index in &found.missing {
        list[index as usize] = f64::NAN;
    }
    Ok(match list[..] {
        [] => Found::None,
        [value] => Found::One(value),
        _ => Found::List(list),
    })
}
