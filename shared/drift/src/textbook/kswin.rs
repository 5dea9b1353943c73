//! Kolmogorov-Smirnov windowing, KSWIN (Raab, Heusinger & Schleif 2020: "Reactive soft prototype computing for
//! concept drift streams"): the newest rows of a sliding window against the older ones, by the largest difference of
//! their distribution functions.
//!
//! The paper draws as many of the older rows at random as there are newest ones; here all older rows are taken: the
//! test is more powerful, and the same rows give the same result without a seed. The p-value is exact (lattice
//! paths), so 0.005 is 0.005 at each row with independent rows without ties.
//!
//! Every row of the window has its gap, the difference of the functions there as a whole number. A row enters, one
//! goes from the newest to the older, one leaves: each adds a constant to the gaps of the rows that are not below
//! it. That is one pass over the window without a branch, which the compiler does two or more rows at a time; for
//! windows up to some thousands of rows no tree is faster.

use domain::encoding::{DecodeError, ensure, put, take_count};

use super::{Change, Direction, Limit, Test, VALUE_MAX, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The p-value, or the difference of the distribution functions, in [0, 1].
    pub limit: Limit,
    /// Rows of the window, up to 65,536.
    pub window: usize,
    /// How many of them are the newest ones, from 1 to window - 1.
    pub recent: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { limit: Limit::Confidence(0.005), window: 100, recent: 30 }
    }
}

/// The window of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Kswin {
    parameters: Parameters,
    bound: f64,
    recent: Part,
    older: Part,
    /// Rows in the window.
    rows: usize,
    /// The largest gap and the least, after the last row.
    most: f64,
    least: f64,
}

/// One part of the window: a ring of values and their gaps, with places that no row takes up to full [`LANES`].
/// No row is a NaN, which is not at least, nor at most, any value.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    values: Box<[f64]>,
    gaps: Box<[f64]>,
    rows: usize,
    next: usize,
}

/// Rows in hand at once.
const LANES: usize = 8;

/// Exact p-values take rows × rows steps for each of some 20 bounds tried, once; beyond this the limit law does.
const EXACT_MAX: usize = 250_000;

/// One row's coming or going: what it adds to the gaps from its value on.
#[derive(Clone, Copy)]
struct Step {
    value: f64,
    gap: f64,
}

impl Step {
    fn at(self, value: f64) -> f64 {
        if value >= self.value { self.gap } else { 0.0 }
    }
}

/// Of a part after a row: the largest and the least gap, and the rows up to the newest value.
#[derive(Clone, Copy)]
struct Seen {
    most: f64,
    least: f64,
    up_to: f64,
}

impl Part {
    fn new(rows: usize) -> Self {
        let places = rows.next_multiple_of(LANES);
        let (values, gaps) = (vec![f64::NAN; places].into(), vec![0.0; places].into());
        Self { values, gaps, rows, next: 0 }
    }

    /// Puts a row in the oldest one's place, and gives that one.
    fn turn(&mut self, value: f64, gap: f64) -> (f64, f64) {
        let at = self.next;
        self.next = if at + 1 == self.rows { 0 } else { at + 1 };
        let value = std::mem::replace(&mut self.values[at], value);
        (value, std::mem::replace(&mut self.gaps[at], gap))
    }

    /// Takes steps; the first is the newest row's.
    fn step(&mut self, steps: [Step; 3]) -> Seen {
        let (mut most, mut least, mut up_to) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let gaps = self.gaps.as_chunks_mut::<LANES>().0;
        for (values, gaps) in self.values.as_chunks::<LANES>().0.iter().zip(gaps) {
            for lane in 0..LANES {
                let value = values[lane];
                let gap = gaps[lane] + steps.iter().map(|step| step.at(value)).sum::<f64>();
                gaps[lane] = gap;
                most[lane] = if gap > most[lane] { gap } else { most[lane] };
                least[lane] = if gap < least[lane] { gap } else { least[lane] };
                up_to[lane] += if value <= steps[0].value { 1.0 } else { 0.0 };
            }
        }
        Seen {
            most: most.into_iter().fold(0.0, f64::max),
            least: least.into_iter().fold(0.0, f64::min),
            up_to: up_to.into_iter().sum(),
        }
    }

    fn clear(&mut self) {
        self.values.fill(f64::NAN);
        self.gaps.fill(0.0);
        self.next = 0;
    }

    /// Its rows in the order in which they came.
    fn in_order(&self) -> impl Iterator<Item = f64> {
        let (newer, older) = self.values[..self.rows].split_at(self.next);
        older.iter().chain(newer).copied().filter(|value| !value.is_nan())
    }
}

impl Kswin {
    /// The chance of a statistic of this size or more without a change, whatever the rows' law, if it has no ties.
    /// Takes recent × older steps and an allocation: for a row that matters.
    pub fn p_value(&self, statistic: f64) -> f64 {
        let (recent, older) = (self.recent.rows, self.older.rows);
        p_value(libm::round(statistic * (recent * older) as f64), recent, older)
    }

    fn insert(&mut self, x: f64) {
        let (recent, older) = (self.recent.rows as f64, self.older.rows as f64);
        // The gap is `older` for each recent row up to a value, less `recent` for each older one.
        let (moved, gap) = self.recent.turn(x, 0.0);
        let (left, _) = if moved.is_nan() { (f64::NAN, 0.0) } else { self.older.turn(moved, gap) };
        let steps = [(x, older), (moved, -older - recent), (left, recent)];
        let steps = steps.map(|(value, gap)| Step { value, gap });
        let at = self.recent.next.checked_sub(1).unwrap_or(self.recent.rows - 1);
        // The newest row's gap is known after the pass only; until then it is to be 0.
        self.recent.gaps[at] = -steps.iter().map(|step| step.at(x)).sum::<f64>();
        let (of_recent, of_older) = (self.recent.step(steps), self.older.step(steps));
        let gap = older * of_recent.up_to - recent * of_older.up_to;
        self.recent.gaps[at] = gap;
        self.most = of_recent.most.max(of_older.most).max(gap);
        self.least = of_recent.least.min(of_older.least).min(gap);
        self.rows = (self.rows + 1).min(self.parameters.window);
    }
}

/// The chance of a gap of this size or more somewhere.
fn p_value(gap: f64, recent: usize, older: usize) -> f64 {
    if recent * older > EXACT_MAX {
        let difference = gap / (recent * older) as f64;
        return limit_law(difference, (recent * older) as f64 / (recent + older) as f64);
    }
    // In each order of the rows they are a path from (0, 0) to (recent, older). `share` has, for one i and every j,
    // the share of the paths to (i, j) that have come to the gap; the last step to (i, j) was from (i - 1, j) for
    // i / (i + j) of them.
    let mut share = vec![0.0; older + 1];
    for i in 0..=recent {
        for j in 0..=older {
            let here = (i * older).abs_diff(j * recent) as f64;
            let (below, left) = (share[j], if j > 0 { share[j - 1] } else { 0.0 });
            let (x, y) = (i as f64, j as f64);
            share[j] = if here >= gap {
                1.0
            } else if i + j == 0 {
                0.0
            } else {
                (below * x + left * y) / (x + y)
            };
        }
    }
    share[older]
}

/// Kolmogorov's law of the difference, of so many rows.
fn limit_law(difference: f64, rows: f64) -> f64 {
    let square = difference * difference * rows;
    let term = |k: f64| libm::exp(-2.0 * k * k * square);
    // Below this the alternating sum is 1 to all digits.
    if square < 0.04 {
        return 1.0;
    }
    let sum: f64 = (1..=40).map(|k| f64::from(k % 2 * 2 - 1) * term(f64::from(k))).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The largest statistic with a p-value over the chance.
fn bound_of(limit: Limit, recent: usize, older: usize) -> f64 {
    let chance = match limit {
        Limit::Bound(bound) => return bound,
        Limit::Confidence(chance) => chance,
    };
    // The gap `over` is no change, the gap `under` is one or impossible.
    let (mut over, mut under) = (0, recent * older + 1);
    while under - over > 1 {
        let middle = over.midpoint(under);
        let found = p_value(middle as f64, recent, older) <= chance;
        *(if found { &mut under } else { &mut over }) = middle;
    }
    over as f64 / (recent * older) as f64
}

impl Test for Kswin {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { limit, window, recent } = parameters;
        assert!(limit.possible(), "a p-value is in (0, 1), a bound from 0: {limit:?}");
        assert!(0 < recent && recent < window && window <= 1 << 16, "{recent} of {window} rows");
        let older = window - recent;
        let bound = bound_of(limit, recent, older);
        let (recent, older) = (Part::new(recent), Part::new(older));
        Self { parameters, bound, recent, older, rows: 0, most: 0.0, least: 0.0 }
    }

    fn push(&mut self, x: f64) -> Option<Change> {
        self.insert(given(x)?);
        let (statistic, bound) = (self.statistic(), self.bound);
        // Where the recent rows' function is above, they are smaller.
        let direction = if self.most > -self.least { Direction::Down } else { Direction::Up };
        let rows = self.recent.rows as u64;
        (statistic > bound).then_some(Change { statistic, bound, direction, rows })
    }

    fn restart(&mut self) {
        self.recent.clear();
        self.older.clear();
        (self.rows, self.most, self.least) = (0, 0.0, 0.0);
    }

    /// The largest difference of the distribution functions; 0 until the window is full.
    fn statistic(&self) -> f64 {
        let scale = (self.recent.rows * self.older.rows) as f64;
        let full = self.rows == self.parameters.window;
        if full { self.most.max(-self.least) / scale } else { 0.0 }
    }

    fn bound(&self) -> f64 {
        self.bound
    }

    fn bytes(&self) -> usize {
        let of = |part: &Part| size_of_val(&*part.values) + size_of_val(&*part.gaps);
        size_of::<Self>() + of(&self.recent) + of(&self.older)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows as u64), out);
        self.older.in_order().chain(self.recent.in_order()).for_each(|value| put(&value, out));
    }

    /// Takes window × window steps.
    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        let rows = take_count(bytes, "number of rows")?;
        ensure(rows <= parameters.window as u64, "number of rows")?;
        for _ in 0..rows {
            test.insert(take_within(bytes, VALUE_MAX, "value")?);
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: the largest difference of the functions at all rows.
    fn slow(older: &[f64], recent: &[f64]) -> f64 {
        let share = |rows: &[f64], x: f64| {
            rows.iter().filter(|&&row| row <= x).count() as f64 / rows.len() as f64
        };
        let both = older.iter().chain(recent);
        both.map(|&x| (share(recent, x) - share(older, x)).abs()).fold(0.0, f64::max)
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            xs in prop::collection::vec(prop_oneof![-1.0..1.0_f64, (0..4).prop_map(f64::from)], 1..150),
            recent in 1..20_usize,
            older in 1..40_usize,
        ) {
            let window = recent + older;
            let limit = Limit::Bound(0.6);
            let mut test = Kswin::new(Parameters { limit, window, recent });
            for (row, &x) in xs.iter().enumerate() {
                let change = test.push(x);
                let slow = (row + 1).checked_sub(window).map_or(0.0, |start| {
                    slow(&xs[start..start + older], &xs[start + older..=row])
                });
                prop_assert!((test.statistic() - slow).abs() < 1e-12);
                prop_assert_eq!(change.is_some(), test.statistic() > 0.6);
            }
        }

        /// The p-value against all orders of so few rows.
        #[test]
        fn p_values_count_orders(recent in 1..6_usize, older in 1..6_usize, gap in 0..40_u32) {
            let rows = recent + older;
            let (mut orders, mut over) = (0, 0);
            for mask in 0_u32..1 << rows {
                if mask.count_ones() as usize == recent {
                    let (mut at, mut most) = (0_i64, 0);
                    for row in 0..rows {
                        at += if mask >> row & 1 == 1 { older as i64 } else { -(recent as i64) };
                        most = most.max(at.abs());
                    }
                    orders += 1;
                    over += i32::from(most >= i64::from(gap));
                }
            }
            let p = p_value(f64::from(gap), recent, older);
            prop_assert!((p - f64::from(over) / f64::from(orders)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_limit_law_follows_the_exact_one() {
        for (gap, rows) in [(10_000.0, 300), (25_000.0, 500)] {
            let exact = p_value(gap, rows, rows);
            let square = (rows * rows) as f64;
            let limit = limit_law(gap / square, rows as f64 / 2.0);
            assert!((limit / exact - 1.0).abs() < 0.2, "{limit} {exact}");
        }
        assert_eq!(limit_law(0.0, 10.0), 1.0);
        let large = Kswin::new(Parameters { window: 3000, recent: 600, ..Parameters::default() });
        // The limit law's 0.995 quantile is 1.7308.
        assert!((large.bound() * 480_f64.sqrt() - 1.7308).abs() < 0.001, "{}", large.bound());
    }
}
