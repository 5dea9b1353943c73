//! Exponentially weighted mean and deviation, and the EWMA control chart (Roberts 1959: "Control chart
//! tests based on geometric moving averages"): how far a value is from the mean, and how far the recent
//! values are together, so that a small shift shows that no single value would.
//!
//! The chart smooths the deviations and compares the result with the deviation that it would have if they
//! were independent, sqrt(λ / (2 − λ)) units. A value's distance is the larger of its own and the chart's
//! (both together: Lucas & Saccucci 1990, "Exponentially weighted moving average control schemes:
//! properties and enhancements"). It is off unless asked for (smoothing 1): most series of machines are
//! correlated in time, and on NAB it costs 8 points of 48. Beyond the papers: mean and deviation are learned on the way, clipped,
//! since no reference is known beforehand; and a value that is far out by itself does not enter the chart,
//! which would stay alarmed for long after a burst. Constant time and memory.

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take},
};

use crate::{
    standard::Standard,
    tracks::{self, Reading, Tracks},
};

/// Exponentially weighted mean and deviation of each value.
pub type Ewma = Tracks<Track>;

/// Farther than so many units a value is an outlier and no shift.
const OUTLIER: f64 = Standard::CREDIBLE;
/// Rows at which confidence is one half.
const CONFIDENCE_ROWS: f64 = 32.0;

/// One value: its standard, and the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    standard: Standard,
    /// Smoothed deviations, in units of the standard.
    chart: f64,
    /// Rows after which one counts 1/e, a whole number.
    horizon: f64,
    /// Weight of the newest deviation in the chart.
    smoothing: f64,
}

impl Track {
    /// The value's deviation in units, and the chart with it.
    fn chart_with(&self, value: f64) -> (f64, f64) {
        let own = self.standard.distance(value);
        let kept = if own.abs() <= OUTLIER { own } else { self.chart };
        (own, self.chart + self.smoothing * (kept - self.chart))
    }
}

impl tracks::Track for Track {
    fn new(algorithm: &Algorithm) -> Self {
        let horizon = libm::round(algorithm.get("half_life") / std::f64::consts::LN_2);
        let smoothing = algorithm.get("smoothing");
        Self { standard: Standard::default(), chart: 0.0, horizon, smoothing }
    }

    fn bytes_for(_: &Algorithm) -> usize {
        0
    }

    fn evidence(&self) -> (f64, f64) {
        (self.standard.rows(), CONFIDENCE_ROWS)
    }

    fn score(&self, value: Option<f64>, _: &mut [f64]) -> Reading {
        let (expected, scale) = (self.standard.expected(), self.standard.unit());
        let (own, chart) = value.map_or((0.0, 0.0), |value| self.chart_with(value));
        let spread = (self.smoothing / (2.0 - self.smoothing)).sqrt();
        let scale = if expected.is_nan() { f64::NAN } else { scale };
        Reading { expected, scale, units: own.abs().max(chart.abs() / spread) }
    }

    fn learn(&mut self, value: Option<f64>, _: &[f64]) {
        if let Some(value) = value {
            self.chart = self.chart_with(value).1;
            self.standard.learn_within(value, self.horizon, Standard::HORIZON);
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.standard.encode(out);
        put(&self.chart, out);
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.standard = Standard::decode_within(bytes, self.horizon)?;
        self.chart = take(bytes)?;
        ensure(self.chart.abs() <= 1.001 * OUTLIER, "place of a chart")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tracks::{Track as _, readings};

    fn track(half_life: f64, smoothing: f64) -> Track {
        let algorithm = Algorithm::new(domain::Kind::Ewma);
        Track::new(&algorithm.with("half_life", half_life).with("smoothing", smoothing))
    }

    /// A saw of mean 0 and deviation 1 without correlation between neighbours.
    fn saw(rows: usize) -> impl Iterator<Item = f64> {
        (0..rows).map(|i| ((i * 37 % 101) as f64 - 50.0) / 29.15)
    }

    /// See tests/recorded/ewma.py.
    #[test]
    fn it_is_what_pandas_says() {
        let mut track = track(20.0, 1.0);
        let mut rows = 0.0_f64;
        for line in include_str!("../tests/recorded/ewma.csv").lines().skip(1) {
            let numbers: Vec<f64> =
                line.split(',').map(|text| text.parse().expect("a number")).collect();
            track.learn(Some(numbers[0]), &[]);
            rows += 1.0;
            assert!((track.standard.expected() - numbers[1]).abs() < 1e-9, "{line}");
            // Of few rows the unit has a floor and is larger.
            let deviation = track.standard.unit() / (1.0 + 6.0 / rows.min(track.horizon));
            assert!(rows < 9.0 || (deviation - numbers[2]).abs() < 1e-9, "{deviation} {line}");
        }
        assert_eq!(rows, 400.0);
    }

    #[test]
    fn a_small_shift_shows_in_the_chart_only() {
        let largest = |smoothing| {
            let values = saw(500).chain(saw(60).map(|v| v + 1.2));
            let readings = readings(&mut track(2000.0, smoothing), values);
            readings[500..].iter().map(|r| r.units).fold(0.0, f64::max)
        };
        assert!(largest(1.0) < 3.2, "{}", largest(1.0));
        assert!(largest(0.1) > 4.0, "{}", largest(0.1));
    }

    #[test]
    fn a_burst_is_far_in_every_row_and_gone_behind_it() {
        for half_life in [12.0, 50.0, 5000.0] {
            let burst = std::iter::repeat_n(100.0, 10);
            let read = readings(&mut track(half_life, 0.2), saw(400).chain(burst).chain(saw(60)));
            assert!(read[400..410].iter().all(|r| r.units > 12.0), "{half_life}");
            assert!(read[410..].iter().all(|r| r.units < 5.0), "{half_life}");
            assert!(read[10..].iter().all(|r| r.expected.abs() < 2.0 && r.scale > 0.3));
        }
    }

    proptest! {
        /// While no value is clipped, mean, variance and chart are what the slow definition says:
        /// weights (1 − r)^k, with r = 1 / (rows so far) until the horizon.
        #[test]
        fn equals_the_slow_definition(
            values in prop::collection::vec(-1.0..1.0_f64, 20..300),
            half_life in 20_u32..200,
        ) {
            let mut track = track(f64::from(half_life), 0.3);
            readings(&mut track, values.iter().copied());
            let weights: Vec<f64> = (0..values.len()).map(|at| {
                let rate = |row: usize| 1.0 / (row as f64 + 1.0).min(track.horizon);
                rate(at) * (at + 1..values.len()).map(|row| 1.0 - rate(row)).product::<f64>()
            }).collect();
            prop_assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let mean: f64 = weights.iter().zip(&values).map(|(w, v)| w * v).sum();
            let square = |v: f64| (v - mean) * (v - mean);
            let variance: f64 = weights.iter().zip(&values).map(|(w, v)| w * square(*v)).sum();
            let rows = (values.len() as f64).min(track.horizon);
            let deviation = variance.sqrt() * (1.0 + 6.0 / rows);
            prop_assert!((track.standard.expected() - mean).abs() < 1e-9);
            prop_assert!((track.standard.unit() - deviation).abs() < 1e-9);
        }
    }
}
