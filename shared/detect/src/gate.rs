//! Keeps anomalies from being learned, for some time: a fault of hundreds of rows must not be taken for normal
//! after the first ones. What lasts for thousands is the new normal.

use domain::encoding::{DecodeError, ensure, put, take};

/// After so many rows a lasting anomaly is learned.
pub(crate) const GATE_ROWS: u32 = 3000;
/// A row counts in a smoothed score as so many deviations at most.
pub(crate) const SMOOTHED_MAX: f64 = 8.0;
/// From this row on scores say something about what is usual: before, the units are a guess.
pub(crate) const USUAL_FROM: u64 = 8;
/// Share of a row in a smoothed score.
const RATE: f64 = 1.0 / 16.0;

/// Tells which rows are learned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gate {
    rows_max: u32,
    /// The smoothed score, in deviations.
    smoothed: f64,
    /// For how many rows it has been closed; from `rows_max` on it is open.
    rows: u32,
}

impl Gate {
    /// It closes above the second, and opens below the first.
    const CLOSED: (f64, f64) = (1.0, 2.0);
    /// Of the rows before a closed gate one in so many is let in.
    const LEAK: u64 = 50;
    /// The first rows are let in.
    const FIRST: u64 = 64;

    /// One that lets everything in after it has been closed for so many rows.
    pub(crate) fn new(rows_max: u32) -> Self {
        Self { rows_max, smoothed: 0.0, rows: 0 }
    }

    /// Whether the row of this number is to be learned, whose score is so many deviations above the usual.
    pub(crate) fn lets_in(&mut self, score: f64, row: u64) -> bool {
        self.smoothed = smoothed(self.smoothed, score);
        // A row that far out must not move the units by which the next ones are judged.
        let wild = score >= SMOOTHED_MAX;
        if row <= Self::FIRST || self.rows_max == 0 {
            return true;
        }
        if self.smoothed < Self::CLOSED.0 {
            self.rows = 0;
            return !wild || row.is_multiple_of(Self::LEAK);
        }
        let closed = wild || self.rows > 0 || self.smoothed > Self::CLOSED.1;
        if !closed || self.rows == self.rows_max {
            return true;
        }
        self.rows += 1;
        row.is_multiple_of(Self::LEAK)
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.smoothed, self.rows), out);
    }

    /// Puts what [`encode`](Self::encode) appended into a new one.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        (self.smoothed, self.rows) = take(bytes)?;
        ensure(self.smoothed.abs() <= SMOOTHED_MAX, "smoothed score")?;
        ensure(self.rows <= self.rows_max, "rows of a gate")
    }
}

/// A smoothed score with one more.
pub(crate) fn smoothed(before: f64, score: f64) -> f64 {
    before + RATE * (score.clamp(-SMOOTHED_MAX, SMOOTHED_MAX) - before)
}

/// Deviations from the usual, of either sign, as units above 0: about 1 for a usual row, about as many as the
/// deviations far above. It rises everywhere, so that the order of usual rows is kept.
pub(crate) fn raised(deviations: f64) -> f64 {
    let root = (deviations * deviations + 4.0).sqrt();
    // The same for both signs; the first loses all digits far below 0.
    if deviations > 0.0 { 0.5 * (root + deviations) } else { 2.0 / (root - deviations) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these scores are let in, from row 100 on.
    fn let_in(gate: &mut Gate, scores: impl Iterator<Item = f64>) -> usize {
        (100..).zip(scores).filter(|(row, score)| gate.lets_in(*score, *row)).count()
    }

    #[test]
    fn what_lasts_is_kept_out_for_some_time() {
        let mut gate = Gate::new(1000);
        let of = |score, rows| std::iter::repeat_n(score, rows);
        assert_eq!(let_in(&mut gate, of(0.0, 100)), 100);
        assert_eq!(let_in(&mut gate, of(20.0, 5)), 1, "one in fifty");
        assert!(let_in(&mut gate, of(0.0, 60)) > 40);
        assert_eq!(let_in(&mut gate, of(0.0, 100)), 100, "over");
        let fault = let_in(&mut gate, of(4.0, 1000));
        assert!((20..40).contains(&fault), "{fault}");
        assert!(let_in(&mut gate, of(4.0, 500)) > 480, "the new normal");
        assert_eq!(let_in(&mut Gate::new(0), of(20.0, 500)), 500, "no gate");
    }

    #[test]
    fn units_rise() {
        assert_eq!(raised(0.0), 1.0);
        assert!((raised(100.0) - 100.0).abs() < 0.02 && raised(-1e6) > raised(-2e6));
        let points = || (-500..500).map(|x| raised(f64::from(x) / 10.0));
        assert!(points().zip(points().skip(1)).all(|(low, high)| 0.0 < low && low < high));
    }
}
