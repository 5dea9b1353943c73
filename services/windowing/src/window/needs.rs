//! What a window must keep current for the features that are asked of it, and nothing else.

use domain::{Aggregate, Window};

/// Which parts of a window's state are in use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// Sum, mean and squares.
    pub(super) moments: bool,
    /// Smallest and largest.
    pub(super) extremes: bool,
    /// The increase of a counter.
    pub(super) increase: bool,
    /// Quantiles.
    pub(super) quantiles: bool,
    /// Different values.
    pub(super) distinct: bool,
}

impl Needs {
    /// Of a definition's features.
    pub(super) fn of(definition: &Window) -> Self {
        let mut needs = Self::default();
        for feature in &definition.features {
            match feature {
                Aggregate::Sum | Aggregate::Mean => needs.moments = true,
                // Where smallest and largest are equal, there is no spread.
                Aggregate::Std => (needs.moments, needs.extremes) = (true, true),
                Aggregate::Min | Aggregate::Max => needs.extremes = true,
                Aggregate::Rate => needs.increase = true,
                Aggregate::Quantile(_) => needs.quantiles = true,
                Aggregate::Distinct => needs.distinct = true,
                Aggregate::Last | Aggregate::Count | Aggregate::Delta | Aggregate::SinceLast => {}
            }
        }
        needs
    }
}
