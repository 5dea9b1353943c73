//! Prints the table of bounds of `src/bounds.rs`: `cargo run --release -p oddwatch-drift --example bounds`. With
//! names of statistics, those only.
#![expect(clippy::print_stdout, reason = "the result goes to stdout")]

use oddwatch_drift::calibrate;

/// Alarms counted for each bound: the run length is known to 1 / sqrt(this).
const ALARMS: f64 = 200.0;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (at, name) in calibrate::names().enumerate() {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let lengths = [1e3, 1e4, 1e5];
        let bounds = lengths.into_iter().filter_map(|rows| calibrate::bound(at, rows, ALARMS, 1));
        let bounds: Vec<String> = bounds.map(|bound| format!("{bound:.3}")).collect();
        println!("Self::{name} => [{}],", bounds.join(", "));
    }
}
