//! HDDM with averages (Frías-Blanco, del Campo-Ávila, Ramos-Jiménez, Morales-Bueno, Ortiz-Díaz & Caballero-Mota 2015:
//! "Online and non-parametric drift detection methods based on Hoeffding's bounds"): the mean of all rows against
//! the mean up to the cut that tells most; by Hoeffding's inequality, so for values in [0, 1] whatever their law.
//!
//! The statistic is in nats: 2 d² / m for a difference d of the means, with m = (n - c) / (c n) of n rows and c up
//! to the cut; the paper's bound is ln(2 / confidence). It agrees with River's `HDDMA`, which starts anew after a
//! change: call `restart` for the same.

use domain::encoding::{DecodeError, ensure, put, take_count};

use super::{Change, Direction, Limit, Sides, Test, VALUE_MAX, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The confidence for a change, or the bound in nats.
    pub limit: Limit,
    /// The confidence for a warning, or its bound in nats.
    pub warning: Limit,
    /// Which changes are looked for.
    pub sides: Sides,
}

impl Default for Parameters {
    fn default() -> Self {
        let [limit, warning] = [0.001, 0.005].map(Limit::Confidence);
        Self { limit, warning, sides: Sides::Both }
    }
}

/// The means of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct HddmA {
    parameters: Parameters,
    bound: f64,
    warning: f64,
    all: Mean,
    /// Up to the cut where a bound from above of the mean was least, and that bound.
    low: Mean,
    low_edge: f64,
    /// Up to the cut where a bound from below was largest, and that bound.
    high: Mean,
    high_edge: f64,
}

/// The mean of some rows. Their number is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean {
    rows: f64,
    mean: f64,
}

impl Mean {
    /// How far the mean may be off, at this many nats.
    fn margin(self, nats: f64) -> f64 {
        (1.0 / (2.0 * self.rows) * nats).sqrt()
    }

    /// Half of the m of a cut after these rows.
    fn share(self, all: Self) -> f64 {
        (all.rows - self.rows) / self.rows * (1.0 / all.rows) / 2.0
    }

    /// The nats of a cut after these rows whose means differ by so much.
    fn nats(self, all: Self, difference: f64) -> f64 {
        if self.rows < all.rows && difference > 0.0 {
            difference * difference / self.share(all)
        } else {
            0.0
        }
    }
}

impl HddmA {
    /// Whether the last row is below the bound, and over that of a warning.
    pub fn is_warning(&self) -> bool {
        (self.warning..self.bound).contains(&self.statistic())
    }

    /// Nats that the paper asks for one mean and not for two.
    fn single(&self) -> f64 {
        (self.bound - std::f64::consts::LN_2).max(0.0)
    }

    fn change(&self, cut: Mean, direction: Direction) -> Option<Change> {
        let (statistic, bound) = (cut.nats(self.all, (self.all.mean - cut.mean).abs()), self.bound);
        Some(Change { statistic, bound, direction, rows: (self.all.rows - cut.rows) as u64 })
    }
}

/// ln(2 / confidence), or the bound that was given.
fn nats(limit: Limit) -> f64 {
    match limit {
        Limit::Bound(bound) => bound,
        Limit::Confidence(chance) => libm::log(2.0 / chance),
    }
}

impl Test for HddmA {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { limit, warning, .. } = parameters;
        assert!(limit.possible(), "a confidence is in (0, 1), a bound from 0: {limit:?}");
        assert!(warning.possible(), "a confidence is in (0, 1), a bound from 0: {warning:?}");
        let [all, low, high] = [Mean::default(); 3];
        let (low_edge, high_edge) = (f64::INFINITY, f64::NEG_INFINITY);
        let (bound, warning) = (nats(limit), nats(warning));
        Self { parameters, bound, warning, all, low, low_edge, high, high_edge }
    }

    #[inline]
    fn push(&mut self, x: f64) -> Option<Change> {
        let x = given(x)?;
        let all = &mut self.all;
        all.rows += 1.0;
        all.mean += (1.0 / all.rows) * (x - all.mean);
        let (all, margin) = (self.all, self.all.margin(self.single()));
        if self.low_edge >= all.mean + margin {
            (self.low, self.low_edge) = (all, all.mean + margin);
        }
        if self.high_edge <= all.mean - margin {
            (self.high, self.high_edge) = (all, all.mean - margin);
        }
        let sides = self.parameters.sides;
        let over = |cut: Mean, difference: f64| {
            cut.rows < all.rows && difference >= (cut.share(all) * self.bound).sqrt()
        };
        if sides.up() && over(self.low, all.mean - self.low.mean) {
            return self.change(self.low, Direction::Up);
        }
        if sides.down() && over(self.high, self.high.mean - all.mean) {
            return self.change(self.high, Direction::Down);
        }
        None
    }

    fn restart(&mut self) {
        *self = Self::new(self.parameters);
    }

    fn statistic(&self) -> f64 {
        let Self { all, low, high, parameters: Parameters { sides, .. }, .. } = self;
        let rose = if sides.up() { low.nats(*all, all.mean - low.mean) } else { 0.0 };
        let fell = if sides.down() { high.nats(*all, high.mean - all.mean) } else { 0.0 };
        rose.max(fell)
    }

    /// In nats; a statistic that reaches it is a change.
    fn bound(&self) -> f64 {
        self.bound
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for Mean { rows, mean } in [self.all, self.low, self.high] {
            put(&(rows as u64, mean), out);
        }
    }

    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        let mut mean = || -> Result<Mean, DecodeError> {
            let rows = take_count(bytes, "number of rows")? as f64;
            Ok(Mean { rows, mean: take_within(bytes, VALUE_MAX, "mean")? })
        };
        let (all, low, high) = (mean()?, mean()?, mean()?);
        let some = |cut: Mean| 0.0 < cut.rows && cut.rows <= all.rows;
        if all.rows > 0.0 {
            ensure(some(low) && some(high), "rows of a cut")?;
            test.low_edge = low.mean + low.margin(test.single());
            test.high_edge = high.mean - high.margin(test.single());
            (test.all, test.low, test.high) = (all, low, high);
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mean(rows: &[f64]) -> f64 {
        rows.iter().sum::<f64>() / rows.len() as f64
    }

    /// The definition: the cut is the last one whose bound of the mean is the least (or largest), and the means
    /// differ by so many nats.
    fn slow(rows: &[f64], nats: f64, sign: f64) -> f64 {
        let margin = |end: usize| ((nats - std::f64::consts::LN_2) / (2 * end) as f64).sqrt();
        let edge = |end: usize| sign * mean(&rows[..end]) + margin(end);
        let cut = (1..=rows.len()).rev().min_by(|&a, &b| edge(a).total_cmp(&edge(b)));
        let cut = cut.expect("there is a row");
        let difference = sign * (mean(rows) - mean(&rows[..cut]));
        let m = (rows.len() - cut) as f64 / (cut as f64 * rows.len() as f64);
        if difference > 0.0 { 2.0 * difference * difference / m } else { 0.0 }
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            xs in prop::collection::vec(0.0..0.5_f64, 1..200),
            step in -0.5..0.5_f64,
        ) {
            let level = |row: usize| if row < 100 { 0.25 } else { 0.25 + step / 2.0 };
            let xs: Vec<f64> = xs.iter().enumerate().map(|(row, x)| x + level(row)).collect();
            for sides in [Sides::Both, Sides::Up, Sides::Down] {
                let mut test = HddmA::new(Parameters { sides, ..Parameters::default() });
                for (row, &x) in xs.iter().enumerate() {
                    let change = test.push(x);
                    let seen = &xs[..=row];
                    let rose = if sides.up() { slow(seen, test.bound(), 1.0) } else { 0.0 };
                    let fell = if sides.down() { slow(seen, test.bound(), -1.0) } else { 0.0 };
                    prop_assert!((test.statistic() - rose.max(fell)).abs() < 1e-6);
                    prop_assert_eq!(change.is_some(), test.statistic() >= test.bound());
                    if let Some(Change { direction, .. }) = change {
                        let up = rose >= test.bound();
                        prop_assert_eq!(direction, if up { Direction::Up } else { Direction::Down });
                    }
                }
            }
        }
    }
}
