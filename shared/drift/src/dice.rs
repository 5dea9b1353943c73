//! Random numbers whose place in their sequence can be encoded: a seed and how many were drawn.

use domain::encoding::{DecodeError, put, take_count};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A generator that counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dice {
    random: Pcg64Mcg,
    drawn: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Pcg64Mcg::seed_from_u64(seed), drawn: 0 }
    }

    /// In (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.drawn += 1;
        ((self.random.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Appends how many were drawn.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.drawn, out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(seed: u64, bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let drawn = take_count(bytes, "number of random numbers")?;
        let mut dice = Self { drawn, ..Self::new(seed) };
        dice.random.advance(u128::from(drawn));
        Ok(dice)
    }
}
