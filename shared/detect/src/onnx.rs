//! A model trained elsewhere and given as an ONNX file: an autoencoder, whose rows are as odd as they are rebuilt
//! badly; one that says a score; or a classifier, whose last class is the odd one. What it says is judged by its own
//! past like any other raw score.
//!
//! A series has only what it takes to ask: running means and deviations of its values, in which they may be given,
//! the rows before that the model sees at once, and what is usual of its answers. A missing value is given as
//! expected, and its error does not count. Nothing is said before `shingle` rows were seen, of rows with another
//! number of values than the model takes, and where its answer is not finite.
//!
//! Contributions are the shares of the squared errors where inputs are rebuilt. A score or a probability does not
//! say where it comes from: there they are the squared deviations ([`explain`](crate::explain) asks the model).

mod network;

use std::sync::Arc;

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take, take_count},
};

pub(crate) use network::Network;

use crate::{
    Assessment, Networks, VALUE_MAX,
    calibration::Prior,
    present,
    scorer::{Levels, Row, Scorer, level_of},
    standard::{Standard, Standards},
};
use network::Meaning;

/// Rows whose errors are not learned: those of values without a unit to speak of would be far out.
const FIRST: u64 = 16;
/// Answers before one of them can be called unusual.
const USUAL_MIN: f64 = 8.0;
/// What a probability is at most taken for: forests say 1.
const SURE: f64 = 1.0 - 1e-6;

/// One series' part of a model that was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Onnx {
    /// None if it does not take such rows.
    asked: Option<(Arc<Network>, Meaning)>,
    standardise: bool,
    standards: Standards,
    /// What is usual of each value's error.
    errors: Box<[Standard]>,
    /// What is usual of the raw score.
    usual: Standard,
    /// Inputs of the rows before, the newest last.
    past: Box<[f64]>,
    rows: u64,
}

/// Whether a model can be asked about rows of so many values, as far as that can be told.
pub(crate) fn check(
    network: &Network,
    algorithm: &Algorithm,
    values: Option<usize>,
) -> Result<(), String> {
    let shingle = algorithm.whole("shingle").max(1);
    let Some(inputs) = values.map(|values| values * shingle).or(network.inputs()) else {
        return Ok(());
    };
    if inputs % shingle != 0 {
        return Err(format!("it takes {inputs} inputs, which are not {shingle} rows"));
    }
    network.meaning(algorithm, inputs).map(|_| ())
}

impl Scorer for Onnx {
    const LEVELS: Levels = Levels::Row(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        Self::sharing(algorithm, values, seed, &Networks::default())
    }

    fn sharing(algorithm: &Algorithm, values: usize, _: u64, networks: &Networks) -> Self {
        let inputs = values * algorithm.whole("shingle");
        let network = algorithm.model.as_ref().and_then(|given| {
            networks.get(given).or_else(|| Network::read(given).ok().map(Arc::new))
        });
        let asked = network.and_then(|network| {
            let meaning = network.meaning(algorithm, inputs).ok()?;
            Some((network, meaning))
        });
        Self {
            asked,
            standardise: algorithm.get("standardise") == 1.0,
            standards: Standards::new(values),
            errors: vec![Standard::default(); values].into(),
            usual: Standard::default(),
            past: vec![0.0; inputs.saturating_sub(values)].into(),
            rows: 0,
        }
    }

    fn networks(&self, into: &mut Networks) {
        if let Some((network, _)) = &self.asked {
            into.insert(Arc::clone(network));
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let past = values * algorithm.whole("shingle").saturating_sub(1);
        Standards::bytes(values) + values * size_of::<Standard>() + past * size_of::<f64>()
    }

    /// The room keeps the values' deviations, the inputs and then the outputs.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let values = self.standards.len();
        let known = self.standards.place(row.values, self.rows, out);
        let inputs = self.past.len() + values;
        out.room.extend_from_slice(&self.past);
        for value in 0..values {
            let input = self.input(row.values, value, out.room[value]);
            out.room.push(input);
        }
        let shingle = inputs / values.max(1);
        let said = match &self.asked {
            Some((network, meaning)) if known > 0 && self.rows + 1 >= shingle as u64 => {
                network.run(values..values + inputs, &mut out.room);
                self.tell(*meaning, row.values, out)
            }
            _ => None,
        };
        match said {
            Some((raw, level)) => (out.raw, out.levels[0]) = (raw, level),
            None => out.confidence = 0.0,
        }
        out.normalise(row.values);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        let values = self.standards.len();
        let inputs = self.past.len() + values;
        if seen.confidence > 0.0 && self.rows >= FIRST {
            self.usual.learn(seen.raw);
            if let Some((_, Meaning::Rebuilt)) = self.asked {
                let given = &seen.room[inputs..inputs + values];
                let rebuilt = &seen.room[seen.room.len() - values..];
                for (value, (given, rebuilt)) in given.iter().zip(rebuilt).enumerate() {
                    if present(row.values, value).is_some() {
                        self.errors[value].learn_guarded(given - rebuilt);
                    }
                }
            }
        }
        if !self.past.is_empty() {
            self.past.copy_from_slice(&seen.room[2 * values..values + inputs]);
        }
        self.standards.learn(row.values);
        self.rows += 1;
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    /// What all series share is not counted.
    fn bytes(&self) -> usize {
        Standards::bytes(self.standards.len())
            + size_of_val(&*self.errors)
            + size_of_val(&*self.past)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.encode(out);
        self.errors.iter().for_each(|errors| errors.encode(out));
        self.usual.encode(out);
        self.past.iter().for_each(|input| put(input, out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        self.standards.decode(bytes)?;
        for errors in &mut self.errors {
            *errors = Standard::decode(bytes)?;
        }
        self.usual = Standard::decode(bytes)?;
        for input in &mut self.past {
            *input = take(bytes)?;
            ensure(input.abs() <= VALUE_MAX, "input of a model")?;
        }
        Ok(())
    }
}

impl Onnx {
    /// What the model is given for a value of this deviation.
    fn input(&self, row: &[f64], value: usize, deviation: f64) -> f64 {
        if self.standardise {
            return if deviation.is_nan() { 0.0 } else { deviation };
        }
        let usual = self.standards.as_slice()[value].expected();
        let usual = if usual.is_nan() { 0.0 } else { usual };
        present(row, value).unwrap_or(usual)
    }

    /// The raw score and its level; sets contributions and, where inputs are rebuilt, what was expected. None if
    /// the model has not answered by finite numbers.
    fn tell(&self, meaning: Meaning, row: &[f64], out: &mut Assessment) -> Option<(f64, f64)> {
        let values = self.standards.len();
        let first = 2 * values + self.past.len();
        let said = out.room.get(first..).filter(|said| !said.is_empty())?;
        if !said.iter().all(|x| x.is_finite()) {
            return None;
        }
        let last = said[said.len() - 1].clamp(-VALUE_MAX, VALUE_MAX);
        if meaning != Meaning::Rebuilt {
            let deviations = out.room[..values].iter();
            for (share, deviation) in out.contributions.iter_mut().zip(deviations) {
                *share = if deviation.is_nan() { 0.0 } else { deviation * deviation };
            }
        }
        match meaning {
            Meaning::Rebuilt => {
                let raw = self.rebuilt(row, out);
                Some((raw, self.level(raw)))
            }
            Meaning::Score => Some((last, self.level(last))),
            Meaning::Probabilities => {
                let probability = last.clamp(0.0, 1.0);
                let odds = probability.min(SURE) / (1.0 - probability.min(SURE));
                Some((probability, level_of(odds)))
            }
        }
    }

    fn level(&self, raw: f64) -> f64 {
        let unusual = self.usual.rows() >= USUAL_MIN;
        if unusual { level_of(self.usual.distance(raw).max(0.0)) } else { 0.0 }
    }

    /// The root of the mean squared error of the newest row's values.
    fn rebuilt(&self, row: &[f64], out: &mut Assessment) -> f64 {
        let values = self.standards.len();
        let (given, rebuilt) = (values + self.past.len(), out.room.len() - values);
        let (mut sum, mut count) = (0.0, 0.0);
        for (value, standard) in self.standards.as_slice().iter().enumerate() {
            let guess = out.room[rebuilt + value].clamp(-VALUE_MAX, VALUE_MAX);
            let unit = self.errors[value].unit();
            (out.expected[value], out.scale[value]) = if self.standardise {
                (standard.expected() + standard.unit() * guess, standard.unit() * unit)
            } else {
                (guess, unit)
            };
            if present(row, value).is_some() {
                let error = out.room[given + value] - guess;
                out.contributions[value] = error * error;
                (sum, count) = (sum + error * error, count + 1.0);
            }
        }
        (sum / count).sqrt()
    }
}
