//! Novelty memories: how far is what a value looks like now from all that it has looked like
//! before? What `auto` stands for with one value.
//!
//! A value is seen through six features: itself with the one before; the means of the newest short
//! block and the block before it, and of two long ones; the mean and the mean step of a rough
//! block; and how far it is from what is usual at this hour of the day, and of the week. Each has a
//! memory of some prototypes ([`memory`]: leader clustering, Hartigan 1975) with distances in shares
//! of its running range, not of a deviation, and learned at once, so a repeated pattern is quiet.
//! The evidence is the mean of what the features say lately, relative to how much a noisy series
//! says all the time. The idea of novelty against a bounded memory, in units of the range, is that
//! of CAD OSE (Smirnov 2016) and of other detectors that do well on the Numenta Anomaly Benchmark
//! (Lavin & Ahmad 2015).
//!
//! Block lengths go with the root of the series' own interval, so that a series that is sampled
//! more seldom is still looked at over about the same span.

mod blocks;
mod memory;
mod profile;
mod scale;
mod track;

use domain::{
    Algorithm, Micros,
    encoding::{DecodeError, put, take_count},
};

use crate::{
    Assessment,
    calibration::Prior,
    nearest::Search,
    present,
    scorer::{Levels, Row, Scorer},
};
use blocks::Lengths;
pub(crate) use track::Seen;
use track::Track;

/// Features of a value.
const FEATURES: usize = 6;
/// Lengths of blocks are given for rows five minutes apart, in seconds.
const BASE_INTERVAL: f32 = 300.0;
/// Bounds of the factor by which blocks are shorter or longer at another interval.
const FACTOR: (f32, f32) = (0.5, 4.0);
/// Values are seen from the first one on, which keeps a small signal on a large level; at most so far.
const SIZE_MAX: f32 = 1e20;
/// A distance of so many radii is beyond all sense.
const DISTANCE_MAX: f32 = 1e9;
/// Evidence times this is a level.
const LEVEL: f64 = 1.4;
/// Microseconds of a second; seconds of an hour and of a day.
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The parameters, as they are used.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Settings {
    radius: f32,
    rate: f32,
    creep: f32,
    widen: f32,
    blend: f32,
    floor: f32,
    gain: f32,
    spike: f32,
    noise: f32,
    noise_rows: f32,
    short: f32,
    long: f32,
    rough: f32,
    scale: f32,
    clock: f32,
    /// What is left of evidence after a row.
    fade: f32,
}

impl Settings {
    fn new(algorithm: &Algorithm) -> Self {
        let get = |name| algorithm.get(name) as f32;
        Self {
            radius: get("radius"),
            rate: get("rate"),
            creep: get("creep_rows"),
            widen: get("widen"),
            blend: get("blend"),
            floor: get("floor"),
            gain: get("gain"),
            spike: get("spike"),
            noise: get("noise"),
            noise_rows: get("noise_rows"),
            short: get("short_rows"),
            long: get("long_rows"),
            rough: get("rough_rows"),
            scale: get("scale"),
            clock: get("clock"),
            fade: libm::expf(-1.0 / get("tau_rows")),
        }
    }

    fn lengths(&self, interval: f32) -> Lengths {
        let factor = if interval > 0.0 {
            libm::powf(BASE_INTERVAL / interval, self.scale).clamp(FACTOR.0, FACTOR.1)
        } else {
            1.0
        };
        Lengths::new(self.short, self.long, self.rough, factor)
    }

    /// The evidence of a distance in radii.
    fn evidence(&self, distance: f32) -> f32 {
        if distance < 1.0 {
            distance * distance
        } else {
            1.0 + self.gain * libm::logf(distance.min(DISTANCE_MAX))
        }
    }
}

/// A time of the wall clock.
#[derive(Clone, Copy, Debug)]
struct Clock {
    seconds: i64,
    day: i64,
    /// 0 to 23.
    hour: u8,
}

impl Clock {
    fn new(at: Micros) -> Self {
        let seconds = at.div_euclid(SECOND);
        let (day, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        Self { seconds, day, hour: (of_day / HOUR) as u8 }
    }

    fn is_weekend(self) -> bool {
        // 1970-01-01 was a Thursday.
        (self.day + 3).rem_euclid(7) >= 5
    }
}

/// The novelty of each value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Novelty {
    settings: Settings,
    tracks: Box<[Track]>,
    rows: u64,
}

impl Scorer for Novelty {
    const LEVELS: Levels = Levels::Values(Prior::NOVELTY);

    fn new(algorithm: &Algorithm, values: usize, _: u64) -> Self {
        let settings = Settings::new(algorithm);
        Self { settings, tracks: (0..values).map(|_| Track::new(&settings)).collect(), rows: 0 }
    }

    fn bytes_for(_: &Algorithm, values: usize) -> usize {
        values * size_of::<Track>()
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let now = Clock::new(row.at);
        let mut sure = 0.0;
        out.seen.resize_with(self.tracks.len(), Seen::default);
        for (index, track) in self.tracks.iter().enumerate() {
            (out.expected[index], out.scale[index]) = track.expected(now);
            let Some(value) = present(row.values, index) else {
                continue;
            };
            let seen = &mut out.seen[index];
            let evidence = track.score(now, value, &self.settings, seen);
            (out.contributions[index], out.levels[index]) = (evidence * evidence, LEVEL * evidence);
            out.raw = out.raw.max(evidence);
            sure += track.confidence();
        }
        out.confidence = sure / self.tracks.len().max(1) as f64;
        out.normalise(row.values);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        self.rows += 1;
        let now = Clock::new(row.at);
        for (index, (track, seen)) in self.tracks.iter_mut().zip(&seen.seen).enumerate() {
            if let Some(value) = present(row.values, index) {
                track.learn(now, value, &self.settings, seen);
            }
        }
    }

    fn remembered(&self, row: Row<'_>, search: &mut Search<'_>) {
        let nearest = |(index, track): (usize, &Track)| {
            track.nearest(present(row.values, index)?, &self.settings)
        };

        if self.tracks.iter().enumerate().any(|track| nearest(track).is_some()) {
            search.offer(|index| nearest((index, &self.tracks[index])).unwrap_or(f64::NAN));
        }
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.tracks)
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
