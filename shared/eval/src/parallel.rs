//! Work shared out among all cores, its results in the order of what was asked.

use std::{
    num::NonZero,
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::Progress;

/// What `work` makes of each item; told after each one how many are done.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    progress: Progress<'_>,
) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let turn = || {
        let mut mine = vec![];
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            mine.push((index, work(item)));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
        }
        mine
    };
    let mut all: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(items.len())).map(|_| scope.spawn(turn)).collect();
        let finished = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|caught| panic::resume_unwind(caught))
        };
        workers.into_iter().flat_map(finished).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

/// For who does not care how much is done.
pub(crate) fn quietly(_: usize, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_progress_reaches_the_end() {
        let items: Vec<u64> = (0..500).collect();
        let most = AtomicUsize::new(0);
        let progress = |done, of| {
            assert_eq!(of, 500);
            most.fetch_max(done, Ordering::Relaxed);
        };
        let found = map(&items, |x| x * x, &progress);
        assert_eq!(found, items.iter().map(|x| x * x).collect::<Vec<_>>());
        assert_eq!(most.into_inner(), 500);
        assert!(map(&[0; 0], |x| *x, &quietly).is_empty());
    }
}
