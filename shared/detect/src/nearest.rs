//! The nearest row to an odd one of those that a model remembers anyway: what would have been usual in its
//! place. An explanation by example (Aamodt & Plaza 1994 call such a row a case), looked for only where one
//! is asked for, and at no cost in memory: models that keep no rows have none to show.
//!
//! A row is told about as precisely as the model keeps it, which is in steps of some thousandths of a
//! deviation. Models that look at each value alone tell of each value what is nearest, and of values that
//! were missing in a row it has what it put in their place, mostly the mean.

/// No value is farther, in deviations.
const DISTANCE_MAX: f64 = 1e6;

/// The nearest of the rows that a model remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nearest {
    /// Its values; none if the model remembers no rows, or was not asked.
    pub values: Vec<f64>,
    /// How far it is: the root mean square of the values' differences, in units of deviation.
    pub distance: f64,
}

impl Nearest {
    /// Forgets it, and makes room for so many values.
    pub(crate) fn prepare(&mut self, values: usize) {
        self.values.clear();
        self.values.reserve(values);
        self.distance = 0.0;
    }
}

/// A search among remembered rows.
pub struct Search<'a> {
    pub(crate) row: &'a [f64],
    /// One unit of deviation of each value.
    pub(crate) scale: &'a [f64],
    pub(crate) found: &'a mut Nearest,
}

impl Search<'_> {
    /// Takes a remembered row, told value by value, if it is the nearest so far.
    pub(crate) fn offer(&mut self, value: impl Fn(usize) -> f64) {
        let (mut sum, mut known) = (0.0, 0);
        for (index, &scale) in self.scale.iter().enumerate() {
            if let Some(own) = crate::present(self.row, index) {
                sum += units(own - value(index), scale);
                known += 1;
            }
        }
        let distance = (sum / f64::from(known.max(1))).sqrt();
        if known > 0 && (self.found.values.is_empty() || distance < self.found.distance) {
            self.found.distance = distance;
            self.found.values.clear();
            self.found.values.extend((0..self.scale.len()).map(value));
        }
    }
}

/// The square of a difference in units of deviation.
fn units(difference: f64, scale: f64) -> f64 {
    if difference == 0.0 {
        return 0.0;
    }
    // Without a unit any difference is as far as can be.
    let units = (difference.abs() / scale).min(DISTANCE_MAX);
    if units.is_nan() { DISTANCE_MAX * DISTANCE_MAX } else { units * units }
}

#[cfg(test)]
mod tests {
    use domain::{Algorithm, Kind};

    use super::*;
    use crate::{Assessment, Model, Row, SAMPLES};

    const VALUES: usize = 3;

    /// Rows in three groups, none like another.
    fn rows(count: u32) -> impl Iterator<Item = [f64; VALUES]> {
        (0..count).map(|i| {
            let saw = |step: u32| f64::from(i * step % 101) / 10.0;
            [saw(37) + 100.0 * f64::from(i % 3), saw(59), 1000.0 - saw(71)]
        })
    }

    fn learned(algorithm: &Algorithm, count: u32) -> (Model, Assessment) {
        let (mut model, mut out) =
            (Model::new(algorithm, VALUES, 1, &crate::Networks::default()), Assessment::default());
        for (at, row) in (0..).zip(rows(count)) {
            let row = Row { values: &row, at: at * 60_000_000 };
            score(&model, row, &mut out);
            model.learn(row, &out);
        }
        (model, out)
    }

    fn score(model: &Model, row: Row<'_>, out: &mut Assessment) {
        out.prepare(VALUES, model.levels().count(VALUES));
        model.score(row, out);
    }

    fn nearest(model: &Model, values: &[f64], out: &mut Assessment) -> Nearest {
        let row = Row { values, at: 0 };
        score(model, row, out);
        model.nearest(row, out);
        out.nearest.clone()
    }

    /// Kinds that keep rows whole.
    const KEEPERS: [Kind; 6] = [
        Kind::Knn,
        Kind::Lof,
        Kind::Lesinn,
        Kind::Fusion,
        Kind::RandomCutForest,
        Kind::IsolationForest,
    ];

    #[test]
    fn it_is_a_row_that_came() {
        let mut keepers = 0;
        for algorithm in SAMPLES.iter().filter(|sample| KEEPERS.contains(&sample.kind)) {
            if algorithm.get("extended") == 1.0 {
                continue;
            }
            let (model, mut out) = learned(algorithm, 400);
            for odd in [[100.0, 90.0, 1000.0], [205.0, 5.0, 400.0], [5.0, f64::NAN, 995.0]] {
                let found = nearest(&model, &odd, &mut out);
                let scale = out.scale.clone();
                let is_it = |row: [f64; VALUES]| {
                    (0..VALUES).all(|v| (row[v] - found.values[v]).abs() < 0.02 * scale[v])
                };
                assert!(rows(400).any(is_it), "{algorithm}: {found:?} for {odd:?}");
                let square = |v: usize| match odd[v].is_nan() {
                    true => 0.0,
                    false => units(odd[v] - found.values[v], scale[v]),
                };
                let known = odd.iter().filter(|value| !value.is_nan()).count();
                let far = ((0..VALUES).map(square).sum::<f64>() / known as f64).sqrt();
                assert!((found.distance - far).abs() < 1e-9, "{algorithm}: {found:?} {far}");
            }
            keepers += 1;
        }
        assert_eq!(keepers, 11);
    }

    #[test]
    fn of_a_window_it_is_the_nearest_there_is() {
        for kind in [Kind::Knn, Kind::Lof] {
            let (model, mut out) = learned(&Algorithm::new(kind).with("window", 200.0), 400);
            for odd in [[100.0, 90.0, 1000.0], [205.0, 5.0, 400.0], [150.0, 4.0, 980.0]] {
                let found = nearest(&model, &odd, &mut out);
                let far = |row: &[f64; VALUES]| {
                    let square = |v: usize| units(odd[v] - row[v], out.scale[v]);
                    ((0..VALUES).map(square).sum::<f64>() / VALUES as f64).sqrt()
                };
                let least = rows(400).skip(200).map(|row| far(&row)).fold(f64::MAX, f64::min);
                assert!((found.distance - least).abs() < 1e-3, "{found:?} for {least}");
            }
        }
    }

    #[test]
    fn what_looks_at_each_value_alone_tells_what_is_nearest_of_each() {
        let (model, mut out) = learned(&Algorithm::new(Kind::Novelty), 400);
        let found = nearest(&model, &[500.0, 5.0, 1200.0], &mut out);
        // After a row of the first group came one of the second, always.
        assert!((100.0..=110.1).contains(&found.values[0]), "{found:?}");
        assert!((985.0..=1001.0).contains(&found.values[2]), "{found:?}");
    }

    #[test]
    fn what_keeps_no_rows_or_knows_nothing_has_none() {
        for kind in [Kind::Ewma, Kind::Mahalanobis, Kind::HalfSpaceTrees] {
            let (model, mut out) = learned(&Algorithm::new(kind), 100);
            assert_eq!(nearest(&model, &[1.0; 3], &mut out), Nearest::default());
        }
        for algorithm in &*SAMPLES {
            let (model, mut out) = learned(algorithm, 0);
            assert_eq!(nearest(&model, &[1.0; 3], &mut out), Nearest::default(), "{algorithm}");
            let (model, mut out) = learned(algorithm, 50);
            let found = nearest(&model, &[f64::NAN; 3], &mut out);
            assert_eq!(found, Nearest::default(), "{algorithm}");
        }
    }

    #[test]
    fn an_ensemble_asks_its_members() {
        let members = [Algorithm::new(Kind::Ewma), Algorithm::new(Kind::Knn)];
        let ensemble = Algorithm::ensemble(domain::Combine::Mean, members);
        let (model, mut out) = learned(&ensemble, 200);
        assert!(nearest(&model, &[1.0; 3], &mut out).values[2] > 980.0);
    }
}
