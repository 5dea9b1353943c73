//! The search for an algorithm and its parameters for some series. Candidates come from the table of
//! algorithms ([`candidates`]); they are judged by labels, or else by how well they find anomalies
//! planted into a later part of the series themselves; and since most are clearly not the best after
//! few rows, half of them are dropped after each run over twice as many rows (successive halving:
//! Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
//! optimization").
//!
//! A ranking says how well its first did on the very rows it was chosen by: expect somewhat less.

mod candidates;
mod planted;

use domain::{Algorithm, Detector};

pub use candidates::candidates;
pub use planted::{PLANTS, Plant, ROWS_MIN};

use crate::{
    Progress, Series,
    labelled::{Labelled, Table},
    parallel, prequential,
    ranking::average_precision,
};

/// No run is over fewer rows, all series together, unless there are fewer.
const RUN_ROWS_MIN: usize = 20_000;
/// So many candidates are left at least for the run over all rows.
const LAST_MIN: usize = 4;

/// A candidate and how it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The candidate.
    pub algorithm: Algorithm,
    /// Its average precision in the last run it was part of; NaN if nothing could be judged.
    pub quality: f64,
    /// The rows of that run, all series together; 0 if nothing could be judged.
    pub rows: usize,
    /// Bytes that a model of a series takes.
    pub bytes: usize,
}

/// All candidates, best first: those that came further stand before the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Best first.
    pub entries: Vec<Entry>,
    /// Whether labels have judged; else planted anomalies have.
    pub by_labels: bool,
}

/// Part of a series, and which of its rows are to be found. Rows before `from` are not judged.
#[derive(Clone, Debug, PartialEq)]
struct Trial {
    series: Series,
    labels: Vec<bool>,
    from: usize,
}

/// A run: the share of each series' rows, and how many candidates are part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rung {
    share: f64,
    candidates: usize,
}

/// Ranks candidates on a table; what is not the algorithm is taken from `detector`.
pub fn tune(
    table: &Table,
    detector: &Detector,
    candidates: &[Algorithm],
    progress: Progress<'_>,
) -> Ranking {
    let by_labels = table.is_labelled();
    let rungs = rungs(table.rows(), candidates.len());
    let of: usize = rungs.iter().map(|rung| rung.candidates).sum();
    let with =
        |algorithm: &Algorithm| Detector { algorithm: algorithm.clone(), ..detector.clone() };
    let bytes = |algorithm: &Algorithm| {
        detect::SeriesModel::bytes_for(&with(algorithm), table.features.len())
    };
    let entry = |algorithm: &Algorithm| Entry {
        algorithm: algorithm.clone(),
        quality: f64::NAN,
        rows: 0,
        bytes: bytes(algorithm),
    };
    let mut entries: Vec<Entry> = candidates.iter().map(entry).collect();
    let mut done = 0;
    for rung in rungs {
        let trials = trials(table, by_labels, rung.share);
        let judged = trials.iter().any(|trial| trial.labels[trial.from..].contains(&true));
        if judged {
            let running = &mut entries[..rung.candidates];
            let told = |here, _| progress(done + here, of);
            let quality = |entry: &Entry| quality(&with(&entry.algorithm), &trials);
            let found = parallel::map(running, quality, &told);
            let rows = table.series.iter().map(|one| rows_of(one, rung.share)).sum();
            for (entry, quality) in running.iter_mut().zip(found) {
                (entry.quality, entry.rows) = (quality, rows);
            }
            // Equals stay in the order of the table, the defaults before what differs from them.
            running.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        }
        done += rung.candidates;
    }
    Ranking { entries, by_labels }
}

/// How many candidates run over which share of the rows: half as many over twice the rows.
fn rungs(rows: usize, candidates: usize) -> Vec<Rung> {
    let mut shares = vec![1.0];
    let left = |halvings: usize| candidates.div_ceil(1_usize << halvings);
    while rows as f64 * shares[0] / 2.0 >= RUN_ROWS_MIN as f64 && left(shares.len()) >= LAST_MIN {
        shares.insert(0, shares[0] / 2.0);
    }
    let rung = |(turn, share)| Rung { share, candidates: left(turn) };
    shares.into_iter().enumerate().map(rung).collect()
}

/// How many rows a share of a series is.
fn rows_of(one: &Labelled, share: f64) -> usize {
    libm::ceil(one.labels.len() as f64 * share) as usize
}

/// The first share of each series with what is to be found in it.
fn trials(table: &Table, by_labels: bool, share: f64) -> Vec<Trial> {
    let mut trials = vec![];
    for one in &table.series {
        let series = one.series.first(rows_of(one, share));
        if by_labels {
            let labels = one.labels[..series.len()].to_vec();
            trials.push(Trial { series, labels, from: 0 });
        } else {
            trials.extend(planted::trials(&series).into_iter().map(|planted| {
                let planted::Planted { of: Labelled { series, labels }, from } = planted;
                Trial { series, labels, from }
            }));
        }
    }
    trials
}

/// The average precision of a detector's scores over all judged rows.
fn quality(detector: &Detector, trials: &[Trial]) -> f64 {
    let (mut labels, mut scores) = (vec![], vec![]);
    for Trial { series, labels: own, from } in trials {
        let said = prequential::run(detector, series);
        labels.extend_from_slice(&own[*from..]);
        scores.extend(said[*from..].iter().map(|said| said.score));
    }
    average_precision(&labels, &scores).unwrap_or(f64::NAN)
}

/// A detector with this algorithm, for a definitions file.
pub fn definition(name: &str, stream: &str, algorithm: &Algorithm) -> String {
    let mut fields = format!("kind = \"{}\"", algorithm.kind.name());
    for (name, value) in algorithm.set() {
        fields.push_str(&format!(", {name} = {value}"));
    }
    format!("[[detectors]]\nname = \"{name}\"\nstream = \"{stream}\"\nalgorithm = {{ {fields} }}\n")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::Kind;

    use super::*;
    use crate::{dice::Dice, noise::STEP};

    fn table(
        rows: usize,
        labels: impl Fn(usize) -> bool,
        value: impl Fn(usize, &mut Dice) -> f64,
    ) -> Table {
        let mut dice = Dice::new("tune", 1);
        let at = (0..rows as i64).map(|row| row * STEP).collect();
        let values = (0..rows).map(|row| value(row, &mut dice)).collect();
        let series = Series::single("s", at, values);
        let labels = (0..rows).map(labels).collect();
        let features = vec!["v".into()];
        Table { name: "s.csv".into(), features, series: vec![Labelled { series, labels }] }
    }

    #[test]
    fn half_the_candidates_run_over_twice_the_rows() {
        let of = |rows, candidates| {
            let rungs = rungs(rows, candidates).into_iter();
            rungs.map(|rung| (rung.share, rung.candidates)).collect::<Vec<_>>()
        };
        assert_eq!(of(1000, 30), [(1.0, 30)]);
        assert_eq!(of(40_000, 30), [(0.5, 30), (1.0, 15)]);
        assert_eq!(of(1_000_000, 30), [(0.125, 30), (0.25, 15), (0.5, 8), (1.0, 4)]);
        assert_eq!(of(1_000_000, 3), [(1.0, 3)]);
    }

    #[test]
    fn what_the_labels_want_comes_first() {
        // Spikes upon a walk that 16 rows can follow and thousands can't.
        let spike = |row: usize| row > 500 && row.is_multiple_of(97);
        let walk = std::cell::Cell::new(0.0);
        let table = table(41_001, spike, |row, dice| {
            walk.set(walk.get() + 2.0 * dice.normal());
            walk.get() + if spike(row) { 40.0 } else { 0.0 }
        });
        let z = |window| Algorithm::new(Kind::RobustZ).with("window", window);
        let windows = [9e3, 4e3, 3e3, 16.0, 2e3, 5e3, 6e3, 7e3];
        let told = AtomicUsize::new(0);
        let progress = |done, of| {
            assert_eq!(of, 8 + 4);
            told.fetch_max(done, Ordering::Relaxed);
        };
        let detector = Detector::implicit("default");
        let ranking = tune(&table, &detector, &windows.map(z), &progress);
        assert_eq!((ranking.by_labels, ranking.entries.len()), (true, 8));
        assert_eq!(ranking.entries[0].algorithm, z(16.0), "{ranking:?}");
        assert!(ranking.entries[0].quality > 2.0 * ranking.entries[1].quality, "{ranking:?}");
        let rows: Vec<usize> = ranking.entries.iter().map(|entry| entry.rows).collect();
        assert_eq!(rows, [41_001, 41_001, 41_001, 41_001, 20_501, 20_501, 20_501, 20_501]);
        assert_eq!(told.into_inner(), 12);
        assert!(ranking.entries[0].bytes < ranking.entries[1].bytes);
    }

    #[test]
    fn without_labels_planted_anomalies_judge() {
        let table = table(3000, |_| false, |row, dice| (row % 7) as f64 + 0.1 * dice.normal());
        let all = candidates(1);
        let ranking = tune(&table, &Detector::implicit("default"), &all, &parallel::quietly);
        assert!(!ranking.by_labels && ranking.entries.len() == all.len());
        let best = &ranking.entries[0];
        let chance = 0.1;
        assert!(best.quality > chance && best.quality <= 1.0, "{best:?}");
        assert!(ranking.entries.iter().all(|entry| entry.quality <= best.quality));
        let again = tune(&table, &Detector::implicit("default"), &all, &parallel::quietly);
        assert_eq!(again, ranking);
    }

    #[test]
    fn a_series_too_short_to_judge_is_told_by_no_rows() {
        let table = table(ROWS_MIN - 1, |_| false, |_, dice| dice.normal());
        let ranking =
            tune(&table, &Detector::implicit("default"), &candidates(1), &parallel::quietly);
        assert!(ranking.entries.iter().all(|entry| entry.rows == 0 && entry.quality.is_nan()));
    }

    #[test]
    fn a_definition_names_kind_and_parameters() {
        let algorithm = Algorithm::new(Kind::HalfSpaceTrees).with("trees", 50.0).with("depth", 5.0);
        assert_eq!(
            definition("best", "default", &algorithm),
            "[[detectors]]\nname = \"best\"\nstream = \"default\"\n\
             algorithm = { kind = \"half_space_trees\", depth = 5, trees = 50 }\n"
        );
    }
}
