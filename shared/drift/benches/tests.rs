//! Rows a second of each textbook test on one core: `cargo bench -p oddwatch-drift [--bench tests -- NAME…]`.
//!
//! With `ODDWATCH_BENCH_VALUES` the values are those of a file, one a line: `./dev bench drift` gives River the same.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark times and tells")]

use std::{env, fs, time::Instant};

use oddwatch_drift::textbook::{
    Adwin, Cusum, HddmA, HddmW, Kswin, PageHinkley, Psi, Test, Wasserstein,
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

/// Measures if the name has what the first argument asks for. It starts anew after each change, as River's do.
fn measure<T: Test>(name: &str, values: &[f64]) {
    let mut wanted = env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|wanted| name.contains(&wanted)) {
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
