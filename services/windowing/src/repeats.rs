//! The ids of a series' last records, so that a record that comes again is known.

use std::collections::{HashSet, VecDeque};

use domain::{
    Id,
    encoding::{self, DecodeError},
};

/// The last ids, as hashes of 64 bits: of a thousand, a new id is taken for one of them once in 10^16 times.
#[derive(Debug, Default)]
pub struct Repeats {
    last: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Repeats {
    /// Whether a record of this id has been taken.
    pub fn knows(&self, id: &str) -> bool {
        !self.known.is_empty() && self.known.contains(&hash(id))
    }

    /// Takes an id, and forgets the oldest beyond `ids_max`.
    pub fn take(&mut self, id: &str, ids_max: u32) {
        let id = hash(id);
        if ids_max > 0 && self.known.insert(id) {
            self.last.push_back(id);
        }
        self.shrink(ids_max);
    }

    /// Forgets the oldest beyond `ids_max`.
    pub fn shrink(&mut self, ids_max: u32) {
        while self.last.len() > ids_max as usize {
            let Some(oldest) = self.last.pop_front() else { return };
            self.known.remove(&oldest);
        }
    }

    /// Appends the ids to a saved state.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&self.last.len(), out);
        self.last.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    }

    /// Reads what [`Repeats::encode`] wrote, with at most so many ids.
    pub(crate) fn decode(ids_max: u32, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let count: usize = encoding::take(bytes)?;
        encoding::ensure(count <= ids_max as usize, "number of record ids")?;
        let mut repeats = Self::default();
        for _ in 0..count {
            let (id, rest) =
                bytes.split_first_chunk().ok_or(DecodeError::Impossible("end of record ids"))?;
            *bytes = rest;
            let id = u64::from_le_bytes(*id);
            encoding::ensure(repeats.known.insert(id), "record id, twice")?;
            repeats.last.push_back(id);
        }
        Ok(repeats)
    }
}

fn hash(id: &str) -> u64 {
    Id::of(&[b"record", id.as_bytes()]).seed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ids_are_known_and_older_ones_are_not() {
        let mut repeats = Repeats::default();
        for id in ["a", "b", "a", "c"] {
            repeats.take(id, 2);
        }
        // "a" came again and is as old as it was.
        let knows = |repeats: &Repeats| ["a", "b", "c"].map(|id| repeats.knows(id));
        assert_eq!(knows(&repeats), [false, true, true]);
        let mut bytes = vec![];
        repeats.encode(&mut bytes);
        for len in 0..bytes.len() {
            assert!(Repeats::decode(2, &mut &bytes[..len]).is_err(), "{len}");
        }
        assert!(Repeats::decode(1, &mut &bytes[..]).is_err(), "more than are kept");
        let mut decoded = Repeats::decode(2, &mut &bytes[..]).expect("an encoding");
        assert_eq!(knows(&decoded), knows(&repeats));
        decoded.take("d", 2);
        assert_eq!(knows(&decoded), [false, false, true]);
        decoded.take("e", 0);
        assert_eq!(knows(&decoded), [false; 3]);
    }
}
