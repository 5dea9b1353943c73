//! What ticks do: those who wait are woken, and series of which nothing comes any more are forgotten.

use domain::{LOG_TIME_END, Micros};

use super::{At, State};
use crate::{events::series_ref, output::Output};

impl State {
    /// Log time has come this far. Tells whether series were forgotten.
    pub(super) fn tick(&mut self, at: At<'_>, log_time: Micros, out: &mut Output) -> bool {
        self.log_time.advance(&at.first.source, log_time);
        let log_time = self.log_time.get();
        // Rows carry log time on too, but only ticks tell those who wait.
        if log_time <= self.ticked_at {
            return false;
        }
        self.ticked_at = log_time;
        let mut due = std::mem::take(&mut self.scratch.due);
        while let Some(index) = self.wakes.take(log_time) {
            let due_at = self.series[index].due_at();
            if due_at <= log_time || log_time == LOG_TIME_END {
                due.push(index);
            } else {
                self.wakes.set(index, due_at);
            }
        }
        // When a series was put into the queue may differ from run to run; its index may not.
        due.sort_unstable();
        let forgotten = self.counts.forgotten;
        due.drain(..).for_each(|index| self.wake(index, log_time, at, out));
        self.scratch.due = due;
        out.tick(log_time);
        self.counts.forgotten > forgotten
    }

    /// Does what is due of a silent series.
    pub(super) fn wake(&mut self, index: usize, log_time: Micros, at: At<'_>, out: &mut Output) {
        let watermark = self.series.get_mut(index).order.silent_watermark(log_time);
        self.release(index, at, out, |order| order.release_silent(watermark));
        if log_time != LOG_TIME_END {
            self.fill(index, watermark, None, out);
        }
        self.close(index, watermark, out);
        let series = &self.series[index];
        let ttl = series.ttl();
        if log_time == LOG_TIME_END {
            // All that waited has left.
        } else if ttl > 0 && series.order.silent_for(log_time) >= ttl {
            self.forget(index, log_time, out);
        } else {
            self.wakes.set(index, series.due_at());
        }
    }

    /// Drops a series and says so, so that its models are dropped at the same place.
    pub(super) fn forget(&mut self, index: usize, log_time: Micros, out: &mut Output) {
        self.close(index, Micros::MAX, out);
        let series = self.series.remove(index);
        self.by_key.remove(&(series.stream_name.clone(), series.key.clone()));
        if let Some(count) = self.by_stream.get_mut(&series.stream_name) {
            *count -= 1;
        }
        let windows = (0..series.windows.len()).map(Some);
        for window in [None].into_iter().chain(windows) {
            out.forget(series_ref(&series, window), log_time);
        }
        self.counts.forgotten += 1;
    }
}
