//! What holds for a series by any algorithm.

use super::*;
use crate::SAMPLES;

/// Two values, the second ten times the first, with a burst of the second at rows 200 to 209.
fn row(at: u64) -> [f64; 2] {
    let saw = |step: u64| (at * step % 101) as f64;
    [saw(37), 10.0 * saw(59) + if (200..210).contains(&at) { 9e4 } else { 0.0 }]
}

fn as_row(values: &[f64]) -> Row<'_> {
    Row { values, at: 0 }
}

fn series(algorithm: &Algorithm, rows: u64) -> (SeriesModel, Vec<(u64, Transition)>) {
    let mut detector = Detector::implicit("s");
    detector.algorithm = algorithm.clone();
    detector.threshold = domain::Threshold::Contamination(0.0001);
    let mut model = SeriesModel::new(&detector, 2, 9);
    let mut steps = vec![];
    for at in 0..rows {
        let mut out = Assessment::default();
        let verdict = model.assess(as_row(&row(at)), true, at as i64, &mut out);
        assert!((0.0..1.0).contains(&verdict.score));
        steps.extend(verdict.transition.map(|step| (at, step)));
    }
    (model, steps)
}

#[test]
fn a_burst_is_one_anomaly() {
    for algorithm in &*SAMPLES {
        let (model, steps) = series(algorithm, 400);
        let phases: Vec<_> = steps.iter().map(|(at, step)| (*at, step.phase)).collect();
        // The burst ends at row 210, and five calm rows clear it: once no rows that are looked at
        // together hold it, and what holds on to it has faded.
        let [(200, Phase::Opened), updates @ .., (cleared @ 214..=230, Phase::Cleared)] =
            &phases[..]
        else {
            panic!("{algorithm}: {phases:?}");
        };
        assert!(updates.iter().all(|(_, phase)| *phase == Phase::Updated), "{algorithm}");
        let last = steps[steps.len() - 1].1;
        let told = (last.first_row, last.row, last.revision as usize);
        assert_eq!(told, (201, cleared + 1, steps.len()), "{algorithm}");
        assert!((1..=last.row - 204).contains(&last.rows), "{algorithm}: {last:?}");
        assert_eq!((model.rows(), model.is_open()), (400, false));
        assert_eq!(series(algorithm, 400).1, steps, "the same again");
    }
}

#[test]
fn where_an_anomaly_opens_the_nearest_row_is_a_usual_one() {
    let mut told = 0;
    for algorithm in &*SAMPLES {
        let (mut model, _) = series(algorithm, 200);
        let mut out = Assessment::default();
        for at in 200..203 {
            let verdict = model.assess(as_row(&row(at)), true, at as i64, &mut out);
            let opened = verdict.transition.is_some_and(|step| step.phase == Phase::Opened);
            assert_eq!(opened, at == 200, "{algorithm}");
            assert!(opened || verdict.nearest.is_empty(), "{algorithm}");
            if let [first, second] = verdict.nearest {
                assert!((-1.0..=101.0).contains(first), "{algorithm}: {first}");
                assert!((-10.0..=1010.0).contains(second), "{algorithm}: {second}");
                told += 1;
            }
        }
    }
    assert!(told >= 14, "{told}");
}

#[test]
fn a_row_that_is_not_learned_changes_nothing() {
    for algorithm in &*SAMPLES {
        let (mut model, _) = series(algorithm, 199);
        let (mut other, mut out) = (model.clone(), Assessment::default());
        let late = other.assess(as_row(&[row(199)[0], 1e5]), false, 7, &mut out);
        assert!(late.is_anomaly && late.transition.is_none(), "{algorithm}: {late:?}");
        assert_eq!(late.top().0, 1, "{algorithm}: {late:?}");
        assert!(late.lower[1] < 500.0 && late.upper[1] > 1000.0 && late.upper[1] < 1e5);
        assert!((late.contributions.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(other == model);
        let missing = model.assess(as_row(&[f64::NAN; 2]), true, 8, &mut out);
        assert_eq!((missing.score, missing.confidence, missing.is_anomaly), (0.0, 0.0, false));
        assert_eq!(missing.contributions, [0.0, 0.0]);
        assert_eq!(model.rows(), 200);
    }
}

#[test]
fn silence_clears_and_relearning_starts_anew() {
    for algorithm in &*SAMPLES {
        let (mut model, _) = series(algorithm, 205);
        assert!(model.is_open() && model.silence(206).is_none());
        assert!(model.silence(i64::MAX).is_some_and(|step| step.silent));
        let mut out = Assessment::default();
        let confident = model.assess(as_row(&row(0)), false, 0, &mut out).confidence;
        let bytes = model.bytes();
        model.relearn();
        let young = model.assess(as_row(&[1e9, 1e9]), true, 0, &mut out);
        assert!(young.confidence < confident && !young.is_anomaly && young.transition.is_none());
        assert_eq!((model.bytes(), model.rows()), (bytes, 206));
    }
}
