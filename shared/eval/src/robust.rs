//! How much of a score stays when what should not matter changes: the detector's parameters, the
//! choice of series, the spacing of rows, noise, sign and scale of the values; and what becomes of an
//! anomaly that comes again and again.

mod distort;
mod perturb;
mod repeated;

use domain::Detector;

pub(crate) use distort::deviation;
pub use distort::{Distortion, distorted};
pub use perturb::perturbed;
pub use repeated::{ANOMALIES, repeated};

use crate::{
    Estimate, Progress,
    nab::{Corpus, Score},
    parallel::quietly,
};

/// How a detector does when one thing changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What was changed.
    pub name: String,
    /// The benchmark's score with it, by profile.
    pub scores: [Score; 3],
}

/// How a detector does altogether.
#[derive(Clone, Debug, PartialEq)]
pub struct Robustness {
    /// As it is, then with one thing changed at a time.
    pub changes: Vec<Change>,
    /// The detectors with perturbed parameters.
    pub perturbed: Vec<Change>,
}

impl Robustness {
    /// The scores of the perturbed detectors on a profile, by its place among the three.
    pub fn spread(&self, profile: usize) -> Estimate {
        let scores: Vec<f64> =
            self.perturbed.iter().map(|change| change.scores[profile].score).collect();
        Estimate::of(&scores)
    }
}

/// Measures a detector on a corpus, with so many perturbations of its parameters.
pub fn measure(
    corpus: &Corpus,
    detector: &Detector,
    perturbations: usize,
    progress: Progress<'_>,
) -> Robustness {
    let distortions = Distortion::all();
    let of = 2 + distortions.len() + perturbations;
    let mut done = 0;
    let mut told = || {
        done += 1;
        progress(done, of);
    };
    let results = corpus.run(detector, &quietly);
    let mut changes = vec![Change { name: "as it is".into(), scores: corpus.scores(&results) }];
    for (category, scores) in corpus.without_each_category(&results) {
        changes.push(Change { name: format!("without {category}"), scores });
    }
    told();
    for distortion in distortions {
        let corpus = distorted(corpus, distortion);
        let scores = corpus.scores(&corpus.run(detector, &quietly));
        changes.push(Change { name: distortion.name().into(), scores });
        told();
    }
    let again = repeated();
    let scores = again.scores(&again.run(detector, &quietly));
    changes.push(Change { name: "repeated anomalies".into(), scores });
    told();
    let mut all = vec![];
    for number in 0..perturbations {
        let detector = perturbed(detector, number as u64);
        let scores = corpus.scores(&corpus.run(&detector, &quietly));
        all.push(Change { name: detector.algorithm.to_string(), scores });
        told();
    }
    Robustness { changes, perturbed: all }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::{Algorithm, Kind};

    use super::*;
    use crate::{nab::Windowed, noise};

    #[test]
    fn each_change_is_measured() {
        let series = |category: &str, seed: u64| {
            let mut series = noise::KINDS[0].series(1200, seed);
            series.values[800] += 30.0;
            let windows = vec![(780 * noise::STEP, 900 * noise::STEP)];
            Windowed { name: format!("{category}/{seed}.csv"), series, windows }
        };
        let corpus = Corpus(vec![series("a", 1), series("a", 2), series("b", 3)]);
        let algorithm = Algorithm::new(Kind::RobustZ);
        let detector = Detector { algorithm, ..Detector::implicit("default") };
        let most = AtomicUsize::new(0);
        let progress = |done, of| {
            assert_eq!(of, 9);
            most.fetch_max(done, Ordering::Relaxed);
        };
        let measured = measure(&corpus, &detector, 2, &progress);
        assert_eq!(most.into_inner(), 9);
        let score = |name: &str| {
            let change = measured.changes.iter().find(|change| change.name == name);
            change.unwrap_or_else(|| panic!("{name}")).scores[0].score
        };
        // The spike is the oddest row by far; at a sixth of its window it is worth nearly all.
        for name in ["as it is", "without a", "without b", "every 2nd row", "5 % noise added"] {
            assert!((85.0..100.0).contains(&score(name)), "{name}: {}", score(name));
        }
        assert!((score("negated") - score("as it is")).abs() < 1e-9);
        // Row 800 is not among each third row: what is planted there is gone.
        assert!(score("every 3rd row") < score("as it is"));
        assert!(score("repeated anomalies") < 90.0);
        assert_eq!((measured.perturbed.len(), measured.spread(0).count), (2, 2));
        assert_ne!(measured.perturbed[0].name, measured.perturbed[1].name);
    }
}
