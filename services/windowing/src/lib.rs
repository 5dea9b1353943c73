//! Windowing and drift: turns accepted records into rows to be scored, and says when normal has changed.
//!
//! In reading order: [`service`] polls and commits; [`state`] is what one partition knows and decides;
//! [`series`] orders the rows of one series; [`window`] computes features of sliding windows; [`log_time`] is
//! the least over the sources; [`output`] collects what is written.

pub mod config;
pub mod log_time;
pub mod metrics;
pub mod output;
pub mod series;
pub mod service;
pub mod state;
pub mod window;

pub use config::{DEFAULTS, WindowingConfig};
pub use service::{WindowingOptions, WindowingProcessor};
