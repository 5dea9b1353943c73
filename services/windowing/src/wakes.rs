//! When ticks must look at series that are silent: rows wait, a gap opens, a window ends, a series is forgotten.

use std::collections::BTreeSet;

use domain::{LOG_TIME_END, Micros};

/// For each series a log time before which no tick concerns it. Records push what is due away all the time, so
/// that time is only moved when something is due earlier; a series that is woken too early goes back to sleep.
#[derive(Debug, Default)]
pub struct Wakes {
    queue: BTreeSet<(Micros, usize)>,
    /// By series; [`Micros::MAX`] for those that are not queued.
    at: Vec<Micros>,
}

impl Wakes {
    /// Series `index` must be looked at when log time has come this far; [`Micros::MAX`]: never.
    pub fn set(&mut self, index: usize, log_time: Micros) {
        if self.at.len() <= index {
            self.at.resize(index + 1, Micros::MAX);
        }
        if log_time < self.at[index] {
            self.queue.remove(&(self.at[index], index));
            self.queue.insert((log_time, index));
            self.at[index] = log_time;
        }
    }

    /// Takes the series that may have to be looked at, in no order that means anything.
    pub fn take(&mut self, log_time: Micros) -> Option<usize> {
        let &(at, index) = self.queue.first()?;
        if at > log_time && log_time != LOG_TIME_END {
            return None;
        }
        self.queue.pop_first();
        self.at[index] = Micros::MAX;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_time_counts() {
        let mut wakes = Wakes::default();
        for (index, at) in [(2, 50), (2, 70), (0, 60), (2, 40), (5, Micros::MAX)] {
            wakes.set(index, at);
        }
        let mut due = |log_time| std::iter::from_fn(|| wakes.take(log_time)).collect::<Vec<_>>();
        assert!(due(39).is_empty());
        assert_eq!(due(59), [2]);
        assert_eq!(due(LOG_TIME_END), [0]);
        assert!(due(LOG_TIME_END).is_empty());
    }
}
