//! What every algorithm does with rows, and what it says about them.

use std::fmt::Debug;

use domain::{Algorithm, Micros, encoding::DecodeError};

use crate::{
    Networks,
    calibration::Prior,
    nearest::{Nearest, Search},
    novelty::Seen,
};

/// A range reaches so many units at most: a level of hundreds has more than a double can hold.
const UNITS_MAX: f64 = 1e30;

/// What is scored: the values of one series at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The values; a missing one is NaN.
    pub values: &'a [f64],
    /// Event time on the wall clock of the stream's zone, counted as if it were UTC: what the hour
    /// of the day and the day of the week follow from.
    pub at: Micros,
}

/// One algorithm's model of one series. Seeded, with no clock: the same calls give the same bits.
pub trait Scorer: Clone + Debug + PartialEq + Sized {
    /// What the raw score is made of.
    const LEVELS: Levels;

    /// A model that has seen nothing, for rows of so many values. The algorithm is of its kind and
    /// checked.
    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self;

    /// The same, sharing what was read already; it makes no difference but in cost.
    fn sharing(algorithm: &Algorithm, values: usize, seed: u64, _: &Networks) -> Self {
        Self::new(algorithm, values, seed)
    }

    /// Adds what it shares with other series.
    fn networks(&self, _: &mut Networks) {}

    /// The bytes on the heap that a model will take, told before it is made.
    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize;

    /// Scores a row; learns nothing. Sets all of `out` but the buffers that
    /// [`prepare`](Assessment::prepare) has filled and it has nothing to say for.
    fn score(&self, row: Row<'_>, out: &mut Assessment);

    /// Learns a row; `seen` is what [`score`](Self::score) has just said of it.
    fn learn(&mut self, row: Row<'_>, seen: &Assessment);

    /// Offers to a search near this row the rows that it remembers; most models remember none.
    #[allow(unused_variables, reason = "their names are for those that do")]
    fn remembered(&self, row: Row<'_>, search: &mut Search<'_>) {}

    /// Keeps what it takes to learn from feedback on the row of this number, of which
    /// [`score`](Self::score) has just said this.
    fn remember(&mut self, _row: u64, _seen: &Assessment) {}

    /// Learns whether the row of this number was odd. False if it learns nothing from that.
    fn feedback(&mut self, _row: u64, _odd: bool) -> bool {
        false
    }

    /// Takes over from the model that it follows what holds however much has changed: what people said.
    fn inherit(&mut self, _before: &mut Self) {}

    /// How many rows it has learned.
    fn rows(&self) -> u64;

    /// Bytes on the heap; constant over a model's life.
    fn bytes(&self) -> usize;

    /// Appends what was learned. The arguments of [`new`](Self::new) are known to who decodes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Puts what [`encode`](Self::encode) appended into a new model made with the same arguments.
    ///
    /// # Errors
    /// Bytes that are no encoding of such a model.
    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError>;
}

/// What calibration judges, each by its own past. The level of a distance of so many units is ln(1 +
/// units); a level is about 0 to 8 with an exponential tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// One level for each value: one that is wild by habit must not hide a calm one.
    Values(Prior),
    /// The same of distances, and one of the row as a whole behind them.
    ValuesAndRow(Prior),
    /// One level of the row.
    Row(Prior),
    /// None: the raw score, in a unit of its own, is standardised by its own past.
    Raw,
}

impl Levels {
    /// Whether a value's level is that of its distance from what was expected, in units of deviation.
    pub(crate) fn are_distances(self) -> bool {
        matches!(self, Self::Values(Prior::DISTANCE) | Self::ValuesAndRow(_))
    }

    /// How many there are for so many values.
    pub fn count(self, values: usize) -> usize {
        match self {
            Self::Values(_) => values,
            Self::ValuesAndRow(_) => values + 1,
            Self::Row(_) | Self::Raw => 1,
        }
    }

    /// How many rows in a row are past a threshold by one chance.
    pub(crate) fn lasting(self) -> f64 {
        self.priors(1).map(Prior::lasting).fold(1.0, f64::max)
    }

    /// What is believed, before any was seen, of each of them.
    pub fn priors(self, values: usize) -> impl Iterator<Item = Prior> {
        let (each, of_each, row) = match self {
            Self::Values(prior) => (values, prior, None),
            Self::ValuesAndRow(prior) => (values, Prior::DISTANCE, Some(prior)),
            Self::Row(prior) => (0, prior, Some(prior)),
            Self::Raw => (0, Prior::DISTANCE, Some(Prior::DISTANCE)),
        };
        std::iter::repeat_n(of_each, each).chain(row)
    }
}

/// What a model says about one row, and room to work in. The buffers are reused from row to row and
/// from series to series; all but `levels`, `members` and the rooms have one entry per value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// How odd the row is, in the algorithm's own unit; higher is odder. 0 if every value is
    /// missing.
    pub raw: f64,
    /// In [0, 1]: how much the model has seen, times the share of values that are present. At 0 it
    /// says nothing, and no raw score is learned as usual.
    pub confidence: f64,
    /// Each value's share of the oddness; they sum to 1. All 0 if every value is missing.
    pub contributions: Vec<f64>,
    /// What was expected of each value, in the value's unit; NaN while nothing is known.
    pub expected: Vec<f64>,
    /// Lower end of the expected range; NaN while nothing is known.
    pub lower: Vec<f64>,
    /// Upper end of the expected range; NaN while nothing is known.
    pub upper: Vec<f64>,
    /// One unit of deviation of each value, in the value's unit; NaN while nothing is known.
    pub scale: Vec<f64>,
    /// See [`Levels`]; NaN where nothing is known. With [`Levels::Raw`] it is not the model that
    /// sets it.
    pub levels: Vec<f64>,
    /// What the model remembers that is nearest to the row, if an anomaly opens at it or somebody
    /// [asks](crate::Model::nearest).
    pub nearest: Nearest,
    /// Room for the model to work in, from a row's score to its learning.
    pub room: Vec<f64>,
    /// The same for novelty memories: what they saw of each value.
    pub(crate) seen: Vec<Seen>,
    /// The same for numbers of two bytes.
    pub short_room: Vec<u16>,
    /// The same for numbers of single precision.
    pub single_room: Vec<f32>,
    /// What the members of an ensemble say, from a row's score to its learning.
    pub members: Vec<Assessment>,
}

impl Assessment {
    /// Makes it say nothing, about a row of so many values with so many levels.
    pub fn prepare(&mut self, values: usize, levels: usize) {
        (self.raw, self.confidence) = (0.0, 0.0);
        self.nearest.prepare(values);
        self.contributions.clear();
        self.contributions.resize(values, 0.0);
        for unknown in [&mut self.expected, &mut self.lower, &mut self.upper, &mut self.scale] {
            unknown.clear();
            unknown.resize(values, f64::NAN);
        }
        self.levels.clear();
        self.levels.resize(levels, f64::NAN);
    }

    /// Makes the contributions sum to 1; the values that are present count equally if all are 0.
    pub(crate) fn normalise(&mut self, row: &[f64]) {
        let sum: f64 = self.contributions.iter().sum();
        if sum > 0.0 && sum.is_finite() {
            self.contributions.iter_mut().for_each(|c| *c /= sum);
            return;
        }
        let here = |index| crate::present(row, index).is_some();
        let present = (0..self.contributions.len()).filter(|&index| here(index)).count();
        for (index, share) in self.contributions.iter_mut().enumerate() {
            *share = if here(index) { 1.0 / present as f64 } else { 0.0 };
        }
    }

    /// The value that contributed most, and its share.
    pub fn top(&self) -> (usize, f64) {
        top(&self.contributions)
    }

    /// How far the value that contributed most lies above what was expected of it, in its unit; NaN
    /// if that is unknown.
    pub(crate) fn deviation(&self, values: &[f64]) -> f64 {
        let top = self.top().0;
        let known = values.get(top).zip(self.expected.get(top));
        known.map_or(f64::NAN, |(value, expected)| value - expected)
    }

    /// Sets the expected range of a value to so many units of deviation about the expected value.
    pub(crate) fn widen(&mut self, value: usize, units: f64) {
        let (expected, reach) = (self.expected[value], units.min(UNITS_MAX) * self.scale[value]);
        self.lower[value] = expected - reach;
        self.upper[value] = expected + reach;
    }
}

/// The largest contribution, the first of equals, with its place.
pub(crate) fn top(contributions: &[f64]) -> (usize, f64) {
    let largest = |best: (usize, f64), (index, &share): (usize, &f64)| {
        if share > best.1 { (index, share) } else { best }
    };
    contributions.iter().enumerate().fold((0, 0.0), largest)
}

/// The level of a distance of so many units.
pub(crate) fn level_of(units: f64) -> f64 {
    libm::log1p(units)
}

/// The units at a level; the inverse of [`level_of`].
pub(crate) fn units_at(level: f64) -> f64 {
    libm::expm1(level)
}
