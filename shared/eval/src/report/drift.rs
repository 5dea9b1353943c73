//! The tables and charts of tests for drift.

use super::{Bar, Cell, Table};
use crate::drift::{Delay, FalseAlarms, RATE_TOLERANCE, WITHIN};

/// False alarms on series without a change.
pub fn false_alarm_table(all: &[FalseAlarms]) -> Table {
    let mut table = Table::new(&[
        "tests",
        "values",
        "series",
        "wanted run length",
        "rows",
        "alarms",
        "mean run length",
        "95 % from",
        "to",
        "rate for 1 wanted",
        "rate 95 % from",
        "rate to",
        "within 25 %",
    ]);
    for one in all {
        let seeds = one.alarms.len() as u64;
        let [low, high] = one.rate_interval();
        let wanted = one.run_length as f64;
        let longest = (low > 0.0).then(|| wanted / low);
        table.push(vec![
            Cell::text(one.tests),
            Cell::count(one.values),
            Cell::text(one.kind),
            Cell::Number(wanted, 0),
            Cell::Number((seeds * one.rows) as f64, 0),
            Cell::Number(one.alarms.iter().sum::<u64>() as f64, 0),
            Cell::number(one.mean(), 0),
            Cell::Number(wanted / high, 0),
            Cell::number(longest, 0),
            Cell::Number(one.rate(), 2),
            Cell::Number(low, 2),
            Cell::Number(high, 2),
            Cell::text(kept(one)),
        ]);
    }
    table
}

/// Whether the rate is what was asked for, to a quarter; "perhaps" if the interval of one that is not has some that is.
fn kept(one: &FalseAlarms) -> &'static str {
    let [low, high] = one.rate_interval();
    if (one.rate() - 1.0).abs() <= RATE_TOLERANCE {
        "yes"
    } else if low <= 1.0 + RATE_TOLERANCE && high >= 1.0 - RATE_TOLERANCE {
        "perhaps"
    } else {
        "no"
    }
}

/// The rates of the first tests, with their intervals.
pub fn false_alarm_bars(all: &[FalseAlarms]) -> Vec<Bar> {
    let first = all.first().map(|one| one.tests);
    let bar = |one: &FalseAlarms| {
        let values = if one.values == 1 { "value" } else { "values" };
        let [low, high] = one.rate_interval();
        Bar::new(format!("{}, {} {values}, {}", one.tests, one.values, one.kind), one.rate())
            .within(low, high)
    };
    all.iter().filter(|one| Some(one.tests) == first).map(bar).collect()
}

/// Delays and misses of changes.
pub fn delay_table(all: &[Delay]) -> Table {
    let mut table = Table::new(&[
        "tests",
        "values",
        "series",
        "change of one value",
        "wanted run length",
        "changes",
        "mean delay",
        "95 % from",
        "to",
        "median delay",
        "misses",
        "miss rate",
        "rate 95 % from",
        "rate to",
        "further drifts for each",
    ]);
    for one in all {
        let (found, count) = (one.found(), one.delays.len());
        let [low, high] = one.miss_interval();
        table.push(vec![
            Cell::text(one.tests),
            Cell::count(one.values),
            Cell::text(one.kind),
            Cell::text(one.change),
            Cell::Number(one.run_length as f64, 0),
            Cell::count(count),
            Cell::Number(found.mean, 1),
            Cell::Number(found.low.max(1.0), 1),
            Cell::Number(found.high, 1),
            Cell::number(one.median(), 0),
            Cell::count(one.misses()),
            Cell::Number(one.misses() as f64 / count as f64, 2),
            Cell::Number(low, 2),
            Cell::Number(high, 2),
            Cell::Number(one.further.iter().sum::<u64>() as f64 / count as f64, 2),
        ]);
    }
    table
}

/// The mean delays of the first tests with the fewest values, with their intervals.
pub fn delay_bars(all: &[Delay]) -> Vec<Bar> {
    let first = all.first().map(|one| (one.tests, one.values));
    let bar = |one: &Delay| {
        let found = one.found();
        let label = format!(
            "{}: {} ({} of {} missed)",
            one.kind,
            one.change,
            one.misses(),
            one.delays.len()
        );
        Bar::new(label, found.mean).within(found.low.max(0.0), found.high.min(WITHIN as f64))
    };
    all.iter().filter(|one| Some((one.tests, one.values)) == first).map(bar).collect()
}

/// Each series: its alarms if it has no change; else the delay, missing if the change was missed, and further drifts.
pub fn drift_seed_table(stationary: &[FalseAlarms], changed: &[Delay]) -> Table {
    let mut table = Table::new(&[
        "tests",
        "values",
        "series",
        "change",
        "seed",
        "run length",
        "rows",
        "alarms",
        "delay",
        "further",
    ]);
    let missing = Cell::number(None, 0);
    for one in stationary {
        for (seed, alarms) in one.alarms.iter().enumerate() {
            table.push(vec![
                Cell::text(one.tests),
                Cell::count(one.values),
                Cell::text(one.kind),
                Cell::text("none"),
                Cell::count(seed),
                Cell::Number(one.run_length as f64, 0),
                Cell::Number(one.rows as f64, 0),
                Cell::Number(*alarms as f64, 0),
                missing.clone(),
                missing.clone(),
            ]);
        }
    }
    for one in changed {
        for (seed, (delay, further)) in one.delays.iter().zip(&one.further).enumerate() {
            table.push(vec![
                Cell::text(one.tests),
                Cell::count(one.values),
                Cell::text(one.kind),
                Cell::text(one.change),
                Cell::count(seed),
                Cell::Number(one.run_length as f64, 0),
                missing.clone(),
                missing.clone(),
                Cell::number(delay.map(|rows| rows as f64), 0),
                Cell::Number(*further as f64, 0),
            ]);
        }
    }
    table
}
