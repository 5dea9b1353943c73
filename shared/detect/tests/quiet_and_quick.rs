//! Series as machines make them: few false alarms, and planted bursts are found within two rows.

use domain::{Algorithm, Combine, Detector, Kind as AlgorithmKind, Phase, Threshold};
use oddwatch_detect::{Assessment, Row, SeriesModel};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Random numbers for made-up series.
struct Dice(Pcg64Mcg);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
    fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }
    fn poisson(&mut self, mean: f64) -> f64 {
        let (end, mut product, mut count) = (libm::exp(-mean), self.uniform(), 0.0);
        while product > end {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

/// A made-up series: its name, the next value given the row and the dice, and what a burst looks like.
struct Kind {
    name: &'static str,
    next: fn(usize, &mut f64, &mut Dice) -> f64,
    burst: fn(f64) -> f64,
    /// Anomalies allowed in 10,000 rows, mean over the seeds.
    false_max: f64,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "CPU %, 2 to 15",
        next: |_, _, dice| 2.0 + 13.0 * dice.uniform(),
        burst: |_| 100.0,
        false_max: 0.5,
    },
    Kind {
        name: "CPU %, idle with spikes",
        next: |_, _, dice| {
            let spike = if dice.uniform() < 0.02 { 25.0 * dice.uniform() } else { 0.0 };
            libm::round(1.0 + 2.0 * dice.uniform() + spike)
        },
        burst: |_| 100.0,
        false_max: 6.0,
    },
    Kind {
        name: "load, AR(.98)",
        next: |_, state, dice| {
            *state = 0.98 * *state + 0.03 * dice.normal();
            0.8 + *state
        },
        burst: |_| 6.0,
        false_max: 2.0,
    },
    Kind {
        name: "memory bytes, creeping",
        next: |row, _, dice| 6e9 + row as f64 * 6e4 + libm::floor(3e6 * dice.normal()),
        burst: |x| x + 1.5e9,
        false_max: 0.5,
    },
    Kind {
        name: "memory bytes, stairs",
        next: |_, state, dice| {
            if dice.uniform() < 0.05 {
                *state += 2e6 * dice.normal();
            }
            4e9 + *state
        },
        burst: |x| x + 1e9,
        false_max: 2.0,
    },
    Kind {
        name: "disk bytes/s, journal every 10 rows",
        next: |row, _, dice| {
            if row % 10 == 7 { libm::round(4e5 * libm::exp(0.5 * dice.normal())) } else { 0.0 }
        },
        burst: |_| 2e8,
        false_max: 1.0,
    },
    Kind {
        name: "disk bytes/s, rare bursts",
        next: |_, _, dice| {
            if dice.uniform() < 0.01 {
                libm::round(1e6 * libm::exp(0.7 * dice.normal()))
            } else {
                0.0
            }
        },
        burst: |_| 3e8,
        false_max: 12.0,
    },
    Kind {
        name: "network bytes/s, lognormal",
        next: |_, _, dice| 2e4 * libm::exp(0.8 * dice.normal()),
        burst: |_| 5e7,
        false_max: 3.0,
    },
    Kind {
        name: "Poisson, mean 4",
        next: |_, _, dice| dice.poisson(4.0),
        burst: |_| 60.0,
        false_max: 0.5,
    },
    Kind {
        name: "Poisson, mean .05",
        next: |_, _, dice| dice.poisson(0.05),
        burst: |_| 40.0,
        false_max: 6.0,
    },
    Kind {
        name: "degrees, in whole steps",
        next: |_, state, dice| {
            *state = 0.95 * *state + 0.3 * dice.normal();
            libm::round(45.0 + *state)
        },
        burst: |x| x + 30.0,
        false_max: 1.0,
    },
    Kind {
        name: "ramp with noise",
        next: |row, _, dice| row as f64 * 0.1 + dice.normal(),
        burst: |x| x + 40.0,
        false_max: 0.5,
    },
    Kind {
        name: "normal",
        next: |_, _, dice| 10.0 + dice.normal(),
        burst: |x| x + 15.0,
        false_max: 0.5,
    },
];

const SEEDS: u64 = 8;

fn series(kind: &Kind, rows: usize, seed: u64) -> Vec<f64> {
    let (mut dice, mut state) = (Dice::new(seed), 0.0);
    (0..rows).map(|row| (kind.next)(row, &mut state, &mut dice)).collect()
}

fn robust_z() -> Detector {
    let mut detector = Detector::implicit("s");
    detector.algorithm = Algorithm::new(AlgorithmKind::RobustZ);
    detector.threshold = Threshold::Contamination(0.0001);
    detector
}

fn as_row(values: &[f64]) -> Row<'_> {
    Row { values, at: 0 }
}

/// The rows at which anomalies opened, and for each row whether one was open.
fn opened(values: &[f64]) -> (Vec<usize>, Vec<bool>) {
    opened_by(&robust_z(), values)
}

fn opened_by(detector: &Detector, values: &[f64]) -> (Vec<usize>, Vec<bool>) {
    let mut model = SeriesModel::new(detector, 1, 1);
    let (mut rows, mut open, mut out) = (vec![], vec![], Assessment::default());
    for (row, &value) in values.iter().enumerate() {
        let verdict = model.assess(as_row(&[value]), true, row as i64, &mut out);
        if verdict.transition.is_some_and(|t| t.phase == Phase::Opened) {
            rows.push(row);
        }
        open.push(model.is_open());
    }
    (rows, open)
}

#[test]
fn false_alarms_are_few() {
    let mut report = String::new();
    let mut bad = false;
    for kind in KINDS {
        let counts: Vec<usize> =
            (0..SEEDS).map(|seed| opened(&series(kind, 10_000, seed)).0.len()).collect();
        let mean = counts.iter().sum::<usize>() as f64 / SEEDS as f64;
        report += &format!("{:40} {mean:6.2} of {:4} {counts:?}\n", kind.name, kind.false_max);
        bad |= mean > kind.false_max;
    }
    assert!(!bad, "anomalies per 10,000 rows without any\n{report}");
}

#[test]
fn bursts_are_found_within_two_rows() {
    let (mut report, mut bad) = (String::new(), false);
    for kind in KINDS {
        for start in [45, 60, 120, 1000, 5000] {
            // A second one comes two minutes later, and a third.
            let starts = [start, start + 240, start + 480];
            let mut found = [0; 3];
            for seed in 0..SEEDS {
                let mut values = series(kind, start + 500, seed);
                for at in starts {
                    values[at..at + 10].iter_mut().for_each(|v| *v = (kind.burst)(*v));
                }
                let (_, open) = opened(&values);
                for (found, at) in found.iter_mut().zip(starts) {
                    *found += usize::from(open[at + 1]);
                }
            }
            report += &format!("{:40} {start:5} {found:?} of {SEEDS}\n", kind.name);
            bad |= found[0] < SEEDS as usize;
        }
    }
    assert!(!bad, "bursts found, first, second, third\n{report}");
}

/// Other algorithms on the same series: the mean of false alarms in 10,000 rows over all kinds, and of
/// the bursts at row 1,000 how many are found within two rows.
#[test]
fn others_are_quiet_and_quick_too() {
    let of = Algorithm::new;
    let members = [AlgorithmKind::RobustZ, AlgorithmKind::Ewma, AlgorithmKind::Autoencoder];
    let cases = [
        (of(AlgorithmKind::Ewma), 2.0, 46),
        (of(AlgorithmKind::Seasonal), 2.0, 50),
        (of(AlgorithmKind::SpectralResidual), 2.0, 28),
        (of(AlgorithmKind::Autoencoder), 2.0, 48),
        (Algorithm::ensemble(Combine::Mean, members.map(of)), 2.0, 46),
    ];
    let (mut report, mut bad, seeds) = (String::new(), false, 4);
    for (algorithm, false_max, found_min) in cases {
        let (mut alarms, mut found) = (0, 0);
        let mut detector = robust_z();
        detector.algorithm = algorithm;
        for kind in KINDS {
            for seed in 0..seeds {
                let mut values = series(kind, 10_000, seed);
                alarms += opened_by(&detector, &values).0.len();
                values.truncate(1010);
                values[1000..].iter_mut().for_each(|v| *v = (kind.burst)(*v));
                found += usize::from(opened_by(&detector, &values).1[1001]);
            }
        }
        let mean = alarms as f64 / (seeds as usize * KINDS.len()) as f64;
        let of = seeds as usize * KINDS.len();
        report += &format!("{}: false {mean:.2}, found {found} of {of}\n", detector.algorithm);
        bad |= mean > false_max || found < found_min;
    }
    print!("{report}");
    assert!(!bad, "{report}");
}

/// A machine: all kinds side by side, each value with its dice.
fn machine(rows: usize, seed: u64) -> Vec<Vec<f64>> {
    let columns: Vec<Vec<f64>> =
        (0..).zip(KINDS).map(|(index, kind)| series(kind, rows, seed * 100 + index)).collect();
    (0..rows).map(|row| columns.iter().map(|column| column[row]).collect()).collect()
}

#[test]
fn a_machine_of_many_values() {
    let trees = Algorithm::new(AlgorithmKind::HalfSpaceTrees);
    let algorithms =
        [("trees", trees, 9.0), ("robust z", Algorithm::new(AlgorithmKind::RobustZ), 12.0)];
    let (mut report, mut bad) = (String::new(), false);
    for (name, algorithm, false_max) in algorithms {
        let mut detector = robust_z();
        detector.algorithm = algorithm;
        let (mut alarms, mut found, mut named) =
            (vec![], vec![0; KINDS.len()], vec![0; KINDS.len()]);
        for seed in 0..SEEDS {
            let mut rows = machine(10_000, seed);
            // From row 5,000 on each value in turn has its burst.
            for (index, kind) in KINDS.iter().enumerate() {
                let at = 5_000 + 300 * index;
                rows[at..at + 10].iter_mut().for_each(|row| row[index] = (kind.burst)(row[index]));
            }
            let mut model = SeriesModel::new(&detector, KINDS.len(), seed);
            let (mut opened, mut out) = (0, Assessment::default());
            for (at, row) in rows.iter().enumerate() {
                let verdict = model.assess(as_row(row), true, 0, &mut out);
                let (top, _) = verdict.top();
                let new = verdict.transition.is_some_and(|t| t.phase == Phase::Opened);
                let burst = at.checked_sub(5_000).map(|since| (since / 300, since % 300));
                match burst {
                    Some((index, 1)) if index < KINDS.len() => {
                        named[index] += usize::from(top == index);
                        found[index] += usize::from(model.is_open());
                    }
                    Some((index, 0..10)) if index < KINDS.len() => {}
                    _ => opened += usize::from(new),
                }
            }
            alarms.push(opened);
        }
        let mean = alarms.iter().sum::<usize>() as f64 / SEEDS as f64;
        report += &format!("{name}: false {mean} {alarms:?} found {found:?} named {named:?}\n");
        // The ramp's burst is smaller than the ramp's own range of a window; all others can be found.
        bad |= mean > false_max || found.iter().sum::<usize>() < 80;
    }
    assert!(!bad, "{report}");
}

/// Fusion judges rows as a whole, so that after some bursts one more is no news, whichever value has it: one
/// machine for each.
#[test]
fn a_machine_by_fusion() {
    let mut detector = robust_z();
    detector.algorithm = Algorithm::new(AlgorithmKind::Fusion);
    let (mut opened, mut found, mut named) = (0, vec![0; KINDS.len()], vec![0; KINDS.len()]);
    let seeds = 4;
    for (index, kind) in KINDS.iter().enumerate() {
        for seed in 0..seeds {
            let mut rows = machine(5_010, seed);
            rows[5_000..].iter_mut().for_each(|row| row[index] = (kind.burst)(row[index]));
            let mut model = SeriesModel::new(&detector, KINDS.len(), seed);
            let mut out = Assessment::default();
            for (at, row) in rows.iter().enumerate() {
                let verdict = model.assess(as_row(row), true, 0, &mut out);
                let new = verdict.transition.is_some_and(|t| t.phase == Phase::Opened);
                opened += usize::from(at < 5_000 && new);
                if at == 5_001 {
                    named[index] += usize::from(verdict.top().0 == index);
                    found[index] += usize::from(model.is_open());
                }
            }
        }
    }
    let false_mean = 2.0 * opened as f64 / (KINDS.len() as f64 * seeds as f64);
    let report = format!("false in 10,000 {false_mean} found {found:?} named {named:?}");
    assert!(false_mean <= 9.0 && found.iter().sum::<usize>() >= 34, "{report}");
}

/// The share of rows past the threshold after the first 1,000.
fn share(algorithm: Algorithm, share: f64, rows: usize, next: impl FnMut() -> Vec<f64>) -> f64 {
    let mut detector = robust_z();
    detector.algorithm = algorithm;
    detector.threshold = Threshold::Contamination(share);
    let mut next = next;
    let values = next().len();
    let mut model = SeriesModel::new(&detector, values, 1);
    let (mut odd, mut out) = (0, Assessment::default());
    for row in 0..rows + 1000 {
        let verdict = model.assess(as_row(&next()), true, 0, &mut out);
        odd += usize::from(row >= 1000 && verdict.is_anomaly);
    }
    odd as f64 / rows as f64
}

#[test]
fn the_contamination_is_kept() {
    let (mut report, mut bad) = (String::new(), false);
    let z = Algorithm::new(AlgorithmKind::RobustZ);
    let trees = Algorithm::new(AlgorithmKind::HalfSpaceTrees);
    for wanted in [0.01, 0.001, 0.0001] {
        for (law, name) in ["normal", "lognormal", "AR(.9)", "5 normals, trees"].iter().enumerate()
        {
            let (mut dice, mut state) = (Dice::new(5), 0.0);
            let algorithm = if law == 3 { trees.clone() } else { z.clone() };
            let got = share(algorithm, wanted, 200_000, || match law {
                0 => vec![dice.normal()],
                1 => vec![libm::exp(dice.normal())],
                2 => {
                    state = 0.9 * state + dice.normal();
                    vec![state]
                }
                _ => (0..5).map(|_| dice.normal()).collect(),
            });
            report += &format!("{name:20} {wanted} {got}\n");
            let factor = if wanted < 0.001 { 4.0 } else { 1.6 };
            bad |= !(wanted / factor..=wanted * factor).contains(&got);
        }
    }
    assert!(!bad, "share of rows past the threshold\n{report}");
}
