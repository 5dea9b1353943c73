//! All values of a series over a stretch of records, without the values themselves.

use domain::{
    Aggregate, Micros,
    encoding::{self, DecodeError},
};

use super::{distinct, needs::Needs, partial::Partial, quantiles, sketch};

/// A stretch of a series' records: a tumbling window, a session, or a part of a window that hops.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// The number of the span of time that it is of, if it is.
    pub(super) pane: i64,
    /// Whether any of its records was filled in.
    pub(super) imputed: bool,
    columns: Vec<Partial>,
}

impl Stretch {
    /// Of no record yet, over so many values.
    pub(super) fn new(needs: Needs, values: usize) -> Self {
        let columns = (0..values).map(|_| Partial::new(needs)).collect();
        Self { pane: 0, imputed: false, columns }
    }

    /// Takes in the next record.
    pub(super) fn add(&mut self, at: Micros, imputed: bool, values: &[f64], needs: Needs) {
        self.imputed |= imputed;
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.add(at, *value, needs);
        }
    }

    /// Joins the stretch that follows.
    pub(super) fn merge(&mut self, later: &Self) {
        self.imputed |= later.imputed;
        for (column, later) in self.columns.iter_mut().zip(&later.columns) {
            column.merge(later);
        }
    }

    /// Appends the features of each value.
    pub(super) fn features(&mut self, features: &[Aggregate], row_at: Micros, row: &mut Vec<f64>) {
        for column in &mut self.columns {
            row.extend(features.iter().map(|feature| column.feature(*feature, row_at)));
        }
    }

    /// Makes place for more values, which no record so far had.
    pub(super) fn widen(&mut self, needs: Needs, values: usize) {
        self.columns.reserve_exact(values.saturating_sub(self.columns.len()));
        self.columns.resize_with(values, || Partial::new(needs));
    }

    /// Forgets all; the room stays.
    pub(super) fn clear(&mut self) {
        self.imputed = false;
        self.columns.iter_mut().for_each(Partial::clear);
    }

    /// The most bytes of one over so many values.
    pub(super) fn bytes_max(needs: Needs, values: usize) -> usize {
        let quantiles = size_of::<quantiles::Quantiles>() + 8 * quantiles::EXACT_MAX;
        let quantiles = quantiles + 12 * sketch::BUCKETS_MAX;
        let distinct = size_of::<distinct::Distinct>() + 8 * distinct::EXACT_MAX;
        let distinct = distinct + distinct::REGISTERS;
        let wanted = |needed: bool, bytes: usize| if needed { bytes } else { 0 };
        let column = wanted(needs.quantiles, quantiles) + wanted(needs.distinct, distinct);
        size_of::<Self>() + values * (size_of::<Partial>() + column)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(self.pane, self.imputed), out);
        self.columns.iter().for_each(|column| column.encode(out));
    }

    pub(super) fn decode(
        needs: Needs,
        values: usize,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let (pane, imputed) = encoding::take(bytes)?;
        let columns = (0..values).map(|_| Partial::decode(needs, bytes));
        Ok(Self { pane, imputed, columns: columns.collect::<Result<_, _>>()? })
    }
}
