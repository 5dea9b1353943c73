//! Spectral residual (Ren et al. 2019: "Time-series anomaly detection service at Microsoft"): what sticks
//! out of a window once the part of its spectrum that is usual, a smoothed version of it, is taken away.
//!
//! As in the paper: the log amplitude less its mean over 3 neighbours, back-transformed, is the saliency; the
//! window is continued by 5 estimated values, so that the newest one is not at the edge (the estimate goes by
//! the values before the newest, as in the authors' code, or a spike would lead to a plateau); and the value's
//! oddness is how far its saliency is above the mean of the 21 before. Beyond the paper: not a fixed
//! threshold but the oddness's own past says what is much (the paper's second half, a network trained on
//! made-up anomalies, is not here); values enter the window standardised and clipped, so that a burst is not
//! what the next rows are compared with; and a floor of the amplitude keeps the rounding noise of a
//! constant from being salient, since the method as such knows no size.
//!
//! Two transforms a row: O(window log window), bounded.

mod fourier;

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take},
};

use crate::{
    standard::Standard,
    tracks::{self, Reading, Tracks},
};

/// Spectral residuals of each value.
pub type SpectralResidual = Tracks<Track>;

/// The window is continued by so many estimated values, after the gradients to as many past ones.
const AHEAD: usize = 5;
/// Saliencies before the newest that it is compared with.
const BEFORE: usize = 21;
/// No standardised value is larger.
const PLACE_MAX: f64 = 1e4;
/// Amplitudes have at least that of noise of so many units.
const NOISE: f64 = 0.1;
/// No mean saliency is less than this share of what noise has.
const SALIENCY_MIN: f64 = 0.25;
/// The unit of oddness is at least this: in a constant series nothing is usual.
const UNIT_MIN: f64 = 0.25;
/// Oddnesses before one of them can be called unusual.
const USUAL_MIN: f64 = 8.0;
/// Values before there is anything to say.
const FIRST: u32 = 16;
/// No oddness is larger.
const ODDNESS_MAX: f64 = 1e6;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    standard: Standard,
    /// What is usual of the oddness.
    usual: Standard,
    /// The last values, standardised, from the oldest on; zeros where there were none.
    window: Box<[f32]>,
    /// Values learned, as many as there are places at most.
    len: u32,
    /// Values in a row that were far out.
    run: u32,
}

/// Places of the transform: a power of two.
fn size(algorithm: &Algorithm) -> usize {
    algorithm.whole("window").next_power_of_two().clamp(32, fourier::SIZE_MAX)
}

impl Track {
    /// The oddness of a standardised value behind the window.
    fn oddness(&self, place: f64, real: &mut [f64], imaginary: &mut [f64]) -> f64 {
        let past = self.window.len();
        for (at, &value) in real.iter_mut().zip(&self.window) {
            *at = f64::from(value);
        }
        let (last, first) = (past - 1, past - AHEAD);
        let gradient = |back: usize| (real[last] - real[last - back]) / back as f64;
        // The mean gradient times the steps from the value that the estimate starts from.
        let ahead = real[first] + (1..=AHEAD).map(gradient).sum::<f64>();
        real[past] = place;
        real[past + 1..].fill(ahead);
        imaginary.fill(0.0);
        fourier::transform(real, imaginary);
        whiten(real, imaginary);
        // The parts exchanged: the inverse.
        fourier::transform(imaginary, real);
        let saliency = |at: usize| (real[at] * real[at] + imaginary[at] * imaginary[at]).sqrt();
        let before = (past - BEFORE..past).map(saliency).sum::<f64>() / BEFORE as f64;
        let least = SALIENCY_MIN * (real.len() as f64).sqrt();
        ((saliency(past) - before) / before.max(least)).clamp(0.0, ODDNESS_MAX)
    }
}

/// Replaces each amplitude by its residual: by how many times it is larger than its neighbours' (their
/// geometric mean). The spectrum of real numbers: its second half mirrors the first.
fn whiten(real: &mut [f64], imaginary: &mut [f64]) {
    let size = real.len();
    let half = size / 2;
    let noise = NOISE * NOISE * size as f64;
    let log_of = |re: f64, im: f64| 0.5 * libm::log(re * re + im * im + noise);
    // The mirror of the first place is the second, that of the last the one before it.
    let mut previous = log_of(real[1], imaginary[1]);
    let mut here = log_of(real[0], imaginary[0]);
    for at in 0..=half {
        let next = (at + 1) % size;
        let following = log_of(real[next], imaginary[next]);
        // exp(log A − mean of logs) / A: the phase stays.
        let factor = libm::exp(-(previous + here + following) / 3.0);
        (previous, here) = (here, following);
        real[at] *= factor;
        imaginary[at] *= factor;
    }
    for at in 1..half {
        (real[size - at], imaginary[size - at]) = (real[at], -imaginary[at]);
    }
}

impl tracks::Track for Track {
    fn new(algorithm: &Algorithm) -> Self {
        let past = size(algorithm) - 1 - AHEAD;
        Self {
            standard: Standard::default(),
            usual: Standard::default(),
            window: vec![0.0; past].into(),
            len: 0,
            run: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm) -> usize {
        (size(algorithm) - 1 - AHEAD) * size_of::<f32>()
    }

    /// Real and imaginary parts, and the oddness.
    fn room(&self) -> usize {
        2 * (self.window.len() + 1 + AHEAD) + 1
    }

    fn evidence(&self) -> (f64, f64) {
        (f64::from(self.len), 0.25 * self.window.len() as f64)
    }

    fn score(&self, value: Option<f64>, room: &mut [f64]) -> Reading {
        let scale = if self.len > 0 { self.standard.unit() } else { f64::NAN };
        let mut reading = Reading { expected: self.standard.expected(), scale, units: 0.0 };
        room[0] = f64::NAN;
        if let Some(value) = value
            && self.len >= FIRST
        {
            let place = self.standard.distance(value).clamp(-PLACE_MAX, PLACE_MAX);
            let (oddness, parts) = room.split_at_mut(1);
            let (real, imaginary) = parts.split_at_mut(self.window.len() + 1 + AHEAD);
            oddness[0] = self.oddness(place, real, imaginary);
            if self.usual.rows() >= USUAL_MIN {
                reading.units = self.usual.above(oddness[0], UNIT_MIN);
            }
        }
        reading
    }

    fn learn(&mut self, value: Option<f64>, room: &[f64]) {
        let past = self.window.len();
        let last = self.window[past - 1];
        self.window.copy_within(1.., 0);
        // A missing value is as the last one.
        self.window[past - 1] = last;
        let Some(value) = value else {
            return;
        };
        let place = self.standard.distance(value).clamp(-PLACE_MAX, PLACE_MAX);
        let far = Standard::CREDIBLE;
        self.run = if place.abs() > far { self.run.saturating_add(1) } else { 0 };
        let believed = if self.run > Standard::RUN_MAX { place } else { place.clamp(-far, far) };
        self.window[past - 1] = if self.len >= FIRST { believed as f32 } else { 0.0 };
        if room[0].is_finite() {
            self.usual.learn(room[0]);
        }
        self.standard.learn_guarded(value);
        self.len = (self.len + 1).min(past as u32);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.standard.encode(out);
        self.usual.encode(out);
        put(&(self.len, self.run), out);
        self.window.iter().for_each(|value| put(value, out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.standard = Standard::decode(bytes)?;
        self.usual = Standard::decode(bytes)?;
        (self.len, self.run) = take(bytes)?;
        ensure(self.len as usize <= self.window.len(), "length of a window")?;
        ensure((self.len > 0) == (self.standard.rows() > 0.0), "length of a window")?;
        for value in &mut self.window {
            *value = take(bytes)?;
            ensure(f64::from(value.abs()) <= PLACE_MAX, "standardised value")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tracks::{Track as _, noise, readings};

    fn track(window: u32) -> Track {
        let algorithm = Algorithm::new(domain::Kind::SpectralResidual);
        Track::new(&algorithm.with("window", f64::from(window)))
    }

    #[test]
    fn a_spike_within_the_range_of_a_wave_is_salient() {
        let wave = |row: usize| 10.0 * libm::sin(row as f64 / 8.0) + 0.5 * noise(row);
        let spiked = |row: usize| if row == 900 { wave(row) + 7.0 } else { wave(row) };
        let read = readings(&mut track(128), (0..1000).map(spiked));
        let most = read[200..900].iter().map(|reading| reading.units).fold(0.0, f64::max);
        assert!(read[900].units > 1.5 * most, "{} {most}", read[900].units);
    }

    #[test]
    fn rounding_noise_of_a_constant_is_not_salient() {
        let value = |row: usize| 1000.0 + 1e-9 * noise(row);
        let read = readings(&mut track(64), (0..500).map(value).chain([1000.0 + 1e-6]));
        assert!(read.iter().all(|reading| reading.units < 1.0));
    }

    proptest! {
        /// The paper's steps one by one, with a plain transform.
        #[test]
        fn equals_the_slow_definition(
            values in prop::collection::vec(-5.0..5.0_f32, 26), place in -50.0..50.0_f64,
        ) {
            let mut track = track(32);
            track.window.copy_from_slice(&values);
            let (mut real, mut imaginary) = (vec![7.0; 32], vec![7.0; 32]);
            let fast = track.oddness(place, &mut real, &mut imaginary);

            let mut x: Vec<f64> = values.iter().map(|v| f64::from(*v)).chain([place]).collect();
            let gradient =
                (1..=5).map(|i| (x[25] - x[25 - i]) / i as f64).sum::<f64>() / 5.0;
            x.extend([x[25 - 4] + gradient * 5.0; 5]);
            let wave = |j: usize, k: usize| {
                let angle = std::f64::consts::TAU * (j * k % 32) as f64 / 32.0;
                (libm::cos(angle), libm::sin(angle))
            };
            let spectrum: Vec<(f64, f64)> = (0..32).map(|k| {
                x.iter().enumerate().fold((0.0, 0.0), |(re, im), (j, x)| {
                    let (cos, sin) = wave(j, k);
                    (re + x * cos, im - x * sin)
                })
            }).collect();
            let log = |(re, im): (f64, f64)| libm::log((re * re + im * im + 0.32).sqrt());
            let residual: Vec<(f64, f64)> = (0..32).map(|k| {
                let near = [(k + 31) % 32, k, (k + 1) % 32].map(|at| log(spectrum[at]));
                let own = log(spectrum[k]);
                let size = libm::exp(own - near.iter().sum::<f64>() / 3.0) / libm::exp(own);
                (spectrum[k].0 * size, spectrum[k].1 * size)
            }).collect();
            let saliency = |j: usize| {
                let (re, im) = (0..32).fold((0.0, 0.0), |(re, im), k| {
                    let ((cos, sin), (a, b)) = (wave(j, k), residual[k]);
                    (re + a * cos - b * sin, im + a * sin + b * cos)
                });
                (re * re + im * im).sqrt()
            };
            let before = (5..26).map(saliency).sum::<f64>() / 21.0;
            let slow = (saliency(26) - before) / before.max(0.25 * 32.0_f64.sqrt());
            prop_assert!((fast - slow.max(0.0)).abs() < 1e-6, "{fast} {slow}");
        }
    }
}
