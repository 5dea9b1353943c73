//! Rows a second of a series on one core, with calibration, threshold and incident: `cargo bench -p
//! oddwatch-detect [--bench scorers -- NAME…]`.
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
    measure("auto, 1 value", Algorithm::default(), 1);
    measure("auto, 8 values", Algorithm::default(), 8);
    measure("robust z, window 256, 1 value", z(256), 1);
    measure("robust z, window 10000, 1 value", z(10_000), 1);
    measure("robust z, window 256, 10 values", z(256), 10);
    measure("half-space trees 25 x 10, window 250, 10 values", trees(10), 10);
    measure("half-space trees 25 x 15, window 250, 10 values", trees(15), 10);
    measure("half-space trees 25 x 10, window 250, 3 values", trees(10), 3);
    let cuts = |trees| Algorithm::new(Kind::RandomCutForest).with("trees", f64::from(trees));
    measure("random cut forest 30 x 256, shingle 8, 1 value", cuts(30), 1);
    measure("random cut forest 50 x 256, 10 values", cuts(50), 10);
    let forest = || Algorithm::new(Kind::IsolationForest);
    measure("isolation forest 50 x 128, 10 values", forest(), 10);
    measure("isolation forest 50 x 128, extended, 10 values", forest().with("extended", 1.0), 10);
    measure("LODA 100, window 512, 10 values", Algorithm::new(Kind::Loda), 10);
    for (name, kind) in [
        ("Mahalanobis", Kind::Mahalanobis),
        ("LeSiNN 8 x 16", Kind::Lesinn),
        ("fusion of LeSiNN and Mahalanobis", Kind::Fusion),
    ] {
        measure(&format!("{name}, 8 values"), Algorithm::new(kind), 8);
    }
    measure("kNN, k 10, window 1000, 10 values", Algorithm::new(Kind::Knn), 10);
    measure("LOF, k 10, window 256, 10 values", Algorithm::new(Kind::Lof), 10);
    let svm = |features| Algorithm::new(Kind::OneClassSvm).with("features", features);
    measure("one-class SVM, linear, 10 values", svm(0.0), 10);
    measure("one-class SVM, 64 features, 10 values", svm(64.0), 10);
    measure("PCA, 2 components, 10 values", Algorithm::new(Kind::Pca), 10);
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

/// Measures if the name has what the first argument asks for.
fn measure(name: &str, algorithm: Algorithm, values: usize) {
    let mut wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|wanted| name.contains(&wanted)) {
        return;
    }
    let mut detector = Detector::implicit("bench");
    detector.algorithm = algorithm;
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut uniform = || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let rows: Vec<f64> = (0..ROWS * values).map(|_| (0..6).map(|_| uniform()).sum()).collect();
    let mut series = SeriesModel::new(&detector, values, 1);
    let (mut out, mut at) = (Assessment::default(), 0);
    let mut pass = |times: usize| {
        let (started, mut sum) = (Instant::now(), 0.0);
        for _ in 0..times {
            for row in rows.chunks_exact(values) {
                // Five minutes apart, so that hours and days pass.
                at += 300_000_000;
                sum += series.assess(Row { values: row, at }, true, at, &mut out).score;
            }
        }
        assert!(sum > 0.0);
        (times * ROWS) as f64 / started.elapsed().as_secs_f64()
    };
    pass(4);
    let best = (0..ROUNDS).map(|_| pass(16)).fold(0.0, f64::max);
    println!("{name:50} {best:>12.0} rows/s {:>9} bytes", series.bytes());
}
