//! HDDM with weighted averages (Frías-Blanco, del Campo-Ávila, Ramos-Jiménez, Morales-Bueno, Ortiz-Díaz &
//! Caballero-Mota 2015: "Online and non-parametric drift detection methods based on Hoeffding's bounds"): the
//! exponentially weighted mean up to the cut that tells most against that of the rows since; by McDiarmid's
//! inequality, so for values in [0, 1] whatever their law. Sooner than [`hddm_a`](super::hddm_a) on gradual changes.
//!
//! The statistic is in nats: 2 d² / w for a difference d of the means, w the sum of the squares of all weights; the
//! paper's bound is ln(1 / confidence). It agrees with River's `HDDMW`, which starts anew after a change: call
//! `restart` for the same.

use domain::encoding::{DecodeError, ensure, put, take_count};

use super::{Change, Direction, Limit, Sides, Test, VALUE_MAX, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The confidence for a change, or the bound in nats.
    pub limit: Limit,
    /// The confidence for a warning, or its bound in nats.
    pub warning: Limit,
    /// The weight of the newest row, in (0, 1).
    pub lambda: f64,
    /// Which changes are looked for.
    pub sides: Sides,
}

impl Default for Parameters {
    fn default() -> Self {
        let [limit, warning] = [0.001, 0.005].map(Limit::Confidence);
        Self { limit, warning, lambda: 0.05, sides: Sides::Both }
    }
}

/// The means of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct HddmW {
    parameters: Parameters,
    bound: f64,
    warning: f64,
    all: Sample,
    rise: Cut,
    fall: Cut,
}

/// The weighted mean of some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    rows: u64,
    mean: f64,
    /// Sum of the squares of the weights.
    squares: f64,
}

/// A cut: what was before it, and since.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    before: Sample,
    since: Sample,
    /// The bound of the mean before that the cut was made for.
    edge: f64,
}

const NO_ROWS: Sample = Sample { rows: 0, mean: 0.0, squares: 1.0 };

impl Sample {
    fn push(&mut self, x: f64, lambda: f64) {
        let kept = 1.0 - lambda;
        self.mean = if self.rows == 0 { x } else { lambda * x + kept * self.mean };
        self.rows += 1;
        self.squares = lambda * lambda + kept * kept * self.squares;
    }
}

/// How far a mean may be off, at this many nats.
fn margin(squares: f64, nats: f64) -> f64 {
    (squares * nats / 2.0).sqrt()
}

impl Cut {
    fn at(edge: f64) -> Self {
        Self { before: NO_ROWS, since: NO_ROWS, edge }
    }

    /// Takes the newest row in: as the new cut if the bound of its mean is `closer`.
    fn push(&mut self, x: f64, lambda: f64, all: Sample, edge: f64, closer: bool) {
        if closer {
            *self = Self { before: all, since: NO_ROWS, edge };
        } else {
            self.since.push(x, lambda);
        }
    }

    /// How much the mean went in the direction of `sign`, and the sum of squares for it.
    fn difference(&self, sign: f64) -> (f64, f64) {
        let Self { before, since, .. } = self;
        (sign * (since.mean - before.mean), before.squares + since.squares)
    }

    fn nats(&self, sign: f64) -> f64 {
        let (difference, squares) = self.difference(sign);
        let some = self.since.rows > 0 && difference > 0.0;
        if some { 2.0 * difference * difference / squares } else { 0.0 }
    }

    fn change(&self, sign: f64, bound: f64) -> Option<Change> {
        let (difference, squares) = self.difference(sign);
        (self.since.rows > 0 && difference > margin(squares, bound)).then(|| Change {
            statistic: self.nats(sign),
            bound,
            direction: if sign > 0.0 { Direction::Up } else { Direction::Down },
            rows: self.since.rows,
        })
    }
}

impl HddmW {
    /// Whether the last row is not over the bound, but over that of a warning.
    pub fn is_warning(&self) -> bool {
        let statistic = self.statistic();
        statistic > self.warning && statistic <= self.bound
    }
}

/// ln(1 / confidence), or the bound that was given.
fn nats(limit: Limit) -> f64 {
    match limit {
        Limit::Bound(bound) => bound,
        Limit::Confidence(chance) => libm::log(1.0 / chance),
    }
}

impl Test for HddmW {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { limit, warning, lambda, .. } = parameters;
        assert!(limit.possible(), "a confidence is in (0, 1), a bound from 0: {limit:?}");
        assert!(warning.possible(), "a confidence is in (0, 1), a bound from 0: {warning:?}");
        assert!(0.0 < lambda && lambda < 1.0, "lambda is in (0, 1), not {lambda}");
        let (rise, fall) = (Cut::at(f64::INFINITY), Cut::at(f64::NEG_INFINITY));
        Self { parameters, bound: nats(limit), warning: nats(warning), all: NO_ROWS, rise, fall }
    }

    #[inline]
    fn push(&mut self, x: f64) -> Option<Change> {
        let x = given(x)?;
        let Parameters { lambda, sides, .. } = self.parameters;
        self.all.push(x, lambda);
        let (all, off) = (self.all, margin(self.all.squares, self.bound));
        let (above, below) = (all.mean + off, all.mean - off);
        self.rise.push(x, lambda, all, above, above < self.rise.edge);
        self.fall.push(x, lambda, all, below, below > self.fall.edge);
        let rise = if sides.up() { self.rise.change(1.0, self.bound) } else { None };
        if rise.is_some() || !sides.down() {
            return rise;
        }
        self.fall.change(-1.0, self.bound)
    }

    fn restart(&mut self) {
        *self = Self::new(self.parameters);
    }

    fn statistic(&self) -> f64 {
        let sides = self.parameters.sides;
        let rose = if sides.up() { self.rise.nats(1.0) } else { 0.0 };
        let fell = if sides.down() { self.fall.nats(-1.0) } else { 0.0 };
        rose.max(fell)
    }

    /// In nats.
    fn bound(&self) -> f64 {
        self.bound
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let Self { all, rise, fall, .. } = self;
        for Sample { rows, mean, squares } in
            [all, &rise.before, &rise.since, &fall.before, &fall.since]
        {
            put(&(rows, mean, squares), out);
        }
    }

    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        let mut sample = || -> Result<Sample, DecodeError> {
            let rows = take_count(bytes, "number of rows")?;
            let mean = take_within(bytes, VALUE_MAX, "mean")?;
            let squares = take_within(bytes, 1.0, "sum of squares")?;
            ensure(squares > 0.0, "sum of squares")?;
            Ok(Sample { rows, mean, squares })
        };
        test.all = sample()?;
        for (cut, sign) in [(&mut test.rise, 1.0), (&mut test.fall, -1.0)] {
            (cut.before, cut.since) = (sample()?, sample()?);
            let of_rows = cut.before.rows.checked_add(cut.since.rows);
            ensure(of_rows == Some(test.all.rows), "rows of a cut")?;
            if test.all.rows > 0 {
                ensure(cut.before.rows > 0, "rows before a cut")?;
                cut.edge = cut.before.mean + sign * margin(cut.before.squares, test.bound);
            }
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAMBDA: f64 = 0.05;

    /// A weighted mean and the squares of its weights by their definition. The first row's weight is what the others
    /// leave; its square counts as if there had been a row of the same weight before it.
    fn weighted(rows: &[f64]) -> (f64, f64) {
        let n = rows.len() as i32;
        let weight = |row: i32| LAMBDA * 0.95_f64.powi(n - 1 - row);
        let rest = |row: i32| if row == 0 { 0.95_f64.powi(n - 1) } else { weight(row) };
        let mean = rows.iter().zip(0..).map(|(x, row)| x * rest(row)).sum();
        let squares: f64 = (0..n).map(|row| weight(row).powi(2)).sum();
        (mean, squares + 0.95_f64.powi(2 * n))
    }

    fn slow(rows: &[f64], bound: f64, sign: f64) -> f64 {
        let edge = |end: usize| {
            let (mean, squares) = weighted(&rows[..end]);
            sign * mean + (squares * bound / 2.0).sqrt()
        };
        let cut = (1..=rows.len()).min_by(|&a, &b| edge(a).total_cmp(&edge(b)));
        let (before, since) = rows.split_at(cut.expect("there is a row"));
        if since.is_empty() {
            return 0.0;
        }
        let ((mean, squares), (newer, more)) = (weighted(before), weighted(since));
        let difference = sign * (newer - mean);
        if difference > 0.0 { 2.0 * difference * difference / (squares + more) } else { 0.0 }
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
                let limit = Limit::Bound(0.4);
                let mut test = HddmW::new(Parameters { sides, limit, ..Parameters::default() });
                for (row, &x) in xs.iter().enumerate() {
                    let change = test.push(x);
                    let seen = &xs[..=row];
                    let rose = if sides.up() { slow(seen, test.bound(), 1.0) } else { 0.0 };
                    let fell = if sides.down() { slow(seen, test.bound(), -1.0) } else { 0.0 };
                    prop_assert!((test.statistic() - rose.max(fell)).abs() < 1e-6);
                    prop_assert_eq!(change.is_some(), test.statistic() > test.bound());
                }
            }
        }
    }
}
