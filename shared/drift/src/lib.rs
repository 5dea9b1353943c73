//! Tests for drift: whether what is normal for a series has changed for good. In reading order: a [`Monitor`] watches
//! all values of a series; `watch` turns one value into scores that are independent and standard normal as long as
//! nothing changes, by its `season`, its `dependence` on the rows before and its `ranks`; `charts` sum scores up,
//! `suite` runs the [`textbook`] tests on them, `joint` looks at all values together; `bounds` says what a statistic
//! must exceed for a wanted number of rows between false alarms; `history` keeps what is told of a drift.
//!
//! All that a monitor has learned can be encoded: decoded, it goes on with the same bits.
//!
//! There is no clock, thread, socket or log line here; random numbers are seeded; results are the same bits
//! everywhere.

mod bounds;
pub mod calibrate;
mod charts;
mod dependence;
mod dice;
mod history;
mod joint;
pub mod monitor;
mod normal;
mod ranks;
mod season;
mod suite;
pub mod textbook;
mod watch;

pub use domain::encoding::DecodeError;
pub use monitor::{Found, Mark, Monitor, TESTS};

/// The version of what [`Monitor::encode`] writes. Raise it with any change of an encoding, or of what a decoded
/// monitor would do; [`Monitor::decode`] reads this one only: another one watched for other things.
pub const STATE_VERSION: u32 = 2;

/// Beyond this size values are taken as this size, so that squares of differences stay finite.
const VALUE_MAX: f64 = 1e150;
/// No product of two deviations is larger.
const SQUARE_MAX: f64 = 16.0 * VALUE_MAX * VALUE_MAX;
