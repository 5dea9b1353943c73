//! How far a reader has come in a source's numbered items, so that repeats are dropped and holes are seen.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{Position, encoding::COUNT_MAX};

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

/// Epoch and number of the last item of each source.
type Last = BTreeMap<Arc<str>, (u32, u64)>;

/// The last position of each source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    #[serde(deserialize_with = "countable")]
    last: Last,
    /// Sources are first met wherever they are.
    in_the_middle: bool,
}

impl Track {
    /// A reader that begins in the middle: it takes the first number that it sees of a source.
    pub fn in_the_middle() -> Self {
        Self { in_the_middle: true, ..Self::default() }
    }

    /// Takes `count` items from `first` on, and returns how many of them are repeats, which stand at the front
    /// and are to be dropped. A higher epoch starts from 1 and is never a repeat; a lower one always is.
    ///
    /// # Errors
    /// If items are missing before `first`; nothing is taken then.
    pub fn take(&mut self, first: &Position, count: u64) -> Result<u64, Hole> {
        let before = if self.in_the_middle { first.number.saturating_sub(1) } else { 0 };
        let (epoch, last) = self.last.get(&first.source).copied().unwrap_or((first.epoch, before));
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

/// The last positions of a saved state, none of which is too large to be counted on from.
fn countable<'de, D: Deserializer<'de>>(state: D) -> Result<Last, D::Error> {
    let last = Last::deserialize(state)?;
    let possible = last.values().all(|&(_, number)| number <= COUNT_MAX);
    if possible { Ok(last) } else { Err(D::Error::custom("impossible number of items")) }
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

    #[test]
    fn who_begins_in_the_middle_takes_the_first_number_that_comes() {
        let mut track = Track::in_the_middle();
        let mut take = |source: &str, epoch, number| {
            track.take(&Position { source: source.into(), epoch, number }, 2).map_err(|h| h.found)
        };
        assert_eq!(take("records/0", 1, 70), Ok(0));
        assert_eq!(take("records/0", 1, 73), Err(73));
        assert_eq!(take("records/0", 1, 71), Ok(1));
        assert_eq!(take("records/0", 2, 2), Err(2));
        assert_eq!(take("records/1", 3, 9), Ok(0));
    }
}
