//! Robust random cut forest (Guha, Mishra, Roy & Schrijvers 2016: "Robust random cut forest based
//! anomaly detection on streams"): trees of random cuts over samples of the last rows, kept current
//! by inserting and deleting points. A point is odd if cuts part it from the others early.
//!
//! A point is a shingle, the last rows in a row: of one value it shows the shape of the series. The
//! score is that of the AWS implementation, without its factor for shingles; a usual row has about
//! .9, one that is parted at the root log2(1 + sample).
//!
//! What differs from the paper: values are standardised online, in places of two bytes (see
//! `forest::points`), and samples are stratified instead of reservoirs (see `forest`).

#[cfg(test)]
mod tests;
mod walk;

use domain::{Algorithm, encoding::DecodeError};

use walk::{ABREAST, Room, continuations, wide::ways};

use crate::{
    Assessment,
    forest::{
        Forest, Shape,
        bounds::Wide,
        points::{deviations, place},
        tree::Rule,
    },
    nearest::Search,
    present,
    scorer::{Levels, Row, Scorer},
};

/// So many trees say what is expected; more would say about the same.
const EXPECTING: usize = 16;
/// The shingle of a series of one value, unless told.
const SHINGLE: usize = 8;

/// Trees of random cuts over the last rows.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomCutForest(Forest);

fn shape_of(algorithm: &Algorithm, values: usize) -> Shape {
    let shingle = match algorithm.whole("shingle") {
        0 if values == 1 => SHINGLE,
        0 => 1,
        given => given,
    };
    Shape {
        trees: if values > 0 { algorithm.whole("trees") } else { 0 },
        sample: algorithm.whole("sample").min(algorithm.whole("window")),
        window: algorithm.whole("window"),
        // A dimension has a number of two bytes.
        shingle: shingle.min(usize::from(u16::MAX) / values.max(1)).max(1),
        values,
        width: values,
        rule: Rule::Places,
    }
}

impl Scorer for RandomCutForest {
    const LEVELS: Levels = Levels::Raw;

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        Self(Forest::new(shape_of(algorithm, values), seed))
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        Forest::bytes_for(shape_of(algorithm, values))
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let Forest { shape, points, .. } = &self.0;
        let Shape { sample, values, .. } = *shape;
        let (dims, row) = (shape.dims(), row.values);
        let before = dims - values;
        let mut short = std::mem::take(&mut out.short_room);
        // What it held is overwritten.
        short.resize(3 * dims + ABREAST * sample, 0);
        let mut single = std::mem::take(&mut out.single_room);
        single.clear();
        single.resize(2 * dims, 0.0);
        let (x, short_room) = short.split_at_mut(dims);
        x[..before].copy_from_slice(points.before());
        self.expect(x, out);
        let known = self.place(row, &mut x[before..], out);
        if known > 0 && !self.0.is_young() {
            let (parts, tail) = single.split_at_mut(dims);
            let (low, rest) = short_room.split_at_mut(dims);
            let (high, path) = rest.split_at_mut(dims);
            out.raw = match dims {
                8 => self.score_wide::<1>(x, parts, path),
                9..=16 => self.score_wide::<2>(x, parts, path),
                _ => {
                    let mut room = Room { low, high, path, parts: tail };
                    self.mean(
                        self.0.trees.iter().map(|tree| tree.score(x, points, parts, &mut room)),
                    )
                }
            };
            for (dim, part) in parts.iter().enumerate() {
                if present(row, dim % values).is_some() {
                    out.contributions[dim % values] += f64::from(*part);
                }
            }
            out.confidence = self.0.confidence(known);
        }
        (out.short_room, out.single_room) = (short, single);
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        let Shape { values, .. } = self.0.shape;
        let dims = self.0.shape.dims();
        self.0.learn(row.values, &seen.short_room[dims - values..dims], seen.raw);
    }

    fn remembered(&self, _: Row<'_>, search: &mut Search<'_>) {
        self.0.offer(search);
    }

    fn rows(&self) -> u64 {
        self.0.rows
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.0.decode(bytes)
    }
}

impl RandomCutForest {
    /// The mean of the trees' scores, in their order, each in the unit of its points.
    #[inline(always)]
    fn mean(&self, scores: impl Iterator<Item = f32>) -> f64 {
        let (mut sum, mut mass, mut unit) = (0.0, 0, 0.0);
        for (tree, score) in self.0.trees.iter().zip(scores) {
            if tree.mass != mass {
                (mass, unit) = (tree.mass, libm::log2(1.0 + f64::from(tree.mass)));
            }
            sum += unit * f64::from(score);
        }
        sum / self.0.trees.len() as f64
    }

    /// The same of a point in blocks; adds each dimension's part to `parts`. `paths` has room for a way down each of
    /// some trees.
    fn score_wide<const BLOCKS: usize>(
        &self,
        x: &[u16],
        parts: &mut [f32],
        paths: &mut [u16],
    ) -> f64 {
        let Forest { trees, points, .. } = &self.0;
        let wide = Wide::<BLOCKS>::new(x);
        let mut lanes = [[0.0; 8]; BLOCKS];
        let mut scores = [0.0; ABREAST];
        let mean = self.mean(trees.chunks(ABREAST).flat_map(|trees| {
            let ways = ways(trees, x, paths);
            for ((score, tree), way) in scores.iter_mut().zip(trees).zip(ways) {
                *score = tree.score_wide(&wide, x.len(), points, &mut lanes, way);
            }
            scores
        }));
        for (dim, part) in parts.iter_mut().enumerate() {
            *part = lanes.as_flattened()[Wide::<BLOCKS>::lane_of(dim, x.len())];
        }
        mean
    }

    /// Sets what is expected of each value, and the unit of deviation. Where a shingle has rows
    /// before the newest, it is what followed such rows: the mean of what each tree knows of that,
    /// weighted by how near its rows are.
    fn expect(&self, x: &[u16], out: &mut Assessment) {
        let before = x.len() - self.0.shape.values;
        for (index, standard) in self.0.standards.iter().enumerate() {
            (out.expected[index], out.scale[index]) = (standard.expected(), standard.unit());
        }
        if before == 0 {
            return;
        }
        out.room.clear();
        out.room.resize(self.0.shape.values, 0.0);
        let mut weights = 0.0;
        let mut trees = self.0.trees.iter().filter(|tree| tree.mass > 0).take(EXPECTING);
        while let Some(first) = trees.next() {
            let (mut some, mut count) = ([first; ABREAST], 1);
            for (place, tree) in some[1..].iter_mut().zip(&mut trees) {
                *place = tree;
                count += 1;
            }
            for point in &continuations(&some, x, before, &self.0.points)[..count] {
                let (known, next) = point.split_at(before);
                let apart = x.iter().zip(known).map(|(&x, &at)| u32::from(x.abs_diff(at)));
                let near = 1.0 / (1.0 + f64::from(apart.sum::<u32>()));
                weights += near * near;
                for (sum, place) in out.room.iter_mut().zip(next) {
                    *sum += near * near * f64::from(*place);
                }
            }
        }
        if weights > 0.0 {
            for (index, sum) in out.room.iter().enumerate() {
                out.expected[index] += deviations(sum / weights) * out.scale[index];
            }
        }
    }

    /// The places of a row; missing values are where they are expected. Says how many are present.
    fn place(&self, row: &[f64], x: &mut [u16], out: &Assessment) -> usize {
        let mut known = 0;
        for (index, standard) in self.0.standards.iter().enumerate() {
            let value = present(row, index);
            known += usize::from(value.is_some());
            let value = value.unwrap_or(out.expected[index]);
            x[index] = place(if value.is_nan() { 0.0 } else { standard.distance(value) });
        }
        known
    }
}
