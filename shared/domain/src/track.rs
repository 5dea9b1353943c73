//! How far a reader has come in a source's numbered items, so that repeats are dropped and holes are seen.

use std::{collections::BTreeMap, sync::Arc};

use crate::Position;

/// Items are missing: a torn transaction, or data lost by the broker. The partition must stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "items of {source_name} are missing: expected number {expected} of epoch {epoch}, found {found}"
)]
pub struct Hole {
    /// The source, as `topic/number`.
    pub source_name: Arc<str>,
    /// The epoch read.
    pub epoch: u32,
    /// The number that should have come.
    pub expected: u64,
    /// The number that came.
    pub found: u64,
}

/// The last position of each source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    last: BTreeMap<Arc<str>, (u32, u64)>,
}

impl Track {
    /// Takes `count` items from `first` on, and returns how many of them are repeats, which stand at the front
    /// and are to be dropped. A higher epoch starts from 1 and is never a repeat; a lower one always is.
    ///
    /// # Errors
    /// If items are missing before `first`; nothing is taken then.
    pub fn take(&mut self, first: &Position, count: u64) -> Result<u64, Hole> {
        let (epoch, last) = self.last.get(&first.source).copied().unwrap_or((first.epoch, 0));
        if first.epoch < epoch {
            return Ok(count);
        }
        let last = if first.epoch > epoch { 0 } else { last };
        if first.number > last + 1 {
            return Err(Hole {
                source_name: first.source.clone(),
                epoch: first.epoch,
                expected: last + 1,
                found: first.number,
            });
        }
        let repeats = (last + 1 - first.number).min(count);
        let end = (first.number + count).saturating_sub(1).max(last);
        self.last.insert(first.source.clone(), (first.epoch, end));
        Ok(repeats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted_and_holes_refused() {
        let mut track = Track::default();
        let mut check = |epoch, number, count, expected: Result<u64, (u64, u64)>| {
            let first = Position { source: "records/0".into(), epoch, number };
            let found = track.take(&first, count).map_err(|hole| (hole.expected, hole.found));
            assert_eq!(found, expected, "{count} items from {number} of epoch {epoch}");
        };
        check(1, 2, 1, Err((1, 2)));
        check(1, 1, 5, Ok(0));
        check(1, 1, 5, Ok(5));
        check(1, 4, 4, Ok(2));
        check(1, 9, 1, Err((8, 9)));
        check(1, 8, 1, Ok(0));
        check(2, 2, 1, Err((1, 2)));
        check(2, 1, 1, Ok(0));
        check(1, 9, 3, Ok(3));
        check(2, 2, 0, Ok(0));
        check(2, 2, 1, Ok(0));
    }
}
