//! The learning gate: rows far odder than a series' rows use to be are learned seldom, so that a
//! lasting fault is not taken for normal at once; after some hundred of them they are the new
//! regime and learned like all others.

use domain::encoding::{DecodeError, put, take};

use crate::standard::Standard;

/// What is usual of a model's raw scores, and for how long they have been unusual.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BurstGate {
    usual: Standard,
    /// Odd rows; halves with each row that is not.
    run: u32,
}

impl BurstGate {
    /// From so many units above the usual a row is odd.
    const FAR: f64 = 4.0;
    /// Before so many rows nothing is usual.
    const YOUNG: f64 = 32.0;
    /// One odd row in so many is learned.
    const ONE_IN: u32 = 32;
    /// More odd rows than this, and they are the new regime.
    const RUN_MAX: u32 = 256;

    /// Learns the raw score of a row; says of how many such rows one is to be learned.
    pub(crate) fn one_in(&mut self, raw: f64) -> u32 {
        let old = self.usual.rows() >= Self::YOUNG;
        let odd = old && self.usual.distance(raw) > Self::FAR;
        self.usual.learn(raw);
        self.run = if odd { self.run.saturating_add(1) } else { self.run / 2 };
        if odd && self.run <= Self::RUN_MAX { Self::ONE_IN } else { 1 }
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.usual.encode(out);
        put(&self.run, out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { usual: Standard::decode(bytes)?, run: take(bytes)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_learned_seldom_and_a_new_regime_as_ever() {
        let mut gate = BurstGate::default();
        for i in 0..500 {
            assert_eq!(gate.one_in(f64::from(i * 7 % 11)), 1);
        }
        let seldom = (0..1000).filter(|_| gate.one_in(90.0) > 1).count();
        assert!((60..=256).contains(&seldom), "{seldom}");
    }
}
