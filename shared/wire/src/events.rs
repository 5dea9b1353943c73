//! Single events: anomalies, drifts, alerts, refusals.

mod alert;
pub(crate) mod drift;
mod refusal;

use std::sync::Arc;

pub use alert::{decode_alert, decode_alert_message, encode_alert};
pub use refusal::{decode_refusal, encode_refusal};

use domain::{Anomaly, Contribution, Drift, Id, Micros, Phase, Position, Severity};
use prost::Message as _;

use crate::{
    DecodeError, EVENT_VERSION, check_version,
    columns::{decode_series, decode_tags, decode_trace, encode_series, encode_tags},
    decode, malformed,
    rows::{decode_position, encode_position},
    v1,
};

/// Clock readings for people; part of no decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When the rows were scored; 0 if they were not.
    pub scored_at: Micros,
    /// When the event was handed to the exchange.
    pub published_at: Micros,
}

impl Stamps {
    /// Stamps of an event that is published now and was not scored.
    pub fn published(now: Micros) -> Self {
        Self { scored_at: 0, published_at: now }
    }

    /// Stamps of an event that is scored and published now.
    pub fn scored(now: Micros) -> Self {
        Self { scored_at: now, published_at: now }
    }
}

/// Encodes one event of an anomaly's life.
pub fn encode_anomaly(anomaly: &Anomaly, stamps: Stamps) -> Vec<u8> {
    encode_anomaly_message(anomaly, stamps).encode_to_vec()
}

/// The message that [`encode_anomaly`] encodes.
pub fn encode_anomaly_message(anomaly: &Anomaly, stamps: Stamps) -> v1::AnomalyDetected {
    let id = Id::of(&[anomaly.id.to_string().as_bytes(), &anomaly.revision.to_le_bytes()]);
    v1::AnomalyDetected {
        metadata: Some(v1::EventMetadata {
            version: EVENT_VERSION,
            id: id.to_string(),
            position: Some(encode_position(&anomaly.position)),
            config_version: anomaly.config_version,
            log_time_us: anomaly.log_time,
            event_at_us: anomaly.event_at,
            ingested_at_us: anomaly.ingested_at,
            scored_at_us: stamps.scored_at,
            published_at_us: stamps.published_at,
            traceparent: anomaly.traceparent.as_deref().unwrap_or_default().to_owned(),
        }),
        anomaly_id: anomaly.id.to_string(),
        revision: anomaly.revision,
        phase: match anomaly.phase {
            Phase::Opened => v1::AnomalyPhase::Opened,
            Phase::Updated => v1::AnomalyPhase::Updated,
            Phase::Cleared => v1::AnomalyPhase::Cleared,
        }
        .into(),
        silent: anomaly.silent,
        no_data: anomaly.no_data,
        series: Some(encode_series(&anomaly.series)),
        detector: anomaly.detector.to_string(),
        detector_version: anomaly.detector_version,
        opened_row: anomaly.opened_row,
        row_number: anomaly.row,
        odd_rows: anomaly.rows,
        opened_at_us: anomaly.opened_at,
        score: anomaly.score,
        score_max: anomaly.score_max,
        threshold: anomaly.threshold,
        confidence: anomaly.confidence,
        severity: encode_severity(anomaly.severity).into(),
        contributions: anomaly
            .contributions
            .iter()
            .map(|c| v1::Contribution {
                feature: c.feature.to_string(),
                share: c.share,
                value: c.value,
                expected: c.expected,
                lower: c.lower,
                upper: c.upper,
            })
            .collect(),
        tags: encode_tags(&anomaly.tags),
    }
}

/// Reads what [`encode_anomaly`] wrote.
///
/// # Errors
/// If the bytes are no such message, of another version, or contradict themselves.
pub fn decode_anomaly(bytes: &[u8]) -> Result<Anomaly, DecodeError> {
    decode_anomaly_message(&decode("AnomalyDetected", bytes)?)
}

/// Reads the message that [`encode_anomaly_message`] made.
///
/// # Errors
/// If it is of another version or contradicts itself.
pub fn decode_anomaly_message(message: &v1::AnomalyDetected) -> Result<Anomaly, DecodeError> {
    const NAME: &str = "AnomalyDetected";
    let (metadata, position) = metadata_of(NAME, message.metadata.as_ref())?;
    let series = message.series.as_ref().ok_or_else(|| malformed(NAME, "no series"))?;
    Ok(Anomaly {
        id: id_of(NAME, &message.anomaly_id)?,
        revision: message.revision,
        position,
        phase: match message.phase() {
            v1::AnomalyPhase::Opened => Phase::Opened,
            v1::AnomalyPhase::Updated => Phase::Updated,
            v1::AnomalyPhase::Cleared => Phase::Cleared,
            v1::AnomalyPhase::Unspecified => return Err(malformed(NAME, "no phase")),
        },
        silent: message.silent,
        no_data: message.no_data,
        series: decode_series(series),
        detector: message.detector.as_str().into(),
        detector_version: message.detector_version,
        opened_row: message.opened_row,
        row: message.row_number,
        rows: message.odd_rows,
        opened_at: message.opened_at_us,
        event_at: metadata.event_at_us,
        ingested_at: metadata.ingested_at_us,
        log_time: metadata.log_time_us,
        score: message.score,
        score_max: message.score_max,
        threshold: message.threshold,
        confidence: message.confidence,
        severity: decode_severity(NAME, message.severity())?,
        contributions: message
            .contributions
            .iter()
            .map(|c| Contribution {
                feature: c.feature.as_str().into(),
                share: c.share,
                value: c.value,
                expected: c.expected,
                lower: c.lower,
                upper: c.upper,
            })
            .collect(),
        config_version: metadata.config_version,
        tags: decode_tags(&message.tags),
        traceparent: decode_trace(&metadata.traceparent),
    })
}

/// Encodes a drift.
pub fn encode_drift(drift: &Drift, stamps: Stamps) -> Vec<u8> {
    encode_drift_message(drift, stamps).encode_to_vec()
}

/// The message that [`encode_drift`] encodes.
pub fn encode_drift_message(drift: &Drift, stamps: Stamps) -> v1::DriftDetected {
    v1::DriftDetected {
        metadata: Some(v1::EventMetadata {
            version: EVENT_VERSION,
            id: drift.id.to_string(),
            position: Some(encode_position(&drift.position)),
            config_version: drift.config_version,
            log_time_us: drift.log_time,
            event_at_us: drift.event_at,
            ingested_at_us: drift.ingested_at,
            scored_at_us: stamps.scored_at,
            published_at_us: stamps.published_at,
            traceparent: drift.traceparent.as_deref().unwrap_or_default().to_owned(),
        }),
        stream: drift.series.stream.to_string(),
        key: drift.series.key.to_string(),
        feature: drift.feature.to_string(),
        method: drift.method.to_string(),
        statistic: drift.statistic,
        bound: drift.bound,
        p_value: drift.p_value,
        row_number: drift.row,
        tags: encode_tags(&drift.tags),
        kind: drift::encode_kind(drift.kind).into(),
        features: drift.features.iter().map(ToString::to_string).collect(),
        before: Some(drift::encode_summary(&drift.before)),
        after: Some(drift::encode_summary(&drift.after)),
        began_row: drift.began_row,
        began_at_us: drift.began_at,
        actions: drift.actions.iter().map(drift::encode_action).collect(),
    }
}

/// Reads what [`encode_drift`] wrote.
///
/// # Errors
/// If the bytes are no such message, of another version, or contradict themselves.
pub fn decode_drift(bytes: &[u8]) -> Result<Drift, DecodeError> {
    decode_drift_message(&decode("DriftDetected", bytes)?)
}

/// Reads the message that [`encode_drift_message`] made. Its series has no features: a drift names its own.
///
/// # Errors
/// If it is of another version or contradicts itself.
pub fn decode_drift_message(message: &v1::DriftDetected) -> Result<Drift, DecodeError> {
    const NAME: &str = "DriftDetected";
    let (metadata, position) = metadata_of(NAME, message.metadata.as_ref())?;
    Ok(Drift {
        id: id_of(NAME, &metadata.id)?,
        position,
        series: domain::SeriesRef {
            stream: message.stream.as_str().into(),
            key: message.key.as_str().into(),
            window: None,
            features: Arc::from([]),
        },
        feature: message.feature.as_str().into(),
        method: message.method.as_str().into(),
        statistic: message.statistic,
        bound: message.bound,
        p_value: message.p_value,
        kind: drift::decode_kind(message.kind())?,
        features: message.features.iter().map(|name| name.as_str().into()).collect(),
        before: drift::decode_summary(message.before.as_ref())?,
        after: drift::decode_summary(message.after.as_ref())?,
        began_row: message.began_row,
        began_at: message.began_at_us,
        actions: message.actions.iter().map(drift::decode_action).collect::<Result<_, _>>()?,
        row: message.row_number,
        event_at: metadata.event_at_us,
        ingested_at: metadata.ingested_at_us,
        log_time: metadata.log_time_us,
        config_version: metadata.config_version,
        tags: decode_tags(&message.tags),
        traceparent: decode_trace(&metadata.traceparent),
    })
}

fn metadata_of<'a>(
    name: &'static str,
    metadata: Option<&'a v1::EventMetadata>,
) -> Result<(&'a v1::EventMetadata, Position), DecodeError> {
    let metadata = metadata.ok_or_else(|| malformed(name, "no metadata"))?;
    check_version(name, metadata.version)?;
    let position = metadata.position.as_ref().ok_or_else(|| malformed(name, "no position"))?;
    Ok((metadata, decode_position(position)))
}

fn id_of(name: &'static str, text: &str) -> Result<Id, DecodeError> {
    Id::parse(text).ok_or_else(|| malformed(name, format!("{text:?} is no id")))
}

fn encode_severity(severity: Severity) -> v1::Severity {
    match severity {
        Severity::Low => v1::Severity::Low,
        Severity::Medium => v1::Severity::Medium,
        Severity::High => v1::Severity::High,
        Severity::Critical => v1::Severity::Critical,
    }
}

fn decode_severity(name: &'static str, severity: v1::Severity) -> Result<Severity, DecodeError> {
    match severity {
        v1::Severity::Low => Ok(Severity::Low),
        v1::Severity::Medium => Ok(Severity::Medium),
        v1::Severity::High => Ok(Severity::High),
        v1::Severity::Critical => Ok(Severity::Critical),
        v1::Severity::Unspecified => Err(malformed(name, "no severity")),
    }
}

#[cfg(test)]
mod tests;
