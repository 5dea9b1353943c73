//! Discords (Yeh et al. 2016: "Matrix profile I"; online: Lu et al. 2022, "Matrix profile XXIV: scaling
//! online time series anomaly detection to trillions of datapoints", DAMP): how far the newest
//! subsequence, as a shape, is from the nearest one before it.
//!
//! Shapes are z-normalised: the distance is Euclidean, of subsequences with mean 0 and deviation 1. As with
//! DAMP only the past counts (the left matrix profile) and overlapping subsequences do not. What differs:
//! DAMP processes only until it knows that a subsequence is no discord, in blocks; here every row needs
//! its distance, since its own past says what is much, and the history is bounded. So the products with every
//! past subsequence are kept current, one multiplication to come and one to go for each: O(history) a row,
//! whatever the length. Values are standardised and rounded to whole steps of 1/1024 unit, so all sums
//! are of integers and exact: nothing drifts, and nothing of it needs to be encoded but the values.
//! A floor of the deviation, `flat`, keeps the noise of a flat stretch from being a shape; a large one
//! compares shapes as they are, without their mean. Normalised shapes find what breaks a rhythm and little
//! else: on NAB, mostly spikes and shifts of level, 6 points of 100, 24 with flat 100 and length 8.

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take},
};

use crate::{
    standard::Standard,
    tracks::{self, Reading, Tracks},
};

/// Discords of each value.
pub type Discord = Tracks<Track>;

/// Steps in a unit.
const STEPS: f64 = 1024.0;
/// No standardised value is larger, in units. Sums of 256 squares stay below 2^53.
const PLACE_MAX: f64 = 64.0;
/// The unit of distance is at least this times the root of the length: a shape that comes back exactly has
/// no deviation.
const UNIT_MIN: f64 = 0.02;
/// Distances before one of them can be called unusual.
const USUAL_MIN: f64 = 8.0;
/// The first values have no unit to speak of, and count as the mean.
const FIRST: f64 = 16.0;

/// One value. Everything is in steps, and the newest comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    standard: Standard,
    /// What is usual of the distances.
    usual: Standard,
    length: usize,
    /// A shape's deviation is taken as at least this.
    flat: f64,
    /// Zeros where there were none.
    values: Box<[f64]>,
    /// The shapes that end at each value.
    shapes: Box<[Shape]>,
    /// Of the newest subsequence with the one so many rows before, from `length` rows on.
    products: Box<[f64]>,
    /// Sums over the newest subsequence: of the values and of their squares.
    sums: (f64, f64),
    /// Values held.
    len: usize,
}

/// What of a subsequence goes into its distance from another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Shape {
    mean: f64,
    /// 1 / deviation.
    steepness: f64,
    /// The sum of squares once it is normalised: `length`, or less where the floor holds.
    square: f64,
}

impl Shape {
    fn new((sum, squares): (f64, f64), length: usize, flat: f64) -> Self {
        let mean = sum / length as f64;
        let variance = (squares / length as f64 - mean * mean).max(0.0);
        let steepness = 1.0 / variance.sqrt().max(flat);
        Self { mean, steepness, square: length as f64 * variance * steepness * steepness }
    }
}

/// Values kept, and products: one for each subsequence that does not overlap the newest.
fn sizes(algorithm: &Algorithm) -> (usize, usize) {
    let length = algorithm.whole("length");
    let history = algorithm.whole("history").max(4 * length);
    (history, history - 2 * length + 1)
}

impl Track {
    /// The value in steps; a missing one is as the last.
    fn place(&self, value: Option<f64>) -> f64 {
        match value {
            None => self.values[0],
            Some(_) if self.standard.rows() < FIRST => 0.0,
            Some(value) => {
                let units = self.standard.distance(value).clamp(-PLACE_MAX, PLACE_MAX);
                libm::rint(STEPS * units)
            }
        }
    }

    /// The sums over the newest subsequence once this value is in.
    fn sums_with(&self, place: f64) -> (f64, f64) {
        let gone = self.values[self.length - 1];
        (self.sums.0 + place - gone, self.sums.1 + place * place - gone * gone)
    }

    /// The products once this value is in.
    fn products_with(&self, place: f64, products: &mut [f64]) {
        let gone = self.values[self.length - 1];
        let come = &self.values[self.length - 1..];
        let left = &self.values[2 * self.length - 1..];
        let before = self.products.iter().zip(come.iter().zip(left));
        for (product, (before, (come, left))) in products.iter_mut().zip(before) {
            *product = before + place * come - gone * left;
        }
    }

    /// The distance of this shape from the nearest one; NaN while there are too few.
    fn distance(&self, shape: Shape, products: &[f64]) -> f64 {
        // Subsequences that are in the history as a whole.
        let count = (self.len + 2).saturating_sub(2 * self.length).min(products.len());
        if count <= 2 * self.length {
            return f64::NAN;
        }
        let length = self.length as f64;
        let mut least = f64::INFINITY;
        for (product, other) in products[..count].iter().zip(&self.shapes[self.length - 1..]) {
            let common = (product - length * shape.mean * other.mean) * other.steepness;
            let square = other.square - 2.0 * shape.steepness * common;
            least = if square < least { square } else { least };
        }
        (shape.square + least).max(0.0).sqrt()
    }

    /// Puts a value in front, of which the products are known.
    fn push(&mut self, place: f64) {
        let all = self.values.len();
        self.sums = self.sums_with(place);
        self.values.copy_within(..all - 1, 1);
        self.values[0] = place;
        self.shapes.copy_within(..all - 1, 1);
        self.shapes[0] = Shape::new(self.sums, self.length, self.flat);
        self.len = (self.len + 1).min(all);
    }
}

impl tracks::Track for Track {
    fn new(algorithm: &Algorithm) -> Self {
        let (values, products) = sizes(algorithm);
        Self {
            standard: Standard::default(),
            usual: Standard::default(),
            length: algorithm.whole("length"),
            flat: STEPS * algorithm.get("flat"),
            values: vec![0.0; values].into(),
            shapes: vec![Shape::default(); values].into(),
            products: vec![0.0; products].into(),
            sums: (0.0, 0.0),
            len: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm) -> usize {
        let (values, products) = sizes(algorithm);
        values * (size_of::<f64>() + size_of::<Shape>()) + products * size_of::<f64>()
    }

    /// The products and the distance.
    fn room(&self) -> usize {
        self.products.len() + 1
    }

    fn evidence(&self) -> (f64, f64) {
        (self.len as f64, 0.25 * self.values.len() as f64)
    }

    fn score(&self, value: Option<f64>, room: &mut [f64]) -> Reading {
        let scale = if self.standard.rows() > 0.0 { self.standard.unit() } else { f64::NAN };
        let place = self.place(value);
        let (distance, products) = room.split_at_mut(1);
        self.products_with(place, products);
        distance[0] =
            self.distance(Shape::new(self.sums_with(place), self.length, self.flat), products);
        let known = value.is_some() && !distance[0].is_nan() && self.usual.rows() >= USUAL_MIN;
        let unit_min = UNIT_MIN * (self.length as f64).sqrt();
        let units = if known { self.usual.above(distance[0], unit_min) } else { 0.0 };
        Reading { expected: self.standard.expected(), scale, units }
    }

    fn learn(&mut self, value: Option<f64>, room: &[f64]) {
        let place = self.place(value);
        self.products.copy_from_slice(&room[1..]);
        self.push(place);
        if let Some(value) = value {
            self.standard.learn_guarded(value);
            if room[0].is_finite() {
                self.usual.learn(room[0]);
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.standard.encode(out);
        self.usual.encode(out);
        put(&self.len, out);
        self.values[..self.len].iter().for_each(|value| put(&(*value as i32), out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.standard = Standard::decode(bytes)?;
        self.usual = Standard::decode(bytes)?;
        let len: usize = take(bytes)?;
        ensure(len <= self.values.len(), "length of a history")?;
        for value in &mut self.values[..len] {
            let steps: i32 = take(bytes)?;
            *value = f64::from(steps);
            ensure(value.abs() <= PLACE_MAX * STEPS, "standardised value")?;
        }
        // All else follows: exactly, since it is whole numbers.
        self.len = len;
        let sums_at = |from: usize| {
            let values = self.values[from..].iter().take(self.length);
            values.fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v))
        };
        self.sums = sums_at(0);
        let mut shapes = std::mem::take(&mut self.shapes);
        for (from, shape) in shapes[..len].iter_mut().enumerate() {
            *shape = Shape::new(sums_at(from), self.length, self.flat);
        }
        self.shapes = shapes;
        let newest = &self.values[..self.length];
        for (index, product) in self.products.iter_mut().enumerate() {
            let other = &self.values[self.length + index..][..self.length];
            *product = newest.iter().zip(other).map(|(a, b)| a * b).sum();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tracks::{Track as _, readings};

    fn track(length: u32, history: u32) -> Track {
        let algorithm = Algorithm::new(domain::Kind::Discord);
        let algorithm = algorithm.with("length", f64::from(length));
        Track::new(&algorithm.with("history", f64::from(history)))
    }

    #[test]
    fn a_shape_that_never_was_is_odd_whatever_its_size() {
        // A heart beats every 25 rows, now stronger, now weaker; once a beat is upside down.
        let beat = [0.0, 1.0, 4.0, 9.0, -5.0, -1.0, 0.0, 1.0, 2.0, 1.0];
        let value = |row: usize| {
            let strength = 1.0 + 0.3 * (row / 25 % 4) as f64;
            let sign = if row / 25 == 50 { -1.0 } else { 1.0 };
            let noise = ((row * 7919 + row * row * 31) % 1009) as f64 / 5000.0;
            sign * strength * beat.get(row % 25).unwrap_or(&0.0) + noise
        };
        let read = readings(&mut track(12, 500), (0..1500).map(value));
        let most = |range: std::ops::Range<usize>| {
            read[range].iter().map(|reading| reading.units).fold(0.0, f64::max)
        };
        let usual = most(600..1250).max(most(1300..1500));
        assert!(most(1250..1275) > 2.0 * usual, "{} {usual}", most(1250..1275));
    }

    /// stumpy's left matrix profile of whole numbers: see tests/recorded/discord.py.
    #[test]
    fn distances_are_those_of_stumpy() {
        let mut track = track(10, 1024);
        let (mut products, mut compared) = (track.products.to_vec(), 0);
        for line in include_str!("../tests/recorded/discord.csv").lines().skip(1) {
            let (value, distance) = line.split_once(',').expect("two columns");
            let place = value.parse().expect("a number");
            track.products_with(place, &mut products);
            let own = track.distance(Shape::new(track.sums_with(place), 10, track.flat), &products);
            if let Ok(distance) = distance.parse::<f64>()
                && !own.is_nan()
            {
                assert!((own - distance).abs() < 1e-6, "{own} {distance}");
                compared += 1;
            }
            track.products.copy_from_slice(&products);
            track.push(place);
        }
        assert_eq!(compared, 361);
    }

    proptest! {
        /// Distances of z-normalised subsequences one by one, to all that do not overlap.
        #[test]
        fn equals_the_slow_definition(
            values in prop::collection::vec(-100.0..100.0_f64, 1..260), length in 4_usize..9,
        ) {
            let mut track = track(length as u32, 64);
            let (mut past, mut room) = (vec![], vec![f64::NAN; track.room()]);
            for &value in &values {
                track.score(Some(value), &mut room);
                past.push(track.place(Some(value)));
                let last = &past[past.len().saturating_sub(65)..];
                let normal = |s: &[f64]| -> Vec<f64> {
                    let mean = s.iter().sum::<f64>() / s.len() as f64;
                    let square = s.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
                    let deviation = (square / s.len() as f64).sqrt().max(0.2 * 1024.0);
                    s.iter().map(|v| (v - mean) / deviation).collect()
                };
                let distance = |a: &[f64], b: &[f64]| {
                    let (a, b) = (normal(a), normal(b));
                    a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
                };
                let end = last.len().saturating_sub(length);
                // Of 64 values before the newest; the oldest only goes out of products.
                let from = last.len().saturating_sub(64);
                let slow: Vec<f64> = last[from..end.max(from)]
                    .windows(length)
                    .map(|other| distance(other, &last[end..]))
                    .collect();
                if room[0].is_nan() {
                    prop_assert!(slow.len() <= 2 * length, "{}", slow.len());
                } else {
                    let slow = slow.iter().copied().fold(f64::INFINITY, f64::min);
                    prop_assert!((room[0] - slow).abs() < 1e-5, "{} {slow}", room[0]);
                }
                track.learn(Some(value), &room);
            }
        }
    }
}
