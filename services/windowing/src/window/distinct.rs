//! How many different values there were, in bounded memory: exact up to 256, then HyperLogLog (Flajolet, Fusy,
//! Gandouet & Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007) with
//! 2^10 registers, whose standard error is 1.04 / 32 = 3.25 %. Two of them merge into that of both.

use domain::encoding::{self, DecodeError};

use super::make_room;

/// So many are told apart exactly.
pub(super) const EXACT_MAX: usize = 256;
/// So many registers, of a byte each.
pub(super) const REGISTERS: usize = 1 << REGISTER_BITS;
const REGISTER_BITS: u32 = 10;
/// The most leading zeros, plus one, of the hash's other 54 bits.
const RANK_MAX: u8 = 55;

/// The different values that have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct {
    /// Their bits in ascending order, while they are few.
    exact: Vec<u64>,
    /// Else the registers; else empty.
    registers: Vec<u8>,
}

/// The bits that tell a value from others: both zeros are one.
pub(super) fn bits_of(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

/// Mixes bits so that each depends on each (the finisher of SplitMix64; Steele, Lea & Flood 2014).
fn mixed(bits: u64) -> u64 {
    let z = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Distinct {
    /// Takes a value in; O(log n) and a move of at most 2 KiB, later O(1).
    pub(super) fn add(&mut self, value: f64) {
        self.add_bits(bits_of(value));
    }

    fn add_bits(&mut self, bits: u64) {
        if self.registers.is_empty() {
            let Err(at) = self.exact.binary_search(&bits) else { return };
            if self.exact.len() < EXACT_MAX {
                let len = self.exact.len() + 1;
                make_room(&mut self.exact, len);
                return self.exact.insert(at, bits);
            }
            self.estimate_from_now_on();
        }
        self.register(bits);
    }

    fn estimate_from_now_on(&mut self) {
        self.registers.reserve_exact(REGISTERS);
        self.registers.resize(REGISTERS, 0);
        for at in 0..self.exact.len() {
            self.register(self.exact[at]);
        }
        self.exact.clear();
    }

    fn register(&mut self, bits: u64) {
        let hash = mixed(bits);
        let rest = hash << REGISTER_BITS;
        let rank = (rest.leading_zeros() as u8 + 1).min(RANK_MAX);
        let register = &mut self.registers[(hash >> (64 - REGISTER_BITS)) as usize];
        *register = rank.max(*register);
    }

    /// Takes in what another one took in.
    pub(super) fn merge(&mut self, other: &Self) {
        if !other.registers.is_empty() {
            if self.registers.is_empty() {
                self.estimate_from_now_on();
            }
            for (ours, theirs) in self.registers.iter_mut().zip(&other.registers) {
                *ours = (*ours).max(*theirs);
            }
        }
        other.exact.iter().for_each(|bits| self.add_bits(*bits));
    }

    /// How many; a whole number.
    pub(super) fn count(&self) -> f64 {
        if self.registers.is_empty() {
            return self.exact.len() as f64;
        }
        let m = REGISTERS as f64;
        // 2^-rank, by its exponent.
        let inverse = |rank: &u8| f64::from_bits((1023 - u64::from(*rank)) << 52);
        let sum: f64 = self.registers.iter().map(inverse).sum();
        let estimate = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let unused = self.registers.iter().filter(|rank| **rank == 0).count();
        let few = estimate <= 2.5 * m && unused > 0;
        if few { (m * libm::log(m / unused as f64)).round() } else { estimate.round() }
    }

    /// Forgets all values; the room stays.
    pub(super) fn clear(&mut self) {
        self.exact.clear();
        self.registers.clear();
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(&self.exact, &self.registers), out);
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (exact, registers): (Vec<u64>, Vec<u8>) = encoding::take(bytes)?;
        let few = exact.len() <= EXACT_MAX && exact.is_sorted_by(|a, b| a < b);
        encoding::ensure(few, "different values")?;
        let ranks = registers.iter().all(|rank| *rank <= RANK_MAX);
        let whole = registers.is_empty() || registers.len() == REGISTERS && exact.is_empty();
        encoding::ensure(ranks && whole, "registers of different values")?;
        Ok(Self { exact, registers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_exact_and_many_within_the_stated_error() {
        let (mut squares, mut runs) = (0.0_f64, 0.0);
        for run in 0..40_u32 {
            let mut distinct = Distinct::default();
            for count in 1..=50_000_u32 {
                let value = f64::from(count) / 8.0 + f64::from(run) * 1e6;
                distinct.add(value);
                distinct.add(value);
                let found =
                    if count <= 256 || count % 10_000 == 257 { distinct.count() } else { 0.0 };
                if count <= 256 {
                    assert_eq!(found, f64::from(count));
                } else if count % 10_000 == 257 {
                    let error = found / f64::from(count) - 1.0;
                    assert!(error.abs() < 5.0 * 0.0325, "{found}, not {count}");
                    squares += error * error;
                    runs += 1.0;
                }
            }
        }
        let deviation = (squares / runs).sqrt();
        assert!(deviation < 1.3 * 0.0325, "{deviation} over {runs} runs");
    }

    #[test]
    fn merged_is_that_of_both() {
        let of = |values: std::ops::Range<u32>| {
            let mut distinct = Distinct::default();
            values.for_each(|value| distinct.add(f64::from(value)));
            distinct
        };
        for (first, second) in [(0..10, 5..20), (0..200, 100..400), (0..999, 3..5), (0..3, 0..999)]
        {
            let mut merged = of(first.clone());
            merged.merge(&of(second.clone()));
            let both = of(first.start.min(second.start)..first.end.max(second.end));
            assert_eq!((&merged.exact, &merged.registers), (&both.exact, &both.registers));
        }
    }
}
