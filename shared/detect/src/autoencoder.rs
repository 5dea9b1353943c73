//! A small autoencoder, learned online: what of a row can't be rebuilt from a few numbers is odd. One hidden
//! layer between inputs and outputs (Rumelhart, Hinton & Williams 1986: "Learning representations by
//! back-propagating errors"; for novelty: Japkowicz, Myers & Gluck 1995, "A novelty detection approach to
//! classification"), trained by plain stochastic gradient descent, one step a row.
//!
//! Inputs are the values of the last `shingle` rows, standardised online and clipped, so that relations
//! between values and between neighbouring rows count, and a burst neither drives nor is learned at its full
//! size. The hidden layer is never wider than half the inputs. Of the outputs only the newest row's are
//! judged: each value's error by its own past, so the contributions are the method's own. Steps are divided by
//! the width of the layer below, which keeps them stable at any size.
//!
//! Sums run in a fixed order (`ndarray` without BLAS, axes in memory order), the hyperbolic tangent is
//! `libm`'s and the first weights follow from the seed: the same bits on every processor.

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take, take_count},
};
use ndarray::{Array1, Array2, ArrayViewMut1};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{
    Assessment,
    calibration::Prior,
    present,
    scorer::{Levels, Row, Scorer, level_of},
    standard::Standard,
};

/// Inputs and learned errors are at most so large, in deviations.
const CLIP: f64 = 4.0;
/// Errors are judged at most at this size, in deviations.
const ERROR_MAX: f64 = 1e6;
/// Nor are weights larger.
const WEIGHT_MAX: f64 = 100.0;
/// A unit of error is at least so many deviations of the value: what is rebuilt exactly has no error to
/// compare with.
const UNIT_MIN: f64 = 0.02;
/// Values before they have a unit to speak of: nothing is judged or learned from their errors.
const FIRST: f64 = 16.0;
/// Errors before one of them can be called unusual: the first ones would be far out in a young unit, and
/// calibration would take that for usual.
const USUAL_MIN: f64 = 8.0;
/// Rows at which confidence is one half.
const CONFIDENCE_ROWS: f64 = 64.0;

/// A network that rebuilds rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    /// How large a step is, before it is divided by the width of a layer.
    rate: f64,
    standards: Box<[Standard]>,
    /// What is usual of each value's error, in deviations of the value.
    errors: Box<[Standard]>,
    /// Inputs of the rows before, the newest first; zeros where there were none.
    past: Box<[f64]>,
    /// From input to hidden: a row per input.
    encoder: Array2<f64>,
    hidden_bias: Array1<f64>,
    /// From hidden to output: a row per hidden unit.
    decoder: Array2<f64>,
    output_bias: Array1<f64>,
    rows: u64,
}

/// Inputs and hidden units.
fn widths(algorithm: &Algorithm, values: usize) -> (usize, usize) {
    let inputs = values * algorithm.whole("shingle");
    (inputs, algorithm.whole("hidden").min(inputs / 2).max(1))
}

/// What a row's score leaves for its learning.
struct Pass<'a> {
    inputs: &'a mut [f64],
    hidden: &'a mut [f64],
    outputs: &'a mut [f64],
    /// What the outputs lack, clipped; 0 where nothing is known of the value.
    errors: &'a mut [f64],
}

impl<'a> Pass<'a> {
    fn of(room: &'a mut Vec<f64>, (inputs, hidden): (usize, usize)) -> Self {
        room.resize(3 * inputs + hidden, 0.0);
        let (first, rest) = room.split_at_mut(inputs);
        let (second, rest) = rest.split_at_mut(inputs);
        let (third, last) = rest.split_at_mut(inputs);
        Self { inputs: first, hidden: last, outputs: second, errors: third }
    }
}

impl Scorer for Autoencoder {
    const LEVELS: Levels = Levels::Values(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let (inputs, hidden) = widths(algorithm, values);
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        // Even in ±1 / sqrt(inputs): sums neither vanish nor saturate.
        let reach = 1.0 / (inputs.max(1) as f64).sqrt();
        let mut weight = |_| {
            let share = f64::from(random.next_u32()) / f64::from(u32::MAX);
            reach * (2.0 * share - 1.0)
        };
        Self {
            rate: algorithm.get("rate"),
            standards: vec![Standard::default(); values].into(),
            errors: vec![Standard::default(); values].into(),
            past: vec![0.0; inputs - values].into(),
            encoder: Array2::from_shape_fn((inputs, hidden), |_| weight(())),
            hidden_bias: Array1::zeros(hidden),
            decoder: Array2::from_shape_fn((hidden, inputs), |_| weight(())),
            output_bias: Array1::zeros(inputs),
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let (inputs, hidden) = widths(algorithm, values);
        let weights = 2 * inputs * hidden + inputs + hidden;
        2 * values * size_of::<Standard>() + (inputs - values + weights) * size_of::<f64>()
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let (row, values) = (row.values, self.standards.len());
        let mut pass = Pass::of(&mut out.room, self.encoder.dim());
        let mut count = 0;
        for (index, standard) in self.standards.iter().enumerate() {
            let distance = present(row, index).map(|value| standard.distance(value));
            pass.inputs[index] = distance.unwrap_or(0.0).clamp(-CLIP, CLIP);
            count += usize::from(distance.is_some());
        }
        pass.inputs[values..].copy_from_slice(&self.past);
        self.rebuild(row, &mut pass);
        let outputs = pass.outputs;
        if count > 0 {
            let (rows, share) = (self.rows as f64, count as f64 / values as f64);
            out.confidence = share * rows / (rows + CONFIDENCE_ROWS);
        }
        for (index, standard) in self.standards.iter().enumerate() {
            let usual = &self.errors[index];
            let (bias, unit) = (usual.expected(), usual.unit().max(UNIT_MIN));
            let bias = if bias.is_nan() { 0.0 } else { bias };
            out.expected[index] = standard.expected() + standard.unit() * (outputs[index] + bias);
            out.scale[index] = standard.unit() * unit;
            let Some(value) = present(row, index) else {
                continue;
            };
            out.levels[index] = 0.0;
            if usual.rows() >= USUAL_MIN {
                let error = standard.distance(value) - outputs[index];
                let units = ((error - bias).abs() / unit).min(ERROR_MAX);
                (out.contributions[index], out.levels[index]) = (units * units, level_of(units));
                out.raw = out.raw.max(units);
            }
        }
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        let (row, values) = (row.values, self.standards.len());
        let width = self.output_bias.len();
        let (inputs, rest) = seen.room.split_at(width);
        let (outputs, rest) = rest.split_at(width);
        let (errors, hidden) = rest.split_at(width);
        if (0..values).any(|index| self.is_known(row, index)) {
            self.descend(inputs, hidden, errors);
        }
        let learners = self.standards.iter_mut().zip(&mut self.errors).zip(outputs);
        for (index, ((standard, errors), output)) in learners.enumerate() {
            if let Some(value) = present(row, index) {
                if standard.rows() >= FIRST {
                    let error = standard.distance(value) - output;
                    errors.learn_guarded(error);
                }
                standard.learn_guarded(value);
            }
        }
        if !self.past.is_empty() {
            let kept = self.past.len() - values;
            self.past.copy_within(..kept, values);
            self.past[..values].copy_from_slice(&inputs[..values]);
        }
        self.rows += 1;
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        let weights = self.encoder.len() + self.decoder.len();
        let numbers = weights + self.hidden_bias.len() + self.output_bias.len() + self.past.len();
        size_of_val(&*self.standards) + size_of_val(&*self.errors) + numbers * size_of::<f64>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standards.iter().chain(&self.errors).for_each(|standard| standard.encode(out));
        self.past.iter().for_each(|input| put(input, out));
        let biases = self.hidden_bias.iter().chain(&self.output_bias);
        let weights = self.encoder.iter().chain(&self.decoder).chain(biases);
        weights.for_each(|weight| put(weight, out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for standard in self.standards.iter_mut().chain(&mut self.errors) {
            *standard = Standard::decode(bytes)?;
        }
        for input in &mut self.past {
            *input = take(bytes)?;
            ensure(input.abs() <= CLIP, "input of a network")?;
        }
        let biases = self.hidden_bias.iter_mut().chain(&mut self.output_bias);
        for weight in self.encoder.iter_mut().chain(&mut self.decoder).chain(biases) {
            *weight = take(bytes)?;
            ensure(weight.abs() <= WEIGHT_MAX, "weight of a network")?;
        }
        Ok(())
    }
}

impl Autoencoder {
    /// Whether the row has this value, and the value a unit.
    fn is_known(&self, row: &[f64], index: usize) -> bool {
        self.standards[index].rows() >= FIRST && present(row, index).is_some()
    }

    /// Sets hidden units, outputs and errors.
    fn rebuild(&self, row: &[f64], pass: &mut Pass<'_>) {
        let mut hidden = ArrayViewMut1::from(&mut *pass.hidden);
        hidden.assign(&self.hidden_bias);
        for (&input, weights) in pass.inputs.iter().zip(self.encoder.rows()) {
            hidden.scaled_add(input, &weights);
        }
        hidden.mapv_inplace(libm::tanh);
        let mut outputs = ArrayViewMut1::from(&mut *pass.outputs);
        outputs.assign(&self.output_bias);
        for (&unit, weights) in hidden.iter().zip(self.decoder.rows()) {
            outputs.scaled_add(unit, &weights);
        }
        for (index, error) in pass.errors.iter_mut().enumerate() {
            let known = index >= self.standards.len() || self.is_known(row, index);
            let lacks = pass.inputs[index] - outputs[index];
            *error = if known { lacks.clamp(-CLIP, CLIP) } else { 0.0 };
        }
    }

    /// One step down the gradient of half the squared errors.
    fn descend(&mut self, inputs: &[f64], hidden: &[f64], errors: &[f64]) {
        let (width, height) = self.encoder.dim();
        let (down, up) = (self.rate / (height + 1) as f64, self.rate / (width + 1) as f64);
        let bound = |weight: f64| weight.clamp(-WEIGHT_MAX, WEIGHT_MAX);
        for (unit, mut weights) in self.decoder.rows_mut().into_iter().enumerate() {
            // The gradient goes back by the weights as they were.
            let mut back = 0.0;
            for (&error, weight) in errors.iter().zip(&mut weights) {
                back += *weight * error;
                *weight = bound(*weight + down * hidden[unit] * error);
            }
            let step = up * back * (1.0 - hidden[unit] * hidden[unit]);
            for (&input, weight) in inputs.iter().zip(self.encoder.column_mut(unit)) {
                *weight = bound(*weight + step * input);
            }
            self.hidden_bias[unit] = bound(self.hidden_bias[unit] + step);
        }
        for (&error, bias) in errors.iter().zip(&mut self.output_bias) {
            *bias = bound(*bias + down * error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracks::noise;

    fn network(values: usize, shingle: u32, hidden: u32) -> Autoencoder {
        let algorithm = Algorithm::new(domain::Kind::Autoencoder);
        let algorithm = algorithm.with("shingle", f64::from(shingle));
        Autoencoder::new(&algorithm.with("hidden", f64::from(hidden)), values, 5)
    }

    fn go(network: &mut Autoencoder, row: &[f64]) -> Assessment {
        let mut out = Assessment::default();
        out.prepare(row.len(), row.len());
        let row = Row { values: row, at: 0 };
        network.score(row, &mut out);
        network.learn(row, &out);
        out
    }

    #[test]
    fn a_relation_that_breaks_is_odd_and_its_value_is_named() {
        let mut network = network(3, 1, 1);
        // Three views of one number; each alone stays in its range.
        let row = |at: usize| {
            let common = 10.0 * noise(at);
            [common, 50.0 - 2.0 * common, 3.0 * common + 0.1 * noise(at + 500)]
        };
        let mut most = 0.0_f64;
        for at in 0..4000 {
            let out = go(&mut network, &row(at));
            most = if at > 2000 { most.max(out.raw) } else { 0.0 };
        }
        let [a, _, c] = row(4000);
        let out = go(&mut network, &[a, 50.0 + 2.0 * a.abs().max(4.0) * a.signum(), c]);
        assert!(out.raw > 2.0 * most, "{} {most}", out.raw);
        assert!(out.contributions[1] > 0.4, "{:?}", out.contributions);
        assert!((out.expected[1] - (50.0 - 2.0 * a)).abs() < 12.0, "{:?}", out.expected);
    }

    /// The step is the gradient: of half the squared error, by differences.
    #[test]
    fn steps_go_down_the_gradient() {
        let mut network = network(2, 3, 2);
        for at in 0..200 {
            go(&mut network, &[noise(at), noise(at) * noise(at + 1)]);
        }
        let row = [0.3, 0.1];
        let (mut scored, mut stepped) = (Assessment::default(), network.clone());
        scored.prepare(2, 2);
        network.score(Row { values: &row, at: 0 }, &mut scored);
        let Pass { inputs, hidden, errors, .. } = Pass::of(&mut scored.room, (6, 2));
        stepped.descend(inputs, hidden, errors);
        let loss = |network: &Autoencoder| {
            let mut out = Assessment::default();
            out.prepare(2, 2);
            network.score(Row { values: &row, at: 0 }, &mut out);
            Pass::of(&mut out.room, (6, 2)).errors.iter().map(|e| 0.5 * e * e).sum::<f64>()
        };
        let by_difference = |change: fn(&mut Autoencoder, f64)| {
            let (mut more, mut less) = (network.clone(), network.clone());
            change(&mut more, 1e-6);
            change(&mut less, -1e-6);
            (loss(&more) - loss(&less)) / 2e-6
        };
        let (down, up) = (0.1 / 3.0, 0.1 / 7.0);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        let gradient = by_difference(|network, by| network.encoder[[4, 1]] += by);
        near(stepped.encoder[[4, 1]] - network.encoder[[4, 1]], -up * gradient);
        let gradient = by_difference(|network, by| network.decoder[[0, 3]] += by);
        near(stepped.decoder[[0, 3]] - network.decoder[[0, 3]], -down * gradient);
        let gradient = by_difference(|network, by| network.hidden_bias[0] += by);
        near(stepped.hidden_bias[0] - network.hidden_bias[0], -up * gradient);
        let gradient = by_difference(|network, by| network.output_bias[5] += by);
        near(stepped.output_bias[5] - network.output_bias[5], -down * gradient);
    }
}
