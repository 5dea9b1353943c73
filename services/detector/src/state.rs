//! What the detector knows of one partition, and all that it decides. A pure function of the partition's log:
//! no clock, no I/O, no await.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use control::ControlLog;
use detect::{Assessment, Networks, Row, SeriesModel};
use domain::{
    Anomaly, Batch, Definitions, DriftPolicy, Feedback, Invalid, Item, Micros, Phase, Position,
    Reason, Score, SeriesRef, Track,
};
use snapshot::Slices;
use stage::{Choice, Halt, Origin, Select};

use crate::{
    civil,
    config::DetectorConfig,
    events::{self, Context},
    output::Output,
    slots::{Open, Plan, Series, Slot},
};

mod saved;

pub use saved::Saved;

/// Counts for telemetry; part of no decision.
#[derive(Debug, Default)]
pub struct Counts {
    /// Scores written.
    pub scores: u64,
    /// Items dropped as repeats.
    pub repeats: u64,
    /// Pieces of feedback that a model of this partition has learned.
    pub feedback: u64,
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
    /// What detectors were given, read once for all series.
    networks: Networks,
    track: Track,
    series: Slices<Series>,
    by_name: HashMap<(Rows, Arc<str>), usize>,
    models: usize,
    model_bytes: usize,
    /// Series and slot of every anomaly that is going on, to be looked at on ticks.
    open: BTreeSet<(usize, usize)>,
    next: Position,
    /// The index of the item in hand within its message.
    item: u64,
    /// What is said of the row in hand.
    assessment: Assessment,
    /// Counts since the last look.
    pub counts: Counts,
}

impl State {
    /// Before the first row. `source` names the partition that is read, as `topic/number`.
    pub fn new(source: Arc<str>, origin: Origin, config: &DetectorConfig) -> Self {
        let track = if origin.in_the_middle { Track::in_the_middle() } else { Track::default() };
        Self {
            config: config.clone(),
            definitions: Definitions::default(),
            generation: 0,
            plans: BTreeMap::new(),
            networks: Networks::default(),
            track,
            series: Slices::new(),
            by_name: HashMap::new(),
            models: 0,
            model_bytes: 0,
            open: BTreeSet::new(),
            next: Position { source, epoch: origin.epoch, number: 1 },
            item: 0,
            assessment: Assessment::default(),
            counts: Counts::default(),
        }
    }

    /// How many models it holds, and how many bytes they take.
    pub fn models(&self) -> (usize, usize) {
        (self.models, self.model_bytes)
    }

    /// An output whose first item continues the numbers.
    pub fn output(&self) -> Output {
        Output::new(self.next.clone(), self.definitions.version)
    }

    /// Takes note of what an output wrote, so that the next one continues its numbers.
    pub fn written(&mut self, out: &Output) {
        self.next.number += out.items();
    }

    /// Applies a batch. `control` must have been read up to its config versions.
    ///
    /// # Errors
    /// If items are missing, or a detector can't be run by this build; the partition must stop then.
    pub fn apply(
        &mut self,
        control: &ControlLog,
        batch: &Batch,
        select: Select<'_>,
        out: &mut Output,
    ) -> Result<(), Halt> {
        let repeats = self.track.take(&batch.first, batch.items.len() as u64)?;
        self.counts.repeats += repeats;
        let mut mapped: Vec<Option<usize>> = vec![None; batch.series.len()];
        for (index, item) in batch.items.iter().enumerate().skip(repeats as usize) {
            let number = batch.first.number + index as u64;
            self.item = index as u64;
            match (select.choose(self.item), item) {
                (Choice::Stop, _) => return Ok(()),
                (Choice::Skip, Item::Tick(_) | Item::Forget { .. }) => {}
                (Choice::Skip, Item::Row(row)) => {
                    let context = Context { batch, row, number };
                    let detail = "detector panicked or died on it".to_owned();
                    out.refusals.push(events::refusal(&context, Reason::Poison, detail));
                }
                (Choice::Take, Item::Tick(log_time)) => {
                    self.tick(&batch.first, number, *log_time, out)
                }
                (Choice::Take, Item::Forget { series, log_time }) => {
                    let named = &batch.series[*series as usize];
                    self.forget(&batch.first, number, *log_time, named, out);
                    mapped.fill(None);
                }
                (Choice::Take, Item::Row(row)) => {
                    if row.config_version > self.definitions.version {
                        let before = self.definitions.version;
                        control.advance(&mut self.definitions, row.config_version);
                        for feedback in control.feedback(before, row.config_version) {
                            self.feedback(feedback);
                        }
                        self.set_limits();
                        self.read_networks()?;
                        self.generation += 1;
                        self.plans.clear();
                        out.config_version = self.definitions.version;
                    }
                    let context = Context { batch, row, number };
                    self.row(&context, &mut mapped[row.series as usize], out);
                }
            }
        }
        Ok(())
    }

    fn set_limits(&mut self) {
        if let Some(limits) = self.definitions.limits {
            let model_bytes_max = usize::try_from(limits.model_bytes_max).unwrap_or(usize::MAX);
            self.config = DetectorConfig { model_bytes_max };
        }
    }

    fn read_networks(&mut self) -> Result<(), Invalid> {
        let detectors = || self.definitions.detectors.values().map(|(_, detector)| detector);
        self.networks.keep(detectors());
        let networks = &mut self.networks;
        detectors().try_for_each(|detector| networks.read(detector, None))
    }

    /// Tells a model of this partition what a person said; others have nothing to do with it.
    fn feedback(&mut self, feedback: &Feedback) {
        let Feedback { detector, stream, series, row, odd, .. } = feedback;
        let detectors = self.definitions.detectors_of(stream);
        let Some((_, of)) = detectors.iter().find(|(_, of)| of.name == *detector) else { return };
        let rows = (Arc::from(stream.as_str()), of.window.as_deref().map(Arc::from));
        let Some(&index) = self.by_name.get(&(rows, Arc::from(series.as_str()))) else { return };
        let slots = &mut self.series.get_mut(index).slots;
        let Some(slot) = slots.iter_mut().find(|slot| *slot.plan.name == **detector) else {
            return;
        };
        self.counts.feedback += u64::from(slot.model.feedback(*row, *odd));
    }

    fn tick(&mut self, first: &Position, number: u64, log_time: Micros, out: &mut Output) {
        let series = &mut self.series;
        self.open.retain(|&(index, at)| {
            let Series { named, slots, .. } = series.get_mut(index);
            let slot = &mut slots[at];
            let Some(step) = slot.model.silence(log_time) else {
                return true;
            };
            out.event(slot.open.take().map(|open| {
                events::told_by_tick(first, number, log_time, named, &slot.plan, open, step)
            }));
            false
        });
        out.tick(log_time);
    }

    /// Drops the models of a series that windowing has forgotten.
    fn forget(
        &mut self,
        first: &Position,
        number: u64,
        log_time: Micros,
        named: &SeriesRef,
        out: &mut Output,
    ) {
        let key = ((named.stream.clone(), named.window.clone()), named.key.clone());
        let Some(index) = self.by_name.remove(&key) else { return };
        let mut series = self.series.remove(index);
        for (at, slot) in series.slots.iter_mut().enumerate() {
            self.open.remove(&(index, at));
            let step = slot.model.forget();
            out.event(slot.open.take().zip(step).map(|(open, step)| {
                events::told_by_tick(first, number, log_time, named, &slot.plan, open, step)
            }));
        }
        let (models, bytes) = series.models();
        self.models -= models;
        self.model_bytes -= bytes;
    }

    fn row(&mut self, context: &Context<'_>, mapped: &mut Option<usize>, out: &mut Output) {
        let named = &context.batch.series[context.row.series as usize];
        let index = match *mapped {
            Some(index) if self.series[index].is_current(self.generation, named) => index,
            _ => match self.map(context, named, out) {
                Ok(index) => *mapped.insert(index),
                Err(detail) => {
                    out.refusals.push(events::refusal(context, Reason::TooManySeries, detail));
                    return;
                }
            },
        };
        let Series { named, slots, entry, .. } = self.series.get_mut(index);
        let source = &context.batch.sources[context.row.origin.source as usize];
        for (at, slot) in slots.iter_mut().enumerate() {
            if !slot.plan.detector.enabled {
                continue;
            }
            let (score, event) = assess(context, named, slot, &mut self.assessment);
            slot.model.remember(context.row.row, &self.assessment);
            let detector = (&slot.plan.name, slot.plan.version);
            *entry = out.score(*entry, named, source, detector, score);
            self.counts.scores += 1;
            if let Some(event) = &event {
                if event.phase == Phase::Cleared {
                    self.open.remove(&(index, at));
                } else {
                    self.open.insert((index, at));
                }
            }
            out.event(event);
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
        let known = self.by_name.get(&key).copied();
        if let Some(index) = known
            && self.series[index].is_current(self.generation, named)
        {
            // So that the batch's next row finds its features equal by their address.
            self.series.get_mut(index).named.features.clone_from(&named.features);
            return Ok(index);
        }
        let plans = self.plans_of(named);
        let wanted: usize = plans
            .iter()
            .map(|plan| SeriesModel::bytes_for(&plan.detector, named.features.len()))
            .sum();
        let (models, bytes) = known.map_or((0, 0), |index| self.series[index].models());
        let model_bytes = self.model_bytes - bytes + wanted;
        if wanted > bytes && model_bytes > self.config.model_bytes_max {
            return Err(format!(
                "the partition's models would take {model_bytes} bytes, \
                 detector.model_bytes_max is {}",
                self.config.model_bytes_max
            ));
        }
        let index = known.unwrap_or_else(|| {
            let index = self.series.insert(Series::new(named.clone()));
            self.by_name.insert(key, index);
            index
        });
        let series = self.series.get_mut(index);
        for at in 0..models {
            self.open.remove(&(index, at));
        }
        for (plan, open) in series.follow(self.generation, named, &plans, &self.networks) {
            out.event(events::ended(named, &plan, open, context));
        }
        let open = series.slots.iter().enumerate().filter(|(_, slot)| slot.open.is_some());
        self.open.extend(open.map(|(at, _)| (index, at)));
        let (models_now, bytes_now) = series.models();
        self.models = self.models - models + models_now;
        self.model_bytes = self.model_bytes - bytes + bytes_now;
        Ok(index)
    }

    fn plans_of(&mut self, named: &SeriesRef) -> Vec<Arc<Plan>> {
        let key = (named.stream.clone(), named.window.clone());
        let definitions = &self.definitions;
        let plans = self.plans.entry(key).or_insert_with(|| {
            let zone = civil::zone_of(definitions.stream(&named.stream).as_ref());
            let reads = |window: &Option<String>| window.as_deref() == named.window.as_deref();
            definitions
                .detectors_of(&named.stream)
                .into_iter()
                .filter(|(_, detector)| reads(&detector.window))
                .map(|(version, detector)| {
                    let name = detector.name.as_str().into();
                    Arc::new(Plan { name, version, detector, zone })
                })
                .collect()
        });
        plans.clone()
    }
}

/// Scores a row with one detector, then lets it learn; says what happened to its anomaly.
fn assess(
    context: &Context<'_>,
    named: &SeriesRef,
    slot: &mut Slot,
    assessment: &mut Assessment,
) -> (Score, Option<Anomaly>) {
    let Context { batch, row, .. } = *context;
    if row.drift.is_some() {
        match slot.plan.detector.on_drift {
            DriftPolicy::None => {}
            DriftPolicy::Relearn => slot.model.relearn(),
            DriftPolicy::Widen => slot.model.widen(),
            DriftPolicy::Freeze => slot.model.freeze(),
        }
    }
    let at = civil::civil(row.event_at, slot.plan.zone);
    let values = Row { values: batch.values_of(row), at };
    let model = &mut slot.model;
    let verdict = if row.flags.no_data {
        model.no_data(at, row.log_time, assessment)
    } else if row.flags.imputed {
        model.assess_imputed(values, row.log_time, assessment)
    } else {
        model.assess(values, !row.flags.late, row.log_time, assessment)
    };
    let score = events::score(context, &verdict);
    // Only an anomaly needs to be explained in full, and a late row is no part of one.
    if row.flags.late || (verdict.transition.is_none() && slot.open.is_none()) {
        return (score, None);
    }
    let last = events::last_row(context, &named.features, &verdict);
    let step = verdict.transition;
    let mut open = match slot.open.take() {
        Some(open) => Open { last, ..open },
        None => Open {
            id: events::anomaly_id(context, named, &slot.plan),
            row: row.row,
            at: row.event_at,
            last,
            told: None,
        },
    };
    let Some(step) = step else {
        slot.open = Some(open);
        return (score, None);
    };
    open.told = Some(step);
    if step.phase != Phase::Cleared {
        slot.open = Some(open.clone());
    }
    (score, Some(events::told_by_row(context, named, &slot.plan, open, step)))
}
