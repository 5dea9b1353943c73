//! Principal components (Pearson 1901; Hotelling 1933): what is left of a row when its parts along the main
//! directions of the past are taken away, the squared prediction error (Jackson & Mudholkar 1979: "Control
//! procedures for residuals associated with principal component analysis"). It finds rows that break what
//! values have in common, and says nothing of rows that are far out along it, as all machines under load are.
//!
//! Values are standardised online. The directions are kept current row by row without a covariance (Weng,
//! Zhang & Hwang 2003: "Candid covariance-free incremental principal component analysis"): each is pulled
//! towards rows by their part along it, and sees what the ones before it have left of a row. Rows far out
//! are learned as if they were nearer, and lasting anomalies are kept out for some time, see `gate.rs`.

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take, take_count},
};

use crate::{
    Assessment,
    calibration::Prior,
    gate::{GATE_ROWS, Gate, USUAL_FROM, raised},
    scorer::{Levels, Row, Scorer, level_of},
    standard::{Standard, Standards},
};

/// A row's largest deviation counts as at most so many units in what is learned; its direction stays.
const LEARNED_MAX: f64 = 6.0;
/// A shorter direction is none: what was left of rows was rounding.
const LENGTH_MIN: f64 = 1e-6;
/// No entry of a direction is larger: its length is the variance along it.
const ENTRY_MAX: f32 = 1e6;

/// The main directions of a series' values.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    standards: Standards,
    /// One after the other, each as long as the variance along it.
    directions: Box<[f32]>,
    horizon: f64,
    /// Rows that the directions have learned.
    learned: f64,
    /// What is usual of raw scores.
    usual: Standard,
    gate: Gate,
    rows: u64,
    /// Room for what is left of a row.
    room: Box<[f64]>,
}

/// How many directions there are: at least one is left out.
fn count(algorithm: &Algorithm, values: usize) -> usize {
    algorithm.whole("components").min(values.saturating_sub(1))
}

impl Scorer for Pca {
    const LEVELS: Levels = Levels::Row(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, _: u64) -> Self {
        Self {
            standards: Standards::new(values),
            directions: vec![0.0; count(algorithm, values) * values].into(),
            horizon: algorithm.get("horizon"),
            learned: 0.0,
            usual: Standard::default(),
            gate: Gate::new(GATE_ROWS),
            rows: 0,
            room: vec![0.0; values].into(),
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        Standards::bytes(values)
            + count(algorithm, values) * values * size_of::<f32>()
            + values * size_of::<f64>()
    }

    /// Scores a row: ln(1 + its squared error per value), each value's share being its own square. The room
    /// keeps its deviations, and what is left of them. A missing value is taken as its mean.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let values = self.standards.len();
        let known = self.standards.place(row.values, self.rows, out);
        let Assessment { room, contributions, .. } = out;
        room.extend_from_within(..values);
        let (deviations, left) = room.split_at_mut(values);
        left.iter_mut().filter(|z| z.is_nan()).for_each(|z| *z = 0.0);
        for direction in self.directions.chunks_exact(values.max(1)) {
            take_away(direction, left);
        }
        for ((share, z), left) in contributions.iter_mut().zip(deviations).zip(left) {
            *share = if z.is_nan() { 0.0 } else { *left * *left };
        }
        if known > 0 {
            let square: f64 = out.contributions.iter().sum();
            out.raw = libm::log1p(square / known as f64);
        }
        if known > 0 && self.rows > 0 {
            out.levels[0] = level_of(raised(self.usual.distance(out.raw)));
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
        if let Some(deviations) = seen.room.get(..self.standards.len()) {
            self.turn(deviations);
        }
        self.standards.learn(row.values);
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        Standards::bytes(self.standards.len())
            + size_of_val(&*self.directions)
            + size_of_val(&*self.room)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows, self.learned), out);
        self.standards.encode(out);
        self.directions.iter().for_each(|entry| put(entry, out));
        self.usual.encode(out);
        self.gate.encode(out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        self.learned = take(bytes)?;
        ensure((0.0..=self.horizon).contains(&self.learned), "rows of directions")?;
        self.standards.decode(bytes)?;
        for entry in &mut self.directions {
            *entry = take(bytes)?;
            ensure(entry.abs() <= ENTRY_MAX, "entry of a direction")?;
        }
        self.usual = Standard::decode(bytes)?;
        self.gate.decode(bytes)
    }
}

impl Pca {
    /// Turns the directions towards a row of deviations, NaN for missing values.
    fn turn(&mut self, deviations: &[f64]) {
        let known = |z: f64| if z.is_nan() { 0.0 } else { z };
        let largest = deviations.iter().fold(0.0_f64, |most, &z| most.max(known(z).abs()));
        let shrunk = if largest > LEARNED_MAX { LEARNED_MAX / largest } else { 1.0 };
        let left = &mut self.room;
        left.iter_mut().zip(deviations).for_each(|(left, &z)| *left = shrunk * known(z));
        self.learned = (self.learned + 1.0).min(self.horizon);
        let rate = 1.0 / self.learned;
        for direction in self.directions.chunks_exact_mut(left.len().max(1)) {
            let length = length(direction);
            // The first row that is not all along those before begins a direction.
            let (keep, pull) = if length > LENGTH_MIN {
                (1.0 - rate, rate * along(direction, left) / length)
            } else {
                (0.0, 1.0)
            };
            for (entry, &left) in direction.iter_mut().zip(&**left) {
                let moved = keep * f64::from(*entry) + pull * left;
                *entry = (moved as f32).clamp(-ENTRY_MAX, ENTRY_MAX);
            }
            take_away(direction, left);
        }
    }
}

/// A row times a direction as it is.
fn along(direction: &[f32], row: &[f64]) -> f64 {
    direction.iter().zip(row).map(|(&entry, left)| f64::from(entry) * left).sum()
}

fn length(direction: &[f32]) -> f64 {
    direction.iter().map(|&entry| f64::from(entry) * f64::from(entry)).sum::<f64>().sqrt()
}

/// Takes a row's part along a direction away from it.
fn take_away(direction: &[f32], row: &mut [f64]) {
    let length = length(direction);
    if length > LENGTH_MIN {
        let part = along(direction, row) / length / length;
        row.iter_mut().zip(direction).for_each(|(left, &entry)| *left -= part * f64::from(entry));
    }
}

#[cfg(test)]
mod tests {
    use rand_core::{RngCore, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    use super::*;

    struct Normal(Pcg64Mcg);

    impl Normal {
        fn next(&mut self) -> f64 {
            let mut uniform = || f64::from(self.0.next_u32()) / f64::from(u32::MAX);
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        }
    }

    fn score(model: &Pca, row: &[f64]) -> Assessment {
        let mut out = Assessment::default();
        out.prepare(row.len(), 1);
        model.score(Row { values: row, at: 0 }, &mut out);
        out
    }

    /// Five values that follow two loads, with noise.
    fn row(normal: &mut Normal) -> [f64; 5] {
        let (a, b) = (normal.next(), normal.next());
        let mut noise = || 0.1 * normal.next();
        [a + noise(), b + noise(), a + b + noise(), 10.0 * (a - b) + noise(), 50.0 - a + noise()]
    }

    fn trained(rows: usize) -> Pca {
        let algorithm = Algorithm::new(domain::Kind::Pca).with("components", 2.0);
        let mut model = Pca::new(&algorithm, 5, 0);
        let mut normal = Normal(Pcg64Mcg::seed_from_u64(3));
        for _ in 0..rows {
            let row = row(&mut normal);
            let seen = score(&model, &row);
            model.learn(Row { values: &row, at: 0 }, &seen);
        }
        model
    }

    #[test]
    fn what_breaks_what_values_have_in_common_is_odd() {
        let model = trained(2000);
        let raw = |row: [f64; 5]| score(&model, &row).raw;
        let usual = raw([1.0, 1.0, 2.0, 0.0, 49.0]);
        assert!(raw([4.0, 4.0, 8.0, 0.0, 46.0]) < 0.2 && usual < 0.05, "{usual}");
        let odd = score(&model, &[1.0, 1.0, -2.0, 0.0, 49.0]);
        assert!(odd.raw > 10.0 * usual && odd.contributions[2] > 0.5, "{odd:?}");
        let missing = raw([1.0, 1.0, f64::NAN, 0.0, 49.0]);
        assert!(missing < 0.5 * odd.raw, "{missing} {}", odd.raw);
    }

    /// The directions by definition: those of the largest variance, found by multiplying the covariance of
    /// all rows by a vector until it stays.
    #[test]
    fn the_directions_are_those_of_the_covariance() {
        let rows = 5000;
        let algorithm = Algorithm::new(domain::Kind::Pca).with("components", 2.0);
        let mut model = Pca::new(&algorithm.with("horizon", 100_000.0), 5, 0);
        let mut normal = Normal(Pcg64Mcg::seed_from_u64(5));
        let mut covariance = [[0.0; 5]; 5];
        for _ in 0..rows {
            let row = row(&mut normal);
            // Units as they are, near enough to those that would be learned.
            let row = [row[0], row[1], row[2] / 2.0, row[3] / 14.0, 50.0 - row[4]];
            model.turn(&row);
            for (line, a) in covariance.iter_mut().zip(row) {
                line.iter_mut().zip(row).for_each(|(entry, b)| *entry += a * b / f64::from(rows));
            }
        }
        for direction in model.directions.chunks_exact(5) {
            let mut vector = [1.0, 0.5, 0.2, 0.4, 0.3];
            let mut variance = 0.0;
            for _ in 0..500 {
                let product =
                    covariance.map(|line| line.iter().zip(vector).map(|(a, b)| a * b).sum());
                variance = length(&product.map(|entry: f64| entry as f32));
                vector = product.map(|entry: f64| entry / variance);
            }
            let found = length(direction);
            assert!((found / variance - 1.0).abs() < 0.02, "{found} {variance}");
            let cosine = along(direction, &vector).abs() / found;
            assert!(cosine > 0.998, "{cosine}: {direction:?} {vector:?}");
            for (line, a) in covariance.iter_mut().zip(vector) {
                line.iter_mut().zip(vector).for_each(|(entry, b)| *entry -= variance * a * b);
            }
        }
    }

    #[test]
    fn of_one_value_it_is_the_distance_from_the_mean() {
        let mut model = Pca::new(&Algorithm::new(domain::Kind::Pca), 1, 0);
        for at in 0..500 {
            let row = [f64::from(at * 37 % 101)];
            let seen = score(&model, &row);
            model.learn(Row { values: &row, at: 0 }, &seen);
        }
        let z = (200.0 - model.standards.as_slice()[0].expected())
            / model.standards.as_slice()[0].unit();
        assert!((score(&model, &[200.0]).raw - libm::log1p(z * z)).abs() < 1e-9);
    }
}
