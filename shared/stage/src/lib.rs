//! What windowing and the detector share: services whose state is a function of their input log.
//!
//! A partition's state comes back in one way only, whatever ended it: the newest good snapshot at or below the
//! committed offset, and the input from there, with the outputs up to the committed offset thrown away.
//!
//! - [`stage`]: what such a service has to say for itself;
//! - [`processor`]: the processor that drives it: restores, applies, snapshots, skips; `part` is one of its
//!   partitions, [`options`] what it works with;
//! - [`life`]: what is committed with an offset, so that a restore can be checked;
//! - [`loss`]: what happens when input that a restore needs is gone;
//! - [`error`]: why it can't go on.

pub mod error;
pub mod life;
pub mod loss;
pub mod options;
mod part;
pub mod processor;
pub mod stage;

pub use error::{Halt, StageError};
pub use life::Life;
pub use loss::LossPolicy;
pub use options::{Snapshots, StageOptions};
pub use processor::StageProcessor;
pub use stage::{Choice, Origin, PartitionState, Select, Stage};
