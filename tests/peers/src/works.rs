//! What is measured: the works, by names that `peers.py` uses too, and the rows, seeded, which all peers read
//! from the same files.
#![allow(clippy::print_stdout, reason = "a benchmark tells")]

use std::{error::Error, fs, path::Path};

use domain::{Algorithm, Kind};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Rows in a file; they are gone through again and again.
const ROWS: usize = 20_000;
/// Of a file's rows with several values, one in so many has one that is far out.
const ODD_ONE_IN: u64 = 100;

/// What went wrong, for a person.
pub(crate) type Failed = Box<dyn Error>;

/// One thing to do with rows.
pub(crate) struct Work {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// The same for people.
    pub(crate) told: &'static str,
    /// The values of a row.
    pub(crate) values: usize,
    /// Our algorithm for it.
    pub(crate) algorithm: Algorithm,
    /// As many times a peer's rows a second are wanted.
    pub(crate) goal: f64,
}

/// All of them.
pub(crate) fn works() -> Vec<Work> {
    let work = |name, told, values, kind, goal| Work {
        name,
        told,
        values,
        algorithm: Algorithm::new(kind),
        goal,
    };
    let mut works = vec![
        work(
            "rcf1",
            "random cut forest 30 x 256, shingle 8, 1 value",
            1,
            Kind::RandomCutForest,
            3.0,
        ),
        work("rcf10", "random cut forest 50 x 256, 10 values", 10, Kind::RandomCutForest, 3.0),
        work(
            "hst",
            "half-space trees 25 x 15, window 250, 10 values",
            10,
            Kind::HalfSpaceTrees,
            8.0,
        ),
        work("lof", "LOF k 10, window 256, 10 values", 10, Kind::Lof, 10.0),
        work("knn", "kNN k 10, window 1000, 10 values", 10, Kind::Knn, 3.0),
        work("loda", "LODA 100 projections, window 512, 10 values", 10, Kind::Loda, 20.0),
        work("svm", "one-class SVM, linear, 10 values", 10, Kind::OneClassSvm, 5.0),
        work("iforest", "isolation forest 50 x 128, 10 values", 10, Kind::IsolationForest, 5.0),
    ];
    for work in &mut works {
        let set: &[(&str, f64)] = match work.name {
            "rcf10" => &[("trees", 50.0)],
            "hst" => &[("depth", 15.0)],
            "svm" => &[("features", 0.0)],
            _ => &[],
        };
        for (name, value) in set {
            work.algorithm = work.algorithm.clone().with(name, *value);
        }
    }
    works
}

/// The work of a name.
pub(crate) fn named(name: &str) -> Result<Work, Failed> {
    let work = works().into_iter().find(|work| work.name == name);
    work.ok_or_else(|| format!("there is no work '{name}'").into())
}

/// Prints names, goals and what they mean, for the table.
pub(crate) fn list() -> Result<(), Failed> {
    for Work { name, told, goal, .. } in works() {
        println!("{name}\t{goal}\t{told}");
    }
    Ok(())
}

/// The file of rows of so many values: doubles, row by row, in the processor's order of bytes.
fn file(folder: &Path, values: usize) -> std::path::PathBuf {
    folder.join(format!("rows_{values}.f64"))
}

/// Writes the files of rows: of one value a noisy wave, of ten values independent ones of about a
/// normal distribution.
pub(crate) fn write_rows(folder: &Path) -> Result<(), Failed> {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut about_normal =
        || (0..6).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 3.0;
    let wave = |i: usize| 5.0 * libm::sin(i as f64 * std::f64::consts::TAU / 50.0);
    let one: Vec<f64> = (0..ROWS).map(|i| wave(i) + about_normal()).collect();
    let mut ten: Vec<f64> = (0..10 * ROWS).map(|_| about_normal()).collect();
    let mut random = Pcg64Mcg::seed_from_u64(2);
    for row in ten.chunks_exact_mut(10) {
        if random.next_u64().is_multiple_of(ODD_ONE_IN) {
            row[random.next_u64() as usize % 10] += 6.0;
        }
    }
    fs::create_dir_all(folder)?;
    for (values, rows) in [(1, one), (10, ten)] {
        let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_ne_bytes()).collect();
        fs::write(file(folder, values), bytes)?;
    }
    Ok(())
}

/// Reads the rows of so many values.
pub(crate) fn read_rows(folder: &Path, values: usize) -> Result<Vec<f64>, Failed> {
    let path = file(folder, values);
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_ne_bytes(*bytes)).collect())
}
