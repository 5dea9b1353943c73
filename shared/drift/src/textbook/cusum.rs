//! Cumulative sums (Page 1954: "Continuous inspection schemes"; Hawkins & Olwell 1998: "Cumulative sum charts and
//! charting for quality improvement"): how far scores have come from 0, less k a row, since their sum was last 0.
//!
//! A score has mean 0 and deviation 1 without a change. It is of a known mean and deviation, or self-starting
//! (Hawkins 1987: "Self-starting cusum charts for location and scale"): a row is compared with the mean and deviation
//! of the rows before it, which is Student's t, and the normal score of the same chance is taken: independent ones,
//! from the third row on. That score is Wallace's (1959) approximation: for |t| up to 8 at most 0.05 off from 3
//! degrees of freedom on, 0.02 from 10. For a change of the spread (sqrt |score| - 0.822) / 0.349 is summed (Hawkins 1981), which is
//! nearly normal.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use super::{Change, Direction, Sides, Test, VALUE_MAX, given, take_within};

/// How the test is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// The allowance a row, in deviations, from 0 to 10: half the change that is to be found soonest.
    pub k: f64,
    /// What a sum must exceed, in deviations, from 0.
    pub h: f64,
    /// How scores are made.
    pub scale: Scale,
    /// What changes.
    pub of: Of,
    /// Which changes are looked for.
    pub sides: Sides,
}

/// How a value becomes a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// By the rows before it.
    SelfStarting,
    /// By a mean and a deviation that are known; the deviation is over 0.
    Known {
        /// The mean without a change.
        mean: f64,
        /// The deviation without a change.
        deviation: f64,
    },
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The mean.
    Location,
    /// The deviation.
    Spread,
}

impl Default for Parameters {
    /// One false alarm in 465 rows on average for the two sides, if rows are independent and normal.
    fn default() -> Self {
        let (scale, of, sides) = (Scale::SelfStarting, Of::Location, Sides::Both);
        Self { k: 0.5, h: 5.0, scale, of, sides }
    }
}

/// The sums of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Cusum {
    parameters: Parameters,
    /// Rows, their mean, and the sum of squares of distances from it. The number is whole.
    rows: f64,
    mean: f64,
    squares: f64,
    up: Sum,
    down: Sum,
}

/// A sum since it was last 0, and over how many rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    sum: f64,
    rows: u64,
}

/// No score is larger: a normal one beyond has a chance below the smallest number.
const SCORE_MAX: f64 = 38.0;
/// The spread's scores are within ±16 then, so no sum is larger.
const SUM_MAX: f64 = 1e21;
/// Mean and deviation of the root of a normal score's size.
const ROOT: (f64, f64) = (0.822, 0.349);

impl Sum {
    fn push(&mut self, step: f64) {
        let sum = self.sum + step;
        let goes_on = sum > 0.0;
        self.sum = if goes_on { sum } else { 0.0 };
        self.rows = if goes_on { self.rows + 1 } else { 0 };
    }
}

impl Cusum {
    /// The score of a value, before it is learned; none for the first two of a self-starting test.
    pub fn score(&self, x: f64) -> Option<f64> {
        let score = match self.parameters.scale {
            Scale::Known { mean, deviation } => (x - mean) / deviation,
            Scale::SelfStarting if self.rows < 2.0 => return None,
            Scale::SelfStarting => {
                let (rows, freedom) = (self.rows, self.rows - 1.0);
                let distance = x - self.mean;
                // After equal rows any distance is without bounds, and none is no distance.
                let ratio = if distance == 0.0 {
                    0.0
                } else {
                    distance * distance / self.squares * (rows / (rows + 1.0))
                };
                normal_of(ratio, freedom).copysign(distance)
            }
        };
        Some(score.clamp(-SCORE_MAX, SCORE_MAX))
    }

    fn learn(&mut self, x: f64) {
        self.rows += 1.0;
        let distance = x - self.mean;
        self.mean += distance / self.rows;
        self.squares += distance * (x - self.mean);
    }
}

/// The normal score of Student's t of so many degrees of freedom, given t² over them (Wallace 1959).
fn normal_of(ratio: f64, freedom: f64) -> f64 {
    let share = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0);
    share * (freedom * libm::log1p(ratio)).sqrt()
}

impl Test for Cusum {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Self {
        let Parameters { k, h, scale, .. } = parameters;
        assert!((0.0..=10.0).contains(&k), "k is from 0 to 10, not {k}");
        assert!((0.0..=f64::MAX).contains(&h), "h is from 0, not {h}");
        if let Scale::Known { mean, deviation } = scale {
            assert!(mean.is_finite() && deviation > 0.0, "mean {mean}, deviation {deviation}");
        }
        let (up, down) = (Sum::default(), Sum::default());
        Self { parameters, rows: 0.0, mean: 0.0, squares: 0.0, up, down }
    }

    #[inline]
    fn push(&mut self, x: f64) -> Option<Change> {
        let x = given(x)?;
        let score = self.score(x);
        self.learn(x);
        let Parameters { k, h: bound, of, .. } = self.parameters;
        let step = match of {
            Of::Location => score?,
            Of::Spread => (score?.abs().sqrt() - ROOT.0) / ROOT.1,
        };
        self.up.push(step - k);
        self.down.push(-step - k);
        let statistic = self.statistic();
        (statistic > bound).then(|| {
            let up = self.parameters.sides.up() && self.up.sum >= statistic;
            let (direction, sum) =
                if up { (Direction::Up, self.up) } else { (Direction::Down, self.down) };
            Change { statistic, bound, direction, rows: sum.rows }
        })
    }

    fn restart(&mut self) {
        *self = Self::new(self.parameters);
    }

    fn statistic(&self) -> f64 {
        let sides = self.parameters.sides;
        let rose = if sides.up() { self.up.sum } else { 0.0 };
        let fell = if sides.down() { self.down.sum } else { 0.0 };
        if rose > fell { rose } else { fell }
    }

    fn bound(&self) -> f64 {
        self.parameters.h
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows as u64, self.mean, self.squares), out);
        for Sum { sum, rows } in [self.up, self.down] {
            put(&(sum, rows), out);
        }
    }

    fn decode(parameters: Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut test = Self::new(parameters);
        let rows = take_count(bytes, "number of rows")?;
        test.rows = rows as f64;
        test.mean = take_within(bytes, VALUE_MAX, "mean")?;
        test.squares = take(bytes)?;
        let squares_max = 5.0 * VALUE_MAX * VALUE_MAX * test.rows;
        ensure((0.0..=squares_max).contains(&test.squares), "sum of squares")?;
        for sum in [&mut test.up, &mut test.down] {
            sum.sum = take_within(bytes, SUM_MAX, "sum")?;
            sum.rows = take_count(bytes, "rows of a sum")?;
            ensure(sum.sum >= 0.0 && sum.rows <= rows, "sum")?;
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scores_are_those_of_the_same_chance() {
        // t, degrees of freedom and scipy.stats.norm.isf(scipy.stats.t.sf(t, degrees)).
        for (t, freedom, expect) in EXACT {
            let found = normal_of(t * t / freedom, freedom);
            let off = if freedom < 10.0 { 0.05 } else { 0.02 };
            assert!((found - expect).abs() < off, "{t} of {freedom}: {found}, not {expect}");
        }
    }

    /// The definition: mean and deviation of the rows before, sums from the last time that they were 0.
    fn slow(xs: &[f64], Parameters { k, of, .. }: Parameters) -> (f64, f64) {
        let (mut up, mut down) = (0.0_f64, 0.0_f64);
        for n in 2..xs.len() {
            let before = &xs[..n];
            let mean = before.iter().sum::<f64>() / n as f64;
            let square = before.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
            let t = (xs[n] - mean) / (square / (n - 1) as f64).sqrt()
                * (n as f64 / (n + 1) as f64).sqrt();
            let score = normal_of(t * t / (n - 1) as f64, (n - 1) as f64).copysign(t);
            let step = match of {
                Of::Location => score,
                Of::Spread => (score.abs().sqrt() - 0.822) / 0.349,
            };
            up = (up + step - k).max(0.0);
            down = (down - step - k).max(0.0);
        }
        (up, down)
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            xs in prop::collection::vec(-1.0..1.0_f64, 1..120),
            step in -2.0..2.0_f64,
            spread in any::<bool>(),
        ) {
            let xs: Vec<f64> =
                xs.iter().enumerate().map(|(row, x)| x + if row > 60 { step } else { 0.0 }).collect();
            let of = if spread { Of::Spread } else { Of::Location };
            for sides in [Sides::Both, Sides::Up, Sides::Down] {
                let parameters = Parameters { of, sides, ..Parameters::default() };
                let mut test = Cusum::new(parameters);
                for (row, &x) in xs.iter().enumerate() {
                    let change = test.push(x);
                    let (rose, fell) = slow(&xs[..=row], parameters);
                    let rose = if sides.up() { rose } else { 0.0 };
                    let fell = if sides.down() { fell } else { 0.0 };
                    prop_assert!((test.statistic() - rose.max(fell)).abs() < 1e-6);
                    prop_assert_eq!(change.is_some(), test.statistic() > test.bound());
                    if let Some(Change { direction, .. }) = change {
                        let up = if rose > fell { Direction::Up } else { Direction::Down };
                        prop_assert_eq!(direction, up);
                    }
                }
            }
        }
    }

    /// Noise of mean 0 and deviation 1, about normal.
    fn noise() -> impl FnMut() -> f64 {
        let mut state = 1_u64;
        move || {
            let mut uniform = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 11) as f64 / (1_u64 << 53) as f64
            };
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        }
    }

    #[test]
    fn false_alarms_are_as_far_apart_as_tables_say() {
        let known = Scale::Known { mean: 0.0, deviation: 1.0 };
        // Hawkins & Olwell: 465 rows for k 0.5 and h 5 on two sides.
        for (scale, expect) in [(known, 420..510), (Scale::SelfStarting, 420..600)] {
            let mut test = Cusum::new(Parameters { scale, ..Parameters::default() });
            let (mut noise, mut alarms) = (noise(), 0);
            for _ in 0..1_000_000 {
                if test.push(noise()).is_some() {
                    alarms += 1;
                    test.restart();
                }
            }
            assert!(expect.contains(&(1_000_000 / alarms)), "{}", 1_000_000 / alarms);
        }
    }

    #[test]
    fn each_change_is_found_where_it_is() {
        let check = |of, factor: f64, step: f64, expect| {
            let mut test = Cusum::new(Parameters { of, h: 12.0, ..Parameters::default() });
            let mut noise = noise();
            (0..500).for_each(|_| assert_eq!(test.push(noise()), None));
            let found = (0..100).find_map(|_| test.push(factor * noise() + step));
            let change = found.expect("a change");
            assert_eq!(change.direction, expect);
            assert!((5..100).contains(&change.rows), "{change:?}");
        };
        check(Of::Location, 1.0, 2.0, Direction::Up);
        check(Of::Location, 1.0, -2.0, Direction::Down);
        check(Of::Spread, 5.0, 0.0, Direction::Up);
        check(Of::Spread, 0.1, 0.0, Direction::Down);
    }

    const EXACT: [(f64, f64, f64); 18] = [
        (0.1, 3.0, 0.092057508),
        (0.5, 3.0, 0.451751567),
        (1.0, 3.0, 0.857801251),
        (2.0, 3.0, 1.478305715),
        (4.0, 3.0, 2.197167917),
        (8.0, 3.0, 2.872174529),
        (0.1, 10.0, 0.097510850),
        (0.5, 10.0, 0.484693743),
        (1.0, 10.0, 0.952402026),
        (2.0, 10.0, 1.790409932),
        (4.0, 10.0, 3.021129940),
        (8.0, 10.0, 4.381713784),
        (0.1, 100.0, 0.099747825),
        (0.5, 100.0, 0.498440544),
        (1.0, 100.0, 0.995024897),
        (2.0, 100.0, 1.975493436),
        (4.0, 100.0, 3.843031944),
        (8.0, 100.0, 7.016628126),
    ];
}
