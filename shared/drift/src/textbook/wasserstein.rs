//! The Wasserstein-1 distance (Kantorovich 1942; Vallender 1974: "Calculation of the Wasserstein distance between
//! probability distributions on the line") of the newest rows from a reference: how far, on average, values went.
//!
//! The reference is the first rows, a whole multiple of the window; it stays until a restart. Both sorted, the k-th
//! of the window belongs to the k-th few of the reference, and the distance is the mean of their differences: exact,
//! and anew at every row, so that no rounding stays behind. A row moves the values between the one that left and the
//! one that came, and sums one difference for each row of the reference, eight at a time.

use domain::encoding::{DecodeError, put, take_count};

use super::{Change, Direction, Test, VALUE_MAX, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// What the distance must exceed, in the value's unit, from 0.
    pub bound: f64,
    /// The newest rows that are compared with the reference, from 1 to 2^16.
    pub window: usize,
    /// Rows of the reference for each of the window, from 1 to 64.
    pub times: usize,
}

impl Default for Parameters {
    /// The bound is for values with a deviation of 1.
    fn default() -> Self {
        Self { bound: 0.5, window: 128, times: 4 }
    }
}

/// The reference and the window of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Wasserstein {
    parameters: Parameters,
    /// The reference: as the rows come, and sorted once it is full.
    reference: Box<[f64]>,
    /// The sorted reference by turns: first the first row for each place of the window, then the second one.
    by_turns: Box<[f64]>,
    /// The newest rows, sorted, and as they came (a ring).
    sorted: Box<[f64]>,
    window: Box<[f64]>,
    /// Rows since the start.
    rows: u64,
    distance: f64,
}

/// Differences that are summed at once. Places behind the last row are 0 on both sides.
const LANES: usize = 8;

impl Wasserstein {
    /// Rows of the newest ones that ever came.
    fn newest(&self) -> usize {
        let newest = self.rows.saturating_sub(self.reference.len() as u64);
        usize::try_from(newest).unwrap_or(usize::MAX)
    }

    fn is_full(&self) -> bool {
        self.newest() >= self.window.len()
    }

    /// Sorts the reference.
    fn freeze(&mut self) {
        self.reference.sort_unstable_by(f64::total_cmp);
        let (times, places) = (self.parameters.times, self.sorted.len());
        for (at, &x) in self.reference.iter().enumerate() {
            self.by_turns[at % times * places + at / times] = x;
        }
    }

    /// Puts a row into the window and in its place among the sorted.
    fn enter(&mut self, x: f64) {
        let (newest, len) = (self.newest(), self.window.len());
        let left = std::mem::replace(&mut self.window[newest % len], x);
        let sorted = &mut self.sorted[..newest.min(len)];
        if newest < len {
            let to = place(sorted, x);
            self.sorted.copy_within(to..newest, to + 1);
            self.sorted[to] = x;
        } else {
            let (from, to) = (place(sorted, left), place(sorted, x));
            // Without the one that left, places behind it are one less.
            let to = if to > from { to - 1 } else { to };
            if to > from {
                sorted.copy_within(from + 1..=to, from);
            } else {
                sorted.copy_within(to..from, to + 1);
            }
            sorted[to] = x;
        }
        self.rows += 1;
        if self.is_full() {
            self.distance = self.sum() / self.reference.len() as f64;
        }
    }

    /// The sum of all differences.
    fn sum(&self) -> f64 {
        let mut sums = [0.0; LANES];
        let sorted = self.sorted.as_chunks::<LANES>().0;
        for turn in self.by_turns.chunks_exact(self.sorted.len()) {
            for (old, new) in turn.as_chunks::<LANES>().0.iter().zip(sorted) {
                for lane in 0..LANES {
                    sums[lane] += (old[lane] - new[lane]).abs();
                }
            }
        }
        sums.iter().sum()
    }

    fn direction(&self) -> Direction {
        let mean = |rows: &[f64]| rows.iter().sum::<f64>() / rows.len() as f64;
        let (before, now) = (mean(&self.reference), mean(&self.window));
        if now > before { Direction::Up } else { Direction::Down }
    }
}

/// How many values are below this one.
fn place(sorted: &[f64], x: f64) -> usize {
    sorted.partition_point(|other| other.total_cmp(&x).is_lt())
}

impl Test for Wasserstein {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { bound, window, times } = parameters;
        assert!((0.0..=f64::MAX).contains(&bound), "a bound is from 0, not {bound}");
        assert!((1..=1 << 16).contains(&window), "a window of some rows, not {window}");
        assert!((1..=64).contains(&times), "times is from 1 to 64, not {times}");
        let zeros = |len| vec![0.0; len].into();
        let places = window.next_multiple_of(LANES);
        Self {
            parameters,
            reference: zeros(window * times),
            by_turns: zeros(places * times),
            sorted: zeros(places),
            window: zeros(window),
            rows: 0,
            distance: 0.0,
        }
    }

    fn push(&mut self, x: f64) -> Option<Change> {
        let x = given(x)?;
        let reference = self.reference.len() as u64;
        if self.rows < reference {
            self.reference[self.rows as usize] = x;
            self.rows += 1;
            if self.rows == reference {
                self.freeze();
            }
            return None;
        }
        self.enter(x);
        let (statistic, bound) = (self.distance, self.parameters.bound);
        (statistic > bound).then(|| {
            let (direction, rows) = (self.direction(), self.window.len() as u64);
            Change { statistic, bound, direction, rows }
        })
    }

    fn restart(&mut self) {
        (self.rows, self.distance) = (0, 0.0);
        self.sorted.fill(0.0);
    }

    /// The distance, in the value's unit; 0 until reference and window are full.
    fn statistic(&self) -> f64 {
        self.distance
    }

    fn bound(&self) -> f64 {
        self.parameters.bound
    }

    fn bytes(&self) -> usize {
        let all = [&self.reference, &self.by_turns, &self.sorted, &self.window];
        size_of::<Self>() + all.iter().map(|numbers| size_of_val(&***numbers)).sum::<usize>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        let reference = usize::try_from(self.rows).unwrap_or(usize::MAX).min(self.reference.len());
        self.reference[..reference].iter().for_each(|x| put(x, out));
        self.window[..self.newest().min(self.window.len())].iter().for_each(|x| put(x, out));
    }

    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        test.rows = take_count(bytes, "number of rows")?;
        let reference = usize::try_from(test.rows).unwrap_or(usize::MAX).min(test.reference.len());
        for place in &mut test.reference[..reference] {
            *place = take_within(bytes, VALUE_MAX, "value")?;
        }
        if reference == test.reference.len() {
            test.freeze();
        }
        let newest = test.newest().min(test.window.len());
        for place in &mut test.window[..newest] {
            *place = take_within(bytes, VALUE_MAX, "value")?;
        }
        test.sorted[..newest].copy_from_slice(&test.window[..newest]);
        test.sorted[..newest].sort_unstable_by(f64::total_cmp);
        if test.is_full() {
            test.distance = test.sum() / test.reference.len() as f64;
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: the area between the distribution functions.
    fn slow(reference: &[f64], newest: &[f64]) -> f64 {
        let mut all = [reference, newest].concat();
        all.sort_by(f64::total_cmp);
        let share = |rows: &[f64], x: f64| {
            rows.iter().filter(|&&row| row <= x).count() as f64 / rows.len() as f64
        };
        let area = |pair: &[f64]| {
            (share(reference, pair[0]) - share(newest, pair[0])).abs() * (pair[1] - pair[0])
        };
        all.windows(2).map(area).sum()
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            xs in prop::collection::vec(prop_oneof![-1.0..1.0_f64, (0..4).prop_map(f64::from)], 1..120),
            window in 1..20_usize,
            times in 1..4_usize,
        ) {
            let mut test = Wasserstein::new(Parameters { bound: 0.5, window, times });
            let reference = window * times;
            for (row, &x) in xs.iter().enumerate() {
                let change = test.push(x);
                let start = (row + 1).checked_sub(window).filter(|&start| start >= reference);
                let slow = start.map_or(0.0, |start| slow(&xs[..reference], &xs[start..=row]));
                prop_assert!((test.statistic() - slow).abs() < 1e-12);
                prop_assert_eq!(change.is_some(), test.statistic() > 0.5);
            }
        }
    }

    #[test]
    fn a_shift_is_its_distance() {
        let mut test = Wasserstein::new(Parameters { bound: 2.0, window: 8, times: 2 });
        let found = (0..40).find_map(|row| {
            let x = f64::from(row % 8) + if row >= 24 { 3.0 } else { 0.0 };
            test.push(x).map(|change| (row, change.direction))
        });
        assert_eq!(found, Some((29, Direction::Up)));
        (30..32).for_each(|row| assert!(test.push(f64::from(row % 8) + 3.0).is_some()));
        assert_eq!(test.statistic(), 3.0);
    }
}
