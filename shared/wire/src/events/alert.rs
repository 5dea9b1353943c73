//! States of alerts.

use domain::{Alert, AlertState, Finding, Id};
use prost::Message as _;

use super::{
    Stamps, decode_anomaly_message, decode_drift_message, decode_severity, encode_anomaly_message,
    encode_drift_message, encode_severity, id_of, metadata_of,
};
use crate::{DecodeError, decode, malformed, v1};

/// Encodes a state of an alert.
pub fn encode_alert(alert: &Alert, stamps: Stamps) -> Vec<u8> {
    // An alert is about one finding, at that finding's place and time; only its id is its own.
    let (metadata, finding) = match &alert.finding {
        Finding::Anomaly(anomaly) => {
            let message = encode_anomaly_message(anomaly, stamps);
            (message.metadata.clone(), v1::alert::Finding::Anomaly(message))
        }
        Finding::Drift(drift) => {
            let message = encode_drift_message(drift, stamps);
            (message.metadata.clone(), v1::alert::Finding::Drift(message))
        }
    };
    let id = Id::of(&[alert.id.to_string().as_bytes(), &alert.revision.to_le_bytes()]);
    v1::Alert {
        metadata: metadata.map(|of_finding| v1::EventMetadata { id: id.to_string(), ..of_finding }),
        alert_id: alert.id.to_string(),
        revision: alert.revision,
        state: match alert.state {
            AlertState::Firing => v1::AlertState::Firing,
            AlertState::Resolved => v1::AlertState::Resolved,
        }
        .into(),
        severity: encode_severity(alert.severity).into(),
        summary: alert.summary.clone(),
        finding: Some(finding),
    }
    .encode_to_vec()
}

/// Reads the message that [`encode_alert`] wrote, as it is served to subscribers.
///
/// # Errors
/// If the bytes are no such message or of another version.
pub fn decode_alert_message(bytes: &[u8]) -> Result<v1::Alert, DecodeError> {
    let message: v1::Alert = decode("Alert", bytes)?;
    metadata_of("Alert", message.metadata.as_ref())?;
    Ok(message)
}

/// Reads what [`encode_alert`] wrote.
///
/// # Errors
/// If the bytes are no such message, of another version, or contradict themselves.
pub fn decode_alert(bytes: &[u8]) -> Result<Alert, DecodeError> {
    const NAME: &str = "Alert";
    let message = decode_alert_message(bytes)?;
    Ok(Alert {
        id: id_of(NAME, &message.alert_id)?,
        revision: message.revision,
        state: match message.state() {
            v1::AlertState::Firing => AlertState::Firing,
            v1::AlertState::Resolved => AlertState::Resolved,
            v1::AlertState::Unspecified => return Err(malformed(NAME, "no state")),
        },
        severity: decode_severity(NAME, message.severity())?,
        summary: message.summary,
        finding: match message.finding {
            Some(v1::alert::Finding::Anomaly(a)) => Finding::Anomaly(decode_anomaly_message(&a)?),
            Some(v1::alert::Finding::Drift(d)) => Finding::Drift(decode_drift_message(&d)?),
            None => return Err(malformed(NAME, "no finding")),
        },
    })
}
