//! The detector: scores rows, keeps a model per series, opens and clears anomalies and explains them.
//!
//! In reading order: [`service`] is what the stage runs; [`state`] is what one partition knows and decides;
//! [`check`] says whether this build can run a detector; [`slots`] are the models of one series; `events` makes what is written, [`output`] collects it.

pub mod check;
mod civil;
pub mod config;
mod events;
pub mod metrics;
pub mod output;
pub mod service;
pub mod slots;
pub mod state;

pub use check::check_detector;
pub use config::{DEFAULTS, DetectorConfig};
pub use service::{Detection, DetectorProcessor, processor};
