//! How trees cut the space: at random, by a seed, before the first row.

use rand_core::RngCore;
use rand_pcg::Pcg64Mcg;

/// An inner node: which feature it looks at, and from where on a row goes right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) at: f32,
    pub(super) feature: u32,
}

impl Split {
    /// The child of `node`, which this splits, on the row's side; and whether its value says anything.
    pub(super) fn child(self, node: usize, positions: &[Position]) -> (usize, f32) {
        let place = positions[self.feature as usize];
        (2 * node + 1 + usize::from(place.at >= self.at), place.weight)
    }
}

/// Where a value lies in the trees' range, 0 to 1, and whether it says anything: 1, or 0 if it is missing.
/// A missing value goes where its mean lies, and its splits count for nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Position {
    pub(super) at: f32,
    pub(super) weight: f32,
}

/// The splits of one tree: a random feature at each node, halved where its range stands there. The ranges are
/// the paper's: about a random place of [0, 1], wide enough to hold all of it.
pub(super) fn random_tree(inner: usize, values: usize, random: &mut Pcg64Mcg) -> Vec<Split> {
    let mut ranges: Vec<(f32, f32)> = (0..values)
        .map(|_| {
            let place = (random.next_u32() >> 8) as f32 / (1 << 24) as f32;
            let reach = 2.0 * place.max(1.0 - place);
            (place - reach, place + reach)
        })
        .collect();
    let mut splits: Vec<Split> = (0..inner)
        .map(|_| ((u64::from(random.next_u32()) * values as u64) >> 32) as u32)
        .map(|feature| Split { at: 0.0, feature })
        .collect();
    halve(0, &mut splits, &mut ranges);
    splits
}

/// Sets the splits of a node and those below it, where features have these ranges.
fn halve(node: usize, splits: &mut [Split], ranges: &mut [(f32, f32)]) {
    let Some(split) = splits.get_mut(node) else {
        return;
    };
    let feature = split.feature as usize;
    let (low, high) = ranges[feature];
    let at = 0.5 * (low + high);
    split.at = at;
    ranges[feature] = (low, at);
    halve(2 * node + 1, splits, ranges);
    ranges[feature] = (at, high);
    halve(2 * node + 2, splits, ranges);
    ranges[feature] = (low, high);
}
