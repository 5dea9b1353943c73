//! Seasonal forecasts: exponential smoothing of level, trend and season, additive and with a damped trend
//! (Holt 1957; Winters 1960, "Forecasting sales by exponentially weighted moving averages"; Gardner &
//! McKenzie 1985, "Forecasting trends in time series"). A value's distance is that of its forecast's error
//! from the usual ones.
//!
//! Updates are in the form of errors, and clipped, so that an outlier carries neither level nor season away
//! (Gelper, Fried & Croux 2010, "Robust forecasting with exponential and Holt-Winters smoothing"). Beyond
//! the papers: the season is found from the series' own correlations unless it is given; a forecast without
//! season runs beside the one with it, and the one with less error speaks, so that a season that is none
//! does no harm; and after a stretch of rows that all are far out the level moves there at once. Constant
//! time but for the search of a season, which costs one product per lag and row.

mod search;
mod smoother;

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take},
};

use search::{Found, Search};
use smoother::{Rates, Smoother};

use crate::{
    DEVIATION_MAX, VALUE_MAX,
    standard::Standard,
    tracks::{self, Reading, Tracks},
};

/// Forecasts of each value with level, trend and season.
pub type Seasonal = Tracks<Track>;

/// The forecast with season speaks if its error is below this share of the other's.
const BETTER: f64 = 0.95;
/// Rows over which an error that is far out weighs: over 1000 a burst would hide its own end, over 65,536 series
/// of rare bursts would alarm for ever.
const FAR_HORIZON: f64 = 8192.0;
/// Rows at which confidence is one half.
const CONFIDENCE_ROWS: f64 = 32.0;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    rates: Rates,
    /// Weight of an error in the season.
    seasonal: f64,
    plain: Smoother,
    with_season: Smoother,
    /// Deviations by phase; the first `season` count.
    profile: Box<[f64]>,
    /// Rows; 0 while there is none.
    season: usize,
    /// The next row's place in the season.
    phase: usize,
    /// Whether a whole season was seen.
    ready: bool,
    /// Errors of the forecasts that spoke.
    errors: Standard,
    /// Looks for the season unless it was given.
    search: Option<Search>,
}

impl Track {
    /// Whether the forecast with season speaks.
    fn is_seasonal(&self) -> bool {
        self.ready && self.with_season.error() < BETTER * self.plain.error()
    }

    /// What both forecasts say of the next value.
    fn forecasts(&self) -> (f64, f64) {
        let season = if self.ready { self.profile[self.phase] } else { 0.0 };
        (self.plain.forecast(&self.rates), self.with_season.forecast(&self.rates) + season)
    }

    /// What is forecast, by the one that speaks.
    fn forecast(&self) -> f64 {
        let (plain, with_season) = self.forecasts();
        if self.is_seasonal() { with_season } else { plain }
    }

    /// Moves both forecasts on by one row.
    fn step(&mut self, value: Option<f64>) {
        let before = self.plain.forecast(&self.rates);
        let error = self.plain.learn(value, 0.0, &self.rates);
        let believed = if before.is_nan() { self.plain.level() } else { before + error };
        if self.season == 0 || self.plain.level().is_nan() {
            return;
        }
        let at = &mut self.profile[self.phase];
        if self.ready {
            let error = self.with_season.learn(value, *at, &self.rates);
            *at = (*at + self.seasonal * error).clamp(-DEVIATION_MAX, DEVIATION_MAX);
        } else {
            *at = believed.clamp(-DEVIATION_MAX, DEVIATION_MAX);
        }
        self.phase = (self.phase + 1) % self.season;
        if self.phase == 0 && !self.ready {
            let profile = &mut self.profile[..self.season];
            let mean = profile.iter().map(|at| at / self.season as f64).sum();
            profile.iter_mut().for_each(|at| *at -= mean);
            self.with_season = self.plain.at_level(mean);
            self.ready = true;
        }
    }
}

impl tracks::Track for Track {
    fn new(algorithm: &Algorithm) -> Self {
        let season = algorithm.whole("season");
        let longest = algorithm.whole("season_max");
        Self {
            rates: Rates {
                level: algorithm.get("level"),
                trend: algorithm.get("trend"),
                damping: algorithm.get("damping"),
            },
            seasonal: algorithm.get("seasonal"),
            plain: Smoother::default(),
            with_season: Smoother::default(),
            profile: vec![0.0; if season > 0 { season } else { longest }].into(),
            season,
            phase: 0,
            ready: false,
            errors: Standard::default(),
            search: (season == 0).then(|| Search::new(longest)),
        }
    }

    fn bytes_for(algorithm: &Algorithm) -> usize {
        let (season, longest) = (algorithm.whole("season"), algorithm.whole("season_max"));
        match season {
            0 => longest * size_of::<f64>() + Search::bytes_for(longest),
            _ => season * size_of::<f64>(),
        }
    }

    fn evidence(&self) -> (f64, f64) {
        (self.errors.rows(), CONFIDENCE_ROWS)
    }

    fn score(&self, value: Option<f64>, _: &mut [f64]) -> Reading {
        if self.errors.rows() == 0.0 {
            return Reading { expected: f64::NAN, scale: f64::NAN, units: 0.0 };
        }
        let forecast = self.forecast();
        let error = value.map_or(0.0, |value| (value - forecast).clamp(-VALUE_MAX, VALUE_MAX));
        let expected = forecast + self.errors.expected();
        Reading { expected, scale: self.errors.unit(), units: self.errors.distance(error).abs() }
    }

    fn learn(&mut self, value: Option<f64>, _: &[f64]) {
        if let Some(value) = value {
            let known = self.plain.level().is_finite();
            let error = if known { value - self.forecast() } else { 0.0 };
            let error = error.clamp(-VALUE_MAX, VALUE_MAX);
            self.errors.learn_within(error, Standard::HORIZON, FAR_HORIZON);
        }
        self.step(value);
        let Some(search) = &mut self.search else {
            return;
        };
        match search.learn(value, self.season) {
            Found::Same => {}
            Found::None => (self.season, self.phase, self.ready) = (0, 0, false),
            Found::Season(season) => {
                let mean = search.profile(&mut self.profile[..season]);
                self.with_season = self.plain.at_level(mean);
                (self.season, self.phase, self.ready) = (season, 0, true);
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.errors.encode(out);
        self.plain.encode(out);
        self.with_season.encode(out);
        put(&(self.season, self.phase, self.ready), out);
        let known = if self.ready { self.season } else { self.phase };
        self.profile[..known].iter().for_each(|at| put(at, out));
        self.search.iter().for_each(|search| search.encode(out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.errors = Standard::decode(bytes)?;
        self.plain = Smoother::decode(bytes)?;
        self.with_season = Smoother::decode(bytes)?;
        let (season, phase, ready) = take::<(usize, usize, bool)>(bytes)?;
        let given = self.season;
        ensure(season <= self.profile.len() && (given == 0 || season == given), "season")?;
        ensure(phase < season.max(1) && (season > 0 || !ready), "phase")?;
        ensure(given > 0 || ready == (season > 0), "season")?;
        let levels = self.plain.level().is_finite() == (self.errors.rows() > 0.0);
        ensure(levels && (!ready || self.with_season.level().is_finite()), "level")?;
        (self.season, self.phase, self.ready) = (season, phase, ready);
        let known = if ready { season } else { phase };
        for at in &mut self.profile[..known] {
            *at = take(bytes)?;
            ensure(at.abs() <= 2.0 * DEVIATION_MAX, "season")?;
        }
        self.search.iter_mut().try_for_each(|search| search.decode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracks::{Track as _, noise, readings};

    fn track(season: u32) -> Track {
        let algorithm = Algorithm::new(domain::Kind::Seasonal);
        Track::new(&algorithm.with("season", f64::from(season)).with("season_max", 100.0))
    }

    /// A day of 48 rows, most of it flat, with a peak of 20 in the morning, and a slow rise.
    fn day(row: usize) -> f64 {
        let peak = if (16..20).contains(&(row % 48)) { 20.0 } else { 0.0 };
        100.0 + 0.01 * row as f64 + peak + noise(row)
    }

    #[test]
    fn the_season_is_expected_given_or_found() {
        for season in [48, 0] {
            let missing = |row: usize| if row % 31 == 5 { f64::NAN } else { day(row) };
            let mut track = track(season);
            let read = readings(&mut track, (0..3000).map(missing));
            assert_eq!(track.season, 48);
            for (row, reading) in read.iter().enumerate().skip(2000) {
                assert!((reading.expected - day(row)).abs() < 2.0, "{row}: {reading:?}");
                assert!(day(row).is_nan() || reading.units < 6.0, "{row}: {reading:?}");
            }
            // The peak stays away, then comes at night.
            let mut odd = |row: usize, value| {
                let from = track.clone();
                let rows = (3000..row).map(day).chain([value]);
                let units = readings(&mut track, rows).last().expect("a row").units;
                track = from;
                units
            };
            assert!(odd(3000 + 24 + 17, day(0)) > 10.0, "a missing peak is odd");
            assert!(odd(3000 + 24 + 30, day(16)) > 8.0, "a peak at night is odd");
        }
    }

    #[test]
    fn a_season_that_is_none_does_no_harm() {
        let mean = |season| {
            let mut level = 0.0;
            let walk = (0..4000).map(|row| {
                level += noise(row);
                level
            });
            let read = readings(&mut track(season), walk);
            read[1000..].iter().map(|reading| reading.scale).sum::<f64>() / 3000.0
        };
        assert!(mean(37) < 1.05 * mean(0), "{} {}", mean(37), mean(0));
    }

    /// statsmodels' ETS model with the same rates and states: see tests/recorded/seasonal.py.
    #[test]
    fn forecasts_are_those_of_statsmodels() {
        let algorithm = Algorithm::new(domain::Kind::Seasonal).with("season", 4.0);
        let rates = [("level", 0.3), ("trend", 0.1), ("seasonal", 0.2), ("damping", 0.9)];
        let set = |algorithm: Algorithm, (name, value)| algorithm.with(name, value);
        let mut track = Track::new(&rates.into_iter().fold(algorithm, set));
        let mut compared = 0;
        for line in include_str!("../tests/recorded/seasonal.csv").lines().skip(1) {
            let (value, forecast) = line.split_once(',').expect("two columns");
            if let Ok(forecast) = forecast.parse::<f64>() {
                let own = track.forecasts().1;
                assert!((own - forecast).abs() < 1e-9, "{own} {forecast}");
                compared += 1;
            }
            track.learn(Some(value.parse().expect("a number")), &[]);
        }
        assert_eq!(compared, 120);
    }
}
