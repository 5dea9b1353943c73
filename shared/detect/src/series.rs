//! All that one detector knows of one series: model, calibration, threshold and open anomaly.

pub(crate) mod judge;

use domain::{
    Algorithm, Detector, Micros,
    encoding::{DecodeError, ensure_same, ensure_version, put, take, take_count},
};

use judge::{Judge, Odd};

use crate::{
    Assessment, Bar, Incident, Model, STATE_VERSION, Transition, algorithms, calibration::score_of,
    scorer::Row,
};

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
    values: usize,
    judge: Judge,
    bar: Bar,
    incident: Incident,
    /// How many rows in a row were past the threshold or went on with an anomaly.
    run: u32,
    rows: u64,
}

impl SeriesModel {
    /// For rows of so many `values`. The same arguments and rows give the same verdicts, bit for bit.
    pub fn new(detector: &Detector, values: usize, seed: u64) -> Self {
        let algorithm = detector.algorithm.resolved(values);
        let model = Model::new(&algorithm, values, seed);
        let bar = Bar::new(detector.threshold);
        Self {
            warm_up: u64::from(detector.warm_up),
            values,
            judge: Judge::new(model.levels(), values, bar.surprise()),
            incident: Incident::new(detector),
            run: 0,
            rows: 0,
            bar,
            algorithm,
            seed,
            model,
        }
    }

    /// Scores a row and then, if `learn`, learns it. A row that is not learned, such as a late one,
    /// changes nothing and opens nothing. What is said of it stands in `out`, whose buffers serve
    /// all series.
    pub fn assess<'a>(
        &mut self,
        row: Row<'_>,
        learn: bool,
        log_time: Micros,
        out: &'a mut Assessment,
    ) -> Verdict<'a> {
        out.prepare(self.values, self.judge.count());
        self.model.score(row, out);
        let known = (0..self.values).any(|i| crate::present(row.values, i).is_some());
        let (surprise, count) = self.judge.judge(row.values, self.model.rows(), out);
        let (score, threshold) = (score_of(surprise), self.bar.score());
        let past = known && surprise >= self.bar.surprise();
        let is_anomaly = past && self.model.rows() >= self.warm_up;
        let mut transition = None;
        if learn {
            self.rows += 1;
            if known {
                transition = self.incident.step(score, threshold, is_anomaly, log_time);
                self.learn(row, is_anomaly || self.incident.goes_on(), count, out);
            } else {
                // Nothing is known of the row, nothing can be learned from it.
                self.incident.skip(log_time);
            }
        }
        Verdict {
            score,
            raw: out.raw,
            confidence: out.confidence,
            threshold,
            is_anomaly,
            transition,
            contributions: &out.contributions,
            expected: &out.expected,
            lower: &out.lower,
            upper: &out.upper,
        }
    }

    fn learn(&mut self, row: Row<'_>, odd: bool, count: f64, seen: &Assessment) {
        self.run = if odd { self.run.saturating_add(1) } else { 0 };
        let (surprise, share) = (self.bar.surprise(), self.bar.share());
        let odd = Odd { surprise, share, run: self.run };
        self.judge.learn(self.model.rows(), odd, count, seen);
        if self.model.rows() >= self.warm_up {
            self.bar.learn(self.run);
        }
        self.model.learn(row, seen);
    }

    /// Appends all that it knows, for [`decode`](Self::decode); its version is [`STATE_VERSION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        algorithms::encode(&self.algorithm, out);
        put(&(self.values, self.seed.to_le_bytes(), self.warm_up, self.run, self.rows), out);
        self.bar.encode(out);
        self.incident.encode(out);
        self.model.encode(out);
        self.judge.encode(out);
    }

    /// Takes an encoding of this version off the front of `bytes`: the model that was encoded,
    /// which goes on with the same verdicts, bit for bit. What else of the definition it was made
    /// with or [`reconfigure`](Self::reconfigure)d to is in the encoding; `detector` says which
    /// algorithm to expect, and so bounds the memory that bad bytes can ask for.
    ///
    /// # Errors
    /// A version that is not read here, another algorithm or number of values, or bytes that are no
    /// encoding.
    pub fn decode(
        detector: &Detector,
        values: usize,
        version: u32,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        ensure_version(version, STATE_VERSION)?;
        let algorithm = detector.algorithm.resolved(values);
        ensure_same("a model by", &algorithms::decode(bytes)?, &algorithm)?;
        ensure_same("a model of values:", &take(bytes)?, &values)?;
        let (seed, warm_up, run) = take(bytes)?;
        let seed = u64::from_le_bytes(seed);
        let rows = take_count(bytes, "number of rows")?;
        let (bar, incident) = (Bar::decode(bytes)?, Incident::decode(bytes)?);
        let model = Model::decode(&algorithm, values, seed, bytes)?;
        let judge = Judge::decode(model.levels(), values, bytes)?;
        Ok(Self { algorithm, seed, warm_up, model, values, judge, bar, incident, run, rows })
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
        self.model = Model::new(&self.algorithm, self.values, self.seed);
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
        let judge = Judge::bytes_for(self.model.levels(), self.values);
        size_of::<Self>() + self.model.bytes() + judge
    }

    /// The bytes that a series of so many values will take, told before it is made.
    pub fn bytes_for(detector: &Detector, values: usize) -> usize {
        let algorithm = &detector.algorithm;
        let judge = Judge::bytes_for(Model::levels_of(algorithm, values), values);
        size_of::<Self>() + Model::bytes_for(algorithm, values) + judge
    }
}

#[cfg(test)]
mod tests {
    use domain::{Kind, Phase};

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
            // Who judges shapes sees the burst as long as it is part of one, and more of it in each row.
            let judges_shapes = algorithm.kind == Kind::Discord;
            let shape = if judges_shapes { algorithm.whole("length") as u64 } else { 1 };
            let told = steps.iter().map(|(at, step)| (*at, step.phase));
            let phases: Vec<_> =
                told.filter(|step| !judges_shapes || step.1 != Phase::Updated).collect();
            let end = 213 + shape;
            assert_eq!(phases, [(200, Phase::Opened), (end, Phase::Cleared)], "{algorithm:?}");
            let last = steps[steps.len() - 1].1;
            assert_eq!((last.first_row, last.revision), (201, steps.len() as u32));
            assert!((10..=9 + shape).contains(&last.rows), "{algorithm:?}: {} rows", last.rows);
            assert_eq!((model.rows(), model.is_open()), (400, false));
            assert_eq!(series(algorithm, 400).1, steps, "the same again");
        }
    }

    #[test]
    fn a_row_that_is_not_learned_changes_nothing() {
        for algorithm in &*SAMPLES {
            let (mut model, _) = series(algorithm, 199);
            let (mut other, mut out) = (model.clone(), Assessment::default());
            let late = other.assess(as_row(&[row(199)[0], 1e5]), false, 7, &mut out);
            assert!(late.is_anomaly && late.transition.is_none());
            assert_eq!(late.top().0, 1);
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
            assert!(
                young.confidence < confident && !young.is_anomaly && young.transition.is_none()
            );
            assert_eq!((model.bytes(), model.rows()), (bytes, 206));
        }
    }
}
