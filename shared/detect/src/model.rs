//! The closed set of algorithms, and what each of them says about a row.

use domain::{Algorithm, encoding::DecodeError};

use crate::{HalfSpaceTrees, RobustZ, calibration::Prior, half_space_trees::Position};

/// What a model says about one row. The buffers are reused from row to row; each has one entry per value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// How odd the row is, in the algorithm's own unit; higher is odder. 0 if every value is missing. Series of
    /// one value are judged by it; those of several by [`levels`](Self::levels).
    pub raw: f64,
    /// In [0, 1]: how much the model has seen, times the share of values that are present.
    pub confidence: f64,
    /// Each value's share of the oddness; they sum to 1. All 0 if every value is missing.
    pub contributions: Vec<f64>,
    /// What was expected of each value, in the value's unit; NaN while nothing is known.
    pub expected: Vec<f64>,
    /// Lower end of the expected range; NaN while nothing is known.
    pub lower: Vec<f64>,
    /// Upper end of the expected range; NaN while nothing is known.
    pub upper: Vec<f64>,
    /// One unit of deviation of each value, in the value's unit.
    pub scale: Vec<f64>,
    /// What the calibration judges, each by its own past, since a value that is wild by habit must not hide a
    /// calm one: the distance of each value and, if the algorithm has one, the oddness of the row as a whole.
    /// About 0 to 8 with an exponential tail; NaN for a missing value.
    pub levels: Vec<f64>,
    /// Room to work in.
    pub(crate) positions: Vec<Position>,
}

impl Assessment {
    /// Buffers for rows of so many values.
    pub fn new(values: usize) -> Self {
        Self {
            raw: 0.0,
            confidence: 0.0,
            contributions: vec![0.0; values],
            expected: vec![f64::NAN; values],
            lower: vec![f64::NAN; values],
            upper: vec![f64::NAN; values],
            scale: vec![f64::NAN; values],
            levels: vec![0.0; values + 1],
            positions: Vec::with_capacity(values),
        }
    }

    /// Bytes on the heap for so many values.
    pub fn bytes_for(values: usize) -> usize {
        values * (6 * size_of::<f64>() + size_of::<Position>()) + size_of::<f64>()
    }

    /// Makes the contributions sum to 1; `present` of them count, equally if all are 0.
    pub(crate) fn normalise(&mut self, row: &[f64], present: usize) {
        let sum: f64 = self.contributions.iter().sum();
        if sum > 0.0 && sum.is_finite() {
            self.contributions.iter_mut().for_each(|c| *c /= sum);
        } else if present > 0 {
            for (index, share) in self.contributions.iter_mut().enumerate() {
                let here = crate::present(row, index).is_some();
                *share = if here { 1.0 / present as f64 } else { 0.0 };
            }
        }
    }

    /// Sets the expected range of a value to so many units of deviation about the expected value.
    pub(crate) fn widen(&mut self, value: usize, units: f64) {
        let (expected, reach) = (self.expected[value], units * self.scale[value]);
        self.lower[value] = expected - reach;
        self.upper[value] = expected + reach;
    }
}

/// The level of a distance of so many units.
pub(crate) fn level_of(units: f64) -> f64 {
    libm::log1p(units)
}

/// The units at a level; the inverse of [`level_of`].
pub(crate) fn units_at(level: f64) -> f64 {
    libm::expm1(level)
}

/// What one detector has learned of one series.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// See [`RobustZ`].
    RobustZ(RobustZ),
    /// See [`HalfSpaceTrees`].
    HalfSpaceTrees(HalfSpaceTrees),
}

impl Model {
    /// A model that has seen nothing. The same arguments give the same model, bit for bit.
    pub fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        match algorithm.resolved(values) {
            Algorithm::HalfSpaceTrees { trees, depth, window } => {
                Self::HalfSpaceTrees(HalfSpaceTrees::new(trees, depth, window, values, seed))
            }
            Algorithm::RobustZ { window } => Self::RobustZ(RobustZ::new(window, values)),
            Algorithm::Auto => unreachable!("resolved() never answers Auto"),
        }
    }

    /// Scores a row; learns nothing.
    pub fn score(&self, row: &[f64], out: &mut Assessment) {
        match self {
            Self::RobustZ(model) => model.score(row, out),
            Self::HalfSpaceTrees(model) => model.score(row, out),
        }
    }

    /// Learns a row. Score first, learn second.
    pub fn learn(&mut self, row: &[f64]) {
        match self {
            Self::RobustZ(model) => model.learn(row),
            Self::HalfSpaceTrees(model) => model.learn(row),
        }
    }

    /// What is believed, before any was seen, of the levels: one of each value, then that of the row.
    pub fn priors(&self, values: usize) -> impl Iterator<Item = Prior> {
        let whole = matches!(self, Self::HalfSpaceTrees(_)).then_some(Prior::RARITY);
        std::iter::repeat_n(Prior::DISTANCE, values).chain(whole)
    }

    /// How many levels a row of so many values has.
    pub fn levels_for(algorithm: &Algorithm, values: usize) -> usize {
        match algorithm.resolved(values) {
            Algorithm::HalfSpaceTrees { .. } => values + 1,
            _ => values,
        }
    }

    /// Appends what was learned; the algorithm is known to who decodes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::RobustZ(model) => model.encode(out),
            Self::HalfSpaceTrees(model) => model.encode(out),
        }
    }

    /// Takes what [`encode`](Self::encode) appended; the arguments are those of [`new`](Self::new).
    pub(crate) fn decode(
        algorithm: &Algorithm,
        values: usize,
        seed: u64,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let mut new = Self::new(algorithm, values, seed);
        match &mut new {
            Self::RobustZ(model) => model.decode(bytes)?,
            Self::HalfSpaceTrees(model) => model.decode(bytes)?,
        }
        Ok(new)
    }

    /// How many rows it has learned.
    pub fn rows(&self) -> u64 {
        match self {
            Self::RobustZ(model) => model.rows(),
            Self::HalfSpaceTrees(model) => model.rows(),
        }
    }

    /// Bytes on the heap; constant over a model's life.
    pub fn bytes(&self) -> usize {
        match self {
            Self::RobustZ(model) => model.bytes(),
            Self::HalfSpaceTrees(model) => model.bytes(),
        }
    }

    /// The heap bytes a model will take, told before it is made.
    pub fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        match algorithm.resolved(values) {
            Algorithm::HalfSpaceTrees { trees, depth, .. } => {
                HalfSpaceTrees::bytes_for(trees, depth, values)
            }
            Algorithm::RobustZ { window } => RobustZ::bytes_for(window, values),
            Algorithm::Auto => unreachable!("resolved() never answers Auto"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SAMPLES;

    fn check(algorithm: &Algorithm, values: usize) {
        let mut model = Model::new(algorithm, values, 7);
        let promised = Model::bytes_for(algorithm, values);
        assert_eq!(model.bytes(), promised, "{algorithm:?}");
        let mut out = Assessment::new(values);
        for i in 0..1500_u64 {
            let row: Vec<f64> =
                (0..values as u64).map(|v| ((i * 7919 + v * 104_729) % 1000) as f64).collect();
            model.score(&row, &mut out);
            assert!(out.raw.is_finite() && (0.0..=1.0).contains(&out.confidence));
            let sum: f64 = out.contributions.iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "shares sum to {sum}");
            model.learn(&row);
            model.learn(&vec![f64::NAN; values]);
        }
        model.score(&vec![f64::NAN; values], &mut out);
        assert_eq!((out.raw, out.confidence), (0.0, 0.0), "nothing is known of missing values");
        assert_eq!(model.bytes(), promised, "bounded");
    }

    #[test]
    fn every_algorithm_keeps_the_contract() {
        for algorithm in SAMPLES {
            [1, 3, 4, 40].into_iter().for_each(|values| check(algorithm, values));
        }
        check(&Algorithm::HalfSpaceTrees { trees: 5, depth: 12, window: 64 }, 40);
    }
}
