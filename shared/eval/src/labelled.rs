//! Detectors on a table with labels: how well scores rank what is labelled, and what is flagged at the
//! detector's own threshold. Rows are scored before they are learned, in the file's order.

mod table;

use domain::Detector;

pub use table::{Columns, ParseTime, Table, read};

use crate::{
    Progress, Said, Series, parallel, prequential,
    ranking::{Counts, average_precision, roc_auc},
};

/// A series and which of its rows are labelled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    /// Its rows.
    pub series: Series,
    /// One for each row.
    pub labels: Vec<bool>,
}

/// Labelled rows that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The series key.
    pub key: String,
    /// The number of its first row in the series, from 1.
    pub row: usize,
    /// How many rows it has.
    pub rows: usize,
    /// Rows from its first one to the first that is flagged; `None` if none is.
    pub delay: Option<usize>,
}

/// How a detector does on a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Rows scored.
    pub rows: usize,
    /// Rows labelled.
    pub labelled: usize,
    /// ROC-AUC of the scores; `None` unless there are labelled and other rows.
    pub roc_auc: Option<f64>,
    /// Their average precision; `None` if nothing is labelled.
    pub average_precision: Option<f64>,
    /// Rows that the detector flags as anomalies, by label.
    pub counts: Counts,
    /// The labelled stretches, by series and row.
    pub stretches: Vec<Stretch>,
    /// Anomalies that opened at a row without a label.
    pub false_anomalies: usize,
}

impl Quality {
    /// How many stretches were found.
    pub fn found(&self) -> usize {
        self.stretches.iter().filter(|stretch| stretch.delay.is_some()).count()
    }

    /// The mean delay of those that were found, in rows.
    pub fn delay_mean(&self) -> Option<f64> {
        let delays = self.stretches.iter().filter_map(|stretch| stretch.delay);
        let sum: usize = delays.sum();
        (self.found() > 0).then(|| sum as f64 / self.found() as f64)
    }
}

/// Runs each series of a table through a detector and judges what it says. `feedback` says after how many rows it is
/// told each row's label; it is told none without.
pub fn measure(
    detector: &Detector,
    table: &Table,
    feedback: Option<usize>,
    progress: Progress<'_>,
) -> Quality {
    let run = |one: &Labelled| {
        let labels = feedback.map_or(&[][..], |_| &one.labels);
        prequential::run_told(detector, &one.series, labels, feedback.unwrap_or(0))
    };
    judge(&table.series, &parallel::map(&table.series, run, progress))
}

/// Judges what was said of some series.
pub fn judge(series: &[Labelled], said: &[Vec<Said>]) -> Quality {
    let labels: Vec<bool> = series.iter().flat_map(|one| one.labels.iter().copied()).collect();
    let all = || said.iter().flatten();
    let scores: Vec<f64> = all().map(|said| said.score).collect();
    let false_anomaly = |(label, said): (&bool, &Said)| said.opened && !label;
    Quality {
        rows: labels.len(),
        labelled: labels.iter().filter(|label| **label).count(),
        roc_auc: roc_auc(&labels, &scores),
        average_precision: average_precision(&labels, &scores),
        counts: Counts::of(&labels, all().map(|said| said.is_anomaly)),
        stretches: series.iter().zip(said).flat_map(|(one, said)| stretches(one, said)).collect(),
        false_anomalies: labels.iter().zip(all()).filter(|pair| false_anomaly(*pair)).count(),
    }
}

fn stretches(one: &Labelled, said: &[Said]) -> Vec<Stretch> {
    let mut found = vec![];
    let mut row = 0;
    for equals in one.labels.chunk_by(|a, b| a == b) {
        if equals[0] {
            found.push(Stretch {
                key: one.series.key.clone(),
                row: row + 1,
                rows: equals.len(),
                delay: said[row..row + equals.len()].iter().position(|said| said.is_anomaly),
            });
        }
        row += equals.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(key: &str, labels: &str) -> Labelled {
        let labels: Vec<bool> = labels.chars().map(|label| label == '1').collect();
        let at: Vec<i64> = (0..labels.len() as i64).collect();
        let values = vec![0.0; at.len()];
        Labelled { series: Series::single(key, at, values), labels }
    }

    /// `.` calm, `o` an anomaly opens, `x` it goes on.
    fn said(text: &str) -> Vec<Said> {
        let of = |(row, c): (usize, char)| Said {
            score: if c == '.' { 0.0 } else { 0.9 } + row as f64 / 1e3,
            alert: 0.5,
            is_anomaly: c != '.',
            opened: c == 'o',
        };
        text.chars().enumerate().map(of).collect()
    }

    #[test]
    fn what_is_said_is_judged_as_by_hand() {
        let series = [labelled("a", "0011100110"), labelled("b", "10")];
        let quality = judge(&series, &[said(".o.ox...o."), said("..")]);
        assert_eq!((quality.rows, quality.labelled), (12, 6));
        assert_eq!(quality.counts, Counts { hits: 3, false_alarms: 1, misses: 3 });
        assert_eq!(quality.false_anomalies, 1);
        let stretch = |key: &str, row, rows, delay| Stretch { key: key.into(), row, rows, delay };
        let expect =
            [stretch("a", 3, 3, Some(1)), stretch("a", 8, 2, Some(1)), stretch("b", 1, 1, None)];
        assert_eq!((&quality.stretches[..], quality.found()), (&expect[..], 2));
        assert_eq!(quality.delay_mean(), Some(1.0));
    }

    #[test]
    fn planted_detectors_have_the_quality_they_should() {
        let series = [labelled("a", "0001100")];
        let perfect = judge(&series, &[said("...ox..")]);
        assert_eq!((perfect.roc_auc, perfect.average_precision), (Some(1.0), Some(1.0)));
        assert_eq!((perfect.counts.f1(), perfect.delay_mean()), (Some(1.0), Some(0.0)));
        let reversed = judge(&series, &[said("oxx..ox")]);
        assert_eq!((reversed.roc_auc, reversed.counts.f1()), (Some(0.0), Some(0.0)));
        assert_eq!((reversed.false_anomalies, reversed.delay_mean()), (2, None));
    }
}
