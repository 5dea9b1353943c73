//! Rows a second of a series on one core, with calibration, threshold and incident: `cargo bench -p oddwatch-detect`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark times and tells")]

use std::time::Instant;

use domain::{Algorithm, Detector};
use oddwatch_detect::SeriesModel;
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

const ROWS: usize = 4096;
const ROUNDS: usize = 5;

fn main() {
    let trees = |trees, depth, window| Algorithm::HalfSpaceTrees { trees, depth, window };
    measure("robust z, window 256, 1 value", Algorithm::RobustZ { window: 256 }, 1);
    measure("robust z, window 10000, 1 value", Algorithm::RobustZ { window: 10_000 }, 1);
    measure("robust z, window 256, 10 values", Algorithm::RobustZ { window: 256 }, 10);
    measure("half-space trees 25 x 10, window 250, 10 values", trees(25, 10, 250), 10);
    measure("half-space trees 25 x 15, window 250, 10 values", trees(25, 15, 250), 10);
    measure("half-space trees 25 x 10, window 250, 3 values", trees(25, 10, 250), 3);
}

fn measure(name: &str, algorithm: Algorithm, values: usize) {
    let mut detector = Detector::implicit("bench");
    detector.algorithm = algorithm;
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut uniform = || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let rows: Vec<f64> = (0..ROWS * values).map(|_| (0..6).map(|_| uniform()).sum()).collect();
    let mut series = SeriesModel::new(&detector, values, 1);
    let mut pass = |times: usize| {
        let (started, mut sum) = (Instant::now(), 0.0);
        for _ in 0..times {
            for row in rows.chunks_exact(values) {
                sum += series.assess(row, true, 0).score;
            }
        }
        assert!(sum > 0.0);
        (times * ROWS) as f64 / started.elapsed().as_secs_f64()
    };
    pass(4);
    let best = (0..ROUNDS).map(|_| pass(16)).fold(0.0, f64::max);
    println!("{name:50} {best:>12.0} rows/s {:>9} bytes", series.bytes());
}
