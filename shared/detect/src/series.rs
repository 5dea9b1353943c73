//! All that one detector knows of one series: model, calibration, threshold and open anomaly.

pub(crate) mod judge;
mod limits;
mod verdict;

use domain::{
    Algorithm, Detector, Micros, Muted, Phase,
    encoding::{DecodeError, ensure_same, ensure_version, put, take, take_count},
};

use judge::{Judge, Judged, Odd};
use limits::Limits;
use verdict::Said;
pub use verdict::Verdict;

use crate::{
    Assessment, Bar, Habituation, Incident, Model, Networks, STATE_VERSION, Transition, algorithms,
    calibration::score_of, habituation::Alarm, scorer::Row,
};

/// What becomes of a row besides its score.
#[derive(Clone, Copy)]
struct Taken {
    /// Late rows are not learned.
    learn: bool,
    /// Its values were filled in.
    imputed: bool,
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
    /// Since a drift it learns nothing.
    frozen: bool,
    rows: u64,
}

impl SeriesModel {
    /// For rows of so many `values`. The same arguments and rows give the same verdicts, bit for bit.
    pub fn new(detector: &Detector, values: usize, seed: u64) -> Self {
        Self::sharing(detector, values, seed, &Networks::default())
    }

    /// The same, sharing with other series what was read already: it makes no difference but in cost.
    pub fn sharing(detector: &Detector, values: usize, seed: u64, networks: &Networks) -> Self {
        let algorithm = detector.algorithm.resolved(values);
        let model = Model::new(&algorithm, values, seed, networks);
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
            frozen: false,
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
        self.judge(row, Taken { learn, imputed: false }, log_time, out)
    }

    /// Scores a row whose values were filled in, then learns it. It opens nothing.
    pub fn assess_imputed<'a>(
        &mut self,
        row: Row<'_>,
        log_time: Micros,
        out: &'a mut Assessment,
    ) -> Verdict<'a> {
        self.judge(row, Taken { learn: true, imputed: true }, log_time, out)
    }

    /// Takes the row in that says, at this time of the wall clock, that nothing comes any more: an anomaly of
    /// score 1 that lasts until something comes. Only a quiet time keeps it from opening.
    pub fn no_data<'a>(
        &mut self,
        at: Micros,
        log_time: Micros,
        out: &'a mut Assessment,
    ) -> Verdict<'a> {
        out.prepare(self.values, self.judge.count());
        self.rows += 1;
        self.run = 0;
        let quiet = self.limits.is_quiet(at) && !self.incident.is_open();
        let threshold = self.bar.score();
        let transition = if quiet {
            self.incident.skip(log_time);
            None
        } else {
            self.incident.no_data(1.0, threshold, log_time)
        };
        let judged = Said { score: 1.0, alert: if quiet { 0.0 } else { 1.0 }, threshold };
        let muted = quiet.then_some(Muted::Quiet);
        out.confidence = 1.0;
        judged.verdict(!quiet, muted, transition, out)
    }

    fn judge<'a>(
        &mut self,
        row: Row<'_>,
        taken: Taken,
        log_time: Micros,
        out: &'a mut Assessment,
    ) -> Verdict<'a> {
        let learn = taken.learn;
        out.prepare(self.values, self.judge.count());
        self.model.score(row, out);
        let known = (0..self.values).any(|i| crate::present(row.values, i).is_some());
        let judged = self.judge.judge(row.values, self.model.rows(), out);
        let Judged { surprise, strength, .. } = judged;
        let (score, threshold) = (score_of(surprise), self.bar.score());
        let past = known && surprise >= self.bar.surprise();
        let deviation = out.deviation(row.values).abs();
        let alarm = self.habituation.judge(strength, deviation);
        let muted = match past {
            true if taken.imputed => Some(Muted::Imputed),
            true => self.muted(row, alarm, out),
            false => None,
        };
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
                if opened {
                    // The anomaly is not learned yet: what is remembered was there before.
                    self.model.nearest(row, out);
                }
                if !self.frozen {
                    self.learn(row, judged.count, opened.then_some(surprise), out);
                }
            } else {
                // Nothing is known of the row, nothing can be learned from it.
                self.incident.skip(log_time);
            }
        }
        let alert = if known { alarm.alert } else { 0.0 };
        Said { score, alert, threshold }.verdict(is_anomaly, muted, transition, out)
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

    /// Its model, to be asked why a row's score is what it is.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Appends all that it knows, for [`decode`](Self::decode); its version is [`STATE_VERSION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        algorithms::encode(&self.algorithm, out);
        put(
            &(self.values, self.seed.to_le_bytes(), self.warm_up, self.run, self.frozen, self.rows),
            out,
        );
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
        Self::decode_sharing(detector, values, version, &Networks::default(), bytes)
    }

    /// The same, sharing with other series what was read already.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_sharing(
        detector: &Detector,
        values: usize,
        version: u32,
        networks: &Networks,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        ensure_version(version, STATE_VERSION)?;
        let algorithm = detector.algorithm.resolved(values);
        ensure_same("a model by", &algorithms::decode(bytes)?, &algorithm)?;
        ensure_same("a model of values:", &take(bytes)?, &values)?;
        let (seed, warm_up, run, frozen) = take(bytes)?;
        let seed = u64::from_le_bytes(seed);
        let rows = take_count(bytes, "number of rows")?;
        let bar = Bar::decode(Model::levels_of(&algorithm, values).lasting(), bytes)?;
        let (limits, habituation) = (Limits::decode(bytes)?, Habituation::decode(bytes)?);
        let incident = Incident::decode(bytes)?;
        let model = Model::decode(&algorithm, values, seed, networks, bytes)?;
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
            frozen,
            rows,
        })
    }

    /// Clears an open anomaly if the series has been silent for long enough at this log time.
    pub fn silence(&mut self, log_time: Micros) -> Option<Transition> {
        self.incident.silence(log_time)
    }

    /// Clears an open anomaly, as the series is forgotten.
    pub fn forget(&mut self) -> Option<Transition> {
        self.incident.forget()
    }

    /// Takes a changed definition of the same algorithm: what was learned and an open anomaly stay.
    pub fn reconfigure(&mut self, detector: &Detector) {
        self.frozen = false;
        self.warm_up = u64::from(detector.warm_up);
        self.bar.reconfigure(detector.threshold);
        self.limits = Limits::new(detector);
        self.habituation.reconfigure(detector);
        self.incident.reconfigure(detector);
    }

    /// Keeps the row just assessed, under this number, for [`feedback`](Self::feedback). `seen` is what stands in
    /// the assessment.
    pub fn remember(&mut self, row: u64, seen: &Assessment) {
        self.model.remember(row, seen);
    }

    /// Learns whether a row of late was odd. False if the row is not known any more, or the algorithm learns
    /// nothing from feedback: only a stacking ensemble does.
    pub fn feedback(&mut self, row: u64, odd: bool) -> bool {
        self.model.feedback(row, odd)
    }

    /// Starts the model anew, as after a drift. What feedback has taught, calibration, threshold and an open
    /// anomaly stay; the warm-up begins again.
    pub fn relearn(&mut self) {
        let mut networks = Networks::default();
        self.model.networks(&mut networks);
        let new = Model::new(&self.algorithm, self.values, self.seed, &networks);
        let mut before = std::mem::replace(&mut self.model, new);
        self.model.inherit(&mut before);
        self.run = 0;
        self.frozen = false;
    }

    /// Learns anew, from the prior, how odd rows usually are, as after a drift; the model, the threshold and an open
    /// anomaly stay. Scores fall at once and rise again as rows are seen.
    pub fn widen(&mut self) {
        self.judge = Judge::new(self.model.levels(), self.values, self.bar.surprise());
        self.run = 0;
    }

    /// Goes on by what it knows, as after a drift into what is no new normal: it learns no more rows, until it is
    /// reconfigured or starts anew.
    pub fn freeze(&mut self) {
        self.frozen = true;
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
