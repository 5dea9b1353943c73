//! Sliding windows over a number of records: features at constant amortised cost, never by rescanning.

use std::{collections::VecDeque, sync::Arc};

use domain::{
    Aggregate, Drift, Window,
    encoding::{self, COUNT_MAX, DecodeError},
};

use crate::output::Entry;

/// One value's history in a window, with what its features need kept current.
#[derive(Debug)]
struct Column {
    /// The values in order; NaN where missing.
    values: VecDeque<f64>,
    /// Numbers of the first and next value, for the monotonic queues.
    first: u64,
    next: u64,
    present: u32,
    mean: f64,
    m2: f64,
    smallest: VecDeque<(u64, f64)>,
    largest: VecDeque<(u64, f64)>,
}

impl Column {
    fn new(size: usize) -> Self {
        Self {
            values: VecDeque::with_capacity(size),
            first: 0,
            next: 0,
            present: 0,
            mean: 0.0,
            m2: 0.0,
            smallest: VecDeque::new(),
            largest: VecDeque::new(),
        }
    }

    fn push(&mut self, value: f64, size: usize) {
        if self.values.len() == size
            && let Some(old) = self.values.pop_front()
        {
            self.first += 1;
            self.forget(old);
        }
        self.values.push_back(value);
        self.add(value);
        self.next += 1;
        // Rounding errors of values that left stay behind; starting afresh once per lap removes them.
        if self.next.is_multiple_of(size as u64) {
            self.recompute();
        }
    }

    fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.present += 1;
        let delta = value - self.mean;
        self.mean += delta / f64::from(self.present);
        self.m2 += delta * (value - self.mean);
        while self.smallest.back().is_some_and(|(_, back)| *back >= value) {
            self.smallest.pop_back();
        }
        self.smallest.push_back((self.next, value));
        while self.largest.back().is_some_and(|(_, back)| *back <= value) {
            self.largest.pop_back();
        }
        self.largest.push_back((self.next, value));
    }

    fn forget(&mut self, value: f64) {
        for queue in [&mut self.smallest, &mut self.largest] {
            while queue.front().is_some_and(|(number, _)| *number < self.first) {
                queue.pop_front();
            }
        }
        if value.is_nan() {
            return;
        }
        self.present -= 1;
        if self.present == 0 {
            (self.mean, self.m2) = (0.0, 0.0);
            return;
        }
        let delta = value - self.mean;
        self.mean -= delta / f64::from(self.present);
        self.m2 = (self.m2 - delta * (value - self.mean)).max(0.0);
    }

    fn recompute(&mut self) {
        let n = f64::from(self.present.max(1));
        self.mean = self.values.iter().filter(|v| !v.is_nan()).sum::<f64>() / n;
        let mean = self.mean;
        self.m2 = self.values.iter().filter(|v| !v.is_nan()).map(|v| (v - mean) * (v - mean)).sum();
    }

    fn decode(size: usize, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (values, next, present, mean, m2): (VecDeque<f64>, u64, u32, f64, f64) =
            encoding::take(bytes)?;
        let count = values.len() as u64;
        let whole = values.len() <= size && count <= next && next <= COUNT_MAX;
        encoding::ensure(whole, "length of a window")?;
        let present_now = values.iter().filter(|value| !value.is_nan()).count();
        encoding::ensure(present as usize == present_now, "number of a window's values")?;
        // The queues follow from the values; the rest carries the rounding of what has left.
        let mut column = Self::new(size);
        column.first = next - count;
        column.next = column.first;
        for value in &values {
            column.add(*value);
            column.next += 1;
        }
        column.values.extend(values);
        Ok(Self { present, mean, m2, ..column })
    }

    fn feature(&self, aggregate: Aggregate) -> f64 {
        let n = f64::from(self.present);
        match aggregate {
            Aggregate::Count => n,
            _ if self.present == 0 => f64::NAN,
            Aggregate::Last => self.values.back().copied().unwrap_or(f64::NAN),
            Aggregate::Sum => self.mean * n,
            Aggregate::Mean => self.mean,
            Aggregate::Min => self.smallest.front().map_or(f64::NAN, |(_, v)| *v),
            Aggregate::Max => self.largest.front().map_or(f64::NAN, |(_, v)| *v),
            // Equal values have no spread, whatever rounding left of the values before them.
            Aggregate::Std if self.feature(Aggregate::Min) == self.feature(Aggregate::Max) => 0.0,
            Aggregate::Std => (self.m2 / n).sqrt(),
        }
    }
}

/// One window of one series.
#[derive(Debug)]
pub struct SlidingWindow {
    definition: Window,
    name: Arc<str>,
    columns: Vec<Column>,
    records: u64,
    rows: u64,
    /// A drift found since the last row of this window; it is marked on the next one.
    pub pending_drift: Option<Arc<Drift>>,
    /// Where its rows were written last.
    pub entry: Entry,
}

impl SlidingWindow {
    /// An empty window over so many values.
    pub fn new(definition: &Window, values: usize) -> Self {
        let columns = (0..values).map(|_| Column::new(definition.size as usize)).collect();
        Self {
            name: definition.name.as_str().into(),
            definition: definition.clone(),
            columns,
            records: 0,
            rows: 0,
            pending_drift: None,
            entry: Entry::default(),
        }
    }

    /// The window's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The names of a row's values: each feature of each value, such as `cpu.mean`.
    pub fn features(&self, values: &[Arc<str>]) -> Arc<[Arc<str>]> {
        let names = values.iter().flat_map(|value| {
            self.definition
                .features
                .iter()
                .map(move |feature| Arc::from(format!("{value}.{}", feature.name())))
        });
        names.collect()
    }

    /// Takes a record in. If a row is due, writes its values into `row` and returns its number.
    pub fn push(&mut self, record: &[f64], row: &mut Vec<f64>) -> Option<u64> {
        let size = self.definition.size as usize;
        for (column, value) in self.columns.iter_mut().zip(record) {
            column.push(*value, size);
        }
        self.records += 1;
        let full = u64::from(self.definition.size);
        if self.records < full
            || !(self.records - full).is_multiple_of(u64::from(self.definition.slide))
        {
            return None;
        }
        row.clear();
        for column in &self.columns {
            row.extend(self.definition.features.iter().map(|feature| column.feature(*feature)));
        }
        // An overflow of a sum is no number that could be scored; it counts as missing.
        row.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = f64::NAN);
        self.rows += 1;
        Some(self.rows)
    }

    /// The window by a changed definition: the same if it did not change, else anew, counting its rows on.
    pub fn redefined(self, definition: &Window, values: usize) -> Self {
        if self.definition == *definition {
            return self;
        }
        Self { rows: self.rows, ..Self::new(definition, values) }
    }

    /// Appends what it knows to a saved state; its definition is not part of it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(self.records, self.rows, &self.pending_drift), out);
        for column in &self.columns {
            let Column { values, next, present, mean, m2, .. } = column;
            encoding::put(&(values, next, present, mean, m2), out);
        }
    }

    /// Reads what [`SlidingWindow::encode`] wrote of a window by this definition over so many values.
    pub(crate) fn decode(
        definition: &Window,
        values: usize,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let mut window = Self::new(definition, 0);
        (window.records, window.rows, window.pending_drift) = encoding::take(bytes)?;
        // A window that was widened or redefined counts its records anew, and its rows on.
        let plausible = window.records <= COUNT_MAX && window.rows <= COUNT_MAX;
        encoding::ensure(plausible, "number of a window's rows")?;
        for _ in 0..values {
            window.columns.push(Column::decode(definition.size as usize, bytes)?);
        }
        Ok(window)
    }

    /// The window over more values, counting its rows on.
    pub fn widened(&self, values: usize) -> Self {
        Self { rows: self.rows, ..Self::new(&self.definition, values) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Aggregate; 7] = [
        Aggregate::Last,
        Aggregate::Count,
        Aggregate::Sum,
        Aggregate::Mean,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Std,
    ];

    /// The features by rescanning the window.
    fn rescan(window: &[f64], aggregate: Aggregate) -> f64 {
        let present: Vec<f64> = window.iter().copied().filter(|v| !v.is_nan()).collect();
        let n = present.len() as f64;
        let mean = present.iter().sum::<f64>() / n;
        match aggregate {
            Aggregate::Count => n,
            _ if present.is_empty() => f64::NAN,
            Aggregate::Last => *window.last().unwrap(),
            Aggregate::Sum => present.iter().sum(),
            Aggregate::Mean => mean,
            Aggregate::Min => present.iter().copied().fold(f64::INFINITY, f64::min),
            Aggregate::Max => present.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Aggregate::Std => {
                (present.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt()
            }
        }
    }

    proptest! {
        #[test]
        fn features_equal_a_rescan_of_the_window(
            values in prop::collection::vec(prop_oneof![4 => -1e3..1e3f64, 1 => Just(f64::NAN)], 1..200),
            size in 2u32..20,
            slide in 1u32..5,
        ) {
            let definition =
                Window { name: "w".into(), size, slide: slide.min(size), features: ALL.to_vec() };
            let mut window = SlidingWindow::new(&definition, 1);
            let mut row = vec![];
            let mut numbers = vec![];
            for end in 1..=values.len() {
                let Some(number) = window.push(&values[end - 1..end], &mut row) else { continue };
                numbers.push(number);
                for (aggregate, found) in ALL.into_iter().zip(&row) {
                    let expected = rescan(&values[end - size as usize..end], aggregate);
                    prop_assert!(
                        (expected - found).abs() < 1e-4 || expected.is_nan() && found.is_nan(),
                        "{aggregate:?}: {found}, not {expected}"
                    );
                }
            }
            let due = (values.len() as u64 + 1).saturating_sub(size.into()).div_ceil(slide.min(size).into());
            prop_assert_eq!(numbers, (1..=due).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_spread_that_left_leaves_nothing_behind() {
        let definition =
            Window { name: "w".into(), size: 4, slide: 1, features: vec![Aggregate::Std] };
        let mut window = SlidingWindow::new(&definition, 1);
        let mut row = vec![];
        for value in [1e6, -1e6, 1e6, 0.1, 0.1, 0.1, 0.1, 0.1] {
            window.push(&[value], &mut row);
        }
        assert_eq!(row, [0.0]);
    }
}
