//! Simulates more seeds than the tests do: `./dev simulate N [FIRST] [disk]`. Says which failed, what happened how
//! often, and how fast it was. A single seed shows what the services log, as RUST_LOG asks for it.

use std::{
    io::Write as _,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use oddwatch_tests::simulation::{self, Counts, InMemory, OnDisk, Run};
use runtime::clock::Stopwatch;

const USAGE: &str = "usage: simulate N [FIRST] [disk]";

/// What was asked for.
struct Task {
    first: u64,
    end: u64,
    on_disk: bool,
}

impl Task {
    fn of(arguments: &[String]) -> Option<Self> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (numbers, on_disk) = match &arguments[..] {
            [numbers @ .., "disk"] => (numbers, true),
            numbers => (numbers, false),
        };
        let numbers: Option<Vec<u64>> = numbers.iter().map(|text| text.parse().ok()).collect();
        let (count, first) = match numbers?[..] {
            [count] => (count, 0),
            [count, first] => (count, first),
            _ => return None,
        };
        Some(Self { first, end: first.checked_add(count)?, on_disk })
    }

    fn run(&self, seed: u64) -> Result<Run, String> {
        if !self.on_disk {
            return simulation::run(seed, &InMemory);
        }
        let bed = OnDisk::new().map_err(|error| error.to_string())?;
        simulation::run(seed, &bed).map_err(|wrong| format!("on disk: {wrong}"))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(task) = Task::of(&arguments) else {
        say(USAGE);
        return ExitCode::from(2);
    };
    if task.end - task.first == 1 {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let log = tracing_subscriber::fmt().with_env_filter(filter).without_time();
        log.with_writer(std::io::stderr).init();
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(task.first);
    let watch = Stopwatch::start();
    let results: Vec<(Counts, u64)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&next, &task))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let seconds = watch.elapsed().as_secs_f64();
    let mut all = Counts::new();
    for (what, times) in results.iter().flat_map(|(counts, _)| counts) {
        *all.entry(what.clone()).or_default() += times;
    }
    for (what, times) in &all {
        say(&format!("{times:>12} {what}"));
    }
    let failed: u64 = results.iter().map(|(_, failed)| failed).sum();
    let count = task.end - task.first;
    let rate = count as f64 / seconds;
    say(&format!(
        "{count} seeds in {seconds:.1} s on {threads} threads, {rate:.0} a second; {failed} failed"
    ));
    if failed == 0 && results.len() == threads { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes seeds until there are no more; returns what happened, and how many failed.
fn work(next: &AtomicU64, task: &Task) -> (Counts, u64) {
    let (mut all, mut failed) = (Counts::new(), 0);
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= task.end {
            return (all, failed);
        }
        match task.run(seed) {
            Ok(run) => {
                for (what, times) in run.counts {
                    *all.entry(what).or_default() += times;
                }
            }
            Err(wrong) => {
                failed += 1;
                say(&format!("FAILED: {wrong}"));
            }
        }
    }
}

fn say(line: &str) {
    // Nobody is left to tell if it is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}
