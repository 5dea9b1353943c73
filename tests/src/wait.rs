//! Waiting for a condition, with a deadline. Nothing else here reads a clock or sleeps.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long whatever a busy machine may delay is waited for.
pub const LIMIT: Duration = Duration::from_secs(120);

const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until there is something to return; panics after `limit`, saying what was waited for.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < limit, "no {what} within {limit:?}");
        thread::sleep(INTERVAL); // poll interval
    }
}

/// Measures how long something took.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "tests measure how long a process takes")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
