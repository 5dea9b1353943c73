//! Chance by seed: each part of a simulation throws its own dice, so that a change of one part leaves the others'
//! fortunes as they were.

use rand_core::{RngCore as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

/// A seeded source of chance.
#[derive(Debug)]
pub(crate) struct Dice(Pcg64Mcg);

impl Dice {
    /// The dice of one `part` of what `seed` stands for.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        // Odd, so that no two parts of small seeds meet.
        Self(Pcg64Mcg::seed_from_u64(seed.wrapping_add(part.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
    }

    /// From 0 up to, without, `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % (end.max(1) as u64)) as usize
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// Whether something happens that happens `share` times in a thousand.
    pub(crate) fn happens(&mut self, share: u32) -> bool {
        self.below(1_000) < share as usize
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// In [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
