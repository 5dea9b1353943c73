//! Tests for drift: whether what is normal for a series has changed for good. In reading order: a [`Monitor`]
//! runs the chosen tests on each value of a series; [`adwin`] and [`page_hinkley`] are the tests; [`standard`]
//! clips values, so that a few wild ones are no drift; [`noise`] measures how much means of so many rows differ
//! anyway, so that the tests' bounds hold for series whose rows depend on each other.
//!
//! All that a monitor has learned can be encoded: decoded, it goes on with the same bits.
//!
//! There is no clock, thread, socket, log line or random number here; results are the same bits everywhere.

pub mod adwin;
pub mod monitor;
pub mod noise;
pub mod page_hinkley;
pub mod standard;
pub mod textbook;

pub use adwin::Adwin;
pub use domain::encoding::DecodeError;
pub use monitor::{Found, Monitor, TESTS};
pub use noise::Noise;
pub use page_hinkley::PageHinkley;
pub use standard::Standard;

/// The version of what [`Monitor::encode`] writes. Raise it with any change of an encoding, or of
/// what a decoded monitor would do; [`Monitor::decode`] reads this one and the one before.
pub const STATE_VERSION: u32 = 1;

/// Beyond this size values are taken as this size, so that squares of differences stay finite.
const VALUE_MAX: f64 = 1e150;
/// No clipped value, nor a mean of them, is larger, and no deviation that was learned.
const DEVIATION_MAX: f64 = 32.0 * VALUE_MAX;
/// Nor the square of a deviation.
const SQUARE_MAX: f64 = DEVIATION_MAX * DEVIATION_MAX;

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
