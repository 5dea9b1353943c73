//! Messages to findings, and alerts and refusals to messages.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Alert, Finding, Reason, Refusal, Topics, refusal::REFUSED_BYTES_MAX};
use exchange::{MESSAGE_BYTES_MAX, Message, Output, Partition};
use wire::{DecodeError, events::Stamps};

use crate::service::SERVICE;

/// Why a message makes no alert.
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        let reason = match error {
            DecodeError::UnknownVersion { .. } => Reason::UnknownVersion,
            DecodeError::Undecodable { .. } | DecodeError::Malformed { .. } => Reason::Undecodable,
        };
        Self { reason, detail: error.to_string() }
    }
}

/// Reads a message of `anomaly.detected` or `drift.detected`.
pub(crate) fn decode_finding(
    topics: &Topics,
    topic: &str,
    message: &Message,
) -> Result<Finding, Refused> {
    let bytes = message.value.as_deref().ok_or_else(|| Refused {
        reason: Reason::Undecodable,
        detail: "no value; an anomaly or a drift was expected".into(),
    })?;
    Ok(if *topic == *topics.drifts {
        Finding::Drift(wire::events::decode_drift(bytes)?)
    } else {
        Finding::Anomaly(wire::events::decode_anomaly(bytes)?)
    })
}

/// The message of an alert, in the partition that its finding was read from.
pub(crate) fn encode_alert(
    topics: &Topics,
    partition: u32,
    alert: &Alert,
    stamps: Stamps,
) -> Result<Output, Refused> {
    let output = Output {
        topic: Arc::clone(&topics.alerts),
        partition: Some(partition),
        key: Some(Bytes::from(alert.id.to_string())),
        value: Some(Bytes::from(wire::events::encode_alert(alert, stamps))),
        headers: vec![],
    };
    // A finding that just fits its own topic could be too large as an alert, and would halt the
    // partition.
    if output.size() > MESSAGE_BYTES_MAX {
        let detail = format!(
            "its alert would have {} bytes, the limit is {MESSAGE_BYTES_MAX}",
            output.size()
        );
        return Err(Refused { reason: Reason::TooLarge, detail });
    }
    Ok(output)
}

/// The message for `records.rejected` about a message that makes no alert.
pub(crate) fn encode_refusal(
    topics: &Topics,
    partition: &Partition,
    message: &Message,
    refused: Refused,
    stamps: Stamps,
) -> Output {
    let first = |bytes: &Bytes| bytes.slice(..bytes.len().min(REFUSED_BYTES_MAX));
    let key = message.key.as_ref().map(first);
    let refusal = Refusal {
        reason: refused.reason,
        detail: refused.detail,
        service: SERVICE,
        source: partition.to_string().into(),
        offset: message.offset,
        index: 0,
        ingested_at: message.timestamp_ms.saturating_mul(1_000),
        key: key.as_ref().map(|key| key.to_vec()),
        payload: message.value.as_ref().map(|value| first(value).to_vec()).unwrap_or_default(),
    };
    Output {
        topic: Arc::clone(&topics.rejected),
        partition: None,
        key,
        value: Some(Bytes::from(wire::events::encode_refusal(&refusal, stamps))),
        headers: vec![],
    }
}
