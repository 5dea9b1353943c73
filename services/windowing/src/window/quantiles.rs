//! Quantiles of a stretch of records: exact up to 256 values, a sketch of more.

use domain::encoding::{self, DecodeError};

use super::{make_room, sketch::Sketch};

/// So many values are kept as they are.
pub(super) const EXACT_MAX: usize = 256;

/// The values of a stretch, as far as quantiles need them.
#[derive(Clone, Debug, Default)]
pub(super) struct Quantiles {
    /// In no order, while they are few.
    exact: Vec<f64>,
    /// All of them, once they are many; else empty.
    sketch: Sketch,
}

impl Quantiles {
    /// Takes a value in; O(1), later as [`Sketch::add`].
    pub(super) fn add(&mut self, value: f64) {
        if self.sketch.total() == 0 {
            if self.exact.len() < EXACT_MAX {
                let len = self.exact.len() + 1;
                make_room(&mut self.exact, len);
                return self.exact.push(value);
            }
            self.exact.drain(..).for_each(|value| self.sketch.add(value));
        }
        self.sketch.add(value);
    }

    /// Takes in what another one took in.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.sketch.total() > 0 {
            self.exact.drain(..).for_each(|value| self.sketch.add(value));
            self.sketch.merge(&other.sketch);
        }
        other.exact.iter().for_each(|value| self.add(*value));
    }

    /// How many values.
    pub(super) fn total(&self) -> u64 {
        self.sketch.total().saturating_add(self.exact.len() as u64)
    }

    /// The value of that rank, from 1 to [`total`](Self::total); NaN if there is none.
    pub(super) fn ranked(&mut self, rank: u64) -> f64 {
        if self.sketch.total() > 0 {
            return self.sketch.ranked(rank);
        }
        // Sorted already if another rank was asked for before, which costs O(n).
        self.exact.sort_unstable_by(f64::total_cmp);
        let at = rank.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.exact.get(at)).copied().unwrap_or(f64::NAN)
    }

    /// Forgets all values; the room stays.
    pub(super) fn clear(&mut self) {
        self.exact.clear();
        self.sketch.clear();
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&self.exact, out);
        self.sketch.encode(out);
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let exact: Vec<f64> = encoding::take(bytes)?;
        let sketch = Sketch::decode(bytes)?;
        let few = exact.len() <= EXACT_MAX && (exact.is_empty() || sketch.total() == 0);
        encoding::ensure(few && !exact.iter().any(|v| v.is_nan()), "values of a window")?;
        Ok(Self { exact, sketch })
    }
}
