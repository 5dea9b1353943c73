//! Level and damped trend of a series, by errors that are clipped.

use domain::encoding::{DecodeError, ensure, put, take};

use crate::DEVIATION_MAX;

/// An error of more than so many mean errors is taken as so many: some three deviations.
const CLIP: f64 = 3.75;
/// The first rows are believed as they are.
const FIRST: u32 = 16;
/// Rows over which errors are averaged.
const ERROR_ROWS: u32 = 200;
/// After so many clipped errors in a row the level moves to where the values are.
const RUN_MAX: u32 = 64;

/// Weights of an error, as the definition sets them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// In the level.
    pub(super) level: f64,
    /// In the trend, of what the level takes.
    pub(super) trend: f64,
    /// What stays of the trend from row to row.
    pub(super) damping: f64,
}

/// Level and trend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Smoother {
    /// NaN before the first value.
    level: f64,
    trend: f64,
    /// Mean of absolute errors.
    error: f64,
    /// Errors averaged, up to [`ERROR_ROWS`].
    rows: u32,
    /// Clipped errors in a row.
    run: u32,
}

impl Default for Smoother {
    fn default() -> Self {
        Self { level: f64::NAN, trend: 0.0, error: 0.0, rows: 0, run: 0 }
    }
}

impl Smoother {
    /// The same at another level and without trend.
    pub(super) fn at_level(&self, level: f64) -> Self {
        let level = level.clamp(-DEVIATION_MAX, DEVIATION_MAX);
        Self { level, trend: 0.0, run: 0, ..*self }
    }

    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// Mean of absolute errors.
    pub(super) fn error(&self) -> f64 {
        self.error
    }

    /// What is forecast of the next value, before the season.
    pub(super) fn forecast(&self, rates: &Rates) -> f64 {
        self.level + rates.damping * self.trend
    }

    /// Moves on by one row, of whose value the `season` is known. Gives the error as it was believed.
    pub(super) fn learn(&mut self, value: Option<f64>, season: f64, rates: &Rates) -> f64 {
        let bound = |x: f64| x.clamp(-DEVIATION_MAX, DEVIATION_MAX);
        let Some(value) = value.map(|value| bound(value - season)) else {
            if self.level.is_finite() {
                self.level = bound(self.forecast(rates));
                self.trend *= rates.damping;
            }
            return 0.0;
        };
        if self.level.is_nan() {
            self.level = value;
            return 0.0;
        }
        let error = value - self.forecast(rates);
        let floor = 1e-9 + 1e-6 * self.level.abs();
        let most = if self.rows < FIRST { f64::INFINITY } else { CLIP * self.error.max(floor) };
        self.run = if error.abs() > most { self.run + 1 } else { 0 };
        self.rows = (self.rows + 1).min(ERROR_ROWS);
        let believed = error.clamp(-most, most);
        self.error = bound(self.error + (believed.abs() - self.error) / f64::from(self.rows));
        if self.run > RUN_MAX {
            (self.level, self.trend, self.run) = (value, 0.0, 0);
            return 0.0;
        }
        // Young levels are means, or the first value would count too long.
        let rate = rates.level.max(1.0 / (f64::from(self.rows) + 1.0));
        self.level = bound(self.forecast(rates) + rate * believed);
        self.trend = bound(rates.damping * self.trend + rate * rates.trend * believed);
        believed
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.level, self.trend, self.error, self.rows, self.run), out);
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (level, trend, error, rows, run) = take::<(f64, f64, f64, u32, u32)>(bytes)?;
        let possible = |x: f64| x.abs() <= DEVIATION_MAX;
        let blank = level.is_nan() && rows == 0 && trend == 0.0 && error == 0.0;
        ensure(possible(level) || blank, "level")?;
        ensure(possible(trend), "trend")?;
        ensure((0.0..=DEVIATION_MAX).contains(&error), "mean error")?;
        ensure(rows <= ERROR_ROWS && run <= RUN_MAX, "number of rows of a level")?;
        // One bit pattern for what is not known.
        Ok(if blank { Self::default() } else { Self { level, trend, error, rows, run } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATES: Rates = Rates { level: 0.3, trend: 0.1, damping: 0.9 };

    fn learned(values: impl IntoIterator<Item = f64>) -> Smoother {
        let mut smoother = Smoother::default();
        values.into_iter().for_each(|value| {
            smoother.learn(Some(value), 0.0, &RATES);
        });
        smoother
    }

    #[test]
    fn an_outlier_is_nothing_and_a_new_level_is_learned() {
        let saw = || (0..300).map(|row| f64::from(row % 7));
        let calm = learned(saw()).forecast(&RATES);
        let after = |values: &[f64]| learned(saw().chain(values.iter().copied())).forecast(&RATES);
        assert!((after(&[1e12]) - calm).abs() < 4.0);
        assert!((after(&[1e6; 70]) - 1e6).abs() < 10.0);
    }

    proptest! {
        /// Behind the first rows and unclipped, the textbook's recursion: level and trend by weights.
        #[test]
        fn equals_the_component_form(values in prop::collection::vec(-1.0..1.0_f64, 1..100)) {
            let start = || (0..30).map(|row| f64::from(row % 2));
            let begun = learned(start());
            let (mut level, mut trend) = (begun.level, begun.trend);
            for &value in &values {
                let before = level;
                let carried = RATES.damping * trend;
                level = RATES.level * value + (1.0 - RATES.level) * (before + carried);
                trend = RATES.trend * (level - before) + (1.0 - RATES.trend) * carried;
            }
            let now = learned(start().chain(values));
            prop_assert!((now.level - level).abs() < 1e-9 && (now.trend - trend).abs() < 1e-9);
        }
    }
}
