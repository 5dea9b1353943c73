//! The one place of this crate that reads a clock: how long a call may still wait. Nothing that is written
//! or delivered depends on it.

use std::time::{Duration, Instant};

/// An instant, to measure from or to wait for.
#[expect(
    clippy::disallowed_methods,
    reason = "waiting needs a monotonic clock; no data depends on it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The moment at which a wait ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub(crate) fn after(wait: Duration) -> Self {
        Self(now() + wait)
    }

    /// At this instant.
    pub(crate) fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// What is left, or `None` once it has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }

    /// What is left, or nothing.
    pub(crate) fn left_or_zero(self) -> Duration {
        self.left().unwrap_or_default()
    }
}
