//! Two forests behind one call: score a row, then learn it.

use detect::{Assessment, Model, Networks, Row, SeriesModel};
use domain::{Algorithm, Detector};
use krcf::{RandomCutForest, RandomCutForestOptions};

use crate::works::Failed;

/// What takes rows one by one.
pub(crate) trait Peer {
    /// The score of a row, which is then learned.
    fn step(&mut self, row: &[f64]) -> Result<f64, Failed>;
}

/// Our model alone: the raw score, as others give it.
pub(crate) struct Ours {
    model: Model,
    out: Assessment,
    values: usize,
}

impl Ours {
    /// A new one.
    pub(crate) fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let algorithm = algorithm.resolved(values);
        Self {
            model: Model::new(&algorithm, values, seed, &Networks::default()),
            out: Assessment::default(),
            values,
        }
    }
}

impl Peer for Ours {
    fn step(&mut self, values: &[f64]) -> Result<f64, Failed> {
        let row = Row { values, at: 0 };
        self.out.prepare(self.values, self.model.levels().count(self.values));
        self.model.score(row, &mut self.out);
        self.model.learn(row, &self.out);
        Ok(self.out.raw)
    }
}

/// All that we say of a row: calibrated score, threshold, anomaly, contributions, expected ranges.
pub(crate) struct Verdicts {
    series: SeriesModel,
    out: Assessment,
    at: i64,
}

impl Verdicts {
    /// A new one.
    pub(crate) fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let mut detector = Detector::implicit("peers");
        detector.algorithm = algorithm.clone();
        let series = SeriesModel::new(&detector, values, seed);
        Self { series, out: Assessment::default(), at: 0 }
    }
}

impl Peer for Verdicts {
    fn step(&mut self, values: &[f64]) -> Result<f64, Failed> {
        // Five minutes.
        self.at += 300_000_000;
        let row = Row { values, at: self.at };
        Ok(self.series.assess(row, true, self.at, &mut self.out).score)
    }
}

/// The AWS forest.
pub(crate) struct Aws {
    forest: RandomCutForest,
    row: Vec<f32>,
}

impl Aws {
    /// A new one; `boxes` is the share of nodes that keep their bounding box, which buys speed with
    /// memory.
    pub(crate) fn new(
        values: usize,
        (trees, sample, shingle): (usize, usize, usize),
        boxes: f64,
        seed: u64,
    ) -> Result<Self, Failed> {
        let forest = RandomCutForest::new(RandomCutForestOptions {
            dimensions: values,
            shingle_size: shingle,
            num_trees: Some(trees),
            sample_size: Some(sample),
            output_after: Some(32),
            random_seed: Some(seed),
            parallel_execution_enabled: Some(false),
            internal_shingling: Some(true),
            bounding_box_cache_fraction: Some(boxes),
            ..Default::default()
        });
        let forest = forest.map_err(|error| format!("the AWS forest: {error}"))?;
        Ok(Self { forest, row: vec![0.0; values] })
    }
}

impl Peer for Aws {
    fn step(&mut self, values: &[f64]) -> Result<f64, Failed> {
        for (to, from) in self.row.iter_mut().zip(values) {
            *to = *from as f32;
        }
        let failed = |error| format!("the AWS forest: {error}");
        let score = self.forest.score(&self.row).map_err(failed)?;
        self.forest.update(&self.row).map_err(failed)?;
        Ok(score)
    }
}
