//! A detector with all numeric parameters a little off.

use domain::{Algorithm, Detector};

use crate::dice::Dice;

/// Each parameter is changed by a factor of at most this, up or down.
const FACTOR: f64 = 1.5;

/// The detector with each parameter of its algorithm, as for one value a row, times a factor that is
/// log-uniform up to 1.5 up or down: held within the table's range, whole where it must be.
pub fn perturbed(detector: &Detector, number: u64) -> Detector {
    let mut dice = Dice::new("perturbation", number);
    let algorithm = detector.algorithm.resolved(1);
    let mut changed = Algorithm::new(algorithm.kind);
    for parameter in algorithm.kind.parameters() {
        let factor = libm::exp(dice.between(-1.0, 1.0) * libm::log(FACTOR));
        let value = algorithm.get(parameter.name) * factor;
        let value = if parameter.whole { libm::round(value) } else { value };
        changed = changed.with(parameter.name, value.clamp(parameter.least, parameter.most));
    }
    Detector { algorithm: changed, ..detector.clone() }
}

#[cfg(test)]
mod tests {
    use domain::Kind;

    use super::*;

    #[test]
    fn perturbed_parameters_are_near_and_allowed() {
        // An ensemble needs members, and a model must be given.
        let is_whole = |kind: &&Kind| !matches!(kind, Kind::Ensemble | Kind::Onnx);
        for kind in Kind::ALL.iter().filter(is_whole) {
            let mut detector = Detector::implicit("s");
            detector.algorithm = Algorithm::new(*kind);
            let original = detector.algorithm.resolved(1);
            for number in 0..200 {
                let other = perturbed(&detector, number);
                assert_eq!(other.check(), Ok(()), "{:?}", other.algorithm);
                assert_eq!(other, perturbed(&detector, number));
                for p in original.kind.parameters() {
                    let (is, was) = (other.algorithm.get(p.name), original.get(p.name));
                    let slack = if p.whole { 0.5 } else { 1e-9 };
                    let near = is <= was * FACTOR + slack && is >= was / FACTOR - slack;
                    assert!(near || is == p.least || is == p.most, "{kind:?} {}: {is}", p.name);
                }
            }
        }
    }

    #[test]
    fn perturbations_go_both_ways() {
        let mut detector = Detector::implicit("s");
        detector.algorithm = Algorithm::new(Kind::RobustZ);
        let windows = (0..100).map(|number| perturbed(&detector, number).algorithm.get("window"));
        let below = windows.filter(|window| *window < 256.0).count();
        assert!((30..70).contains(&below), "{below}");
    }
}
