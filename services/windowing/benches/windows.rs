//! Records a second of a window on one core, rows included: `cargo bench -p oddwatch-windowing [--bench windows --
//! NAME…]`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark times and tells")]

use std::{sync::Arc, time::Instant};

use domain::{Micros, Origin, Shape};
use oddwatch_windowing::window::{Stamp, Window};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

const RECORDS: usize = 65_536;
const ROUNDS: usize = 5;
/// Between two records.
const APART: Micros = 1_000_000;

const LIGHT: &str = "last count sum mean min max std delta rate since_last";
const ALL: &str = "last count sum mean min max std delta rate since_last p50 p99 distinct";

fn main() {
    let count = |size, slide| Shape::Count { size, slide };
    // At a record a second, so many in a window.
    let time = |size: u64, hops: u64| {
        let size_ms = size * 1_000;
        Shape::Time { size_ms, hop_ms: size_ms / hops, offset_ms: 0 }
    };
    let session = Shape::Session { gap_ms: 60_000, size_ms_max: 3_600_000 };
    for (kind, features) in [("mean", "mean"), ("light", LIGHT), ("all", ALL)] {
        for values in [1, 8] {
            let one = |name: &str, shape| {
                measure(&format!("{name}, {kind}, {values} values"), shape, features, values);
            };
            one("sliding, 100 records", count(100, 1));
            one("sliding, 10000 records by 100", count(10_000, 100));
            one("tumbling, 100 records", count(100, 100));
            one("tumbling, 1 hour", time(3_600, 1));
            one("hopping, 1 hour by 1 minute", time(3_600, 60));
            one("hopping, 1000 seconds by 1 second", time(1_000, 1_000));
            one("session of 1 hour", session);
        }
    }
}

/// Measures if the name has what the first argument asks for.
fn measure(name: &str, shape: Shape, features: &str, values: usize) {
    let mut wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|wanted| name.contains(&wanted)) {
        return;
    }
    let features = features.split(' ').filter_map(|name| name.parse().ok()).collect();
    let definition = domain::Window { name: "bench".into(), shape, features };
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut uniform = || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let records: Vec<f64> =
        (0..RECORDS * values).map(|_| (0..6).map(|_| uniform()).sum()).collect();
    let mut window = Window::new(&definition, values);
    let mut stamp = Stamp {
        event_at: 0,
        ingested_at: 0,
        config_version: 0,
        origin: Origin { source: 0, offset: 0, index: 0 },
        source: Arc::from("records/0"),
        extras: None,
        imputed: false,
        no_data: false,
    };
    let (mut row, mut rows) = (vec![], 0_usize);
    let mut pass = || {
        let started = Instant::now();
        for record in records.chunks_exact(values) {
            stamp.event_at += APART;
            while window.close(stamp.event_at, &mut row).is_some() {
                rows += 1;
            }
            window.add(&stamp, record);
            rows += usize::from(window.full(&mut row).is_some());
        }
        RECORDS as f64 / started.elapsed().as_secs_f64()
    };
    pass();
    let best = (0..ROUNDS).map(|_| pass()).fold(0.0, f64::max);
    println!("{name:52} {best:>12.0} records/s {:>9} bytes at most {rows:>9} rows", window.bytes());
}
