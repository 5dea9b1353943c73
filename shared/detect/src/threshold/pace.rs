//! How far apart a series' rows are.

use domain::{
    Micros,
    encoding::{DecodeError, ensure, put, take},
};

/// The interval before two rows were seen, in microseconds: a minute.
const INTERVAL: f64 = 60e6;
/// A gap counts as so many intervals at most.
const GAP_MAX: f64 = 8.0;
/// Rows in a block, once the series is no longer young.
const BLOCK_MAX: u32 = 64;
/// What a block counts against those before it.
const SHARE: f64 = 0.25;
/// No interval is longer: that of all time.
const INTERVAL_MAX: f64 = 2e19;

/// The mean interval of a series, of blocks of rows that double in length.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pace {
    last_at: Option<Micros>,
    /// Of the blocks before, in microseconds.
    interval: Option<f64>,
    /// Sum and number of the present block's intervals.
    sum: f64,
    rows: u32,
    /// How many intervals make the present block full, as a power of 2.
    block: u8,
}

impl Pace {
    /// The mean interval, in microseconds.
    pub(super) fn interval(&self) -> f64 {
        self.interval.unwrap_or(INTERVAL)
    }

    /// Learns a row's event time. Answers how long it was since the one before: not below 0, and
    /// at most some intervals, since a series that was away had no rows to be judged.
    pub(super) fn learn(&mut self, at: Micros) -> f64 {
        let last = self.last_at.replace(self.last_at.map_or(at, |last| last.max(at)));
        let Some(since) = last.map(|last| at.saturating_sub(last)).filter(|since| *since > 0)
        else {
            return 0.0;
        };
        let most = self.interval.map_or(INTERVAL_MAX, |interval| GAP_MAX * interval);
        let since = (since as f64).min(most);
        self.sum += since;
        self.rows += 1;
        if self.rows >= 1 << self.block {
            let mean = self.sum / f64::from(self.rows);
            let before = self.interval.unwrap_or(mean);
            self.interval = Some(before + SHARE * (mean - before));
            (self.sum, self.rows) = (0.0, 0);
            self.block = (self.block + 1).min(BLOCK_MAX.ilog2() as u8);
        }
        since
    }

    /// Whether the last row changed the interval.
    pub(super) fn has_changed(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.last_at, self.interval, self.sum, self.rows, self.block), out);
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (last_at, interval, sum, rows, block) = take(bytes)?;
        let pace = Self { last_at, interval, sum, rows, block };
        ensure(pace.block <= BLOCK_MAX.ilog2() as u8, "block of rows")?;
        ensure(pace.rows < 1 << pace.block, "rows of a block")?;
        ensure(pace.interval.is_none_or(|i| 0.0 < i && i <= INTERVAL_MAX), "interval")?;
        ensure(
            (0.0..=f64::from(BLOCK_MAX) * INTERVAL_MAX).contains(&pace.sum),
            "sum of intervals",
        )?;
        Ok(pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_rows_and_gaps_hardly_count() {
        let mut pace = Pace::default();
        assert_eq!((pace.interval(), pace.learn(1_000)), (INTERVAL, 0.0));
        let mut at = 1_000;
        for row in 0..2_000 {
            at += if row == 1_500 { 1_000_000_000_000 } else { 5_000_000 };
            let since = pace.learn(at);
            assert!(since == 5e6 || (row == 1_500 && since < 8.1 * 5e6));
        }
        assert!((pace.interval() - 5e6).abs() < 1e5, "{}", pace.interval());
        assert_eq!((pace.learn(at), pace.learn(at - 7)), (0.0, 0.0));
    }
}
