//! What the detector knows of one partition, and all that it decides. A pure function of the partition's log:
//! no clock, no I/O, no await.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use control::ControlLog;
use detect::{SeriesModel, Transition, Verdict};
use domain::{
    Anomaly, Batch, Contribution, Definitions, DriftPolicy, Extras, Hole, Id, Item, Micros, Phase,
    Position, Reason, Refusal, Row, Score, SeriesRef, Track, row::feature_name,
};

use crate::{
    config::DetectorConfig,
    output::Output,
    slots::{LastRow, Open, Plan, Series, Slot},
};

/// Counts for telemetry; part of no decision.
#[derive(Debug, Default)]
pub struct Counts {
    /// Scores written.
    pub scores: u64,
    /// Items dropped as repeats.
    pub repeats: u64,
}

/// What a detector reads: a stream's name, and one of its windows or the records themselves.
type Rows = (Arc<str>, Option<Arc<str>>);

/// The state of one partition.
#[derive(Debug)]
pub struct State {
    config: DetectorConfig,
    definitions: Definitions,
    /// Counts the changes of definitions.
    generation: u64,
    /// What reads the rows of a stream and window.
    plans: BTreeMap<Rows, Vec<Arc<Plan>>>,
    track: Track,
    series: Vec<Series>,
    by_name: HashMap<(Rows, Arc<str>), usize>,
    model_bytes: usize,
    /// Series and slot of every anomaly that is going on, to be looked at on ticks.
    open: BTreeSet<(usize, usize)>,
    next: Position,
    /// Counts since the last look.
    pub counts: Counts,
}

/// A row with its surroundings.
struct Context<'a> {
    batch: &'a Batch,
    row: &'a Row,
    position: &'a Position,
}

impl State {
    /// Before the first row. `source` names the partition that is read, as `topic/number`.
    pub fn new(source: Arc<str>, config: &DetectorConfig) -> Self {
        Self {
            config: config.clone(),
            definitions: Definitions::default(),
            generation: 0,
            plans: BTreeMap::new(),
            track: Track::default(),
            series: vec![],
            by_name: HashMap::new(),
            model_bytes: 0,
            open: BTreeSet::new(),
            next: Position { source, epoch: 1, number: 1 },
            counts: Counts::default(),
        }
    }

    /// How many models it holds, and how many bytes they take.
    pub fn models(&self) -> (usize, usize) {
        (self.series.iter().map(|series| series.slots.len()).sum(), self.model_bytes)
    }

    /// An output whose first item continues the numbers.
    pub fn output(&self) -> Output {
        Output::new(self.next.clone())
    }

    /// Takes note of what an output wrote, so that the next one continues its numbers.
    pub fn written(&mut self, out: &Output) {
        self.next.number += out.items();
    }

    /// Applies a batch. `control` must have been read up to its config versions.
    ///
    /// # Errors
    /// If items are missing; the partition must stop then.
    pub fn apply(
        &mut self,
        control: &ControlLog,
        batch: &Batch,
        out: &mut Output,
    ) -> Result<(), Hole> {
        let repeats = self.track.take(&batch.first, batch.items.len() as u64)?;
        self.counts.repeats += repeats;
        let mut mapped: Vec<Option<usize>> = vec![None; batch.series.len()];
        for (index, item) in batch.items.iter().enumerate().skip(repeats as usize) {
            let number = batch.first.number + index as u64;
            let position = Position { number, ..batch.first.clone() };
            match item {
                Item::Tick(log_time) => self.tick(&position, *log_time, out),
                Item::Row(row) => {
                    if row.config_version > self.definitions.version {
                        control.advance(&mut self.definitions, row.config_version);
                        self.generation += 1;
                        self.plans.clear();
                    }
                    out.config_version = out.config_version.max(self.definitions.version);
                    let context = Context { batch, row, position: &position };
                    self.row(&context, &mut mapped[row.series as usize], out);
                }
            }
        }
        Ok(())
    }

    fn tick(&mut self, position: &Position, log_time: Micros, out: &mut Output) {
        for (index, at) in self.open.clone() {
            let series = &mut self.series[index];
            let Some(slot) = series.slots.get_mut(at) else {
                continue;
            };
            let Some(step) = slot.model.silence(log_time) else {
                continue;
            };
            self.open.remove(&(index, at));
            if let Some(open) = slot.open.take() {
                let told = Told { step, extras: None, position, log_time };
                out.anomalies.push(anomaly(&series.named, &slot.plan, open, told));
            }
        }
        out.tick(log_time);
    }

    fn row(&mut self, context: &Context<'_>, mapped: &mut Option<usize>, out: &mut Output) {
        let named = &context.batch.series[context.row.series as usize];
        let index = match *mapped {
            Some(index) if self.series[index].is_current(self.generation, named) => index,
            _ => match self.map(context, named, out) {
                Ok(index) => *mapped.insert(index),
                Err(detail) => {
                    out.refusals.push(refusal(context, detail));
                    return;
                }
            },
        };
        let Series { named, slots, .. } = &mut self.series[index];
        let source = &context.batch.sources[context.row.origin.source as usize];
        for (at, slot) in slots.iter_mut().enumerate() {
            if !slot.plan.detector.enabled {
                continue;
            }
            let (score, event) = assess(context, named, slot);
            let detector = (&slot.plan.name, slot.plan.version);
            out.score(index, named, source, detector, score);
            self.counts.scores += 1;
            if let Some(event) = event {
                if event.phase == Phase::Cleared {
                    self.open.remove(&(index, at));
                } else {
                    self.open.insert((index, at));
                }
                out.anomalies.push(event);
            }
        }
    }

    /// Finds or makes a series, with a model for every detector that reads its rows.
    fn map(
        &mut self,
        context: &Context<'_>,
        named: &SeriesRef,
        out: &mut Output,
    ) -> Result<usize, String> {
        let key = ((named.stream.clone(), named.window.clone()), named.key.clone());
        let plans = self.plans_of(named);
        let bytes =
            |series: &Series| -> usize { series.slots.iter().map(|slot| slot.model.bytes()).sum() };
        let wanted: usize = plans
            .iter()
            .map(|plan| SeriesModel::bytes_for(&plan.detector, named.features.len()))
            .sum();
        let index = match self.by_name.get(&key) {
            Some(index) => *index,
            None if self.model_bytes + wanted > self.config.model_bytes_max => {
                return Err(format!(
                    "the partition's models take {} bytes, detector.model_bytes_max is {}",
                    self.model_bytes, self.config.model_bytes_max
                ));
            }
            None => {
                self.series.push(Series::new(named.clone()));
                self.by_name.insert(key, self.series.len() - 1);
                self.series.len() - 1
            }
        };
        let series = &mut self.series[index];
        self.model_bytes -= bytes(series);
        for (plan, open) in series.follow(self.generation, named, &plans) {
            out.anomalies.extend(ended(named, &plan, open, context));
        }
        self.model_bytes += bytes(series);
        self.open.retain(|(of, _)| *of != index);
        let open = series.slots.iter().enumerate().filter(|(_, slot)| slot.open.is_some());
        self.open.extend(open.map(|(at, _)| (index, at)));
        Ok(index)
    }

    fn plans_of(&mut self, named: &SeriesRef) -> Vec<Arc<Plan>> {
        let key = (named.stream.clone(), named.window.clone());
        let definitions = &self.definitions;
        let plans = self.plans.entry(key).or_insert_with(|| {
            let reads = |window: &Option<String>| window.as_deref() == named.window.as_deref();
            definitions
                .detectors_of(&named.stream)
                .into_iter()
                .filter(|(_, detector)| reads(&detector.window))
                .map(|(version, detector)| {
                    Arc::new(Plan { name: detector.name.as_str().into(), version, detector })
                })
                .collect()
        });
        plans.clone()
    }
}

/// Scores a row with one detector, then lets it learn; says what happened to its anomaly.
fn assess(context: &Context<'_>, named: &SeriesRef, slot: &mut Slot) -> (Score, Option<Anomaly>) {
    let Context { batch, row, position } = *context;
    if row.drift.is_some() && slot.plan.detector.on_drift == DriftPolicy::Relearn {
        slot.model.relearn();
    }
    let values = batch.values_of(row);
    let verdict = slot.model.assess(values, !row.flags.late, row.log_time);
    let (top, share) = verdict.top();
    let score = Score {
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
        top_feature: top as u32,
        top_share: share,
        value: values.get(top).copied().unwrap_or(f64::NAN),
        expected: verdict.expected.get(top).copied().unwrap_or(f64::NAN),
        lower: verdict.lower.get(top).copied().unwrap_or(f64::NAN),
        upper: verdict.upper.get(top).copied().unwrap_or(f64::NAN),
    };
    // Only an anomaly needs to be explained in full.
    if verdict.transition.is_none() && slot.open.is_none() {
        return (score, None);
    }
    let last = LastRow {
        row: row.row,
        event_at: row.event_at,
        ingested_at: row.ingested_at,
        score: verdict.score,
        confidence: verdict.confidence,
        contributions: contributions(&named.features, values, &verdict),
    };
    let step = verdict.transition;
    let mut open = slot.open.take().unwrap_or_else(|| Open {
        id: anomaly_id(context, named, &slot.plan),
        row: row.row,
        at: row.event_at,
        last: last.clone(),
        told: None,
    });
    if !row.flags.late {
        open.last = last;
    }
    let Some(step) = step else {
        slot.open = Some(open);
        return (score, None);
    };
    open.told = Some(step);
    if step.phase != Phase::Cleared {
        slot.open = Some(open.clone());
    }
    let told = Told { step, extras: row.extras.as_deref(), position, log_time: row.log_time };
    (score, Some(anomaly(named, &slot.plan, open, told)))
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
fn anomaly_id(context: &Context<'_>, named: &SeriesRef, plan: &Plan) -> Id {
    let Context { batch, row, .. } = context;
    Id::of(&[
        b"anomaly",
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

/// The clearing of an anomaly whose model is gone: its detector was removed, or its rows have other values now.
fn ended(named: &SeriesRef, plan: &Plan, open: Open, context: &Context<'_>) -> Option<Anomaly> {
    let told = open.told?;
    let step = Transition { phase: Phase::Cleared, revision: told.revision + 1, ..told };
    let (position, log_time) = (context.position, context.row.log_time);
    Some(anomaly(named, plan, open, Told { step, extras: None, position, log_time }))
}

/// What made an event of an anomaly.
struct Told<'a> {
    step: Transition,
    extras: Option<&'a Extras>,
    position: &'a Position,
    log_time: Micros,
}

fn anomaly(named: &SeriesRef, plan: &Plan, open: Open, told: Told<'_>) -> Anomaly {
    let Told { step, extras, position, log_time } = told;
    Anomaly {
        id: open.id,
        revision: step.revision,
        position: position.clone(),
        phase: step.phase,
        silent: step.silent,
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
        tags: extras.map(|extras| extras.tags.clone()).unwrap_or_default(),
        traceparent: extras.and_then(|extras| extras.traceparent.clone()),
    }
}

fn refusal(context: &Context<'_>, detail: String) -> Refusal {
    let Context { batch, row, .. } = context;
    Refusal {
        reason: Reason::TooManySeries,
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
