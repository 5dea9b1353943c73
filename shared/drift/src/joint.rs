//! All values together: a change of how they go together, which each by itself does not show. Random Fourier
//! features of the scores (Rahimi & Recht 2007: "Random features for large-scale kernel machines") are an embedding
//! in which the distance of two means is the maximum mean discrepancy of two distributions (Gretton et al. 2012: "A
//! kernel two-sample test"). Each feature is ranked among all before, which makes it normal and its reference all
//! rows since the last change; the current window is an exponential one, and its distance is told in units of its
//! own covariance (Lowry et al. 1992: "A multivariate exponentially weighted moving average control chart").

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use crate::{Mark, bounds::Statistic, charts::Evidence, dice::Dice, normal, ranks::Ranks};

/// Random features.
const FEATURES: usize = 8;
/// The share of a row in the window.
const SHARE: f64 = 1.0 / 32.0;
/// Rows before the first look: the covariance of the features must be known.
const FIRST: u64 = 256;
/// No weight of a feature is larger, nor a product of two.
const WEIGHT_MAX: f64 = 1e60;
/// The seed of the features.
const SEED: u64 = 0x6d6d_645f_7266_6600;

/// The scores of all values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Joint {
    bound: f64,
    /// By feature, then by value; and a turn for each feature.
    frequencies: Box<[f64]>,
    turns: [f64; FEATURES],
    ranks: Box<[Ranks; FEATURES]>,
    rows: u64,
    /// Means of products of the features' scores, and the inverse of their Cholesky factor; lower triangles.
    products: Triangle,
    whitener: Triangle,
    /// The window's mean.
    mean: [f64; FEATURES],
    since: Mark,
}

type Triangle = [[f64; FEATURES]; FEATURES];

impl Joint {
    /// For so many values, with so many rows between false alarms.
    pub(crate) fn new(values: usize, run_length: f64) -> Self {
        let mut dice = Dice::new(SEED);
        // A kernel as wide as two normal rows are apart.
        let width = (values.max(1) as f64).sqrt();
        let mut frequency = |_| normal::quantile(dice.uniform()) / width;
        let frequencies = (0..FEATURES * values).map(&mut frequency).collect();
        Self {
            bound: Statistic::Joint.bound(run_length),
            frequencies,
            turns: std::array::from_fn(|_| std::f64::consts::TAU * dice.uniform()),
            ranks: Box::new(std::array::from_fn(|_| Ranks::default())),
            rows: 0,
            products: Triangle::default(),
            whitener: Triangle::default(),
            mean: [0.0; FEATURES],
            since: Mark::default(),
        }
    }

    /// Takes the scores of a row in.
    pub(crate) fn push(&mut self, scores: &[f64], now: Mark, dice: &mut Dice) {
        let mut features = [0.0; FEATURES];
        for (at, feature) in features.iter_mut().enumerate() {
            let of_values = &self.frequencies[at * scores.len()..][..scores.len()];
            let angle = of_values.iter().zip(scores).map(|(a, b)| a * b).sum::<f64>();
            let raw = libm::cos(angle + self.turns[at]) as f32;
            *feature = normal::quantile(self.ranks[at].place(raw, dice.uniform()));
            self.ranks[at].learn(raw);
        }
        self.rows += 1;
        for row in 0..FEATURES {
            self.mean[row] += SHARE * (features[row] - self.mean[row]);
            for column in 0..=row {
                let product = features[row] * features[column];
                self.products[row][column] +=
                    (product - self.products[row][column]) / self.rows as f64;
            }
        }
        if self.rows >= FIRST
            && self.rows.is_multiple_of((self.rows.next_power_of_two() / 16).min(4096))
        {
            self.whiten();
        }
        // About its mean without a change, a statistic says nothing.
        if self.statistic() < FEATURES as f64 {
            self.since = now;
        }
    }

    /// The squared distance of the window's mean from the reference's, which is 0.
    fn statistic(&self) -> f64 {
        let row =
            |row: &[f64; FEATURES]| row.iter().zip(&self.mean).map(|(a, b)| a * b).sum::<f64>();
        let squares = self.whitener.iter().map(|line| row(line) * row(line)).sum::<f64>();
        squares * (2.0 - SHARE) / SHARE
    }

    pub(crate) fn evidence(&self) -> Evidence {
        let statistic = if self.rows < FIRST { 0.0 } else { self.statistic() };
        Evidence { statistic, bound: self.bound, since: self.since }
    }

    /// Forgets all rows.
    pub(crate) fn restart(&mut self) {
        self.ranks.iter_mut().for_each(|ranks| *ranks = Ranks::default());
        (self.rows, self.mean) = (0, [0.0; FEATURES]);
        (self.products, self.whitener) = Default::default();
    }

    /// The inverse of the Cholesky factor of the products; features that follow from others count nothing.
    fn whiten(&mut self) {
        let mut factor = Triangle::default();
        self.whitener = Triangle::default();
        for row in 0..FEATURES {
            for column in 0..row {
                let known: f64 = (0..column).map(|k| factor[row][k] * factor[column][k]).sum();
                let pivot = factor[column][column];
                factor[row][column] =
                    if pivot > 0.0 { (self.products[row][column] - known) / pivot } else { 0.0 };
            }
            let known: f64 = factor[row][..row].iter().map(|x| x * x).sum();
            let left = self.products[row][row] - known;
            if left < 1e-3 {
                factor[row] = [0.0; FEATURES];
                continue;
            }
            let pivot = left.sqrt();
            factor[row][row] = pivot;
            for column in 0..row {
                let sum: f64 =
                    (column..row).map(|k| factor[row][k] * self.whitener[k][column]).sum();
                self.whitener[row][column] = (-sum / pivot).clamp(-WEIGHT_MAX, WEIGHT_MAX);
            }
            self.whitener[row][row] = 1.0 / pivot;
        }
    }

    /// Bytes on the heap and off it.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.ranks) + size_of_val(&*self.frequencies)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.ranks.iter().for_each(|ranks| ranks.encode(out));
        put(&(self.rows, self.mean, self.since), out);
        for triangle in [&self.products, &self.whitener] {
            for row in 0..FEATURES {
                triangle[row][..=row].iter().for_each(|x| put(x, out));
            }
        }
    }

    /// Takes what [`encode`](Self::encode) appended into one of the same values and run length.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        for ranks in self.ranks.iter_mut() {
            *ranks = Ranks::decode(bytes)?;
        }
        self.rows = take_count(bytes, "number of rows")?;
        (self.mean, self.since) = take(bytes)?;
        ensure(self.mean.iter().all(|x| x.abs() <= 40.0), "mean of features")?;
        for triangle in [&mut self.products, &mut self.whitener] {
            for row in 0..FEATURES {
                for x in &mut triangle[row][..=row] {
                    *x = take(bytes)?;
                    ensure(x.abs() <= WEIGHT_MAX, "product of features")?;
                }
            }
        }
        Ok(())
    }
}
