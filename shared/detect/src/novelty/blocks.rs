//! The last values of a series, and sums over blocks of them that are kept current in constant time.

use domain::encoding::{DecodeError, ensure, put, take};

/// Rows that are kept.
const RING: usize = 256;
/// Sums are made afresh after so many rows, since rounding errors of evicted values stay behind.
const LAP: u64 = 1_024;
/// Bounds of the lengths, in rows: two short and two long blocks must lie within the ring.
const SHORT: (f32, f32) = (4.0, 120.0);
const LONG: (f32, f32) = (12.0, 124.0);
const ROUGH: (f32, f32) = (8.0, 250.0);
/// No sum is larger.
const SUM_MAX: f64 = 1e30;

/// How many rows make a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lengths {
    pub(super) short: u16,
    pub(super) long: u16,
    pub(super) rough: u16,
}

impl Lengths {
    /// These many rows, times a factor, within what the ring can hold.
    pub(super) fn new(short: f32, long: f32, rough: f32, factor: f32) -> Self {
        let fit = |rows: f32, (least, most)| (rows * factor).round().clamp(least, most) as u16;
        Self { short: fit(short, SHORT), long: fit(long, LONG), rough: fit(rough, ROUGH) }
    }

    fn is_possible(self) -> bool {
        let within = |rows: u16, (least, most)| (least..=most).contains(&f32::from(rows));
        within(self.short, SHORT) && within(self.long, LONG) && within(self.rough, ROUGH)
    }
}

/// Sums over the newest block and the one before it, and over the steps from row to row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    short: [f64; 2],
    long: [f64; 2],
    rough: f64,
    steps: f64,
}

/// The last rows of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Blocks {
    ring: [f32; RING],
    rows: u64,
    lengths: Lengths,
    sums: Sums,
}

impl Blocks {
    pub(super) fn new(lengths: Lengths) -> Self {
        Self { ring: [0.0; RING], rows: 0, lengths, sums: Sums::default() }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// The value so many rows ago, 1 for the newest; 0 before the first.
    fn back(&self, rows: u64) -> f32 {
        if rows <= self.rows { self.ring[(self.rows - rows) as usize % RING] } else { 0.0 }
    }

    /// The newest value.
    pub(super) fn last(&self) -> Option<f32> {
        (self.rows > 0).then(|| self.back(1))
    }

    /// The sums with one value more, which is not kept.
    pub(super) fn with(&self, x: f32) -> Sums {
        let back = |rows: u16| f64::from(self.back(u64::from(rows)));
        let Lengths { short, long, rough } = self.lengths;
        let Sums { short: s, long: l, rough: r, steps } = self.sums;
        let x64 = f64::from(x);
        let ([s1, s2], [l1, l2]) = ([back(short), back(2 * short)], [back(long), back(2 * long)]);
        let step = |newer: f32, older: f32| f64::from((newer - older).abs());
        let enters = self.last().map_or(0.0, |last| step(x, last));
        let leaves = if self.rows >= u64::from(rough) {
            step(self.back(u64::from(rough) - 1), self.back(u64::from(rough)))
        } else {
            0.0
        };
        Sums {
            short: [s[0] + (x64 - s1), s[1] + (s1 - s2)],
            long: [l[0] + (x64 - l1), l[1] + (l1 - l2)],
            rough: r + (x64 - back(rough)),
            steps: steps + (enters - leaves),
        }
    }

    /// Keeps a value; `sums` are those with it. Says whether a lap is over, and lengths may change.
    pub(super) fn push(&mut self, x: f32, sums: Sums) -> bool {
        self.sums = sums;
        self.ring[self.rows as usize % RING] = x;
        self.rows += 1;
        matches!(self.rows, 17 | 65 | 257) || self.rows.is_multiple_of(LAP)
    }

    /// Sets the lengths, and makes the sums afresh.
    pub(super) fn measure(&mut self, lengths: Lengths) {
        self.lengths = lengths;
        let [short, long, rough] = [lengths.short, lengths.long, lengths.rough].map(u64::from);
        let sum = |from: u64, until: u64| -> f64 {
            (from..until).map(|rows| f64::from(self.back(rows + 1))).sum()
        };
        let steps = (1..rough).filter(|rows| *rows < self.rows);
        let step = |rows: u64| f64::from((self.back(rows) - self.back(rows + 1)).abs());
        self.sums = Sums {
            short: [sum(0, short), sum(short, 2 * short)],
            long: [sum(0, long), sum(long, 2 * long)],
            rough: sum(0, rough),
            steps: steps.map(step).sum(),
        };
    }

    /// The mean of the newest short block and of the one before it.
    pub(super) fn short(&self, sums: &Sums) -> [f32; 2] {
        sums.short.map(|sum| (sum / f64::from(self.lengths.short)) as f32)
    }

    /// The mean of the newest long block and of the one before it.
    pub(super) fn long(&self, sums: &Sums) -> [f32; 2] {
        sums.long.map(|sum| (sum / f64::from(self.lengths.long)) as f32)
    }

    /// The mean of the newest values, and of the steps between them.
    pub(super) fn rough(&self, sums: &Sums) -> [f32; 2] {
        let rows = f64::from(self.lengths.rough);
        [(sums.rough / rows) as f32, (sums.steps / (rows - 1.0)) as f32]
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Lengths { short, long, rough } = self.lengths;
        put(&(self.rows, short, long, rough), out);
        let kept = self.rows.min(RING as u64);
        (1..=kept).rev().for_each(|rows| put(&self.back(rows), out));
        let Sums { short, long, rough, steps } = self.sums;
        put(&(short, long, rough, steps), out);
    }

    /// Puts what [`encode`](Self::encode) appended into a new one. Values are at most `size_max`.
    pub(super) fn decode(&mut self, bytes: &mut &[u8], size_max: f32) -> Result<(), DecodeError> {
        self.rows = domain::encoding::take_count(bytes, "number of rows")?;
        let (short, long, rough) = take(bytes)?;
        self.lengths = Lengths { short, long, rough };
        ensure(self.lengths.is_possible(), "length of a block")?;
        for rows in (1..=self.rows.min(RING as u64)).rev() {
            let x: f32 = take(bytes)?;
            ensure(x.abs() <= size_max, "value of a row")?;
            self.ring[(self.rows - rows) as usize % RING] = x;
        }
        let (short, long, rough, steps) = take(bytes)?;
        self.sums = Sums { short, long, rough, steps };
        let all = [short[0], short[1], long[0], long[1], rough, steps];
        ensure(all.iter().all(|sum| sum.abs() <= SUM_MAX), "sum of a block")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the lengths and however often they change, sums are those of the rescan.
        #[test]
        fn sums_are_those_of_a_rescan(
            values in prop::collection::vec(-100.0..100.0_f32, 1..700),
            factors in prop::collection::vec(0.3..4.0_f32, 1..4),
        ) {
            let of = |at: usize| Lengths::new(24.0, 96.0, 32.0, factors[at % factors.len()]);
            let mut blocks = Blocks::new(of(0));
            for (at, &x) in values.iter().enumerate() {
                let sums = blocks.with(x);
                if blocks.push(x, sums) {
                    blocks.measure(of(at));
                }
                let current = blocks.sums;
                let mut fresh = blocks.clone();
                fresh.measure(blocks.lengths);
                let pairs = [
                    (current.short[0], fresh.sums.short[0]),
                    (current.short[1], fresh.sums.short[1]),
                    (current.long[0], fresh.sums.long[0]),
                    (current.long[1], fresh.sums.long[1]),
                    (current.rough, fresh.sums.rough),
                    (current.steps, fresh.sums.steps),
                ];
                prop_assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-6), "{at}: {pairs:?}");
            }
            let newest = &values[values.len().saturating_sub(4)..];
            prop_assert_eq!(blocks.last(), newest.last().copied());
        }
    }
}
