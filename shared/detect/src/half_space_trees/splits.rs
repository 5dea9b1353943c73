//! How trees cut the space: at random, by a seed, before the first row. Nothing of it is kept: a tree of depth 15
//! has 32,767 cuts, of which a profile asks for some forty, so each is drawn when it is asked for.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Places are whole numbers up to this one.
pub(super) const PLACE_MAX: u16 = u16::MAX - 1;
/// What the numbers of nodes are multiplied with, to be far apart: 2^128 over the golden ratio.
const FAR: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

/// The place of a share of the range that trees cover.
pub(super) fn place(share: f64) -> u16 {
    (share.clamp(0.0, 1.0) * f64::from(PLACE_MAX)) as u16
}

/// Where an inner node cuts: places of a feature from `at` on go right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) feature: usize,
    pub(super) at: u16,
}

impl Split {
    /// Whether there are places on both sides.
    pub(super) fn parts(self) -> bool {
        0 < self.at && self.at <= PLACE_MAX
    }
}

/// The cuts of one tree, on a way down: at each node a random feature, halved where its range stands there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Splits {
    key: u128,
    /// Low and high end for each feature.
    ranges: Box<[(f32, f32)]>,
}

impl Splits {
    pub(super) fn new(values: usize) -> Self {
        Self { key: 0, ranges: vec![(0.0, 0.0); values].into() }
    }

    pub(super) fn bytes_for(values: usize) -> usize {
        values * size_of::<(f32, f32)>()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.ranges)
    }

    /// Stands at a tree's root. The ranges are the paper's: about a random place of [0, 1], wide enough to hold
    /// all of it.
    pub(super) fn enter(&mut self, seed: u64, tree: usize) {
        let mut random = Pcg64Mcg::seed_from_u64(seed.wrapping_add(tree as u64));
        self.key = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        for range in &mut self.ranges {
            let place = (random.next_u32() >> 8) as f32 / (1 << 24) as f32;
            let reach = 2.0 * place.max(1.0 - place);
            *range = (place - reach, place + reach);
        }
    }

    /// The cut of a node, whose children are at 2i + 1 and 2i + 2, where ranges stand.
    pub(super) fn at(&self, node: u32) -> Split {
        let mut random = Pcg64Mcg::new(self.key.wrapping_add(FAR.wrapping_mul(u128::from(node))));
        let values = self.ranges.len() as u128;
        let feature = ((u128::from(random.next_u64()) * values) >> 64) as usize;
        let (low, high) = self.ranges[feature];
        let middle = 0.5 * (low + high);
        let at = (middle * f32::from(PLACE_MAX)).ceil().clamp(0.0, f32::from(u16::MAX)) as u16;
        Split { feature, at }
    }

    /// Goes to the right or left half of a feature's range; tells the whole, for [`leave`](Self::leave).
    pub(super) fn halve(&mut self, feature: usize, right: bool) -> (f32, f32) {
        let (low, high) = self.ranges[feature];
        let middle = 0.5 * (low + high);
        self.ranges[feature] = if right { (middle, high) } else { (low, middle) };
        (low, high)
    }

    /// Goes back to the whole range.
    pub(super) fn leave(&mut self, feature: usize, whole: (f32, f32)) {
        self.ranges[feature] = whole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features are drawn alike, and those of a node and its child, or of two trees, have nothing to do with each
    /// other.
    #[test]
    fn features_are_drawn_alike() {
        let drawn = |tree| {
            let mut splits = Splits::new(5);
            splits.enter(7, tree);
            (0..20_000).map(|node| splits.at(node).feature).collect::<Vec<_>>()
        };
        let (one, other) = (drawn(0), drawn(1));
        let pairs: [Vec<(usize, usize)>; 3] = [
            one.iter().copied().zip(other.iter().copied()).collect(),
            (0..9_999).map(|node| (one[node], one[2 * node + 1])).collect(),
            (0..9_999).map(|node| (one[2 * node + 1], one[2 * node + 2])).collect(),
        ];
        for pairs in pairs {
            let mut counts = [0.0_f64; 25];
            pairs.iter().for_each(|(a, b)| counts[5 * a + b] += 1.0);
            let even = pairs.len() as f64 / 25.0;
            let chi: f64 = counts.iter().map(|count| (count - even) * (count - even) / even).sum();
            // Of 24 degrees of freedom: once in 10,000 times.
            assert!(chi < 59.0, "{chi}");
        }
    }

    #[test]
    fn ranges_halve() {
        let mut splits = Splits::new(1);
        for tree in 0..100 {
            splits.enter(1, tree);
            let first = splits.at(0);
            assert!(first.parts(), "about a place of [0, 1]");
            for right in [false, true] {
                let whole = splits.halve(0, right);
                let second = splits.at(1 + u32::from(right)).at;
                // Where reach is as wide as all places, but for what is rounded.
                assert!(if right { second >= PLACE_MAX - 1 } else { second <= 1 }, "{second}");
                splits.leave(0, whole);
            }
            assert_eq!(splits.at(0), first);
        }
    }
}
