//! Waiting for an instant without missing the wish to stop.

use std::{thread, time::Duration};

use domain::Micros;
use runtime::{Clock, Stop};

/// A wish to stop is seen within this time.
const SLICE: Duration = Duration::from_millis(20);

/// The clock, and the wish to stop.
#[derive(Clone)]
pub(crate) struct Pace {
    clock: Clock,
    stop: Stop,
}

impl Pace {
    /// Of these.
    pub(crate) fn new(clock: Clock, stop: Stop) -> Self {
        Self { clock, stop }
    }

    /// Microseconds since 1970.
    pub(crate) fn now(&self) -> Micros {
        self.clock.now()
    }

    /// Whether a stop is wished.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.stopped()
    }

    /// Whether it is time, or a stop is wished.
    pub(crate) fn reached(&self, at: Micros) -> bool {
        self.stop.stopped() || self.now() >= at
    }

    /// Waits until it is time; `false` if a stop is wished instead.
    pub(crate) fn wait_until(&self, at: Micros) -> bool {
        loop {
            if self.stop.stopped() {
                return false;
            }
            let left = at - self.now();
            if left <= 0 {
                return true;
            }
            thread::sleep(SLICE.min(Duration::from_micros(left as u64)));
        }
    }
}
