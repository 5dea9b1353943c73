//! Refusing a message between services that can't be read, in the same commit that skips it.

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
    let payload = message.value.as_deref().unwrap_or_default();
    Refusal {
        reason: match error {
            DecodeError::UnknownVersion { .. } => Reason::UnknownVersion,
            _ => Reason::Undecodable,
        },
        detail: error.to_string(),
        service,
        source: partition.to_string().into(),
        offset: message.offset,
        index: 0,
        ingested_at: message.timestamp_ms.saturating_mul(1000),
        key: message.key.as_deref().map(<[u8]>::to_vec),
        payload: payload[..payload.len().min(REFUSED_BYTES_MAX)].to_vec(),
    }
}
