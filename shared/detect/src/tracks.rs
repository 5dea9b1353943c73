//! What algorithms that judge each value by itself have in common: one [`Track`] per value, its
//! distance from what was expected in units of its own, and the largest of the distances as the
//! row's raw score. An algorithm is then no more than what it does with one value.

use domain::{
    Algorithm,
    encoding::{DecodeError, put, take_count},
};

use crate::{
    Assessment,
    calibration::Prior,
    present,
    scorer::{Levels, Row, Scorer, level_of},
};

/// No distance is larger.
const UNITS_MAX: f64 = 1e6;

/// What is said of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// What was expected, in the value's unit; NaN while nothing is known.
    pub expected: f64,
    /// One unit of deviation, in the value's unit; NaN while nothing is known.
    pub scale: f64,
    /// How far the value is out, in units, 0 or more; 0 while nothing is known. Of no meaning if
    /// the value is missing.
    pub units: f64,
}

/// One algorithm's model of one value of a series.
pub trait Track: Clone + std::fmt::Debug + PartialEq + Sized {
    /// Nothing seen yet.
    fn new(algorithm: &Algorithm) -> Self;

    /// The bytes on the heap that it will take, always.
    fn bytes_for(algorithm: &Algorithm) -> usize;

    /// How many numbers of room it needs from a row's score to its learning.
    fn room(&self) -> usize {
        0
    }

    /// Values it has learned, and how many make confidence one half.
    fn evidence(&self) -> (f64, f64);

    /// Scores a value, if the row has it; learns nothing. `room` holds nothing of use before, and
    /// goes to [`learn`](Self::learn).
    fn score(&self, value: Option<f64>, room: &mut [f64]) -> Reading;

    /// Learns the value just scored, or that there was none.
    fn learn(&mut self, value: Option<f64>, room: &[f64]);

    /// Appends what was learned.
    fn encode(&self, out: &mut Vec<u8>);

    /// Puts what [`encode`](Self::encode) appended into a new one.
    ///
    /// # Errors
    /// Bytes that are no encoding of it.
    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError>;
}

/// A track for each value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracks<T> {
    tracks: Box<[T]>,
    bytes: usize,
    rows: u64,
}

impl<T: Track> Scorer for Tracks<T> {
    const LEVELS: Levels = Levels::Values(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, _: u64) -> Self {
        let tracks = (0..values).map(|_| T::new(algorithm)).collect();
        Self { tracks, bytes: Self::bytes_for(algorithm, values), rows: 0 }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        values * (size_of::<T>() + T::bytes_for(algorithm))
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let row = row.values;
        let each = self.tracks.first().map_or(0, T::room);
        out.room.resize(each * self.tracks.len(), 0.0);
        let (mut count, mut known) = (0, 0.0);
        for (index, track) in self.tracks.iter().enumerate() {
            let value = present(row, index);
            let reading = track.score(value, &mut out.room[index * each..][..each]);
            (out.expected[index], out.scale[index]) = (reading.expected, reading.scale);
            if value.is_some() {
                let units = reading.units.min(UNITS_MAX);
                (out.contributions[index], out.levels[index]) = (units * units, level_of(units));
                out.raw = out.raw.max(units);
                let (rows, half) = track.evidence();
                (count, known) = (count + 1, known + rows / (rows + half));
            }
        }
        if count > 0 {
            out.confidence = known / self.tracks.len() as f64;
        }
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        self.rows += 1;
        let each = self.tracks.first().map_or(0, T::room);
        for (index, track) in self.tracks.iter_mut().enumerate() {
            track.learn(present(row.values, index), &seen.room[index * each..][..each]);
        }
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.tracks.iter().for_each(|track| track.encode(out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        self.tracks.iter_mut().try_for_each(|track| track.decode(bytes))
    }
}

/// What is said of each of some values, one learned after the other, for tests of tracks.
#[cfg(test)]
pub(crate) fn readings<T: Track>(
    track: &mut T,
    values: impl IntoIterator<Item = f64>,
) -> Vec<Reading> {
    let mut room = vec![f64::NAN; track.room()];
    let read = |value: f64| {
        let value = value.is_finite().then_some(value);
        let reading = track.score(value, &mut room);
        track.learn(value, &room);
        reading
    };
    values.into_iter().map(read).collect()
}

/// Made-up values for tests: even in ±.5, without correlation between rows.
#[cfg(test)]
pub(crate) fn noise(row: usize) -> f64 {
    ((row * 7919 + row * row * 31) % 1009) as f64 / 1009.0 - 0.5
}
