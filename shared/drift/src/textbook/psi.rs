//! The population stability index over bins (Yurdakul 2018: "Statistical properties of population stability index"):
//! the sum over bins of (p - q) ln(p / q), with p the share of a reference that fell into the bin and q the share of
//! the newest rows.
//!
//! The reference is the first rows; its quantiles make the bins, and stay until a restart. Bins that ties leave
//! without a width are one bin with the next. Half a row more is counted in each bin, so that an empty one has a
//! logarithm. By Yurdakul the index of n newest rows and m of the reference is about (1/n + 1/m) times a
//! chi-square of one degree less than bins; practice takes 0.1 for a small change and 0.25 for a large one.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use super::{Change, Direction, Limit, Test, VALUE_MAX, chi_square, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The confidence of Yurdakul's approximation, or the index.
    pub limit: Limit,
    /// Bins, from 2 to 64.
    pub bins: usize,
    /// Rows of the reference, at least one for each bin, up to 2^24.
    pub reference: usize,
    /// The newest rows that are compared with it, from 1 to 2^24.
    pub window: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { limit: Limit::Bound(0.25), bins: 10, reference: 1000, window: 250 }
    }
}

/// The bins of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Psi {
    parameters: Parameters,
    /// The reference: as the rows come, and sorted once it is full.
    reference: Box<[f64]>,
    /// Upper ends of the bins, without repetitions; from the last bin on infinity.
    edges: Box<[f64]>,
    /// How many bins there are, once the reference is full.
    bins: usize,
    /// Of each bin: share of the reference, its logarithm, newest rows, and its part of the index.
    shares: Box<[f64]>,
    logarithms: Box<[f64]>,
    counts: Box<[u32]>,
    parts: Box<[f64]>,
    /// The logarithm of the share of so many newest rows.
    logarithm_of: Box<[f64]>,
    /// Bins of the newest rows, a ring.
    window: Box<[u8]>,
    /// Rows since the start.
    rows: u64,
    bound: f64,
}

/// What is added to the rows of each bin.
const PRIOR: f64 = 0.5;

impl Psi {
    /// Rows of the newest ones.
    fn newest(&self) -> usize {
        let newest = self.rows.saturating_sub(self.reference.len() as u64);
        usize::try_from(newest).unwrap_or(usize::MAX).min(self.window.len())
    }

    /// Makes the bins of the reference.
    fn freeze(&mut self) {
        self.reference.sort_unstable_by(f64::total_cmp);
        let (rows, wanted) = (self.reference.len(), self.parameters.bins);
        self.edges.fill(f64::INFINITY);
        let mut kept = 0;
        for quantile in 1..wanted {
            let edge = self.reference[quantile * rows / wanted - 1];
            let largest = edge >= self.reference[rows - 1];
            if !largest && (kept == 0 || self.edges[kept - 1] < edge) {
                self.edges[kept] = edge;
                kept += 1;
            }
        }
        self.bins = kept + 1;
        let all = rows as f64 + PRIOR * self.bins as f64;
        let mut below = 0;
        for bin in 0..self.bins {
            let up_to = self.reference.partition_point(|&x| x <= self.edges[bin]);
            self.shares[bin] = ((up_to - below) as f64 + PRIOR) / all;
            self.logarithms[bin] = libm::log(self.shares[bin]);
            below = up_to;
        }
        for count in 0..self.logarithm_of.len() {
            self.logarithm_of[count] = libm::log(self.share(count as u32));
        }
        self.counts.fill(0);
        self.parts.fill(0.0);
        self.bound = bound_of(&self.parameters, self.bins);
        (0..self.bins).for_each(|bin| self.weigh(bin));
    }

    fn share(&self, count: u32) -> f64 {
        (f64::from(count) + PRIOR) / (self.window.len() as f64 + PRIOR * self.bins as f64)
    }

    fn bin(&self, x: f64) -> usize {
        self.edges.iter().map(|&edge| usize::from(x > edge)).sum()
    }

    /// Computes a bin's part anew.
    fn weigh(&mut self, bin: usize) {
        let count = self.counts[bin];
        let ratio = self.logarithms[bin] - self.logarithm_of[count as usize];
        self.parts[bin] = (self.shares[bin] - self.share(count)) * ratio;
    }

    /// Puts a row into the window.
    fn enter(&mut self, bin: usize) {
        let (newest, places) = (self.newest(), self.window.len() as u64);
        let at = ((self.rows - self.reference.len() as u64) % places) as usize;
        let left = std::mem::replace(&mut self.window[at], bin as u8);
        if newest == self.window.len() {
            self.counts[usize::from(left)] -= 1;
            self.weigh(usize::from(left));
        }
        self.counts[bin] += 1;
        self.weigh(bin);
        self.rows += 1;
    }

    /// Where the shares went: to larger values if the newest rows have the larger mean bin.
    fn direction(&self) -> Direction {
        let bins = 0..self.bins;
        let drift: f64 =
            bins.map(|bin| bin as f64 * (self.share(self.counts[bin]) - self.shares[bin])).sum();
        match drift.total_cmp(&0.0) {
            std::cmp::Ordering::Greater => Direction::Up,
            std::cmp::Ordering::Less => Direction::Down,
            std::cmp::Ordering::Equal => Direction::Other,
        }
    }
}

fn bound_of(parameters: &Parameters, bins: usize) -> f64 {
    match parameters.limit {
        Limit::Bound(bound) => bound,
        Limit::Confidence(chance) => {
            let rows = 1.0 / parameters.window as f64 + 1.0 / parameters.reference as f64;
            rows * chi_square::quantile_above(chance, (bins - 1).max(1))
        }
    }
}

impl Test for Psi {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { limit, bins, reference, window } = parameters;
        assert!(limit.possible(), "a confidence is in (0, 1), a bound from 0: {limit:?}");
        assert!((2..=64).contains(&bins), "2 to 64 bins, not {bins}");
        assert!((bins..=1 << 24).contains(&reference), "a row for each bin, not {reference}");
        assert!((1..=1 << 24).contains(&window), "a window of some rows, not {window}");
        let zeros = |len| vec![0.0; len].into();
        Self {
            parameters,
            reference: zeros(reference),
            edges: vec![f64::INFINITY; bins].into(),
            bins: 0,
            shares: zeros(bins),
            logarithms: zeros(bins),
            counts: vec![0; bins].into(),
            parts: zeros(bins),
            logarithm_of: zeros(window + 1),
            window: vec![0; window].into(),
            rows: 0,
            bound: bound_of(&parameters, bins),
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
        self.enter(self.bin(x));
        let (statistic, bound) = (self.statistic(), self.bound);
        (statistic > bound).then(|| {
            let (direction, rows) = (self.direction(), self.window.len() as u64);
            Change { statistic, bound, direction, rows }
        })
    }

    fn restart(&mut self) {
        self.edges.fill(f64::INFINITY);
        (self.rows, self.bins) = (0, 0);
        self.bound = bound_of(&self.parameters, self.parameters.bins);
    }

    /// The index; 0 until reference and window are full.
    fn statistic(&self) -> f64 {
        let full = self.newest() == self.window.len();
        if full { self.parts.iter().sum::<f64>().max(0.0) } else { 0.0 }
    }

    fn bound(&self) -> f64 {
        self.bound
    }

    fn bytes(&self) -> usize {
        let numbers = [&self.reference, &self.edges, &self.shares, &self.logarithms, &self.parts];
        let numbers: usize = numbers.iter().map(|numbers| size_of_val(&***numbers)).sum();
        let counted = size_of_val(&*self.counts) + size_of_val(&*self.logarithm_of);
        size_of::<Self>() + numbers + counted + size_of_val(&*self.window)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        let reference = usize::try_from(self.rows).unwrap_or(usize::MAX).min(self.reference.len());
        self.reference[..reference].iter().for_each(|x| put(x, out));
        self.window[..self.newest()].iter().for_each(|bin| put(bin, out));
    }

    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        let rows = take_count(bytes, "number of rows")?;
        let reference = usize::try_from(rows).unwrap_or(usize::MAX).min(test.reference.len());
        for place in &mut test.reference[..reference] {
            *place = take_within(bytes, VALUE_MAX, "value")?;
        }
        test.rows = rows;
        if reference == test.reference.len() {
            test.freeze();
            for at in 0..test.newest() {
                let bin = take::<u8>(bytes)?;
                ensure(usize::from(bin) < test.bins, "bin")?;
                test.window[at] = bin;
                test.counts[usize::from(bin)] += 1;
            }
            (0..test.bins).for_each(|bin| test.weigh(bin));
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, over bins that end at quantiles of the reference.
    fn slow(reference: &[f64], newest: &[f64], bins: usize) -> f64 {
        let mut sorted = reference.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted[sorted.len() - 1];
        let mut edges: Vec<f64> =
            (1..bins).map(|bin| sorted[bin * sorted.len() / bins - 1]).collect();
        edges.retain(|&edge| edge < last);
        edges.dedup();
        edges.push(f64::INFINITY);
        let share = |rows: &[f64], bin: usize| {
            let low = if bin > 0 { edges[bin - 1] } else { f64::NEG_INFINITY };
            let inside = rows.iter().filter(|&&x| low < x && x <= edges[bin]).count();
            (inside as f64 + 0.5) / (rows.len() as f64 + 0.5 * edges.len() as f64)
        };
        let part = |bin| {
            let (p, q) = (share(reference, bin), share(newest, bin));
            (p - q) * libm::log(p / q)
        };
        (0..edges.len()).map(part).sum()
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            xs in prop::collection::vec(prop_oneof![-1.0..1.0_f64, (0..4).prop_map(f64::from)], 1..200),
            bins in 2..12_usize,
            more in 0..50_usize,
            window in 1..40_usize,
        ) {
            let reference = bins + more;
            let limit = Limit::Bound(0.5);
            let mut test = Psi::new(Parameters { limit, bins, reference, window });
            for (row, &x) in xs.iter().enumerate() {
                let change = test.push(x);
                let start = (row + 1).checked_sub(window).filter(|&start| start >= reference);
                let slow =
                    start.map_or(0.0, |start| slow(&xs[..reference], &xs[start..=row], bins));
                prop_assert!((test.statistic() - slow).abs() < 1e-9);
                prop_assert_eq!(change.is_some(), test.statistic() > 0.5);
            }
        }
    }

    #[test]
    fn yurdakuls_bound_is_kept_without_a_change_and_passed_with_one() {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let limit = Limit::Confidence(0.05);
        let parameters = Parameters { limit, ..Parameters::default() };
        let (mut over, mut all) = (0, 0);
        for _ in 0..400 {
            let mut test = Psi::new(parameters);
            (0..1249).for_each(|_| assert!(test.push(uniform()).is_none()));
            over += u32::from(test.push(uniform()).is_some());
            all += 1;
        }
        let share = f64::from(over) / f64::from(all);
        assert!((0.02..0.09).contains(&share), "{share}");
        let mut test = Psi::new(parameters);
        let found = (0..2000).find_map(|row| {
            let x = uniform() + if row < 1500 { 0.0 } else { 0.3 };
            test.push(x).filter(|_| row >= 1500)
        });
        assert_eq!(found.map(|change| change.direction), Some(Direction::Up));
    }
}
