//! The seed of a model, from what it is a model of: the same wherever and whenever it is made.

use domain::{Detector, Id, SeriesRef};

/// Raised when an algorithm's results change.
const SEED_VERSION: u32 = 1;

/// The seed of a model: what it is a model of, never where its records stand.
pub fn seed(detector: &Detector, named: &SeriesRef) -> u64 {
    let algorithm = format!("{:?}", detector.algorithm.resolved(named.features.len()));
    Id::of(&[
        b"model",
        algorithm.as_bytes(),
        &SEED_VERSION.to_le_bytes(),
        named.stream.as_bytes(),
        named.window.as_deref().unwrap_or_default().as_bytes(),
        named.key.as_bytes(),
    ])
    .seed()
}

#[cfg(test)]
mod tests {
    use domain::{Algorithm, Kind};

    use super::*;

    #[test]
    fn a_seed_follows_from_algorithm_and_series_alone() {
        let named = |key: &str| SeriesRef {
            stream: "s".into(),
            key: key.into(),
            window: None,
            features: ["a".into()].into(),
        };
        let mut detector = Detector::implicit("s");
        let first = seed(&detector, &named("k"));
        detector.algorithm = Algorithm::new(Kind::Novelty).with("radius", 0.067);
        assert_eq!(seed(&detector, &named("k")), first, "what auto stands for, by default");
        assert_ne!(seed(&detector, &named("l")), first);
        detector.algorithm = Algorithm::new(Kind::Novelty).with("radius", 0.07);
        assert_ne!(seed(&detector, &named("k")), first);
    }
}
