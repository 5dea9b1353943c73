//! Refusing a message between services as a whole, in the same commit that skips it: one that can't be read, or on
//! which a service panicked or died.

use domain::{Reason, Refusal, refusal::REFUSED_BYTES_MAX};
use exchange::{Message, Partition};
use wire::DecodeError;

/// The refusal of a message that `service` read from `partition` and could not decode.
pub fn undecodable(
    service: &'static str,
    partition: &Partition,
    message: &Message,
    error: &DecodeError,
) -> Refusal {
    let reason = match error {
        DecodeError::UnknownVersion { .. } => Reason::UnknownVersion,
        _ => Reason::Undecodable,
    };
    whole(service, partition, message, reason, error.to_string())
}

/// The refusal of a message on which `service` panicked or died.
pub fn poisonous(service: &'static str, partition: &Partition, message: &Message) -> Refusal {
    let detail = format!("{service} panicked or died on it; see control for what happened");
    whole(service, partition, message, Reason::Poison, detail)
}

fn whole(
    service: &'static str,
    partition: &Partition,
    message: &Message,
    reason: Reason,
    detail: String,
) -> Refusal {
    let payload = message.value.as_deref().unwrap_or_default();
    Refusal {
        reason,
        detail,
        service,
        source: partition.to_string().into(),
        offset: message.offset,
        index: 0,
        ingested_at: message.timestamp_ms.saturating_mul(1000),
        key: message.key.as_deref().map(<[u8]>::to_vec),
        payload: payload[..payload.len().min(REFUSED_BYTES_MAX)].to_vec(),
    }
}
