//! Isolation forest over a sliding window: trees that cut samples of the last rows apart, each time
//! in a random dimension at a random place; an odd row is cut off after few cuts (Liu, Ting & Zhou
//! 2008: "Isolation forest"). Beside it stands the online isolation forest of Leveni et al. (2024),
//! which counts rows in histograms that grow and shrink.
//!
//! Here trees hold rows, and a row that comes or goes changes a tree so that it is what a fresh tree
//! of its rows would be, by chance: a cut stays unless its side of the box has grown and the new cut
//! falls into what it has grown by. The same holds for the row that is scored. At each node that
//! keeps a box there is a chance that this row, had it been among the others, had been cut off
//! there; so its depth is a mean over what the cuts could have been, and grows less the farther
//! the row lies outside. The raw score is the mean depth of a row in such a tree by the depth
//! of this row: a little below 1 for a usual row, more for an odd one. The paper's score is 2 to the
//! power of minus its inverse. Beside it the distance of each value is judged, since of many
//! dimensions few cuts are in the one in which a row is odd.
//!
//! `extended` cuts by hyperplanes (the idea of Hariri, Carrasco Kind & Brunner 2019: "Extended
//! isolation forest"): dimensions are random directions instead of values, some for the whole
//! forest instead of one for each cut, so that a row is projected once.

#[cfg(test)]
mod tests;

use domain::{Algorithm, encoding::DecodeError};

use crate::{
    Assessment,
    calibration::Prior,
    dice::Dice,
    forest::{
        Forest, Shape,
        bounds::beyond,
        points::{Points, place},
        tree::{LEAF, NONE, Rule, Tree},
    },
    half_space_trees::bits,
    nearest::Search,
    present,
    scorer::{Levels, Row, Scorer, level_of},
};

/// Directions for each value, and how many there are at least and at most.
const DIRECTIONS: (usize, usize, usize) = (2, 8, 64);
/// The level, and how much more for e times the raw score, from this raw score on: of one value
/// two rows in a hundred have that, of more values fewer.
const LEVEL: (f64, f64, f64) = (3.5, 2.5, 2.0);
/// Euler's constant.
const GAMMA: f64 = 0.577_215_664_901_532_9;

/// Trees that isolate rows.
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationForest {
    forest: Forest,
    /// Of each direction the share of each value; empty if dimensions are values.
    directions: Box<[f32]>,
}

fn shape_of(algorithm: &Algorithm, values: usize) -> Shape {
    let (each, least, most) = DIRECTIONS;
    let extended = algorithm.whole("extended") == 1 && values > 1;
    Shape {
        trees: if values > 0 { algorithm.whole("trees") } else { 0 },
        sample: algorithm.whole("sample").min(algorithm.whole("window")),
        window: algorithm.whole("window"),
        shingle: 1,
        values,
        width: if extended { (each * values).clamp(least, most) } else { values },
        rule: Rule::Dimensions,
    }
}

impl Scorer for IsolationForest {
    const LEVELS: Levels = Levels::ValuesAndRow(Prior::RARITY);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let shape = shape_of(algorithm, values);
        let extended = shape.width != values;
        let directions = if extended { random_directions(shape, seed) } else { Box::default() };
        Self { forest: Forest::new(shape, seed), directions }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let shape = shape_of(algorithm, values);
        let shares = if shape.width == values { 0 } else { shape.width * values };
        Forest::bytes_for(shape) + shares * size_of::<f32>()
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let row = row.values;
        let Forest { shape, standards, points, trees, .. } = &self.forest;
        for (index, standard) in standards.iter().enumerate() {
            (out.expected[index], out.scale[index]) = (standard.expected(), standard.unit());
        }
        let known = self.place(row, out);
        out.single_room.clear();
        out.single_room.resize(shape.width, 0.0);
        if known > 0 && !self.forest.is_young() {
            let (mut mass, mut usual, mut depth) = (0, 1.0, 0.0);
            for tree in trees {
                if tree.mass != mass {
                    (mass, usual) = (tree.mass, mean_depth(tree.mass));
                }
                depth += tree.depth(&out.short_room, points, &mut out.single_room) / usual;
            }
            out.raw = trees.len() as f64 / depth;
            let level = LEVEL.0 + LEVEL.1 * libm::log(out.raw / LEVEL.2);
            out.levels[shape.values] = level.max(0.0);
            self.attribute(row, out);
        }
        if known > 0 {
            out.confidence = self.forest.confidence(known);
        }
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        self.forest.learn(row.values, &seen.short_room, seen.raw);
    }

    fn remembered(&self, _: Row<'_>, search: &mut Search<'_>) {
        self.forest.offer(search);
    }

    fn rows(&self) -> u64 {
        self.forest.rows
    }

    fn bytes(&self) -> usize {
        self.forest.bytes() + size_of_val(&*self.directions)
    }

    /// Nor are the directions told, which follow from the seed.
    fn encode(&self, out: &mut Vec<u8>) {
        self.forest.encode(out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.forest.decode(bytes)
    }
}

impl IsolationForest {
    /// Puts the places of a row into the short room, and sets the level of each value; a missing value is at its mean. Says how many
    /// are present.
    fn place(&self, row: &[f64], out: &mut Assessment) -> usize {
        let Assessment { room, short_room, levels, .. } = out;
        room.clear();
        let mut known = 0;
        for (index, standard) in self.forest.standards.iter().enumerate() {
            let value = present(row, index);
            known += usize::from(value.is_some());
            let distance = value.map_or(0.0, |value| standard.distance(value));
            room.push(distance);
            if value.is_some() && self.forest.rows > 0 {
                levels[index] = level_of(distance.abs());
            }
        }
        short_room.clear();
        if self.directions.is_empty() {
            short_room.extend(room.iter().map(|&distance| place(distance)));
        } else {
            short_room.extend(self.directions.chunks_exact(room.len()).map(|direction| {
                place(direction.iter().zip(&*room).map(|(&share, at)| f64::from(share) * at).sum())
            }));
        }
        known
    }

    /// Sets each value's contribution by the parts of the dimensions in the single room.
    fn attribute(&self, row: &[f64], out: &mut Assessment) {
        let Assessment { contributions, single_room: parts, room, .. } = out;
        if self.directions.is_empty() {
            contributions.iter_mut().zip(parts).for_each(|(c, part)| *c = f64::from(*part));
        } else {
            let directions = self.directions.chunks_exact(contributions.len());
            for (direction, part) in directions.zip(parts) {
                // Each value's part in how far the row lies in this direction.
                let reach = |(share, at): (&f32, &f64)| (f64::from(*share) * at).abs();
                let sum: f64 = direction.iter().zip(&*room).map(reach).sum();
                if sum > 0.0 {
                    for (contribution, pair) in
                        contributions.iter_mut().zip(direction.iter().zip(&*room))
                    {
                        *contribution += f64::from(*part) * reach(pair) / sum;
                    }
                }
            }
        }
        for (index, contribution) in contributions.iter_mut().enumerate() {
            if present(row, index).is_none() {
                *contribution = 0.0;
            }
        }
    }
}

impl Tree {
    /// The depth at which a point is alone, mean over what the cuts could have been; adds to each
    /// dimension's part the bits of rows that its cuts keep away beyond an even half.
    fn depth(&self, x: &[u16], points: &Points, parts: &mut [f32]) -> f64 {
        let (mut at, mut mass, mut depth) = (self.root, self.mass, 0.0);
        let mut rest = 1.0 - self.parted_by_new(x, parts);
        if rest < 1.0 {
            depth = 1.0 - rest;
        }
        while at & LEAF == 0 {
            let node = &self.nodes[usize::from(at)];
            let dim = usize::from(node.dim);
            depth += rest;
            if node.cell != NONE {
                let (low, high) = self.cell(node.cell, x.len());
                let outside = f32::from(beyond(x[dim], low[dim], high[dim]));
                if outside > 0.0 {
                    let parted = outside / (outside + f32::from(high[dim] - low[dim]));
                    parts[dim] += rest * parted * bits(f32::from(mass));
                    rest -= rest * parted;
                }
            }
            let above = bits(f32::from(mass));
            (at, mass) = node.child(x, mass);
            parts[dim] += rest * (above - bits(f32::from(mass)) - 1.0).max(0.0);
        }
        let leaf = points.at(self.leaves[usize::from(at & !LEAF)]);
        f64::from(depth) + f64::from(rest) * if leaf == x { mean_depth(mass).max(1.0) } else { 1.0 }
    }

    /// The chance that the first cut is in a dimension in which only this point differs.
    fn parted_by_new(&self, x: &[u16], parts: &mut [f32]) -> f32 {
        if self.root & LEAF > 0 || self.nodes[usize::from(self.root)].cell == NONE {
            return 0.0;
        }
        let (low, high) = self.cell(self.nodes[usize::from(self.root)].cell, x.len());
        let sides = || x.iter().zip(low).zip(high);
        let differs = sides().filter(|((_, low), high)| low < high).count();
        if differs == x.len() {
            return 0.0;
        }
        let is_new = |x: u16, low: u16, high: u16| low == high && x != low;
        let new = sides().filter(|((x, low), high)| is_new(**x, **low, **high)).count();
        let parted = new as f32 / (differs + new).max(1) as f32;
        for (((part, &x), &low), &high) in parts.iter_mut().zip(x).zip(low).zip(high) {
            if is_new(x, low, high) {
                *part += parted / new as f32 * bits(f32::from(self.mass));
            }
        }
        parted
    }
}

/// The mean depth of a random tree's points, of so many: that of an unsuccessful search in a binary
/// tree, as in the paper.
fn mean_depth(mass: u16) -> f64 {
    match mass {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let mass = f64::from(mass);
            2.0 * (libm::log(mass - 1.0) + GAMMA) - 2.0 * (mass - 1.0) / mass
        }
    }
}

/// Directions of length 1, each alike: normal shares, from sums of uniform ones.
fn random_directions(shape: Shape, seed: u64) -> Box<[f32]> {
    let mut dice = Dice::new(!seed);
    let mut directions = Vec::with_capacity(shape.width * shape.values);
    for _ in 0..shape.width {
        let mut uniform = || f64::from(dice.below(1 << 24)) / f64::from(1 << 24);
        let from = directions.len();
        for _ in 0..shape.values {
            directions.push(((0..12).map(|_| uniform()).sum::<f64>() - 6.0) as f32);
        }
        let length = directions[from..].iter().map(|share| share * share).sum::<f32>().sqrt();
        let length = length.max(f32::MIN_POSITIVE);
        directions[from..].iter_mut().for_each(|share| *share /= length);
    }
    directions.into()
}
