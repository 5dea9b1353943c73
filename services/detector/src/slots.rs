//! The models of one series: one for each detector that reads its rows.

use std::sync::Arc;

use chrono_tz::Tz;
use detect::{Networks, SeriesModel, Transition};
use domain::{
    Contribution, Detector, Id, Micros, SeriesRef,
    encoding::{self, DecodeError},
};
use serde::{Deserialize, Serialize};
use snapshot::Encode;

use crate::output::Entry;

/// A detector as it applies to series: its definition and the version that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The detector's name.
    pub name: Arc<str>,
    /// The config version that defined it.
    pub version: u64,
    /// Its definition.
    pub detector: Detector,
    /// The zone of its stream; `None` is UTC.
    pub zone: Option<Tz>,
}

/// An anomaly that is going on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Open {
    /// Its id.
    pub id: Id,
    /// The number of its first row within the series.
    pub row: u64,
    /// Event time of its first row.
    pub at: Micros,
    /// The newest row: what a clearing in silence tells about.
    pub last: LastRow,
    /// The newest event of its life.
    pub told: Option<Transition>,
}

/// What is told of the newest row when an anomaly is cleared without one.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LastRow {
    /// Its number.
    pub row: u64,
    /// Its event time.
    pub event_at: Micros,
    /// When the broker took in its record.
    pub ingested_at: Micros,
    /// Its score.
    pub score: f64,
    /// How much the model had seen.
    pub confidence: f64,
    /// Why it was odd, or not.
    pub contributions: Vec<Contribution>,
    /// Whether it says that nothing comes any more.
    pub no_data: bool,
}

/// One detector's model of one series.
#[derive(Debug)]
pub struct Slot {
    /// What it does.
    pub plan: Arc<Plan>,
    /// What it has learned.
    pub model: SeriesModel,
    /// The anomaly that is going on, if one is.
    pub open: Option<Open>,
}

impl Slot {
    fn new(plan: &Arc<Plan>, named: &SeriesRef, networks: &Networks) -> Self {
        let values = named.features.len();
        let seed = detect::seed(&plan.detector, named);
        Self {
            plan: plan.clone(),
            model: SeriesModel::sharing(&plan.detector, values, seed, networks),
            open: None,
        }
    }
}

/// One series of a partition, as the detectors see it.
#[derive(Debug)]
pub struct Series {
    /// Its name, window and features.
    pub named: SeriesRef,
    /// Its models.
    pub slots: Vec<Slot>,
    /// Where its scores were written last.
    pub entry: Entry,
    /// The set of plans that `slots` follow.
    plans: u64,
}

impl Series {
    /// A series without models yet.
    pub fn new(named: SeriesRef) -> Self {
        Self { named, slots: vec![], entry: Entry::default(), plans: u64::MAX }
    }

    /// Whether `slots` follow this set of plans.
    pub fn is_current(&self, generation: u64, named: &SeriesRef) -> bool {
        self.plans == generation && self.named.features == named.features
    }

    /// How many models it has, and how many bytes they take.
    pub fn models(&self) -> (usize, usize) {
        (self.slots.len(), self.slots.iter().map(|slot| slot.model.bytes()).sum())
    }

    /// Makes `slots` follow the plans for this series: a detector whose algorithm stays keeps its model, one
    /// whose rows have come to have other values starts anew. Returns the anomalies that ended with their model.
    pub fn follow(
        &mut self,
        generation: u64,
        named: &SeriesRef,
        plans: &[Arc<Plan>],
        networks: &Networks,
    ) -> Vec<(Arc<Plan>, Open)> {
        let widened = self.named.features != named.features;
        self.named = named.clone();
        if widened {
            self.entry = Entry::default();
        }
        let values = named.features.len();
        let mut before = std::mem::take(&mut self.slots);
        for plan in plans {
            let keeps = |slot: &Slot| {
                !widened
                    && slot.plan.name == plan.name
                    && slot.plan.detector.algorithm.resolved(values)
                        == plan.detector.algorithm.resolved(values)
            };
            let mut slot = match before.iter().position(keeps) {
                Some(at) => before.remove(at),
                None => Slot::new(plan, named, networks),
            };
            if slot.plan != *plan {
                slot.model.reconfigure(&plan.detector);
                slot.plan = plan.clone();
            }
            self.slots.push(slot);
        }
        self.plans = generation;
        before.into_iter().filter_map(|slot| Some((slot.plan, slot.open?))).collect()
    }
}

impl Encode for Series {
    fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(&self.named, self.slots.len() as u32), out);
        for Slot { plan, model, open } in &self.slots {
            encoding::put(&(&plan.name, plan.version, open), out);
            model.encode(out);
        }
    }
}

impl Series {
    /// Reads what [`Encode::encode`] wrote; `plan` looks up a detector of a stream by its name and version.
    pub(crate) fn decode(
        mut bytes: &[u8],
        networks: &Networks,
        mut plan: impl FnMut(&str, &Arc<str>, u64) -> Result<Arc<Plan>, DecodeError>,
    ) -> Result<Self, DecodeError> {
        let bytes = &mut bytes;
        let (named, count): (SeriesRef, u32) = encoding::take(bytes)?;
        let mut series = Self::new(named);
        let values = series.named.features.len();
        for _ in 0..count {
            let (name, version, open): (Arc<str>, u64, Option<Open>) = encoding::take(bytes)?;
            let plan = plan(&series.named.stream, &name, version)?;
            let (detector, version) = (&plan.detector, detect::STATE_VERSION);
            let model = SeriesModel::decode_sharing(detector, values, version, networks, bytes)?;
            series.slots.push(Slot { plan, model, open });
        }
        encoding::ensure(bytes.is_empty(), "length of a series")?;
        Ok(series)
    }
}
