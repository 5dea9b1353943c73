//! Other libraries' scores of the same rows: they find about the same rows odd as ours, and ours are hardly
//! worse at the labelled ones. What is random or approximate in both can't be equal; see recorded/peers.py.

use domain::{Algorithm, Kind};
use oddwatch_detect::{Assessment, Model, Networks, Row};

use super::{folder, read, roc_auc};

/// The recorded rows.
const ROWS: std::ops::Range<usize> = 1_000..2_400;

/// The ranks that each peer gave to the rows, by name.
fn recorded() -> Vec<(&'static str, Vec<f64>)> {
    let mut lines = include_str!("../recorded/peers.csv").lines();
    let names = lines.next().expect("a head").split(',');
    let mut peers: Vec<_> = names.map(|name| (name, vec![])).collect();
    for line in lines {
        for ((_, ranks), text) in peers.iter_mut().zip(line.split(',')) {
            ranks.push(text.parse().expect("a rank"));
        }
    }
    assert!(peers.iter().all(|(_, ranks)| ranks.len() == ROWS.len()));
    peers
}

/// The raw scores of the recorded rows.
fn scores(algorithm: &Algorithm, rows: &[Vec<f64>]) -> Vec<f64> {
    let mut model = Model::new(algorithm, rows[0].len(), 1, &Networks::default());
    let (mut out, levels) = (Assessment::default(), model.levels().count(rows[0].len()));
    let mut scores = vec![];
    for row in &rows[..ROWS.end] {
        let row = Row { values: row, at: 0 };
        out.prepare(row.values.len(), levels);
        model.score(row, &mut out);
        scores.push(out.raw);
        model.learn(row, &out);
    }
    scores.split_off(ROWS.start)
}

/// Spearman's correlation of ranks. Equal numbers have equal ranks, those of their middle.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |numbers: &[f64]| {
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|&i, &j| numbers[i].total_cmp(&numbers[j]));
        let (mut ranks, mut from) = (vec![0.0; numbers.len()], 0);
        for same in order.chunk_by(|&i, &j| numbers[i] == numbers[j]) {
            let middle = from as f64 + (same.len() as f64 - 1.0) / 2.0;
            same.iter().for_each(|&at| ranks[at] = middle - (numbers.len() as f64 - 1.0) / 2.0);
            from += same.len();
        }
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

#[test]
fn ranks_correlate_as_they_should() {
    assert_eq!(rank_correlation(&[1.0, 2.0, 9.0], &[0.1, 0.2, 0.3]), 1.0);
    assert_eq!(rank_correlation(&[1.0, 2.0, 9.0], &[0.3, 0.2, 0.1]), -1.0);
    assert!((rank_correlation(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]) - 0.9487).abs() < 1e-4);
}

#[test]
fn peers_find_about_the_same_rows_odd() {
    let Some(folder) = folder() else {
        return;
    };
    let (rows, odd) = read(folder.join("annthyroid.csv"));
    let of = Algorithm::new;
    // The least correlation, a little below what was reached, with the peer of this name.
    let cases = [
        (of(Kind::RandomCutForest), "random_cut_forest", 0.93),
        (of(Kind::IsolationForest), "isolation_forest", 0.88),
        (of(Kind::IsolationForest).with("extended", 1.0), "extended_isolation_forest", 0.88),
        (of(Kind::HalfSpaceTrees), "half_space_trees", 0.88),
        (of(Kind::Loda), "loda", 0.70),
        (of(Kind::Mahalanobis), "mahalanobis", 0.92),
        (of(Kind::Pca), "pca", 0.88),
        (of(Kind::Knn), "knn", 0.98),
        (of(Kind::Lof), "lof", 0.90),
        (of(Kind::OneClassSvm).with("features", 0.0), "one_class_svm", 0.86),
    ];
    let (peers, mut report, mut bad) = (recorded(), String::new(), false);
    for (algorithm, name, least) in &cases {
        let (_, ranks) = peers.iter().find(|peer| peer.0 == *name).expect("a recorded peer");
        let ours = scores(algorithm, &rows);
        let found = rank_correlation(&ours, ranks);
        let (area, theirs) = (roc_auc(&ours, &odd[ROWS]), roc_auc(ranks, &odd[ROWS]));
        report += &format!(
            "{algorithm}: correlation {found:.3} of {least}, ROC-AUC {area:.3}, theirs {theirs:.3}\n"
        );
        bad |= found < *least || area < theirs - 0.05;
    }
    println!("{report}");
    assert!(!bad, "{report}");
}
