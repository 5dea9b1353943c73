//! All that one detector knows of one series: model, calibration, threshold and open anomaly.

pub(crate) mod judge;
mod limits;

use domain::{
    Algorithm, Detector, Micros, Muted, Phase,
    encoding::{DecodeError, ensure_same, ensure_version, put, take, take_count},
};

use judge::{Judge, Judged, Odd};
use limits::Limits;

use crate::{
    Assessment, Bar, Habituation, Incident, Model, STATE_VERSION, Transition, algorithms,
    calibration::score_of,
    habituation::Alarm,
    scorer::{Row, top},
};

/// What is said of one row. The slices have one entry per value and live until the next row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict<'a> {
    /// The calibrated score in [0, 1).
    pub score: f64,
    /// In [0, 1): how much it asks for an alarm. 0.5 at the threshold, less the more alarms there
    /// were of late, 0 if a peak short before was about as strong.
    pub alert: f64,
    /// The raw score in the algorithm's own unit.
    pub raw: f64,
    /// In [0, 1]: how much the model has seen.
    pub confidence: f64,
    /// The threshold in force.
    pub threshold: f64,
    /// Whether the row is past the threshold, and nothing mutes it.
    pub is_anomaly: bool,
    /// Why it is none although it is past the threshold.
    pub muted: Option<Muted>,
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
        top(self.contributions)
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
    limits: Limits,
    habituation: Habituation,
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
        let levels = model.levels();
        let bar = Bar::new(detector.threshold, levels.lasting());
        Self {
            warm_up: u64::from(detector.warm_up),
            values,
            judge: Judge::new(levels, values, bar.surprise()),
            limits: Limits::new(detector),
            habituation: Habituation::new(detector),
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
        let judged = self.judge.judge(row.values, self.model.rows(), out);
        let Judged { surprise, strength, .. } = judged;
        let (score, threshold) = (score_of(surprise), self.bar.score());
        let past = known && surprise >= self.bar.surprise();
        let deviation = out.deviation(row.values).abs();
        let alarm = self.habituation.judge(strength, deviation);
        let muted = if past { self.muted(row, alarm, out) } else { None };
        let is_anomaly = past && muted.is_none();
        let mut transition = None;
        if learn {
            self.rows += 1;
            if known {
                transition = self.incident.step(score, threshold, is_anomaly, log_time);
                let opened = transition.is_some_and(|step| step.phase == Phase::Opened);
                let odd = is_anomaly || self.incident.goes_on();
                self.habituation.learn(strength, deviation, alarm, opened);
                self.run = if odd { self.run.saturating_add(1) } else { 0 };
                self.learn(row, judged.count, opened.then_some(surprise), out);
            } else {
                // Nothing is known of the row, nothing can be learned from it.
                self.incident.skip(log_time);
            }
        }
        Verdict {
            score,
            alert: if known { alarm.alert } else { 0.0 },
            raw: out.raw,
            confidence: out.confidence,
            threshold,
            is_anomaly,
            muted,
            transition,
            contributions: &out.contributions,
            expected: &out.expected,
            lower: &out.lower,
            upper: &out.upper,
        }
    }

    /// Why a row past the threshold is no anomaly, if it is none.
    fn muted(&self, row: Row<'_>, alarm: Alarm, out: &Assessment) -> Option<Muted> {
        if self.model.rows() < self.warm_up {
            return Some(Muted::WarmUp);
        }
        let tired = if alarm.rests {
            Some(Muted::Rest)
        } else {
            // A threshold that keeps a rate follows alarms of late by itself.
            let deafness = self.habituation.deafness();
            let heard = self.judge.is_heard(self.bar.surprise(), deafness, out);
            (self.bar.is_fixed() && !heard).then_some(Muted::Habituated)
        };
        // They keep an anomaly from opening, not from going on.
        let tired = tired.filter(|_| !self.incident.is_open());
        self.limits.mutes(row, out).or(tired)
    }

    /// Learns the row just judged, of which `count` levels are known. `alert` is its surprise if an
    /// anomaly opened at it.
    fn learn(&mut self, row: Row<'_>, count: f64, alert: Option<f64>, seen: &Assessment) {
        let (surprise, share) = (self.bar.surprise(), self.bar.share());
        let odd = Odd { surprise, share, run: self.run };
        self.judge.learn(self.model.rows(), odd, count, seen);
        if self.model.rows() >= self.warm_up {
            self.bar.learn(row.at, self.run, alert);
        }
        self.model.learn(row, seen);
    }

    /// Appends all that it knows, for [`decode`](Self::decode); its version is [`STATE_VERSION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        algorithms::encode(&self.algorithm, out);
        put(&(self.values, self.seed.to_le_bytes(), self.warm_up, self.run, self.rows), out);
        self.bar.encode(out);
        self.limits.encode(out);
        self.habituation.encode(out);
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
        let bar = Bar::decode(Model::levels_of(&algorithm, values).lasting(), bytes)?;
        let (limits, habituation) = (Limits::decode(bytes)?, Habituation::decode(bytes)?);
        let incident = Incident::decode(bytes)?;
        let model = Model::decode(&algorithm, values, seed, bytes)?;
        let judge = Judge::decode(model.levels(), values, bytes)?;
        Ok(Self {
            algorithm,
            seed,
            warm_up,
            model,
            values,
            judge,
            bar,
            limits,
            habituation,
            incident,
            run,
            rows,
        })
    }

    /// Clears an open anomaly if the series has been silent for long enough at this log time.
    pub fn silence(&mut self, log_time: Micros) -> Option<Transition> {
        self.incident.silence(log_time)
    }

    /// Takes a changed definition of the same algorithm: what was learned and an open anomaly stay.
    pub fn reconfigure(&mut self, detector: &Detector) {
        self.warm_up = u64::from(detector.warm_up);
        self.bar.reconfigure(detector.threshold);
        self.limits = Limits::new(detector);
        self.habituation.reconfigure(detector);
        self.incident.reconfigure(detector);
    }

    /// Starts the model anew, as after a drift. Calibration, threshold and an open anomaly stay; the warm-up
    /// begins again.
    pub fn relearn(&mut self) {
        self.model = Model::new(&self.algorithm, self.values, self.seed);
        self.run = 0;
    }

    /// Learns anew, from the prior, how odd rows usually are, as after a drift; the model, the threshold and an open
    /// anomaly stay. Scores fall at once and rise again as rows are seen.
    pub fn widen(&mut self) {
        self.judge = Judge::new(self.model.levels(), self.values, self.bar.surprise());
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
        size_of::<Self>() + self.model.bytes() + Judge::bytes_for(self.model.levels(), self.values)
    }

    /// The bytes that a series of so many values will take, told before it is made.
    pub fn bytes_for(detector: &Detector, values: usize) -> usize {
        let algorithm = &detector.algorithm;
        let judge = Judge::bytes_for(Model::levels_of(algorithm, values), values);
        size_of::<Self>() + Model::bytes_for(algorithm, values) + judge
    }
}

#[cfg(test)]
mod tests;
