//! Snapshots of a partition's state: versioned, checksummed, and taken while the stream goes on.
//!
//! A service rebuilds a partition by the newest good snapshot and the input from there. This crate
//! knows bytes and offsets, and nothing of what the bytes mean. Read in this order:
//!
//! - [`capture`]: a state as of one moment, written out slice by slice while it changes
//!   ([`Slices`]);
//! - [`object`]: the format of a snapshot, what its header says, and how it is packed and checked;
//! - [`store`]: where snapshots lie: opened by a URL, listed, loaded with a way back to older ones,
//!   pruned (`place` opens, `reader` unpacks, `upload` writes);
//! - [`saver`]: when to take which partition's (`schedule`), and how the slices get into the store
//!   without stopping the stream (`writer`);
//! - [`loader`]: loading on other threads.
//!
//! There is no clock here: time is an argument.

pub mod capture;
mod error;
pub mod loader;
pub mod metrics;
pub mod object;
mod place;
mod reader;
mod record;
pub mod saver;
mod schedule;
pub mod store;
mod upload;
mod writer;

pub use capture::{Begun, Capture, Encode, Partitions, Slices};
pub use error::Error;
pub use loader::Loader;
pub use object::{Header, Subject};
pub use saver::{Released, Saver, SaverConfig};
pub use store::{Listed, Loaded, Refused, Store, Wanted};
