//! What the detector writes of a row: its score, the events of its anomaly, its refusal.

use std::sync::Arc;

use detect::{Transition, Verdict};
use domain::{
    Anomaly, Batch, Contribution, Extras, Id, Micros, Phase, Position, Reason, Refusal, Row, Score,
    SeriesRef, row::feature_name,
};

use crate::slots::{LastRow, Open, Plan};

/// A row with its surroundings.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) row: &'a Row,
    /// The item's number.
    pub(crate) number: u64,
}

impl Context<'_> {
    fn position(&self) -> Position {
        Position { number: self.number, ..self.batch.first.clone() }
    }
}

/// A row's score.
pub(crate) fn score(context: &Context<'_>, verdict: &Verdict<'_>) -> Score {
    let Context { batch, row, .. } = *context;
    let values = batch.values_of(row);
    let (top, share) = verdict.top();
    Score {
        series: 0,
        detector: 0,
        row: row.row,
        event_at: row.event_at,
        ingested_at: row.ingested_at,
        log_time: row.log_time,
        origin: row.origin,
        flags: row.flags,
        score: verdict.score,
        raw: verdict.raw,
        confidence: verdict.confidence,
        threshold: verdict.threshold,
        is_anomaly: verdict.is_anomaly,
        muted: verdict.muted,
        top_feature: top as u32,
        top_share: share,
        value: values.get(top).copied().unwrap_or(f64::NAN),
        expected: verdict.expected.get(top).copied().unwrap_or(f64::NAN),
        lower: verdict.lower.get(top).copied().unwrap_or(f64::NAN),
        upper: verdict.upper.get(top).copied().unwrap_or(f64::NAN),
    }
}

/// What is kept of the newest row of an open anomaly.
pub(crate) fn last_row(
    context: &Context<'_>,
    features: &[Arc<str>],
    verdict: &Verdict<'_>,
) -> LastRow {
    let Context { batch, row, .. } = *context;
    LastRow {
        row: row.row,
        event_at: row.event_at,
        ingested_at: row.ingested_at,
        score: verdict.score,
        confidence: verdict.confidence,
        contributions: contributions(features, batch.values_of(row), verdict),
        no_data: row.flags.no_data,
    }
}

fn contributions(
    features: &[Arc<str>],
    values: &[f64],
    verdict: &Verdict<'_>,
) -> Vec<Contribution> {
    let mut all: Vec<Contribution> = (0..values.len())
        .map(|index| Contribution {
            feature: feature_name(features, index),
            share: verdict.contributions[index],
            value: values[index],
            expected: verdict.expected[index],
            lower: verdict.lower[index],
            upper: verdict.upper[index],
        })
        .collect();
    // Stable, so that equal shares stay in the features' order.
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

/// The id of the anomaly that a row opens: the record, the series' rows and the detector's definition.
pub(crate) fn anomaly_id(context: &Context<'_>, named: &SeriesRef, plan: &Plan) -> Id {
    let Context { batch, row, .. } = *context;
    // A row that says that nothing comes has the origin of the record before it.
    let kind: &[u8] = if row.flags.no_data { b"no data" } else { b"anomaly" };
    Id::of(&[
        kind,
        batch.sources[row.origin.source as usize].as_bytes(),
        &row.origin.offset.to_le_bytes(),
        &row.origin.index.to_le_bytes(),
        named.stream.as_bytes(),
        named.window.as_deref().unwrap_or_default().as_bytes(),
        named.key.as_bytes(),
        plan.name.as_bytes(),
        &plan.version.to_le_bytes(),
    ])
}

/// An event of an anomaly's life that a row made.
pub(crate) fn told_by_row(
    context: &Context<'_>,
    named: &SeriesRef,
    plan: &Plan,
    open: Open,
    step: Transition,
) -> Anomaly {
    let extras = context.row.extras.as_deref();
    let told = Told { step, extras, position: context.position(), log_time: context.row.log_time };
    anomaly(named, plan, open, told)
}

/// The clearing of an anomaly in silence, or of a series that is forgotten, at item `number` behind `first`.
pub(crate) fn told_by_tick(
    first: &Position,
    number: u64,
    log_time: Micros,
    named: &SeriesRef,
    plan: &Plan,
    open: Open,
    step: Transition,
) -> Anomaly {
    let position = Position { number, ..first.clone() };
    anomaly(named, plan, open, Told { step, extras: None, position, log_time })
}

/// The clearing of an anomaly whose model is gone: its detector was removed, or its rows have other values now.
pub(crate) fn ended(
    named: &SeriesRef,
    plan: &Plan,
    open: Open,
    context: &Context<'_>,
) -> Option<Anomaly> {
    let told = open.told?;
    let step = Transition { phase: Phase::Cleared, revision: told.revision + 1, ..told };
    let (position, log_time) = (context.position(), context.row.log_time);
    Some(anomaly(named, plan, open, Told { step, extras: None, position, log_time }))
}

/// What made an event of an anomaly.
struct Told<'a> {
    step: Transition,
    extras: Option<&'a Extras>,
    position: Position,
    log_time: Micros,
}

fn anomaly(named: &SeriesRef, plan: &Plan, open: Open, told: Told<'_>) -> Anomaly {
    let Told { step, extras, position, log_time } = told;
    Anomaly {
        id: open.id,
        revision: step.revision,
        position,
        phase: step.phase,
        silent: step.silent,
        no_data: open.last.no_data && step.phase != Phase::Cleared,
        series: named.clone(),
        detector: plan.name.clone(),
        detector_version: plan.version,
        opened_row: open.row,
        row: open.last.row,
        rows: step.rows,
        opened_at: open.at,
        event_at: open.last.event_at,
        ingested_at: open.last.ingested_at,
        log_time,
        score: open.last.score,
        score_max: step.score_max,
        threshold: step.threshold,
        confidence: open.last.confidence,
        severity: step.severity,
        contributions: open.last.contributions,
        // Filled in by `Output::event`, which knows it.
        config_version: 0,
        tags: extras.map(|extras| extras.tags.clone()).unwrap_or_default(),
        traceparent: extras.and_then(|extras| extras.traceparent.clone()),
    }
}

/// The refusal of a row.
pub(crate) fn refusal(context: &Context<'_>, reason: Reason, detail: String) -> Refusal {
    let Context { batch, row, .. } = context;
    Refusal {
        reason,
        detail,
        service: "detector",
        source: batch.sources[row.origin.source as usize].clone(),
        offset: row.origin.offset,
        index: row.origin.index,
        ingested_at: row.ingested_at,
        key: Some(batch.series[row.series as usize].key.as_bytes().to_vec()),
        payload: vec![],
    }
}
