//! How good detectors are. In reading order: a [`Series`] is run through a detector row by row, score
//! first, learn second, as the detector service does ([`prequential`]); [`nab`] scores what was said on
//! the Numenta Anomaly Benchmark, [`labelled`] on a CSV file with labels; [`robust`] asks how much of
//! that stays when parameters and data change; [`noise`] counts what is found where nothing is, and
//! [`budget`] whether as many alerts come as were wanted; [`drift`](mod@drift) how often and how soon
//! tests for drift find one; [`tune`] looks for a better algorithm;
//! [`account()`] says why one row scores as it does; [`report`] prints.
//!
//! Seeded and deterministic: series are shared out among all cores, results come in the order of what
//! was asked. There is no clock, socket or log line here; files are read and written.

pub mod account;
pub mod budget;
pub mod dice;
pub mod drift;
mod error;
mod estimate;
pub mod labelled;
pub mod nab;
pub mod noise;
mod parallel;
pub mod prequential;
pub mod ranking;
pub mod report;
pub mod robust;
pub mod times;
pub mod tune;

pub use account::{Account, account};
pub use error::Error;
pub use estimate::Estimate;
pub use prequential::{Said, Series, alert_of, run};

/// Told now and then how much is done: so many of so many.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);
