//! Windows that slide over a number of records: they keep the values, and let the oldest go for each that comes.

use std::collections::VecDeque;

use domain::{
    Aggregate, Micros,
    encoding::{self, COUNT_MAX, DecodeError},
};

use super::{column::Column, needs::Needs};

/// The last records of a series.
#[derive(Debug)]
pub(super) struct Sliding {
    size: usize,
    slide: u64,
    needs: Needs,
    /// When the records were, if a feature asks for it.
    times: VecDeque<Micros>,
    columns: Vec<Column>,
    records: u64,
    /// The number of the last record that was filled in, from 1; 0 if none was.
    imputed: u64,
}

impl Sliding {
    /// Of no record yet, over so many values.
    pub(super) fn new(size: u32, slide: u32, needs: Needs, values: usize) -> Self {
        let size = size as usize;
        Self {
            size,
            slide: slide.into(),
            needs,
            times: VecDeque::with_capacity(if needs.increase { size } else { 0 }),
            columns: (0..values).map(|_| Column::new(size, needs)).collect(),
            records: 0,
            imputed: 0,
        }
    }

    /// Takes in the next record.
    pub(super) fn add(&mut self, at: Micros, imputed: bool, values: &[f64]) {
        if self.needs.increase {
            if self.times.len() == self.size {
                self.times.pop_front();
            }
            self.times.push_back(at);
        }
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(at, *value, self.size, self.needs);
        }
        self.records += 1;
        if imputed {
            self.imputed = self.records;
        }
    }

    /// Whether the last record made a row due.
    pub(super) fn is_due(&self) -> bool {
        let past = self.records.checked_sub(self.size as u64);
        past.is_some_and(|past| past.is_multiple_of(self.slide))
    }

    /// Whether a record of the window was filled in.
    pub(super) fn imputed(&self) -> bool {
        self.imputed > self.records.saturating_sub(self.size as u64)
    }

    /// Appends the features of each value.
    pub(super) fn features(&self, features: &[Aggregate], row_at: Micros, row: &mut Vec<f64>) {
        for column in &self.columns {
            let first_at = self.times.get(column.first_place()).copied().unwrap_or(row_at);
            row.extend(features.iter().map(|f| column.feature(*f, first_at, row_at)));
        }
    }

    /// The most bytes over so many values.
    pub(super) fn bytes_max(size: u32, needs: Needs, values: usize) -> usize {
        let size = size as usize;
        let times = if needs.increase { 8 * size } else { 0 };
        times + values * Column::bytes_max(size, needs)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(self.records, self.imputed, &self.times), out);
        self.columns.iter().for_each(|column| column.encode(out));
    }

    pub(super) fn decode(
        size: u32,
        slide: u32,
        needs: Needs,
        values: usize,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let mut sliding = Self::new(size, slide, needs, 0);
        let times: VecDeque<Micros>;
        (sliding.records, sliding.imputed, times) = encoding::take(bytes)?;
        encoding::ensure(sliding.records <= COUNT_MAX, "number of a window's records")?;
        let held = sliding.size.min(sliding.records.try_into().unwrap_or(usize::MAX));
        let known = if needs.increase { held } else { 0 };
        encoding::ensure(times.len() == known, "number of a window's times")?;
        sliding.times.extend(times);
        for _ in 0..values {
            let column = Column::decode(sliding.size, needs, bytes)?;
            encoding::ensure(column.len() == held, "length of a window")?;
            sliding.columns.push(column);
        }
        Ok(sliding)
    }
}
