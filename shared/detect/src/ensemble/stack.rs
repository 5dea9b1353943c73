//! Stacking (Wolpert 1992, "Stacked generalization"): which members of an ensemble to believe, learned from what people
//! say of rows. A logistic regression of "it was odd" on the members' surprises, whose coefficients are the members'
//! weights. Each piece of feedback updates a normal belief about them in closed form (Spiegelhalter & Lauritzen 1990,
//! "Sequential updating of conditional probabilities on directed graphical structures"), which is ridge regression
//! towards the weights that were given: before the first piece, and after little of it, the ensemble is their mean.
//!
//! Only the ratios of weights count: how surprising the whole is, is calibrated by its past anyway. So feedback
//! moves whom the ensemble believes, not its threshold. It is learned by each series for itself, and can be given for
//! the last 256 rows, whose surprises are kept.

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take, take_count},
};

/// Feedback finds so many rows.
pub(super) const ROWS: usize = 256;
/// Surprises are at most taken for so many decades.
const SURPRISE_MAX: f64 = 12.0;
/// A row of so many decades is as likely odd as not, as far as is known beforehand.
const EVEN: f64 = 4.0;
/// Variance of the belief about a weight, where all weights sum to 1, and about where rows are even.
const VARIANCE: (f64, f64) = (0.25, 4.0);
/// A member counts at least this share of what it was given: it may be the one that sees the next anomaly.
const SHARE_MIN: f64 = 0.02;
/// In the place of a surprise, of a member that knows nothing of the row.
pub(super) const SILENT: f64 = -1.0;
/// Coefficients stay within it.
const COEFFICIENT_MAX: f64 = 1e3;
/// One for each member, and where rows are even.
const COEFFICIENTS_MAX: usize = Algorithm::MEMBERS_MAX + 1;

/// What feedback has taught, and the rows it can be given for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stack {
    /// The weights as they were given, summing to 1.
    given: Box<[f64]>,
    /// One for each member, and the constant.
    coefficients: Box<[f64]>,
    /// The covariance of the belief about them, by rows.
    covariance: Box<[f64]>,
    /// The numbers of the last rows; the oldest is written over.
    numbers: Box<[u64]>,
    /// Their members' surprises, or [`SILENT`].
    surprises: Box<[f32]>,
    /// How many rows were kept so far.
    kept: u64,
}

impl Stack {
    pub(super) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        let given: Box<[f64]> = weights.iter().map(|weight| weight / sum).collect();
        let (members, size) = (given.len(), given.len() + 1);
        let variance = |at: usize| if at < members { VARIANCE.0 } else { VARIANCE.1 };
        let entry = |at: usize| if at.is_multiple_of(size + 1) { variance(at / size) } else { 0.0 };
        Self {
            coefficients: given.iter().copied().chain([-EVEN]).collect(),
            covariance: (0..size * size).map(entry).collect(),
            numbers: vec![0; ROWS].into(),
            surprises: vec![SILENT as f32; ROWS * members].into(),
            kept: 0,
            given,
        }
    }

    pub(super) fn bytes_for(members: usize) -> usize {
        let size = members + 1;
        let numbers = members + size + size * size;
        numbers * size_of::<f64>() + ROWS * (size_of::<u64>() + members * size_of::<f32>())
    }

    /// How much a member counts.
    pub(super) fn weight(&self, member: usize) -> f64 {
        self.coefficients[member].max(SHARE_MIN * self.given[member])
    }

    /// Keeps what the members say of the row of this number: surprises or [`SILENT`].
    pub(super) fn remember(&mut self, row: u64, surprises: impl Iterator<Item = f64>) {
        let members = self.given.len();
        let at = (self.kept % ROWS as u64) as usize;
        self.numbers[at] = row;
        let kept = &mut self.surprises[at * members..(at + 1) * members];
        for (kept, surprise) in kept.iter_mut().zip(surprises) {
            *kept = surprise.min(SURPRISE_MAX) as f32;
        }
        self.kept += 1;
    }

    /// Learns whether the row of this number was odd; false if it is not known any more, or nobody said anything
    /// of it.
    pub(super) fn learn(&mut self, row: u64, odd: bool) -> bool {
        let rows = self.kept.min(ROWS as u64) as usize;
        let Some(at) = (0..rows).find(|&at| self.numbers[at] == row) else { return false };
        let mut inputs = [0.0; COEFFICIENTS_MAX];
        let known = self.inputs(at, &mut inputs);
        if known {
            self.update(&inputs[..self.coefficients.len()], odd);
        }
        known
    }

    /// The surprises of a row and a one; who says nothing is taken to agree with the others.
    fn inputs(&self, at: usize, inputs: &mut [f64; COEFFICIENTS_MAX]) -> bool {
        let members = self.given.len();
        let kept = &self.surprises[at * members..(at + 1) * members];
        let (mut sum, mut weights) = (0.0, 0.0);
        for (surprise, given) in kept.iter().zip(&self.given).filter(|(s, _)| **s >= 0.0) {
            (sum, weights) = (sum + given * f64::from(*surprise), weights + given);
        }
        for (input, surprise) in inputs.iter_mut().zip(kept) {
            *input = if *surprise >= 0.0 { f64::from(*surprise) } else { sum / weights };
        }
        inputs[members] = 1.0;
        weights > 0.0
    }

    fn update(&mut self, inputs: &[f64], odd: bool) {
        let size = inputs.len();
        let along: f64 = inputs.iter().zip(&self.coefficients).map(|(x, c)| x * c).sum();
        let chance = 1.0 / (1.0 + libm::exp(-along));
        let information = (chance * (1.0 - chance)).max(1e-9);
        let mut reach = [0.0; COEFFICIENTS_MAX];
        for (reach, row) in reach.iter_mut().zip(self.covariance.chunks_exact(size)) {
            *reach = row.iter().zip(inputs).map(|(c, x)| c * x).sum();
        }
        let reach = &reach[..size];
        let spread: f64 = reach.iter().zip(inputs).map(|(r, x)| r * x).sum();
        let shrink = 1.0 + information * spread.max(0.0);
        for (at, row) in self.covariance.chunks_exact_mut(size).enumerate() {
            for (entry, other) in row.iter_mut().zip(reach) {
                *entry -= information / shrink * reach[at] * other;
            }
        }
        let error = if odd { 1.0 - chance } else { -chance };
        for (coefficient, reach) in self.coefficients.iter_mut().zip(reach) {
            *coefficient += reach / shrink * error;
            *coefficient = coefficient.clamp(-COEFFICIENT_MAX, COEFFICIENT_MAX);
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.kept, out);
        self.coefficients.iter().chain(&self.covariance).for_each(|number| put(number, out));
        let members = self.given.len();
        for at in 0..self.kept.min(ROWS as u64) as usize {
            put(&self.numbers[at], out);
            self.surprises[at * members..(at + 1) * members].iter().for_each(|s| put(s, out));
        }
    }

    /// Into a new one of the same members.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.kept = take_count(bytes, "number of remembered rows")?;
        for coefficient in &mut self.coefficients {
            *coefficient = take(bytes)?;
            ensure(coefficient.abs() <= COEFFICIENT_MAX, "weight of a member")?;
        }
        for entry in &mut self.covariance {
            *entry = take(bytes)?;
            ensure(entry.abs() <= VARIANCE.1, "covariance of weights")?;
        }
        let members = self.given.len();
        for at in 0..self.kept.min(ROWS as u64) as usize {
            self.numbers[at] = take(bytes)?;
            for surprise in &mut self.surprises[at * members..(at + 1) * members] {
                *surprise = take(bytes)?;
                let said = (0.0..=SURPRISE_MAX as f32).contains(surprise);
                let possible = said || *surprise == SILENT as f32;
                ensure(possible, "remembered surprise")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stack(weights: &[f64]) -> Stack {
        Stack::new(weights.iter().copied())
    }

    /// The inverse, by Gauss and Jordan.
    fn inverse(matrix: &[f64], size: usize) -> Vec<f64> {
        let mut rows: Vec<Vec<f64>> = matrix
            .chunks(size)
            .enumerate()
            .map(|(at, row)| {
                let unit = (0..size).map(|column| f64::from(u8::from(column == at)));
                row.iter().copied().chain(unit).collect()
            })
            .collect();
        for pivot in 0..size {
            let scale = rows[pivot][pivot];
            rows[pivot].iter_mut().for_each(|entry| *entry /= scale);
            let by = rows[pivot].clone();
            for (_, row) in rows.iter_mut().enumerate().filter(|(at, _)| *at != pivot) {
                let factor = row[pivot];
                row.iter_mut().zip(&by).for_each(|(entry, by)| *entry -= factor * by);
            }
        }
        rows.iter().flat_map(|row| row[size..].to_vec()).collect()
    }

    proptest! {
        /// The covariance is the inverse of the summed information, and coefficients go along it.
        #[test]
        fn updates_are_what_their_definition_says(
            told in prop::collection::vec(((0.0..9.0_f64, 0.0..9.0_f64), any::<bool>()), 1..40),
        ) {
            let mut stack = stack(&[1.0, 3.0]);
            let mut information = inverse(&stack.covariance, 3);
            for ((a, b), odd) in told {
                let inputs = [a, b, 1.0];
                let before = stack.coefficients.clone();
                let along: f64 = inputs.iter().zip(&before).map(|(x, c)| x * c).sum();
                let chance = 1.0 / (1.0 + libm::exp(-along));
                for (at, entry) in information.iter_mut().enumerate() {
                    *entry += (chance * (1.0 - chance)).max(1e-9) * inputs[at / 3] * inputs[at % 3];
                }
                let covariance = inverse(&information, 3);
                stack.update(&inputs, odd);
                for (at, entry) in stack.covariance.iter().enumerate() {
                    prop_assert!((entry - covariance[at]).abs() < 1e-8);
                }
                for at in 0..3 {
                    let reach: f64 = (0..3).map(|by| covariance[3 * at + by] * inputs[by]).sum();
                    let error = f64::from(u8::from(odd)) - chance;
                    let expected = before[at] + reach * error;
                    prop_assert!((stack.coefficients[at] - expected).abs() < 1e-8);
                }
            }
        }
    }

    #[test]
    fn who_was_right_is_believed() {
        let mut stack = stack(&[1.0, 1.0]);
        assert_eq!((stack.weight(0), stack.weight(1)), (0.5, 0.5));
        for row in 0..40 {
            let odd = row % 4 == 0;
            let first = if odd { 6.0 } else { 0.3 };
            let second = if row % 3 == 0 { 6.0 } else { 0.3 };
            stack.remember(row, [first, second].into_iter());
            assert!(stack.learn(row, odd));
        }
        assert!(stack.weight(0) > 3.0 * stack.weight(1), "{:?}", stack.coefficients);
        assert!(stack.weight(1) >= 0.01, "never unheard");
    }

    #[test]
    fn only_the_last_rows_are_known() {
        let mut stack = stack(&[1.0]);
        assert!(!stack.learn(0, true), "nothing was kept yet");
        for row in 10..10 + ROWS as u64 + 1 {
            stack.remember(row, [1.0].into_iter());
        }
        let newest = 10 + ROWS as u64;
        assert!(!stack.learn(10, true) && stack.learn(11, true) && stack.learn(newest, false));
        assert!(!stack.learn(newest + 1, true));
        stack.remember(newest + 1, [SILENT].into_iter());
        let before = stack.clone();
        assert!(!stack.learn(newest + 1, true), "nobody said anything of it");
        assert_eq!(before, stack);
    }
}
