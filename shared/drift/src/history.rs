//! The values themselves, for what is told of a drift: the last ones as they came, all before them as ranks.

use domain::{
    Summary,
    encoding::{DecodeError, ensure, put, take, take_count},
};

use crate::{VALUE_MAX, ranks::Ranks};

/// Values that are kept as they came.
pub(crate) const RECENT: usize = 64;

/// The values since the last change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct History {
    /// Values are kept as differences from the first one.
    origin: f64,
    /// A ring of the last ones.
    recent: [f32; RECENT],
    rows: u64,
    /// Those that left the ring.
    ranks: Ranks<32, 16>,
    moments: Moments,
}

/// Mean and sum of squared deviations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn learn(&mut self, x: f64) {
        self.count += 1;
        let off = x - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (x - self.mean);
    }
}

impl Default for History {
    fn default() -> Self {
        let (ranks, moments) = (Ranks::default(), Moments::default());
        Self { origin: 0.0, recent: [0.0; RECENT], rows: 0, ranks, moments }
    }
}

impl History {
    /// Takes a value in.
    pub(crate) fn learn(&mut self, value: f64) {
        if self.rows == 0 {
            self.origin = value;
        }
        let off = (value - self.origin).clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32;
        let place = &mut self.recent[(self.rows % RECENT as u64) as usize];
        let old = std::mem::replace(place, off);
        if self.rows >= RECENT as u64 {
            self.ranks.learn(old);
            self.moments.learn(f64::from(old));
        }
        self.rows += 1;
    }

    /// The last values, newest first, at most so many and 64.
    pub(crate) fn recent(&self, rows: u64) -> impl Iterator<Item = f64> {
        self.offs().take(rows as usize).map(|off| self.origin + f64::from(off))
    }

    /// What is in the ring, newest first.
    fn offs(&self) -> impl Iterator<Item = f32> {
        let rows = self.rows.min(RECENT as u64);
        (0..rows).map(|ago| self.recent[((self.rows - 1 - ago) % RECENT as u64) as usize])
    }

    /// The values before the last so many, and those since, of which the last 64 are told.
    pub(crate) fn around(&self, rows: u64) -> [Summary; 2] {
        let (mut ranks, mut moments) = (self.ranks.clone(), self.moments);
        let (mut since, mut after) = (Ranks::<32, 16>::default(), Moments::default());
        for (ago, off) in (0..).zip(self.offs()) {
            if ago < rows {
                since.learn(off);
                after.learn(f64::from(off));
            } else {
                ranks.learn(off);
                moments.learn(f64::from(off));
            }
        }
        [self.summary(&ranks, moments), self.summary(&since, after)]
    }

    fn summary(&self, ranks: &Ranks<32, 16>, Moments { count, mean, squares }: Moments) -> Summary {
        if count == 0 {
            return Summary::NONE;
        }
        let deviation = (squares / count as f64).max(0.0).sqrt();
        let quantiles = Summary::SHARES.map(|share| self.origin + ranks.quantile(share));
        Summary { count, mean: self.origin + mean, deviation, quantiles }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.origin, self.rows), out);
        self.offs().for_each(|off| put(&off, out));
        self.ranks.encode(out);
        put(&(self.moments.count, self.moments.mean, self.moments.squares), out);
    }

    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut history = Self { origin: take(bytes)?, ..Self::default() };
        history.rows = take_count(bytes, "number of rows")?;
        ensure(history.origin.abs() <= VALUE_MAX, "first value")?;
        for ago in 0..history.rows.min(RECENT as u64) {
            let off: f32 = take(bytes)?;
            ensure(off.is_finite(), "value")?;
            history.recent[((history.rows - 1 - ago) % RECENT as u64) as usize] = off;
        }
        history.ranks = Ranks::decode(bytes)?;
        let count = take_count(bytes, "number of values")?;
        let (mean, squares) = take(bytes)?;
        history.moments = Moments { count, mean, squares };
        let possible = mean.abs() <= f64::from(f32::MAX) && squares <= 1e300;
        ensure(possible && squares >= 0.0, "mean or deviation")?;
        Ok(history)
    }
}
