//! The Page-Hinkley test (Page 1954: "Continuous inspection schemes"): the sum of deviations from the running mean,
//! less an allowance, and how far it has come from its lowest (or highest) point.
//!
//! Forgetting and the two sides are as in River's `PageHinkley`, with which it agrees row by row.

use domain::encoding::{DecodeError, ensure, put, take_count};

use super::{Change, Direction, Sides, Test, VALUE_MAX, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Rows before the first decision.
    pub rows_min: u64,
    /// The allowance, in the value's unit, from 0: smaller changes do not add up.
    pub delta: f64,
    /// What a sum must exceed, in the value's unit.
    pub threshold: f64,
    /// The share of a sum that a row keeps, in (0, 1].
    pub alpha: f64,
    /// Which changes are looked for.
    pub sides: Sides,
}

impl Default for Parameters {
    fn default() -> Self {
        let sides = Sides::Both;
        Self { rows_min: 30, delta: 0.005, threshold: 50.0, alpha: 1.0 - 0.0001, sides }
    }
}

/// The sums of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct PageHinkley {
    parameters: Parameters,
    /// The threshold of each side; infinite for one that is not looked at, so that a row needs no branch for it.
    bound_up: f64,
    bound_down: f64,
    rows_min: f64,
    sums: Sums,
}

/// What was learned. Numbers of rows are whole.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sums {
    rows: f64,
    mean: f64,
    /// The sum with the allowance taken off, its lowest value and the row of that.
    up: f64,
    lowest: f64,
    lowest_at: f64,
    /// The sum with the allowance added, its highest value and the row of that.
    down: f64,
    highest: f64,
    highest_at: f64,
}

const EMPTY: Sums = Sums {
    rows: 0.0,
    mean: 0.0,
    up: 0.0,
    lowest: f64::INFINITY,
    lowest_at: 0.0,
    down: 0.0,
    highest: f64::NEG_INFINITY,
    highest_at: 0.0,
};

/// No sum is larger: deviations are at most twice the largest value, and fewer than 2^62.
const SUM_MAX: f64 = 1e20 * VALUE_MAX;

impl PageHinkley {
    #[cold]
    fn change(&self) -> Change {
        let Sums { rows, up, lowest, lowest_at, down, highest, highest_at, .. } = self.sums;
        let bound = self.parameters.threshold;
        // With both over the bound the larger one tells.
        let (rose, fell) = (up - lowest, highest - down);
        let upward = rose > self.bound_up && (rose >= fell || fell <= self.bound_down);
        let (statistic, direction, start) = if upward {
            (rose, Direction::Up, lowest_at)
        } else {
            (fell, Direction::Down, highest_at)
        };
        Change { statistic, bound, direction, rows: (rows - start) as u64 }
    }
}

impl Test for PageHinkley {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { rows_min, delta, threshold, alpha, sides } = parameters;
        assert!((0.0..=VALUE_MAX).contains(&delta), "the allowance is from 0, not {delta}");
        assert!((0.0..=f64::MAX).contains(&threshold), "the threshold is from 0, not {threshold}");
        assert!(0.0 < alpha && alpha <= 1.0, "the share kept is in (0, 1], not {alpha}");
        let bound = |wanted| if wanted { threshold } else { f64::INFINITY };
        let (bound_up, bound_down) = (bound(sides.up()), bound(sides.down()));
        Self { parameters, bound_up, bound_down, rows_min: rows_min as f64, sums: EMPTY }
    }

    /// The division does not wait for the row before, and minima are moves and not jumps: a row takes as long as
    /// the subtraction, product and sum of the running mean.
    #[inline]
    fn push(&mut self, x: f64) -> Option<Change> {
        let x = given(x)?;
        let Parameters { delta, alpha, .. } = self.parameters;
        let sums = &mut self.sums;
        sums.rows += 1.0;
        sums.mean += (1.0 / sums.rows) * (x - sums.mean);
        let deviation = x - sums.mean;
        sums.up = alpha * sums.up + deviation - delta;
        sums.down = alpha * sums.down + deviation + delta;
        let lower = sums.up < sums.lowest;
        sums.lowest = if lower { sums.up } else { sums.lowest };
        sums.lowest_at = if lower { sums.rows } else { sums.lowest_at };
        let higher = sums.down > sums.highest;
        sums.highest = if higher { sums.down } else { sums.highest };
        sums.highest_at = if higher { sums.rows } else { sums.highest_at };
        let rose = sums.up - sums.lowest > self.bound_up;
        let fell = sums.highest - sums.down > self.bound_down;
        if (rose | fell) & (sums.rows >= self.rows_min) { Some(self.change()) } else { None }
    }

    fn restart(&mut self) {
        self.sums = EMPTY;
    }

    fn statistic(&self) -> f64 {
        let Sums { rows, up, lowest, down, highest, .. } = self.sums;
        if rows < self.rows_min.max(1.0) {
            return 0.0;
        }
        let rose = if self.parameters.sides.up() { up - lowest } else { 0.0 };
        let fell = if self.parameters.sides.down() { highest - down } else { 0.0 };
        rose.max(fell)
    }

    fn bound(&self) -> f64 {
        self.parameters.threshold
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let Sums { rows, mean, up, lowest, lowest_at, down, highest, highest_at } = self.sums;
        put(&(rows as u64), out);
        if rows > 0.0 {
            put(&(mean, up, down), out);
            put(&(lowest, highest, lowest_at as u64, highest_at as u64), out);
        }
    }

    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        let rows = take_count(bytes, "number of rows")?;
        if rows == 0 {
            return Ok(test);
        }
        let mean = take_within(bytes, VALUE_MAX, "mean")?;
        let mut sum = || take_within(bytes, SUM_MAX, "sum");
        let (up, down, lowest, highest) = (sum()?, sum()?, sum()?, sum()?);
        ensure(lowest <= up && down <= highest, "extreme of a sum")?;
        let mut at = || take_count(bytes, "row of an extreme");
        let (lowest_at, highest_at) = (at()?, at()?);
        ensure(lowest_at.max(highest_at) <= rows, "row of an extreme")?;
        let [rows, lowest_at, highest_at] = [rows, lowest_at, highest_at].map(|row| row as f64);
        test.sums = Sums { rows, mean, up, lowest, lowest_at, down, highest, highest_at };
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: all rows are looked at anew.
    fn slow(xs: &[f64], Parameters { delta, alpha, .. }: Parameters) -> (f64, f64) {
        let (mut up, mut down) = (0.0, 0.0);
        let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
        for row in 1..=xs.len() {
            let mean = xs[..row].iter().sum::<f64>() / row as f64;
            up = alpha * up + xs[row - 1] - mean - delta;
            down = alpha * down + xs[row - 1] - mean + delta;
            (lowest, highest) = (up.min(lowest), down.max(highest));
        }
        (up - lowest, highest - down)
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            xs in prop::collection::vec(-2.0..2.0_f64, 1..120),
            step in -2.0..2.0_f64,
            alpha in 0.9..1.0_f64,
        ) {
            let xs: Vec<f64> =
                xs.iter().enumerate().map(|(row, x)| x + if row > 60 { step } else { 0.0 }).collect();
            for sides in [Sides::Both, Sides::Up, Sides::Down] {
                let parameters =
                    Parameters { alpha, delta: 0.1, threshold: 8.0, sides, ..Parameters::default() };
                let mut test = PageHinkley::new(parameters);
                for (row, &x) in xs.iter().enumerate() {
                    let change = test.push(x);
                    let (rose, fell) = slow(&xs[..=row], parameters);
                    let rose = if sides == Sides::Down { 0.0 } else { rose };
                    let fell = if sides == Sides::Up { 0.0 } else { fell };
                    let slow = if row < 29 { 0.0 } else { rose.max(fell) };
                    prop_assert!((test.statistic() - slow).abs() < 1e-9);
                    prop_assert_eq!(change.is_some(), test.statistic() > test.bound());
                    if let Some(change) = change {
                        let up = if rose > fell { Direction::Up } else { Direction::Down };
                        prop_assert_eq!(change.direction, up);
                        prop_assert_eq!(change.statistic, test.statistic());
                        prop_assert!(change.rows <= row as u64);
                    }
                }
            }
        }
    }

    #[test]
    fn a_change_began_where_it_did() {
        let mut test =
            PageHinkley::new(Parameters { threshold: 20.0, delta: 0.5, ..Default::default() });
        let found = (0..400).find_map(|row| {
            let x = f64::from(row % 3) + if row >= 300 { 5.0 } else { 0.0 };
            test.push(x).map(|change| (row, change))
        });
        let (row, change) = found.expect("five units are a change");
        assert!((304..310).contains(&row), "{row}");
        assert_eq!(change.direction, Direction::Up);
        assert!(change.rows.abs_diff(row as u64 - 299) <= 2, "{change:?} at {row}");
    }
}
