//! How soon a change is found.

use drift::{Mark, Monitor};

use super::{
    Plan, RUN_LENGTH, Tests,
    series::{Change, KINDS, Kind, Rows},
};
use crate::{Estimate, Progress, parallel};

/// The row of the change.
const FROM: u64 = 5_000;
/// A change is missed if it is not found within so many rows.
pub const WITHIN: u64 = 2_000;
/// Rows after the change in which further drifts are counted.
const AFTER: u64 = 4_000;

/// What became of one change in series of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    /// The tests' name.
    pub tests: &'static str,
    /// Rows between two false alarms that were asked for.
    pub run_length: u64,
    /// Values of a row, of which the first changes.
    pub values: usize,
    /// The kind's name.
    pub kind: &'static str,
    /// The change's name.
    pub change: &'static str,
    /// Rows until it was found, the first changed one included, by seed; none: missed.
    pub delays: Vec<Option<u64>>,
    /// Further drifts within 4,000 rows of the change, by seed.
    pub further: Vec<u64>,
}

impl Delay {
    /// The delays of the changes that were found.
    pub fn found(&self) -> Estimate {
        let found: Vec<f64> = self.delays.iter().flatten().map(|rows| *rows as f64).collect();
        Estimate::of(&found)
    }

    /// The median delay, a miss being longer than all; none if it is a miss.
    pub fn median(&self) -> Option<f64> {
        let mut all: Vec<u64> = self.delays.iter().map(|rows| rows.unwrap_or(u64::MAX)).collect();
        all.sort_unstable();
        let middle = *all.get(all.len() / 2)?;
        (middle < u64::MAX).then_some(middle as f64)
    }

    /// Changes that were not found.
    pub fn misses(&self) -> usize {
        self.delays.iter().filter(|rows| rows.is_none()).count()
    }

    /// The ends of the 95 % interval of the share of misses (Wilson 1927).
    pub fn miss_interval(&self) -> [f64; 2] {
        const Z: f64 = 1.959_963_985;
        let n = self.delays.len() as f64;
        let share = self.misses() as f64 / n;
        let middle = share + Z * Z / (2.0 * n);
        let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        [((middle - reach) / scale).max(0.0), ((middle + reach) / scale).min(1.0)]
    }
}

/// Runs each of the tests on each kind of series with each change. Rows are of one value; for the default tests of
/// five as well; for a test of values together of five only.
pub fn delays(all: &[Tests], plan: &Plan, progress: Progress<'_>) -> Vec<Delay> {
    let run_length = plan.run_length.unwrap_or(RUN_LENGTH);
    let mut cells = vec![];
    let mut turns = vec![];
    for tests in all {
        let numbers: &[usize] = match tests.name {
            super::DEFAULT => &[1, 5],
            _ if tests.needs_values() => &[5],
            _ => &[1],
        };
        for &values in numbers {
            for kind in KINDS {
                for change in kind.changes(values) {
                    let seeds = 0..plan.changed;
                    turns.extend(seeds.map(|seed| (cells.len(), tests, kind, change, seed)));
                    let (delays, further) = (vec![], vec![]);
                    let (tests, kind, change) = (tests.name, kind.name, change.name());
                    cells.push(Delay { tests, run_length, values, kind, change, delays, further });
                }
            }
        }
    }
    let run = |(cell, tests, kind, change, seed): &(usize, &Tests, Kind, Change, u64)| {
        let values = cells[*cell].values;
        run(Monitor::new(&tests.tests, run_length, values), *kind, values, *change, *seed)
    };
    let found = parallel::map(&turns, run, progress);
    for ((cell, ..), (delay, further)) in turns.iter().zip(found) {
        cells[*cell].delays.push(delay);
        cells[*cell].further.push(further);
    }
    cells
}

/// Rows until a change was found, if in time, and how often it was found once more.
fn run(
    mut monitor: Monitor,
    kind: Kind,
    values: usize,
    change: Change,
    seed: u64,
) -> (Option<u64>, u64) {
    // Seeds of their own: no series is one of those without a change.
    let mut made = Rows::new(kind, values, seed + 1_000_000, Some((change, FROM)));
    let mut values = vec![0.0; values];
    let (mut delay, mut further) = (None, 0);
    for row in 0..FROM + AFTER {
        made.fill(&mut values);
        let found = monitor.push(&values, Mark { row, at: row as i64 }).is_some();
        if !found || row < FROM {
            continue;
        }
        let rows = row - FROM + 1;
        if delay.is_none() && rows <= WITHIN {
            delay = Some(rows);
        } else {
            further += 1;
        }
    }
    (delay, further)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_are_longer_than_all_and_have_wilsons_interval() {
        let of = |delays: Vec<Option<u64>>| {
            let (tests, kind, change) = ("cusum", "iid", "step 1");
            let further = vec![0; delays.len()];
            Delay { tests, run_length: 1_000, values: 1, kind, change, delays, further }
        };
        let most = of(vec![Some(9), None, Some(3)]);
        assert_eq!((most.median(), most.misses(), most.found().mean), (Some(9.0), 1, 6.0));
        assert_eq!(of(vec![None, None, Some(3)]).median(), None);
        // By hand: 1 of 10, (.1 + .19207 +- 1.96 * .13586) / 1.38415.
        let one = of([vec![None], vec![Some(1); 9]].concat());
        let [low, high] = one.miss_interval();
        assert!((low - 0.0179).abs() < 2e-3 && (high - 0.4042).abs() < 2e-3, "{low} {high}");
    }
}
