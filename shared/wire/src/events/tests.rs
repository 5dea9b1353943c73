//! Events survive their encoding, and what is no event is refused.

use domain::{Alert, AlertState, Finding, Reason, Refusal};

use super::*;

fn position() -> Position {
    Position { source: "detection.requested/3".into(), epoch: 1, number: 12 }
}

fn drift() -> Drift {
    let policy = domain::DriftPolicy::Widen;
    Drift {
        id: Id::of(&[b"d"]),
        position: position(),
        series: domain::SeriesRef {
            stream: "s".into(),
            key: "k".into(),
            window: None,
            features: Arc::from([]),
        },
        feature: "cpu".into(),
        method: "adwin".into(),
        statistic: 3.0,
        bound: 2.0,
        p_value: 1e-7,
        kind: domain::DriftKind::Seasonality,
        features: vec!["cpu".into(), "memory".into()],
        before: domain::Summary { count: 9, mean: 1.0, deviation: 0.5, quantiles: [1.5; 5] },
        after: domain::Summary { count: 3, mean: 4.0, deviation: 0.25, quantiles: [3.5; 5] },
        began_row: 7,
        began_at: -5,
        actions: vec![domain::DriftAction { detector: "d".into(), policy }],
        row: 9,
        event_at: 1,
        ingested_at: 2,
        log_time: 3,
        config_version: 5,
        tags: vec![("host".into(), "h".into())],
        traceparent: Some("00-ab-cd-01".into()),
    }
}

fn anomaly() -> Anomaly {
    Anomaly {
        id: Id::of(&[b"a"]),
        revision: 2,
        position: position(),
        phase: Phase::Updated,
        silent: false,
        no_data: true,
        series: domain::SeriesRef {
            stream: "s".into(),
            key: "k".into(),
            window: Some("w".into()),
            features: Arc::from([Arc::from("cpu")]),
        },
        detector: "d".into(),
        detector_version: 4,
        opened_row: 7,
        row: 9,
        rows: 3,
        opened_at: 5,
        event_at: 6,
        ingested_at: 7,
        log_time: 8,
        config_version: 5,
        score: 0.7,
        score_max: 0.8,
        threshold: 0.6,
        confidence: 0.9,
        severity: Severity::High,
        contributions: vec![Contribution {
            feature: "cpu".into(),
            share: 1.0,
            value: 99.0,
            expected: 5.0,
            lower: 1.0,
            upper: 9.0,
        }],
        tags: vec![],
        traceparent: None,
    }
}

#[test]
fn findings_and_alerts_survive_their_encoding() {
    let stamps = Stamps::scored(10);
    assert_eq!(decode_drift(&encode_drift(&drift(), stamps)).unwrap(), drift());
    assert_eq!(decode_anomaly(&encode_anomaly(&anomaly(), stamps)).unwrap(), anomaly());
    for finding in [Finding::Anomaly(anomaly()), Finding::Drift(drift())] {
        let alert = Alert {
            id: Id::of(&[b"x"]),
            revision: 1,
            state: AlertState::Firing,
            severity: Severity::Low,
            summary: "odd".into(),
            finding,
        };
        assert_eq!(decode_alert(&encode_alert(&alert, stamps)).unwrap(), alert);
    }
}

#[test]
fn a_refusal_names_its_reason() {
    let refusal = Refusal {
        reason: Reason::NonFinite,
        detail: "value is NaN".into(),
        service: "ingest",
        source: "records/0".into(),
        offset: 3,
        index: 1,
        ingested_at: 5,
        key: None,
        payload: b"{}".to_vec(),
    };
    let (reason, message) = decode_refusal(&encode_refusal(&refusal, Stamps::default())).unwrap();
    assert_eq!((reason, message.offset, message.index), (Reason::NonFinite, 3, 1));
}
