//! All that one detector knows of one series: model, calibration, threshold and open anomaly.

use domain::{Algorithm, Detector, Micros};

use crate::{Assessment, Bar, Calibration, Incident, Model, Transition, calibration::score_of};

/// A model must have learned so many rows before its raw scores say anything about the series.
const MODEL_ROWS_MIN: u64 = 8;
/// The surprise of a row in the middle: half of all are odder.
const TYPICAL: f64 = std::f64::consts::LOG10_2;
/// A level is learned as at most so many decades of chance past the threshold: what the first rows of a young
/// model bring may be a thousand times too high.
const LEARNED_PAST: f64 = 2.0;
/// A happening past the threshold adds this share of the threshold's share to the chance of its like,
/// however young the series: some three equal bursts are news, after that they are known.
const HAPPENING: f64 = 1.0 / 3.0;

/// What is said of one row. The slices have one entry per value and live until the next row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict<'a> {
    /// The calibrated score in [0, 1).
    pub score: f64,
    /// The raw score in the algorithm's own unit.
    pub raw: f64,
    /// In [0, 1]: how much the model has seen.
    pub confidence: f64,
    /// The threshold in force.
    pub threshold: f64,
    /// Whether the row is past the threshold, and the series past its warm-up.
    pub is_anomaly: bool,
    /// A step in an anomaly's life that this row made.
    pub transition: Option<Transition>,
    /// Each value's share of the oddness; they sum to 1 (all 0 if every value is missing).
    pub contributions: &'a [f64],
    /// What was expected of each value; NaN while nothing is known.
    pub expected: &'a [f64],
    /// About from where a value, alone, would have been an anomaly, downwards.
    pub lower: &'a [f64],
    /// The same upwards.
    pub upper: &'a [f64],
}

impl Verdict<'_> {
    /// The value that contributed most, and its share.
    pub fn top(&self) -> (usize, f64) {
        let largest = |best: (usize, f64), (index, &share): (usize, &f64)| {
            if share > best.1 { (index, share) } else { best }
        };
        self.contributions.iter().enumerate().fold((0, 0.0), largest)
    }
}

/// One detector's state for one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesModel {
    algorithm: Algorithm,
    seed: u64,
    warm_up: u64,
    model: Model,
    calibration: Calibration,
    bar: Bar,
    incident: Incident,
    assessment: Assessment,
    /// How many rows in a row were past the threshold or went on with an anomaly.
    run: u32,
    rows: u64,
}

impl SeriesModel {
    /// For rows of so many `values`. The same arguments and rows give the same verdicts, bit for bit.
    pub fn new(detector: &Detector, values: usize, seed: u64) -> Self {
        let algorithm = detector.algorithm.resolved(values);
        let model = Model::new(&algorithm, values, seed);
        Self {
            warm_up: u64::from(detector.warm_up),
            calibration: Calibration::new(model.prior()),
            bar: Bar::new(detector.threshold),
            incident: Incident::new(detector),
            assessment: Assessment::new(values),
            run: 0,
            rows: 0,
            algorithm,
            seed,
            model,
        }
    }

    /// Scores a row (a missing value is NaN) and then, if `learn`, learns it. A row that is not learned, such
    /// as a late one, changes nothing and opens nothing.
    pub fn assess(&mut self, row: &[f64], learn: bool, log_time: Micros) -> Verdict<'_> {
        self.model.score(row, &mut self.assessment);
        // Missing altogether: nothing is known of the row, nothing can be learned from it.
        let known = (0..self.assessment.scale.len()).any(|i| crate::present(row, i).is_some());
        let level = self.model.level(self.assessment.raw);
        let surprise = if known { self.calibration.surprise(level) } else { 0.0 };
        let (score, threshold) = (score_of(surprise), self.bar.score());
        let past = known && surprise >= self.bar.surprise();
        let is_anomaly = past && self.model.rows() >= self.warm_up;
        let raw_at = |surprise| self.model.raw_at(self.calibration.level(surprise));
        self.model.range(raw_at(self.bar.surprise()), || raw_at(TYPICAL), &mut self.assessment);
        let mut transition = None;
        if learn {
            self.rows += 1;
            if known {
                transition = self.incident.step(score, threshold, is_anomaly, log_time);
                self.learn(row, level, is_anomaly || self.incident.goes_on());
            } else {
                self.incident.skip(log_time);
            }
        }
        Verdict {
            score,
            raw: self.assessment.raw,
            confidence: self.assessment.confidence,
            threshold,
            is_anomaly,
            transition,
            contributions: &self.assessment.contributions,
            expected: &self.assessment.expected,
            lower: &self.assessment.lower,
            upper: &self.assessment.upper,
        }
    }

    fn learn(&mut self, row: &[f64], level: f64, odd: bool) {
        self.run = if odd { self.run.saturating_add(1) } else { 0 };
        if self.model.rows() >= MODEL_ROWS_MIN {
            let weight = if odd {
                // The k-th row of a run counts 1/k²: a burst of any length is learned as one happening.
                let run = f64::from(self.run);
                (HAPPENING * self.bar.share() * self.calibration.evidence()).min(1.0) / (run * run)
            } else {
                1.0
            };
            let ceiling = self.calibration.level(self.bar.surprise() + LEARNED_PAST);
            self.calibration.learn(level.min(ceiling), weight);
        }
        if self.model.rows() >= self.warm_up {
            self.bar.learn(self.run);
        }
        self.model.learn(row);
    }

    /// Clears an open anomaly if the series has been silent for long enough at this log time.
    pub fn silence(&mut self, log_time: Micros) -> Option<Transition> {
        self.incident.silence(log_time)
    }

    /// Takes a changed definition of the same algorithm: what was learned and an open anomaly stay.
    pub fn reconfigure(&mut self, detector: &Detector) {
        self.warm_up = u64::from(detector.warm_up);
        self.bar.reconfigure(detector.threshold);
        self.incident.reconfigure(detector);
    }

    /// Starts the model anew, as after a drift. Calibration, threshold and an open anomaly stay; the warm-up
    /// begins again.
    pub fn relearn(&mut self) {
        self.model = Model::new(&self.algorithm, self.assessment.scale.len(), self.seed);
        self.run = 0;
    }

    /// Whether an anomaly is open.
    pub fn is_open(&self) -> bool {
        self.incident.is_open()
    }

    /// How many rows it has learned.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes it takes, the heap included; constant over its life.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.model.bytes()
            + Calibration::bytes()
            + Assessment::bytes_for(self.assessment.scale.len())
    }

    /// The bytes that a series of so many values will take, told before it is made.
    pub fn bytes_for(detector: &Detector, values: usize) -> usize {
        size_of::<Self>()
            + Model::bytes_for(&detector.algorithm, values)
            + Calibration::bytes()
            + Assessment::bytes_for(values)
    }
}
