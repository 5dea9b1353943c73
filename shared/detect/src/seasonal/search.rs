//! Finds the season of a series by itself: the lag at which it is most like itself, by correlations that
//! are kept current row by row. A row costs one product per lag; nothing is computed anew.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use crate::{DEVIATION_MAX, standard::Standard};

/// Standardised values are at most so large: a spike must not look like a season.
const CLIP: f32 = 4.0;
/// A season is found if the correlation at its lag is at least this,
const CORRELATION_MIN: f64 = 0.3;
/// and so many times that which chance brings, 1 / sqrt(rows),
const CHANCE: f64 = 4.0;
/// and so much above the least one at any shorter lag, or every slow series had seasons of all lengths.
const RISE_MIN: f64 = 0.25;
/// Of lags that correlate almost as well the shortest is the season; the others are its multiples.
const ALMOST: f64 = 0.9;
/// Another season must correlate better by so much.
const CHANGE_MIN: f64 = 0.02;
/// A season that was found goes when its correlation falls below this.
const CORRELATION_KEPT: f64 = 0.15;
/// The first look, in rows. The next ones come after twice as many each.
const FIRST_LOOK: u64 = 64;
/// A season must have been seen so often.
const SEASONS_SEEN: u64 = 3;

/// What a look at the correlations says about the season.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No look was due, or the season stays as it is.
    Same,
    /// There is none any more.
    None,
    /// It has this many rows.
    Season(usize),
}

/// The last values of a series, standardised, and how they correlate at each lag.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Search {
    standard: Standard,
    /// Twice the longest season; zeros before the first row.
    ring: Box<[f32]>,
    /// Decaying sums of products of values so many rows apart, from 0 on.
    products: Box<[f32]>,
    rows: u64,
}

impl Search {
    /// For seasons of at most so many rows.
    pub(super) fn new(longest: usize) -> Self {
        Self {
            standard: Standard::default(),
            ring: vec![0.0; 2 * longest].into(),
            products: vec![0.0; longest + 1].into(),
            rows: 0,
        }
    }

    pub(super) fn bytes_for(longest: usize) -> usize {
        (3 * longest + 1) * size_of::<f32>()
    }

    /// Rows after which a product counts 1/e.
    fn horizon(&self) -> f64 {
        2.0 * self.ring.len() as f64
    }

    /// Learns a value; a missing one counts as the mean. Says what became of the `current` season.
    pub(super) fn learn(&mut self, value: Option<f64>, current: usize) -> Found {
        let at = (self.rows % self.ring.len() as u64) as usize;
        let distance = value.map_or(0.0, |value| self.standard.distance(value));
        // The first rows have no unit to speak of.
        let trusted = self.standard.rows() >= 8.0;
        let new = if trusted { (distance as f32).clamp(-CLIP, CLIP) } else { 0.0 };
        self.ring[at] = new;
        let keep = (1.0 - 1.0 / self.horizon()) as f32;
        let (now, before) = self.ring.split_at(at + 1);
        let (near, far) = self.products.split_at_mut((at + 1).min(self.products.len()));
        for (product, old) in near.iter_mut().zip(now.iter().rev()) {
            *product = *product * keep + new * old;
        }
        for (product, old) in far.iter_mut().zip(before.iter().rev()) {
            *product = *product * keep + new * old;
        }
        if let Some(value) = value {
            self.standard.learn(value);
        }
        self.rows += 1;
        if self.is_look() && self.standard.rows() > 0.0 { self.look(current) } else { Found::Same }
    }

    /// After 64 rows, twice as many, and so on; once the longest season can be found, evenly.
    fn is_look(&self) -> bool {
        let every = 2 * self.ring.len() as u64;
        let doubled = self.rows >= FIRST_LOOK && self.rows.is_power_of_two() && self.rows < every;
        doubled || self.rows.is_multiple_of(every)
    }

    fn look(&self, current: usize) -> Found {
        let longest = (self.rows / SEASONS_SEEN).min(self.products.len() as u64 - 1) as usize;
        let chance = CHANCE / (self.rows as f64).min(self.horizon()).sqrt();
        let (mut least, mut best) = (1.0_f64, 0.0_f64);
        let mut found = 0;
        for lag in 2..longest {
            least = least.min(self.correlation(lag - 1));
            let here = self.correlation(lag);
            let is_peak = here >= self.correlation(lag - 1) && here >= self.correlation(lag + 1);
            let stands_out = here >= CORRELATION_MIN.max(chance) && here - least >= RISE_MIN;
            if is_peak && stands_out && (found == 0 || ALMOST * here > best) {
                (found, best) = (lag, here);
            }
        }
        let kept = if current > 0 { self.correlation(current) } else { 0.0 };
        if found > 0 && found != current && kept < best - CHANGE_MIN {
            Found::Season(found)
        } else if current > 0 && kept < CORRELATION_KEPT {
            Found::None
        } else {
            Found::Same
        }
    }

    /// The correlation of values so many rows apart; 0 of a constant.
    fn correlation(&self, lag: usize) -> f64 {
        let decay = 1.0 / self.horizon();
        // Sums of weights, as if each product were 1.
        let weight = |rows: u64| -libm::expm1(rows as f64 * libm::log1p(-decay)) / decay;
        let square = f64::from(self.products[0]) / weight(self.rows);
        let product = f64::from(self.products[lag]) / weight(self.rows - lag as u64);
        if square > 0.0 { product / square } else { 0.0 }
    }

    /// The mean of the last two seasons of this length in the values' unit, from the oldest row on, as
    /// deviations from their own mean, which it gives.
    pub(super) fn profile(&self, profile: &mut [f64]) -> f64 {
        let (season, len) = (profile.len(), self.ring.len());
        let next = (self.rows % len as u64) as usize;
        let back = |rows: usize| f64::from(self.ring[(next + len - rows) % len]);
        let mut sum = 0.0;
        for (at, mean) in profile.iter_mut().enumerate() {
            *mean = 0.5 * (back(season - at) + back(2 * season - at));
            sum += *mean;
        }
        let (mean, unit) = (sum / season as f64, self.standard.unit());
        let deviation = |at: f64| ((at - mean) * unit).clamp(-DEVIATION_MAX, DEVIATION_MAX);
        profile.iter_mut().for_each(|at| *at = deviation(*at));
        self.standard.expected() + mean * unit
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        self.standard.encode(out);
        let seen = self.rows.min(self.ring.len() as u64) as usize;
        self.ring[..seen].iter().for_each(|value| put(value, out));
        self.products.iter().take(seen).for_each(|product| put(product, out));
    }

    /// Puts what [`encode`](Self::encode) appended into a new one.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        self.standard = Standard::decode(bytes)?;
        let seen = self.rows.min(self.ring.len() as u64) as usize;
        for value in &mut self.ring[..seen] {
            *value = take(bytes)?;
            ensure(value.abs() <= CLIP, "standardised value")?;
        }
        let most = 1.01 * self.horizon() as f32 * CLIP * CLIP;
        for product in self.products.iter_mut().take(seen) {
            *product = take(bytes)?;
            ensure(product.abs() <= most, "sum of products")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tracks::noise;

    /// The seasons that are found, with the rows after which they are.
    fn found(longest: usize, values: impl Iterator<Item = f64>) -> Vec<(usize, Found)> {
        let (mut search, mut current, mut changes) = (Search::new(longest), 0, vec![]);
        for (row, value) in values.enumerate() {
            let found = search.learn(Some(value), current);
            if let Found::Season(season) = found {
                current = season;
            }
            if found != Found::Same {
                changes.push((row + 1, found));
            }
        }
        changes
    }

    #[test]
    fn seasons_are_found_and_their_multiples_are_not() {
        for season in [7, 24, 100, 144] {
            let sine = |row| libm::sin(std::f64::consts::TAU * row as f64 / season as f64);
            let changes = found(150, (0..4000).map(|row| 50.0 + 3.0 * sine(row) + noise(row)));
            assert!(!changes.is_empty(), "{season}");
            // The first look at it may be off by a few rows; what stays is right.
            let last = changes.len() - 1;
            for (index, (row, change)) in changes.into_iter().enumerate() {
                let most = 1 + season / if index == last { 50 } else { 20 };
                let near = |found: usize| found.abs_diff(season) <= most;
                assert!(
                    matches!(change, Found::Season(found) if near(found)),
                    "{change:?} after {row} rows of {season}"
                );
            }
        }
    }

    #[test]
    fn noise_and_ramps_have_no_season() {
        assert_eq!(found(150, (0..4000).map(noise)), []);
        assert_eq!(found(150, (0..4000).map(|row| row as f64)), []);
        assert_eq!(found(150, (0..4000).map(|_| 7.0)), []);
    }

    proptest! {
        #[test]
        fn correlations_equal_the_slow_definition(
            values in prop::collection::vec(-100.0..100.0_f64, 10..150), lag in 0_usize..20,
        ) {
            let mut search = Search::new(20);
            let (mut standard, mut seen) = (Standard::default(), vec![]);
            for &value in &values {
                search.learn(Some(value), 0);
                let trusted = standard.rows() >= 8.0;
                seen.push(if trusted { standard.distance(value).clamp(-4.0, 4.0) } else { 0.0 });
                standard.learn(value);
            }
            let age = |row: usize| (seen.len() - 1 - row) as i32;
            let weight = |row: usize| (1.0_f64 - 1.0 / search.horizon()).powi(age(row));
            let product: f64 = (lag..seen.len())
                .map(|row| weight(row) * seen[row] * seen[row.saturating_sub(lag)])
                .sum();
            if values.len() > lag {
                prop_assert!((f64::from(search.products[lag]) - product).abs() < 1e-3);
            }
        }
    }
}
