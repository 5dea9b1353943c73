//! A corpus with something changed that leaves its anomalies what they are.

use crate::{
    Series,
    dice::Dice,
    nab::{Corpus, Windowed},
};

/// The noise added, as a share of the series' standard deviation.
const NOISE: f64 = 0.05;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distortion {
    /// Only every so many-th row is kept.
    Thinned(usize),
    /// White noise of 5 % of the series' deviation is added.
    Noisy,
    /// All values change sign.
    Negated,
    /// The logarithm of one plus the distance from the series' least value.
    Logarithm,
}

impl Distortion {
    /// All that are measured.
    pub fn all() -> [Self; 5] {
        [Self::Thinned(2), Self::Thinned(3), Self::Noisy, Self::Negated, Self::Logarithm]
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thinned(2) => "every 2nd row",
            Self::Thinned(3) => "every 3rd row",
            Self::Thinned(_) => "fewer rows",
            Self::Noisy => "5 % noise added",
            Self::Negated => "negated",
            Self::Logarithm => "log1p of the shifted values",
        }
    }
}

/// The corpus with all series changed. Windows stay where they are in time.
pub fn distorted(corpus: &Corpus, distortion: Distortion) -> Corpus {
    let change = |(number, one): (usize, &Windowed)| Windowed {
        series: change(&one.series, distortion, number as u64),
        ..one.clone()
    };
    Corpus(corpus.0.iter().enumerate().map(change).collect())
}

fn change(series: &Series, distortion: Distortion, number: u64) -> Series {
    let mut changed = series.clone();
    let values = &mut changed.values;
    match distortion {
        Distortion::Thinned(every) => {
            let every = every.max(1);
            changed.at = series.at.iter().copied().step_by(every).collect();
            changed.values =
                series.rows().step_by(every).flat_map(|row| row.values.to_vec()).collect();
        }
        Distortion::Noisy => {
            let mut dice = Dice::new("distortion", number);
            let deviation = deviation(values);
            values.iter_mut().for_each(|value| *value += NOISE * deviation * dice.normal());
        }
        Distortion::Negated => values.iter_mut().for_each(|value| *value = -*value),
        Distortion::Logarithm => {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            values.iter_mut().for_each(|value| *value = libm::log1p(*value - least));
        }
    }
    changed
}

/// The standard deviation of the values that are there; 0 if there are none.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    let there = || values.iter().copied().filter(|value| value.is_finite());
    let count = there().count().max(1) as f64;
    let mean = there().sum::<f64>() / count;
    (there().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_changed_as_named() {
        let at: Vec<i64> = (0..7).collect();
        let series = Series::single("k", at, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, f64::NAN]);
        let windows = vec![(3, 5)];
        let corpus = Corpus(vec![Windowed { name: "a/b".into(), series, windows }]);
        let of = |distortion| distorted(&corpus, distortion).0.remove(0);
        let thinned = of(Distortion::Thinned(3));
        assert_eq!(
            (&*thinned.series.at, &thinned.series.values[..2]),
            (&[0, 3, 6][..], &[1.0, 4.0][..])
        );
        assert_eq!(thinned.spans(), [(1, 1)]);
        assert_eq!(of(Distortion::Negated).series.values[..2], [-1.0, -2.0]);
        let log = of(Distortion::Logarithm).series.values;
        assert!(log[0] == 0.0 && (log[3] - libm::log(4.0)).abs() < 1e-12 && log[6].is_nan());
        assert!((deviation(&corpus.0[0].series.values) - (17.5_f64 / 6.0).sqrt()).abs() < 1e-12);
        assert_eq!(deviation(&[f64::NAN]), 0.0);
    }

    #[test]
    fn noise_has_a_twentieth_of_the_deviation() {
        let mut dice = Dice::new("test", 1);
        let values: Vec<f64> = (0..5000).map(|_| 40.0 * dice.normal()).collect();
        let series = Series::single("k", (0..5000).collect(), values);
        let noisy = change(&series, Distortion::Noisy, 3);
        let added: Vec<f64> =
            noisy.values.iter().zip(&series.values).map(|(new, old)| new - old).collect();
        assert!((deviation(&added) / 2.0 - 1.0).abs() < 0.1, "{}", deviation(&added));
        assert_ne!(noisy, change(&series, Distortion::Noisy, 4));
    }
}
