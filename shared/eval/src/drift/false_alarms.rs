//! Drifts found in series without a change, from their first row on.

use drift::{Mark, Monitor};

use super::{
    Plan, Tests,
    series::{KINDS, Kind, Rows},
};
use crate::{Progress, parallel};

/// Drifts found where there are none, on one kind of series.
#[derive(Clone, Debug, PartialEq)]
pub struct FalseAlarms {
    /// The tests' name.
    pub tests: &'static str,
    /// Rows between two false alarms that were asked for.
    pub run_length: u64,
    /// Values of a row.
    pub values: usize,
    /// The kind's name.
    pub kind: &'static str,
    /// Rows of each series.
    pub rows: u64,
    /// Alarms, by seed.
    pub alarms: Vec<u64>,
}

impl FalseAlarms {
    fn sum(&self) -> f64 {
        self.alarms.iter().sum::<u64>() as f64
    }

    fn rows(&self) -> f64 {
        self.rows as f64 * self.alarms.len() as f64
    }

    /// Rows for each alarm; none without an alarm.
    pub fn mean(&self) -> Option<f64> {
        (self.sum() > 0.0).then(|| self.rows() / self.sum())
    }

    /// Alarms for each one that was asked for: 1 is what was asked for.
    pub fn rate(&self) -> f64 {
        self.sum() * self.run_length as f64 / self.rows()
    }

    /// The ends of the rate's 95 % interval, alarms being Poisson.
    pub fn rate_interval(&self) -> [f64; 2] {
        poisson_interval(self.sum()).map(|end| end * self.run_length as f64 / self.rows())
    }
}

/// Counts alarms of each of the tests on each kind of series without a change, for each number of values.
pub fn false_alarms(all: &[Tests], plan: &Plan, progress: Progress<'_>) -> Vec<FalseAlarms> {
    let mut cells = vec![];
    let mut turns = vec![];
    for tests in all {
        let run_length = plan.run_length.unwrap_or(tests.run_length());
        let rows = plan.lengths * run_length;
        for &(values, seeds) in &plan.stationary {
            if values < 2 && tests.needs_values() {
                continue;
            }
            for kind in KINDS {
                let (tests_name, kind_name, alarms) = (tests.name, kind.name, vec![]);
                turns.extend((0..seeds).map(|seed| (cells.len(), tests, kind, seed)));
                cells.push(FalseAlarms {
                    tests: tests_name,
                    run_length,
                    values,
                    kind: kind_name,
                    rows,
                    alarms,
                });
            }
        }
    }
    // The longest first: both cores end at about the same time.
    turns.sort_by_key(|(cell, ..)| {
        std::cmp::Reverse(cells[*cell].values as u64 * cells[*cell].rows)
    });
    let count = |(cell, tests, kind, seed): &(usize, &Tests, Kind, u64)| {
        let FalseAlarms { run_length, values, rows, .. } = cells[*cell];
        alarms(Monitor::new(&tests.tests, run_length, values), *kind, values, rows, *seed)
    };
    let counted = parallel::map(&turns, count, progress);
    for ((cell, ..), alarms) in turns.iter().zip(counted) {
        cells[*cell].alarms.push(alarms);
    }
    cells
}

fn alarms(mut monitor: Monitor, kind: Kind, values: usize, rows: u64, seed: u64) -> u64 {
    let mut made = Rows::new(kind, values, seed, None);
    let mut values = vec![0.0; values];
    let mut alarms = 0;
    for row in 0..rows {
        made.fill(&mut values);
        alarms += u64::from(monitor.push(&values, Mark { row, at: row as i64 }).is_some());
    }
    alarms
}

/// The 95 % interval of the mean of a Poisson number that was seen (Byar's approximation of the exact one: at most
/// 0.04 off).
fn poisson_interval(seen: f64) -> [f64; 2] {
    const Z: f64 = 1.959_963_985;
    let end = |count: f64, z: f64| {
        let root = 1.0 - 1.0 / (9.0 * count) + z / (3.0 * count.sqrt());
        count * root * root * root
    };
    let low = if seen > 0.0 { end(seen, -Z).max(0.0) } else { 0.0 };
    [low, end(seen + 1.0, Z)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_poissons() {
        // Exact ones, from chi-square tables.
        for (seen, low, high) in
            [(0.0, 0.0, 3.689), (1.0, 0.025, 5.572), (10.0, 4.795, 18.39), (100.0, 81.36, 121.6)]
        {
            let found = poisson_interval(seen);
            assert!((found[0] - low).abs() < 0.1 && (found[1] - high).abs() < 0.1, "{found:?}");
        }
    }
}
