//! What is tried: each algorithm as it is, and with one parameter halved or doubled.

use domain::{Algorithm, Kind};

/// The candidates for rows of so many values, each once; what `auto` stands for first.
pub fn candidates(values: usize) -> Vec<Algorithm> {
    let usual = Algorithm::new(Kind::Auto).resolved(values).kind;
    let others = Kind::ALL.iter().copied().filter(|kind| *kind != usual && *kind != Kind::Auto);
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
            assert!(Kind::ALL[1..].iter().all(|kind| all.contains(&Algorithm::new(*kind))));
        }
    }
}
