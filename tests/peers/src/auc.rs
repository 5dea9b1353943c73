//! Whether our random cut forest ranks rows as well as the AWS one: ROC-AUC of both on labelled tables, rows scored
//! before they are learned. The AWS forest knows no scale of values, so it gets the rows as they are and also divided
//! by each column's deviation over the whole file, which looks ahead; ours finds scales by itself.
#![allow(clippy::print_stdout, reason = "a benchmark tells")]

use std::path::Path;

use domain::{Algorithm, Kind};
use eval::ranking::roc_auc;

use crate::{
    alike::{Aws, Ours, Peer},
    works::Failed,
};

/// Rows before the first that counts.
const YOUNG: usize = 100;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
const TREES: usize = 50;
const SAMPLE: usize = 256;

#[derive(Default)]
struct Table {
    rows: Vec<Vec<f64>>,
    labels: Vec<bool>,
}

/// Prints a line for each table below `data/multivariate`, and one with the means.
pub(crate) fn run(data: &Path) -> Result<(), Failed> {
    let folder = data.join("multivariate");
    let listed = std::fs::read_dir(&folder);
    let listed = listed.map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failed>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "csv"));
    paths.sort();
    println!("ROC-AUC, random cut forest {TREES} x {SAMPLE}, mean of {} seeds", SEEDS.count());
    println!("{:20} {:>7} {:>7} {:>12}", "", "ours", "AWS", "AWS, scaled");
    let mut means = [0.0; 3];
    for path in &paths {
        let table = read(path)?;
        let mut found = [0.0; 3];
        for seed in SEEDS {
            for (sum, auc) in found.iter_mut().zip(judge(&table, seed)?) {
                *sum += auc / SEEDS.count() as f64;
            }
        }
        tell(&path.file_stem().unwrap_or_default().to_string_lossy(), found);
        for (mean, auc) in means.iter_mut().zip(found) {
            *mean += auc / paths.len() as f64;
        }
    }
    tell("mean", means);
    Ok(())
}

fn tell(name: &str, [ours, raw, scaled]: [f64; 3]) {
    println!("{name:20} {ours:7.3} {raw:7.3} {scaled:12.3}");
}

/// A table whose first column is a time and whose last a label.
fn read(path: &Path) -> Result<Table, Failed> {
    let mut table = Table::default();
    for record in csv::Reader::from_path(path)?.records() {
        let numbers = record?.iter().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let [_, values @ .., label] = &numbers[..] else {
            return Err(format!("{}: a row of less than two columns", path.display()).into());
        };
        table.rows.push(values.to_vec());
        table.labels.push(*label > 0.0);
    }
    Ok(table)
}

/// The ROC-AUC of ours, of the AWS forest, and of the latter on scaled rows.
fn judge(table: &Table, seed: u64) -> Result<[f64; 3], Failed> {
    let values = table.rows[0].len();
    let algorithm = Algorithm::new(Kind::RandomCutForest);
    let algorithm = algorithm.with("trees", TREES as f64).with("sample", SAMPLE as f64);
    let aws = || Aws::new(values, (TREES, SAMPLE, 1), 1.0, seed);
    let ours = auc(&mut Ours::new(&algorithm, values, seed), &table.rows, &table.labels)?;
    let raw = auc(&mut aws()?, &table.rows, &table.labels)?;
    Ok([ours, raw, auc(&mut aws()?, &scaled(&table.rows), &table.labels)?])
}

fn auc(peer: &mut impl Peer, rows: &[Vec<f64>], labels: &[bool]) -> Result<f64, Failed> {
    let scores = rows.iter().map(|row| peer.step(row)).collect::<Result<Vec<_>, _>>()?;
    let auc = roc_auc(&labels[YOUNG..], &scores[YOUNG..]);
    auc.ok_or_else(|| "a table needs labelled and other rows".into())
}

/// The rows with each column's deviation as its unit.
fn scaled(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let count = rows.len() as f64;
    let units: Vec<f64> = (0..rows[0].len())
        .map(|column| {
            let mean = rows.iter().map(|row| row[column]).sum::<f64>() / count;
            let square = |row: &Vec<f64>| (row[column] - mean) * (row[column] - mean);
            let deviation = (rows.iter().map(square).sum::<f64>() / count).sqrt();
            if deviation > 0.0 { deviation } else { 1.0 }
        })
        .collect();
    let scale = |row: &Vec<f64>| row.iter().zip(&units).map(|(value, unit)| value / unit).collect();
    rows.iter().map(scale).collect()
}
