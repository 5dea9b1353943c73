//! Cumulative sums of log likelihood ratios (Page 1954: "Continuous inspection schemes") on scores that are standard
//! normal without a change: of the level, against two sizes of shift; of the spread; and of how many of eight
//! values in a row are missing. A sum is in nats, so all bounds are near the logarithm of the wanted run length.

use std::f64::consts::LN_2;

use domain::DriftTest;
use domain::encoding::{DecodeError, ensure, put, take};

use crate::{Mark, bounds::Statistic, dice::Dice, normal, watch::Strongest};

/// The shifts that the sums of the level wait for, in deviations.
const SHIFTS: [f64; 2] = [0.4, 1.2];
/// What a square adds to the sums of the spread, and what a row takes off: they wait for twice and half the variance.
const SPREADS: [(f64, f64); 2] = [(0.25, 0.5 * LN_2), (-0.5, -0.5 * LN_2)];
/// A square counts as at most so much: a single wild row is no drift.
const SQUARE_MAX: f64 = 9.0;
/// Rows that are looked at together for missing values: one outage is one row of them.
const BLOCK: u8 = 8;
/// No sum is larger: an alarm comes long before.
const NATS_MAX: f64 = 1e6;
/// The shares of false alarms: of level and spread each, and of missing values.
const SHARES: [f64; 3] = [0.45, 0.45, 0.1];

/// A sum, and since when it is above 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    nats: f64,
    since: Mark,
}

impl Sum {
    fn add(&mut self, nats: f64, now: Mark) {
        if self.nats == 0.0 {
            self.since = now;
        }
        self.nats = (self.nats + nats).clamp(0.0, NATS_MAX);
    }
}

/// What a chart watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Level,
    Spread,
    Missing,
}

/// How much speaks for a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Evidence {
    pub(crate) statistic: f64,
    pub(crate) bound: f64,
    /// When it began.
    pub(crate) since: Mark,
}

impl Evidence {
    /// From 1 on it is an alarm.
    pub(crate) fn strength(&self) -> f64 {
        self.statistic / self.bound
    }
}

/// The sums of one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Charts {
    bounds: [f64; 3],
    /// Up and down for each shift.
    level: [Sum; 2 * SHIFTS.len()],
    /// Wider and narrower.
    spread: [Sum; 2],
    missing: Missing,
}

/// Counts of missing values in blocks of rows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Missing {
    /// How many blocks missed so many.
    blocks: [u32; BLOCK as usize + 1],
    rows: u8,
    missed: u8,
    sums: [Sum; 2],
}

impl Charts {
    /// With so many rows between false alarms, over all sums.
    pub(crate) fn new(run_length: f64) -> Self {
        let bound = |statistic: Statistic, share: f64| statistic.bound(run_length / share);
        Self {
            bounds: [
                bound(Statistic::Level, SHARES[0]),
                bound(Statistic::Spread, SHARES[1]),
                bound(Statistic::Missing, SHARES[2]),
            ],
            level: Default::default(),
            spread: Default::default(),
            missing: Missing::default(),
        }
    }

    /// Takes the scores of a row in: for the level, and for the spread.
    pub(crate) fn push(&mut self, level: f64, spread: f64, now: Mark) {
        for (sums, shift) in self.level.chunks_exact_mut(2).zip(SHIFTS) {
            sums[0].add(shift * level - 0.5 * shift * shift, now);
            sums[1].add(-shift * level - 0.5 * shift * shift, now);
        }
        let square = (spread * spread).min(SQUARE_MAX);
        for (sum, (slope, less)) in self.spread.iter_mut().zip(SPREADS) {
            sum.add(slope * square - less, now);
        }
    }

    /// Takes in whether the value of a row is missing.
    pub(crate) fn push_missing(&mut self, is_missing: bool, now: Mark, dice: &mut Dice) {
        self.missing.push(is_missing, now, dice);
    }

    /// What speaks for a change of what is watched.
    pub(crate) fn evidence(&self, watched: Watched) -> Evidence {
        let (sums, bound) = match watched {
            Watched::Level => (&self.level[..], self.bounds[0]),
            Watched::Spread => (&self.spread[..], self.bounds[1]),
            Watched::Missing => (&self.missing.sums[..], self.bounds[2]),
        };
        let first = Sum::default();
        let most = sums.iter().fold(&first, |a, b| if b.nats > a.nats { b } else { a });
        Evidence { statistic: most.nats, bound, since: most.since }
    }

    /// The strongest evidence, as of CUSUM; none of a value of which nothing is known.
    pub(crate) fn strongest(&self) -> Option<Strongest> {
        let all = [
            (Watched::Level, Statistic::Level, SHARES[0]),
            (Watched::Spread, Statistic::Spread, SHARES[1]),
            (Watched::Missing, Statistic::Missing, SHARES[2]),
        ];
        let strongest = all.into_iter().map(|(watched, statistic, share)| {
            let evidence = self.evidence(watched);
            let run_length = share * statistic.run_length(evidence.statistic);
            Strongest { test: DriftTest::Cusum, evidence, run_length }
        });
        strongest.max_by(|a, b| a.evidence.strength().total_cmp(&b.evidence.strength()))
    }

    /// Forgets all rows. How often values are missing is known anew after `missing` changed.
    pub(crate) fn restart(&mut self, missing: bool) {
        (self.level, self.spread) = Default::default();
        let blocks = if missing { Default::default() } else { self.missing.blocks };
        self.missing = Missing { blocks, ..Missing::default() };
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.level.iter().chain(&self.spread).for_each(|sum| sum.encode(out));
        let Missing { blocks, rows, missed, sums } = &self.missing;
        put(&(blocks, rows, missed), out);
        sums.iter().for_each(|sum| sum.encode(out));
    }

    /// Takes what [`encode`](Self::encode) appended into one with the same run length.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        for sum in self.level.iter_mut().chain(&mut self.spread) {
            *sum = Sum::decode(bytes)?;
        }
        let missing = &mut self.missing;
        (missing.blocks, missing.rows, missing.missed) = take(bytes)?;
        let counted = missing.rows < BLOCK && missing.missed <= missing.rows;
        ensure(counted, "number of missing values")?;
        missing.sums = [Sum::decode(bytes)?, Sum::decode(bytes)?];
        Ok(())
    }
}

impl Missing {
    fn push(&mut self, is_missing: bool, now: Mark, dice: &mut Dice) {
        self.rows += 1;
        self.missed += u8::from(is_missing);
        if self.rows < BLOCK {
            return;
        }
        let missed = usize::from(std::mem::take(&mut self.missed));
        self.rows = 0;
        // As long as none is ever missing there is nothing to watch.
        if missed > 0 || self.blocks[1..].iter().any(|blocks| *blocks > 0) {
            let count = |blocks: &[u32]| blocks.iter().copied().map(f64::from).sum::<f64>();
            let (below, equal) = (count(&self.blocks[..missed]), f64::from(self.blocks[missed]));
            // Among ties by chance, as in `Ranks`.
            let place = below + dice.uniform() * (equal + 1.0);
            let score = normal::quantile(place / (count(&self.blocks) + 1.0));
            let shift = SHIFTS[1];
            self.sums[0].add(shift * score - 0.5 * shift * shift, now);
            self.sums[1].add(-shift * score - 0.5 * shift * shift, now);
        }
        self.blocks[missed] = self.blocks[missed].saturating_add(1);
    }
}

impl Sum {
    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.nats, self.since), out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (nats, since) = take(bytes)?;
        ensure((0.0..=NATS_MAX).contains(&nats), "sum of nats")?;
        Ok(Self { nats, since })
    }
}
