//! What the monitor does on whole series: how often it is wrong, how soon it is right.

use domain::DriftTest;
use oddwatch_drift::{Found, Monitor};

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
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }
}

type Law = fn(usize, &mut f64, &mut Dice) -> f64;

fn normal(_: usize, _: &mut f64, dice: &mut Dice) -> f64 {
    dice.normal()
}
fn auto_regressive(share: f64, state: &mut f64, dice: &mut Dice) -> f64 {
    *state = share * *state + (1.0 - share * share).sqrt() * dice.normal();
    *state
}
/// A daily curve at one row a minute, three times as high as its noise.
fn daily(row: usize, _: &mut f64, dice: &mut Dice) -> f64 {
    3.0 * libm::sin(row as f64 / 1440.0 * std::f64::consts::TAU) + dice.normal()
}

fn series(law: Law, rows: usize, seed: u64) -> Vec<f64> {
    let (mut dice, mut state) = (Dice(seed << 32), 0.0);
    (0..rows).map(|row| law(row, &mut state, &mut dice)).collect()
}

fn findings(values: &[f64], tests: &[DriftTest]) -> Vec<(usize, Found)> {
    let mut monitor = Monitor::new(tests, 1e-6, 1);
    values.iter().enumerate().filter_map(|(row, &v)| Some((row, monitor.push(&[v])?))).collect()
}

const BOTH: &[DriftTest] = oddwatch_drift::TESTS;
const SEEDS: u64 = 10;

#[test]
fn false_alarms_are_few() {
    // Law, and findings allowed in 20 times 20,000 rows (the daily curve: a fortnight), by ADWIN and Page-Hinkley.
    let laws: &[(&str, Law, [usize; 2])] = &[
        ("normal", normal, [0, 0]),
        ("exponential", |_, _, d| -libm::log(1.0 - d.uniform()), [0, 0]),
        ("lognormal", |_, _, d| libm::exp(d.normal()), [0, 0]),
        ("rare ones", |_, _, d| f64::from(u8::from(d.uniform() < 0.02)), [3, 0]),
        ("AR(.5)", |_, s, d| auto_regressive(0.5, s, d), [0, 0]),
        ("AR(.9)", |_, s, d| auto_regressive(0.9, s, d), [0, 0]),
        ("AR(.99)", |_, s, d| auto_regressive(0.99, s, d), [2, 4]),
        ("daily", daily, [60, 60]),
        (
            "bursts of 10 rows",
            |row, _, d| d.normal() + if row % 500 < 10 { 20.0 } else { 0.0 },
            [0, 0],
        ),
        ("constant", |_, _, _| 5.0, [0, 0]),
        ("creeping", |row, _, _| 6e9 + row as f64 * 1e4, [60, 80]),
    ];
    let (mut report, mut bad) = (String::new(), false);
    for (name, law, allowed) in laws {
        for (test, allowed) in BOTH.iter().zip(allowed) {
            let counts: Vec<usize> = (0..2 * SEEDS)
                .map(|seed| findings(&series(*law, 20_000, seed), &[*test]).len())
                .collect();
            let sum = counts.iter().sum::<usize>();
            bad |= sum > *allowed;
            report += &format!("{name:20} {:12} {sum} of {allowed} {counts:?}\n", test.name());
        }
    }
    assert!(!bad, "drifts found where there are none\n{report}");
}

#[test]
fn a_lasting_step_is_found_once() {
    // Law, and the rows allowed when the step comes at row 300, 1000 and 5000: with what is known by then of how
    // the rows depend on each other.
    let laws: &[(&str, Law, [usize; 3])] = &[
        ("normal", normal, [150, 100, 100]),
        ("exponential", |_, _, d| -libm::log(1.0 - d.uniform()), [150, 100, 100]),
        ("AR(.5)", |_, s, d| auto_regressive(0.5, s, d), [600, 500, 100]),
        ("AR(.9)", |_, s, d| auto_regressive(0.9, s, d), [usize::MAX, usize::MAX, 400]),
    ];
    let (mut report, mut bad) = (String::new(), false);
    for (name, law, within) in laws {
        for (start, within) in [300, 1000, 5000].into_iter().zip(*within) {
            for tests in [&BOTH[..1], &BOTH[1..], BOTH] {
                let mut delays = vec![];
                for seed in 0..SEEDS {
                    let mut values = series(*law, start + 3000, seed);
                    values[start..].iter_mut().for_each(|v| *v += 3.0);
                    let found = findings(&values, tests);
                    delays.push(found.first().map_or(9999, |f| f.0 - start));
                    bad |= found.len() > 1;
                }
                delays.sort_unstable();
                bad |= tests.len() == 2 && delays[SEEDS as usize - 1] > within;
                report += &format!("{name:12} {start:5} {} tests {delays:?}\n", tests.len());
            }
        }
    }
    assert!(!bad, "rows after which a step of 3 deviations is found\n{report}");
}

#[test]
fn what_is_told() {
    let mut dice = Dice(1);
    let mut monitor = Monitor::new(BOTH, 1e-6, 3);
    let mut found = vec![];
    for row in 0..2000 {
        let step = if row < 1000 { 0.0 } else { 40.0 };
        let values = [dice.normal(), 100.0 + dice.normal() + step, f64::NAN];
        found.extend(monitor.push(&values));
    }
    let [found] = found[..] else { panic!("{found:?}") };
    assert_eq!(found.value, 1);
    assert!((found.before - 100.0).abs() < 0.5 && (found.after - 140.0).abs() < 5.0, "{found:?}");
    assert!(found.p_value < 1e-6 && found.statistic > found.bound && found.bound > 0.0);
}

#[test]
fn steps_of_constants_and_no_tests() {
    let step: Vec<f64> = (0..1000).map(|row| if row < 500 { 1e6 } else { 1.1e6 }).collect();
    assert_eq!(findings(&step, BOTH).len(), 1);
    assert_eq!(findings(&step, &[]).len(), 0);
    let wobble: Vec<f64> = (0..1000).map(|row| if row < 500 { 1e6 } else { 1e6 + 1.0 }).collect();
    assert_eq!(findings(&wobble, BOTH).len(), 0);
    let wild: Vec<f64> = (0..1000).map(|row| if row % 333 == 300 { 1e300 } else { 1.0 }).collect();
    assert_eq!(findings(&wild, BOTH).len(), 0);
}
