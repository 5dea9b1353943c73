//! Trees against the slow definition, whatever is put in and taken out.

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
        even: bool,
    ) {
        let (sample, mut dice) = (40, Dice::new(seed));
        let dims = values * shingle;
        let rule = if even { Rule::Dimensions } else { Rule::Places };
        let mut points = Points::new(values, shingle, 90);
        let (mut tree, mut bench) = (Tree::new(dims, sample), Bench::new(dims, sample, rule));
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

#[test]
fn samples_are_of_the_window_and_full() {
    let shape = Shape {
        trees: 10,
        sample: 32,
        window: 320,
        shingle: 1,
        values: 2,
        width: 2,
        rule: Rule::Places,
    };
    let mut forest = Forest::new(shape, 5);
    let mut dice = Dice::new(2);
    for i in 0..2000 {
        let places = [dice.below(1000) as u16, dice.below(1000) as u16];
        forest.learn(&places.map(f64::from), &places, 1.0);
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
