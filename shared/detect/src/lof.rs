//! The local outlier factor (Breunig, Kriegel, Ng & Sander 2000: "LOF: identifying density-based local
//! outliers") of a row by a sliding window: how many times less dense its place is than its neighbours' places.
//!
//! Exact and incremental after Pokrajac, Lazarevic & Latecki 2007 ("Incremental local outlier detection for data
//! streams"): each point of the window keeps the list of its nearest others (see `lists.rs`). Densities are not
//! kept: a row needs those of its k neighbours only, k² distances that the lists have. The row itself is no
//! neighbour of anything before it is learned. Distances are between standardised values, and a mean reach
//! distance has [`FLOOR`] added, without which a row next to equal ones would have no bound.

mod lists;

use domain::{
    Algorithm,
    encoding::{DecodeError, put, take_count},
};

use lists::Lists;

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
/// Added to mean reach distances, in deviations per value.
const FLOOR: f64 = 1e-3;

/// A window of points that know their neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct Lof {
    standards: Standards,
    points: Points,
    lists: Lists,
    window: usize,
    neighbours: usize,
    /// What is usual of raw scores.
    usual: Standard,
    gate: Gate,
    rows: u64,
    /// Room for one point's coordinates.
    room: Box<[f64]>,
}

impl Scorer for Lof {
    const LEVELS: Levels = Levels::Row(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, _: u64) -> Self {
        let window = algorithm.whole("window");
        let neighbours = algorithm.whole("k").min(NEIGHBOURS_MAX);
        Self {
            standards: Standards::new(values),
            points: Points::new(values, window),
            lists: Lists::new(window, neighbours),
            window,
            neighbours,
            usual: Standard::default(),
            gate: Gate::new(GATE_ROWS),
            rows: 0,
            room: vec![0.0; 2 * values].into(),
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        bytes(values, algorithm.whole("window"), algorithm.whole("k").min(NEIGHBOURS_MAX))
    }

    /// Scores a row: ln(1 + its local outlier factor), about .69 in the midst of others.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let known = self.standards.place(row.values, self.rows, out);
        let mut nearest = [(0.0, 0); NEIGHBOURS_MAX];
        // The room is taken by the first row, which has no neighbours.
        self.points.place(row.values, &mut out.room);
        if known > 0 && self.points.len() > 1 {
            let nearest = &mut nearest[..self.neighbours];
            let count = self.points.nearest(&out.room, usize::MAX, nearest);
            let nearest = &nearest[..count];
            out.raw = libm::log1p(self.factor(nearest));
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
        let followed = self.points.follow(&self.standards);
        let point = self.points.next();
        if !followed && self.points.len() == self.window {
            self.lists.remove(point, &self.points, &mut self.room);
        }
        self.points.store(row.values);
        if followed {
            self.lists.rebuild(&self.points, &mut self.room);
        } else {
            self.lists.add(point, &self.points, &mut self.room);
        }
    }

    fn remembered(&self, _: Row<'_>, search: &mut Search<'_>) {
        self.points.offer(search);
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        bytes(self.standards.len(), self.window, self.neighbours)
    }

    /// Nor are the lists told, which follow from the points.
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
        self.gate.decode(bytes)?;
        self.lists.rebuild(&self.points, &mut self.room);
        Ok(())
    }
}

impl Lof {
    /// The local outlier factor of a row with these neighbours.
    fn factor(&self, nearest: &[(f32, u16)]) -> f64 {
        let densities = nearest.iter().map(|near| 1.0 / self.reach(self.lists.of(near.1.into())));
        densities.sum::<f64>() / nearest.len() as f64 * self.reach(nearest)
    }

    /// The mean reach distance from these neighbours: the inverse of the local reachability density.
    fn reach(&self, nearest: &[(f32, u16)]) -> f64 {
        let one = |&(square, point): &(f32, u16)| {
            let far = self.lists.of(point.into()).last().map_or(0.0, |last| last.0);
            f64::from(square.max(far)).sqrt()
        };
        nearest.iter().map(one).sum::<f64>() / nearest.len().max(1) as f64 + FLOOR
    }
}

fn bytes(values: usize, window: usize, neighbours: usize) -> usize {
    Standards::bytes(values)
        + Points::bytes(values, window)
        + Lists::bytes(window, neighbours)
        + 2 * values * size_of::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(model: &Lof, row: &[f64]) -> Assessment {
        let mut out = Assessment::default();
        out.prepare(row.len(), 1);
        model.score(Row { values: row, at: 0 }, &mut out);
        out
    }

    /// The factor by definition, of a row as it stands in the points' space.
    struct Slow {
        points: Vec<Vec<f64>>,
        neighbours: usize,
    }

    impl Slow {
        fn of(model: &Lof) -> Self {
            let placed = |point| {
                let mut room = vec![0.0; 2 * model.standards.len()];
                model.points.placed(point, &mut room);
                room.chunks_exact(2).map(|pair| pair[0] * pair[1]).collect()
            };
            let points = (0..model.points.len()).map(placed).collect();
            Self { points, neighbours: model.neighbours }
        }

        /// Distances of the nearest, and which they are.
        fn nearest(&self, row: &[f64], except: usize) -> Vec<(f64, usize)> {
            let distance = |other: &[f64]| {
                row.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
            };
            let points = self.points.iter().enumerate().filter(|(at, _)| *at != except);
            let mut all: Vec<_> = points.map(|(at, other)| (distance(other), at)).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            all.truncate(self.neighbours);
            all
        }

        fn reach(&self, nearest: &[(f64, usize)]) -> f64 {
            let far = |point: usize| {
                let last = self.nearest(&self.points[point], point);
                last.last().map_or(0.0, |near| near.0)
            };
            let sum: f64 = nearest.iter().map(|&(d, point)| d.max(far(point))).sum();
            sum / nearest.len() as f64 + FLOOR
        }

        fn factor(&self, row: &[f64]) -> f64 {
            let nearest = self.nearest(row, usize::MAX);
            let densities = nearest
                .iter()
                .map(|&(_, point)| 1.0 / self.reach(&self.nearest(&self.points[point], point)));
            densities.sum::<f64>() / nearest.len() as f64 * self.reach(&nearest)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_the_factor_by_definition(
            rows in prop::collection::vec(prop::array::uniform3(-9.0..9.0_f64), 3..160),
            k in 1_u32..7,
        ) {
            let algorithm = Algorithm::new(domain::Kind::Lof);
            let algorithm = algorithm.with("window", 30.0).with("k", k.into());
            let mut model = Lof::new(&algorithm, 3, 0);
            for row in rows {
                let seen = score(&model, &row);
                if model.points.len() > 1 {
                    let mut placed = vec![];
                    model.points.place(&row, &mut placed);
                    let placed: Vec<_> =
                        placed.chunks_exact(2).map(|pair| pair[0] * pair[1]).collect();
                    let expected = libm::log1p(Slow::of(&model).factor(&placed));
                    prop_assert!((seen.raw - expected).abs() < 1e-3, "{} {expected}", seen.raw);
                }
                model.learn(Row { values: &row, at: 0 }, &seen);
                let mut fresh = model.lists.clone();
                fresh.rebuild(&model.points, &mut model.room.clone());
                for point in 0..model.points.len() {
                    prop_assert_eq!(model.lists.of(point), fresh.of(point));
                }
            }
        }
    }

    /// See tests/recorded/lof.py.
    #[test]
    fn it_is_what_scikit_learn_says() {
        let lines = include_str!("../tests/recorded/lof.csv").lines().skip(1);
        let rows: Vec<[f64; 4]> = lines
            .map(|line| {
                let mut numbers = line.split(',').map(|text| text.parse().expect("a number"));
                std::array::from_fn(|_| numbers.next().expect("four numbers"))
            })
            .collect();
        let (window, asked) = rows.split_at(200);
        let algorithm = Algorithm::new(domain::Kind::Lof).with("window", 200.0);
        let mut model = Lof::new(&algorithm, 3, 0);
        window.iter().for_each(|row| model.points.store(&row[..3]));
        model.lists.rebuild(&model.points, &mut model.room);
        assert_eq!(asked.len(), 60);
        for row in asked {
            let found = libm::expm1(score(&model, &row[..3]).raw);
            assert!((found / row[3] - 1.0).abs() < 5e-3, "{found} {row:?}");
        }
    }

    #[test]
    fn sparse_next_to_dense_is_odd() {
        let mut model = Lof::new(&Algorithm::new(domain::Kind::Lof), 2, 0);
        for row in 0..1500_u32 {
            // Every other row in a dense group about 0, the others spread from 100 to 200.
            let (near, far) = (f64::from(row * 37 % 101), f64::from(row * 59 % 103));
            let row =
                if row % 2 == 0 { [near / 50.0, far / 50.0] } else { [100.0 + near, 100.0 + far] };
            let seen = score(&model, &row);
            model.learn(Row { values: &row, at: 0 }, &seen);
        }
        let raw = |row: [f64; 2]| score(&model, &row).raw;
        let (dense, sparse) = (raw([1.0, 1.0]), raw([150.0, 150.0]));
        assert!((0.6..0.9).contains(&dense) && (0.6..0.9).contains(&sparse), "{dense} {sparse}");
        assert!(raw([12.0, 1.0]) > 1.0, "nearer to its neighbours than the sparse ones to theirs");
    }
}
