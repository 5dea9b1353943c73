//! The speed of the whole: records a second through the memory exchange and through Kafka, and the latency from
//! record to anomaly through Kafka. `./dev bench` builds and runs it; it prints one line per figure.
//!
//! The records are one JSON object a message, as users send them. Each figure of Kafka is that of four service
//! processes, ingest, windowing, detector and notification, with their default settings.

mod kafka;
mod latency;
mod load;
mod memory;

use std::{io::Write as _, process::ExitCode};

/// Anything that ends a benchmark.
type Failed = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: bench memory RECORDS | drain RECORDS | kafka RECORDS | latency RATE WARM_SECONDS SECONDS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let line = match run(&arguments) {
        Ok(line) => line,
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(arguments: &[String]) -> Result<String, Failed> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["memory", records] => memory::run(records.parse()?),
        ["drain", records] => kafka::drain(records.parse()?),
        ["kafka", records] => kafka::throughput(records.parse()?),
        ["latency", rate, warm, seconds] => {
            latency::run(rate.parse()?, warm.parse()?, seconds.parse()?)
        }
        _ => Err(USAGE.into()),
    }
}
