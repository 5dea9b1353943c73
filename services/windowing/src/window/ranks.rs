//! Quantiles of values that come and leave: exact in a window of up to 256 records, a sketch in a larger one.

use domain::encoding::DecodeError;

use super::{quantiles::EXACT_MAX, sketch};

/// The values of a window by rank.
#[derive(Debug)]
pub(super) enum Ranks {
    /// In ascending order. A value is found in O(log n), and moves at most 2 KiB.
    Sorted(Vec<f64>),
    /// Counted by bucket.
    Sketch(sketch::Sketch),
}

impl Ranks {
    /// Of no value yet, for so many.
    pub(super) fn new(size: usize) -> Self {
        if size <= EXACT_MAX {
            return Self::Sorted(Vec::with_capacity(size));
        }
        Self::Sketch(sketch::Sketch::default())
    }

    pub(super) fn add(&mut self, value: f64) {
        match self {
            Self::Sorted(values) => {
                let at = values.partition_point(|known| known.total_cmp(&value).is_lt());
                values.insert(at, value);
            }
            Self::Sketch(sketch) => sketch.add(value),
        }
    }

    /// Takes out a value that was added.
    pub(super) fn remove(&mut self, value: f64) {
        match self {
            Self::Sorted(values) => {
                if let Ok(at) = values.binary_search_by(|known| known.total_cmp(&value)) {
                    values.remove(at);
                }
            }
            Self::Sketch(sketch) => sketch.remove(value),
        }
    }

    /// The value of that rank, from 1; NaN if there is none.
    pub(super) fn ranked(&self, rank: u64) -> f64 {
        match self {
            Self::Sorted(values) => {
                let value =
                    usize::try_from(rank).ok().and_then(|rank| values.get(rank.wrapping_sub(1)));
                value.copied().unwrap_or(f64::NAN)
            }
            Self::Sketch(sketch) => sketch.ranked(rank),
        }
    }

    /// If buckets had to be joined, counts these values, which are those it has, by the finest ones again: what made
    /// them too many may have left.
    pub(super) fn refine(&mut self, values: impl Iterator<Item = f64>) {
        if let Self::Sketch(sketch) = self
            && sketch.level() > 0
        {
            sketch.clear();
            values.for_each(|value| sketch.add(value));
        }
    }

    /// How often buckets have been joined.
    pub(super) fn level(&self) -> u32 {
        match self {
            Self::Sorted(_) => 0,
            Self::Sketch(sketch) => sketch.level(),
        }
    }

    /// Goes by buckets that have been joined so often; before the first value.
    pub(super) fn set_level(&mut self, level: u32) -> Result<(), DecodeError> {
        if let Self::Sketch(sketch) = self {
            *sketch = sketch::Sketch::at_level(level)?;
        }
        Ok(())
    }

    /// The most bytes for so many values.
    pub(super) fn bytes_max(size: usize) -> usize {
        if size <= EXACT_MAX { 8 * size } else { 12 * sketch::BUCKETS_MAX }
    }
}
