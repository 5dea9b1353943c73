//! Scoring of rows: pure, seeded, deterministic. In reading order: a [`Scorer`] turns a row into a
//! raw score, [`algorithms`] lists them ([`robust_z`], [`half_space_trees`], [`autoencoder`]; by value, see [`tracks`]: [`ewma`], [`seasonal`], [`spectral_residual`], [`discord`]; of several: [`ensemble`]), [`calibration`] turns raw scores into comparable
//! ones in [0, 1), [`threshold`] says from which score a row is odd, [`incident`] makes one anomaly
//! of a stretch of odd rows, and [`series`] bundles all of it for one series and one detector.
//! All that a series has learned can be encoded:
//! decoded, it goes on with the same bits.
//!
//! There is no clock, thread, socket, log line or global state here. Elementary functions come from `libm`,
//! so results are the same bits on every processor. Once a model's buffers stand, a row allocates nothing.

pub mod algorithms;
pub mod autoencoder;
pub mod calibration;
pub mod discord;
pub mod ensemble;
pub mod ewma;
pub mod half_space_trees;
pub mod incident;
pub mod robust_z;
pub mod scorer;
pub mod seasonal;
pub mod series;
pub mod spectral_residual;
mod standard;
pub mod threshold;
pub mod tracks;

pub use algorithms::{Model, SAMPLES};
pub use autoencoder::Autoencoder;
pub use calibration::Calibration;
pub use discord::Discord;
pub use domain::encoding::DecodeError;
pub use ensemble::Ensemble;
pub use ewma::Ewma;
pub use half_space_trees::HalfSpaceTrees;
pub use incident::{Incident, Transition};
pub use robust_z::RobustZ;
pub use scorer::{Assessment, Levels, Row, Scorer};
pub use seasonal::Seasonal;
pub use series::{SeriesModel, Verdict};
pub use spectral_residual::SpectralResidual;
pub use threshold::Bar;

/// The version of what [`SeriesModel::encode`] writes. Raise it with any change of an encoding, or
/// of what a decoded model would do; [`SeriesModel::decode`] reads this one and the one before.
pub const STATE_VERSION: u32 = 1;

/// Beyond this size values are taken as this size, so that squares of differences stay finite.
const VALUE_MAX: f64 = 1e150;
/// No deviation that was learned is larger.
const DEVIATION_MAX: f64 = 4.0 * VALUE_MAX;
/// Nor its square.
const SQUARE_MAX: f64 = DEVIATION_MAX * DEVIATION_MAX;

/// The value number `index` of a row, if the row has it.
fn present(row: &[f64], index: usize) -> Option<f64> {
    let value = row.get(index).copied()?;
    value.is_finite().then(|| value.clamp(-VALUE_MAX, VALUE_MAX))
}
