//! What is known of a stretch of one value's history without its values: a stretch joins with the one after it, so
//! that windows over time and sessions need memory for their stretches only, however many records come.

use domain::{
    Aggregate, Micros,
    encoding::{self, COUNT_MAX, DecodeError},
};

use super::{distinct::Distinct, needs::Needs, quantiles::Quantiles, seconds, step};

/// One value over a stretch of records. Nothing is ever taken out again, so sums need no re-anchoring.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    present: u64,
    sum: f64,
    mean: f64,
    m2: f64,
    min: f64,
    max: f64,
    first: f64,
    first_at: Micros,
    /// The last value present.
    last: f64,
    last_at: Micros,
    /// The newest record's value; NaN where missing.
    newest: f64,
    increase: f64,
    quantiles: Option<Box<Quantiles>>,
    distinct: Option<Box<Distinct>>,
}

impl Partial {
    /// Of no record yet.
    pub(super) fn new(needs: Needs) -> Self {
        Self {
            present: 0,
            sum: 0.0,
            mean: 0.0,
            m2: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            first: f64::NAN,
            first_at: 0,
            last: f64::NAN,
            last_at: 0,
            newest: f64::NAN,
            increase: 0.0,
            quantiles: needs.quantiles.then(Box::default),
            distinct: needs.distinct.then(Box::default),
        }
    }

    /// Takes in the value of the next record; NaN where missing.
    pub(super) fn add(&mut self, at: Micros, value: f64, needs: Needs) {
        self.newest = value;
        if value.is_nan() {
            return;
        }
        self.present += 1;
        if self.present == 1 {
            (self.first, self.first_at) = (value, at);
        } else if needs.increase {
            self.increase += step(self.last, value);
        }
        (self.last, self.last_at) = (value, at);
        if needs.moments {
            self.sum += value;
            let delta = value - self.mean;
            self.mean += delta / self.present as f64;
            self.m2 += delta * (value - self.mean);
        }
        self.bound(value, value);
        if let Some(quantiles) = &mut self.quantiles {
            quantiles.add(value);
        }
        if let Some(distinct) = &mut self.distinct {
            distinct.add(value);
        }
    }

    /// Joins the stretch that follows. Means and squares by Chan, Golub & LeVeque, "Updating formulae and a pairwise
    /// algorithm for computing sample variances" (1979).
    pub(super) fn merge(&mut self, later: &Self) {
        self.newest = later.newest;
        if later.present == 0 {
            return;
        }
        if self.present == 0 {
            (self.first, self.first_at) = (later.first, later.first_at);
            self.increase = later.increase;
            (self.mean, self.m2) = (later.mean, later.m2);
        } else {
            self.increase += step(self.last, later.first) + later.increase;
            let (ours, theirs) = (self.present as f64, later.present as f64);
            let delta = later.mean - self.mean;
            self.mean += delta * (theirs / (ours + theirs));
            self.m2 += later.m2 + delta * delta * (ours * theirs / (ours + theirs));
        }
        (self.last, self.last_at) = (later.last, later.last_at);
        self.present = self.present.saturating_add(later.present);
        self.sum += later.sum;
        self.bound(later.min, later.max);
        if let (Some(ours), Some(theirs)) = (&mut self.quantiles, &later.quantiles) {
            ours.merge(theirs);
        }
        if let (Some(ours), Some(theirs)) = (&mut self.distinct, &later.distinct) {
            ours.merge(theirs);
        }
    }

    /// Widens the range. `f64::min` may choose between zeros as it likes, which would not be the same bits everywhere.
    fn bound(&mut self, low: f64, high: f64) {
        if low < self.min {
            self.min = low;
        }
        if high > self.max {
            self.max = high;
        }
    }

    /// A feature of the row at that event time; `self` may sort what it keeps.
    pub(super) fn feature(&mut self, aggregate: Aggregate, row_at: Micros) -> f64 {
        let n = self.present as f64;
        match aggregate {
            Aggregate::Count => n,
            Aggregate::Distinct => self.distinct.as_ref().map_or(0.0, |distinct| distinct.count()),
            _ if self.present == 0 => f64::NAN,
            Aggregate::Last => self.newest,
            Aggregate::Sum => self.sum,
            Aggregate::Mean => self.mean,
            Aggregate::Min => self.min,
            Aggregate::Max => self.max,
            Aggregate::Std => (self.m2 / n).sqrt(),
            Aggregate::Quantile(percentile) => {
                let rank = percentile.rank(self.present);
                self.quantiles.as_mut().map_or(f64::NAN, |quantiles| quantiles.ranked(rank))
            }
            Aggregate::Delta => self.last - self.first,
            Aggregate::Rate => match seconds(self.first_at, self.last_at) {
                passed if passed > 0.0 => self.increase / passed,
                _ => f64::NAN,
            },
            Aggregate::SinceLast => seconds(self.last_at, row_at),
        }
    }

    /// Forgets all; the room stays.
    pub(super) fn clear(&mut self) {
        let (mut quantiles, mut distinct) = (self.quantiles.take(), self.distinct.take());
        quantiles.iter_mut().for_each(|quantiles| quantiles.clear());
        distinct.iter_mut().for_each(|distinct| distinct.clear());
        *self = Self { quantiles, distinct, ..Self::new(Needs::default()) };
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { present, sum, mean, m2, min, max, newest, increase, .. } = self;
        let Self { first, first_at, last, last_at, .. } = self;
        encoding::put(&(present, sum, mean, m2, min, max, newest, increase), out);
        encoding::put(&(first, first_at, last, last_at), out);
        self.quantiles.iter().for_each(|quantiles| quantiles.encode(out));
        self.distinct.iter().for_each(|distinct| distinct.encode(out));
    }

    pub(super) fn decode(needs: Needs, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut partial = Self::new(Needs::default());
        let p = &mut partial;
        (p.present, p.sum, p.mean, p.m2, p.min, p.max, p.newest, p.increase) =
            encoding::take(bytes)?;
        (p.first, p.first_at, p.last, p.last_at) = encoding::take(bytes)?;
        encoding::ensure(p.present <= COUNT_MAX, "number of a window's values")?;
        if needs.quantiles {
            let quantiles = Quantiles::decode(bytes)?;
            encoding::ensure(quantiles.total() == p.present, "number of a window's quantiles")?;
            partial.quantiles = Some(Box::new(quantiles));
        }
        if needs.distinct {
            partial.distinct = Some(Box::new(Distinct::decode(bytes)?));
        }
        Ok(partial)
    }
}
