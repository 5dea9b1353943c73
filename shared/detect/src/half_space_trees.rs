//! Streaming half-space trees (Tan, Ting & Liu 2011: "Fast anomaly detection for streaming data"): random
//! binary splits of the space, fixed before the first row; the mass of a window of rows in each half-space is
//! the profile against which the next window's rows are judged.
//!
//! Beyond the paper: features are standardised online, since no range is known beforehand; the first window is
//! judged by itself while it fills; each split's drop of density belongs to its feature, so that the score falls
//! into contributions exactly; and how far a value lies outside the standard range is added, because trees alone
//! can't tell 5 deviations from 50.

mod masses;
mod splits;

use domain::{
    Algorithm,
    encoding::{DecodeError, put, take_count},
};
use rand_core::SeedableRng;
use rand_pcg::Pcg64Mcg;

use splits::{Split, random_tree};

use crate::{
    Assessment,
    calibration::Prior,
    present,
    scorer::{Levels, Row, Scorer, level_of},
    standard::Standard,
};

/// The trees cover so many deviations to each side of the mean.
const REACH: f64 = 3.0;
/// Below this share of the window a node's children say too little (the paper's size limit).
const MASS_SHARE_MIN: f32 = 0.1;
/// Levels are so many per bit, from so many bits below an even spread.
const LEVELS: (f64, f64) = (0.35, 10.0);
/// Trees walked side by side, so that the processor fetches their nodes at the same time.
const LANES: usize = 8;

/// A space cut at random, and how many rows fell where.
#[derive(Clone, Debug, PartialEq)]
pub struct HalfSpaceTrees {
    trees: usize,
    depth: u32,
    window: u32,
    /// Inner nodes of each tree in turn; a node's children are at 2i + 1 and 2i + 2.
    splits: Box<[Split]>,
    /// Rows in each node, leaves included: of the last window and of the current one.
    reference: Box<[u32]>,
    latest: Box<[u32]>,
    standards: Box<[Standard]>,
    rows: u64,
}

impl Scorer for HalfSpaceTrees {
    const LEVELS: Levels = Levels::ValuesAndRow(Prior::RARITY);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let depth = algorithm.whole("depth") as u32;
        let (inner, all) = nodes(depth);
        let count = algorithm.whole("trees");
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut splits = Vec::with_capacity(inner * count);
        for _ in 0..if values > 0 { count } else { 0 } {
            splits.extend(random_tree(inner, values, &mut random));
        }
        Self {
            trees: if values > 0 { count } else { 0 },
            depth,
            window: algorithm.whole("window") as u32,
            splits: splits.into(),
            reference: vec![0; all * count].into(),
            latest: vec![0; all * count].into(),
            standards: vec![Standard::default(); values].into(),
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let (inner, all) = nodes(algorithm.whole("depth") as u32);
        let splits = if values > 0 { inner * size_of::<Split>() } else { 0 };
        algorithm.whole("trees") * (splits + 2 * all * size_of::<u32>())
            + values * size_of::<Standard>()
    }

    /// Scores a row: how many times rarer (in bits) than evenly spread rows its place is, mean over the trees,
    /// plus bits for values far outside. Learns nothing.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let row = row.values;
        let known = self.place(row, &mut out.room);
        for (index, standard) in self.standards.iter().enumerate() {
            (out.expected[index], out.scale[index]) = (standard.expected(), standard.unit());
        }
        let share = known as f64 / self.standards.len().max(1) as f64;
        let seen = self.rows.min(u64::from(self.window)) as f64;
        out.confidence = share * seen / (seen + 0.25 * f64::from(self.window));
        if known == 0 {
            out.confidence = 0.0;
        } else if self.rows > 0 {
            let rarity = self.rarity(&out.room, &mut out.contributions);
            out.raw = rarity;
            out.levels[self.standards.len()] = Self::level(rarity);
            for (index, standard) in self.standards.iter().enumerate() {
                let part = &mut out.contributions[index];
                *part = part.max(0.0);
                if let Some(value) = present(row, index) {
                    let distance = standard.distance(value).abs();
                    let bits = bits_outside(distance);
                    *part += bits;
                    out.raw += bits;
                    out.levels[index] = level_of(distance);
                }
            }
        }
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        let (inner, all) = nodes(self.depth);
        let blocks = self.splits.chunks(inner * LANES).zip(self.latest.chunks_mut(all * LANES));
        for (splits, mass) in blocks {
            let lanes = splits.len() / inner;
            let mut nodes = [0_usize; LANES];
            (0..lanes).for_each(|lane| mass[lane * all] += 1);
            for _ in 0..self.depth {
                for (lane, node) in nodes.iter_mut().enumerate().take(lanes) {
                    *node = splits[lane * inner + *node].child(*node, &seen.room).0;
                    mass[lane * all + *node] += 1;
                }
            }
        }
        for (index, standard) in self.standards.iter_mut().enumerate() {
            if let Some(value) = present(row.values, index) {
                standard.learn(value);
            }
        }
        self.rows += 1;
        if self.rows.is_multiple_of(u64::from(self.window)) {
            std::mem::swap(&mut self.reference, &mut self.latest);
            self.latest.fill(0);
        }
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.splits)
            + size_of_val(&*self.reference)
            + size_of_val(&*self.latest)
            + size_of_val(&*self.standards)
    }

    /// Nor are the splits told, which follow from the seed.
    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.iter().for_each(|standard| standard.encode(out));
        for mass in [&self.reference, &self.latest] {
            masses::encode(mass, self.depth, out);
        }
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for standard in &mut self.standards {
            *standard = Standard::decode(bytes)?;
        }
        if self.trees > 0 {
            // Each tree has every row of its window, so the sums need no telling.
            let window = u64::from(self.window);
            let full = if self.rows < window { 0 } else { self.window };
            let since = self.rows.checked_rem(window).unwrap_or(0) as u32;
            masses::decode(&mut self.reference, self.depth, full, bytes)?;
            masses::decode(&mut self.latest, self.depth, since, bytes)?;
        }
        Ok(())
    }
}

impl HalfSpaceTrees {
    /// The bits by which the row's place is rarer than even, and each feature's part in them.
    fn rarity(&self, places: &[f64], parts: &mut [f64]) -> f64 {
        let (inner, all) = nodes(self.depth);
        // Until the first window is full, it is its own reference.
        let young = self.rows < u64::from(self.window);
        let profile = if young { &self.latest } else { &self.reference };
        let total = self.rows.min(u64::from(self.window)) as f32;
        let (enough, whole) = (MASS_SHARE_MIN * total, bits(total));
        let mut sum = 0.0_f64;
        let blocks = self.splits.chunks(inner * LANES).zip(profile.chunks(all * LANES));
        for (splits, mass) in blocks {
            let lanes = splits.len() / inner;
            let mut nodes = [0_usize; LANES];
            let mut above = [(total, whole); LANES];
            for _ in 0..self.depth {
                for lane in 0..lanes {
                    let split = splits[lane * inner + nodes[lane]];
                    let (node, weight) = split.child(nodes[lane], places);
                    let rows = mass[lane * all + node] as f32;
                    let here = bits(rows);
                    let (rows_above, bits_above) = above[lane];
                    let counts = if rows_above > enough { weight } else { 0.0 };
                    // An even half would lose one bit; what is lost beyond that is rarity.
                    let drop = f64::from((bits_above - here - 1.0) * counts);
                    parts[split.feature as usize] += drop;
                    sum += drop;
                    nodes[lane] = node;
                    above[lane] = (rows, here);
                }
            }
        }
        let count = self.trees.max(1) as f64;
        parts.iter_mut().for_each(|part| *part /= count);
        sum / count
    }

    /// Standardises a row into the trees' range: for each value where it lies there, 0 to 1, and
    /// whether it says anything, 1 or 0. A missing value goes where its mean lies, and its splits
    /// count for nothing. Says how many values are present.
    fn place(&self, row: &[f64], places: &mut Vec<f64>) -> usize {
        places.clear();
        let mut known = 0;
        for (index, standard) in self.standards.iter().enumerate() {
            let Some(value) = present(row, index) else {
                places.extend([0.5, 0.0]);
                continue;
            };
            known += 1;
            let at = 0.5 + standard.distance(value) / (2.0 * REACH);
            places.extend([f64::from(at.clamp(0.0, 1.0) as f32), 1.0]);
        }
        known
    }

    /// The level of so many bits: they start some bits below 0, in dense places.
    fn level(bits: f64) -> f64 {
        (LEVELS.0 * (bits + LEVELS.1)).max(0.0)
    }
}

/// How many inner nodes, and nodes in all, a tree of this depth has.
fn nodes(depth: u32) -> (usize, usize) {
    ((1 << depth) - 1, (2 << depth) - 1)
}

/// About log2 of a number of rows, and of half a row for none: its exponent, with the mantissa as the part
/// after the point. Off by .09 at most, monotone, and the same on every processor.
pub(crate) fn bits(rows: f32) -> f32 {
    ((rows + 0.5).to_bits() as i32 - (127 << 23)) as f32 / (1 << 23) as f32
}

/// What the trees can't see: bits for a distance beyond their range.
fn bits_outside(distance: f64) -> f64 {
    if distance > REACH { libm::log2(1.0 + distance - REACH) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rand_core::RngCore;

    use super::*;

    /// A generator for tests: normal values from sums of uniforms.
    struct Normal(Pcg64Mcg);

    impl Normal {
        fn next(&mut self) -> f64 {
            let uniform = |r: &mut Pcg64Mcg| f64::from(r.next_u32()) / f64::from(u32::MAX);
            (0..12).map(|_| uniform(&mut self.0)).sum::<f64>() - 6.0
        }
    }

    fn trained(values: usize, rows: usize) -> (HalfSpaceTrees, Normal) {
        let mut normal = Normal(Pcg64Mcg::seed_from_u64(3));
        let algorithm = Algorithm::new(domain::Kind::HalfSpaceTrees);
        let mut trees = HalfSpaceTrees::new(&algorithm, values, 1);
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

    #[test]
    fn masses_of_children_add_up_to_the_parents() {
        let (trees, _) = trained(3, 760);
        for (mass, total) in [(&trees.reference, 250), (&trees.latest, 10)] {
            for tree in mass.chunks_exact((2 << 10) - 1) {
                assert_eq!(tree[0], total);
                for node in 0..(1 << 10) - 1 {
                    assert_eq!(tree[node], tree[2 * node + 1] + tree[2 * node + 2]);
                }
            }
        }
    }

    #[test]
    fn the_odd_feature_is_named_and_the_score_grows_with_distance() {
        let (trees, _) = trained(10, 1000);
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
        let (trees, _) = trained(2, 1000);
        let half = score(&trees, &[0.0, f64::NAN]);
        assert_eq!(half.contributions, [1.0, 0.0]);
        let whole = score(&trees, &[0.0, 90.0]);
        assert!(whole.raw > half.raw + 1.0 && whole.confidence > 1.9 * half.confidence);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (trees, mut normal) = trained(5, 600);
        for _ in 0..100 {
            let row: Vec<f64> = (0..5).map(|_| normal.next() * 20.0).collect();
            let mut positions = vec![];
            trees.place(&row, &mut positions);
            let mut parts = vec![0.0; 5];
            let whole = trees.rarity(&positions, &mut parts);
            assert!((parts.iter().sum::<f64>() - whole).abs() < 1e-9);
        }
    }

    #[test]
    fn about_log2() {
        for rows in [0.0, 1.0, 3.0, 25.0, 250.0, 1e5] {
            assert!((bits(rows) - (rows + 0.5).log2()).abs() < 0.09);
        }
    }
}
