//! What a row's neighbours say of it: an autoregression on the last rows, by covariances that are kept current
//! and solved now and then (Levinson 1947; Durbin 1960), of the order that Schwarz's criterion chooses (1978).
//! What is left of a row is about independent of the rows before.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use crate::{SQUARE_MAX, VALUE_MAX};

/// The longest lag.
pub(crate) const LAGS: usize = 8;
/// Rows after which one counts 1/e.
const HORIZON: f64 = 20_000.0;
/// The first fit.
const FIRST: u64 = 32;
/// No share of a lag is larger: a product of partial correlations, each below 1, adds up to at most 2^8.
const SHARE_MAX: f64 = 256.0;
/// In units of deviation: a farther value counts as this far.
const CLIP: f64 = 6.0;

/// Mean, covariances and the autoregression of one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dependence {
    rows: u64,
    mean: f64,
    /// By lag.
    covariances: [f64; LAGS + 1],
    /// The last deviations from the mean, newest first.
    last: [f64; LAGS],
    /// How much a row takes over of each of the last; 0 beyond the order.
    shares: [f64; LAGS],
    /// What is left of the variance.
    left: f64,
}

impl Default for Dependence {
    fn default() -> Self {
        Self {
            rows: 0,
            mean: 0.0,
            covariances: [0.0; LAGS + 1],
            last: [0.0; LAGS],
            shares: [0.0; LAGS],
            left: 0.0,
        }
    }
}

impl Dependence {
    /// What the rows before let expect of the next value, less the mean, which is fixed at an `anchor`: a mean that
    /// still moves would order what is tied.
    pub(crate) fn expected(&self, anchor: f64) -> f64 {
        let lags = self.shares.iter().zip(&self.last);
        anchor + lags.map(|(share, last)| share * (last - anchor)).sum::<f64>()
    }

    /// The variance of what the fit may have left unseen of the dependence, as a share of the variance of means.
    pub(crate) fn doubt(&self) -> f64 {
        let order = self.shares.iter().rposition(|share| *share != 0.0).map_or(0, |at| at + 1);
        order as f64 * (2.0 * self.gain() - 1.0).max(1.0)
            / (self.rows as f64).clamp(1.0, 2.0 * HORIZON)
    }

    /// The deviation of what is left of a value when what was expected is taken off.
    pub(crate) fn unit(&self) -> f64 {
        self.left.max(0.0).sqrt()
    }

    /// The values' deviation.
    pub(crate) fn spread(&self) -> f64 {
        self.covariances[0].max(0.0).sqrt()
    }

    /// The values' mean.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// By how much means of rows scatter more than those of independent rows with what is left: the sum of the
    /// autoregression's response.
    pub(crate) fn gain(&self) -> f64 {
        1.0 / (1.0 - self.shares.iter().sum::<f64>()).max(0.02)
    }

    /// Takes a value in, at most so far from the mean that it can't carry the fit away.
    pub(crate) fn learn(&mut self, value: f64) {
        let spread = self.spread();
        let reach = if self.rows >= FIRST && spread > 0.0 { CLIP * spread } else { f64::INFINITY };
        let deviation = (value - self.mean).clamp(-reach, reach);
        let value = self.mean + deviation;
        self.rows += 1;
        let rate = 1.0 / (self.rows as f64).min(HORIZON);
        self.mean += rate * deviation;
        let now = value - self.mean;
        self.covariances[0] += rate * (deviation * now - self.covariances[0]);
        let known = self.last.iter().take((self.rows - 1).min(LAGS as u64) as usize);
        for (covariance, last) in self.covariances[1..].iter_mut().zip(known) {
            *covariance += rate * (deviation * (last - self.mean) - *covariance);
        }
        self.last.copy_within(..LAGS - 1, 1);
        self.last[0] = value;
        // Eight times while the rows double: each fit changes what is left a little.
        if self.rows >= FIRST
            && self.rows.is_multiple_of((self.rows.next_power_of_two() / 16).clamp(4, 4096))
        {
            self.fit();
        }
    }

    /// Whether the fit has seen enough rows to say what a row's deviation is.
    pub(crate) fn is_fit(&self) -> bool {
        self.rows >= FIRST
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows, self.mean, self.covariances, self.last, self.shares, self.left), out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let rows = take_count(bytes, "number of rows")?;
        let (mean, covariances, last, shares, left) = take(bytes)?;
        let found = Self { rows, mean, covariances, last, shares, left };
        let small = |x: &f64| x.abs() <= 2.0 * VALUE_MAX;
        ensure(small(&mean) && found.last.iter().all(small), "mean or value")?;
        let square = |x: &f64| x.abs() <= SQUARE_MAX;
        ensure(square(&left) && found.covariances.iter().all(square), "covariance")?;
        ensure(found.shares.iter().all(|x| x.abs() <= SHARE_MAX), "share of a lag")?;
        Ok(found)
    }

    fn fit(&mut self) {
        let rows = (self.rows as f64).min(HORIZON);
        let penalty = libm::log(rows);
        self.shares = [0.0; LAGS];
        self.left = self.covariances[0];
        if self.left > 0.0 {
            self.choose(rows, penalty);
        }
    }

    /// Takes the shares of the cheapest order, of those before the first that has no such thing.
    fn choose(&mut self, rows: f64, penalty: f64) {
        let mut shares = [0.0; LAGS];
        let (mut left, mut best) = (self.left, rows * libm::log(self.left));
        for order in 0..LAGS {
            let lags = (0..order).map(|lag| shares[lag] * self.covariances[order - lag]);
            let partial = (self.covariances[order + 1] - lags.sum::<f64>()) / left;
            let is_correlation = partial.abs() < 1.0;
            if !is_correlation {
                return;
            }
            let before = shares;
            for lag in 0..order {
                shares[lag] = before[lag] - partial * before[order - 1 - lag];
            }
            shares[order] = partial;
            left *= 1.0 - partial * partial;
            let cost = rows * libm::log(left) + penalty * (order + 1) as f64;
            if cost < best {
                (best, self.shares, self.left) = (cost, shares, left);
            }
        }
    }
}
