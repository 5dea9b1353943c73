//! A partition's state as it is saved and read back: a head, and one item for each series. What follows from these
//! and from `control` is not stored.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use control::History;
use domain::{
    Micros, Position, Track,
    encoding::{self, DecodeError},
};
use exchange::Partition;
use serde::{Deserialize, Serialize};
use snapshot::{Begun, Capture, Header, Slices};
use stage::{Origin, PartitionState};

use super::State;
use crate::{
    config::WindowingConfig,
    log_time::LogTime,
    order::Features,
    series::{InForce, Series},
};

/// The version of the encoding; with [`drift::STATE_VERSION`] of the drift tests.
pub(crate) const STATE_VERSION: u32 = 1;

/// More than fit into any memory.
const SERIES_MAX: u32 = 1 << 28;

/// All but the series.
#[derive(Deserialize, Serialize)]
struct Head {
    track: Track,
    log_time: LogTime,
    ticked_at: Micros,
    series: u32,
}

impl Capture for State {
    fn begin(&mut self) -> Begun {
        self.series.begin();
        let mut head = vec![];
        let parts = (&self.track, &self.log_time, self.ticked_at, self.series.len() as u32);
        encoding::put(&parts, &mut head);
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
    history: Arc<History>,
    /// Definitions that series refer to, by name and config version.
    streams: HashMap<(Arc<str>, u64), Arc<InForce>>,
    /// Names of values, so that series with the same ones share them again.
    features: HashSet<Features>,
}

impl Saved {
    /// Begins with the head.
    pub(crate) fn new(
        partition: &Partition,
        config: &WindowingConfig,
        history: &Arc<History>,
        header: &Header,
        mut head: &[u8],
    ) -> Result<Self, DecodeError> {
        encoding::ensure_version(header.state_version, STATE_VERSION)?;
        let head: Head = encoding::take(&mut head)?;
        encoding::ensure(head.series <= SERIES_MAX, "number of series")?;
        let origin = Origin { epoch: header.epoch, in_the_middle: false };
        let source: Arc<str> = partition.to_string().into();
        let mut state = State::new(source.clone(), origin, config);
        state.definitions = history.at(header.config_version);
        encoding::ensure(
            state.definitions.version == header.config_version,
            "config version: control does not reach it",
        )?;
        state.set_limits();
        state.set_streams();
        (state.track, state.log_time, state.ticked_at) =
            (head.track, head.log_time, head.ticked_at);
        state.next = Position { source, epoch: header.epoch, number: header.next };
        let mut series = vec![];
        series.resize_with(head.series as usize, || None);
        Ok(Self {
            state,
            series,
            history: Arc::clone(history),
            streams: HashMap::new(),
            features: HashSet::new(),
        })
    }

    /// Reads one series.
    pub(crate) fn item(&mut self, index: u32, bytes: &[u8]) -> Result<(), DecodeError> {
        let Self { state, series, history, streams, features } = self;
        let lookup = |name: &str, since: u64| {
            let key = (Arc::from(name), since);
            if let Some(known) = streams.get(&key) {
                return Ok(Arc::clone(known));
            }
            let stream = history.at(since).stream(name);
            let stream = stream.ok_or(DecodeError::Impossible("stream: control has none such"))?;
            // Mostly it is the one in force, which all its series share.
            let current = state.streams.get(&key.0).filter(|current| current.stream == stream);
            let found = current.cloned().unwrap_or_else(|| Arc::new(InForce { since, stream }));
            streams.insert(key, Arc::clone(&found));
            Ok(found)
        };
        let mut one = Series::decode(bytes, lookup)?;
        match features.get(&one.features) {
            Some(known) => one.features.clone_from(known),
            None => drop(features.insert(one.features.clone())),
        }
        let index = index as usize;
        let place = series.get_mut(index).filter(|place| place.is_none());
        let place = place.ok_or(DecodeError::Impossible("index of a series"))?;
        if one.waits() {
            state.holding.insert(index);
        }
        state.by_key.insert((one.stream_name.clone(), one.key.clone()), index);
        *place = Some(one);
        Ok(())
    }

    /// The state, if nothing is missing.
    pub(crate) fn finish(self) -> Result<State, DecodeError> {
        let Self { mut state, series, .. } = self;
        let count = series.len();
        let series: Option<Vec<Series>> = series.into_iter().collect();
        let series = series.ok_or(DecodeError::Impossible("number of series"))?;
        encoding::ensure(state.by_key.len() == count, "two series of one name")?;
        state.series = Slices::from(series);
        Ok(state)
    }
}
