//! Rows a second of each textbook test, and of a series' monitor, on one core: `cargo bench -p oddwatch-drift [--bench tests -- NAME…]`.
//!
//! With `ODDWATCH_BENCH_VALUES` the values are those of a file, one a line: `./dev bench drift` gives River the same.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark times and tells")]

use std::{env, fs, time::Instant};

use domain::DriftTest;
use oddwatch_drift::{
    Mark, Monitor,
    textbook::{Adwin, Cusum, HddmA, HddmW, Kswin, PageHinkley, Psi, Test, Wasserstein},
};

/// How many rounds the best one is taken of, unless `ODDWATCH_BENCH_ROUNDS` says so.
const ROUNDS: usize = 5;
/// Rows of a lap: less than a millisecond.
const LAP: usize = 1440;
/// For how long a round goes on at least.
const SECONDS_MIN: f64 = 0.1;

fn main() {
    let values = values();
    measure::<Adwin>("ADWIN", &values);
    measure::<PageHinkley>("Page-Hinkley", &values);
    measure::<HddmA>("HDDM-A", &values);
    measure::<HddmW>("HDDM-W", &values);
    measure::<Kswin>("KSWIN", &values);
    measure::<Psi>("PSI", &values);
    measure::<Wasserstein>("Wasserstein", &values);
    measure::<Cusum>("CUSUM", &values);
    for (name, width) in [("monitor, 1 value", 1), ("monitor, 8 values", 8)] {
        monitor(name, width);
    }
}

/// Measures what windowing runs on each series by default, on noise that remembers half of the row before.
fn monitor(name: &str, width: usize) {
    if !is_wanted(name) {
        return;
    }
    const ROWS: usize = 100_000;
    let mut state = 7_u64;
    let mut before = vec![0.0; width];
    let mut rows = Vec::with_capacity(ROWS * width);
    for _ in 0..ROWS {
        for value in &mut before {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *value = 0.5 * *value + (state >> 11) as f64 / (1_u64 << 53) as f64;
            rows.push(*value);
        }
    }
    let (mut best, mut drifts, mut bytes) = (0.0_f64, 0, 0);
    for _ in 0..ROUNDS {
        let mut monitor = Monitor::new(&DriftTest::DEFAULT, 50_000, width);
        let started = Instant::now();
        drifts = (1..).zip(rows.chunks_exact(width)).fold(0, |drifts, (row, values)| {
            let found = monitor.push(values, Mark { row, at: row as i64 });
            drifts + u32::from(found.is_some())
        });
        best = best.max(ROWS as f64 / started.elapsed().as_secs_f64());
        bytes = monitor.bytes();
    }
    println!("{name:20} {best:>12.0} rows/s {bytes:>9} bytes {drifts:>9} drifts");
}

/// Whether the name has what the first argument asks for.
fn is_wanted(name: &str) -> bool {
    let mut wanted = env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    wanted.peek().is_none() || wanted.any(|wanted| name.contains(&wanted))
}

/// Four hours of noise whose mean goes up and down every two hours, at one row a second; or those of the file.
fn values() -> Vec<f64> {
    if let Ok(path) = env::var("ODDWATCH_BENCH_VALUES") {
        let text = fs::read_to_string(path).expect("the file of values can be read");
        return text.lines().map(|line| line.parse().expect("a number")).collect();
    }
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let level = |row: usize| if row < 7200 { 0.3 } else { 0.6 };
    (0..14_400).map(|row| level(row) + 0.1 * uniform()).collect()
}

/// Measures a test if it is wanted. It starts anew after each change, as River's do.
fn measure<T: Test>(name: &str, values: &[f64]) {
    if !is_wanted(name) {
        return;
    }
    let mut test = T::new(T::Parameters::default());
    let mut changes = 0;
    // The median of laps: what else runs on the machine stops a few of them only.
    let mut round = || {
        let (mut laps, mut seconds) = (vec![], 0.0);
        while seconds < SECONDS_MIN {
            for lap in values.chunks_exact(LAP) {
                let started = Instant::now();
                for &x in lap {
                    if test.push(x).is_some() {
                        test.restart();
                        changes += 1;
                    }
                }
                laps.push(started.elapsed().as_secs_f64());
                seconds += laps[laps.len() - 1];
            }
        }
        laps.sort_by(f64::total_cmp);
        LAP as f64 / laps[laps.len() / 2]
    };
    let rounds = env::var("ODDWATCH_BENCH_ROUNDS").map_or(ROUNDS, |n| n.parse().expect("a number"));
    let best = (0..rounds).map(|_| round()).fold(0.0, f64::max);
    println!("{name:20} {best:>12.0} rows/s {:>9} bytes {changes:>9} changes", test.bytes());
}
