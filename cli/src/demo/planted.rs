//! Findings that tests plant.

use std::sync::Arc;

use domain::{Anomaly, Contribution, Id, Micros, Phase, Position, SeriesRef, Severity};

use super::story::Found;

/// From the row of a planted anomaly to its alert in hand.
pub(crate) const RECEIVED_AFTER: Micros = 40_000;

/// An anomaly of this series, opened by a row of this time: 90 where 5 to 15 was expected.
pub(crate) fn found(series: &str, at: Micros) -> Found {
    let contribution = Contribution {
        feature: "value".into(),
        share: 1.0,
        value: 90.0,
        expected: 10.0,
        lower: 5.0,
        upper: 15.0,
    };
    let id = Id::of(&[series.as_bytes(), &at.to_le_bytes()]);
    let opened = Anomaly {
        id,
        revision: 1,
        position: Position { source: "detection.requested/0".into(), epoch: 1, number: 1 },
        phase: Phase::Opened,
        silent: false,
        no_data: false,
        series: SeriesRef {
            stream: "default".into(),
            key: series.into(),
            window: None,
            features: Arc::from([]),
        },
        detector: "demo".into(),
        detector_version: 1,
        opened_row: 60,
        row: 60,
        rows: 1,
        opened_at: at,
        event_at: at,
        ingested_at: at,
        log_time: at,
        score: 0.9,
        score_max: 0.9,
        threshold: 0.7,
        confidence: 0.6,
        severity: Severity::Critical,
        contributions: vec![contribution],
        config_version: 0,
        tags: vec![],
        traceparent: None,
    };
    Found {
        id,
        latest: opened.clone(),
        opened,
        published_after: RECEIVED_AFTER / 2,
        received_after: RECEIVED_AFTER,
        received_at: at + RECEIVED_AFTER,
    }
}
