//! The closed set of algorithms as a list: a few of each for tests of what all must do, and how an
//! encoding names them.

use domain::{
    Algorithm,
    encoding::{DecodeError, put, take},
};

/// Makes [`SAMPLES`] of a `match` over all algorithms, so that one without samples does not
/// compile.
macro_rules! samples {
    ($($algorithm:pat => [$($sample:expr),+]),+ $(,)?) => {
        /// One or two of every algorithm, with small parameters. What must hold for every algorithm
        /// is tested over these.
        pub const SAMPLES: &[Algorithm] = &[$($($sample),+),+];

        const _: fn(&Algorithm) = |algorithm| match algorithm {
            $($algorithm => {})+
        };
        const _: () = {
            $($(assert!(matches!($sample, $algorithm), "the sample of another algorithm");)+)+
        };
    };
}

samples! {
    Algorithm::Auto => [Algorithm::Auto],
    Algorithm::RobustZ { .. } => [
        Algorithm::RobustZ { window: 41 },
        Algorithm::RobustZ { window: 64 }
    ],
    Algorithm::HalfSpaceTrees { .. } => [
        Algorithm::HalfSpaceTrees { trees: 3, depth: 1, window: 16 },
        Algorithm::HalfSpaceTrees { trees: 10, depth: 8, window: 64 }
    ],
}

/// Appends an algorithm: its number, never given to another one, and its parameters.
pub(crate) fn encode(algorithm: &Algorithm, out: &mut Vec<u8>) {
    match algorithm {
        Algorithm::Auto => put(&0_u8, out),
        Algorithm::RobustZ { window } => put(&(1_u8, window), out),
        Algorithm::HalfSpaceTrees { trees, depth, window } => {
            put(&(2_u8, trees, depth, window), out);
        }
    }
}

/// Takes what [`encode`] appended.
pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Algorithm, DecodeError> {
    match take::<u8>(bytes)? {
        0 => Ok(Algorithm::Auto),
        1 => Ok(Algorithm::RobustZ { window: take(bytes)? }),
        2 => {
            let (trees, depth, window) = take(bytes)?;
            Ok(Algorithm::HalfSpaceTrees { trees, depth, window })
        }
        _ => Err(DecodeError::Impossible("number of an algorithm")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_comes_back() {
        for algorithm in SAMPLES {
            let mut bytes = vec![];
            encode(algorithm, &mut bytes);
            let mut rest = &bytes[..];
            assert_eq!(decode(&mut rest).as_ref(), Ok(algorithm));
            assert!(rest.is_empty());
        }
        assert!(decode(&mut &[255_u8][..]).is_err());
    }
}
