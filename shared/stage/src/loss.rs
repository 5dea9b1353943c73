//! What happens when input that a restore needs is gone.

use serde::Deserialize;

/// What a service does when it can't restore a partition's state.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LossPolicy {
    /// It says so and ends. The default.
    #[default]
    Stop,
    /// It says so and goes on with a state that knows nothing, under a new epoch of numbers, from the first input
    /// that was neither lost nor worked on.
    RestartFresh,
}
