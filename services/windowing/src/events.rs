//! What windowing writes of a record: rows, drifts, refusals.

use std::sync::Arc;

use domain::{
    Definitions, Drift, DriftAction, DriftPolicy, Flags, Id, Micros, Position, Reason, Refusal,
    Row, SeriesRef,
};

use crate::{
    order::Record,
    series::Series,
    window::{Closed, Stamp},
};

/// A series as a batch names it; `window` is the place of one of its windows.
pub(crate) fn series_ref(series: &Series, window: Option<usize>) -> SeriesRef {
    let window = window.map(|at| &series.windows[at]);
    SeriesRef {
        stream: series.stream_name.clone(),
        key: series.key.clone(),
        window: window.map(|w| w.name().clone()),
        features: window.map_or_else(|| series.features.clone(), |w| w.features(&series.features)),
    }
}

/// The row that a record makes.
pub(crate) fn output_row(
    record: &Record<'_>,
    number: u64,
    log_time: Micros,
    flags: Flags,
    drift: Option<Arc<Drift>>,
) -> Row {
    let Row { event_at, ingested_at, config_version, origin, ref extras, .. } = *record.row;
    Row {
        series: 0,
        row: number,
        event_at,
        ingested_at,
        log_time,
        config_version,
        origin,
        flags,
        values: 0..0,
        extras: extras.clone(),
        drift,
    }
}

/// The row of a window that has closed; its origin is that of its last record.
pub(crate) fn window_row(closed: &Closed, log_time: Micros, drift: Option<Arc<Drift>>) -> Row {
    let Stamp { ingested_at, config_version, origin, ref extras, .. } = closed.stamp;
    Row {
        series: 0,
        row: closed.number,
        event_at: closed.event_at,
        ingested_at,
        log_time,
        config_version,
        origin,
        flags: Flags { late: false, imputed: closed.imputed, no_data: closed.stamp.no_data },
        values: 0..0,
        extras: extras.clone(),
        drift,
    }
}

/// What the detectors of a stream do at a drift.
pub(crate) fn drift_actions(definitions: &Definitions, stream: &str) -> Vec<DriftAction> {
    let detectors = definitions.detectors_of(stream).into_iter().map(|(_, detector)| detector);
    let acts = detectors.filter(|detector| detector.on_drift != DriftPolicy::None);
    acts.map(|detector| DriftAction {
        detector: detector.name.as_str().into(),
        policy: detector.on_drift,
    })
    .collect()
}

/// A drift found at a row; `position` is that of the item that let the row go.
pub(crate) fn drift_event(
    series: &Series,
    record: &Record<'_>,
    row: u64,
    log_time: Micros,
    position: Position,
    (found, actions): (&drift::Found, Vec<DriftAction>),
) -> Drift {
    let name = |value: usize| domain::row::feature_name(&series.features, value);
    let features: Vec<Arc<str>> = found.values.iter().map(|value| name(*value)).collect();
    let feature = name(found.values.first().copied().unwrap_or_default());
    let id = Id::of(&[
        b"drift",
        record.source.as_bytes(),
        &record.row.origin.offset.to_le_bytes(),
        &record.row.origin.index.to_le_bytes(),
        series.stream_name.as_bytes(),
        feature.as_bytes(),
        found.test.name().as_bytes(),
    ]);
    let extras = record.row.extras.as_deref();
    Drift {
        id,
        position,
        config_version: record.row.config_version,
        series: SeriesRef { features: Arc::from([]), ..series_ref(series, None) },
        feature,
        method: found.test.name().into(),
        statistic: found.statistic,
        bound: found.bound,
        p_value: found.p_value,
        kind: found.kind,
        features,
        before: found.before,
        after: found.after,
        began_row: found.began.row,
        began_at: found.began.at,
        actions,
        row,
        event_at: record.row.event_at,
        ingested_at: record.row.ingested_at,
        log_time,
        tags: extras.map(|e| e.tags.clone()).unwrap_or_default(),
        traceparent: extras.and_then(|e| e.traceparent.clone()),
    }
}

/// The refusal of a record of the series `key`.
pub(crate) fn refusal(key: &str, record: &Record<'_>, reason: Reason, detail: String) -> Refusal {
    Refusal {
        reason,
        detail,
        service: "windowing",
        source: record.source.clone(),
        offset: record.row.origin.offset,
        index: record.row.origin.index,
        ingested_at: record.row.ingested_at,
        key: Some(key.as_bytes().to_vec()),
        payload: vec![],
    }
}
