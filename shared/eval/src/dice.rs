//! Random numbers for made series: seeded, the same on every machine.

use rand_core::{RngCore as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Dice(Pcg64Mcg);

impl Dice {
    /// Seeded by what it is for and a number, so that no two uses share a stream.
    pub fn new(purpose: &str, number: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(
            domain::Id::of(&[purpose.as_bytes(), &number.to_le_bytes()]).seed(),
        ))
    }

    /// In [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between two numbers.
    pub fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.uniform()
    }

    /// A whole number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.uniform() * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// Standard normal (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Poisson, by the product of uniform numbers (Knuth); for small means.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        let (end, mut product, mut count) = (libm::exp(-mean), self.uniform(), 0.0);
        while product > end {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_moments_they_should() {
        let mut dice = Dice::new("moments", 1);
        let mut check = |next: fn(&mut Dice) -> f64, mean: f64, variance: f64| {
            let drawn: Vec<f64> = (0..20_000).map(|_| next(&mut dice)).collect();
            let found = drawn.iter().sum::<f64>() / 20_000.0;
            let spread = drawn.iter().map(|x| (x - found) * (x - found)).sum::<f64>() / 20_000.0;
            assert!((found - mean).abs() < 0.05 && (spread / variance - 1.0).abs() < 0.05);
        };
        check(Dice::uniform, 0.5, 1.0 / 12.0);
        check(Dice::normal, 0.0, 1.0);
        check(|dice| dice.poisson(5.0), 5.0, 5.0);
        check(|dice| dice.below(3) as f64, 1.0, 2.0 / 3.0);
        assert_eq!(Dice::new("a", 1).uniform(), Dice::new("a", 1).uniform());
        assert_ne!(Dice::new("a", 1).uniform(), Dice::new("b", 1).uniform());
        assert_eq!(dice.below(0), 0);
    }
}
