//! The one-class support vector machine (Schölkopf, Platt, Shawe-Taylor, Smola & Williamson 2001: "Estimating the
//! support of a high-dimensional distribution"), learned online by stochastic gradient steps as in NORMA
//! (Kivinen, Smola & Williamson 2004: "Online learning with kernels"). A row is odd by how far it is on the wrong
//! side of a hyperplane that a share `nu` of rows should be beyond.
//!
//! The hyperplane is in the space of the values' closeness to their means (`features` 0), since no hyperplane
//! has standardised values, which lie about the origin, on the other side of it; or in that of random Fourier
//! features (Rahimi & Recht 2007: "Random features for large-scale kernel machines"), which stand for a Gaussian
//! kernel. Both say little of rows far out, where the kernel is 0 everywhere: what values are beyond
//! three deviations is added. Lasting anomalies are kept out for some time, see `gate.rs`.

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take, take_count},
};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{
    Assessment,
    calibration::Prior,
    gate::{GATE_ROWS, Gate, USUAL_FROM, raised},
    scorer::{Levels, Row, Scorer, level_of},
    standard::{Standard, Standards},
};

/// Size of a gradient step.
const RATE: f64 = 0.02;
/// Weight of the margin's width: with the rate, a row counts 1/e after 1,000.
const WIDTH: f64 = 0.05;
/// The kernel falls to 1/e at a squared distance of one over this, per value.
const KERNEL: f64 = 2.0;
/// The hyperplane sees no deviation as larger.
const REACH: f64 = 3.0;
/// A score must be so many deviations above the usual before it is worth telling which value made it.
const ODD: f64 = 2.0;
/// No weight and no offset is larger: features of 1,000 values are at most 3,000 long.
const WEIGHT_MAX: f64 = 1e9;

/// A hyperplane with most rows on one side.
#[derive(Clone, Debug, PartialEq)]
pub struct OneClassSvm {
    standards: Standards,
    /// For each random feature the frequencies of all values and the phase; nothing if linear.
    waves: Box<[f32]>,
    weights: Box<[f64]>,
    offset: f64,
    nu: f64,
    /// What is usual of raw scores.
    usual: Standard,
    gate: Gate,
    rows: u64,
}

impl Scorer for OneClassSvm {
    const LEVELS: Levels = Levels::Row(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let features = algorithm.whole("features");
        let scale = (2.0 * KERNEL / values.max(1) as f64).sqrt();
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut uniform = || f64::from(random.next_u32()) / f64::from(u32::MAX);
        let mut waves = Vec::with_capacity(features * (values + 1));
        for _ in 0..features {
            for _ in 0..values {
                let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                waves.push((scale * normal) as f32);
            }
            waves.push((std::f64::consts::TAU * uniform()) as f32);
        }
        Self {
            standards: Standards::new(values),
            waves: waves.into(),
            weights: vec![0.0; dimensions(features, values)].into(),
            offset: 0.0,
            nu: algorithm.get("nu"),
            usual: Standard::default(),
            gate: Gate::new(GATE_ROWS),
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let features = algorithm.whole("features");
        Standards::bytes(values)
            + features * (values + 1) * size_of::<f32>()
            + dimensions(features, values) * size_of::<f64>()
    }

    /// Scores a row: how far it is beyond the hyperplane, plus logarithms of what values are beyond three
    /// deviations. The room keeps its deviations, the features, and their arguments.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let known = self.standards.place(row.values, self.rows, out);
        let mut outside = 0.0;
        for (z, part) in out.room.iter_mut().zip(&mut out.contributions) {
            if z.abs() > REACH {
                *part = libm::log1p(z.abs() - REACH);
                outside += *part;
            }
            *z = if z.is_nan() { 0.0 } else { z.clamp(-REACH, REACH) };
        }
        self.features(&mut out.room);
        if known > 0 {
            let values = self.standards.len();
            let side = self.side(&out.room[values..]);
            out.raw = self.offset - side + outside;
            let deviations = self.usual.distance(out.raw);
            self.attribute(side, deviations > ODD, out);
            if self.rows > 0 {
                out.levels[0] = level_of(raised(deviations));
            }
        }
        out.normalise(row.values);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        self.rows += 1;
        if !self.gate.lets_in(self.usual.distance(seen.raw), self.rows) {
            return;
        }
        if self.rows >= USUAL_FROM {
            self.usual.learn(seen.raw);
        }
        if let Some(features) = seen.room.get(self.standards.len()..) {
            self.step(features);
        }
        self.standards.learn(row.values);
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        Standards::bytes(self.standards.len())
            + size_of_val(&*self.waves)
            + size_of_val(&*self.weights)
    }

    /// Nor are the waves told, which follow from the seed.
    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows, self.offset), out);
        self.standards.encode(out);
        self.weights.iter().for_each(|weight| put(weight, out));
        self.usual.encode(out);
        self.gate.encode(out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        self.offset = take(bytes)?;
        self.standards.decode(bytes)?;
        for weight in &mut self.weights {
            *weight = take(bytes)?;
            ensure(weight.abs() <= WEIGHT_MAX, "weight of a feature")?;
        }
        ensure(self.offset.abs() <= WEIGHT_MAX, "offset")?;
        self.usual = Standard::decode(bytes)?;
        self.gate.decode(bytes)
    }
}

impl OneClassSvm {
    /// Moves the hyperplane by a row's features.
    fn step(&mut self, features: &[f64]) {
        let beyond = self.side(features) < self.offset;
        let (keep, step) = (1.0 - RATE * WIDTH, if beyond { RATE } else { 0.0 });
        for (weight, feature) in self.weights.iter_mut().zip(features) {
            *weight = keep * *weight + step * feature;
        }
        let moved = if beyond { self.nu - 1.0 } else { self.nu };
        self.offset = (self.offset + RATE * moved).clamp(-WEIGHT_MAX, WEIGHT_MAX);
    }

    /// Appends the features of the deviations that stand in the room, and behind them their arguments.
    fn features(&self, room: &mut Vec<f64>) {
        let values = self.standards.len();
        if self.waves.is_empty() {
            (0..values).for_each(|value| room.push(REACH - room[value].abs()));
            return;
        }
        let count = self.weights.len();
        room.resize(values + 2 * count, 0.0);
        let (deviations, room) = room.split_at_mut(values);
        let (features, arguments) = room.split_at_mut(count);
        let scale = self.scale();
        let waves = self.waves.chunks_exact(values + 1);
        for ((wave, feature), argument) in waves.zip(features).zip(arguments) {
            let sum: f64 = wave.iter().zip(&*deviations).map(|(&w, z)| f64::from(w) * z).sum();
            *argument = sum + f64::from(wave[values]);
            *feature = scale * libm::cos(*argument);
        }
    }

    /// Makes the features' squares add up to 1 in the mean.
    fn scale(&self) -> f64 {
        (2.0 / self.weights.len().max(1) as f64).sqrt()
    }

    /// Where these features are along the hyperplane's normal.
    fn side(&self, features: &[f64]) -> f64 {
        self.weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum()
    }

    /// Adds each value's part in a row's being beyond: by how much less it were if the value were as expected.
    /// With random features that costs as much as the row for each value, so that of rows that are not odd the
    /// squares of the deviations are told.
    fn attribute(&self, side: f64, odd: bool, out: &mut Assessment) {
        let (values, count) = (self.standards.len(), self.weights.len());
        for (value, part) in out.contributions.iter_mut().enumerate() {
            let z = out.room[value];
            if self.waves.is_empty() {
                *part += (self.weights[value] * z.abs()).max(0.0);
            } else if !odd {
                *part += z * z;
            } else if z != 0.0 {
                let arguments = &out.room[values + count..];
                let waves = self.waves.chunks_exact(values + 1);
                let without = self
                    .weights
                    .iter()
                    .zip(arguments)
                    .zip(waves)
                    .map(|((w, a), wave)| w * libm::cos(a - f64::from(wave[value]) * z));
                *part += (self.scale() * without.sum::<f64>() - side).max(0.0);
            }
        }
    }
}

/// How many features there are.
fn dimensions(features: usize, values: usize) -> usize {
    if features == 0 { values } else { features }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Normal(Pcg64Mcg);

    impl Normal {
        fn next(&mut self) -> f64 {
            let mut uniform = || f64::from(self.0.next_u32()) / f64::from(u32::MAX);
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        }
    }

    fn score(model: &OneClassSvm, row: &[f64]) -> Assessment {
        let mut out = Assessment::default();
        out.prepare(row.len(), 1);
        model.score(Row { values: row, at: 0 }, &mut out);
        out
    }

    fn trained(features: f64, mut next: impl FnMut(&mut Normal) -> [f64; 2]) -> OneClassSvm {
        let algorithm = Algorithm::new(domain::Kind::OneClassSvm).with("features", features);
        let mut model = OneClassSvm::new(&algorithm, 2, 4);
        let mut normal = Normal(Pcg64Mcg::seed_from_u64(6));
        for _ in 0..12_000 {
            let row = next(&mut normal);
            let seen = score(&model, &row);
            model.learn(Row { values: &row, at: 0 }, &seen);
        }
        model
    }

    /// See tests/recorded/one_class_svm.py.
    #[test]
    fn it_is_what_scikit_learn_says() {
        let algorithm = Algorithm::new(domain::Kind::OneClassSvm).with("features", 0.0);
        let mut model = OneClassSvm::new(&algorithm.with("nu", 0.05), 3, 0);
        // The first row lies on the hyperplane of nothing, which to scikit-learn is beyond.
        model.offset = f64::MIN_POSITIVE;
        let (mut rows, mut beyond) = (0, 0);
        for line in include_str!("../tests/recorded/one_class_svm.csv").lines().skip(1) {
            let numbers: Vec<f64> =
                line.split(',').map(|text| text.parse().expect("a number")).collect();
            let found = model.offset - model.side(&numbers[..3]);
            assert!((found - numbers[3]).abs() < 1e-9, "{found} {line}");
            model.step(&numbers[..3]);
            (rows, beyond) = (rows + 1, beyond + usize::from(found > 0.0));
        }
        assert!(rows == 600 && (5..50).contains(&beyond), "{beyond} of {rows}");
    }

    #[test]
    fn a_share_of_nu_is_beyond() {
        for features in [0.0, 64.0] {
            let next = |normal: &mut Normal| [normal.next(), 5.0 * normal.next()];
            let mut model = trained(features, next);
            let mut normal = Normal(Pcg64Mcg::seed_from_u64(7));
            let mut beyond = 0;
            for _ in 0..10_000 {
                let row = next(&mut normal);
                let seen = score(&model, &row);
                beyond += usize::from(seen.raw > 0.0);
                model.learn(Row { values: &row, at: 0 }, &seen);
            }
            assert!((900..1150).contains(&beyond), "{beyond} of 10,000");
        }
    }

    #[test]
    fn the_features_stand_for_the_kernel() {
        let algorithm = Algorithm::new(domain::Kind::OneClassSvm).with("features", 4096.0);
        let model = OneClassSvm::new(&algorithm, 3, 1);
        let features = |row: [f64; 3]| {
            let mut room = row.to_vec();
            model.features(&mut room);
            room[3..3 + 4096].to_vec()
        };
        let mut normal = Normal(Pcg64Mcg::seed_from_u64(8));
        for _ in 0..20 {
            let (a, b) = ([0; 3].map(|_| normal.next()), [0; 3].map(|_| normal.next()));
            let product: f64 = features(a).iter().zip(features(b)).map(|(a, b)| a * b).sum();
            let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
            let kernel = libm::exp(-KERNEL / 3.0 * square);
            // The mean of 4,096 products, each with a deviation of about 1.
            assert!((product - kernel).abs() < 0.06, "{product} {kernel}");
        }
    }

    #[test]
    fn a_hole_between_two_groups_is_odd() {
        let model = trained(256.0, |normal| {
            let side = if normal.next() > 0.0 { 10.0 } else { -10.0 };
            [side + normal.next(), normal.next()]
        });
        let raw = |x: f64| score(&model, &[x, 0.0]).raw;
        assert!(raw(0.0) > raw(10.0) && raw(0.0) > raw(-10.0), "{} {}", raw(0.0), raw(10.0));
        let odd = score(&model, &[10.0, 50.0]);
        assert!(odd.raw > raw(0.0) && odd.contributions[1] > 0.8, "{:?}", odd.contributions);
    }

    #[test]
    fn the_linear_one_knows_far_from_near() {
        let model = trained(0.0, |normal| [normal.next(), 5.0 * normal.next()]);
        let raw = |row: [f64; 2]| score(&model, &row).raw;
        assert!(raw([0.0, 0.0]) < raw([2.0, 0.0]) && raw([2.0, 0.0]) < raw([-2.0, 10.0]));
        assert!(score(&model, &[0.1, 10.0]).contributions[1] > 0.8);
    }
}
