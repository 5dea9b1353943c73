//! What the monitor does on whole series: how often it is wrong, how soon it is right, and what it says.

use std::f64::consts::TAU;

use domain::{DriftKind, DriftTest};
use oddwatch_drift::{Found, Mark, Monitor, TESTS};

/// Random numbers for made-up series (SplitMix64).
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
    fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(TAU * self.uniform())
    }
}

/// The next value of a series, from its row, the value before and the dice; its deviation is 1.
type Law = fn(usize, f64, &mut Dice) -> f64;

fn normal(_: usize, _: f64, dice: &mut Dice) -> f64 {
    dice.normal()
}
fn student(_: usize, _: f64, dice: &mut Dice) -> f64 {
    let square: f64 = (0..3).map(|_| dice.normal()).map(|x| x * x).sum();
    dice.normal() / square.sqrt()
}
fn auto_regressive(_: usize, before: f64, dice: &mut Dice) -> f64 {
    0.8 * before + 0.6 * dice.normal()
}
fn count(_: usize, _: f64, dice: &mut Dice) -> f64 {
    (0..6).filter(|_| dice.uniform() < 0.4).count() as f64
}
fn sine(row: usize) -> f64 {
    3.0 * libm::sin(row as f64 / 48.0 * TAU)
}
fn seasonal(row: usize, _: f64, dice: &mut Dice) -> f64 {
    sine(row) + dice.normal()
}

fn series(law: Law, rows: usize, seed: u64) -> Vec<f64> {
    let (mut dice, mut before) = (Dice(seed << 32), 0.0);
    let mut next = |row| {
        before = law(row, before, &mut dice);
        before
    };
    (0..rows).map(&mut next).collect()
}

fn findings(tests: &[DriftTest], run_length: u64, rows: &[Vec<f64>]) -> Vec<(usize, Found)> {
    let values = rows.first().map_or(1, Vec::len);
    let mut monitor = Monitor::new(tests, run_length, values);
    let mark = |row: usize| Mark { row: row as u64 + 1, at: 1_000 * row as i64 };
    let each = rows.iter().enumerate();
    each.filter_map(|(row, values)| Some((row, monitor.push(values, mark(row))?))).collect()
}

fn alone(values: &[f64]) -> Vec<Vec<f64>> {
    values.iter().map(|x| vec![*x]).collect()
}

#[test]
fn the_wanted_run_length_is_kept_by_any_law() {
    let laws: [(&str, Law); 5] = [
        ("normal", normal),
        ("Student's t, 3 degrees", student),
        ("AR(1) .8", auto_regressive),
        ("counts", count),
        ("season of 48 rows", seasonal),
    ];
    for (name, law) in laws {
        let all = (0..10).map(|seed| {
            findings(&[DriftTest::Cusum], 5_000, &alone(&series(law, 20_000, seed))).len()
        });
        // 40 are expected, by chance from 28 to 53.
        let found: usize = all.sum();
        assert!((20..=64).contains(&found), "{name}: {found} in 200,000 rows, not about 40");
    }
}

/// Series that change at a row, and what is said: one finding in each of nine in ten series, within so many rows,
/// of that kind.
fn check(
    what: &str,
    law: Law,
    change: fn(usize, f64, &mut Dice) -> f64,
    kind: DriftKind,
    within: usize,
) {
    let (start, mut right, mut extra) = (4_000, 0, 0);
    for seed in 0..10 {
        let (mut values, mut dice) = (series(law, start + 2_000, seed + 100), Dice(seed));
        for (row, value) in values.iter_mut().enumerate().skip(start) {
            *value = change(row, *value, &mut dice);
        }
        let found = findings(&DriftTest::DEFAULT, 100_000, &alone(&values));
        let since: Vec<_> = found.iter().filter(|(row, _)| *row >= start).collect();
        extra += since.len().saturating_sub(1);
        right += usize::from(
            since.first().is_some_and(|(row, f)| f.kind == kind && *row < start + within),
        );
    }
    assert!(
        right >= 8 && extra <= 2,
        "{what}: {right} of 10 right, {extra} more for the same change"
    );
}

#[test]
fn a_change_is_one_finding_of_its_kind() {
    let up = |_: usize, x: f64, _: &mut Dice| x + 2.0;
    check("step", normal, up, DriftKind::Level, 30);
    check("step", student, up, DriftKind::Level, 60);
    check("step", auto_regressive, up, DriftKind::Level, 200);
    check("wider", normal, |_, x, _| 2.0 * x, DriftKind::Variance, 100);
    check("narrower", normal, |_, x, _| 0.4 * x, DriftKind::Variance, 100);
    let lost = |_: usize, x: f64, dice: &mut Dice| if dice.uniform() < 0.4 { f64::NAN } else { x };
    check("missing", normal, lost, DriftKind::Missingness, 150);
}

#[test]
fn a_change_of_how_values_go_together_is_found() {
    let mut right = 0;
    for seed in 0..5 {
        let mut dice = Dice(seed << 20);
        let rows: Vec<Vec<f64>> = (0..6_000)
            .map(|row| {
                let (x, y) = (dice.normal(), dice.normal());
                vec![x, if row < 4_000 { y } else { 0.95 * x + 0.312 * y }]
            })
            .collect();
        let found = findings(&DriftTest::DEFAULT, 100_000, &rows);
        let found = found.iter().find(|(row, _)| *row >= 4_000);
        right += usize::from(found.is_some_and(|(_, f)| {
            f.kind == DriftKind::Multivariate && f.values == [0, 1] && f.test == DriftTest::Mmd
        }));
    }
    assert!(right >= 4, "{right} of 5");
}

#[test]
fn what_is_told() {
    let mut dice = Dice(1);
    let rows: Vec<Vec<f64>> = (0..2_000)
        .map(|row| {
            let step = if row < 1_000 { 0.0 } else { 40.0 };
            vec![dice.normal(), 100.0 + 4.0 * dice.normal() + step, f64::NAN, dice.normal() - step]
        })
        .collect();
    let found = findings(&DriftTest::DEFAULT, 50_000, &rows);
    let [(row, found)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(found.kind, DriftKind::Level);
    assert!(DriftTest::DEFAULT.contains(&found.test));
    let mut values = found.values.clone();
    values.sort_unstable();
    assert_eq!(values, [1, 3], "both that changed, and no other");
    assert!((1_000..1_030).contains(row), "{row}");
    assert!((996..=1_004).contains(&found.began.row), "{found:?}");
    assert_eq!(found.began.at, 1_000 * (found.began.row as i64 - 1));
    let (mean, deviation) = if found.values[0] == 1 { (100.0, 4.0) } else { (0.0, 1.0) };
    assert!((found.before.mean - mean).abs() < 0.5 * deviation, "{found:?}");
    assert!((found.before.deviation / deviation - 1.0).abs() < 0.2, "{found:?}");
    assert!((found.before.quantiles[2] - mean).abs() < 0.5 * deviation, "{found:?}");
    assert!((found.after.mean - found.before.mean).abs() > 20.0, "{found:?}");
    assert!(found.before.count > 900 && found.after.count < 40, "{found:?}");
    assert!(found.statistic > found.bound && found.bound > 0.0);
    assert!(0.0 < found.p_value && found.p_value < 0.1, "{found:?}");
}

#[test]
fn scale_and_shift_do_not_matter() {
    let mut values = series(auto_regressive, 8_000, 3);
    values[5_000..].iter_mut().for_each(|x| *x += 3.0);
    let rows = |scale: f64, shift: f64| -> Vec<usize> {
        let values: Vec<f64> = values.iter().map(|x| scale * x + shift).collect();
        findings(TESTS, 10_000, &alone(&values)).iter().map(|(row, _)| *row).collect()
    };
    let expected = rows(1.0, 0.0);
    assert!(!expected.is_empty());
    for (scale, shift) in [(1024.0, 0.0), (1.0 / 4096.0, 0.0), (3e7, 0.0), (7.0, 100.0)] {
        assert_eq!(rows(scale, shift), expected, "{scale} {shift}");
    }
}

#[test]
fn steps_of_constants_and_no_tests() {
    let step: Vec<f64> = (0..1000).map(|row| if row < 500 { 1e6 } else { 1.1e6 }).collect();
    assert_eq!(findings(&DriftTest::DEFAULT, 50_000, &alone(&step)).len(), 1);
    assert_eq!(findings(&[], 50_000, &alone(&step)).len(), 0);
    let wild: Vec<f64> = (0..1000).map(|row| if row % 333 == 300 { 1e300 } else { 1.0 }).collect();
    assert_eq!(findings(&DriftTest::DEFAULT, 50_000, &alone(&wild)).len(), 0);
}
