//! One row of a series, and why a detector says of it what it says: the rows before are replayed, as the
//! detector service learned them, and the model is asked before it learns the row itself.

use detect::{
    Row, SeriesModel,
    explain::{self, Explanation},
};
use domain::{Detector, Muted};

use crate::{Series, prequential::Replay};

/// Of more values than can be enumerated Shapley values are of so many pairs of orders: some 400 times
/// as many scores as there are values.
const PAIRS: u32 = 200;
/// LIME's fit is to so many rows.
const SAMPLES: u32 = 2_000;
/// Of what is drawn at random in both.
const SEED: u64 = 1;

/// How the values' parts in a raw score are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By the shares that the model itself tells.
    Native,
    /// By Shapley values, exact or sampled.
    Shap,
    /// By a linear model of the scores about the row.
    Lime,
}

/// What is said of a row, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The calibrated score in [0, 1).
    pub score: f64,
    /// The raw score in the algorithm's own unit.
    pub raw: f64,
    /// In [0, 1]: how much the model has seen.
    pub confidence: f64,
    /// The threshold in force.
    pub threshold: f64,
    /// Whether the row is past it, and nothing mutes it.
    pub is_anomaly: bool,
    /// Why it is none although it is past the threshold.
    pub muted: Option<Muted>,
    /// Whether it came late and is not learned.
    pub is_late: bool,
    /// The raw score of a row that is all as expected; NaN by [`Method::Native`].
    pub base: f64,
    /// How far the nearest row is that the model remembers, in deviations a value; NaN if it keeps none.
    pub distance: f64,
    /// What is said of each value.
    pub values: Vec<Part>,
}

/// One value's part. What is unknown is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// The value.
    pub value: f64,
    /// What was expected of it.
    pub expected: f64,
    /// Lower end of the expected range.
    pub lower: f64,
    /// Upper end of the expected range.
    pub upper: f64,
    /// Its share of the oddness as the model tells it; they sum to 1.
    pub share: f64,
    /// What it adds to the raw score, in its unit; NaN by [`Method::Native`].
    pub added: f64,
    /// What it was in the nearest row that the model remembers.
    pub nearest: f64,
}

/// Replays a series up to a row, counted from 0, and asks why it scores as it does; `None` if there is no
/// such row.
pub fn account(
    detector: &Detector,
    series: &Series,
    row: usize,
    method: Method,
) -> Option<Account> {
    let asked = series.rows().nth(row)?;
    let mut replay = Replay::new(detector, series);
    for row in series.rows().take(row) {
        replay.assess(row, true);
    }
    let is_late = replay.is_late(asked);
    let verdict = replay.assess(asked, false);
    let unknown = || vec![f64::NAN; asked.values.len()];
    let parts = |index: usize| Part {
        value: asked.values[index],
        expected: verdict.expected[index],
        lower: verdict.lower[index],
        upper: verdict.upper[index],
        share: verdict.contributions[index],
        added: f64::NAN,
        nearest: f64::NAN,
    };
    let mut account = Account {
        score: verdict.score,
        raw: verdict.raw,
        confidence: verdict.confidence,
        threshold: verdict.threshold,
        is_anomaly: verdict.is_anomaly,
        muted: verdict.muted,
        is_late,
        base: f64::NAN,
        distance: f64::NAN,
        values: (0..asked.values.len()).map(parts).collect(),
    };
    let nearest = replay.nearest(asked);
    if !nearest.values.is_empty() {
        account.distance = nearest.distance;
    }
    let told = if nearest.values.is_empty() { unknown() } else { nearest.values };
    account.values.iter_mut().zip(told).for_each(|(part, nearest)| part.nearest = nearest);
    if let Some(Explanation { base, added }) = explained(&replay.model, asked, method) {
        account.base = base;
        account.values.iter_mut().zip(added).for_each(|(part, added)| part.added = added);
    }
    Some(account)
}

fn explained(model: &SeriesModel, row: Row<'_>, method: Method) -> Option<Explanation> {
    match method {
        Method::Native => None,
        Method::Shap => Some(explain::shapley(model.model(), row, PAIRS, SEED)),
        Method::Lime => Some(explain::lime(model.model(), row, SAMPLES, SEED)),
    }
}

#[cfg(test)]
mod tests {
    use domain::{Algorithm, Kind};

    use super::*;
    use crate::{dice::Dice, prequential};

    /// Three values of noise; the second of row 400 is far out.
    fn series() -> Series {
        let mut dice = Dice::new("account", 1);
        let mut values: Vec<f64> = (0..3 * 500).map(|_| dice.normal()).collect();
        values[3 * 400 + 1] = 40.0;
        let at = (0..500).map(|row| row * 60_000_000).collect();
        Series { key: "k".into(), width: 3, at, values }
    }

    fn detector(kind: Kind) -> Detector {
        Detector { algorithm: Algorithm::new(kind), ..Detector::implicit("default") }
    }

    #[test]
    fn it_says_what_a_run_says() {
        let series = series();
        for kind in [Kind::Auto, Kind::HalfSpaceTrees, Kind::Ewma] {
            let detector = detector(kind);
            let said = prequential::run(&detector, &series);
            for row in [0, 50, 400, 401] {
                let found = account(&detector, &series, row, Method::Native).expect("a row");
                assert_eq!(found.score.to_bits(), said[row].score.to_bits(), "{kind:?} {row}");
                assert_eq!(found.is_anomaly, said[row].is_anomaly, "{kind:?} {row}");
            }
            assert!(account(&detector, &series, 500, Method::Native).is_none());
        }
    }

    #[test]
    fn each_method_names_the_value_that_is_far_out() {
        let series = series();
        for kind in [Kind::Auto, Kind::HalfSpaceTrees, Kind::Knn] {
            for method in [Method::Native, Method::Shap, Method::Lime] {
                let found = account(&detector(kind), &series, 400, method).expect("a row");
                assert!(found.is_anomaly && !found.is_late && found.values[1].value == 40.0);
                assert!(found.values[1].upper < 40.0, "{found:?}");
                let part =
                    |part: &Part| if method == Method::Native { part.share } else { part.added };
                let parts: Vec<f64> = found.values.iter().map(part).collect();
                assert!(parts[1] > 5.0 * parts[0].abs().max(parts[2].abs()), "{kind:?} {parts:?}");
                assert_eq!(found.base.is_nan(), method == Method::Native);
                if method == Method::Shap {
                    let sum: f64 = parts.iter().sum();
                    assert!((found.base + sum - found.raw).abs() < 1e-9, "{found:?}");
                }
                assert_eq!(found.distance.is_nan(), kind == Kind::HalfSpaceTrees, "{kind:?}");
                assert!(
                    found.distance.is_nan() || found.values[1].nearest.abs() < 5.0,
                    "{found:?}"
                );
            }
        }
    }

    #[test]
    fn a_late_row_is_called_late() {
        let mut series = series();
        series.at[450] = 0;
        let of = |row| account(&detector(Kind::Ewma), &series, row, Method::Native);
        assert!(of(450).is_some_and(|found| found.is_late));
        assert!(of(451).is_some_and(|found| !found.is_late));
    }
}
