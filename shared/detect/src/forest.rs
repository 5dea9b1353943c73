//! What the forests that are kept current have in common: trees over samples of the last rows, as
//! they are for the rows that they hold, however these came and went.
//!
//! A tree's sample is stratified: of each stretch of window/sample rows one, by chance, in exchange
//! for the oldest. So no row outlives the window, a row's chance is the same as in a reservoir, and
//! the rows of the window are a ring that all trees share. While the window fills, stretches grow
//! with it, and rows give way by chance. Rows far odder than usual are taken seldom, until they
//! last.

pub(crate) mod bounds;
mod coding;
pub(crate) mod points;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

use domain::encoding::{DecodeError, ensure, put, take_count};

use points::{Points, deviations};
use tree::{Bench, Rule, Tree};

use crate::{burst_gate::BurstGate, dice::Dice, nearest::Search, present, standard::Standard};

/// Trees of fewer points say nothing.
const MASS_MIN: u16 = 32;

/// What the parameters of a forest say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) trees: usize,
    pub(crate) sample: usize,
    pub(crate) window: usize,
    /// Rows of a point.
    pub(crate) shingle: usize,
    /// Values of a series' row.
    pub(crate) values: usize,
    /// Places that stand for them.
    pub(crate) width: usize,
    pub(crate) rule: Rule,
}

impl Shape {
    pub(crate) fn dims(self) -> usize {
        self.shingle * self.width
    }

    /// Points that each tree has before anything is said.
    fn mass_min(self) -> u16 {
        MASS_MIN.min(self.sample as u16 / 2)
    }

    /// Rows of a stretch of which one is taken, when so many have come.
    fn stretch(self, rows: u64) -> usize {
        (rows.min(self.window as u64) as usize / self.sample).max(1)
    }
}

/// Trees over samples of the last rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forest {
    pub(crate) shape: Shape,
    seed: u64,
    pub(crate) standards: Box<[Standard]>,
    pub(crate) points: Points,
    pub(crate) trees: Box<[Tree]>,
    dice: Dice,
    gate: BurstGate,
    bench: Bench,
    pub(crate) rows: u64,
}

impl Forest {
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        let Shape { trees, sample, shingle, window, width, .. } = shape;
        Self {
            shape,
            seed,
            standards: vec![Standard::default(); shape.values].into(),
            points: Points::new(width, shingle, window),
            trees: (0..trees).map(|_| Tree::new(shape.dims(), sample)).collect(),
            dice: Dice::new(seed),
            gate: BurstGate::default(),
            bench: Bench::new(shape.dims(), sample, shape.rule),
            rows: 0,
        }
    }

    pub(crate) fn bytes_for(shape: Shape) -> usize {
        shape.values * size_of::<Standard>()
            + Points::bytes_for(shape.width, shape.shingle, shape.window)
            + shape.trees * Tree::bytes_for(shape.dims(), shape.sample)
            + Bench::bytes_for(shape.dims(), shape.sample)
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.standards)
            + self.points.bytes()
            + self.trees.iter().map(Tree::bytes).sum::<usize>()
            + self.bench.bytes()
    }

    /// Whether there are too few points yet to say anything.
    pub(crate) fn is_young(&self) -> bool {
        self.trees.iter().any(|tree| tree.mass < self.shape.mass_min())
    }

    /// The confidence in what is said of a row of which so many values are present.
    pub(crate) fn confidence(&self, known: usize) -> f64 {
        let sample = self.shape.sample as f64;
        let seen = (self.rows as f64).min(sample);
        known as f64 / self.shape.values as f64 * seen / (seen + 0.25 * sample)
    }

    /// Offers the rows that trees hold to a search, of shingles the newest row.
    pub(crate) fn offer(&self, search: &mut Search<'_>) {
        let newest = self.shape.dims() - self.shape.width;
        // Where directions stand for values, these can't be told.
        if self.shape.width != self.shape.values {
            return;
        }
        for slot in self.trees.iter().flat_map(Tree::rows) {
            let places = &self.points.at(slot)[newest..];
            search.offer(|value| {
                let standard = &self.standards[value];
                standard.expected() + deviations(f64::from(places[value])) * standard.unit()
            });
        }
    }

    /// Learns a row that has these places and this raw score.
    pub(crate) fn learn(&mut self, row: &[f64], places: &[u16], raw: f64) {
        let slot = self.points.push(places);
        let mut known = false;
        for (index, standard) in self.standards.iter_mut().enumerate() {
            if let Some(value) = present(row, index) {
                standard.learn(value);
                known = true;
            }
        }
        let young = self.is_young();
        let one_in = if known && !young { self.gate.one_in(raw) } else { 1 };
        self.rows += 1;
        let whole = self.rows >= self.shape.shingle as u64;
        let learned = known && whole && (one_in == 1 || self.dice.below(one_in) == 0);
        self.step(learned.then_some(slot));
    }

    /// Lets each tree drop what is out of the window, and take the newest row if it is its turn.
    fn step(&mut self, slot: Option<u16>) {
        let Self { shape, points, trees, dice, bench, rows, .. } = self;
        let full = *rows >= shape.window as u64;
        let stretch = shape.stretch(*rows);
        for tree in trees {
            while tree.oldest().is_some_and(|slot| points.age(slot) >= shape.window) {
                tree.drop_nth(0, points, bench);
            }
            if tree.wait > 0 {
                tree.wait -= 1;
                continue;
            }
            let Some(slot) = slot else {
                continue;
            };
            if usize::from(tree.mass) == shape.sample {
                let nth = if full { 0 } else { dice.below(u32::from(tree.mass)) as u16 };
                tree.drop_nth(nth, points, bench);
            }
            tree.insert(slot, points, dice, bench);
            let at = dice.below(stretch as u32) as u16;
            tree.wait = tree.rest + at;
            tree.rest = stretch as u16 - 1 - at;
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.iter().for_each(|standard| standard.encode(out));
        self.gate.encode(out);
        self.dice.encode(out);
        self.points.encode(self.rows, out);
        self.trees.iter().for_each(|tree| tree.encode(&self.points, out));
    }

    /// Takes what [`encode`](Self::encode) appended into a new forest.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for standard in &mut self.standards {
            *standard = Standard::decode(bytes)?;
        }
        self.gate = BurstGate::decode(bytes)?;
        self.dice.decode(self.seed, bytes)?;
        self.points.decode(self.rows, bytes)?;
        // Rows before the first are in no shingle.
        let whole = (self.rows + 1).saturating_sub(self.shape.shingle as u64);
        let age_max = whole.min(self.shape.window as u64 - 1) as usize;
        for tree in &mut self.trees {
            tree.decode(&self.points, age_max, &mut self.bench, bytes)?;
            let stretch_max = self.shape.window;
            ensure(usize::from(tree.wait) <= 2 * stretch_max, "rows to wait")?;
            ensure(usize::from(tree.rest) <= stretch_max, "rest of a stretch")?;
        }
        Ok(())
    }
}
