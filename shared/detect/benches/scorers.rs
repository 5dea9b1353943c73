//! Rows a second of a series on one core, with calibration, threshold and incident: `cargo bench -p oddwatch-detect`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark times and tells")]

use std::time::Instant;

use domain::{Algorithm, Combine, Detector, Kind};
use oddwatch_detect::{Assessment, Row, SeriesModel};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

const ROWS: usize = 4096;
const ROUNDS: usize = 5;

fn main() {
    let z = |window| Algorithm::new(Kind::RobustZ).with("window", f64::from(window));
    let trees = |depth| Algorithm::new(Kind::HalfSpaceTrees).with("depth", f64::from(depth));
    measure("robust z, window 256, 1 value", z(256), 1);
    measure("robust z, window 10000, 1 value", z(10_000), 1);
    measure("robust z, window 256, 10 values", z(256), 10);
    measure("half-space trees 25 x 10, window 250, 10 values", trees(10), 10);
    measure("half-space trees 25 x 15, window 250, 10 values", trees(15), 10);
    measure("half-space trees 25 x 10, window 250, 3 values", trees(10), 3);
    let ewma = || Algorithm::new(Kind::Ewma);
    measure("ewma, half-life 200, 1 value", ewma(), 1);
    measure("ewma, half-life 200, 10 values", ewma(), 10);
    let season = |rows| Algorithm::new(Kind::Seasonal).with("season", f64::from(rows));
    measure("seasonal, season 288, 1 value", season(288), 1);
    measure("seasonal, season looked for to 512, 1 value", season(0), 1);
    let spectral =
        |window| Algorithm::new(Kind::SpectralResidual).with("window", f64::from(window));
    measure("spectral residual, window 128, 1 value", spectral(128), 1);
    measure("spectral residual, window 1024, 1 value", spectral(1024), 1);
    let discord = |history| Algorithm::new(Kind::Discord).with("history", f64::from(history));
    measure("discord, length 24, history 1024, 1 value", discord(1024), 1);
    measure("discord, length 24, history 16384, 1 value", discord(16_384), 1);
    let network = |shingle| Algorithm::new(Kind::Autoencoder).with("shingle", f64::from(shingle));
    measure("autoencoder, 8 hidden, shingle 8, 1 value", network(8), 1);
    measure("autoencoder, 8 hidden, shingle 4, 10 values", network(4), 10);
    let members = [Kind::RobustZ, Kind::Ewma, Kind::Seasonal].map(Algorithm::new);
    let ensemble = Algorithm::ensemble(Combine::Median, members);
    measure("ensemble of robust z, ewma, seasonal, 1 value", ensemble, 1);
}

fn measure(name: &str, algorithm: Algorithm, values: usize) {
    let mut detector = Detector::implicit("bench");
    detector.algorithm = algorithm;
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut uniform = || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let rows: Vec<f64> = (0..ROWS * values).map(|_| (0..6).map(|_| uniform()).sum()).collect();
    let mut series = SeriesModel::new(&detector, values, 1);
    let mut out = Assessment::default();
    let mut pass = |times: usize| {
        let (started, mut sum) = (Instant::now(), 0.0);
        for _ in 0..times {
            for row in rows.chunks_exact(values) {
                sum += series.assess(Row { values: row, at: 0 }, true, 0, &mut out).score;
            }
        }
        assert!(sum > 0.0);
        (times * ROWS) as f64 / started.elapsed().as_secs_f64()
    };
    pass(4);
    let best = (0..ROUNDS).map(|_| pass(16)).fold(0.0, f64::max);
    println!("{name:50} {best:>12.0} rows/s {:>9} bytes", series.bytes());
}
