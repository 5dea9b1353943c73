//! The same walk for 8 to 16 dimensions, which are those of most forests: a shingle of one value, or rows of some
//! values. Points and boxes are one or two blocks of eight places. One by one the compiler makes such numbers of
//! dimensions into twice as many instructions.

use super::ABREAST;
use crate::forest::{
    bounds::{Lanes, Wide},
    points::Points,
    tree::{LEAF, NONE, Node, Tree},
};

/// Each lane's part in a score.
pub(in crate::random_cut_forest) type Parts<const BLOCKS: usize> = [[f32; 8]; BLOCKS];

/// A way down a tree: its nodes, the leaf and the points there.
#[derive(Clone, Copy)]
pub(in crate::random_cut_forest) struct Way<'a> {
    nodes: &'a [u16],
    leaf: u16,
    mass: u16,
}

/// Goes down some trees on a point's side, side by side; boxes are looked at later, when it is known which. `paths` has room for a way down each of them.
pub(in crate::random_cut_forest) fn ways<'a>(
    trees: &[Tree],
    x: &[u16],
    paths: &'a mut [u16],
) -> [Way<'a>; ABREAST] {
    let room = paths.len() / ABREAST;
    let tree = |lane: usize| &trees[lane.min(trees.len() - 1)];
    let nodes: [&[Node]; ABREAST] = std::array::from_fn(|lane| &*tree(lane).nodes);
    let mut at: [u16; ABREAST] = std::array::from_fn(|lane| tree(lane).root);
    let mut mass: [u16; ABREAST] = std::array::from_fn(|lane| tree(lane).mass);
    let mut levels = [0_usize; ABREAST];
    while at.iter().any(|at| at & LEAF == 0) {
        for lane in 0..ABREAST {
            if at[lane] & LEAF == 0 {
                paths[lane * room + levels[lane]] = at[lane];
                levels[lane] += 1;
                (at[lane], mass[lane]) = nodes[lane][usize::from(at[lane])].child(x, mass[lane]);
            }
        }
    }
    std::array::from_fn(|lane| Way {
        nodes: &paths[lane * room..][..levels[lane]],
        leaf: at[lane],
        mass: mass[lane],
    })
}

impl Tree {
    /// The score of a point that goes this way; adds each lane's part in it to `parts`.
    #[inline(always)]
    pub(in crate::random_cut_forest) fn score_wide<const BLOCKS: usize>(
        &self,
        wide: &Wide<BLOCKS>,
        dims: usize,
        points: &Points,
        parts: &mut Parts<BLOCKS>,
        way: Way<'_>,
    ) -> f32 {
        let mut depth = 1.0_f32;
        let (mut score, mut rest, mut boxed) = (0.0, 1.0, 0);
        for &at in way.nodes {
            let cell = self.nodes[usize::from(at)].cell;
            if cell == NONE {
                break;
            }
            boxed += 1;
            let (low, high) = self.cell(cell, dims);
            let (beyond, outside, sides) = wide.reach(&wide.blocks(low), &wide.blocks(high));
            if outside > 0 {
                let weight = rest / (sides as f32 * depth);
                for (parts, beyond) in parts.iter_mut().zip(&beyond) {
                    for lane in 0..8 {
                        parts[lane] += weight * f32::from(beyond[lane]);
                    }
                }
                let part = weight * outside as f32;
                score += part;
                rest -= part * depth;
            }
            depth += 1.0;
        }
        let way = Way { nodes: &way.nodes[boxed..], ..way };
        let (tail, tails) = self.tail_wide(wide, dims, depth, points, way);
        for (parts, tails) in parts.iter_mut().zip(&tails) {
            for lane in 0..8 {
                parts[lane] += rest * tails[lane];
            }
        }
        score + rest * tail
    }

    /// The score from a node on that keeps no box, and each lane's part in it.
    #[inline(always)]
    fn tail_wide<const BLOCKS: usize>(
        &self,
        wide: &Wide<BLOCKS>,
        dims: usize,
        mut depth: f32,
        points: &Points,
        Way { nodes, leaf: mut at, mass }: Way<'_>,
    ) -> (f32, Parts<BLOCKS>) {
        depth += nodes.len() as f32;
        let leaf = points.at(self.leaves[usize::from(at & !LEAF)]);
        let mut low = wide.blocks(leaf);
        let mut high = low;
        let (beyond, outside, _) = wide.reach(&low, &high);
        if outside == 0 {
            let score = self.seen(mass, depth);
            return (score, [[score / dims as f32; 8]; BLOCKS]);
        }
        let mut score = 1.0 / depth;
        let weight = score / outside as f32;
        let mut parts = [[0.0; 8]; BLOCKS];
        for (parts, beyond) in parts.iter_mut().zip(&beyond) {
            for lane in 0..8 {
                parts[lane] = weight * f32::from(beyond[lane]);
            }
        }
        for &above in nodes.iter().rev() {
            let node = &self.nodes[usize::from(above)];
            let sibling = if node.left == at { node.right } else { node.left };
            self.enclose_wide(wide, sibling, points, &mut low, &mut high);
            depth -= 1.0;
            let (beyond, outside, sides) = wide.reach(&low, &high);
            if outside == 0 {
                break;
            }
            let weight = 1.0 / (sides as f32 * depth);
            let keep = 1.0 - outside as f32 / sides as f32;
            for (parts, beyond) in parts.iter_mut().zip(&beyond) {
                for lane in 0..8 {
                    parts[lane] = keep * parts[lane] + weight * f32::from(beyond[lane]);
                }
            }
            score = keep * score + weight * outside as f32;
            at = above;
        }
        (score, parts)
    }

    /// Makes a box hold a node or leaf.
    #[inline(always)]
    fn enclose_wide<const BLOCKS: usize>(
        &self,
        wide: &Wide<BLOCKS>,
        at: u16,
        points: &Points,
        low: &mut [Lanes; BLOCKS],
        high: &mut [Lanes; BLOCKS],
    ) {
        if at & LEAF > 0 {
            let x = points.at(self.leaves[usize::from(at & !LEAF)]);
            return wide.hold((low, high), x, x);
        }
        self.enclose_node_wide(wide, at, points, low, high);
    }

    fn enclose_node_wide<const BLOCKS: usize>(
        &self,
        wide: &Wide<BLOCKS>,
        at: u16,
        points: &Points,
        low: &mut [Lanes; BLOCKS],
        high: &mut [Lanes; BLOCKS],
    ) {
        let node = &self.nodes[usize::from(at)];
        if node.cell != NONE {
            let (cell_low, cell_high) = self.cell(node.cell, points.dims());
            return wide.hold((low, high), cell_low, cell_high);
        }
        self.enclose_wide(wide, node.left, points, low, high);
        self.enclose_wide(wide, node.right, points, low, high);
    }
}
