//! Scores against the slow definition, shingles, and what is expected of a value.

use super::*;
use crate::{
    dice::Dice,
    forest::{
        bounds::hold,
        points::Points,
        tree::{LEAF, Tree},
    },
};

fn forest(algorithm: &Algorithm, values: usize) -> RandomCutForest {
    RandomCutForest::new(algorithm, values, 5)
}

fn algorithm() -> Algorithm {
    Algorithm::new(domain::Kind::RandomCutForest)
}

/// Scores a row and learns it.
fn go(forest: &mut RandomCutForest, values: &[f64]) -> Assessment {
    let (mut out, row) = (Assessment::default(), Row { values, at: 0 });
    out.prepare(values.len(), 1);
    forest.score(row, &mut out);
    forest.learn(row, &out);
    out
}

/// The score by the paper's recursion: each box from all points below, no box kept.
fn slow_score(tree: &Tree, at: u16, depth: f64, x: &[u16], points: &Points, rows: &[u16]) -> f64 {
    let dims = x.len();
    let (mut low, mut high) = (vec![u16::MAX; dims], vec![0; dims]);
    rows.iter().for_each(|&slot| hold(&mut low, &mut high, points.at(slot), points.at(slot)));
    let side = |dim: usize, x: u16| f64::from(high[dim].max(x)) - f64::from(low[dim].min(x));
    let sides: f64 = (0..dims).map(|dim| side(dim, x[dim])).sum();
    let without: f64 = (0..dims).map(|dim| side(dim, low[dim])).sum();
    if at & LEAF > 0 && sides == 0.0 {
        let (equal, all) = (rows.len() as f64, f64::from(tree.mass));
        return (1.0 - equal / (2.0 * all)) / (depth + libm::log2(1.0 + equal));
    }
    let chance = if sides > 0.0 { (sides - without) / sides } else { 0.0 };
    let unseen = 1.0 / (depth + 1.0);
    if at & LEAF > 0 {
        return unseen;
    }
    let node = &tree.nodes[usize::from(at)];
    let left = |x: &[u16]| x[usize::from(node.dim)] <= node.cut;
    let child = if left(x) { node.left } else { node.right };
    let below: Vec<u16> =
        rows.iter().copied().filter(|&slot| left(points.at(slot)) == left(x)).collect();
    chance * unseen + (1.0 - chance) * slow_score(tree, child, depth + 1.0, x, points, &below)
}

#[test]
fn the_score_is_that_of_the_recursion() {
    for (values, shingle, steps) in
        [(1, 8, 1000), (3, 1, 1000), (11, 1, 50), (2, 3, 4), (4, 4, 9), (5, 4, 30)]
    {
        let parameters = algorithm().with("shingle", f64::from(shingle)).with("window", 300.0);
        let mut forest = forest(&parameters.with("sample", 64.0), values);
        let mut dice = Dice::new(1);
        for i in 0..700 {
            let row: Vec<f64> =
                (0..values).map(|_| f64::from(dice.below(steps) + dice.below(steps))).collect();
            let known = forest.clone();
            let out = go(&mut forest, &row);
            if i < 32 + shingle || i % 10 > 0 {
                continue;
            }
            let x = &out.short_room[..known.0.shape.dims()];
            let scores = known.0.trees.iter().map(|tree| {
                let rows: Vec<u16> = tree.rows().collect();
                let score = slow_score(tree, tree.root, 0.0, x, &known.0.points, &rows);
                score * libm::log2(1.0 + f64::from(tree.mass))
            });
            let expected = scores.sum::<f64>() / known.0.trees.len() as f64;
            assert!((out.raw - expected).abs() < 1e-5, "{} {expected} at {i}", out.raw);
        }
    }
}

#[test]
fn the_shape_of_a_wave_is_known_and_a_missing_beat_is_found() {
    let mut forest = forest(&algorithm(), 1);
    let wave = |i: u32| f64::from(i % 20) + 0.1 * f64::from(i * 7 % 3);
    let usual: Vec<_> = (0..3000).map(|i| go(&mut forest, &[wave(i)]).raw).collect();
    let most = usual[500..].iter().fold(0.0_f64, |most, &raw| most.max(raw));
    let out = go(&mut forest, &[wave(3000)]);
    assert!((out.expected[0] - wave(3000)).abs() < 1.0, "{} {}", out.expected[0], wave(3000));
    let odd: Vec<_> = (0..6).map(|_| go(&mut forest, &[10.0]).raw).collect();
    assert!(odd.iter().any(|&raw| raw > 1.1 * most), "{odd:?} {most}");
}

#[test]
fn the_odd_feature_is_named() {
    let mut forest = forest(&algorithm(), 10);
    let mut dice = Dice::new(4);
    let mut row = || -> Vec<f64> {
        (0..10).map(|v| f64::from(10 * v) * (0..6).map(|_| dice.uniform()).sum::<f64>()).collect()
    };
    for _ in 0..1000 {
        go(&mut forest, &row());
    }
    let mut odd = row();
    odd[7] += 700.0;
    let out = go(&mut forest, &odd);
    assert!(out.contributions[7] > 0.7, "{:?}", out.contributions);
    odd[7] = f64::NAN;
    assert_eq!(go(&mut forest, &odd).contributions[7], 0.0);
}
