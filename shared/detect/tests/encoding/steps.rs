//! Steps in a series' life as no series should have them: what a model is put through before and
//! after a cut.

use domain::{Detector, Micros, Threshold};
use oddwatch_detect::{Assessment, Row, SeriesModel, Transition};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Values that break arithmetic or are none.
const WILD: [f64; 12] = [
    1e308,
    -1e308,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    -0.0,
    0.0,
    5e-324,
    -f64::MIN_POSITIVE / 3.0,
    1e150,
    -1e150,
];

/// Random numbers, and how each value behaves for now.
pub(crate) struct Dice {
    random: Pcg64Mcg,
    moods: Vec<u32>,
    row: u64,
}

/// What can happen to a series' model.
#[derive(Debug)]
pub(crate) enum Step {
    /// A row, learned or not, at a log time.
    Row(Vec<f64>, bool, Micros),
    /// Nothing until this log time.
    Silence(Micros),
    /// A drift.
    Relearn,
    /// A changed definition.
    Reconfigure(Detector),
}

impl Dice {
    pub(crate) fn new(seed: u64, values: usize) -> Self {
        Self { random: Pcg64Mcg::seed_from_u64(seed), moods: vec![0; values], row: 0 }
    }

    /// One in so many.
    pub(crate) fn one_in(&mut self, many: u32) -> bool {
        self.random.next_u32().is_multiple_of(many)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.random.next_u64() % end as u64) as usize
    }

    /// Bytes that mean nothing.
    pub(crate) fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    fn uniform(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / f64::from(u32::MAX)
    }

    /// About normal, of any of 2^32^12 values.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// A row as machines bring it.
    pub(crate) fn calm_row(&mut self) -> Vec<f64> {
        (0..self.moods.len()).map(|value| 100.0 * value as f64 + self.normal()).collect()
    }

    /// A row that is spread evenly over all leaves of a tree.
    pub(crate) fn even_row(&mut self) -> Vec<f64> {
        (0..self.moods.len()).map(|_| self.uniform()).collect()
    }

    /// A row of values of all sizes, so that levels are spread as far as they go.
    pub(crate) fn wide_row(&mut self) -> Vec<f64> {
        let values = 0..self.moods.len();
        values.map(|_| self.normal() * libm::exp2(30.0 * self.uniform() * self.uniform())).collect()
    }

    /// A row with bursts, constants, steps, missing and wild values.
    fn row(&mut self) -> Vec<f64> {
        let burst = self.row % 300 > 290;
        let values = 0..self.moods.len();
        let value = |value: usize| {
            if self.one_in(80) {
                self.moods[value] = self.random.next_u32() % 6;
            }
            let mood = self.moods[value];
            match mood {
                0 | 1 => 10.0 + self.normal() + if burst { 1e4 } else { 0.0 },
                2 => 5.0,
                3 => (self.random.next_u32() % 4) as f64,
                4 if self.one_in(3) => f64::NAN,
                4 => 1e6 * self.uniform(),
                _ if self.one_in(4) => WILD[self.below(WILD.len())],
                _ => self.normal(),
            }
        };
        values.map(value).collect()
    }

    /// The next step.
    pub(crate) fn step(&mut self, detector: &Detector) -> Step {
        self.row += 1;
        let log_time = self.row as Micros * 1_000_000;
        match self.below(1000) {
            0..3 => Step::Relearn,
            3..6 => Step::Silence(log_time + 700_000_000),
            6..10 => {
                let mut changed = detector.clone();
                changed.threshold = match self.below(4) {
                    0 => Threshold::Score(0.3),
                    1 => Threshold::Contamination(0.01),
                    2 => Threshold::AlertsPerWeek(1000.0),
                    _ => detector.threshold,
                };
                changed.warm_up = self.below(200) as u32;
                changed.clear_after = self.below(9) as u32;
                changed.silence_ms = 1000 * self.below(900) as u64;
                Step::Reconfigure(changed)
            }
            10..80 => Step::Row(self.row(), false, log_time),
            _ => Step::Row(self.row(), true, log_time),
        }
    }
}

/// What a step brought: each number's bits, and the anomaly's step.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    bits: Vec<u64>,
    is_anomaly: bool,
    transition: Option<Transition>,
    is_open: bool,
    rows: u64,
}

/// Takes a step.
pub(crate) fn go(model: &mut SeriesModel, step: &Step) -> Told {
    let (mut bits, mut is_anomaly, mut transition) = (vec![], false, None);
    match step {
        Step::Row(row, learn, log_time) => {
            let mut out = Assessment::default();
            let verdict =
                model.assess(Row { values: row, at: *log_time }, *learn, *log_time, &mut out);
            let numbers = [verdict.score, verdict.raw, verdict.confidence, verdict.threshold];
            let slices =
                [verdict.contributions, verdict.expected, verdict.lower, verdict.upper].concat();
            bits.extend(numbers.iter().chain(&slices).map(|number| number.to_bits()));
            (is_anomaly, transition) = (verdict.is_anomaly, verdict.transition);
            // People say something of some rows.
            let number = model.rows();
            if *learn {
                model.remember(number, &out);
            }
            if *learn && number % 40 == 7 {
                model.feedback(number - 3, number % 80 == 7);
            }
        }
        Step::Silence(log_time) => transition = model.silence(*log_time),
        Step::Relearn => model.relearn(),
        Step::Reconfigure(detector) => model.reconfigure(detector),
    }
    Told { bits, is_anomaly, transition, is_open: model.is_open(), rows: model.rows() }
}
