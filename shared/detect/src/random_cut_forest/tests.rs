use proptest::prelude::*;

use super::{bounds::hold, tree::*, *};

/// All about a node, the slow way: checks its box, its mass and its cut, tells its points' slots.
fn inspect(tree: &Tree, at: u16, points: &Points, rows: &[u16]) -> Vec<u16> {
    if at & LEAF > 0 {
        let x = points.at(tree.leaves[usize::from(at & !LEAF)]);
        let equal: Vec<_> = rows.iter().copied().filter(|&slot| points.at(slot) == x).collect();
        assert_eq!(equal.len(), rows.len(), "a leaf is of equal points");
        assert!(!equal.is_empty());
        return equal;
    }
    let node = &tree.nodes[usize::from(at)];
    let goes_left = |slot: &u16| points.at(*slot)[usize::from(node.dim)] <= node.cut;
    let (left, right): (Vec<u16>, Vec<u16>) = rows.iter().partition(|slot| goes_left(slot));
    assert_eq!(left.len(), usize::from(node.left_mass));
    if node.cell != NONE {
        let dims = points.at(rows[0]).len();
        let (mut low, mut high) = (vec![u16::MAX; dims], vec![0; dims]);
        rows.iter().for_each(|&slot| hold(&mut low, &mut high, points.at(slot), points.at(slot)));
        assert_eq!(tree.cell(node.cell, dims), (&low[..], &high[..]));
        assert!(rows.len() >= usize::from(BOXED));
    }
    [inspect(tree, node.left, points, &left), inspect(tree, node.right, points, &right)].concat()
}

fn check(tree: &Tree, points: &Points) {
    let rows: Vec<_> = tree.rows().collect();
    assert_eq!(rows.len(), usize::from(tree.mass));
    assert!(rows.windows(2).all(|pair| points.age(pair[0]) > points.age(pair[1])));
    if !rows.is_empty() {
        assert_eq!(inspect(tree, tree.root, points, &rows).len(), rows.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_tree_is_what_its_points_say(
        seed: u64, values in 1_usize..4, shingle in 1_usize..4, spread in 1_u32..3000,
    ) {
        let (sample, mut dice) = (40, Dice::new(seed));
        let dims = values * shingle;
        let mut points = Points::new(values, shingle, 90);
        let (mut tree, mut bench) = (Tree::new(dims, sample), Bench::new(dims, sample));
        for _ in 0..400 {
            let row: Vec<u16> = (0..values).map(|_| dice.below(spread) as u16).collect();
            let slot = points.push(&row);
            while tree.oldest().is_some_and(|slot| points.age(slot) >= 90) {
                tree.drop_nth(0, &points, &mut bench);
            }
            if tree.mass > 0 && dice.below(3) == 0 || usize::from(tree.mass) == sample {
                let nth = dice.below(u32::from(tree.mass)) as u16;
                tree.drop_nth(nth, &points, &mut bench);
            }
            if dice.below(2) == 0 {
                tree.insert(slot, &points, &mut dice, &mut bench);
            }
            check(&tree, &points);
        }
    }
}

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
    for (values, shingle, steps) in [(1, 8, 1000), (3, 1, 1000), (11, 1, 50), (2, 3, 4)] {
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
            let x = &out.short_room[..known.shape.dims()];
            let scores = known.trees.iter().map(|tree| {
                let rows: Vec<u16> = tree.rows().collect();
                let score = slow_score(tree, tree.root, 0.0, x, &known.points, &rows);
                score * libm::log2(1.0 + f64::from(tree.mass))
            });
            let expected = scores.sum::<f64>() / known.trees.len() as f64;
            assert!((out.raw - expected).abs() < 1e-5, "{} {expected} at {i}", out.raw);
        }
    }
}

#[test]
fn samples_are_of_the_window_and_full() {
    let mut forest = forest(&algorithm().with("sample", 32.0).with("window", 320.0), 2);
    let mut dice = Dice::new(2);
    for i in 0..2000 {
        go(&mut forest, &[dice.uniform(), dice.uniform()]);
        if i % 97 == 0 && i > 700 {
            for tree in &forest.trees {
                check(tree, &forest.points);
                assert!((29..=32).contains(&tree.mass), "{}", tree.mass);
                let old = tree.rows().filter(|slot| forest.points.age(*slot) > 160).count();
                assert!((13..=19).contains(&old), "{old} of the older half");
            }
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
