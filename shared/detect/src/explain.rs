//! Why a row's raw score is what it is, for any model, on request: what each value adds to it,
//! compared with the value that was expected in its place.
//!
//! [`shapley`] shares the score out fairly (Shapley 1953; Lundberg & Lee 2017, "A unified approach
//! to interpreting model predictions"): by enumeration of all coalitions for few values, else from
//! sampled orders (Castro, Gómez & Tejada 2009, "Polynomial calculation of the Shapley value based
//! on sampling"), each taken forwards and backwards. [`lime`] fits a weighted linear model to the
//! scores of rows of which some values are as expected (Ribeiro, Singh & Guestrin 2016, "Why should
//! I trust you?"). A model is only asked, and never taught.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{Assessment, Model, Row};

/// Up to so many values all coalitions are tried: 1,024 scores.
pub const EXACT_VALUES_MAX: usize = 10;
/// The kernel of LIME: a row that differs in so large a share of its values weighs 1/e.
const KERNEL_WIDTH: f64 = 0.75;
/// What keeps the fit of LIME from breaking where samples do not tell values apart.
const RIDGE: f64 = 1e-6;

/// How a raw score is made up of the values.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The raw score of a row that is all as expected.
    pub base: f64,
    /// What each value adds, in the unit of the raw score. Shapley values sum to the row's raw
    /// score minus the base.
    pub added: Vec<f64>,
}

/// Rows between the expected one and the one to be explained, and what a model says of them.
struct Game<'a> {
    model: &'a Model,
    row: Row<'a>,
    expected: Vec<f64>,
    mixed: Vec<f64>,
    out: Assessment,
    levels: usize,
}

impl<'a> Game<'a> {
    fn new(model: &'a Model, row: Row<'a>) -> Self {
        let (values, levels) = (row.values.len(), model.levels().count(row.values.len()));
        let mut out = Assessment::default();
        out.prepare(values, levels);
        model.score(row, &mut out);
        // Where nothing is expected of a value, it is left out: NaN is a missing value.
        let expected = std::mem::take(&mut out.expected);
        Self { model, row, mixed: expected.clone(), expected, out, levels }
    }

    /// The raw score of the row of which only the values that `has` names are its own.
    fn score(&mut self, has: impl Fn(usize) -> bool) -> f64 {
        for (index, value) in self.mixed.iter_mut().enumerate() {
            *value = if has(index) { self.row.values[index] } else { self.expected[index] };
        }
        self.out.prepare(self.mixed.len(), self.levels);
        self.model.score(Row { values: &self.mixed, at: self.row.at }, &mut self.out);
        self.out.raw
    }
}

/// Shapley values: exact up to [`EXACT_VALUES_MAX`] values, else of so many pairs of random orders.
pub fn shapley(model: &Model, row: Row<'_>, pairs: u32, seed: u64) -> Explanation {
    let mut game = Game::new(model, row);
    if row.values.len() <= EXACT_VALUES_MAX {
        enumerated(&mut game)
    } else {
        sampled(&mut game, pairs.max(1), seed)
    }
}

fn enumerated(game: &mut Game<'_>) -> Explanation {
    let values = game.row.values.len();
    let scores: Vec<f64> =
        (0..1_usize << values).map(|coalition| game.score(|v| coalition >> v & 1 == 1)).collect();
    // A coalition of `size` others counts size! (values - 1 - size)! / values!.
    let mut weights = vec![1.0 / values.max(1) as f64];
    for size in 1..values {
        let last = weights[size - 1];
        weights.push(last * size as f64 / (values - size) as f64);
    }
    let added = (0..values).map(|value| {
        let without = (0..scores.len()).filter(|coalition| coalition >> value & 1 == 0);
        let gain = |coalition: usize| scores[coalition | 1 << value] - scores[coalition];
        without.map(|c| weights[c.count_ones() as usize] * gain(c)).sum()
    });
    Explanation { base: scores[0], added: added.collect() }
}

fn sampled(game: &mut Game<'_>, pairs: u32, seed: u64) -> Explanation {
    let values = game.row.values.len();
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..values).collect();
    let mut place = vec![0; values];
    let (base, mut added) = (game.score(|_| false), vec![0.0; values]);
    for _ in 0..pairs {
        for end in (1..values).rev() {
            order.swap(end, (random.next_u64() % (end as u64 + 1)) as usize);
        }
        for _ in 0..2 {
            order.reverse();
            order.iter().enumerate().for_each(|(at, &value)| place[value] = at);
            let mut before = base;
            for (at, &value) in order.iter().enumerate() {
                let score = game.score(|other| place[other] <= at);
                added[value] += (score - before) / f64::from(2 * pairs);
                before = score;
            }
        }
    }
    Explanation { base, added }
}

/// The coefficients of a linear model of the raw score about the row, fitted to so many `samples` of
/// rows of which each value is, at random, its own or as expected.
pub fn lime(model: &Model, row: Row<'_>, samples: u32, seed: u64) -> Explanation {
    let mut game = Game::new(model, row);
    let values = row.values.len();
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    // Normal equations: one unknown for each value, and the base behind them.
    let unknowns = values + 1;
    let mut normal = vec![0.0; unknowns * unknowns];
    let mut right = vec![0.0; unknowns];
    let mut has = vec![1.0; unknowns];
    for sample in 0..samples.max(1) {
        for value in &mut has[..values] {
            // The first is the row itself.
            *value = if sample == 0 || random.next_u32() & 1 == 1 { 1.0 } else { 0.0 };
        }
        let score = game.score(|value| has[value] == 1.0);
        let differs = has[..values].iter().filter(|has| **has == 0.0).count();
        let distance = differs as f64 / values.max(1) as f64 / KERNEL_WIDTH;
        let weight = libm::exp(-distance * distance);
        for i in (0..unknowns).filter(|&i| has[i] == 1.0) {
            right[i] += weight * score;
            for j in 0..=i {
                normal[i * unknowns + j] += weight * has[j];
            }
        }
    }
    (0..values).for_each(|i| normal[i * unknowns + i] += RIDGE);
    let mut added = solve(normal, right);
    let base = added.pop().unwrap_or(0.0);
    Explanation { base, added }
}

/// Solves a symmetric positive definite system, of which the lower triangle is given by rows, by
/// Cholesky's factors.
fn solve(mut lower: Vec<f64>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for i in 0..n {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum();
            let rest = lower[i * n + j] - known;
            lower[i * n + j] =
                if i == j { rest.max(RIDGE * RIDGE).sqrt() } else { rest / lower[j * n + j] };
        }
    }
    for i in 0..n {
        let known: f64 = (0..i).map(|k| lower[i * n + k] * right[k]).sum();
        right[i] = (right[i] - known) / lower[i * n + i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| lower[k * n + i] * right[k]).sum();
        right[i] = (right[i] - known) / lower[i * n + i];
    }
    right
}

#[cfg(test)]
mod tests {
    use domain::Kind;

    use super::*;
    use crate::SAMPLES;

    const VALUES: usize = 5;

    /// A model that has seen values that go up and down, each in its own range.
    fn learned(algorithm: &domain::Algorithm, values: usize) -> Model {
        let mut model = Model::new(algorithm, values, 3, &crate::Networks::default());
        let mut out = Assessment::default();
        for at in 0..300_u64 {
            let row: Vec<f64> = (0..values as u64)
                .map(|v| (at * (7 + 2 * v) % 97) as f64 + 10.0 * v as f64)
                .collect();
            let row = Row { values: &row, at: at as i64 * 60_000_000 };
            out.prepare(values, model.levels().count(values));
            model.score(row, &mut out);
            model.learn(row, &out);
        }
        model
    }

    fn odd_row(values: usize) -> Vec<f64> {
        (0..values).map(|v| if v == 2 { 900.0 } else { 50.0 + 10.0 * v as f64 }).collect()
    }

    #[test]
    fn shapley_values_are_fair_and_name_the_odd_value() {
        for algorithm in &*SAMPLES {
            let model = learned(algorithm, VALUES);
            let values = odd_row(VALUES);
            let row = Row { values: &values, at: 0 };
            let exact = shapley(&model, row, 1, 1);
            let mut game = Game::new(&model, row);
            let whole = game.score(|_| true) - game.score(|_| false);
            let sum: f64 = exact.added.iter().sum();
            assert!((sum - whole).abs() < 1e-9 * (1.0 + whole.abs()), "{algorithm}: {sum} {whole}");
            let close = |found: &[f64], share: f64| {
                let reach = share * exact.added.iter().fold(1e-9, |max, a| a.abs().max(max));
                found.iter().zip(&exact.added).all(|(a, b)| (a - b).abs() <= reach)
            };
            let drawn = sampled(&mut game, 2000, 7);
            assert!(close(&drawn.added, 0.05), "{algorithm}: {drawn:?} for {exact:?}");
            assert!((drawn.added.iter().sum::<f64>() - whole).abs() < 1e-6 * (1.0 + whole.abs()));
        }
    }

    /// Shapley's own definition: what a value adds when it comes, mean over all orders of coming.
    fn by_all_orders(game: &mut Game<'_>) -> Vec<f64> {
        let values = game.row.values.len();
        let (mut added, mut orders) = (vec![0.0; values], vec![vec![]]);
        for value in 0..values {
            let longer = |order: &Vec<usize>| {
                let order = order.clone();
                (0..=value).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, value);
                    order
                })
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        for order in &orders {
            for (at, &value) in order.iter().enumerate() {
                let with = game.score(|other| order[..=at].contains(&other));
                let without = game.score(|other| order[..at].contains(&other));
                added[value] += (with - without) / orders.len() as f64;
            }
        }
        added
    }

    #[test]
    fn of_trees_they_are_the_mean_over_all_orders() {
        let trees = [Kind::HalfSpaceTrees, Kind::RandomCutForest, Kind::IsolationForest];
        let mut forests = 0;
        for algorithm in SAMPLES.iter().filter(|sample| trees.contains(&sample.kind)) {
            let model = learned(algorithm, 4);
            let row = [50.0, 60.0, 900.0, 400.0];
            let row = Row { values: &row, at: 0 };
            let found = shapley(&model, row, 1, 1);
            let expected = by_all_orders(&mut Game::new(&model, row));
            let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
            assert!(found.added.iter().zip(&expected).all(close), "{algorithm}: {found:?}");
            assert!(expected.iter().any(|added| added.abs() > 0.1), "{algorithm}: {expected:?}");
            forests += 1;
        }
        assert_eq!(forests, 6);
    }

    #[test]
    fn lime_finds_a_linear_score_and_the_odd_value() {
        let algorithm = domain::Algorithm::new(domain::Kind::HalfSpaceTrees);
        let model = learned(&algorithm, 12);
        let values = odd_row(12);
        let found = lime(&model, Row { values: &values, at: 0 }, 500, 3);
        let largest = (0..12).max_by(|a, b| found.added[*a].total_cmp(&found.added[*b]));
        assert_eq!(largest, Some(2), "{found:?}");
        let sampled = shapley(&model, Row { values: &values, at: 0 }, 50, 3);
        let share = found.added[2] / sampled.added[2];
        assert!((0.7..1.4).contains(&share), "{found:?} {sampled:?}");
    }

    #[test]
    fn a_small_system_is_solved() {
        // x + y = 3, x + 2y = 5.
        let found = solve(vec![1.0, 0.0, 1.0, 2.0], vec![3.0, 5.0]);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 2.0).abs() < 1e-12, "{found:?}");
    }
}
