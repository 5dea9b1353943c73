//! What repeats. Means of blocks of rows are kept for 256 blocks; when they are full, their periodogram is looked
//! at for a line that stands out of its neighbourhood (Fisher 1929, on periodic terms), and blocks become twice as
//! long. From a line on, a profile of one season is learned, and what it expects is taken off each row.

use std::f64::consts::TAU;

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use crate::VALUE_MAX;

/// Blocks that are kept, or bins of a profile.
const BLOCKS: usize = 256;
const BINS: usize = 64;
/// Rows of the longest block: seasons of up to some 4000 rows are found.
const BLOCK_MAX: u32 = 64;
/// A season must have been seen so often.
const SEEN_MIN: usize = 4;
/// A line must be so many times its neighbourhood: about one of 10^7 is without a season.
const STANDS_OUT: f64 = 40.0;
/// A line's neighbourhood, in places of the periodogram to either side.
const NEAR: (usize, usize) = (4, 11);
/// The period must be known to so many rows, or to such a share of it.
const PRECISION: (f64, f64) = (0.25, 0.0005);
/// Seasons after which one counts 1/e.
const HORIZON: f64 = 64.0;
/// Values count as at most so many units.
const CLIP: f64 = 8.0;

/// The season of one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Season {
    /// What 0 and 1 of the numbers below are in the value's unit; a unit of 0: not known yet.
    origin: f64,
    unit: f64,
    rows: u64,
    /// Rows of a season; 0 until it is found.
    period: f64,
    /// How many seasons the profile has seen.
    seen: f64,
    /// Rows of a block, how many have come for the next one, and their sum.
    block: u32,
    begun: u32,
    sum: f64,
    len: usize,
    /// Means of blocks, oldest first; once found, the profile's bins.
    kept: Box<[f32; BLOCKS]>,
}

impl Default for Season {
    fn default() -> Self {
        let kept = Box::new([0.0; BLOCKS]);
        let (origin, unit, sum, period, seen) = (0.0, 0.0, 0.0, 0.0, 0.0);
        Self { origin, unit, rows: 0, period, seen, block: 1, begun: 0, sum, len: 0, kept }
    }
}

impl Season {
    /// Begins to look, at values about `origin` and so many `unit`s apart.
    pub(crate) fn begin(&mut self, origin: f64, unit: f64) {
        if self.unit == 0.0 && 0.0 < unit && unit <= 4.0 * VALUE_MAX {
            (self.origin, self.unit) = (origin, unit);
        }
    }

    /// Rows of a season, if one was found.
    pub(crate) fn period(&self) -> Option<f64> {
        (self.period > 0.0).then_some(self.period)
    }

    /// What the season adds to the next value, in the value's unit.
    pub(crate) fn expected(&self) -> f64 {
        if self.period > 0.0 { self.unit * self.at_phase(self.phase()) } else { 0.0 }
    }

    /// The variance that is there because the profile is not known well, as a share of the variance of means.
    pub(crate) fn doubt(&self) -> f64 {
        if self.period > 0.0 { 1.0 / self.seen.max(1.0) } else { 0.0 }
    }

    /// Takes a value in, or that it is missing, and the level about which values repeat, if it is known. Tells
    /// whether a season was found with it.
    pub(crate) fn learn(&mut self, value: Option<f64>, level: Option<f64>) -> bool {
        if self.unit == 0.0 {
            return false;
        }
        let distance = value.map_or(0.0, |x| ((x - self.origin) / self.unit).clamp(-CLIP, CLIP));
        if self.period > 0.0 {
            if let (Some(value), Some(level)) = (value, level) {
                self.learn_profile(((value - level) / self.unit).clamp(-CLIP, CLIP));
            }
            self.rows += 1;
            return false;
        }
        self.rows += 1;
        self.begun += 1;
        self.sum += distance;
        if self.begun < self.block {
            return false;
        }
        self.kept[self.len] = (self.sum / f64::from(self.block)) as f32;
        self.len += 1;
        (self.begun, self.sum) = (0, 0.0);
        self.len == BLOCKS && self.look()
    }

    /// Forgets what it knows, as after a change of the season.
    pub(crate) fn restart(&mut self) {
        self.kept.fill(0.0);
        (self.origin, self.unit, self.sum, self.period, self.seen) = (0.0, 0.0, 0.0, 0.0, 0.0);
        (self.rows, self.block, self.begun, self.len) = (0, 1, 0, 0);
    }

    /// What the season added so many rows ago, and what it will add a quarter of a season on from there.
    pub(crate) fn added(&self, ago: u64) -> Option<[f64; 2]> {
        let period = self.period()?;
        let cycles = (self.rows as f64 - ago as f64) / period;
        let at = |cycles: f64| self.unit * self.at_phase(cycles - libm::floor(cycles));
        Some([at(cycles), at(cycles + 0.25)])
    }

    /// Bytes on the heap.
    pub(crate) fn bytes() -> usize {
        size_of::<[f32; BLOCKS]>()
    }

    fn phase(&self) -> f64 {
        let cycles = self.rows as f64 / self.period;
        cycles - libm::floor(cycles)
    }

    /// The profile between the middles of its bins.
    fn at_phase(&self, phase: f64) -> f64 {
        let place = phase * BINS as f64 + BINS as f64 - 0.5;
        let share = place - libm::floor(place);
        let (left, right) = (place as usize % BINS, (place as usize + 1) % BINS);
        (1.0 - share) * f64::from(self.kept[left]) + share * f64::from(self.kept[right])
    }

    fn learn_profile(&mut self, distance: f64) {
        let phase = self.phase();
        let bin = ((phase * BINS as f64) as usize).min(BINS - 1);
        let off = distance - self.at_phase(phase);
        self.seen = (self.seen + 1.0 / self.period).min(HORIZON);
        // A bin has so many rows a season, each of which counts.
        let rate = BINS as f64 / self.period / (self.seen + 1.0);
        let bin = &mut self.kept[bin];
        *bin = (*bin + (rate.min(1.0) * off) as f32).clamp(-2.0 * CLIP as f32, 2.0 * CLIP as f32);
    }

    /// Looks for a season among full blocks; without one, blocks become longer.
    fn look(&mut self) -> bool {
        if let Some(line) = Line::find(&self.kept) {
            let rows = f64::from(self.block) * BLOCKS as f64;
            let period = rows / line.place;
            let error = period * line.error / line.place;
            if error < PRECISION.0 || error < PRECISION.1 * period {
                let whole = libm::round(period);
                let is_whole = (period - whole).abs() < 4.0 * error;
                self.take_profile(if is_whole { whole } else { period });
                return true;
            }
        }
        if self.block < BLOCK_MAX {
            for at in 0..BLOCKS / 2 {
                self.kept[at] = 0.5 * (self.kept[2 * at] + self.kept[2 * at + 1]);
            }
            self.block *= 2;
        } else {
            self.kept.copy_within(BLOCKS / 2.., 0);
        }
        self.len = BLOCKS / 2;
        false
    }

    /// Folds the blocks into a profile of this period.
    fn take_profile(&mut self, period: f64) {
        let rows = f64::from(self.block) * BLOCKS as f64;
        let first = self.rows as f64 - rows;
        let mean = self.kept.iter().map(|x| f64::from(*x)).sum::<f64>() / BLOCKS as f64;
        let (mut sums, mut counts) = ([0.0; BINS], [0.0; BINS]);
        for (at, &block) in self.kept.iter().enumerate() {
            let row = first + (at as f64 + 0.5) * f64::from(self.block) - 0.5;
            let cycles = row / period;
            // Shared out among two bins as it will be read.
            let place = (cycles - libm::floor(cycles)) * BINS as f64 + BINS as f64 - 0.5;
            let share = place - libm::floor(place);
            for (bin, share) in [(place as usize, 1.0 - share), (place as usize + 1, share)] {
                sums[bin % BINS] += share * (f64::from(block) - mean);
                counts[bin % BINS] += share;
            }
        }
        self.kept.fill(0.0);
        let mut last = 0.0;
        // Twice round, so that bins without a block take the one before.
        for at in 0..2 * BINS {
            let bin = at % BINS;
            if counts[bin] > 0.0 {
                last = sums[bin] / counts[bin];
            }
            self.kept[bin] = last as f32;
        }
        (self.period, self.seen) = (period, (rows / period).min(HORIZON));
        (self.len, self.begun, self.sum) = (0, 0, 0.0);
    }
}

/// A line of a periodogram.
struct Line {
    /// How often it repeats in all blocks.
    place: f64,
    /// The deviation of that.
    error: f64,
}

impl Line {
    /// The slowest line that stands out and of which the strongest one is a multiple.
    fn find(blocks: &[f32; BLOCKS]) -> Option<Self> {
        let mean = blocks.iter().map(|x| f64::from(*x)).sum::<f64>() / BLOCKS as f64;
        // Hann's window: a strong line must not leak into its neighbourhood.
        let mut windowed = [0.0; BLOCKS];
        for (at, (out, block)) in windowed.iter_mut().zip(blocks).enumerate() {
            let window = 0.5 - 0.5 * libm::cos(TAU * (at as f64 + 0.5) / BLOCKS as f64);
            *out = window * (f64::from(*block) - mean);
        }
        let mut powers = [0.0; BLOCKS / 2];
        for (place, power) in powers.iter_mut().enumerate() {
            *power = power_at(&windowed, place as f64);
        }
        let stands_out = |place: usize| -> f64 {
            let near = (NEAR.0..NEAR.1).flat_map(|off| [place.checked_sub(off), Some(place + off)]);
            let near = near.flatten().filter(|at| (1..powers.len()).contains(at));
            let (count, sum) = near.fold((0.0, 0.0), |(n, sum), at| (n + 1.0, sum + powers[at]));
            if sum > 0.0 { powers[place] * count / sum } else { 0.0 }
        };
        let places = SEEN_MIN..powers.len() - 1;
        let best = places.max_by(|a, b| stands_out(*a).total_cmp(&stands_out(*b)))?;
        if stands_out(best) < STANDS_OUT {
            return None;
        }
        let slower = (2..=8).rev().filter_map(|part| {
            let middle = (best as f64 / part as f64) as usize;
            let near = middle.max(SEEN_MIN)..=middle + 1;
            near.filter(|at| stands_out(*at) >= STANDS_OUT)
                .max_by(|a, b| powers[*a].total_cmp(&powers[*b]))
        });
        let line = slower.min().unwrap_or(best);
        let place = highest(&windowed, line as f64);
        // The bound of Cramér and Rao for the frequency of a line, a little more for the window.
        Some(Self { place, error: (0.15 / stands_out(line)).sqrt() })
    }
}

/// Power of what repeats so often.
fn power_at(values: &[f64; BLOCKS], place: f64) -> f64 {
    // Goertzel's recursion (1958).
    let twice = 2.0 * libm::cos(TAU * place / BLOCKS as f64);
    let (mut one, mut two) = (0.0, 0.0);
    for value in values {
        (one, two) = (value + twice * one - two, one);
    }
    one * one + two * two - twice * one * two
}

/// The place of the peak near a place, by thirds.
fn highest(values: &[f64; BLOCKS], near: f64) -> f64 {
    let (mut low, mut high) = (near - 1.0, near + 1.0);
    for _ in 0..24 {
        let third = (high - low) / 3.0;
        if power_at(values, low + third) < power_at(values, high - third) {
            low += third;
        } else {
            high -= third;
        }
    }
    0.5 * (low + high)
}

impl Season {
    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.origin, self.unit, self.rows, self.period, self.seen), out);
        put(&(self.block, self.begun, self.sum, self.len as u16), out);
        let kept = if self.period > 0.0 { BINS } else { self.len };
        self.kept[..kept].iter().for_each(|x| put(x, out));
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut season = Self::default();
        (season.origin, season.unit) = take(bytes)?;
        season.rows = take_count(bytes, "number of rows")?;
        (season.period, season.seen) = take(bytes)?;
        let (block, begun, sum, len) = take::<(u32, u32, f64, u16)>(bytes)?;
        (season.block, season.begun, season.sum) = (block, begun, sum);
        season.len = usize::from(len);
        let found = season.period != 0.0;
        let possible = season.origin.abs() <= 2.0 * VALUE_MAX;
        ensure(possible && (0.0..=4.0 * VALUE_MAX).contains(&season.unit), "unit of a season")?;
        let possible = !found || (2.0..1e6).contains(&season.period) && season.unit > 0.0;
        ensure(possible && (0.0..=HORIZON).contains(&season.seen), "period of a season")?;
        let possible = block.is_power_of_two() && block <= BLOCK_MAX && begun < block;
        ensure(possible && season.len < BLOCKS, "blocks of a season")?;
        ensure(sum.abs() <= CLIP * f64::from(block), "sum of a block")?;
        let kept = if found { BINS } else { season.len };
        for x in &mut season.kept[..kept] {
            *x = take(bytes)?;
            ensure(x.abs() <= 2.0 * CLIP as f32, "mean of a block")?;
        }
        Ok(season)
    }
}
