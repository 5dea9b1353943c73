//! How an ensemble makes one surprise of its members'.

use serde::{Deserialize, Serialize};

/// What an ensemble makes of its members' surprises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Combine {
    /// Their mean by weight.
    #[default]
    Mean = 0,
    /// The largest, whatever its weight.
    Maximum = 1,
    /// The median, whatever the weights.
    Median = 2,
    /// The highest that members with the `majority` of the weight reach: a vote at every threshold.
    Vote = 3,
    /// Their mean by weights that feedback moves from those that are given: stacking.
    Stack = 4,
}

impl Combine {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Mean, Self::Maximum, Self::Median, Self::Vote, Self::Stack];

    /// The name that definitions give.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Maximum => "maximum",
            Self::Median => "median",
            Self::Vote => "vote",
            Self::Stack => "stack",
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
