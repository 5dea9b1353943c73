//! Depths are those of trees grown afresh, and odd rows are isolated early.

use super::*;

fn forest(values: usize, extended: u32) -> IsolationForest {
    let algorithm = Algorithm::new(domain::Kind::IsolationForest);
    IsolationForest::new(&algorithm.with("extended", f64::from(extended)), values, 5)
}

/// Scores a row and learns it.
fn go(forest: &mut IsolationForest, values: &[f64]) -> Assessment {
    let (mut out, row) = (Assessment::default(), Row { values, at: 0 });
    out.prepare(values.len(), values.len() + 1);
    forest.score(row, &mut out);
    forest.learn(row, &out);
    out
}

fn normal(dice: &mut Dice) -> f64 {
    (0..12).map(|_| dice.uniform()).sum::<f64>() - 6.0
}

#[test]
fn usual_rows_have_about_one_and_the_odd_feature_is_named() {
    for extended in [0, 1] {
        let (mut forest, mut dice) = (forest(6, extended), Dice::new(2));
        let (mut sum, mut last) = (0.0, 0.0);
        for i in 0..3000 {
            let row: Vec<f64> = (0..6).map(|v| f64::from(v) + 10.0 * normal(&mut dice)).collect();
            let out = go(&mut forest, &row);
            sum += if i >= 1000 { out.raw / 2000.0 } else { 0.0 };
        }
        assert!((0.75..1.1).contains(&sum), "{sum}");
        for distance in [30.0, 100.0, 1000.0] {
            let mut row = vec![0.0; 6];
            row[4] = distance;
            let mut out = Assessment::default();
            out.prepare(6, 7);
            forest.score(Row { values: &row, at: 0 }, &mut out);
            assert!(out.raw > last, "{} at {distance}", out.raw);
            assert!(distance < 100.0 || out.contributions[4] > 0.5, "{:?}", out.contributions);
            last = out.raw;
        }
        assert!(last > 1.15 * sum, "{last} {sum} {extended}");
    }
}

/// The depths of the points of fresh trees of these points, cut as in the paper: the mean over all
/// trees and points.
fn fresh_depth(points: &[Vec<u16>], depth: f64, dice: &mut Dice) -> f64 {
    if points.len() == 1 {
        return depth;
    }
    let sides: Vec<(usize, u16, u16)> = (0..points[0].len())
        .map(|dim| {
            let places = || points.iter().map(|point| point[dim]);
            (dim, places().min().unwrap(), places().max().unwrap())
        })
        .filter(|(_, low, high)| low < high)
        .collect();
    let (dim, low, high) = sides[dice.below(sides.len() as u32) as usize];
    let cut = low + dice.below(u32::from(high - low)) as u16;
    let (left, right): (Vec<_>, Vec<_>) = points.iter().cloned().partition(|p| p[dim] <= cut);
    let share = left.len() as f64 / points.len() as f64;
    share * fresh_depth(&left, depth + 1.0, dice)
        + (1.0 - share) * fresh_depth(&right, depth + 1.0, dice)
}

fn depths(tree: &Tree, at: u16, depth: f64) -> f64 {
    if at & LEAF > 0 {
        return depth;
    }
    let node = &tree.nodes[usize::from(at)];
    depths(tree, node.left, depth + 1.0) + depths(tree, node.right, depth + 1.0)
}

/// Points of very unlike dimensions, one of them far out: their mean depth in trees after many came
/// and went is that in fresh trees.
#[test]
fn trees_that_were_kept_current_are_as_deep_as_fresh_ones() {
    let (mut kept, mut fresh) = (0.0, 0.0);
    let runs = 4000;
    let mut dice = Dice::new(3);
    for run in 0..runs {
        let shape = Shape { sample: 16, window: 64, trees: 1, ..shape_of(&algorithm(), 3) };
        let mut forest = Forest::new(shape, run);
        for i in 0..120_u32 {
            let far = if i % 13 == 0 { 20_000 } else { 0 };
            let row = [i * 7 % 31, far + i * 11 % 1000, 40 * (i * 17 % 64)].map(|x| x as u16);
            forest.learn(&row.map(f64::from), &row, 0.0);
        }
        let tree = &forest.trees[0];
        let points: Vec<_> = tree.rows().map(|slot| forest.points.at(slot).to_vec()).collect();
        kept += depths(tree, tree.root, 0.0) / points.len() as f64;
        fresh += fresh_depth(&points, 0.0, &mut dice);
    }
    let (kept, fresh) = (kept / runs as f64, fresh / runs as f64);
    assert!((kept - fresh).abs() < 0.03 * fresh, "{kept} {fresh}");
}

fn algorithm() -> Algorithm {
    Algorithm::new(domain::Kind::IsolationForest)
}
