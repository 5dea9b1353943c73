//! Tests for drift: whether what is normal for a series has changed for good. In reading order: a [`Monitor`]
//! runs the chosen tests on each value of a series; [`adwin`] and [`page_hinkley`] are the tests; [`standard`]
//! clips values, so that a few wild ones are no drift; [`noise`] measures how much means of so many rows differ
//! anyway, so that the tests' bounds hold for series whose rows depend on each other.
//!
//! There is no clock, thread, socket, log line or random number here; results are the same bits everywhere.

pub mod adwin;
pub mod monitor;
pub mod noise;
pub mod page_hinkley;
pub mod standard;

pub use adwin::Adwin;
pub use monitor::{Found, Monitor};
pub use noise::Noise;
pub use page_hinkley::PageHinkley;
pub use standard::Standard;

/// What a test found; in the value's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The test's statistic: ADWIN's difference of means, Page-Hinkley's sum.
    pub statistic: f64,
    /// What it had to exceed.
    pub bound: f64,
    /// An upper bound of the chance of such a statistic without a change.
    pub p_value: f64,
    /// Mean before the change.
    pub before: f64,
    /// Mean since.
    pub after: f64,
}
