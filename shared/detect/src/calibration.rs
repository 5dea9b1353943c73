//! Raw scores of any algorithm and series become comparable: what counts is how rare a level is in this series.
//!
//! Levels (see [`Assessment::levels`](crate::Assessment::levels)) go into a small decaying histogram. The chance of a level
//! at least so high is the larger of two: the share of rows above it, slightly smoothed; and an exponential tail
//! from a high quantile with the mean excess over it, which is a Pareto tail of distances (Pickands 1975; the
//! idea of SPOT, Siffer et al. 2017, without its fit). A prior counts as some tens of rows, so the first record
//! has a score and a young series is judged by what is usual. The score is 1 − 2^(log10(p) / 3):
//! p = 1e-3 is .5, 1e-6 is .75, 1e-10 is .9.

use std::sync::LazyLock;

use domain::encoding::{DecodeError, ensure, put, take};

use crate::scorer::{level_of, units_at};

const BINS: usize = 128;
const WIDTH: f64 = 1.0 / 16.0;
const LEVEL_MAX: f64 = BINS as f64 * WIDTH;
/// Where the prior's tail begins: the share of rows above.
const TAIL_SHARE: f64 = 0.02;
/// A series' own tail begins where so many rows are above, at these shares at least and at most.
const TAIL_ROWS: f64 = 30.0;
const TAIL_SHARES: (f64, f64) = (0.002, TAIL_SHARE);
/// Rows after which one counts 1/e.
const HORIZON: f64 = 16_384.0;
/// No sum of weights is larger: it tends to [`HORIZON`], give or take rounding.
const SUM_MAX: f32 = 1.25 * HORIZON as f32;
/// The table is built anew after at most so many rows, and after every one that does not count in full.
const REBUILD_ROWS: usize = 128;
/// Bounds of the mean excess. Larger, and a series with two levels would hide a third.
const EXCESS: (f64, f64) = (0.05, 0.30);
/// The prior's mean excess counts as so many excesses.
const EXCESS_PRIOR: f64 = 5.0;
/// The kernel that smooths the share of rows above, in mean excesses. As long as one, and it would raise the
/// chance of 3 deviations of a normal law fivefold.
const KERNEL: f64 = 1.0 / 3.0;
/// Chances below this add up.
const CHANCE_SMALL: f64 = 1e-9;
/// Nats that each bin adds, so that scores rise even where no row ever was. Nothing that a score would show.
const SLOPE: f64 = 1e-4;

/// What is believed of levels before any was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prior(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Distance,
    Rarity,
    Novelty,
    Surprise,
}

impl Prior {
    /// Levels that are ln(1 + robust z): a normal law in the body, heavier in the tail (p = 1e-4 at 9.7 units).
    pub const DISTANCE: Self = Self(Kind::Distance);
    /// Levels of half-space trees.
    pub const RARITY: Self = Self(Kind::Rarity);
    /// Levels that are half a surprise: what is calibrated already is exponential, a decade of chance every
    /// half level.
    pub const SURPRISE: Self = Self(Kind::Surprise);

    /// Levels of novelty memories, which are comparable between series by themselves.
    pub const NOVELTY: Self = Self(Kind::Novelty);

    /// The rows it counts as.
    fn rows(self) -> f64 {
        match self.0 {
            Kind::Distance | Kind::Surprise => 50.0,
            Kind::Rarity => 20.0,
            Kind::Novelty => 10_000.0,
        }
    }

    /// The level that a share of [`TAIL_SHARE`] exceeds, the shape of the body, and the mean excess.
    fn shape(self) -> (f64, f64, f64) {
        match self.0 {
            Kind::Distance => (1.203, 2.2, 0.22),
            Kind::Rarity => (3.5, 4.0, 0.25),
            Kind::Novelty => (0.7, 1.5, 0.28),
            Kind::Surprise => (0.8495, 1.0, 0.2171),
        }
    }

    /// How many rows in a row are past a level by one chance.
    pub(crate) fn lasting(self) -> f64 {
        match self.0 {
            Kind::Distance | Kind::Rarity | Kind::Surprise => 1.5,
            // Evidence fades.
            Kind::Novelty => 8.0,
        }
    }

    /// How strong a level is, in units of what is remarkable of its kind: the same for all series.
    fn strength(self, level: f64) -> f64 {
        match self.0 {
            // 5.42 deviations, which one row in a thousand is believed to have.
            Kind::Distance => units_at(level) / 5.42,
            Kind::Rarity => level / 4.25,
            // An evidence of .365.
            Kind::Novelty => level / 0.511,
            // The same as of distances.
            Kind::Surprise => level / 1.5,
        }
    }

    /// The level of so strong a one.
    fn level(self, strength: f64) -> f64 {
        match self.0 {
            Kind::Distance => level_of(strength * 5.42),
            Kind::Rarity => strength * 4.25,
            Kind::Novelty => strength * 0.511,
            Kind::Surprise => strength * 1.5,
        }
    }

    fn exceeded(self, level: f64) -> f64 {
        let (start, power, excess) = self.shape();
        if level < start {
            libm::pow(TAIL_SHARE, libm::pow(level / start, power))
        } else {
            TAIL_SHARE * libm::exp((start - level) / excess)
        }
    }

    /// The chance of exceeding each edge of the histogram.
    fn table(self) -> &'static [f64; BINS + 1] {
        static DISTANCE: LazyLock<[f64; BINS + 1]> = LazyLock::new(|| edges(Prior::DISTANCE));
        static RARITY: LazyLock<[f64; BINS + 1]> = LazyLock::new(|| edges(Prior::RARITY));
        static SURPRISE: LazyLock<[f64; BINS + 1]> = LazyLock::new(|| edges(Prior::SURPRISE));
        static NOVELTY: LazyLock<[f64; BINS + 1]> = LazyLock::new(|| edges(Prior::NOVELTY));
        match self.0 {
            Kind::Distance => &DISTANCE,
            Kind::Rarity => &RARITY,
            Kind::Novelty => &NOVELTY,
            Kind::Surprise => &SURPRISE,
        }
    }
}

fn edges(prior: Prior) -> [f64; BINS + 1] {
    std::array::from_fn(|edge| prior.exceeded(edge as f64 * WIDTH))
}

/// How rare the levels of one series are.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    prior: Prior,
    /// Weight of the rows of each bin, decaying, as of the last rebuild; all else follows from it.
    counts: Box<[f32]>,
    /// Minus ln of the chance of exceeding each edge, as of the last rebuild.
    table: Box<[f32]>,
    /// Sum of `counts`.
    rows: f64,
    /// Mean excess in the tail.
    excess: f64,
    /// The bins of the rows since the last rebuild.
    recent: Vec<u8>,
}

impl Calibration {
    /// Knows the prior only.
    pub fn new(prior: Prior) -> Self {
        let mut new = Self::blank(prior);
        new.rebuild(0);
        new
    }

    fn blank(prior: Prior) -> Self {
        Self {
            prior,
            counts: vec![0.0; BINS].into(),
            table: vec![0.0; BINS + 1].into(),
            rows: 0.0,
            excess: prior.shape().2,
            recent: Vec::with_capacity(REBUILD_ROWS),
        }
    }

    /// The surprise of a level: −log10 of the chance of one at least so high. Strictly monotone, finite, ≥ 0.
    pub fn surprise(&self, level: f64) -> f64 {
        // The positive form: NaN is no surprise.
        let level = if level > 0.0 { level } else { 0.0 };
        let nats = if level < LEVEL_MAX {
            let place = level / WIDTH;
            let bin = place as usize;
            let (low, high) = (f64::from(self.table[bin]), f64::from(self.table[bin + 1]));
            low + (place - bin as f64) * (high - low)
        } else {
            // Logarithmic beyond all levels seen, so that the score stays below 1.
            f64::from(self.table[BINS]) + libm::log1p((level - LEVEL_MAX) / self.excess)
        };
        nats * std::f64::consts::LOG10_E
    }

    /// The level of a surprise; the inverse of [`surprise`](Self::surprise).
    pub fn level(&self, surprise: f64) -> f64 {
        let nats = surprise.max(0.0) * std::f64::consts::LN_10;
        let bin = self.table.partition_point(|&edge| f64::from(edge) <= nats);
        if bin > BINS {
            return LEVEL_MAX + self.excess * libm::expm1(nats - f64::from(self.table[BINS]));
        }
        let (low, high) = (f64::from(self.table[bin - 1]), f64::from(self.table[bin]));
        WIDTH * ((bin - 1) as f64 + (nats - low) / (high - low))
    }

    /// Learns a level with a weight in (0, 1]. Tells whether surprises are other than before.
    pub fn learn(&mut self, level: f64, weight: f64) -> bool {
        let bin = ((level.max(0.0) / WIDTH) as usize).min(BINS - 1);
        let rows = self.recent.len() + 1;
        let due = rows as f64 >= self.patience() || weight < 1.0;
        if due {
            // Counted now and not before, so that the table always follows from the counts.
            for bin in self.recent.drain(..) {
                self.counts[usize::from(bin)] += 1.0;
            }
            self.counts[bin] += weight as f32;
            self.rebuild(rows);
        } else {
            self.recent.push(bin as u8);
        }
        due
    }

    /// After so many rows the table is built anew.
    fn patience(&self) -> f64 {
        (self.rows / 16.0).clamp(1.0, REBUILD_ROWS as f64)
    }

    /// How strong a level is, in units of what is remarkable of its kind.
    pub(crate) fn strength(&self, level: f64) -> f64 {
        self.prior.strength(level)
    }

    /// The surprise of a level that is heard as so many times less strong.
    pub(crate) fn muffled(&self, level: f64, times: f64) -> f64 {
        self.surprise(self.prior.level(self.prior.strength(level) / times))
    }

    /// How many rows it speaks for, with those that the prior stands for.
    pub fn evidence(&self) -> f64 {
        self.rows + self.prior.rows()
    }

    /// Bytes on the heap, always.
    pub fn bytes() -> usize {
        (BINS + BINS + 1) * size_of::<f32>() + REBUILD_ROWS
    }

    /// Appends what was learned. Neither the prior, which the model knows, nor what follows from
    /// the counts.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut present = 0_u128;
        for (bin, _) in self.counts.iter().enumerate().filter(|(_, count)| **count != 0.0) {
            present |= 1 << bin;
        }
        put(&present.to_le_bytes(), out);
        self.counts.iter().filter(|count| **count != 0.0).for_each(|count| put(count, out));
        put(&self.recent, out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(prior: Prior, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut new = Self::blank(prior);
        let present = u128::from_le_bytes(take(bytes)?);
        let mut sum = 0.0;
        for (bin, count) in new.counts.iter_mut().enumerate() {
            if present & (1 << bin) != 0 {
                *count = take(bytes)?;
                ensure(0.0 < *count && *count <= SUM_MAX, "weight of a bin")?;
                sum += *count;
            }
        }
        ensure(sum <= SUM_MAX, "sum of weights")?;
        new.rebuild(0);
        let recent: Vec<u8> = take(bytes)?;
        ensure((recent.len() as f64) < new.patience(), "number of recent rows")?;
        ensure(recent.iter().all(|&bin| usize::from(bin) < BINS), "bin")?;
        new.recent.extend(recent);
        Ok(new)
    }

    /// Builds all that follows from the counts, after they have decayed over so many rows.
    fn rebuild(&mut self, since: usize) {
        let keep = (1.0 - since as f64 / HORIZON) as f32;
        let mut above = 0.0_f64;
        self.table[BINS] = 0.0;
        for bin in (0..BINS).rev() {
            self.counts[bin] *= keep;
            above += f64::from(self.counts[bin]);
            self.table[bin] = above as f32;
        }
        self.rows = f64::from(self.table[0]);
        let start = self.tail_start();
        self.excess = self.mean_excess(start);
        let step = libm::exp(-WIDTH / (KERNEL * self.excess));
        let half = step.sqrt();
        let fall = libm::exp(-WIDTH / self.excess);
        let (prior, weight) = (self.prior.table(), self.prior.rows());
        let (mut below, mut tail) = (0.0_f64, 0.0_f64);
        for (edge, &believed) in prior.iter().enumerate() {
            let above = f64::from(self.table[edge]);
            tail = if edge == start { above } else { tail * fall };
            let share = ((above + below).max(tail) + weight * believed) / (self.rows + weight);
            self.table[edge] = (edge as f64 * SLOPE - libm::log(share.min(1.0))) as f32;
            if edge < BINS {
                below = below * step + f64::from(self.counts[edge]) * half;
            }
        }
    }

    /// The highest edge above which there are enough rows to speak of a tail. The table holds shares here.
    fn tail_start(&self) -> usize {
        let (least, most) = TAIL_SHARES;
        let rows = TAIL_ROWS.clamp(least * self.rows, most * self.rows);
        self.table.iter().rposition(|&above| f64::from(above) > rows).unwrap_or(0)
    }

    /// Mean excess above an edge; an excess counts 1 at most.
    fn mean_excess(&self, start: usize) -> f64 {
        let (mut count, mut sum) = (0.0, 0.0);
        for bin in start..BINS {
            let weight = f64::from(self.counts[bin]);
            let excess = ((bin - start) as f64 + 0.5) * WIDTH;
            count += weight;
            sum += weight * excess.min(1.0);
        }
        let believed = self.prior.shape().2;
        ((sum + EXCESS_PRIOR * believed) / (count + EXCESS_PRIOR)).clamp(EXCESS.0, EXCESS.1)
    }
}

/// The surprise of the largest of so many independent surprises (Šidák 1967).
pub fn of_largest(surprise: f64, count: f64) -> f64 {
    if count == 1.0 {
        return surprise;
    }
    let chance = libm::exp(-surprise * std::f64::consts::LN_10);
    if chance < CHANCE_SMALL {
        surprise - libm::log10(count)
    } else {
        -libm::log10(-libm::expm1(count * libm::log1p(-chance)))
    }
}

/// The surprise that the largest of so many must have; the inverse of [`of_largest`].
pub fn for_largest(surprise: f64, count: f64) -> f64 {
    if count == 1.0 {
        return surprise;
    }
    let chance = libm::exp(-surprise * std::f64::consts::LN_10);
    if chance < CHANCE_SMALL {
        surprise + libm::log10(count)
    } else {
        -libm::log10(-libm::expm1(libm::log1p(-chance) / count))
    }
}

/// The score of a surprise: 3 is .5, 6 is .75, 10 is .9; in [0, 1), strictly monotone.
pub fn score_of(surprise: f64) -> f64 {
    1.0 - libm::exp2(-surprise / 3.0)
}

/// The surprise of a score below 1; the inverse of [`score_of`].
pub fn surprise_of(score: f64) -> f64 {
    -3.0 * libm::log2(1.0 - score)
}

#[cfg(test)]
mod tests;
