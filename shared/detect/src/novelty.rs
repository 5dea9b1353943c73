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

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take},
};

use crate::{
    Assessment,
    calibration::Prior,
    present,
    scorer::{Levels, Row, Scorer},
};
use blocks::{Blocks, Lengths, Sums};
use memory::{Look, Memory};
use profile::Profile;

/// Features of a value.
const FEATURES: usize = 6;
/// Room for a value: the distance of each feature and its nearest prototype.
const ROOM_VALUE: usize = 2 * FEATURES;
/// Lengths of blocks are given for rows five minutes apart, in seconds.
const BASE_INTERVAL: f32 = 300.0;
/// Bounds of the factor by which blocks are shorter or longer at another interval.
const FACTOR: (f32, f32) = (0.5, 4.0);
/// Values are seen from the first one on, which keeps a small signal on a large level; at most so far.
const SIZE_MAX: f32 = 1e20;
/// The part of a level below which nothing is a difference, by the precision of a double.
const TINY: f64 = 1e-13;
/// A distance of so many radii is beyond all sense.
const DISTANCE_MAX: f32 = 1e9;
/// No interval is longer, in seconds: some 30 years.
const INTERVAL_MAX: f32 = 1e9;
/// The interval follows the rows by at least this share a row.
const INTERVAL_RATE: f32 = 0.002;
/// Intervals that differ by less are the same.
const SAME_INTERVAL: f32 = 0.001;
/// A row so many ranges outside of all before is a spike.
const SPIKE: f32 = 0.5;
/// Evidence times this is a level.
const LEVEL: f64 = 1.4;
/// Rows at which confidence is one half.
const CONFIDENCE_ROWS: f64 = 128.0;
/// A mean deviation times this is the standard deviation of a normal law.
const TO_DEVIATION: f64 = 1.2533;
/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

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
        if out.room.len() < self.tracks.len() * ROOM_VALUE {
            out.room.resize(self.tracks.len() * ROOM_VALUE, 0.0);
        }
        let mut sure = 0.0;
        let rooms = out.room.chunks_exact_mut(ROOM_VALUE);
        for (index, (track, room)) in self.tracks.iter().zip(rooms).enumerate() {
            (out.expected[index], out.scale[index]) = track.expected(row.at.div_euclid(SECOND));
            let Some(value) = present(row.values, index) else {
                continue;
            };
            let evidence = track.score(row.at.div_euclid(SECOND), value, &self.settings, room);
            (out.contributions[index], out.levels[index]) = (evidence * evidence, LEVEL * evidence);
            out.raw = out.raw.max(evidence);
            sure += track.confidence();
        }
        out.confidence = sure / self.tracks.len().max(1) as f64;
        out.normalise(row.values);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        self.rows += 1;
        let rooms = seen.room.chunks_exact(ROOM_VALUE);
        for (index, (track, room)) in self.tracks.iter_mut().zip(rooms).enumerate() {
            if let Some(value) = present(row.values, index) {
                track.learn(row.at.div_euclid(SECOND), value, &self.settings, room);
            }
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
        self.rows = domain::encoding::take_count(bytes, "number of rows")?;
        self.tracks.iter_mut().try_for_each(|track| track.decode(bytes))
    }
}

/// One value of a series.
#[derive(Clone, Debug, PartialEq)]
struct Track {
    /// The first value.
    origin: f64,
    blocks: Blocks,
    /// About the median time from row to row, in seconds; 0 before the second row.
    interval: f32,
    /// The last row's time, in seconds.
    last: i64,
    pair: Memory<2, 64>,
    short: Memory<2, 64>,
    rough: Memory<2, 64>,
    long: Memory<2, 64>,
    day: Memory<1, 32>,
    week: Memory<1, 32>,
    hours: Profile<24>,
    weekdays: Profile<48>,
    /// What each feature has said lately, fading.
    held: [f32; FEATURES],
    /// The mean of what all have said.
    average: f32,
}

/// The features of a row that are due; two numbers each, the clock's one.
struct Features {
    pairs: [Option<[f32; 2]>; 4],
    clocks: [Option<[f32; 1]>; 2],
}

impl Track {
    fn new(settings: &Settings) -> Self {
        Self {
            origin: 0.0,
            blocks: Blocks::new(settings.lengths(0.0)),
            interval: 0.0,
            last: 0,
            pair: Memory::new(),
            short: Memory::new(),
            rough: Memory::new(),
            long: Memory::new(),
            day: Memory::new(),
            week: Memory::new(),
            hours: Profile::new(),
            weekdays: Profile::new(),
            held: [0.0; FEATURES],
            average: 0.0,
        }
    }

    /// A value from where the series began.
    fn shift(&self, value: f64) -> f32 {
        let origin = if self.blocks.rows() == 0 { value } else { self.origin };
        ((value - origin) as f32).clamp(-SIZE_MAX, SIZE_MAX)
    }

    /// The least scale of any feature.
    fn floor(&self, settings: &Settings) -> f32 {
        let tiny = (TINY * self.origin.abs()) as f32;
        (settings.floor * self.pair.scale().span()).max(tiny.min(SIZE_MAX))
    }

    /// For how many rows each block's feature stands.
    fn strides(&self) -> [f32; 4] {
        let Lengths { short, long, rough } = self.blocks.lengths();
        [1, short / 4, rough / 8, long / 8].map(f32::from)
    }

    fn features(&self, seconds: i64, x: f32, sums: &Sums) -> Features {
        let row = self.blocks.rows();
        let Lengths { short, long, rough } = self.blocks.lengths();
        let [short, long, rough] = [short, long, rough].map(u64::from);
        // Blocks change slowly, so they are not looked at in every row.
        let due = |enough: u64, every: u64| row + 1 >= enough && row % every == every - 1;
        Features {
            pairs: [
                self.blocks.last().map(|last| [x, last]),
                due(2 * short, short / 4).then(|| self.blocks.short(sums)),
                due(rough, rough / 8).then(|| self.blocks.rough(sums)),
                due(2 * long, long / 8).then(|| self.blocks.long(sums)),
            ],
            clocks: [
                self.hours.expected(seconds).map(|usual| [x - usual]),
                self.weekdays.expected(seconds).map(|usual| [x - usual]),
            ],
        }
    }

    /// The evidence that a value is odd, from 0. What was seen of it stays in `room` for its
    /// learning.
    fn score(&self, seconds: i64, value: f64, settings: &Settings, room: &mut [f64]) -> f64 {
        let x = self.shift(value);
        let features = self.features(seconds, x, &self.blocks.with(x));
        let floor = self.floor(settings);
        let strides = self.strides();
        let mut looks = [None; FEATURES];
        let memories = [&self.pair, &self.short, &self.rough, &self.long];
        for (index, memory) in memories.into_iter().enumerate() {
            let feature = features.pairs[index].as_ref();
            looks[index] = feature.map(|f| memory.look(f, settings, floor, strides[index]));
        }
        for (index, memory) in [&self.day, &self.week].into_iter().enumerate() {
            let feature = features.clocks[index].as_ref();
            looks[4 + index] = feature.map(|f| memory.look(f, settings, floor, 1.0));
        }
        let mut raw = 0.0;
        for (feature, (look, held)) in looks.iter().zip(self.held).enumerate() {
            let distance = look.map_or(0.0, |look| look.distance);
            room[2 * feature] = f64::from(distance);
            room[2 * feature + 1] = look.map_or(0.0, |look| f64::from(look.nearest));
            raw += (held * settings.fade).max(settings.evidence(distance)) / FEATURES as f32;
        }
        let beyond = self.pair.scale().beyond(x, floor);
        let raw = raw + settings.spike * libm::log1pf((beyond / SPIKE).min(DISTANCE_MAX));
        f64::from(raw / (1.0 + settings.noise * self.average))
    }

    fn learn(&mut self, seconds: i64, value: f64, settings: &Settings, room: &[f64]) {
        let x = self.shift(value);
        if self.blocks.rows() == 0 {
            self.origin = value;
        }
        let sums = self.blocks.with(x);
        let features = self.features(seconds, x, &sums);
        let floor = self.floor(settings);
        let look = |feature: usize| Look {
            distance: room[2 * feature] as f32,
            nearest: room[2 * feature + 1] as u8,
        };
        let strides = self.strides();
        let memories = [&mut self.pair, &mut self.short, &mut self.rough, &mut self.long];
        for (index, (memory, feature)) in memories.into_iter().zip(&features.pairs).enumerate() {
            if let Some(feature) = feature {
                memory.learn(feature, look(index), settings, floor, strides[index]);
            }
        }
        for (index, memory) in [&mut self.day, &mut self.week].into_iter().enumerate() {
            if let Some(feature) = &features.clocks[index] {
                memory.learn(feature, look(4 + index), settings, floor, 1.0);
            }
        }
        self.hours.learn(seconds, x, settings.clock);
        self.weekdays.learn(seconds, x, settings.clock);
        let mut raw = 0.0;
        for (feature, held) in self.held.iter_mut().enumerate() {
            *held = (*held * settings.fade).max(settings.evidence(look(feature).distance));
            raw += *held / FEATURES as f32;
        }
        let rate = (1.0 / (self.blocks.rows() as f32 + 1.0)).max(1.0 / settings.noise_rows);
        self.average += rate * (raw - self.average);
        self.pace(seconds);
        if self.blocks.push(x, sums) {
            self.blocks.measure(settings.lengths(self.interval));
        }
    }

    /// Follows the median interval by small steps (a quantile by stochastic approximation).
    fn pace(&mut self, seconds: i64) {
        let since = seconds.saturating_sub(self.last) as f32;
        let row = self.blocks.rows();
        self.last = seconds;
        if row == 0 || since <= 0.0 {
            return;
        }
        let step = (1.0 / row as f32).max(INTERVAL_RATE);
        if self.interval == 0.0 {
            self.interval = since;
        } else if since > self.interval * (1.0 + SAME_INTERVAL) {
            self.interval *= 1.0 + step;
        } else if since < self.interval * (1.0 - SAME_INTERVAL) {
            self.interval *= 1.0 - step;
        }
        self.interval = self.interval.clamp(f32::MIN_POSITIVE, INTERVAL_MAX);
    }

    /// What is expected at a time, and one unit of deviation from it: what is usual at the hour, or
    /// else the mean of the last rows.
    fn expected(&self, seconds: i64) -> (f64, f64) {
        let Some(last) = self.blocks.last() else {
            return (f64::NAN, f64::NAN);
        };
        let (usual, deviation) = match self.hours.expected(seconds) {
            Some(usual) => (usual, self.day.scale().deviation()),
            None => (last, self.pair.scale().deviation()),
        };
        (self.origin + f64::from(usual), TO_DEVIATION * f64::from(deviation))
    }

    /// In [0, 1): how much was seen, and how well it fits.
    fn confidence(&self) -> f64 {
        let rows = self.blocks.rows() as f64;
        rows / (rows + CONFIDENCE_ROWS) / (1.0 + f64::from(self.average))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.origin, self.interval, self.last, self.held, self.average), out);
        self.blocks.encode(out);
        [&self.pair, &self.short, &self.rough, &self.long].iter().for_each(|m| m.encode(out));
        [&self.day, &self.week].iter().for_each(|memory| memory.encode(out));
        self.hours.encode(out);
        self.weekdays.encode(out);
    }

    /// Puts what [`encode`](Self::encode) appended into a new one.
    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        (self.origin, self.interval, self.last, self.held, self.average) = take(bytes)?;
        ensure(self.origin.abs() <= crate::VALUE_MAX, "first value")?;
        ensure((0.0..=INTERVAL_MAX).contains(&self.interval), "interval")?;
        let is_evidence = |evidence: &f32| (0.0..=1e4).contains(evidence);
        ensure(self.held.iter().chain([&self.average]).all(is_evidence), "evidence")?;
        self.blocks.decode(bytes, SIZE_MAX)?;
        for memory in [&mut self.pair, &mut self.short, &mut self.rough, &mut self.long] {
            memory.decode(bytes)?;
        }
        self.day.decode(bytes)?;
        self.week.decode(bytes)?;
        self.hours.decode(bytes)?;
        self.weekdays.decode(bytes)
    }
}
