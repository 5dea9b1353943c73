//! The only place that reads a clock. Everything that decides gets time as a value.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A source of the present.
#[derive(Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// One that is told what time it is, for runs that must not depend on the machine's.
    Given(Arc<dyn Fn() -> i64 + Send + Sync>),
}

impl Clock {
    /// Microseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_micros() as i64),
            Self::Given(now) => now(),
        }
    }
}

/// Measures how long something took; for telemetry, never for a decision.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
