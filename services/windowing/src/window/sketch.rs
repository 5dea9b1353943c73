//! Quantiles of many values in bounded memory, to a stated relative error. Masson, Rim & Lee, "DDSketch: a fast and
//! fully-mergeable quantile sketch with relative-error guarantees" (2019): values are counted in buckets whose width
//! is a share of their value, so that counts can be merged and taken back without any error of their own.
//!
//! A bucket is a 64th of an octave (the sign, the exponent and six bits of the fraction), which needs no logarithm;
//! its harmonic mid is within 1/129, 0.78 %, of every value in it. Where more than 2,048 buckets are filled (a wider
//! range than 32 octaves, all of it in use) neighbours are joined two by two, as in Epicoco et al., "UDDSketch"
//! (2020), and the error doubles: unlike joining the lowest ones only, that tells each value's bucket at any later
//! time, so that values can still be taken back.

use domain::encoding::{self, COUNT_MAX, DecodeError};

use super::make_room;

/// So many buckets are kept.
pub(super) const BUCKETS_MAX: usize = 2_048;
/// At the coarsest, a bucket is two octaves, and all numbers there are fit into 2,048 of them.
const LEVEL_MAX: u32 = 7;
/// The bits of a number below those that name its finest bucket.
const BITS_BELOW: u32 = 46;
/// The finest buckets of the smallest normal number, and of infinity.
const LOWEST: u64 = f64::MIN_POSITIVE.to_bits() >> BITS_BELOW;
const HIGHEST: u64 = f64::INFINITY.to_bits() >> BITS_BELOW;

/// Counts of values by bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    /// Filled buckets in ascending order; their sign is that of their values, 0 is zero.
    keys: Vec<i32>,
    counts: Vec<u64>,
    total: u64,
    /// Buckets have been joined so often.
    level: u32,
}

impl Sketch {
    /// The error of a quantile as a share of it, for values that are no smaller than 2.3e-308, below which all count
    /// as zero.
    #[cfg(test)]
    pub(super) fn relative_error(&self) -> f64 {
        let width = f64::from(1_u32 << self.level) / 64.0;
        width / (2.0 + width)
    }

    /// The bucket of a value.
    fn key(&self, value: f64) -> i32 {
        let magnitude = value.abs().to_bits() >> BITS_BELOW;
        if magnitude < LOWEST {
            return 0;
        }
        // Below 2^17, so that it fits at any level.
        let key = ((magnitude - LOWEST) >> self.level) as i32 + 1;
        if value < 0.0 { -key } else { key }
    }

    /// What stands for the values of a bucket.
    fn value(&self, key: i32) -> f64 {
        if key == 0 {
            return 0.0;
        }
        let edge = |key: u64| f64::from_bits(((key << self.level) + LOWEST) << BITS_BELOW);
        let key_above = u64::from(key.unsigned_abs());
        let (low, high) = (edge(key_above - 1), edge(key_above).min(f64::MAX));
        let mid = low * (2.0 / (1.0 + low / high));
        if key < 0 { -mid } else { mid }
    }

    /// Counts a value; O(log n) to find its bucket, and a move of at most 24 KiB where it is a new one.
    pub(super) fn add(&mut self, value: f64) {
        loop {
            match self.keys.binary_search(&self.key(value)) {
                Ok(at) => self.counts[at] = self.counts[at].saturating_add(1),
                Err(_) if self.keys.len() == BUCKETS_MAX => {
                    self.coarsen();
                    continue;
                }
                Err(at) => {
                    self.make_room(self.keys.len() + 1);
                    self.keys.insert(at, self.key(value));
                    self.counts.insert(at, 1);
                }
            }
            self.total = self.total.saturating_add(1);
            return;
        }
    }

    /// Takes back a value that was counted.
    pub(super) fn remove(&mut self, value: f64) {
        let Ok(at) = self.keys.binary_search(&self.key(value)) else { return };
        self.counts[at] -= 1;
        self.total -= 1;
        if self.counts[at] == 0 {
            self.keys.remove(at);
            self.counts.remove(at);
        }
    }

    /// Counts what another one has counted; O(buckets).
    pub(super) fn merge(&mut self, other: &Self) {
        while self.level < other.level || self.filled_with(other) > BUCKETS_MAX {
            self.coarsen();
        }
        let coarser = self.level - other.level;
        let (mut ours, mut len) = (self.keys.len(), self.filled_with(other));
        self.make_room(len);
        self.keys.resize(len, 0);
        self.counts.resize(len, 0);
        // From the back, so that nothing is overwritten before it has been moved.
        for (key, &count) in other.keys.iter().zip(&other.counts).rev() {
            let key = joined(*key, coarser);
            while ours > 0 && self.keys[ours - 1] > key {
                (ours, len) = (ours - 1, len - 1);
                (self.keys[len], self.counts[len]) = (self.keys[ours], self.counts[ours]);
            }
            let again = self.keys.get(len) == Some(&key);
            let known = ours > 0 && self.keys[ours - 1] == key;
            if again {
                self.counts[len] = self.counts[len].saturating_add(count);
            } else if known {
                (ours, len) = (ours - 1, len - 1);
                (self.keys[len], self.counts[len]) = (key, self.counts[ours].saturating_add(count));
            } else {
                len -= 1;
                (self.keys[len], self.counts[len]) = (key, count);
            }
        }
        self.total = self.total.saturating_add(other.total);
    }

    fn make_room(&mut self, len: usize) {
        make_room(&mut self.keys, len);
        make_room(&mut self.counts, len);
    }

    /// How many buckets would be filled with those of another one that is no coarser.
    fn filled_with(&self, other: &Self) -> usize {
        let coarser = self.level.saturating_sub(other.level);
        let mut ours = self.keys.iter().peekable();
        let (mut filled, mut last) = (self.keys.len(), None);
        for key in other.keys.iter().map(|key| joined(*key, coarser)) {
            if last.replace(key) == Some(key) {
                continue;
            }
            while ours.next_if(|known| **known < key).is_some() {}
            filled += usize::from(ours.peek() != Some(&&key));
        }
        filled
    }

    /// Joins neighbours two by two.
    fn coarsen(&mut self) {
        self.level += 1;
        let mut len = 0;
        for at in 0..self.keys.len() {
            let (key, count) = (joined(self.keys[at], 1), self.counts[at]);
            if len > 0 && self.keys[len - 1] == key {
                self.counts[len - 1] = self.counts[len - 1].saturating_add(count);
            } else {
                (self.keys[len], self.counts[len]) = (key, count);
                len += 1;
            }
        }
        self.keys.truncate(len);
        self.counts.truncate(len);
    }

    /// What stands for the value of that rank, from 1 to [`total`](Self::total).
    pub(super) fn ranked(&self, rank: u64) -> f64 {
        let mut below = 0_u64;
        for (key, count) in self.keys.iter().zip(&self.counts) {
            below = below.saturating_add(*count);
            if below >= rank {
                return self.value(*key);
            }
        }
        f64::NAN
    }

    /// How many values are counted.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// How often buckets have been joined.
    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// An empty sketch whose buckets have been joined so often.
    pub(super) fn at_level(level: u32) -> Result<Self, DecodeError> {
        encoding::ensure(level <= LEVEL_MAX, "resolution of a sketch")?;
        Ok(Self { level, ..Self::default() })
    }

    /// Forgets all values; the room stays.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.counts.clear();
        (self.total, self.level) = (0, 0);
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(self.level, &self.keys, &self.counts), out);
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (level, keys, counts): (u32, Vec<i32>, Vec<u64>) = encoding::take(bytes)?;
        encoding::ensure(level <= LEVEL_MAX, "resolution of a sketch")?;
        let last = joined((HIGHEST - LOWEST) as i32, level);
        let known = keys.iter().all(|key| key.unsigned_abs() <= last.unsigned_abs());
        let whole = keys.len() <= BUCKETS_MAX && keys.len() == counts.len();
        encoding::ensure(whole && known && keys.is_sorted_by(|a, b| a < b), "buckets of a sketch")?;
        let total = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        encoding::ensure(total <= COUNT_MAX && !counts.contains(&0), "counts of a sketch")?;
        Ok(Self { keys, counts, total, level })
    }
}

/// The bucket that this one is part of, so many levels coarser.
fn joined(key: i32, levels: u32) -> i32 {
    let magnitude = key.unsigned_abs();
    let joined = if key == 0 { 0 } else { ((magnitude - 1) >> levels) as i32 + 1 };
    if key < 0 { -joined } else { joined }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    fn same(one: &Sketch, other: &Sketch) -> bool {
        (one.level, &one.keys, &one.counts, one.total)
            == (other.level, &other.keys, &other.counts, other.total)
    }

    /// Every value there is: over all exponents, or within a few octaves.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |v| v.is_finite()),
            4 => -1e3..1e3,
            1 => Just(0.0),
            1 => Just(f64::MAX),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_rank_is_within_the_stated_error(
            mut values in prop::collection::vec(value(), 1..6_000),
        ) {
            let sketch = of(&values);
            prop_assert!(sketch.keys.len() <= BUCKETS_MAX && sketch.keys.capacity() <= BUCKETS_MAX);
            prop_assert!(sketch.level > 0 || sketch.relative_error() < 0.0078);
            values.sort_by(f64::total_cmp);
            let bound = sketch.relative_error() * (1.0 + 1e-12);
            for (rank, value) in (1..).zip(&values) {
                let found = sketch.ranked(rank);
                let near = (found / value - 1.0).abs() <= bound;
                prop_assert!(near || found == 0.0 && value.abs() < f64::MIN_POSITIVE,
                    "{found:e}, not {value:e} to {bound}");
            }
        }

        #[test]
        fn merged_and_taken_back_counts_are_those_of_the_rest(
            first in prop::collection::vec(value(), 0..4_000),
            second in prop::collection::vec(value(), 0..4_000),
        ) {
            let all: Vec<f64> = first.iter().chain(&second).copied().collect();
            let (mut merged, mut both) = (of(&first), of(&all));
            merged.merge(&of(&second));
            // Values that came one by one may have met the limit sooner or later.
            while merged.level < both.level { merged.coarsen() }
            while both.level < merged.level { both.coarsen() }
            prop_assert!(same(&merged, &both));
            prop_assert!(merged.keys.len() <= BUCKETS_MAX && merged.keys.capacity() <= BUCKETS_MAX);
            first.iter().for_each(|value| merged.remove(*value));
            let mut rest = Sketch::at_level(merged.level).unwrap();
            second.iter().for_each(|value| rest.add(*value));
            prop_assert!(same(&merged, &rest));
            let mut bytes = vec![];
            merged.encode(&mut bytes);
            prop_assert!(same(&Sketch::decode(&mut &*bytes).unwrap(), &merged));
        }
    }
}
