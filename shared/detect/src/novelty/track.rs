//! One value of a series: its blocks, memories and profiles, and what they say of the next row.

use domain::encoding::{DecodeError, ensure, put, take};

use super::{
    Clock, DISTANCE_MAX, FEATURES, SIZE_MAX, Settings,
    blocks::{Blocks, Lengths, Sums},
    memory::{Look, Memory},
    profile::Profile,
};

/// The part of a level below which nothing is a difference, by the precision of a double.
const TINY: f64 = 1e-13;
/// A row so many ranges outside of all before is a spike.
const SPIKE: f32 = 0.5;
/// The first rows are taken as they are.
const YOUNG: u64 = 30;
/// No interval is longer, in seconds: some 30 years.
const INTERVAL_MAX: f32 = 1e9;
/// The interval follows the rows by at least this share a row.
const INTERVAL_RATE: f32 = 0.002;
/// Intervals that differ by less are the same.
const SAME_INTERVAL: f32 = 0.001;
/// Rows at which confidence is one half.
const CONFIDENCE_ROWS: f64 = 128.0;
/// A mean deviation times this is the standard deviation of a normal law.
const TO_DEVIATION: f64 = 1.2533;

/// One value of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
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

/// What was seen of a row by its score, for its learning.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    x: f32,
    sums: Sums,
    pairs: [Option<Look<2>>; 4],
    clocks: [Option<Look<1>>; 2],
    held: [f32; FEATURES],
    raw: f32,
}

impl Track {
    pub(super) fn new(settings: &Settings) -> Self {
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

    /// No value counts as more than some ranges beyond what was seen: one of 1e12 must not blind
    /// blocks and profiles.
    fn clip(&self, x: f32, settings: &Settings) -> f32 {
        if self.blocks.rows() > YOUNG { self.pair.scale().within(x, settings.widen) } else { x }
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

    /// The features of blocks that are due, the pair first: they change slowly, so they are not
    /// looked at in every row.
    fn features(&self, x: f32, sums: &Sums) -> [Option<[f32; 2]>; 4] {
        let rows = self.blocks.rows();
        // The place in the cadence; 32 bits divide faster.
        let row = rows as u32;
        let Lengths { short, long, rough } = self.blocks.lengths();
        let [short, long, rough] = [short, long, rough].map(u32::from);
        let due =
            |enough: u32, every: u32| row % every == every - 1 && rows + 1 >= u64::from(enough);
        [
            self.blocks.last().map(|last| [x, last]),
            due(2 * short, short / 4).then(|| self.blocks.short(sums)),
            due(rough, rough / 8).then(|| self.blocks.rough(sums)),
            due(2 * long, long / 8).then(|| self.blocks.long(sums)),
        ]
    }

    /// The evidence that a value is odd, from 0.
    pub(super) fn score(
        &self,
        now: Clock,
        value: f64,
        settings: &Settings,
        seen: &mut Seen,
    ) -> f64 {
        let far = self.shift(value);
        let x = self.clip(far, settings);
        let floor = self.floor(settings);
        (seen.x, seen.sums) = (x, self.blocks.with(x));
        let features = self.features(x, &seen.sums);
        let strides = self.strides();
        let memories = [&self.pair, &self.short, &self.rough, &self.long];
        for (index, memory) in memories.into_iter().enumerate() {
            let look = |feature| memory.look(feature, settings, floor, strides[index]);
            seen.pairs[index] = features[index].map(look);
        }
        let usual = [self.hours.expected(now), self.weekdays.expected(now)];
        for (index, memory) in [&self.day, &self.week].into_iter().enumerate() {
            let difference = |usual: f32| [(x - usual).clamp(-SIZE_MAX, SIZE_MAX)];
            let look = |usual| memory.look(difference(usual), settings, floor, 1.0);
            seen.clocks[index] = usual[index].map(look);
        }
        let pairs = seen.pairs.iter().map(|look| look.as_ref().map(Look::distance));
        let clocks = seen.clocks.iter().map(|look| look.as_ref().map(Look::distance));
        seen.raw = 0.0;
        for (index, distance) in pairs.chain(clocks).enumerate() {
            let evidence = distance.map_or(0.0, |distance| settings.evidence(distance));
            seen.held[index] = (self.held[index] * settings.fade).max(evidence);
            seen.raw += seen.held[index] / FEATURES as f32;
        }
        let beyond = self.pair.scale().beyond(far, floor);
        let spike = if beyond > 0.0 {
            settings.spike * libm::log1pf((beyond / SPIKE).min(DISTANCE_MAX))
        } else {
            0.0
        };
        f64::from((seen.raw + spike) / (1.0 + settings.noise * self.average))
    }

    /// Learns a value; `seen` is what its score has just seen of it.
    pub(super) fn learn(&mut self, now: Clock, value: f64, settings: &Settings, seen: &Seen) {
        if self.blocks.rows() == 0 {
            self.origin = value;
        }
        let memories = [&mut self.pair, &mut self.short, &mut self.rough, &mut self.long];
        for (memory, look) in memories.into_iter().zip(&seen.pairs) {
            look.iter().for_each(|look| memory.learn(look, settings.rate));
        }
        for (memory, look) in [&mut self.day, &mut self.week].into_iter().zip(&seen.clocks) {
            look.iter().for_each(|look| memory.learn(look, settings.rate));
        }
        self.hours.learn(now, seen.x, settings.clock);
        self.weekdays.learn(now, seen.x, settings.clock);
        self.held = seen.held;
        let rate = (1.0 / (self.blocks.rows() as f32 + 1.0)).max(1.0 / settings.noise_rows);
        self.average += rate * (seen.raw - self.average);
        self.pace(now.seconds);
        if self.blocks.push(seen.x, seen.sums) {
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
    pub(super) fn expected(&self, now: Clock) -> (f64, f64) {
        let Some(last) = self.blocks.last() else {
            return (f64::NAN, f64::NAN);
        };
        let (usual, deviation) = match self.hours.expected(now) {
            Some(usual) => (usual, self.day.scale().deviation()),
            None => (last, self.pair.scale().deviation()),
        };
        (self.origin + f64::from(usual), TO_DEVIATION * f64::from(deviation))
    }

    /// The value it remembers to have come in a place most like this one's, after one like the last.
    pub(super) fn nearest(&self, value: f64, settings: &Settings) -> Option<f64> {
        let pair = [self.clip(self.shift(value), settings), self.blocks.last()?];
        let look = self.pair.look(pair, settings, self.floor(settings), 1.0);
        Some(self.origin + f64::from(self.pair.nearest(&look)?[0]))
    }

    /// In [0, 1): how much was seen, and how well it fits.
    pub(super) fn confidence(&self) -> f64 {
        let rows = self.blocks.rows() as f64;
        rows / (rows + CONFIDENCE_ROWS) / (1.0 + f64::from(self.average))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.origin, self.interval, self.last, self.held, self.average), out);
        self.blocks.encode(out);
        [&self.pair, &self.short, &self.rough, &self.long].iter().for_each(|m| m.encode(out));
        [&self.day, &self.week].iter().for_each(|memory| memory.encode(out));
        self.hours.encode(out);
        self.weekdays.encode(out);
    }

    /// Puts what [`encode`](Self::encode) appended into a new one.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        (self.origin, self.interval, self.last, self.held, self.average) = take(bytes)?;
        ensure(self.origin.abs() <= crate::VALUE_MAX, "first value")?;
        ensure((0.0..=INTERVAL_MAX).contains(&self.interval), "interval")?;
        let is_evidence = |evidence: &f32| (0.0..=1e4).contains(evidence);
        ensure(self.held.iter().chain([&self.average]).all(is_evidence), "evidence")?;
        self.blocks.decode(bytes)?;
        for memory in [&mut self.pair, &mut self.short, &mut self.rough, &mut self.long] {
            memory.decode(bytes)?;
        }
        self.day.decode(bytes)?;
        self.week.decode(bytes)?;
        self.hours.decode(bytes)?;
        self.weekdays.decode(bytes)
    }
}
