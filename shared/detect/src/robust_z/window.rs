//! A sliding window of values, kept sorted: the median and the median absolute deviation (MAD)
//! without sorting.

use domain::encoding::{DecodeError, ensure, put, take};

use crate::VALUE_MAX;

/// The last values in order of time and in order of size.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    size: usize,
    ring: Vec<f64>,
    sorted: Vec<f64>,
    next: usize,
}

impl Window {
    /// For the last `size` values.
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self { size, ring: Vec::with_capacity(size), sorted: Vec::with_capacity(size), next: 0 }
    }

    /// How many values it holds.
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Takes a finite value in; the oldest leaves when it is full.
    pub fn push(&mut self, value: f64) {
        // -0 equals 0 but would differ in bits from what a fresh sort leaves.
        let value = value + 0.0;
        if self.ring.len() < self.size {
            self.ring.push(value);
            let at = self.sorted.partition_point(|&s| s <= value);
            self.sorted.insert(at, value);
        } else {
            let old = std::mem::replace(&mut self.ring[self.next], value);
            self.replace(old, value);
        }
        self.next = (self.next + 1) % self.size;
    }

    /// Swaps one value of the sorted ones for another, moving only what lies between them.
    fn replace(&mut self, old: f64, new: f64) {
        let from = self.sorted.partition_point(|&s| s < old);
        if new >= old {
            let to = self.sorted.partition_point(|&s| s <= new) - 1;
            self.sorted.copy_within(from + 1..=to, from);
            self.sorted[to] = new;
        } else {
            let to = self.sorted.partition_point(|&s| s <= new);
            self.sorted.copy_within(to..from, to + 1);
            self.sorted[to] = new;
        }
    }

    /// Bytes on the heap, always.
    pub(super) fn bytes(&self) -> usize {
        2 * self.size * size_of::<f64>()
    }

    /// Appends the values in order of time; their order of size follows.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.ring.len(), self.next), out);
        self.ring.iter().for_each(|value| put(value, out));
    }

    /// Puts what [`encode`](Self::encode) appended into a new window of the same size.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let (len, next) = take::<(usize, usize)>(bytes)?;
        ensure(len <= self.size && next < self.size, "length of a window")?;
        ensure(len == self.size || next == len, "place in a window")?;
        for _ in 0..len {
            let value: f64 = take(bytes)?;
            let minus_zero = value == 0.0 && value.is_sign_negative();
            ensure(value.abs() <= VALUE_MAX && !minus_zero, "value in a window")?;
            self.ring.push(value);
        }
        self.sorted.extend_from_slice(&self.ring);
        self.sorted.sort_unstable_by(f64::total_cmp);
        self.next = next;
        Ok(())
    }

    /// The median; the mean of the middle two for an even number; NaN if empty.
    pub fn median(&self) -> f64 {
        let n = self.sorted.len();
        match n {
            0 => f64::NAN,
            _ if n % 2 == 1 => self.sorted[n / 2],
            _ => middle(self.sorted[n / 2 - 1], self.sorted[n / 2]),
        }
    }

    /// The median of the distances from the median; NaN if empty.
    pub fn mad(&self) -> f64 {
        let n = self.sorted.len();
        if n == 0 {
            return f64::NAN;
        }
        let median = self.median();
        let upper = self.nth_distance(n / 2, median);
        if n % 2 == 1 { upper } else { middle(self.nth_distance(n / 2 - 1, median), upper) }
    }

    /// The distance from the median that this share of the values do not exceed; NaN if empty.
    pub fn distance_at(&self, share: f64) -> f64 {
        let n = self.sorted.len();
        if n == 0 {
            return f64::NAN;
        }
        self.nth_distance(((share * n as f64) as usize).min(n - 1), self.median())
    }

    /// The distance from `centre` that `rank` others are not above: a selection from two sorted lists, the
    /// values at and above the centre going up and those below it going down.
    fn nth_distance(&self, rank: usize, centre: f64) -> f64 {
        let split = self.sorted.partition_point(|&s| s < centre);
        let (below, above) = (split, self.sorted.len() - split);
        let down = |i: usize| centre - self.sorted[split - 1 - i];
        let up = |i: usize| self.sorted[split + i] - centre;
        // How many of the nearest rank + 1 lie above: the least `low` that leaves no nearer one out.
        let (mut low, mut high) = ((rank + 1).saturating_sub(below), (rank + 1).min(above));
        while low < high {
            let take = (low + high) / 2;
            if up(take) < down(rank - take) {
                low = take + 1;
            } else {
                high = take;
            }
        }
        let farthest_above = if low > 0 { up(low - 1) } else { 0.0 };
        let from_below = rank + 1 - low;
        let farthest_below = if from_below > 0 { down(from_below - 1) } else { 0.0 };
        farthest_above.max(farthest_below)
    }
}

fn middle(a: f64, b: f64) -> f64 {
    0.5 * a + 0.5 * b
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_median(values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        if n % 2 == 1 { sorted[n / 2] } else { middle(sorted[n / 2 - 1], sorted[n / 2]) }
    }

    fn check(size: usize, values: &[f64]) {
        let mut window = Window::new(size);
        for end in 1..=values.len() {
            window.push(values[end - 1]);
            let last = &values[end.saturating_sub(size)..end];
            let median = slow_median(last);
            let distances: Vec<f64> = last.iter().map(|v| (v - median).abs()).collect();
            assert_eq!(window.median().to_bits(), (median + 0.0).to_bits());
            assert_eq!(window.mad().to_bits(), slow_median(&distances).to_bits());
        }
    }

    proptest! {
        #[test]
        fn equals_the_obvious_definition_on_reals(
            size in 1_usize..40,
            values in prop::collection::vec(-1e6..1e6_f64, 1..200),
        ) {
            check(size, &values);
        }

        #[test]
        fn equals_the_obvious_definition_on_many_ties(
            size in 1_usize..40,
            values in prop::collection::vec((-3..4_i8).prop_map(f64::from), 1..200),
        ) {
            check(size, &values);
        }
    }
}
