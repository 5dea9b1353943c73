//! Refused records.

use domain::{Id, Reason, Refusal};
use prost::Message as _;

use super::Stamps;
use crate::{DecodeError, EVENT_VERSION, check_version, decode, malformed, v1};

/// Encodes a refusal.
pub fn encode_refusal(refusal: &Refusal, stamps: Stamps) -> Vec<u8> {
    let id = Id::of(&[
        refusal.source.as_bytes(),
        &refusal.offset.to_le_bytes(),
        &refusal.index.to_le_bytes(),
        refusal.service.as_bytes(),
    ]);
    v1::RecordRejected {
        metadata: Some(v1::EventMetadata {
            version: EVENT_VERSION,
            id: id.to_string(),
            ingested_at_us: refusal.ingested_at,
            published_at_us: stamps.published_at,
            ..Default::default()
        }),
        reason: refusal.reason.name().to_owned(),
        detail: refusal.detail.clone(),
        service: refusal.service.to_owned(),
        source: refusal.source.to_string(),
        offset: refusal.offset,
        index: refusal.index,
        key: refusal.key.clone(),
        payload: refusal.payload.clone(),
    }
    .encode_to_vec()
}

/// Reads the message that [`encode_refusal`] wrote, with the reason it names.
///
/// # Errors
/// If the bytes are no such message, of another version, or name an unknown reason.
pub fn decode_refusal(bytes: &[u8]) -> Result<(Reason, v1::RecordRejected), DecodeError> {
    const NAME: &str = "RecordRejected";
    let message: v1::RecordRejected = decode(NAME, bytes)?;
    check_version(NAME, message.metadata.as_ref().map_or(0, |m| m.version))?;
    let reason = Reason::parse(&message.reason)
        .ok_or_else(|| malformed(NAME, format!("unknown reason {:?}", message.reason)))?;
    Ok((reason, message))
}
