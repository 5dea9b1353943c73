//! What trees say of a point: how soon a random cut would part it from what the tree holds, and
//! where the rows before it would have led to.
//!
//! The score is that of the AWS implementation. A point that a cut parts at depth y scores 1/(y + 1);
//! one that ends in a leaf of m points equal to it scores 1/(y + log2(1 + m)), less the more of the
//! tree's points these are. At each node the chance of a cut is the share of the sides of the box
//! that the point would add. Each dimension's part is its part of that share.

pub(super) mod wide;

use crate::forest::{
    bounds::{add, beyond, reach},
    points::Points,
    tree::{LEAF, NONE, Tree},
};

/// So many trees are gone down side by side, so that the processor fetches their nodes at the same time.
pub(super) const ABREAST: usize = 4;

/// Room for a walk.
pub(super) struct Room<'a> {
    pub(super) low: &'a mut [u16],
    pub(super) high: &'a mut [u16],
    pub(super) path: &'a mut [u16],
    pub(super) parts: &'a mut [f32],
}

impl Tree {
    /// The score of a point; adds each dimension's part in it to `parts`. Few dimensions have code
    /// of their own in which there are no loops over them; it takes half of the time.
    pub(super) fn score(
        &self,
        x: &[u16],
        points: &Points,
        parts: &mut [f32],
        room: &mut Room<'_>,
    ) -> f32 {
        macro_rules! of_known_length {
            ($($dims:literal)*) => {
                match x.len() {
                    $($dims => self.score_of(&x[..$dims], $dims, points, &mut parts[..$dims], room),)*
                    dims => self.score_of(x, dims, points, parts, room),
                }
            };
        }
        of_known_length!(1 2 3 4 5 6 7)
    }

    #[inline(always)]
    fn score_of(
        &self,
        x: &[u16],
        dims: usize,
        points: &Points,
        parts: &mut [f32],
        room: &mut Room<'_>,
    ) -> f32 {
        let (mut at, mut mass, mut depth) = (self.root, self.mass, 1.0_f32);
        let (mut score, mut rest) = (0.0, 1.0);
        while at & LEAF == 0 {
            let node = &self.nodes[usize::from(at)];
            if node.cell == NONE {
                break;
            }
            let (low, high) = self.cell(node.cell, dims);
            let (outside, sides) = reach(x, low, high);
            if outside > 0 {
                let weight = rest / (sides as f32 * depth);
                add(parts, weight, x, low, high);
                let part = weight * outside as f32;
                score += part;
                rest -= part * depth;
            }
            depth += 1.0;
            (at, mass) = node.child(x, mass);
        }
        let tail = self.tail(x, dims, (at, mass, depth), points, room);
        parts.iter_mut().zip(&*room.parts).for_each(|(part, tail)| *part += rest * tail);
        score + rest * tail
    }

    /// The score from a node on that keeps no box: down to the leaf, and up again with the box of
    /// what was seen so far.
    #[inline(always)]
    fn tail(
        &self,
        x: &[u16],
        dims: usize,
        (mut at, mut mass, mut depth): (u16, u16, f32),
        points: &Points,
        room: &mut Room<'_>,
    ) -> f32 {
        let mut levels = 0;
        while at & LEAF == 0 {
            room.path[levels] = at;
            levels += 1;
            depth += 1.0;
            (at, mass) = self.nodes[usize::from(at)].child(x, mass);
        }
        let leaf = &points.at(self.leaves[usize::from(at & !LEAF)])[..dims];
        let (low, high) = (&mut room.low[..dims], &mut room.high[..dims]);
        let parts = &mut room.parts[..dims];
        let (outside, _) = reach(x, leaf, leaf);
        if outside == 0 {
            let score = self.seen(mass, depth);
            parts.fill(score / x.len() as f32);
            return score;
        }
        let mut score = 1.0 / depth;
        let weight = score / outside as f32;
        for ((part, &x), &leaf) in parts.iter_mut().zip(x).zip(leaf) {
            *part = weight * f32::from(beyond(x, leaf, leaf));
        }
        low.copy_from_slice(leaf);
        high.copy_from_slice(leaf);
        for &above in room.path[..levels].iter().rev() {
            let node = &self.nodes[usize::from(above)];
            let sibling = if node.left == at { node.right } else { node.left };
            self.enclose(sibling, points, low, high);
            depth -= 1.0;
            let (outside, sides) = reach(x, low, high);
            if outside == 0 {
                break;
            }
            let weight = 1.0 / (sides as f32 * depth);
            let keep = 1.0 - outside as f32 / sides as f32;
            for (((part, &x), &low), &high) in parts.iter_mut().zip(x).zip(&*low).zip(&*high) {
                *part = keep * *part + weight * f32::from(beyond(x, low, high));
            }
            score = keep * score + weight * outside as f32;
            at = above;
        }
        score
    }

    /// The score of a point that is in a leaf of so many; the root's depth is 1 here.
    fn seen(&self, mass: u16, depth: f32) -> f32 {
        let (equal, all) = (f32::from(mass), f32::from(self.mass));
        (1.0 - equal / (2.0 * all)) / (depth - 1.0 + libm::log2f(1.0 + equal))
    }
}

/// The points that the rows before it lead to in some trees, where cuts in its newest row, from a dimension on, count
/// for nothing: there the way is that of most points. Where there are fewer, one is given again.
pub(super) fn continuations<'a>(
    trees: &[&Tree; ABREAST],
    x: &[u16],
    newest: usize,
    points: &'a Points,
) -> [&'a [u16]; ABREAST] {
    let mut at = trees.map(|tree| tree.root);
    let mut mass = trees.map(|tree| tree.mass);
    while at.iter().any(|at| at & LEAF == 0) {
        for lane in 0..ABREAST {
            if at[lane] & LEAF > 0 {
                continue;
            }
            let node = &trees[lane].nodes[usize::from(at[lane])];
            (at[lane], mass[lane]) = if usize::from(node.dim) < newest {
                node.child(x, mass[lane])
            } else if 2 * node.left_mass >= mass[lane] {
                (node.left, node.left_mass)
            } else {
                (node.right, mass[lane] - node.left_mass)
            };
        }
    }
    std::array::from_fn(|lane| points.at(trees[lane].leaves[usize::from(at[lane] & !LEAF)]))
}
