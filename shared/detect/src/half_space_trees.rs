//! Streaming half-space trees (Tan, Ting & Liu 2011: "Fast anomaly detection for streaming data"): random
//! binary splits of the space, fixed before the first row; the mass of a window of rows in each half-space is
//! the profile against which later rows are judged.
//!
//! Beyond the paper: features are standardised online, since no range is known beforehand; the first window is
//! judged by itself while it fills; each split's drop of density belongs to its feature, so that the score falls
//! into contributions exactly; and how far a value lies outside the standard range is added, because trees alone
//! can't tell 5 deviations from 50.
//!
//! And masses are not counted row by row in all nodes of all trees, which is memory that no cache holds: the rows
//! of the last window are kept, and each tree in its turn counts them anew once per window, only in the nodes that
//! the score asks for. So no row waits for all trees, and a profile is half a window old, as in the paper.

mod profile;
mod rows;
mod splits;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take, take_count},
};

use profile::Profile;
use rows::Rows;
use splits::{Splits, place};

use crate::{
    Assessment,
    calibration::Prior,
    present,
    scorer::{Levels, Row, Scorer, level_of},
    standard::Standard,
};

/// The trees cover so many deviations to each side of the mean.
const REACH: f64 = 3.0;
/// Levels are so many per bit, from so many bits below an even spread.
const LEVELS: (f64, f64) = (0.35, 10.0);
/// While there are few rows, trees count anew whenever there are more by a quarter.
const YOUNG: u64 = 4;

/// A space cut at random, and how many rows fell where.
#[derive(Clone, Debug, PartialEq)]
pub struct HalfSpaceTrees {
    seed: u64,
    trees: usize,
    window: usize,
    last: Rows,
    profile: Profile,
    /// Room for a tree's cuts.
    splits: Splits,
    /// The tree that counts next, and how far it is due: when this reaches the rows of a stretch.
    turn: usize,
    due: u64,
    standards: Box<[Standard]>,
    rows: u64,
}

impl Scorer for HalfSpaceTrees {
    const LEVELS: Levels = Levels::ValuesAndRow(Prior::RARITY);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let trees = if values > 0 { algorithm.whole("trees") } else { 0 };
        let window = algorithm.whole("window");
        Self {
            seed,
            trees,
            window,
            last: Rows::new(values, window),
            profile: Profile::new(trees, algorithm.whole("depth") as u32),
            splits: Splits::new(values),
            turn: 0,
            due: 0,
            standards: vec![Standard::default(); values].into(),
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let trees = if values > 0 { algorithm.whole("trees") } else { 0 };
        Rows::bytes_for(values, algorithm.whole("window"))
            + Profile::bytes_for(trees, algorithm.whole("depth") as u32)
            + Splits::bytes_for(values)
            + values * size_of::<Standard>()
    }

    /// Scores a row: how many times rarer (in bits) than evenly spread rows its place is, mean over the trees,
    /// plus bits for values far outside. Learns nothing.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let row = row.values;
        let known = self.place(row, out);
        for (index, standard) in self.standards.iter().enumerate() {
            (out.expected[index], out.scale[index]) = (standard.expected(), standard.unit());
        }
        let share = known as f64 / self.standards.len().max(1) as f64;
        let seen = self.rows.min(self.window as u64) as f64;
        out.confidence = share * seen / (seen + 0.25 * self.window as f64);
        if known == 0 {
            out.confidence = 0.0;
        } else if self.rows > 0 {
            self.rarity(row, out);
            for index in 0..self.standards.len() {
                let distance = out.room[index];
                if !distance.is_nan() {
                    let bits = bits_outside(distance);
                    out.contributions[index] = out.contributions[index].max(0.0) + bits;
                    out.raw += bits;
                    out.levels[index] = level_of(distance);
                }
            }
        }
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        self.last.push(&seen.short_room);
        for (index, standard) in self.standards.iter_mut().enumerate() {
            if let Some(value) = present(row.values, index) {
                standard.learn(value);
            }
        }
        self.rows += 1;
        // Each tree once in so many rows.
        let stretch = (self.rows / YOUNG).clamp(1, self.window as u64);
        self.due += self.trees as u64;
        while self.due >= stretch {
            self.due -= stretch;
            self.renew();
        }
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.last.bytes()
            + self.profile.bytes()
            + self.splits.bytes()
            + size_of_val(&*self.standards)
    }

    /// Cuts are not told, which follow from the seed.
    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.iter().for_each(|standard| standard.encode(out));
        self.last.encode(out);
        put(&(self.turn, self.due), out);
        if self.rows > 0 {
            self.profile.encode(out);
        }
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for standard in &mut self.standards {
            *standard = Standard::decode(bytes)?;
        }
        self.last.decode(self.rows.min(self.window as u64) as usize, bytes)?;
        (self.turn, self.due) = take(bytes)?;
        ensure(self.turn <= self.trees.saturating_sub(1), "turn of a tree")?;
        ensure(self.due < self.window as u64, "rows of a tree's turn")?;
        if self.rows > 0 {
            let len = self.last.len();
            self.profile.decode(len, self.seed, &mut self.splits, bytes)?;
        }
        Ok(())
    }
}

impl HalfSpaceTrees {
    /// Lets the tree whose turn it is count the last rows.
    fn renew(&mut self) {
        let Self { seed, turn, last, profile, splits, .. } = self;
        splits.enter(*seed, *turn);
        last.label();
        let mass = last.len() as u32;
        let Ok(()) = profile.renew(*turn, mass, splits, |split, from, to, _| {
            Ok::<_, Infallible>(last.part(split, from, to))
        });
        self.turn = (self.turn + 1) % self.trees;
    }

    /// Sets the bits by which the row's place is rarer than even, and each feature's part in them. Cuts of
    /// missing values count for nothing.
    fn rarity(&self, row: &[f64], out: &mut Assessment) {
        let parts = &mut out.single_room;
        self.profile.rarity(&out.short_room, parts);
        let count = self.trees.max(1) as f64;
        for (index, part) in parts.iter().enumerate() {
            if present(row, index).is_some() {
                out.contributions[index] = f64::from(*part) / count;
                out.raw += out.contributions[index];
            }
        }
        out.levels[self.standards.len()] = Self::level(out.raw);
    }

    /// Standardises a row into the trees' range: the values' places, and how far they are from their
    /// means, NaN for missing ones. These have the place of the mean. Says how many values are present.
    fn place(&self, row: &[f64], out: &mut Assessment) -> usize {
        let (places, distances) = (&mut out.short_room, &mut out.room);
        places.clear();
        distances.clear();
        // For parts of the score; here, so that the first row makes the room for all.
        out.single_room.clear();
        out.single_room.resize(self.standards.len(), 0.0);
        let mut known = 0;
        for (index, standard) in self.standards.iter().enumerate() {
            let Some(value) = present(row, index) else {
                places.push(place(0.5));
                distances.push(f64::NAN);
                continue;
            };
            known += 1;
            let distance = standard.distance(value);
            places.push(place(0.5 + distance / (2.0 * REACH)));
            distances.push(distance.abs());
        }
        known
    }

    /// The level of so many bits: they start some bits below 0, in dense places.
    fn level(bits: f64) -> f64 {
        (LEVELS.0 * (bits + LEVELS.1)).max(0.0)
    }
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
