//! Normal noise of one and of three values gives few alarms by any forest, and a planted burst is
//! found within two rows.

use domain::{Algorithm, Detector, Kind, Phase};
use oddwatch_detect::{Assessment, Row, SeriesModel};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

const KINDS: [Kind; 3] = [Kind::RandomCutForest, Kind::IsolationForest, Kind::Loda];
const ROWS: usize = 11_000;

/// About normal.
fn normal(random: &mut Pcg64Mcg) -> f64 {
    (0..12).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
}

/// Where bursts begin; not many, since a burst that comes again and again is known.
const BURSTS: [usize; 3] = [2500, 6000, 9000];

/// The rows at which anomalies opened; in bursts of five rows the last value is shifted by so many
/// deviations.
fn opened(kind: Kind, values: usize, shift: f64, seed: u64) -> Vec<usize> {
    let mut detector = Detector::implicit("s");
    detector.algorithm = Algorithm::new(kind);
    detector.threshold = domain::Threshold::Contamination(0.0001);
    let mut model = SeriesModel::new(&detector, values, seed);
    let (mut random, mut out) = (Pcg64Mcg::seed_from_u64(seed), Assessment::default());
    let is_odd = |at: &usize| {
        let mut row: Vec<f64> =
            (0..values).map(|value| 100.0 * value as f64 + normal(&mut random)).collect();
        if BURSTS.iter().any(|from| (*from..from + 5).contains(at)) {
            row[values - 1] += shift;
        }
        let verdict = model.assess(Row { values: &row, at: 0 }, true, 0, &mut out);
        verdict.transition.is_some_and(|step| step.phase == Phase::Opened)
    };
    (0..ROWS).filter(is_odd).collect()
}

#[test]
fn noise_is_quiet_and_bursts_are_found() {
    let (mut report, mut bad) = (String::new(), false);
    for kind in KINDS {
        for values in [1, 3] {
            let quiet: Vec<_> = (0..4).map(|seed| opened(kind, values, 0.0, seed).len()).collect();
            let bursts: Vec<_> = (0..4)
                .flat_map(|seed| opened(kind, values, 25.0, seed))
                .filter(|at| BURSTS.iter().any(|from| (*from..from + 2).contains(at)))
                .collect();
            report +=
                &format!("{kind:?} {values}: false {quiet:?}, found {} of 12\n", bursts.len());
            bad |= quiet.iter().sum::<usize>() > 8 || bursts.len() < 11;
        }
    }
    println!("{report}");
    assert!(!bad, "{report}");
}
