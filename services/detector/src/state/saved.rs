//! A partition's state as it is saved and read back: a head, and one item for each series. What follows from these
//! and from `control` is not stored.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use control::History;
use domain::{
    Detector, Position, Track,
    encoding::{self, DecodeError},
};
use exchange::Partition;
use snapshot::{Begun, Capture, Header, Slices};
use stage::{Origin, PartitionState};

use super::State;
use crate::{
    civil,
    config::DetectorConfig,
    slots::{Plan, Series},
};

/// The version of the encoding; with [`detect::STATE_VERSION`] of the models.
pub(crate) const STATE_VERSION: u32 = 1;
/// More than fit into any memory.
const SERIES_MAX: u32 = 1 << 28;

impl Capture for State {
    fn begin(&mut self) -> Begun {
        self.series.begin();
        let mut head = vec![];
        let (series, places) = (self.series.len() as u32, self.series.places() as u32);
        encoding::put(&(&self.track, series, places), &mut head);
        Begun {
            state_version: STATE_VERSION,
            config_version: self.definitions.version,
            epoch: self.next.epoch,
            next: self.next.number,
            head,
        }
    }

    fn advance(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        self.series.advance(bytes, out)
    }

    fn buffered(&self) -> usize {
        self.series.buffered()
    }

    fn cancel(&mut self) {
        self.series.cancel();
    }
}

impl PartitionState for State {
    fn position(&self) -> (u32, u64) {
        (self.next.epoch, self.next.number)
    }

    fn item(&self) -> u64 {
        self.item
    }
}

/// A state that is being read.
pub struct Saved {
    state: State,
    series: Vec<Option<Series>>,
    /// How many there will be.
    count: usize,
    history: Arc<History>,
    /// Detectors that models refer to, by stream, name and version.
    plans: HashMap<(Arc<str>, Arc<str>, u64), Arc<Plan>>,
    /// Names of values, so that series with the same ones share them again.
    features: HashSet<Arc<[Arc<str>]>>,
}

impl Saved {
    /// Begins with the head.
    pub(crate) fn new(
        partition: &Partition,
        config: &DetectorConfig,
        history: &Arc<History>,
        header: &Header,
        mut head: &[u8],
    ) -> Result<Self, DecodeError> {
        encoding::ensure_version(header.state_version, STATE_VERSION)?;
        let (track, count, places): (Track, u32, u32) = encoding::take(&mut head)?;
        encoding::ensure(count <= places && places <= SERIES_MAX, "number of series")?;
        let origin = Origin { epoch: header.epoch, in_the_middle: false };
        let source: Arc<str> = partition.to_string().into();
        let mut state = State::new(source.clone(), origin, config);
        state.definitions = history.at(header.config_version);
        encoding::ensure(
            state.definitions.version == header.config_version,
            "config version: control does not reach it",
        )?;
        state.set_limits();
        let unknown = DecodeError::Impossible("detector: this build can't run it");
        state.read_networks().map_err(|_| unknown)?;
        state.track = track;
        state.next = Position { source, epoch: header.epoch, number: header.next };
        let mut series = vec![];
        series.resize_with(places as usize, || None);
        Ok(Self {
            state,
            series,
            count: count as usize,
            history: Arc::clone(history),
            plans: HashMap::new(),
            features: HashSet::new(),
        })
    }

    /// Reads one series.
    pub(crate) fn item(&mut self, index: u32, bytes: &[u8]) -> Result<(), DecodeError> {
        let Self { state, series, history, plans, features, .. } = self;
        let lookup = |stream: &str, name: &Arc<str>, version: u64| {
            let key = (Arc::from(stream), name.clone(), version);
            if let Some(known) = plans.get(&key) {
                return Ok(Arc::clone(known));
            }
            let detector = detector(history, stream, name, version)
                .ok_or(DecodeError::Impossible("detector: control has none such"))?;
            let zone = civil::zone_of(state.definitions.stream(stream).as_ref());
            let plan = Arc::new(Plan { name: name.clone(), version, detector, zone });
            plans.insert(key, Arc::clone(&plan));
            Ok(plan)
        };
        let mut one = Series::decode(bytes, &state.networks, lookup)?;
        match features.get(&one.named.features) {
            Some(known) => one.named.features.clone_from(known),
            None => drop(features.insert(one.named.features.clone())),
        }
        let index = index as usize;
        let place = series.get_mut(index).filter(|place| place.is_none());
        let place = place.ok_or(DecodeError::Impossible("index of a series"))?;
        let open = one.slots.iter().enumerate().filter(|(_, slot)| slot.open.is_some());
        state.open.extend(open.map(|(at, _)| (index, at)));
        let (models, bytes) = one.models();
        state.models += models;
        state.model_bytes += bytes;
        let named = &one.named;
        let key = ((named.stream.clone(), named.window.clone()), named.key.clone());
        state.by_name.insert(key, index);
        *place = Some(one);
        Ok(())
    }

    /// The state, if nothing is missing.
    pub(crate) fn finish(self) -> Result<State, DecodeError> {
        let Self { mut state, series, count, .. } = self;
        encoding::ensure(series.iter().flatten().count() == count, "number of series")?;
        encoding::ensure(state.by_name.len() == count, "two series of one name")?;
        state.series = Slices::from(series);
        Ok(state)
    }
}

/// The definition of a detector by the version that made it; 0 is the implicit one.
fn detector(history: &History, stream: &str, name: &str, version: u64) -> Option<Detector> {
    if version == 0 {
        return Some(Detector::implicit(stream)).filter(|detector| detector.name == name);
    }
    let (found, detector) = history.at(version).detectors.remove(name)?;
    (found == version).then_some(detector)
}
