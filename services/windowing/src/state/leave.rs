//! How records leave: in their order, with what stands in for those that did not come, through drift tests and into
//! windows.

use std::sync::Arc;

use domain::{Drift, Flags, Micros};

use super::{At, State, windows};
use crate::{
    events::{drift_actions, drift_event, output_row, refusal, series_ref},
    order::{Held, Order, Record},
    output::Output,
};

impl State {
    /// Lets go what need not wait any longer.
    pub(super) fn release(
        &mut self,
        index: usize,
        at: At<'_>,
        out: &mut Output,
        next: impl Fn(&mut Order) -> Option<Held>,
    ) {
        let mut values = std::mem::take(&mut self.scratch.held);
        while let Some(held) = next(&mut self.series.get_mut(index).order) {
            self.leave(index, &held.record(&mut values), false, at, out);
        }
        self.scratch.held = values;
    }

    /// A record leaves as a row; drift tests and windows take it in, unless it is `late`. `at` is the item that
    /// lets it go.
    pub(super) fn leave(
        &mut self,
        index: usize,
        record: &Record<'_>,
        late: bool,
        at: At<'_>,
        out: &mut Output,
    ) {
        let mut arranged = std::mem::take(&mut self.scratch.arranged);
        let series = self.series.get_mut(index);
        match series.arrange(record, self.config.features_max, &mut arranged) {
            Ok(values) => self.leave_as(index, &Record { values, ..*record }, late, at, out),
            Err(features) => {
                let (reason, detail) = self.too_many_features(features);
                out.refusals.push(refusal(&self.series[index].key, record, reason, detail));
            }
        }
        self.scratch.arranged = arranged;
    }

    /// The same for a record whose values stand in the series' order.
    pub(super) fn leave_as(
        &mut self,
        index: usize,
        record: &Record<'_>,
        late: bool,
        at: At<'_>,
        out: &mut Output,
    ) {
        if !late {
            self.fill(index, record.row.event_at, Some(record.values), out);
            self.close(index, record.row.event_at, out);
        }
        let log_time = self.log_time.get();
        let series = self.series.get_mut(index);
        let number = series.next_row();
        let mark = drift::Mark { row: number, at: record.row.event_at };
        let found =
            series.monitor.as_mut().filter(|_| !late).and_then(|m| m.push(record.values, mark));
        let drift = found.map(|found| {
            let actions = drift_actions(&self.definitions, &series.stream_name);
            let found = (&found, actions);
            Arc::new(drift_event(series, record, number, log_time, at.position(), found))
        });
        out.drifts.extend(drift.clone());
        let flags = Flags { late, ..Flags::default() };
        self.write(index, record, number, flags, drift.clone(), out);
        if !late {
            self.series.get_mut(index).take(record);
            self.add(index, record, drift.as_ref(), out);
        }
    }

    /// Writes the rows that stand in for records until event time `event_at`: by a record with the values
    /// `next`, or in silence.
    pub(super) fn fill(
        &mut self,
        index: usize,
        event_at: Micros,
        next: Option<&[f64]>,
        out: &mut Output,
    ) {
        if self.series[index].regular.is_none() {
            return;
        }
        let mut values = std::mem::take(&mut self.scratch.gap);
        while let Some((gap, last)) = self.series.get_mut(index).gap(event_at, next, &mut values) {
            let series = self.series.get_mut(index);
            let features = series.features.clone();
            let (row, source) = (&last.row, &last.source);
            let record = Record { row, source, features: &features, values: &values };
            self.close(index, row.event_at, out);
            let number = self.series.get_mut(index).next_row();
            self.write(index, &record, number, row.flags, None, out);
            if gap.no_data {
                self.counts.no_data += 1;
                let (log_time, row) = (self.log_time.get(), &mut self.scratch.window);
                let series = self.series.get_mut(index);
                self.counts.rows += windows::no_data(series, &record, log_time, row, out);
            } else {
                self.counts.imputed += 1;
                self.add(index, &record, None, out);
            }
        }
        self.scratch.gap = values;
    }

    /// Closes the windows that have ended by that event time.
    pub(super) fn close(&mut self, index: usize, event_at: Micros, out: &mut Output) {
        if windows::any_due(&self.series[index], event_at) {
            let (log_time, row) = (self.log_time.get(), &mut self.scratch.window);
            let series = self.series.get_mut(index);
            self.counts.rows += windows::close(series, event_at, log_time, row, out);
        }
    }

    /// The windows take a row in.
    pub(super) fn add(
        &mut self,
        index: usize,
        record: &Record<'_>,
        drift: Option<&Arc<Drift>>,
        out: &mut Output,
    ) {
        let (log_time, row) = (self.log_time.get(), &mut self.scratch.window);
        let series = self.series.get_mut(index);
        self.counts.rows += windows::add(series, record, drift, log_time, row, out);
    }

    pub(super) fn write(
        &mut self,
        index: usize,
        record: &Record<'_>,
        number: u64,
        flags: Flags,
        drift: Option<Arc<Drift>>,
        out: &mut Output,
    ) {
        let log_time = self.log_time.get();
        let series = self.series.get_mut(index);
        let row = output_row(record, number, log_time, flags, drift);
        let named = || series_ref(series, None);
        let entry = out.row(series.entry, named, record.source, record.values, row);
        series.entry = entry;
        self.counts.rows += 1;
    }
}
