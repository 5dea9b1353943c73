//! Adaptive windowing, ADWIN (Bifet & Gavaldà 2007: "Learning from time-changing data with adaptive windowing"): the
//! rows since the last change, in an exponential histogram; where some cut leaves two means further apart than
//! chance explains, the rows before it are dropped.
//!
//! A cut's statistic is in nats: the l at which the paper's bound sqrt(2 m v l) + (2/3) m l equals the difference of
//! the means, with v the window's variance and m = 1/n0 + 1/n1; the paper's l is ln(2 ln(n) / delta). River's `ADWIN`
//! takes `side_min` - 1 off n0 and n1 in m, and so does this one: they agree in each window and each change. After
//! a change River's class starts with an empty window: call `restart` for the same.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use super::{Change, Direction, Limit, Test, VALUE_MAX, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The paper's delta, or the bound in nats.
    pub limit: Limit,
    /// Cuts are looked for every so many rows, from 1.
    pub clock: u32,
    /// Buckets of one size, from 1 to 64; one more, and the oldest two become one of the next (the paper's M).
    pub per_size: usize,
    /// Sizes of buckets, from 1 to 40. Rows that would need a bucket of 2^sizes rows fall off the window.
    pub sizes: usize,
    /// Rows that each side of a cut must have, from 1.
    pub side_min: u32,
    /// No cut is looked for in a window of so many rows or less.
    pub grace: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        let limit = Limit::Confidence(0.002);
        Self { limit, clock: 32, per_size: 5, sizes: 24, side_min: 5, grace: 10 }
    }
}

/// The window of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Adwin {
    parameters: Parameters,
    /// A ring of each size, one after the other.
    buckets: Box<[Bucket]>,
    rings: Box<[Ring]>,
    /// Places of a ring, less 1: a power of two, less 1.
    mask: usize,
    /// Sizes up to here may have buckets.
    sizes: usize,
    window: Window,
    /// Rows taken in since the start.
    pushed: u64,
    /// Rows until the next look for cuts.
    pause: u32,
}

/// Some rows: their sum, and the sum of squares of their distances from their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bucket {
    sum: f64,
    spread: f64,
}

/// The buckets of one size: where the oldest lies, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ring {
    start: usize,
    len: usize,
}

/// All rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Window {
    rows: f64,
    sum: f64,
    spread: f64,
}

/// A cut whose means differ too much.
#[derive(Clone, Copy)]
struct Cut {
    nats: f64,
    rose: bool,
}

impl Adwin {
    /// Rows in the window.
    pub fn rows(&self) -> u64 {
        self.window.rows as u64
    }

    /// Mean of the window; 0 without rows.
    pub fn mean(&self) -> f64 {
        if self.window.rows > 0.0 { self.window.sum / self.window.rows } else { 0.0 }
    }

    /// Variance of the window (the mean square of distances from its mean); 0 without rows.
    pub fn variance(&self) -> f64 {
        if self.window.rows > 0.0 { self.window.spread / self.window.rows } else { 0.0 }
    }

    /// Adds a row. Half of the rows merge two buckets, a quarter four, and so on: one merger a row.
    #[inline]
    fn insert(&mut self, x: f64) {
        let Window { rows, sum, spread } = self.window;
        let distance = x - sum / rows.max(1.0);
        let now = rows + 1.0;
        self.window =
            Window { rows: now, sum: sum + x, spread: spread + rows * distance * distance / now };
        let (places, per_size) = (self.mask + 1, self.parameters.per_size);
        let mut bucket = Bucket { sum: x, spread: 0.0 };
        // 1 / (2 n) of n rows in a bucket: its products are exact.
        let mut half = 0.5;
        let (mut first, mut size) = (0, 0);
        while let Some(ring) = self.rings.get_mut(size) {
            let Ring { start, len } = *ring;
            self.buckets[first + ((start + len) & self.mask)] = bucket;
            if len < per_size {
                ring.len = len + 1;
                self.sizes = self.sizes.max(size + 1);
                return;
            }
            let next = (start + 1) & self.mask;
            let (old, new) = (self.buckets[first + start], self.buckets[first + next]);
            *ring = Ring { start: (next + 1) & self.mask, len: len - 1 };
            let between = old.sum - new.sum;
            let spread = old.spread + new.spread + between * between * half;
            bucket = Bucket { sum: old.sum + new.sum, spread };
            half *= 0.5;
            first += places;
            size += 1;
        }
        self.measure();
    }

    /// Drops the oldest bucket.
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.rings.iter().rposition(|ring| ring.len > 0) else {
            return;
        };
        let ring = &mut self.rings[oldest];
        *ring = Ring { start: (ring.start + 1) & self.mask, len: ring.len - 1 };
        self.sizes = if ring.len > 0 { oldest + 1 } else { oldest };
        self.measure();
    }

    /// Computes the window's sums of its buckets, with no traces of what was dropped.
    fn measure(&mut self) {
        let mut all = Window::default();
        for (rows, Bucket { sum, spread }) in self.oldest_first() {
            if all.rows > 0.0 {
                let between = all.sum / all.rows - sum / rows;
                all.spread += between * between * all.rows * rows / (all.rows + rows);
            }
            all.rows += rows;
            all.sum += sum;
            all.spread += spread;
        }
        self.window = all;
    }

    /// Rows and sums of each bucket.
    #[inline]
    fn oldest_first(&self) -> impl Iterator<Item = (f64, Bucket)> {
        (0..self.sizes).rev().flat_map(move |size| {
            let Ring { start, len } = self.rings[size];
            let ring = &self.buckets[size * (self.mask + 1)..][..=self.mask];
            let rows = (1_u64 << size) as f64;
            (0..len).map(move |i| (rows, ring[(start + i) & self.mask]))
        })
    }

    /// The first cut that is over the bound.
    fn cut(&self, nats: f64) -> Option<Cut> {
        let Window { rows, sum, .. } = self.window;
        let (least, variance) = (f64::from(self.parameters.side_min), self.variance());
        let less = least - 1.0;
        // The difference of the means is |a| / b, and that is below the bound's first term where
        // a² n0' n1' < 2 v l n' b², dashes for rows less `less`: no division and no root. The two
        // per cent are for rounding; what is over them is computed as the paper has it.
        let floor = 0.98 * 2.0 * variance * nats * (rows - 2.0 * less);
        let (mut old, mut old_sum) = (0.0, 0.0);
        for (size, bucket) in self.oldest_first() {
            old += size;
            old_sum += bucket.sum;
            let new = rows - old;
            if new < least {
                return None;
            }
            let (a, b) = (old_sum * rows - sum * old, old * new);
            if a * a * ((old - less) * (new - less)) <= floor * (b * b) || old < least {
                continue;
            }
            let difference = old_sum / old - (sum - old_sum) / new;
            let shares = 1.0 / (old - less) + 1.0 / (new - less);
            let bound = (2.0 * shares * variance * nats).sqrt() + 2.0 / 3.0 * nats * shares;
            if difference.abs() > bound {
                let nats = nats_of(difference.abs(), shares, variance);
                return Some(Cut { nats, rose: difference < 0.0 });
            }
        }
        None
    }

    /// Drops buckets as long as some cut is over the bound, and tells the largest of these cuts.
    fn shrink(&mut self) -> Option<Change> {
        let bound = self.bound();
        let mut largest = self.cut(bound)?;
        self.drop_oldest();
        while let Some(cut) = self.cut(self.bound()) {
            if cut.nats > largest.nats {
                largest = cut;
            }
            self.drop_oldest();
        }
        let direction = if largest.rose { Direction::Up } else { Direction::Down };
        Some(Change { statistic: largest.nats, bound, direction, rows: self.rows() })
    }
}

/// The l at which sqrt(2 m v l) + (2/3) m l is the difference.
fn nats_of(difference: f64, shares: f64, variance: f64) -> f64 {
    let (a, b) = ((2.0 * shares * variance).sqrt(), 2.0 / 3.0 * shares);
    let root = 2.0 * difference / (a + (a * a + 4.0 * b * difference).sqrt());
    if difference > 0.0 { root * root } else { 0.0 }
}

impl Test for Adwin {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { limit, clock, per_size, sizes, side_min, .. } = parameters;
        assert!(limit.possible(), "delta is in (0, 1), a bound from 0: {limit:?}");
        assert!(clock > 0 && side_min > 0, "clock and side_min are from 1");
        assert!((1..=64).contains(&per_size), "per_size is from 1 to 64, not {per_size}");
        assert!((1..=40).contains(&sizes), "sizes is from 1 to 40, not {sizes}");
        let places = (per_size + 1).next_power_of_two();
        Self {
            parameters,
            buckets: vec![Bucket::default(); places * sizes].into(),
            rings: vec![Ring::default(); sizes].into(),
            mask: places - 1,
            sizes: 0,
            window: Window::default(),
            pushed: 0,
            pause: clock,
        }
    }

    #[inline]
    fn push(&mut self, x: f64) -> Option<Change> {
        let x = given(x)?;
        self.insert(x);
        self.pushed += 1;
        self.pause -= 1;
        if self.pause > 0 {
            return None;
        }
        self.pause = self.parameters.clock;
        if self.window.rows > f64::from(self.parameters.grace) { self.shrink() } else { None }
    }

    fn restart(&mut self) {
        self.rings.fill(Ring::default());
        self.window = Window::default();
        (self.sizes, self.pushed, self.pause) = (0, 0, self.parameters.clock);
    }

    /// The largest of all cuts of the window as it is now, in nats. Computed when asked for.
    fn statistic(&self) -> f64 {
        let Window { rows, sum, .. } = self.window;
        let (least, variance) = (f64::from(self.parameters.side_min), self.variance());
        let (mut old, mut old_sum, mut largest) = (0.0, 0.0, 0.0_f64);
        for (size, bucket) in self.oldest_first() {
            old += size;
            old_sum += bucket.sum;
            let new = rows - old;
            if old >= least && new >= least {
                let difference = old_sum / old - (sum - old_sum) / new;
                let shares = 1.0 / (old - least + 1.0) + 1.0 / (new - least + 1.0);
                largest = largest.max(nats_of(difference.abs(), shares, variance));
            }
        }
        largest
    }

    /// In nats; with a confidence it grows with the window, ever slower.
    fn bound(&self) -> f64 {
        match self.parameters.limit {
            Limit::Bound(bound) => bound,
            Limit::Confidence(delta) => {
                libm::log(2.0 * libm::log(self.window.rows.max(2.0)) / delta).max(0.0)
            }
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.buckets) + size_of_val(&*self.rings)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.pushed, self.pause, self.window.sum, self.window.spread, self.sizes as u8), out);
        self.rings[..self.sizes].iter().for_each(|ring| put(&(ring.len as u8), out));
        for (_, Bucket { sum, spread }) in self.oldest_first() {
            put(&(sum, spread), out);
        }
    }

    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        test.pushed = take_count(bytes, "number of rows")?;
        test.pause = take(bytes)?;
        ensure((1..=parameters.clock).contains(&test.pause), "rows to the next look")?;
        let (sum, spread) = take::<(f64, f64)>(bytes)?;
        test.sizes = usize::from(take::<u8>(bytes)?);
        ensure(test.sizes <= parameters.sizes, "number of sizes")?;
        let mut rows = 0;
        for (size, ring) in test.rings[..test.sizes].iter_mut().enumerate() {
            ring.len = usize::from(take::<u8>(bytes)?);
            ensure(ring.len <= parameters.per_size, "number of buckets")?;
            rows += (ring.len as u64) << size;
        }
        ensure(rows <= test.pushed, "number of rows")?;
        // Squares of distances are at most 4 VALUE_MAX², and rounding is small beside it.
        let most = |rows: f64| (1.001 * VALUE_MAX * rows, 5.0 * VALUE_MAX * VALUE_MAX * rows);
        for size in (0..test.sizes).rev() {
            let (sum_max, spread_max) = most((1_u64 << size) as f64);
            for i in 0..test.rings[size].len {
                let sum = take_within(bytes, sum_max, "sum of a bucket")?;
                let spread = take_within(bytes, spread_max, "spread of a bucket")?;
                ensure(spread >= 0.0, "spread of a bucket")?;
                test.buckets[size * (test.mask + 1) + i] = Bucket { sum, spread };
            }
        }
        let (sum_max, spread_max) = most(rows as f64);
        ensure(sum.abs() <= sum_max && (0.0..=spread_max).contains(&spread), "sum of the window")?;
        test.window = Window { rows: rows as f64, sum, spread };
        Ok(test)
    }
}

#[cfg(test)]
mod tests;
