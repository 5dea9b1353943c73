//! The profile against the slow definition, and what is said of odd and of missing values.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

/// A generator for tests: normal values from sums of uniforms.
struct Normal(Pcg64Mcg);

impl Normal {
    fn next(&mut self) -> f64 {
        let uniform = |r: &mut Pcg64Mcg| f64::from(r.next_u32()) / f64::from(u32::MAX);
        (0..12).map(|_| uniform(&mut self.0)).sum::<f64>() - 6.0
    }
}

fn algorithm() -> Algorithm {
    Algorithm::new(domain::Kind::HalfSpaceTrees)
}

fn trained(algorithm: &Algorithm, values: usize, rows: usize) -> (HalfSpaceTrees, Normal) {
    let mut normal = Normal(Pcg64Mcg::seed_from_u64(3));
    let mut trees = HalfSpaceTrees::new(algorithm, values, 1);
    for _ in 0..rows {
        let row: Vec<f64> = (0..values).map(|v| normal.next() * 10.0 + v as f64).collect();
        let seen = score(&trees, &row);
        trees.learn(Row { values: &row, at: 0 }, &seen);
    }
    (trees, normal)
}

fn score(trees: &HalfSpaceTrees, row: &[f64]) -> Assessment {
    let mut out = Assessment::default();
    out.prepare(row.len(), row.len() + 1);
    trees.score(Row { values: row, at: 0 }, &mut out);
    out
}

/// The bits by the definition: at each node that holds more than a tenth of all rows, what the mass drops by beyond
/// an even half on the side of `x`, of all nodes down to the depth.
fn slow_rarity(trees: &HalfSpaceTrees, depth: u32, x: &[u16]) -> f64 {
    let mut splits = trees.splits.clone();
    let all = trees.last.all();
    let mut sum = 0.0;
    for tree in 0..trees.trees {
        splits.enter(trees.seed, tree);
        let (mut node, mut rows) = (0, all.clone());
        for _ in 0..depth {
            if rows.len() * 10 <= all.len() {
                break;
            }
            let split = splits.at(node);
            let right = |row: &[u16]| row[split.feature] >= split.at;
            let above = bits(rows.len() as f32);
            rows.retain(|row| right(row) == right(x));
            sum += f64::from(above - bits(rows.len() as f32) - 1.0);
            splits.halve(split.feature, right(x));
            node = 2 * node + 1 + u32::from(right(x));
        }
    }
    sum
}

#[test]
fn a_profile_says_what_the_definition_says() {
    for (trees, depth, window, values, learned) in
        [(25, 15, 250, 10, 700), (1, 1, 16, 1, 3), (7, 4, 33, 2, 20), (3, 15, 500, 1, 900)]
    {
        let set = [("trees", trees), ("depth", depth), ("window", window)];
        let set = set.into_iter().fold(algorithm(), |it, (name, to)| it.with(name, f64::from(to)));
        let (mut trained, mut normal) = trained(&set, values, learned);
        // All of the same rows.
        (0..trained.trees).for_each(|_| trained.renew());
        for i in 0..200 {
            let row: Vec<f64> = (0..values).map(|_| normal.next() * f64::from(i)).collect();
            let out = score(&trained, &row);
            let mut parts = vec![0.0; values];
            trained.profile.rarity(&out.short_room, &mut parts);
            let found: f64 = parts.iter().map(|&part| f64::from(part)).sum();
            let expected = slow_rarity(&trained, depth, &out.short_room);
            assert!((found - expected).abs() < 1e-3, "{found} {expected}: {set:?}");
        }
    }
}

/// Once a window each, spread evenly; more often while there are few rows.
#[test]
fn trees_take_turns() {
    let (trees, _) = trained(&algorithm(), 2, 3000);
    let mut later = trees.clone();
    let row = [1.0, 2.0];
    let mut turns = vec![];
    for _ in 0..250 {
        let before = later.turn;
        let seen = score(&later, &row);
        later.learn(Row { values: &row, at: 0 }, &seen);
        turns.push((later.turn + 25 - before) % 25);
    }
    assert!(turns.iter().sum::<usize>() == 25 && turns.iter().all(|&turns| turns <= 1));
    assert_eq!(later.turn, trees.turn);
}

#[test]
fn the_odd_feature_is_named_and_the_score_grows_with_distance() {
    let (trees, _) = trained(&algorithm(), 10, 1000);
    let (mut out, mut last) = (Assessment::default(), f64::MIN);
    for distance in [0.0, 40.0, 80.0, 400.0] {
        let row: Vec<f64> =
            (0..10).map(|v| v as f64 + if v == 7 { distance } else { 0.0 }).collect();
        out = score(&trees, &row);
        assert!(out.raw > last, "{} at {distance}", out.raw);
        last = out.raw;
    }
    assert!(out.contributions[7] > 0.8, "{:?}", out.contributions);
    assert!((out.expected[7] - 7.0).abs() < 2.0 && (out.scale[7] - 10.0).abs() < 2.0);
}

#[test]
fn a_missing_value_adds_nothing() {
    let (trees, _) = trained(&algorithm(), 2, 1000);
    let half = score(&trees, &[0.0, f64::NAN]);
    assert_eq!(half.contributions, [1.0, 0.0]);
    let whole = score(&trees, &[0.0, 90.0]);
    assert!(whole.raw > half.raw + 1.0 && whole.confidence > 1.9 * half.confidence);
}

#[test]
fn about_log2() {
    for rows in [0.0, 1.0, 3.0, 25.0, 250.0, 1e5] {
        assert!((bits(rows) - (rows + 0.5).log2()).abs() < 0.09);
    }
}
