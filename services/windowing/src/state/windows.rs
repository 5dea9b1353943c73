//! A series' windows: closes those that have ended, takes records in, and writes the rows that come of it.

use std::sync::Arc;

use domain::{Drift, Micros};

use crate::{
    events::{series_ref, window_row},
    order::Record,
    output::Output,
    series::Series,
    window::{Closed, Stamp},
};

/// Whether a window of the series has ended by that event time.
pub(super) fn any_due(series: &Series, event_at: Micros) -> bool {
    series.windows.iter().any(|window| window.due_at().is_some_and(|due| due <= event_at))
}

/// Closes the windows that have ended by that event time, with `values` as room for a row. Returns how many rows were
/// written.
pub(super) fn close(
    series: &mut Series,
    event_at: Micros,
    log_time: Micros,
    values: &mut Vec<f64>,
    out: &mut Output,
) -> u64 {
    let mut rows = 0;
    for place in 0..series.windows.len() {
        let mut due = series.windows[place].due_at();
        while let Some(closed) = series.windows[place].close(event_at, values) {
            // What comes now of the time that is closed is late, as it is behind a row that has left.
            due.into_iter().for_each(|due| series.order.set_left(due));
            write(series, place, &closed, log_time, values, out);
            rows += 1;
            due = series.windows[place].due_at();
        }
    }
    rows
}

/// Takes a record into the windows; a drift found at it is marked on each one's next row. Returns how many rows were
/// written.
pub(super) fn add(
    series: &mut Series,
    record: &Record<'_>,
    drift: Option<&Arc<Drift>>,
    log_time: Micros,
    values: &mut Vec<f64>,
    out: &mut Output,
) -> u64 {
    if series.windows.is_empty() {
        return 0;
    }
    let stamp = Stamp::of(record);
    let mut rows = 0;
    for place in 0..series.windows.len() {
        let window = &mut series.windows[place];
        if drift.is_some() {
            window.pending_drift = drift.cloned();
        }
        window.add(&stamp, record.values);
        if let Some(closed) = window.full(values) {
            write(series, place, &closed, log_time, values, out);
            rows += 1;
        }
    }
    rows
}

/// Says for each window, whose records are of the series' values, that nothing comes any more. Returns how many rows
/// were written.
pub(super) fn no_data(
    series: &mut Series,
    record: &Record<'_>,
    log_time: Micros,
    values: &mut Vec<f64>,
    out: &mut Output,
) -> u64 {
    for place in 0..series.windows.len() {
        let window = &mut series.windows[place];
        let closed = window.no_data(Stamp::of(record), values);
        write(series, place, &closed, log_time, values, out);
    }
    series.windows.len() as u64
}

fn write(
    series: &mut Series,
    place: usize,
    closed: &Closed,
    log_time: Micros,
    values: &[f64],
    out: &mut Output,
) {
    let window = &mut series.windows[place];
    let (marked, known) = (window.pending_drift.take(), window.entry);
    let row = window_row(closed, log_time, marked);
    let named = || series_ref(series, Some(place));
    let written = out.row(known, named, &closed.stamp.source, values, row);
    series.windows[place].entry = written;
}
