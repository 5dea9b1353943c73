//! Where random cuts fall.

use super::{Bench, LEAF, NONE, Rule, Tree};
use crate::{
    dice::Dice,
    forest::{
        bounds::{beyond, reach},
        points::Points,
    },
};

impl Tree {
    /// Where a new point is cut off: the level of the way at which the new node belongs, the
    /// dimension and the cut. At each node of the way a cut is drawn as for the box that holds the
    /// point too; the highest one that parts the two counts (Algorithm 2 of Guha et al. 2016, from
    /// below).
    pub(super) fn cut(
        &self,
        x: &[u16],
        depth: usize,
        end: u16,
        points: &Points,
        dice: &mut Dice,
        bench: &mut Bench,
    ) -> (usize, u16, u16) {
        let Bench { rule, path, low, high } = bench;
        let leaf = points.at(self.leaves[usize::from(end & !LEAF)]);
        low.copy_from_slice(leaf);
        high.copy_from_slice(leaf);
        let (mut best, mut below) = ((depth, 0, 0), end);
        // The box that a node keeps is read where it lies, and copied only if a node above keeps none.
        let mut kept = NONE;
        for level in (0..=depth).rev() {
            let mut dim = None;
            if level < depth {
                let node = &self.nodes[usize::from(path[level])];
                dim = Some(usize::from(node.dim));
                if node.cell == NONE {
                    if kept != NONE {
                        let (kept_low, kept_high) = self.cell(kept, low.len());
                        low.copy_from_slice(kept_low);
                        high.copy_from_slice(kept_high);
                    }
                    let sibling = if node.left == below { node.right } else { node.left };
                    self.enclose(sibling, points, low, high);
                }
                kept = node.cell;
                below = path[level];
            }
            let (low, high) =
                if kept == NONE { (&**low, &**high) } else { self.cell(kept, low.len()) };
            let (outside, sides) = reach(x, low, high);
            if outside == 0 {
                break;
            }
            let parting = match rule {
                Rule::Places => {
                    let at = dice.below(sides);
                    if at < outside { parting(x, low, high, at) } else { None }
                }
                Rule::Dimensions => parting_by_dimension(x, low, high, dim, dice),
            };
            if let Some((dim, cut)) = parting {
                best = (level, dim, cut);
            }
        }
        best
    }
}

/// The dimension and cut that part a point from a box, by a number below what the sides of the two
/// sum to; none if the number says a cut of the box itself.
fn parting(x: &[u16], low: &[u16], high: &[u16], mut at: u32) -> Option<(u16, u16)> {
    for (dim, ((&x, &low), &high)) in x.iter().zip(low).zip(high).enumerate() {
        let outside = u32::from(beyond(x, low, high));
        if at < outside {
            return Some((dim as u16, x.min(high) + at as u16));
        }
        at -= outside;
    }
    None
}

/// The same where each dimension counts alike, at a node that cuts the box in `dim`; a leaf has
/// none. Such a cut stays one by the rule for the larger box unless a dimension has become one in
/// which points differ, or falls into the part by which the side has grown.
fn parting_by_dimension(
    x: &[u16],
    low: &[u16],
    high: &[u16],
    dim: Option<usize>,
    dice: &mut Dice,
) -> Option<(u16, u16)> {
    let side = |dim: usize| (x[dim], low[dim], high[dim]);
    let new = |dim: &usize| low[*dim] == high[*dim] && x[*dim] != low[*dim];
    let differs = (0..x.len()).filter(|&dim| low[dim] < high[dim]).count() as u32;
    let newly = (0..x.len()).filter(new).count() as u32;
    let at = dice.below(differs + newly);
    let dim = if at < newly { (0..x.len()).filter(new).nth(at as usize) } else { dim }?;
    let (x, low, high) = side(dim);
    let outside = u32::from(beyond(x, low, high));
    let at = dice.below(outside + u32::from(high - low));
    (at < outside).then(|| (dim as u16, x.min(high) + at as u16))
}
