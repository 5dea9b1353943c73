//! A series through a detector, row by row, score first, learn second: what the detector service does
//! with the records of an implicit stream, and with the same seed, so it says the same.

use detect::{Assessment, Nearest, Row, SeriesModel, Verdict};
use domain::{Detector, Micros, Phase, SeriesRef, definition::DEFAULT_STREAM};

/// Rows of one series, in the order in which they come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The series key.
    pub key: String,
    /// Values in a row.
    pub width: usize,
    /// Event time of each row.
    pub at: Vec<Micros>,
    /// All rows' values, one row after the other; a missing one is NaN.
    pub values: Vec<f64>,
}

impl Series {
    /// Of one value a row.
    pub fn single(key: &str, at: Vec<Micros>, values: Vec<f64>) -> Self {
        Self { key: key.to_owned(), width: 1, at, values }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// The rows as detectors take them.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let values = self.values.chunks_exact(self.width.max(1));
        self.at.iter().zip(values).map(|(at, values)| Row { values, at: *at })
    }

    /// The first rows.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        let rows = rows.min(self.len());
        Self {
            key: self.key.clone(),
            width: self.width,
            at: self.at[..rows].to_vec(),
            values: self.values[..rows * self.width].to_vec(),
        }
    }

    /// What a stream would call it.
    fn named(&self) -> SeriesRef {
        SeriesRef {
            stream: DEFAULT_STREAM.into(),
            key: self.key.as_str().into(),
            window: None,
            features: (0..self.width).map(|index| format!("v{index}").into()).collect(),
        }
    }
}

/// What a detector said of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// How odd it is, in [0, 1): what ranks rows.
    pub score: f64,
    /// How much it asks for an alert, in [0, 1]: what counts where each anomaly is to be told once.
    /// See [`alert_of`].
    pub alert: f64,
    /// Whether the row is an anomaly.
    pub is_anomaly: bool,
    /// Whether an anomaly opened at it.
    pub opened: bool,
}

/// How much a verdict asks for an alert.
pub fn alert_of(verdict: &Verdict<'_>) -> f64 {
    verdict.alert
}

/// Runs a series through a detector that has seen nothing. A row whose time lies before that of
/// another one is late: scored and not learned. A row without any value, which ingest would refuse,
/// scores 0. No silence ends an anomaly, as in `oddwatch score`.
pub fn run(detector: &Detector, series: &Series) -> Vec<Said> {
    run_told(detector, series, &[], 0)
}

/// The same where the detector is told, so many rows after each row, whether it was odd: as the label says, and
/// nothing where there is none. A detector forgets rows (see [`SeriesModel::feedback`]), and most learn nothing
/// from feedback.
pub fn run_told(detector: &Detector, series: &Series, labels: &[bool], after: usize) -> Vec<Said> {
    let mut replay = Replay::new(detector, series);
    let mut each = |(number, row): (usize, Row<'_>)| {
        let verdict = replay.assess(row, true);
        let said = Said {
            score: verdict.score,
            alert: alert_of(&verdict),
            is_anomaly: verdict.is_anomaly,
            opened: verdict.transition.is_some_and(|step| step.phase == Phase::Opened),
        };
        let Replay { model, out, .. } = &mut replay;
        model.remember(number as u64, out);
        if let Some(told) = number.checked_sub(after)
            && let Some(odd) = labels.get(told)
        {
            model.feedback(told as u64, *odd);
        }
        said
    };
    series.rows().enumerate().map(&mut each).collect()
}

/// A series on its way through a detector.
pub(crate) struct Replay {
    pub(crate) model: SeriesModel,
    out: Assessment,
    newest: Micros,
}

impl Replay {
    /// Before the first row.
    pub(crate) fn new(detector: &Detector, series: &Series) -> Self {
        let seed = detect::seed(detector, &series.named());
        let model = SeriesModel::new(detector, series.width, seed);
        Self { model, out: Assessment::default(), newest: Micros::MIN }
    }

    /// Whether a row that came now would be late.
    pub(crate) fn is_late(&self, row: Row<'_>) -> bool {
        row.at < self.newest
    }

    /// Scores a row and, if it may and is not late, learns it.
    pub(crate) fn assess(&mut self, row: Row<'_>, learn: bool) -> Verdict<'_> {
        let learn = learn && !self.is_late(row);
        self.newest = self.newest.max(row.at);
        self.model.assess(row, learn, self.newest, &mut self.out)
    }

    /// The nearest row to the one just scored that the model remembers.
    pub(crate) fn nearest(&mut self, row: Row<'_>) -> Nearest {
        self.model.model().nearest(row, &mut self.out);
        std::mem::take(&mut self.out.nearest)
    }
}

#[cfg(test)]
mod tests {
    use domain::{Algorithm, Combine, Kind};

    use super::*;
    use crate::dice::Dice;

    #[test]
    fn a_planted_spike_opens_one_anomaly_and_a_late_row_none() {
        let mut dice = Dice::new("prequential", 1);
        let mut values: Vec<f64> = (0..600).map(|_| dice.normal()).collect();
        (values[500], values[550]) = (50.0, 50.0);
        let mut at: Vec<Micros> = (0..600).map(|row| row * 60_000_000).collect();
        at[550] = 0;
        let series = Series::single("k", at, values);
        let said = run(&Detector::implicit("default"), &series);
        assert_eq!((said.len(), series.len()), (600, 600));
        assert!(said[500].opened && said[500].is_anomaly && said[500].alert > 0.5);
        assert!(said[550].is_anomaly && !said[550].opened, "late: scored, opens nothing");
        assert_eq!(run(&Detector::implicit("default"), &series), said);
        let start = series.first(505);
        assert_eq!(run(&Detector::implicit("default"), &start), said[..505]);
    }
    #[test]
    fn labels_are_told_so_many_rows_later() {
        let mut dice = Dice::new("prequential", 2);
        let values: Vec<f64> = (0..600).map(|_| dice.normal()).collect();
        let series = Series::single("k", (0..600).collect(), values);
        let mut detector = Detector::implicit("default");
        detector.algorithm = Algorithm::ensemble(
            Combine::Stack,
            [Algorithm::new(Kind::RobustZ), Algorithm::new(Kind::Ewma)],
        );
        let untold = run(&detector, &series);
        let first = |labels: &[bool], after| {
            let told = run_told(&detector, &series, labels, after);
            untold.iter().zip(&told).position(|(a, b)| a.score.to_bits() != b.score.to_bits())
        };
        assert_eq!(first(&[], 0), None);
        assert_eq!(first(&[false; 600], 600), None, "nothing is told in time");
        let changed = first(&[false; 600], 100).expect("a score that feedback has changed");
        assert!((101..300).contains(&changed), "{changed}");
        detector.algorithm.combine = Combine::Mean;
        assert_eq!(run(&detector, &series), untold, "without feedback it is the mean");
    }
}
