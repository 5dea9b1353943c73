//! Scores mean what the docs say, for any levels.

use proptest::prelude::*;

use super::*;

#[test]
fn scores_mean_what_the_docs_say() {
    for (surprise, score) in [(0.0, 0.0), (3.0, 0.5), (6.0, 0.75), (10.0, 0.900_787_4)] {
        assert!((score_of(surprise) - score).abs() < 1e-6);
        assert!((surprise_of(score_of(surprise)) - surprise).abs() < 1e-9);
    }
}

#[test]
fn many_tests_are_one() {
    assert!((of_largest(4.0, 10.0) - 3.0).abs() < 1e-3);
    for count in [1.0, 2.0, 50.0] {
        assert_eq!(of_largest(0.0, count), 0.0);
        for surprise in [1.0, 8.9, 9.1, 30.0] {
            let back = for_largest(of_largest(surprise, count), count);
            assert!((back - surprise).abs() < 1e-5, "{back} {surprise} of {count}");
        }
    }
}

#[test]
fn the_prior_judges_the_first_record() {
    let new = Calibration::new(Prior::DISTANCE);
    let of_z = |z: f64| score_of(new.surprise(libm::log1p(z)));
    assert!(of_z(0.0) == 0.0 && of_z(3.0) < 0.5 && of_z(20.0) > 0.65, "{}", of_z(20.0));
}

#[test]
fn a_normal_law_is_calibrated() {
    // Quantiles of |normal|, in even steps: the whole law without a generator.
    let mut it = Calibration::new(Prior::DISTANCE);
    let rows = 20_000;
    for i in 0..rows {
        let rank = (i as u64 * 7_919 % rows as u64) as f64;
        it.learn(libm::log1p(normal_exceeded((rank + 0.5) / f64::from(rows))), 1.0);
    }
    for (z, p) in [(1.0, 0.3173), (2.0, 0.0455), (3.0, 0.0027), (3.89, 1e-4)] {
        let got = libm::pow(10.0, -it.surprise(libm::log1p(z)));
        assert!((0.5..4.0).contains(&(got / p)), "z {z}: {got} for {p}");
    }
}

/// The z that |normal| exceeds with chance p, by bisection.
fn normal_exceeded(p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 10.0);
    for _ in 0..60 {
        let z = 0.5 * (low + high);
        if libm::erfc(z / std::f64::consts::SQRT_2) > p { low = z } else { high = z }
    }
    low
}

proptest! {
    #[test]
    fn strictly_monotone_and_inverse(
        levels in prop::collection::vec(0.0..12.0_f64, 0..400),
        a in 0.0..700.0_f64, gap in 1e-3..5.0_f64,
    ) {
        let mut it = Calibration::new(Prior::DISTANCE);
        for &level in &levels {
            it.learn(level, 1.0);
        }
        for a in [a, a / 100.0] {
            let (low, high) = (it.surprise(a), it.surprise(a + gap));
            prop_assert!(0.0 <= low && low < high && high.is_finite());
            prop_assert!(score_of(low) < score_of(high) && score_of(high) < 1.0);
            prop_assert!((it.level(low) - a).abs() < 1e-3 * (1.0 + a), "{} {a}", it.level(low));
        }
        prop_assert_eq!(score_of(it.surprise(f64::NAN)), 0.0);
    }
}
