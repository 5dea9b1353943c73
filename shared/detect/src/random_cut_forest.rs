//! Robust random cut forest (Guha, Mishra, Roy & Schrijvers 2016: "Robust random cut forest based
//! anomaly detection on streams"): trees of random cuts over samples of the last rows, kept current
//! by inserting and deleting points. A point is odd if cuts part it from the others early.
//!
//! A point is a shingle, the last rows in a row: of one value it shows the shape of the series. The
//! score is that of the AWS implementation, without its factor for shingles; a usual row has about
//! .9, one that is parted at the root log2(1 + sample).
//!
//! What differs from the paper. Values are standardised online, in places of two bytes (see
//! `points`). A tree's sample is stratified instead of a reservoir: of each stretch of window/sample
//! rows one, by chance, in exchange for the oldest; so no row outlives the window, a row's chance is the
//! same as in a reservoir, and the rows of the window are a ring that all trees share. While the
//! window fills, stretches grow with it, and rows give way by chance. Rows far odder than usual are
//! taken seldom, until they last.

mod bounds;
mod coding;
mod points;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take_count},
};

use bounds::reach;
use points::{Points, deviations, place};
use tree::{Bench, Tree};
use walk::Room;

use crate::{
    Assessment,
    dice::Dice,
    gate::Gate,
    present,
    scorer::{Levels, Row, Scorer},
    standard::Standard,
};

/// The shingle of a series of one value, unless told.
const SHINGLE: usize = 8;

/// Trees of fewer points say nothing.
const MASS_MIN: u16 = 32;

/// Trees of random cuts over the last rows.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomCutForest {
    shape: Shape,
    seed: u64,
    standards: Box<[Standard]>,
    points: Points,
    trees: Box<[Tree]>,
    dice: Dice,
    gate: Gate,
    bench: Bench,
    rows: u64,
}

/// What the parameters say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    trees: usize,
    sample: usize,
    shingle: usize,
    window: usize,
    values: usize,
}

impl Shape {
    fn of(algorithm: &Algorithm, values: usize) -> Self {
        let shingle = match algorithm.whole("shingle") {
            0 if values == 1 => SHINGLE,
            0 => 1,
            given => given,
        };
        // A dimension has a number of two bytes.
        let shingle = shingle.min(usize::from(u16::MAX) / values.max(1)).max(1);
        Self {
            trees: if values > 0 { algorithm.whole("trees") } else { 0 },
            sample: algorithm.whole("sample").min(algorithm.whole("window")),
            shingle,
            window: algorithm.whole("window"),
            values,
        }
    }

    fn dims(self) -> usize {
        self.shingle * self.values
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

impl Scorer for RandomCutForest {
    const LEVELS: Levels = Levels::Raw;

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let shape = Shape::of(algorithm, values);
        let Shape { trees, sample, shingle, window, .. } = shape;
        Self {
            shape,
            seed,
            standards: vec![Standard::default(); values].into(),
            points: Points::new(values, shingle, window),
            trees: (0..trees).map(|_| Tree::new(shape.dims(), sample)).collect(),
            dice: Dice::new(seed),
            gate: Gate::default(),
            bench: Bench::new(shape.dims(), sample),
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let shape = Shape::of(algorithm, values);
        values * size_of::<Standard>()
            + Points::bytes_for(values, shape.shingle, shape.window)
            + shape.trees * Tree::bytes_for(shape.dims(), shape.sample)
            + Bench::bytes_for(shape.dims(), shape.sample)
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let Shape { trees, sample, values, .. } = self.shape;
        let (dims, row) = (self.shape.dims(), row.values);
        let before = dims - values;
        let mut short = std::mem::take(&mut out.short_room);
        short.clear();
        short.resize(3 * dims + sample, 0);
        let mut single = std::mem::take(&mut out.single_room);
        single.clear();
        single.resize(2 * dims, 0.0);
        let (x, short_room) = short.split_at_mut(dims);
        x[..before].copy_from_slice(self.points.before());
        self.expect(x, out);
        let known = self.place(row, &mut x[before..], out);
        let young = self.trees.iter().any(|tree| tree.mass < self.shape.mass_min());
        if known > 0 && !young {
            let (parts, tail) = single.split_at_mut(dims);
            let (low, rest) = short_room.split_at_mut(dims);
            let (high, path) = rest.split_at_mut(dims);
            let mut room = Room { low, high, path, parts: tail };
            let (mut mass, mut unit) = (0, 0.0);
            for tree in &self.trees {
                if tree.mass != mass {
                    (mass, unit) = (tree.mass, libm::log2(1.0 + f64::from(tree.mass)));
                }
                out.raw += unit * f64::from(tree.score(x, &self.points, parts, &mut room));
            }
            out.raw /= trees as f64;
            for (dim, part) in parts.iter().enumerate() {
                if present(row, dim % values).is_some() {
                    out.contributions[dim % values] += f64::from(*part);
                }
            }
            let seen = self.rows.min(sample as u64) as f64;
            let share = known as f64 / values as f64;
            out.confidence = share * seen / (seen + 0.25 * sample as f64);
        }
        (out.short_room, out.single_room) = (short, single);
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        let Shape { shingle, values, .. } = self.shape;
        let dims = self.shape.dims();
        let slot = self.points.push(&seen.short_room[dims - values..dims]);
        let mut known = false;
        for (index, standard) in self.standards.iter_mut().enumerate() {
            if let Some(value) = present(row.values, index) {
                standard.learn(value);
                known = true;
            }
        }
        let one_in = if known { self.gate.one_in(seen.raw) } else { 0 };
        self.rows += 1;
        let whole = self.rows >= shingle as u64;
        let learned = known && whole && (one_in == 1 || self.dice.below(one_in) == 0);
        self.step(learned.then_some(slot));
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.standards)
            + self.points.bytes()
            + self.trees.iter().map(Tree::bytes).sum::<usize>()
            + self.bench.bytes()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.iter().for_each(|standard| standard.encode(out));
        self.gate.encode(out);
        self.dice.encode(out);
        self.points.encode(self.rows, out);
        self.trees.iter().for_each(|tree| tree.encode(&self.points, out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for standard in &mut self.standards {
            *standard = Standard::decode(bytes)?;
        }
        self.gate = Gate::decode(bytes)?;
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

impl RandomCutForest {
    /// Sets what is expected of each value, and the unit of deviation. Where a shingle has rows
    /// before the newest, it is what followed such rows: the mean of what each tree knows of that,
    /// weighted by how near its rows are.
    fn expect(&self, x: &[u16], out: &mut Assessment) {
        let before = x.len() - self.shape.values;
        for (index, standard) in self.standards.iter().enumerate() {
            (out.expected[index], out.scale[index]) = (standard.expected(), standard.unit());
        }
        if before == 0 {
            return;
        }
        out.room.clear();
        out.room.resize(self.shape.values, 0.0);
        let mut weights = 0.0;
        for tree in self.trees.iter().filter(|tree| tree.mass > 0) {
            let (known, next) = tree.continuation(x, before, &self.points).split_at(before);
            let (distance, _) = reach(&x[..before], known, known);
            let near = 1.0 / (1.0 + f64::from(distance));
            weights += near * near;
            for (sum, place) in out.room.iter_mut().zip(next) {
                *sum += near * near * f64::from(*place);
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
        for (index, standard) in self.standards.iter().enumerate() {
            let value = present(row, index);
            known += usize::from(value.is_some());
            let value = value.unwrap_or(out.expected[index]);
            x[index] = place(if value.is_nan() { 0.0 } else { standard.distance(value) });
        }
        known
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
}
