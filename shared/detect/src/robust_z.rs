//! Distance from the median of a sliding window in units of its median absolute deviation (MAD), the robust
//! z-score (Iglewicz & Hoaglin 1993; Hampel 1974). One window per value; a row's raw score is the largest of
//! its values' distances.
//!
//! The window is kept sorted. A row moves only what lies between the value that leaves and the one that comes:
//! at most `window` × 8 bytes (a third of it on average, 27 KB and about a microsecond at 10,000 rows), and the
//! MAD is selected from the sorted values in O(log window), so nothing is ever sorted anew.

mod window;

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take, take_count},
};

pub use window::Window;

use crate::{
    Assessment, DEVIATION_MAX, SQUARE_MAX,
    calibration::Prior,
    present,
    scorer::{Levels, Row, Scorer, level_of},
};

/// MAD times this is the standard deviation of a normal law.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// The same for the distance that three quarters of the values do not exceed. Values in coarse steps need it:
/// when half of them are equal, their MAD is 0 or a step by chance.
const QUARTILE_TO_DEVIATION: f64 = 0.8693;
/// A unit is at least this share of the median's size: a wobble of a per cent on a constant is nothing.
const RELATIVE_FLOOR: f64 = 0.002;
/// A unit is at least this: rounding noise about 0 is nothing.
const ABSOLUTE_FLOOR: f64 = 1e-9;
/// No distance is larger.
const RAW_MAX: f64 = 1e18;
/// Small samples understate the spread; the unit is (1 + this / rows) times as large.
const SMALL_SAMPLE: f64 = 6.0;
/// Rows at which confidence is one half.
const CONFIDENCE_ROWS: f64 = 32.0;

/// Robust z-scores of the values of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustZ {
    values: Box<[Track]>,
    rows: u64,
}

impl Scorer for RobustZ {
    const LEVELS: Levels = Levels::Values(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, _: u64) -> Self {
        let window = algorithm.whole("window");
        Self { values: (0..values).map(|_| Track::new(window)).collect(), rows: 0 }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        values * (size_of::<Track>() + 2 * algorithm.whole("window") * size_of::<f64>())
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let row = row.values;
        let (mut count, mut seen, mut raw) = (0, 0, 0.0_f64);
        for (index, track) in self.values.iter().enumerate() {
            let (median, scale) = (track.median, track.scale);
            (out.expected[index], out.scale[index]) = (median, scale);
            let Some(value) = present(row, index) else {
                continue;
            };
            count += 1;
            seen += track.window.len();
            out.levels[index] = 0.0;
            if track.window.len() > 0 {
                let z = ((value - median).abs() / scale).min(RAW_MAX);
                (out.contributions[index], out.levels[index]) = (z * z, level_of(z));
                raw = raw.max(z);
            }
        }
        out.raw = raw;
        if count > 0 {
            let rows = seen as f64 / count as f64;
            let share = count as f64 / self.values.len() as f64;
            out.confidence = share * rows / (rows + CONFIDENCE_ROWS);
        }
        out.normalise(row);
    }

    fn learn(&mut self, row: Row<'_>, _: &Assessment) {
        self.rows += 1;
        for (index, track) in self.values.iter_mut().enumerate() {
            if let Some(value) = present(row.values, index) {
                track.learn(value);
            }
        }
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.values.iter().map(|t| size_of::<Track>() + t.window.bytes()).sum()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.values.iter().for_each(|track| track.encode(out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        self.values.iter_mut().try_for_each(|track| track.decode(bytes))
    }
}

/// One value: its window, and how far it has strayed over a time much longer than the window.
#[derive(Clone, Debug, PartialEq)]
struct Track {
    window: Window,
    strays: Strays,
    /// NaN before the first value.
    median: f64,
    /// One unit of deviation, in the value's unit.
    scale: f64,
}

impl Track {
    fn new(window: usize) -> Self {
        Self {
            window: Window::new(window),
            strays: Strays::default(),
            median: f64::NAN,
            scale: f64::NAN,
        }
    }

    fn learn(&mut self, value: f64) {
        if self.window.len() > 0 {
            self.strays.learn((value - self.median).abs(), self.scale);
        }
        self.window.push(value);
        self.measure();
    }

    /// Sets median and scale, which follow from the window and the strays.
    fn measure(&mut self) {
        let rows = self.window.len() as f64;
        self.median = self.window.median();
        let (mad, quartile) = (self.window.mad(), self.window.distance_at(0.75));
        let relative = (RELATIVE_FLOOR + 0.5 / (rows * rows)) * self.median.abs();
        let spread = (MAD_TO_DEVIATION * mad).max(QUARTILE_TO_DEVIATION * quartile);
        self.scale = (spread * (1.0 + SMALL_SAMPLE / rows))
            .max(self.strays.floor())
            .max(relative)
            .max(ABSOLUTE_FLOOR);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.window.encode(out);
        let Strays { sum, rows, run, unbelieved } = self.strays;
        put(&(sum, rows, run, unbelieved), out);
    }

    /// Puts what [`encode`](Self::encode) appended into a new one.
    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.window.decode(bytes)?;
        let (sum, rows, run, unbelieved) = take(bytes)?;
        ensure((0.0..=Strays::HORIZON * SQUARE_MAX).contains(&sum), "sum of squares")?;
        ensure((0.0..=1.001 * Strays::HORIZON).contains(&rows), "number of strays")?;
        ensure((0.0..=DEVIATION_MAX).contains(&unbelieved), "deviation")?;
        self.strays = Strays { sum, rows, run, unbelieved };
        if self.window.len() > 0 {
            self.measure();
        }
        Ok(())
    }
}

/// The mean square of deviations over some thousand rows, as a floor of the unit. It keeps a series that is
/// mostly 0 from alarming at every burst for ever: the k-th equal burst is about 40/sqrt(k) units far.
#[derive(Clone, Debug, Default, PartialEq)]
struct Strays {
    /// Sum of squares, decaying.
    sum: f64,
    /// Number of rows, decaying.
    rows: f64,
    /// Rows in a row that were far out.
    run: u32,
    /// The last deviation that was too large to be believed at once.
    unbelieved: f64,
}

impl Strays {
    /// Rows after which a deviation counts 1/e.
    const HORIZON: f64 = 2048.0;
    /// Rows without any deviation that are assumed before the first.
    const ASSUMED: f64 = 150.0;
    /// The floor is this share of the root mean square, so a normal law's is out of play.
    const SHARE: f64 = 0.5;
    /// Farther than this many units, a stretch of rows counts as about one and a half rows: a long burst
    /// must not hide the next one.
    const FAR: f64 = 6.0;
    /// Farther than this many units, a deviation is believed when it comes the second time: one broken
    /// value of 1e12 must not blind a series.
    const CREDIBLE: f64 = 30.0;

    fn floor(&self) -> f64 {
        Self::SHARE * (self.sum / (self.rows + Self::ASSUMED)).sqrt()
    }

    fn learn(&mut self, deviation: f64, scale: f64) {
        let believed = deviation.min((Self::CREDIBLE * scale).max(self.unbelieved));
        if deviation > Self::CREDIBLE * scale {
            self.unbelieved = deviation;
        }
        self.run = if deviation > Self::FAR * scale { self.run.saturating_add(1) } else { 0 };
        let run = f64::from(self.run.max(1));
        let keep = 1.0 - 1.0 / Self::HORIZON;
        self.sum = self.sum * keep + believed * believed / (run * run);
        self.rows = self.rows * keep + 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw_after(history: impl Iterator<Item = f64>, value: f64) -> f64 {
        let mut model = RobustZ::new(&Algorithm::new(domain::Kind::RobustZ), 1, 0);
        let mut out = Assessment::default();
        out.prepare(1, 1);
        history.for_each(|v| model.learn(Row { values: &[v], at: 0 }, &out));
        model.score(Row { values: &[value], at: 0 }, &mut out);
        out.raw
    }

    /// See tests/recorded/robust_z.py.
    #[test]
    fn it_is_what_pandas_says() {
        let mut track = Track::new(32);
        let (mut rows, mut by_mad) = (0, 0);
        for line in include_str!("../tests/recorded/robust_z.csv").lines().skip(1) {
            let numbers: Vec<f64> =
                line.split(',').map(|text| text.parse().expect("a number")).collect();
            track.learn(numbers[0]);
            assert!((track.median - numbers[1]).abs() < 1e-9, "{line}");
            assert!((track.window.mad() - numbers[2]).abs() < 1e-9, "{line}");
            // The unit is that of the MAD or, if that is more, of the third quartile or a floor.
            let len = track.window.len() as f64;
            let unit = MAD_TO_DEVIATION * numbers[2] * (1.0 + SMALL_SAMPLE / len);
            assert!(track.scale > unit - 1e-9, "{line}");
            (rows, by_mad) = (rows + 1, by_mad + usize::from(track.scale < unit + 1e-9));
        }
        assert!(rows == 300 && by_mad > 20, "{by_mad} of {rows}");
    }

    #[test]
    fn constants_have_a_unit() {
        let constant = || std::iter::repeat_n(1000.0, 300);
        assert!(raw_after(constant(), 1001.0) < 1.0, "a wobble of a thousandth is nothing");
        assert!(raw_after(constant(), 1100.0) > 20.0, "a step of a tenth is much");
        assert_eq!(raw_after(std::iter::repeat_n(0.0, 300), 0.0), 0.0);
        assert!(raw_after(std::iter::repeat_n(0.0, 300), 5.0) > 1e9);
        assert_eq!(raw_after(std::iter::empty(), 5.0), 0.0, "nothing is known yet");
    }

    #[test]
    fn known_bursts_come_nearer_and_larger_ones_do_not() {
        let bursts = || (0..4000).map(|i| if i % 100 == 99 { 50.0 } else { 0.0 });
        let known = raw_after(bursts(), 50.0);
        assert!((5.0..30.0).contains(&known), "{known}");
        assert!(raw_after(bursts(), 5000.0) > 90.0 * known);
        let broken = (0..600).map(|i| if i == 300 { 1e12 } else { f64::from(i % 10) });
        assert!(raw_after(broken, 100.0) > 15.0, "one broken value blinds nobody");
    }
}
