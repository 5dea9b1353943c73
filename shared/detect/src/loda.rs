//! LODA, the lightweight on-line detector of anomalies (Pevný 2016: "Loda: lightweight on-line
//! detector of anomalies"): histograms of sparse random projections of a row; a row is odd if its
//! projections are where few rows were, on average. The raw score is the mean of minus ln of the
//! densities, in nats.
//!
//! As in the paper a projection has √values random features with normal shares, a projection that
//! needs a missing value says nothing, and a feature's contribution is the one-tailed t-test of the
//! densities of the projections that have it against the others'. What differs: values are standardised
//! online; histograms are of the last rows, exactly, instead of two windows in turn; bins are narrow in
//! the middle and wide far out, where the paper makes them even, so that one grid serves values of any
//! size and what is farther out is rarer; each projection's grid is shifted at random, so that the
//! mean over them is smooth. For the level of a row the distance of its farthest value is added,
//! since the mean over all projections hides one value among many.

mod histograms;
#[cfg(test)]
mod tests;

use domain::{
    Algorithm,
    encoding::{DecodeError, put, take_count},
};

use histograms::{BINS, Histograms, NONE};

use crate::{
    Assessment,
    burst_gate::BurstGate,
    calibration::Prior,
    dice::Dice,
    present,
    scorer::{Levels, Row, Scorer, level_of},
    standard::Standard,
};

/// Half of the bins are within so many deviations to each side.
const HALF: f32 = 3.0;
/// Bins from the middle to infinity.
const REACH: f32 = BINS as f32 / 2.0 - 1.0;
/// Added to a small number it leaves the nearest whole one in the last bits.
const WHOLE: f32 = (1 << 23) as f32;
/// The level of a raw score of 0, and how much more for a nat.
const LEVEL: (f64, f64) = (1.2, 0.25);
/// Numbers handled side by side.
const LANES: usize = 8;

/// Histograms of random projections.
#[derive(Clone, Debug, PartialEq)]
pub struct Loda {
    /// Of each value in turn its share in each projection; padded with projections of nothing.
    shares: Box<[f32]>,
    /// By how much of a bin each projection's grid is shifted.
    shifts: Box<[f32]>,
    histograms: Histograms,
    standards: Box<[Standard]>,
    gate: BurstGate,
    dice: Dice,
    seed: u64,
    rows: u64,
}

/// How many projections there is room for: a whole number of lanes.
fn padded(algorithm: &Algorithm) -> usize {
    algorithm.whole("projections").next_multiple_of(LANES)
}

impl Scorer for Loda {
    const LEVELS: Levels = Levels::Row(Prior::RARITY);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let (count, width) = (algorithm.whole("projections"), padded(algorithm));
        let mut random = Dice::new(!seed);
        Self {
            shares: random_shares(count, width, values, &mut random),
            shifts: (0..width).map(|_| uniform(&mut random) - 0.5).collect(),
            histograms: Histograms::new(count, algorithm.whole("window")),
            standards: vec![Standard::default(); values].into(),
            gate: BurstGate::default(),
            dice: Dice::new(seed),
            seed,
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let (count, width) = (algorithm.whole("projections"), padded(algorithm));
        (values + 1) * width * size_of::<f32>()
            + Histograms::bytes_for(count, algorithm.whole("window"))
            + values * size_of::<Standard>()
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let row = row.values;
        let (known, farthest) = self.project(row, out);
        if known > 0 && self.histograms.rows() > 0 {
            let count = self.histograms.surprises(&out.short_room, &mut out.single_room);
            out.raw = f64::from(sum(&out.single_room)) / f64::from(count.max(1.0));
            out.levels[0] = (LEVEL.0 + LEVEL.1 * out.raw + level_of(farthest)).max(0.0);
            self.attribute(row, count, out);
            let seen = self.histograms.rows() as f64;
            let half = 0.25 * self.histograms.window() as f64;
            out.confidence = known as f64 / row.len() as f64 * seen / (seen + half);
        }
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        let mut known = false;
        for (index, standard) in self.standards.iter_mut().enumerate() {
            if let Some(value) = present(row.values, index) {
                standard.learn(value);
                known = true;
            }
        }
        self.rows += 1;
        if known {
            let one_in = if seen.confidence > 0.0 { self.gate.one_in(seen.raw) } else { 1 };
            if one_in == 1 || self.dice.below(one_in) == 0 {
                self.histograms.learn(&seen.short_room);
            }
        }
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.shares)
            + size_of_val(&*self.shifts)
            + self.histograms.bytes()
            + size_of_val(&*self.standards)
    }

    /// Nor are the projections told, which follow from the seed.
    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.iter().for_each(|standard| standard.encode(out));
        self.gate.encode(out);
        self.dice.encode(out);
        self.histograms.encode(out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for standard in &mut self.standards {
            *standard = Standard::decode(bytes)?;
        }
        self.gate = BurstGate::decode(bytes)?;
        self.dice.decode(self.seed, bytes)?;
        self.histograms.decode(bytes)
    }
}

impl Loda {
    /// Puts the bin of each projection into the short room, and sets what is expected of each
    /// value. Says how many values are present, and how far the farthest is from its mean.
    fn project(&self, row: &[f64], out: &mut Assessment) -> (usize, f64) {
        let Assessment { expected, scale, single_room, short_room, .. } = out;
        let width = self.shifts.len();
        single_room.clear();
        single_room.resize(width, 0.0);
        let (mut known, mut farthest) = (0, 0.0_f64);
        let shares = self.shares.chunks_exact(width);
        for (index, (standard, shares)) in self.standards.iter().zip(shares).enumerate() {
            (expected[index], scale[index]) = (standard.expected(), standard.unit());
            if let Some(value) = present(row, index) {
                known += 1;
                let distance = standard.distance(value);
                farthest = farthest.max(distance.abs());
                let at = distance as f32;
                let sums = single_room.iter_mut().zip(shares);
                sums.for_each(|(sum, share)| *sum += at * share);
            }
        }
        short_room.clear();
        short_room.extend(single_room.iter().zip(&self.shifts).map(|(&at, &shift)| {
            let place = REACH * at / (at.abs() + HALF) + (REACH + 1.0) + shift;
            (place + WHOLE).to_bits() as u16 % BINS as u16
        }));
        if known < self.standards.len() {
            let missing = |index: &usize| present(row, *index).is_none();
            for index in (0..self.standards.len()).filter(missing) {
                let shares = &self.shares[index * width..(index + 1) * width];
                let bins = short_room.iter_mut().zip(shares);
                bins.filter(|(_, share)| **share != 0.0).for_each(|(bin, _)| *bin = NONE);
            }
        }
        (known, farthest)
    }

    /// Sets each value's contribution: by how many standard errors the surprise of the projections
    /// that have it exceeds the others'. So many projections say something.
    fn attribute(&self, row: &[f64], count: f32, out: &mut Assessment) {
        let surprises = &*out.single_room;
        let all = (sum(surprises), sum_of_squares(surprises));
        for (index, shares) in self.shares.chunks_exact(self.shifts.len()).enumerate() {
            if present(row, index).is_none() {
                continue;
            }
            let (mut n, mut first, mut second) = ([0_u32; LANES], [0.0; LANES], [0.0; LANES]);
            let pairs = shares.as_chunks::<LANES>().0.iter().zip(surprises.as_chunks::<LANES>().0);
            for (shares, surprises) in pairs {
                for lane in 0..LANES {
                    // All bits of the surprise or none; what says nothing has no surprise at all.
                    let has = u32::from(shares[lane].to_bits() != 0);
                    let bits = surprises[lane].to_bits() & has.wrapping_neg();
                    let surprise = f32::from_bits(bits);
                    n[lane] += u32::from(bits != 0);
                    first[lane] += surprise;
                    second[lane] += surprise * surprise;
                }
            }
            let n = n.iter().sum::<u32>() as f32;
            let (first, second) = (first.iter().sum::<f32>(), second.iter().sum::<f32>());
            let with = moments(n, first, second);
            let without = moments(count - n, all.0 - first, all.1 - second);
            if let (Some(with), Some(without)) = (with, without) {
                let error = (with.1 + without.1).max(1e-9).sqrt();
                out.contributions[index] = f64::from(((with.0 - without.0) / error).max(0.0));
            }
        }
    }
}

/// The mean of so many numbers, and the square of its standard error.
fn moments(count: f32, sum: f32, squares: f32) -> Option<(f32, f32)> {
    let mean = sum / count;
    (count >= 1.0).then(|| (mean, (squares / count - mean * mean).max(0.0) / count))
}

/// The sum of a whole number of lanes.
fn sum(numbers: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for numbers in numbers.as_chunks::<LANES>().0 {
        (0..LANES).for_each(|lane| sums[lane] += numbers[lane]);
    }
    sums.iter().sum()
}

fn sum_of_squares(numbers: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for numbers in numbers.as_chunks::<LANES>().0 {
        (0..LANES).for_each(|lane| sums[lane] += numbers[lane] * numbers[lane]);
    }
    sums.iter().sum()
}

fn uniform(random: &mut Dice) -> f32 {
    random.below(1 << 24) as f32 / (1 << 24) as f32
}

/// Normal shares of √values random values in each projection, of length 1.
fn random_shares(count: usize, width: usize, values: usize, random: &mut Dice) -> Box<[f32]> {
    let mut shares = vec![0.0; values * width];
    let features = values.isqrt().max(1).min(values);
    for projection in 0..count {
        let mut square = 0.0;
        let mut left = features;
        while left > 0 {
            let share = &mut shares[random.below(values as u32) as usize * width + projection];
            if *share == 0.0 {
                // About normal; never 0, which would say that the projection has it not.
                let normal = (0..12).map(|_| uniform(random)).sum::<f32>() - 6.0;
                *share = if normal.abs() < 1e-3 { 1e-3 } else { normal };
                square += *share * *share;
                left -= 1;
            }
        }
        let length = square.sqrt();
        (0..values).for_each(|value| shares[value * width + projection] /= length);
    }
    shares.into()
}
