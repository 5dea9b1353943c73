//! Windowing and drift: turns accepted records into rows to be scored, and says when normal has changed.
//!
//! In reading order: [`service`] is what the stage runs; [`state`] is what one partition knows and decides;
//! [`series`] is one series and [`order`] the order of its rows; [`window`] computes features of
//! windows; [`log_time`] is the least over the sources; `events` makes what is written, [`output`] collects it.

pub mod config;
mod events;
pub mod log_time;
pub mod metrics;
pub mod order;
pub mod output;
pub mod series;
pub mod service;
pub mod state;
pub mod window;

pub use config::{DEFAULTS, WindowingConfig};
pub use service::{Windowing, WindowingProcessor, processor};
