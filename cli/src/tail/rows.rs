//! Messages as rows for people and programs: each topic's protobuf or JSON becomes lines of text and JSON.

use std::{fmt::Write as _, sync::Arc};

use chrono::{DateTime, SecondsFormat};
use domain::{
    Anomaly, Definition, Drift, Finding, Item, LOG_TIME_END, LOG_TIME_NONE, Micros, Row, Score,
    ScoreBatch, ScoreItem, SeriesRef, row::feature_name,
};
use exchange::Message;
use serde_json::{Map, Value, json};
use wire::DecodeError;

/// What travels on a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Records,
    Accepted,
    Rejected,
    Requested,
    Completed,
    Anomalies,
    Drifts,
    Control,
    Alerts,
}

/// A row in both forms.
#[derive(Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) json: Value,
}

/// The rows of a message. What can't be read is a row that says so.
pub(super) fn of(kind: Kind, place: &str, message: &Message, ticks: bool) -> Vec<Shown> {
    let Some(value) = message.value.as_deref() else {
        let key = message.key.as_deref().map(String::from_utf8_lossy);
        let text = format!("{place}  removed {}", key.as_deref().unwrap_or_default());
        return vec![Shown { text, json: json!({"place": place, "removed": key}) }];
    };
    let rows = match kind {
        Kind::Records => Ok(records(message, value)),
        Kind::Accepted => {
            wire::rows::decode_accepted(value).map(|all| all.iter().flat_map(batch).collect())
        }
        Kind::Requested => wire::rows::decode_requested(value).map(|one| batch(&one)),
        Kind::Rejected => rejected(value),
        Kind::Completed => wire::scores::decode_completed(value).map(|batch| scores(&batch)),
        Kind::Anomalies => wire::events::decode_anomaly(value).map(|a| vec![anomaly(&a)]),
        Kind::Drifts => wire::events::decode_drift(value).map(|d| vec![drift(&d)]),
        Kind::Control => wire::control::decode_definition(value).map(|d| vec![control(&d)]),
        Kind::Alerts => alert(value),
    };
    let mut rows = rows.unwrap_or_else(|error| {
        let text = format!("can't be read: {error}");
        vec![Shown { text, json: json!({"error": error.to_string()}) }]
    });
    rows.retain(|row| ticks || row.json.get("tick").is_none());
    for row in &mut rows {
        row.text = format!("{place}  {}", row.text);
        if let Some(object) = row.json.as_object_mut() {
            object.insert("place".into(), place.into());
        }
    }
    rows
}

/// An instant as people and programs read it.
pub(crate) fn time(at: Micros) -> String {
    match at {
        LOG_TIME_NONE => "none".to_owned(),
        LOG_TIME_END => "end".to_owned(),
        at => DateTime::from_timestamp_micros(at).map_or_else(
            || format!("{at} us"),
            |at| at.to_rfc3339_opts(SecondsFormat::Millis, true),
        ),
    }
}

/// Users' messages: JSON as it stands, protobuf as JSON, anything else as text.
fn records(message: &Message, value: &[u8]) -> Vec<Shown> {
    let key = message.key.as_deref().map(String::from_utf8_lossy);
    let at = time(message.timestamp_ms.saturating_mul(1_000));
    let shown = |record: Value| {
        let named = key.as_deref().map_or_else(String::new, |key| format!("{key}  "));
        let content = record.as_str().map_or_else(|| record.to_string(), str::to_owned);
        let text = format!("{at}  {named}{content}");
        Shown { text, json: json!({"ingested_at": at, "key": key, "record": record}) }
    };
    if let Ok(parsed) = serde_json::from_slice::<Value>(value) {
        return match parsed {
            Value::Array(records) => records.into_iter().map(shown).collect(),
            record => vec![shown(record)],
        };
    }
    match wire::records::decode_records(value) {
        Ok(records) if !records.is_empty() => records.iter().map(|r| shown(protobuf(r))).collect(),
        _ => vec![shown(String::from_utf8_lossy(value).into())],
    }
}

fn protobuf(record: &wire::v1::Record) -> Value {
    let values =
        if record.values.is_empty() { json!(record.value_list) } else { json!(record.values) };
    json!({"series": record.series, "time": time(record.time_us), "values": values})
}

/// `a=1.5 b=?`
fn named(values: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let space = if text.is_empty() { "" } else { " " };
        let value = if value.is_null() { "?".to_owned() } else { value.to_string() };
        let _ = write!(text, "{space}{name}={value}");
    }
    text
}

fn tick(log_time: Micros) -> Shown {
    let at = time(log_time);
    Shown { text: format!("tick {at}"), json: json!({"tick": at}) }
}

fn series_of(series: &SeriesRef) -> String {
    series.window.as_ref().map_or_else(
        || format!("{}:{}", series.stream, series.key),
        |window| format!("{}:{} [{window}]", series.stream, series.key),
    )
}

fn batch(batch: &domain::Batch) -> Vec<Shown> {
    let row = |row: &Row| {
        let Some(series) = batch.series.get(row.series as usize) else {
            return Shown { text: "row of no series".into(), json: json!({"error": "no series"}) };
        };
        let values = batch.values_of(row).iter().enumerate();
        let values: Map<String, Value> = values
            .map(|(index, value)| (feature_name(&series.features, index).to_string(), json!(value)))
            .collect();
        let mut text = format!("{}  {}  {}", time(row.event_at), series_of(series), named(&values));
        let flags = [
            (row.flags.late, " late"),
            (row.flags.imputed, " imputed"),
            (row.flags.no_data, " no data"),
        ];
        for (flag, word) in flags {
            text.push_str(if flag { word } else { "" });
        }
        if let Some(found) = &row.drift {
            let _ = write!(text, " drift of {} ({})", found.feature, found.method);
        }
        let json = json!({
            "stream": &*series.stream, "series": &*series.key, "window": series.window.as_deref(),
            "row": (row.row > 0).then_some(row.row), "event_at": time(row.event_at), "ingested_at": time(row.ingested_at),
            "log_time": time(row.log_time), "config_version": row.config_version,
            "values": values, "late": row.flags.late, "imputed": row.flags.imputed,
            "no_data": row.flags.no_data,
            "drift": row.drift.as_ref().map(|d| d.method.to_string()),
        });
        Shown { text, json }
    };
    let items = batch.items.iter().map(|item| match item {
        Item::Row(it) => row(it),
        Item::Tick(log_time) => tick(*log_time),
        Item::Forget { series, log_time } => forgotten(batch, *series, *log_time),
    });
    items.collect()
}

fn forgotten(batch: &domain::Batch, series: u32, log_time: Micros) -> Shown {
    let Some(series) = batch.series.get(series as usize) else {
        return Shown { text: "end of no series".into(), json: json!({"error": "no series"}) };
    };
    let text = format!("{}  {} is forgotten", time(log_time), series_of(series));
    let json = json!({
        "stream": &*series.stream, "series": &*series.key, "window": series.window.as_deref(),
        "forgotten": true, "log_time": time(log_time),
    });
    Shown { text, json }
}

fn scores(batch: &ScoreBatch) -> Vec<Shown> {
    let items = batch.items.iter().map(|item| match item {
        ScoreItem::Score(it) => score(batch, it),
        ScoreItem::Tick(log_time) => tick(*log_time),
    });
    items.collect()
}

fn score(batch: &ScoreBatch, score: &Score) -> Shown {
    let (Some(series), Some((detector, _))) =
        (batch.series.get(score.series as usize), batch.detectors.get(score.detector as usize))
    else {
        return Shown { text: "score of no series".into(), json: json!({"error": "no series"}) };
    };
    let feature = feature_name(&series.features, score.top_feature as usize);
    let text = format!(
        "{}  {}  row {} scored {:.3}{} (bar {:.3}, confidence {:.2})  {feature}={} expected {} ({} to {})",
        time(score.event_at),
        series_of(series),
        score.row,
        score.score,
        if score.is_anomaly { " ODD" } else { "" },
        score.threshold,
        score.confidence,
        short(score.value),
        short(score.expected),
        short(score.lower),
        short(score.upper),
    );
    let json = json!({
        "stream": &*series.stream, "series": &*series.key, "window": series.window.as_deref(),
        "detector": &**detector, "row": score.row, "event_at": time(score.event_at),
        "ingested_at": time(score.ingested_at), "log_time": time(score.log_time),
        "score": score.score, "raw": score.raw, "confidence": score.confidence,
        "threshold": score.threshold, "is_anomaly": score.is_anomaly, "late": score.flags.late,
        "imputed": score.flags.imputed, "no_data": score.flags.no_data,
        "top_feature": &*feature, "top_share": score.top_share,
        "value": score.value, "expected": score.expected, "lower": score.lower,
        "upper": score.upper,
    });
    Shown { text, json }
}

/// Four digits that count; `?` for what is not known.
fn short(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "?".to_owned(),
        size if size >= 1e15 || size > 0.0 && size < 1e-4 => format!("{value:.3e}"),
        size if size >= 1e4 => format!("{value:.0}"),
        size if size >= 1e2 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn anomaly(anomaly: &Anomaly) -> Shown {
    let parts = anomaly.contributions.iter().map(|part| {
        let (value, lower, upper) = (short(part.value), short(part.lower), short(part.upper));
        let percent = part.share * 100.0;
        format!("{}={value}, expected {lower} to {upper} ({percent:.0} %)", part.feature)
    });
    let parts: Vec<String> = parts.collect();
    let silent = match (anomaly.silent, anomaly.no_data) {
        (true, _) => " (silent)",
        (false, true) => " (no data)",
        (false, false) => "",
    };
    let text = format!(
        "{}  {} {} {}{silent}  score {:.3}  {}",
        time(anomaly.event_at),
        series_of(&anomaly.series),
        anomaly.severity.name(),
        anomaly.phase.name(),
        anomaly.score,
        parts.join("; "),
    );
    Shown { text, json: anomaly_json(anomaly) }
}

fn anomaly_json(anomaly: &Anomaly) -> Value {
    let contributions = anomaly.contributions.iter().map(|part| {
        json!({
            "feature": &*part.feature, "share": part.share, "value": part.value,
            "expected": part.expected, "lower": part.lower, "upper": part.upper,
        })
    });
    json!({
        "anomaly_id": anomaly.id.to_string(), "revision": anomaly.revision,
        "phase": anomaly.phase.name(), "silent": anomaly.silent, "no_data": anomaly.no_data,
        "severity": anomaly.severity.name(), "stream": &*anomaly.series.stream,
        "series": &*anomaly.series.key, "window": anomaly.series.window.as_deref(),
        "detector": &*anomaly.detector, "opened_row": anomaly.opened_row, "row": anomaly.row,
        "odd_rows": anomaly.rows, "opened_at": time(anomaly.opened_at),
        "event_at": time(anomaly.event_at), "ingested_at": time(anomaly.ingested_at),
        "log_time": time(anomaly.log_time), "score": anomaly.score,
        "score_max": anomaly.score_max, "threshold": anomaly.threshold,
        "confidence": anomaly.confidence, "contributions": contributions.collect::<Vec<_>>(),
        "tags": tags(&anomaly.tags), "traceparent": anomaly.traceparent.as_deref(),
    })
}

fn drift(drift: &Drift) -> Shown {
    let text = format!(
        "{}  {}  {} drifted ({}) from {} to {} since row {} ({}, p ≤ {:.1e})",
        time(drift.event_at),
        series_of(&drift.series),
        drift.features.join(", "),
        drift.kind.name(),
        short(drift.before.mean),
        short(drift.after.mean),
        drift.began_row,
        drift.method,
        drift.p_value,
    );
    Shown { text, json: drift_json(drift) }
}

fn drift_json(drift: &Drift) -> Value {
    json!({
        "drift_id": drift.id.to_string(), "stream": &*drift.series.stream,
        "series": &*drift.series.key, "feature": &*drift.feature, "method": &*drift.method,
        "statistic": drift.statistic, "bound": drift.bound, "p_value": drift.p_value,
        "kind": drift.kind.name(),
        "features": drift.features.iter().map(|name| &**name).collect::<Vec<_>>(),
        "before": summary(&drift.before), "after": summary(&drift.after),
        "began_row": drift.began_row, "began_at": time(drift.began_at),
        "actions": drift.actions.iter().map(|action| {
            json!({"detector": &*action.detector, "policy": action.policy.name()})
        }).collect::<Vec<_>>(),
        "row": drift.row,
        "event_at": time(drift.event_at), "ingested_at": time(drift.ingested_at),
        "log_time": time(drift.log_time), "tags": tags(&drift.tags),
    })
}

fn summary(summary: &domain::Summary) -> Value {
    json!({
        "count": summary.count, "mean": summary.mean, "deviation": summary.deviation,
        "quantiles": summary.quantiles,
    })
}

fn tags(tags: &[(Arc<str>, Arc<str>)]) -> Map<String, Value> {
    tags.iter().map(|(name, value)| (name.to_string(), json!(&**value))).collect()
}

fn alert(value: &[u8]) -> Result<Vec<Shown>, DecodeError> {
    let alert = wire::events::decode_alert(value)?;
    let (event_at, finding) = match &alert.finding {
        Finding::Anomaly(it) => (it.event_at, json!({"anomaly": anomaly_json(it)})),
        Finding::Drift(it) => (it.event_at, json!({"drift": drift_json(it)})),
    };
    let (severity, state) = (alert.severity.name(), alert.state.name());
    let text = format!("{}  {severity} {state}  {}", time(event_at), alert.summary);
    let json = json!({
        "alert_id": alert.id.to_string(), "revision": alert.revision, "state": state,
        "severity": severity, "summary": alert.summary, "finding": finding,
    });
    Ok(vec![Shown { text, json }])
}

fn rejected(value: &[u8]) -> Result<Vec<Shown>, DecodeError> {
    let (reason, refusal) = wire::events::decode_refusal(value)?;
    let ingested_at = time(refusal.metadata.map_or(0, |metadata| metadata.ingested_at_us));
    let payload = String::from_utf8_lossy(&refusal.payload).into_owned();
    let text = format!(
        "{ingested_at}  {}@{} record {} {reason}: {}",
        refusal.source, refusal.offset, refusal.index, refusal.detail,
    );
    let json = json!({
        "reason": reason.name(), "detail": refusal.detail, "service": refusal.service,
        "source": refusal.source, "offset": refusal.offset, "index": refusal.index,
        "ingested_at": ingested_at, "payload": payload,
        "key": refusal.key.as_deref().map(String::from_utf8_lossy),
    });
    Ok(vec![Shown { text, json }])
}

fn control(definition: &Definition) -> Shown {
    let content = match definition {
        Definition::Layout(it) => json!(it),
        Definition::Stream(it) => json!(it),
        Definition::Detector(it) => json!(it),
        Definition::Channel(it) => json!(it),
        Definition::Limits(it) => json!(it),
        Definition::Skip(it) => json!({
            "service": it.service, "partition": it.partition, "offset": it.offset,
            "item": it.item, "why": it.why,
        }),
        Definition::Feedback(it) => json!({
            "detector": it.detector, "stream": it.stream, "series": it.series, "row": it.row,
            "odd": it.odd, "note": it.note,
        }),
        Definition::Removed(_) => Value::Null,
    };
    let key = definition.key();
    let text = match content {
        Value::Null => format!("{key} removed"),
        ref content => format!("{key} {content}"),
    };
    Shown { text, json: json!({"key": key, "definition": content}) }
}
