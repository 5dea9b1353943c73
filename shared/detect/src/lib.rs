//! Scoring of rows: pure, seeded, deterministic. In reading order: a [`Scorer`] turns a row into a
//! raw score, [`algorithms`] lists them ([`novelty`] is one), [`calibration`] turns raw scores into comparable
//! ones in [0, 1), [`threshold`] says from which score a row is odd, [`habituation`] what is no alarm of its own, [`incident`] makes one anomaly
//! of a stretch of odd rows, and [`series`] bundles all of it for one series and one detector.
//! All that a series has learned can be encoded:
//! decoded, it goes on with the same bits.
//!
//! There is no clock, thread, socket, log line or global state here. Elementary functions come from `libm`,
//! so results are the same bits on every processor. Once a model's buffers stand, a row allocates nothing.
//! Models that users give (feature `onnx`) are excepted from both: results are the same bits on processors of one
//! kind, and each run makes its tensors.

pub mod algorithms;
pub mod autoencoder;
mod burst_gate;
pub mod calibration;
mod dice;
pub mod discord;
pub mod ensemble;
pub mod ewma;
pub mod explain;
mod forest;
pub mod fusion;
mod gate;
pub mod habituation;
pub mod half_space_trees;
pub mod incident;
pub mod isolation_forest;
pub mod knn;
pub mod lesinn;
pub mod loda;
pub mod lof;
pub mod mahalanobis;
pub mod nearest;
mod networks;
pub mod novelty;
pub mod one_class_svm;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod pca;
mod points;
pub mod random_cut_forest;
pub mod robust_z;
pub mod scorer;
pub mod seasonal;
mod seed;
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
pub use fusion::Fusion;
pub use habituation::Habituation;
pub use half_space_trees::HalfSpaceTrees;
pub use incident::{Incident, Transition};
pub use isolation_forest::IsolationForest;
pub use knn::Knn;
pub use lesinn::Lesinn;
pub use loda::Loda;
pub use lof::Lof;
pub use mahalanobis::Mahalanobis;
pub use nearest::Nearest;
pub use networks::Networks;
pub use novelty::Novelty;
pub use one_class_svm::OneClassSvm;
#[cfg(feature = "onnx")]
pub use onnx::Onnx;
pub use pca::Pca;
pub use random_cut_forest::RandomCutForest;
pub use robust_z::RobustZ;
pub use scorer::{Assessment, Levels, Row, Scorer};
pub use seasonal::Seasonal;
pub use seed::seed;
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
