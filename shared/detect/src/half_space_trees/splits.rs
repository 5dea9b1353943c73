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
    /// The child of `node`, which this splits, on the row's side; and whether its value says
    /// anything. `places` holds a place and a weight for each feature.
    pub(super) fn child(self, node: usize, places: &[f64]) -> (usize, f32) {
        let place = 2 * self.feature as usize;
        let (at, weight) = (places[place], places[place + 1]);
        (2 * node + 1 + usize::from(at >= f64::from(self.at)), weight as f32)
    }
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
