//! How far the nearest neighbours in a sliding window are: the k-th (Ramaswamy, Rastogi & Shim 2000: "Efficient
//! algorithms for mining outliers from large data sets") or all k in the mean (Angiulli & Pizzuti 2002: "Fast
//! outlier detection in high dimensional spaces").
//!
//! Values are standardised online and kept as f32. Every row is compared with the whole window, 16 rows at a
//! time, which for windows of some thousand is faster than a tree that must be kept current.

use domain::{
    Algorithm,
    encoding::{DecodeError, put, take_count},
};

use crate::{
    Assessment,
    calibration::Prior,
    gate::{GATE_ROWS, Gate, USUAL_FROM, raised},
    nearest::Search,
    points::Points,
    scorer::{Levels, Row, Scorer, level_of},
    standard::{Standard, Standards},
};

/// The most neighbours there can be.
const NEIGHBOURS_MAX: usize = 64;

/// The last rows, and what is usual of distances from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Knn {
    standards: Standards,
    points: Points,
    neighbours: usize,
    mean: bool,
    /// What is usual of raw scores.
    usual: Standard,
    gate: Gate,
    rows: u64,
}

impl Scorer for Knn {
    const LEVELS: Levels = Levels::Row(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, _: u64) -> Self {
        Self {
            standards: Standards::new(values),
            points: Points::new(values, algorithm.whole("window")),
            neighbours: algorithm.whole("k").min(NEIGHBOURS_MAX),
            mean: algorithm.whole("mean") == 1,
            usual: Standard::default(),
            gate: Gate::new(GATE_ROWS),
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        Standards::bytes(values) + Points::bytes(values, algorithm.whole("window"))
    }

    /// Scores a row: ln(1 + the distance), in deviations per value.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let known = self.standards.place(row.values, self.rows, out);
        let mut nearest = [(0.0, 0); NEIGHBOURS_MAX];
        // The room is taken by the first row, which has no neighbours.
        self.points.place(row.values, &mut out.room);
        if known > 0 && self.points.len() > 0 {
            let nearest = &mut nearest[..self.neighbours];
            let count = self.points.nearest(&out.room, usize::MAX, nearest);
            let nearest = &nearest[..count];
            let roots = nearest.iter().map(|near| f64::from(near.0).sqrt());
            let mean = roots.clone().sum::<f64>() / count as f64;
            let distance = if self.mean { mean } else { roots.fold(0.0, f64::max) };
            out.raw = libm::log1p(distance);
            for &(_, point) in nearest {
                self.points.attribute(&out.room, usize::from(point), &mut out.contributions);
            }
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
        self.standards.learn(row.values);
        self.points.follow(&self.standards);
        self.points.store(row.values);
    }

    fn remembered(&self, _: Row<'_>, search: &mut Search<'_>) {
        self.points.offer(search);
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        let values = self.standards.len();
        Standards::bytes(values) + self.points.heap()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.encode(out);
        self.points.encode(out);
        self.usual.encode(out);
        self.gate.encode(out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        self.standards.decode(bytes)?;
        self.points.decode(bytes)?;
        self.usual = Standard::decode(bytes)?;
        self.gate.decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(model: &Knn, row: &[f64]) -> Assessment {
        let mut out = Assessment::default();
        out.prepare(row.len(), 1);
        model.score(Row { values: row, at: 0 }, &mut out);
        out
    }

    /// The same by definition: all distances, sorted.
    fn slow(model: &Knn, row: &[f64]) -> f64 {
        let (mut placed, mut distances) = (vec![], vec![]);
        model.points.place(row, &mut placed);
        for point in 0..model.points.len() {
            let mut parts = vec![0.0; row.len()];
            model.points.attribute(&placed, point, &mut parts);
            distances.push(parts.iter().sum::<f64>().sqrt());
        }
        distances.sort_by(f64::total_cmp);
        distances.truncate(model.neighbours);
        let kth = distances.last().copied().unwrap_or(0.0);
        let mean = distances.iter().sum::<f64>() / distances.len().max(1) as f64;
        libm::log1p(if model.mean { mean } else { kth })
    }

    proptest! {
        #[test]
        fn the_nearest_are_found(
            rows in prop::collection::vec(prop::array::uniform3(-9.0..9.0_f64), 1..150),
            (k, mean) in (1_u32..9, 0_u32..2), missing in 0_usize..4,
        ) {
            let algorithm = Algorithm::new(domain::Kind::Knn).with("window", 50.0);
            let algorithm = algorithm.with("k", k.into()).with("mean", mean.into());
            let mut model = Knn::new(&algorithm, 3, 0);
            for mut row in rows {
                if let Some(value) = row.get_mut(missing) {
                    *value = f64::NAN;
                }
                let seen = score(&model, &row);
                let expected = slow(&model, &row);
                prop_assert!((seen.raw - expected).abs() < 1e-4 * (1.0 + expected));
                model.learn(Row { values: &row, at: 0 }, &seen);
            }
        }
    }

    /// See tests/recorded/knn.py.
    #[test]
    fn it_is_what_scikit_learn_says() {
        let lines = include_str!("../tests/recorded/knn.csv").lines().skip(1);
        let rows: Vec<Vec<f64>> = lines
            .map(|line| line.split(',').map(|text| text.parse().expect("a number")).collect())
            .collect();
        let (window, asked) = rows.split_at(150);
        assert_eq!(asked.len(), 60);
        for (mean, place) in [(1.0, 4), (0.0, 5)] {
            let algorithm = Algorithm::new(domain::Kind::Knn).with("window", 150.0).with("k", 7.0);
            let mut model = Knn::new(&algorithm.with("mean", mean), 4, 0);
            window.iter().for_each(|row| model.points.store(&row[..4]));
            for row in asked {
                let found = libm::expm1(score(&model, &row[..4]).raw);
                assert!((found / row[place] - 1.0).abs() < 1e-5, "{found} {row:?}");
            }
        }
    }

    #[test]
    fn far_from_all_is_odd_and_the_value_is_named() {
        let mut model = Knn::new(&Algorithm::new(domain::Kind::Knn), 2, 0);
        for row in 0..1500 {
            let row = [f64::from(row * 37 % 101), f64::from(row * 59 % 103)];
            let seen = score(&model, &row);
            model.learn(Row { values: &row, at: 0 }, &seen);
        }
        let (usual, odd) = (score(&model, &[50.0, 50.0]), score(&model, &[50.0, 500.0]));
        assert!(odd.raw > 5.0 * usual.raw && odd.contributions[1] > 0.95);
        assert!(odd.levels[0] > 2.0 * usual.levels[0]);
    }
}
