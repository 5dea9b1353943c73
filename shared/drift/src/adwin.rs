//! Adaptive windowing, ADWIN (Bifet & Gavaldà 2007: "Learning from time-changing data with adaptive
//! windowing"): the window since the last change, kept in an exponential histogram of at most
//! 5 buckets of each power of two; a change is where some cut leaves two means further apart than
//! chance explains.
//!
//! The bound is the paper's variance-aware one, with two changes: the variance of means is measured
//! ([`Noise`]) and not that of independent rows; and a difference of less than half a deviation is no drift however
//! sure it is.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use crate::{Change, Noise, Standard};

/// Buckets of one size; one more and the oldest two become one of the next (the paper's M).
const PER_SIZE: usize = 5;
/// Sizes up to 2^13: a window of some 80,000 rows; older ones fall off.
const SIZES: usize = 14;
/// Cuts are looked for every so many rows.
const EVERY: u64 = 32;
/// Rows that each side of a cut must have. Fewer, and a burst of half a minute would be a drift.
const SIDE_MIN: (f64, f64) = (64.0, 48.0);
/// In units of deviation.
const EFFECT_MIN: f64 = 0.5;

/// The window of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Adwin {
    sizes: Box<[Buckets; SIZES]>,
    /// Rows in the window.
    rows: u64,
    /// Rows taken in since the start.
    pushed: u64,
}

/// Buckets of one size, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Buckets {
    len: usize,
    sums: [Sums; PER_SIZE + 1],
}

/// Sum of the clipped values (what is tested) and of the values as they came (what is told).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    clipped: f64,
    told: f64,
}

impl std::ops::Add for Sums {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { clipped: self.clipped + other.clipped, told: self.told + other.told }
    }
}

impl Default for Adwin {
    fn default() -> Self {
        Self { sizes: Box::new([Buckets::default(); SIZES]), rows: 0, pushed: 0 }
    }
}

impl Adwin {
    /// Takes a value in: clipped for the test, and as it came for the report.
    pub fn push(&mut self, clipped: f64, told: f64) {
        let mut carry = Sums { clipped, told };
        self.rows += 1;
        self.pushed += 1;
        for size in 0..SIZES {
            let buckets = &mut self.sizes[size];
            buckets.sums[buckets.len] = carry;
            buckets.len += 1;
            if buckets.len <= PER_SIZE {
                return;
            }
            carry = buckets.sums[0] + buckets.sums[1];
            let dropped = if size + 1 == SIZES { 1 } else { 2 };
            buckets.sums.copy_within(dropped.., 0);
            buckets.len -= dropped;
            if dropped == 1 {
                self.rows -= 1 << size;
            }
        }
    }

    /// The surest cut of the window, if any passes the bound at this confidence (the chance of a false alarm);
    /// every 32nd row only.
    pub fn change(&self, confidence: f64, noise: &Noise, standard: &Standard) -> Option<Change> {
        if !self.pushed.is_multiple_of(EVERY) {
            return None;
        }
        let total = self.buckets().fold(Sums::default(), |sum, (_, s)| sum + s);
        let (all, unit) = (self.rows as f64, standard.unit());
        let (mut rows, mut old) = (0.0, Sums::default());
        let mut best: Option<Change> = None;
        for (size, sums) in self.buckets() {
            rows += size as f64;
            old = old + sums;
            let left = all - rows;
            if rows < SIDE_MIN.0 {
                continue;
            }
            if left < SIDE_MIN.1 {
                break;
            }
            let statistic = ((total.clipped - old.clipped) / left - old.clipped / rows).abs();
            if statistic < EFFECT_MIN * unit {
                continue;
            }
            let chance = Chance::new(rows, left, noise, unit);
            let p_value = chance.of(statistic);
            if p_value < confidence && best.is_none_or(|b| p_value < b.p_value) {
                best = Some(Change {
                    statistic,
                    bound: chance.bound(confidence).max(EFFECT_MIN * unit),
                    p_value,
                    before: old.told / rows,
                    after: (total.told - old.told) / left,
                });
            }
        }
        best
    }

    /// Empties the window.
    pub fn restart(&mut self) {
        self.sizes.iter_mut().for_each(|buckets| buckets.len = 0);
        (self.rows, self.pushed) = (0, 0);
    }

    /// Appends the window; how many rows it has follows from its buckets.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.pushed, out);
        for buckets in &*self.sizes {
            put(&(buckets.len as u8), out);
            for Sums { clipped, told } in &buckets.sums[..buckets.len] {
                put(&(clipped, told), out);
            }
        }
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut adwin = Self { pushed: take_count(bytes, "number of rows")?, ..Self::default() };
        for (size, buckets) in adwin.sizes.iter_mut().enumerate() {
            buckets.len = usize::from(take::<u8>(bytes)?);
            ensure(buckets.len <= PER_SIZE, "number of buckets")?;
            for sums in &mut buckets.sums[..buckets.len] {
                let (clipped, told) = take::<(f64, f64)>(bytes)?;
                ensure(clipped.is_finite() && told.is_finite(), "sum of a bucket")?;
                *sums = Sums { clipped, told };
            }
            adwin.rows += (buckets.len as u64) << size;
        }
        ensure(adwin.rows <= adwin.pushed, "number of rows")?;
        Ok(adwin)
    }

    /// Rows in the window.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes on the heap, always.
    pub fn bytes() -> usize {
        size_of::<[Buckets; SIZES]>()
    }

    /// Size and sums of each bucket, oldest first.
    fn buckets(&self) -> impl Iterator<Item = (u64, Sums)> {
        let sizes = self.sizes.iter().enumerate().rev();
        sizes.flat_map(|(size, b)| b.sums[..b.len].iter().map(move |&sums| (1 << size, sums)))
    }
}

/// The paper's bound for one cut: eps = sqrt(2 v l) + (2/3) r l with l = ln(2 ln(n) / confidence), where v is
/// the variance of the difference of the means and r the values' range times (1/n0 + 1/n1).
struct Chance {
    variance: f64,
    range: f64,
    cuts: f64,
}

impl Chance {
    fn new(old: f64, new: f64, noise: &Noise, unit: f64) -> Self {
        let variance = noise.long_run(old) / old + noise.long_run(new) / new;
        let range = 2.0 * Standard::CLIP * unit * (1.0 / old + 1.0 / new);
        Self { variance, range, cuts: 2.0 * libm::log(old + new) }
    }

    fn bound(&self, confidence: f64) -> f64 {
        let nats = libm::log(self.cuts / confidence);
        (2.0 * self.variance * nats).sqrt() + 2.0 / 3.0 * self.range * nats
    }

    /// The confidence at which the bound equals a difference.
    fn of(&self, difference: f64) -> f64 {
        let (a, b) = ((2.0 * self.variance).sqrt(), 2.0 / 3.0 * self.range);
        let root = 2.0 * difference / (a + (a * a + 4.0 * b * difference).sqrt());
        (self.cuts * libm::exp(-root * root)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bound_and_the_chance_are_inverse() {
        let chance = Chance { variance: 0.02, range: 0.3, cuts: 14.0 };
        for p in [1e-12, 1e-6, 0.1] {
            assert!((chance.of(chance.bound(p)) / p - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn old_rows_fall_off() {
        let mut adwin = Adwin::default();
        (0..300_000).for_each(|_| adwin.push(1.0, 1.0));
        let sum = adwin.buckets().fold(Sums::default(), |sum, (_, s)| sum + s);
        assert_eq!(sum.clipped, adwin.rows() as f64);
        assert!((40_000..100_000).contains(&adwin.rows()));
    }

    proptest! {
        /// The buckets are slices of the window in order, and the cut is the best of those at their edges.
        #[test]
        fn equals_the_obvious_definition(
            steps in prop::collection::vec((-1.0..1.0_f64, -3.0..3.0_f64), 64..1200),
            at in 0.0..1.0_f64,
        ) {
            let change = (steps.len() as f64 * at) as usize;
            let (mut adwin, mut noise) = (Adwin::default(), Noise::default());
            let (mut standard, mut items) = (Standard::default(), vec![]);
            for (row, (value, level)) in steps.iter().enumerate() {
                let value = value + if row >= change { steps[change].1 + 0.0 * level } else { 0.0 };
                adwin.push(value, 2.0 * value);
                noise.push(value);
                standard.learn(value);
                items.push(value);
                let mut start = 0;
                let mut edges = vec![];
                for (size, sums) in adwin.buckets() {
                    let end = start + size as usize;
                    let slow: f64 = items[start..end].iter().sum();
                    prop_assert!((sums.clipped - slow).abs() < 1e-9);
                    start = end;
                    edges.push(end);
                }
                prop_assert_eq!(start, items.len());
                prop_assert!(edges.len() <= PER_SIZE * (items.len().ilog2() as usize + 1));
                let slow = slow_change(&items, &edges, &noise, standard.unit());
                let fast = adwin.change(1e-6, &noise, &standard).map(|c| c.p_value);
                let slow = slow.filter(|_| items.len().is_multiple_of(32));
                prop_assert_eq!(fast.is_some(), slow.is_some());
                if let (Some(fast), Some(slow)) = (fast, slow) {
                    prop_assert!((libm::log(fast) - libm::log(slow)).abs() < 1e-6);
                }
            }
        }
    }

    fn slow_change(items: &[f64], edges: &[usize], noise: &Noise, unit: f64) -> Option<f64> {
        let mean = |s: &[f64]| s.iter().sum::<f64>() / s.len() as f64;
        edges
            .iter()
            .map(|&edge| items.split_at(edge))
            .filter(|(old, new)| old.len() >= 64 && new.len() >= 48)
            .map(|(old, new)| {
                let difference = (mean(new) - mean(old)).abs();
                let chance = Chance::new(old.len() as f64, new.len() as f64, noise, unit);
                (difference, chance.of(difference))
            })
            .filter(|&(difference, p)| difference >= EFFECT_MIN * unit && p < 1e-6)
            .map(|(_, p)| p)
            .min_by(f64::total_cmp)
    }
}
