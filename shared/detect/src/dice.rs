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

    /// Each number below `end` alike; 0 if there is none.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.drawn += 1;
        ((u128::from(self.random.next_u64()) * u128::from(end)) >> 64) as u32
    }

    /// In [0, 1).
    #[cfg(test)]
    pub(crate) fn uniform(&mut self) -> f64 {
        self.drawn += 1;
        (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Appends how many were drawn.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.drawn, out);
    }

    /// Takes what [`encode`](Self::encode) appended, into a generator from which none was drawn
    /// since then.
    pub(crate) fn decode(&mut self, seed: u64, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let drawn = take_count(bytes, "number of random numbers")?;
        *self = Self { drawn, ..Self::new(seed) };
        self.random.advance(u128::from(drawn));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_generator_goes_on() {
        let mut dice = Dice::new(3);
        for _ in 0..100 {
            assert!(dice.below(7) < 7 && (0.0..1.0).contains(&dice.uniform()));
        }
        let (mut bytes, mut other) = (vec![], Dice::new(3));
        dice.encode(&mut bytes);
        assert_eq!(other.decode(3, &mut &bytes[..]), Ok(()));
        assert_eq!(other, dice);
        assert_eq!(other.below(u32::MAX), dice.below(u32::MAX));
    }
}
