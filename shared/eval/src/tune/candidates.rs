//! What is tried: each algorithm as it is, and with one parameter halved or doubled.

use domain::{Algorithm, Kind};

/// The candidates for rows of so many values, each once; what `auto` stands for first.
pub fn candidates(values: usize) -> Vec<Algorithm> {
    let usual = Algorithm::new(Kind::Auto).resolved(values).kind;
    let others = Kind::ALL.iter().copied().filter(|kind| *kind != usual && stands_alone(*kind));
    let kinds: Vec<Kind> = std::iter::once(usual).chain(others).collect();
    let mut all: Vec<Algorithm> = kinds.iter().map(|kind| Algorithm::new(*kind)).collect();
    for kind in kinds {
        for parameter in kind.parameters() {
            for factor in [0.5, 2.0] {
                let value = (parameter.default * factor).clamp(parameter.least, parameter.most);
                let value = if parameter.whole { libm::round(value) } else { value };
                let candidate = Algorithm::new(kind).with(parameter.name, value);
                if value != parameter.default && !all.contains(&candidate) {
                    all.push(candidate);
                }
            }
        }
    }
    all
}

/// Whether it is an algorithm of its own: not one that stands for others, is made of them, or must be given.
fn stands_alone(kind: Kind) -> bool {
    !matches!(kind, Kind::Auto | Kind::Ensemble | Kind::Onnx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_allowed_and_differ() {
        for values in [1, 5] {
            let all = candidates(values);
            assert_eq!(all[0], Algorithm::new(Kind::Auto).resolved(values));
            for (at, one) in all.iter().enumerate() {
                assert_eq!(one.check("candidate"), Ok(()));
                assert_eq!(one.resolved(values), *one, "nothing is set to its default");
                assert!(one.set().count() <= 1 && !all[..at].contains(one), "{one}");
            }
            let windows: Vec<f64> = (all.iter().filter(|one| one.kind == Kind::RobustZ))
                .map(|one| one.get("window"))
                .collect();
            assert_eq!(windows, [256.0, 128.0, 512.0]);
            let mut alone = Kind::ALL.iter().filter(|kind| stands_alone(**kind));
            assert!(alone.all(|kind| all.contains(&Algorithm::new(*kind))));
        }
    }
}
