//! One value's history in a window that slides over a number of records: its values, and what its features need kept
//! current as they come and leave.

use std::collections::{HashMap, VecDeque};

use domain::{
    Aggregate, Micros,
    encoding::{self, COUNT_MAX, DecodeError},
};

use super::{distinct::bits_of, needs::Needs, ranks::Ranks, seconds, step};

/// One value over the last records.
#[derive(Debug)]
pub(super) struct Column {
    /// The values in order; NaN where missing.
    values: VecDeque<f64>,
    /// Numbers of the first and next value, for the monotonic queues.
    first: u64,
    next: u64,
    present: u32,
    /// The number of the first value present, or [`next`](Self::next).
    first_present: u64,
    last_present: f64,
    last_present_at: Micros,
    /// Apart from the mean, so that the sum of whole numbers is one.
    sum: f64,
    mean: f64,
    m2: f64,
    increase: f64,
    smallest: VecDeque<(u64, f64)>,
    largest: VecDeque<(u64, f64)>,
    ranks: Option<Ranks>,
    /// How often each value is present, by its bits; looked up, and counted, but never gone through.
    distinct: Option<HashMap<u64, u32>>,
}

impl Column {
    /// Of no record yet, for so many.
    pub(super) fn new(size: usize, needs: Needs) -> Self {
        Self {
            values: VecDeque::with_capacity(size),
            first: 0,
            next: 0,
            present: 0,
            first_present: 0,
            last_present: f64::NAN,
            last_present_at: 0,
            sum: 0.0,
            mean: 0.0,
            m2: 0.0,
            increase: 0.0,
            smallest: VecDeque::new(),
            largest: VecDeque::new(),
            ranks: needs.quantiles.then(|| Ranks::new(size)),
            distinct: needs.distinct.then(|| HashMap::with_capacity(2 * size)),
        }
    }

    /// Takes in the value of the next record, NaN where missing; the oldest one leaves if there are `size`.
    pub(super) fn push(&mut self, at: Micros, value: f64, size: usize, needs: Needs) {
        if self.values.len() == size
            && let Some(old) = self.values.pop_front()
        {
            self.first += 1;
            self.forget(old, needs);
        }
        self.values.push_back(value);
        self.add(at, value, needs);
        self.next += 1;
        // Rounding errors of values that left stay behind; starting afresh once per lap removes them.
        if self.next.is_multiple_of(size as u64) {
            self.recompute(needs);
        }
    }

    fn add(&mut self, at: Micros, value: f64, needs: Needs) {
        if value.is_nan() {
            if self.present == 0 {
                self.first_present = self.next + 1;
            }
            return;
        }
        self.present += 1;
        if self.present == 1 {
            self.first_present = self.next;
        } else if needs.increase {
            self.increase += step(self.last_present, value);
        }
        (self.last_present, self.last_present_at) = (value, at);
        if needs.moments {
            self.sum += value;
            let delta = value - self.mean;
            self.mean += delta / f64::from(self.present);
            self.m2 += delta * (value - self.mean);
        }
        if needs.extremes {
            while self.smallest.back().is_some_and(|(_, back)| *back >= value) {
                self.smallest.pop_back();
            }
            self.smallest.push_back((self.next, value));
            while self.largest.back().is_some_and(|(_, back)| *back <= value) {
                self.largest.pop_back();
            }
            self.largest.push_back((self.next, value));
        }
        if let Some(ranks) = &mut self.ranks {
            ranks.add(value);
        }
        if let Some(distinct) = &mut self.distinct {
            *distinct.entry(bits_of(value)).or_default() += 1;
        }
    }

    fn forget(&mut self, value: f64, needs: Needs) {
        for queue in [&mut self.smallest, &mut self.largest] {
            while queue.front().is_some_and(|(number, _)| *number < self.first) {
                queue.pop_front();
            }
        }
        if value.is_nan() {
            return;
        }
        self.present -= 1;
        if let Some(ranks) = &mut self.ranks {
            ranks.remove(value);
        }
        if let Some(distinct) = &mut self.distinct {
            let bits = bits_of(value);
            if let Some(count) = distinct.get_mut(&bits) {
                *count -= 1;
                if *count == 0 {
                    distinct.remove(&bits);
                }
            }
        }
        if self.present == 0 {
            (self.sum, self.mean, self.m2, self.increase) = (0.0, 0.0, 0.0, 0.0);
            self.first_present = self.next;
            return;
        }
        // It only ever moves on, so that a value is passed once.
        let after = self.values.iter().position(|v| !v.is_nan());
        self.first_present = self.first + after.unwrap_or(0) as u64;
        if needs.increase {
            self.increase -= step(value, self.first_value());
        }
        if needs.moments {
            self.sum -= value;
            let delta = value - self.mean;
            self.mean -= delta / f64::from(self.present);
            self.m2 = (self.m2 - delta * (value - self.mean)).max(0.0);
        }
    }

    /// The first value present, if there is one.
    fn first_value(&self) -> f64 {
        let at = self.first_present.saturating_sub(self.first) as usize;
        self.values.get(at).copied().unwrap_or(f64::NAN)
    }

    /// Its place among the records of the window.
    pub(super) fn first_place(&self) -> usize {
        self.first_present.saturating_sub(self.first) as usize
    }

    fn recompute(&mut self, needs: Needs) {
        let present = || self.values.iter().copied().filter(|v| !v.is_nan());
        if needs.moments {
            let sum: f64 = present().sum();
            let mean = sum / f64::from(self.present.max(1));
            let m2 = present().map(|v| (v - mean) * (v - mean)).sum();
            (self.sum, self.mean, self.m2) = (sum, mean, m2);
        }
        if needs.increase {
            let steps = present().zip(present().skip(1));
            self.increase = steps.map(|(before, after)| step(before, after)).sum();
        }
        if let Some(ranks) = &mut self.ranks {
            ranks.refine(self.values.iter().copied().filter(|v| !v.is_nan()));
        }
    }

    /// A feature of the row at that event time; `first_at` is that of the first value present.
    pub(super) fn feature(&self, aggregate: Aggregate, first_at: Micros, row_at: Micros) -> f64 {
        let n = f64::from(self.present);
        match aggregate {
            Aggregate::Count => n,
            Aggregate::Distinct => self.distinct.as_ref().map_or(0.0, |values| values.len() as f64),
            _ if self.present == 0 => f64::NAN,
            Aggregate::Last => self.values.back().copied().unwrap_or(f64::NAN),
            Aggregate::Sum => self.sum,
            Aggregate::Mean => self.mean,
            Aggregate::Min => self.smallest.front().map_or(f64::NAN, |(_, v)| *v),
            Aggregate::Max => self.largest.front().map_or(f64::NAN, |(_, v)| *v),
            // Equal values have no spread, whatever rounding left of the values before them.
            Aggregate::Std if self.is_constant() => 0.0,
            Aggregate::Std => (self.m2 / n).sqrt(),
            Aggregate::Quantile(percentile) => {
                let rank = percentile.rank(self.present.into());
                self.ranks.as_ref().map_or(f64::NAN, |ranks| ranks.ranked(rank))
            }
            Aggregate::Delta => self.last_present - self.first_value(),
            Aggregate::Rate => match seconds(first_at, self.last_present_at) {
                passed if passed > 0.0 => self.increase / passed,
                _ => f64::NAN,
            },
            Aggregate::SinceLast => seconds(self.last_present_at, row_at),
        }
    }

    fn is_constant(&self) -> bool {
        self.smallest.front().map(|(_, v)| v) == self.largest.front().map(|(_, v)| v)
    }

    /// The most bytes of one for so many records.
    pub(super) fn bytes_max(size: usize, needs: Needs) -> usize {
        let wanted = |needed: bool, bytes: usize| if needed { bytes } else { 0 };
        let queues = 2 * 16 * size.next_power_of_two().max(4);
        // Twice the room, so that a map full of places of entries that left is cleaned and need not grow. It is at
        // most seven eighths full, in powers of two, with a byte beside each entry.
        let entries = (2 * size * 8 / 7 + 1).next_power_of_two();
        size_of::<Self>()
            + 8 * size
            + wanted(needs.extremes, queues)
            + wanted(needs.quantiles, Ranks::bytes_max(size))
            + wanted(needs.distinct, 17 * entries + 64)
    }

    /// How many records it holds.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { values, next, present, sum, mean, m2, increase, last_present_at, .. } = self;
        let level = self.ranks.as_ref().map_or(0, Ranks::level);
        encoding::put(&(values, next, present, sum, mean, m2), out);
        encoding::put(&(increase, last_present_at, level), out);
    }

    pub(super) fn decode(
        size: usize,
        needs: Needs,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let (values, next): (VecDeque<f64>, u64) = encoding::take(bytes)?;
        let (present, sum, mean, m2): (u32, f64, f64, f64) = encoding::take(bytes)?;
        let (increase, last_at, level): (f64, Micros, u32) = encoding::take(bytes)?;
        let count = values.len() as u64;
        let whole = values.len() <= size && count <= next && next <= COUNT_MAX;
        encoding::ensure(whole, "length of a window")?;
        let present_now = values.iter().filter(|value| !value.is_nan()).count();
        encoding::ensure(present as usize == present_now, "number of a window's values")?;
        // Most follows from the values; the rest carries the rounding of what has left.
        let mut column = Self::new(size, needs);
        if let Some(ranks) = &mut column.ranks {
            ranks.set_level(level)?;
        }
        (column.first, column.next) = (next - count, next - count);
        column.first_present = column.next;
        for value in &values {
            column.add(last_at, *value, needs);
            column.next += 1;
        }
        column.values.extend(values);
        Ok(Self { sum, mean, m2, increase, last_present_at: last_at, ..column })
    }
}
