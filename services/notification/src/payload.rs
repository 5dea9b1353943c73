//! What a receiver gets: one JSON object per state of an alert, the same on every channel.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use domain::{Alert, Finding, Micros};
use serde::Serialize;
use wire::DecodeError;

/// One state of an alert, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The id of this state of the alert; receivers drop repeats by it.
    pub id: String,
    /// `low`, `medium`, `high` or `critical`.
    pub severity: &'static str,
    /// The stream's name.
    pub stream: Arc<str>,
    /// The series key.
    pub key: Arc<str>,
    /// W3C trace context of the record, if known.
    pub traceparent: Option<Arc<str>>,
    /// The JSON object.
    pub body: Bytes,
}

impl Delivery {
    /// Reads a message of `alerts`; at most `contributions_max` features are explained.
    ///
    /// # Errors
    /// If it is no alert, or of another version.
    pub fn of(message: &[u8], contributions_max: usize) -> Result<Self, DecodeError> {
        let alert = wire::events::decode_alert(message)?;
        // The state's own id and the stamps stand in the message only.
        let metadata = wire::events::decode_alert_message(message)?.metadata.unwrap_or_default();
        let (series, traceparent) = match &alert.finding {
            Finding::Anomaly(anomaly) => (&anomaly.series, &anomaly.traceparent),
            Finding::Drift(drift) => (&drift.series, &drift.traceparent),
        };
        let payload =
            Payload::of(&alert, &metadata.id, metadata.published_at_us, contributions_max);
        Ok(Self {
            // Strings, numbers and maps by string: this can't fail.
            body: serde_json::to_vec(&payload).unwrap_or_default().into(),
            severity: alert.severity.name(),
            stream: Arc::clone(&series.stream),
            key: Arc::clone(&series.key),
            traceparent: traceparent.clone(),
            id: metadata.id,
        })
    }
}

/// The JSON object. Numbers that are not known (NaN) are null, as are times that no calendar knows.
#[derive(Serialize)]
struct Payload<'a> {
    id: &'a str,
    alert_id: String,
    revision: u32,
    state: &'static str,
    severity: &'static str,
    summary: &'a str,
    stream: &'a str,
    series: &'a str,
    event_at: Option<String>,
    ingested_at: Option<String>,
    published_at: Option<String>,
    tags: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(flatten)]
    about: About<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum About<'a> {
    Anomaly(Anomaly<'a>),
    Drift { drift: Drift<'a> },
}

#[derive(Serialize)]
struct Anomaly<'a> {
    anomaly_id: String,
    phase: &'static str,
    silent: bool,
    no_data: bool,
    detector: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<&'a str>,
    opened_at: Option<String>,
    odd_rows: u64,
    row: u64,
    score: f64,
    score_max: f64,
    threshold: f64,
    confidence: f64,
    contributions: Vec<Contribution<'a>>,
}

#[derive(Serialize)]
struct Contribution<'a> {
    feature: &'a str,
    share: f64,
    value: f64,
    expected: f64,
    lower: f64,
    upper: f64,
}

#[derive(Serialize)]
struct Drift<'a> {
    drift_id: String,
    feature: &'a str,
    method: &'a str,
    statistic: f64,
    bound: f64,
    p_value: f64,
    what: &'static str,
    features: Vec<&'a str>,
    before: Summary,
    after: Summary,
    began_row: u64,
    began_at: Option<String>,
    actions: Vec<Action<'a>>,
    row: u64,
}

#[derive(Serialize)]
struct Summary {
    count: u64,
    mean: f64,
    deviation: f64,
    quantiles: [f64; 5],
}

#[derive(Serialize)]
struct Action<'a> {
    detector: &'a str,
    policy: &'static str,
}

impl<'a> Payload<'a> {
    fn of(alert: &'a Alert, id: &'a str, published_at: Micros, contributions_max: usize) -> Self {
        let (series, event_at, ingested_at, tags, traceparent, about) = match &alert.finding {
            Finding::Anomaly(a) => {
                let about = About::Anomaly(Anomaly::of(a, contributions_max));
                (&a.series, a.event_at, a.ingested_at, &a.tags, a.traceparent.as_deref(), about)
            }
            Finding::Drift(d) => {
                let about = About::Drift { drift: Drift::of(d) };
                (&d.series, d.event_at, d.ingested_at, &d.tags, d.traceparent.as_deref(), about)
            }
        };
        Self {
            id,
            alert_id: alert.id.to_string(),
            revision: alert.revision,
            state: alert.state.name(),
            severity: alert.severity.name(),
            summary: &alert.summary,
            stream: &series.stream,
            series: &series.key,
            event_at: rfc3339(event_at),
            ingested_at: rfc3339(ingested_at),
            published_at: rfc3339(published_at),
            tags: tags.iter().map(|(name, value)| (&**name, &**value)).collect(),
            traceparent,
            about,
        }
    }
}

impl<'a> Anomaly<'a> {
    fn of(anomaly: &'a domain::Anomaly, contributions_max: usize) -> Self {
        Self {
            anomaly_id: anomaly.id.to_string(),
            phase: anomaly.phase.name(),
            silent: anomaly.silent,
            no_data: anomaly.no_data,
            detector: &anomaly.detector,
            window: anomaly.series.window.as_deref(),
            opened_at: rfc3339(anomaly.opened_at),
            odd_rows: anomaly.rows,
            row: anomaly.row,
            score: anomaly.score,
            score_max: anomaly.score_max,
            threshold: anomaly.threshold,
            confidence: anomaly.confidence,
            contributions: anomaly
                .contributions
                .iter()
                .take(contributions_max)
                .map(|c| Contribution {
                    feature: &c.feature,
                    share: c.share,
                    value: c.value,
                    expected: c.expected,
                    lower: c.lower,
                    upper: c.upper,
                })
                .collect(),
        }
    }
}

impl<'a> Drift<'a> {
    fn of(drift: &'a domain::Drift) -> Self {
        Self {
            drift_id: drift.id.to_string(),
            feature: &drift.feature,
            method: &drift.method,
            statistic: drift.statistic,
            bound: drift.bound,
            p_value: drift.p_value,
            what: drift.kind.name(),
            features: drift.features.iter().map(|name| &**name).collect(),
            before: Summary::of(&drift.before),
            after: Summary::of(&drift.after),
            began_row: drift.began_row,
            began_at: rfc3339(drift.began_at),
            actions: drift.actions.iter().map(Action::of).collect(),
            row: drift.row,
        }
    }
}

impl Summary {
    fn of(summary: &domain::Summary) -> Self {
        let domain::Summary { count, mean, deviation, quantiles } = *summary;
        Self { count, mean, deviation, quantiles }
    }
}

impl<'a> Action<'a> {
    fn of(action: &'a domain::DriftAction) -> Self {
        Self { detector: &action.detector, policy: action.policy.name() }
    }
}

fn rfc3339(at: Micros) -> Option<String> {
    let time = DateTime::from_timestamp_micros(at)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wire::events::Stamps;

    use super::*;
    use crate::{
        state::alert_of,
        summary::tests::{anomaly, drift},
    };

    fn check(finding: Finding, expect: Value) -> Delivery {
        let stamps = Stamps::published(1_600_000_000_150_000);
        let bytes = wire::events::encode_alert(&alert_of(finding), stamps);
        let delivery = Delivery::of(&bytes, 1).unwrap();
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        assert_eq!(body["id"], json!(delivery.id));
        for (key, value) in expect.as_object().unwrap() {
            assert_eq!(&body[key], value, "{key}");
        }
        delivery
    }

    #[test]
    fn an_anomaly_is_one_flat_object() {
        let mut odd = anomaly();
        odd.contributions[0].expected = f64::NAN;
        odd.contributions.push(odd.contributions[0].clone());
        odd.traceparent = Some("00-ab-cd-01".into());
        let expect = json!({
            "kind": "anomaly", "state": "firing", "phase": "opened", "severity": "critical",
            "revision": 1,
            "stream": "default", "series": "cpu/0", "detector": "default",
            "event_at": "2020-09-13T12:26:40.000000Z",
            "published_at": "2020-09-13T12:26:40.150000Z",
            "opened_at": "2020-09-13T12:26:40.000000Z",
            "score": 0.93, "threshold": 0.9, "odd_rows": 12, "tags": {"host": "h1"},
            "traceparent": "00-ab-cd-01",
            "contributions": [{
                "feature": "value", "share": 1.0, "value": 99.2,
                "expected": null, "lower": 1.2, "upper": 9.7,
            }],
        });
        let delivery = check(Finding::Anomaly(odd), expect);
        assert_eq!((delivery.severity, &*delivery.key), ("critical", "cpu/0"));
    }

    #[test]
    fn a_drift_has_its_fields_in_an_object() {
        let mut drift = drift();
        drift.event_at = i64::MAX;
        let expect = json!({
            "kind": "drift", "state": "firing", "severity": "low", "series": "cpu/0",
            "event_at": null,
            "drift": {
                "drift_id": drift.id.to_string(), "feature": "value", "method": "adwin",
                "statistic": 3.0, "bound": 2.0, "p_value": 1e-7, "what": "level", "features": ["value"],
                "before": {"count": 90, "mean": 4.8, "deviation": 1.0, "quantiles": [4.0, 4.0, 4.0, 4.0, 4.0]},
                "after": {"count": 30, "mean": 17.2, "deviation": 2.0, "quantiles": [17.0, 17.0, 17.0, 17.0, 17.0]},
                "began_row": 4, "began_at": "2020-09-13T12:25:40.000000Z", "actions": [], "row": 9,
            },
        });
        check(Finding::Drift(drift), expect);
    }

    #[test]
    fn what_is_no_alert_is_refused() {
        assert!(Delivery::of(b"\xff\xff", 1).is_err());
        assert!(Delivery::of(b"", 1).is_err());
    }
}
