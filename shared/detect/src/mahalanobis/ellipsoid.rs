//! The covariance of standardised values and its inverse, both kept current row by row.

use domain::encoding::{DecodeError, ensure, put, take};

/// Before the first row values are believed to be uncorrelated, as if so many rows per value had shown it.
const BELIEVED: (f64, f64) = (4.0, 0.5);
/// A row's largest deviation counts as at most so many units; its direction stays.
const LEARNED_MAX: f64 = 10.0;
/// Degrees of freedom of the t distribution whose weights rows have.
const FREEDOM: f64 = 2.0;
/// Bounds of the entries; the inverse's follows from the least ridge.
const COVARIANCE_MAX: f32 = 1e4;
const INVERSE_MAX: f32 = 1e5;
/// The inverse is computed anew after at most so many rows, or as many as there are values.
const ANCHOR_ROWS: u32 = 64;

/// A covariance matrix with exponential forgetting, and the inverse of it with a ridge. Lower triangles, row
/// by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ellipsoid {
    covariance: Box<[f32]>,
    inverse: Box<[f32]>,
    values: usize,
    horizon: f64,
    ridge: f64,
    /// Weight of the rows it has learned.
    rows: f64,
    /// Rows since the inverse was computed anew.
    age: u32,
}

impl Ellipsoid {
    pub(crate) fn new(values: usize, horizon: f64, ridge: f64) -> Self {
        let mut new = Self {
            covariance: vec![0.0; triangle(values)].into(),
            inverse: vec![0.0; triangle(values)].into(),
            values,
            horizon,
            ridge,
            rows: 0.0,
            age: 0,
        };
        for value in 0..values {
            new.covariance[triangle(value) + value] = 1.0;
        }
        new.anchor();
        new
    }

    pub(crate) fn bytes(values: usize) -> usize {
        2 * triangle(values) * size_of::<f32>()
    }

    /// The squared Mahalanobis distance of a row of deviations, NaN for missing values, which are taken as they
    /// are expected. Appends to `room` the inverse times the row: its product with the row, value by value, adds
    /// up to the distance.
    pub(crate) fn measure(&self, room: &mut Vec<f64>, from: usize) -> f64 {
        let start = room.len();
        room.resize(start + self.values, 0.0);
        let (row, product) = room.split_at_mut(start);
        let row = &row[from..from + self.values];
        let mut rest = &self.inverse[..];
        for (i, &z) in row.iter().enumerate() {
            let z = known(z);
            let line;
            (line, rest) = rest.split_at(i + 1);
            let mut sum = 0.0;
            for ((&entry, &other), product) in line.iter().zip(row).zip(&mut product[..i]) {
                let entry = f64::from(entry);
                sum += entry * known(other);
                *product += entry * z;
            }
            product[i] = sum + f64::from(line[i]) * z;
        }
        let distance: f64 = row.iter().zip(&*product).map(|(&z, &p)| known(z) * p).sum();
        distance.max(0.0)
    }

    /// Each value's part in a squared distance, given what [`measure`](Self::measure) appended: by how much the
    /// distance would fall if the value were what the others make expect of it. A value's share of the sum that
    /// makes up the distance would blame the others for not fitting to a wrong one.
    pub(crate) fn parts(&self, deviations: &[f64], product: &[f64]) -> impl Iterator<Item = f64> {
        deviations.iter().zip(product).enumerate().map(|(value, (z, p))| {
            let own = f64::from(self.inverse[triangle(value) + value]);
            if own > 0.0 && !z.is_nan() { p * p / own } else { 0.0 }
        })
    }

    /// Learns a row of deviations, of which [`measure`](Self::measure) has said this product and distance. A row
    /// far out counts less, by the weights of a t distribution (Lange, Little & Taylor 1989): outliers would
    /// otherwise stretch the ellipsoid until they lie within.
    pub(crate) fn learn(&mut self, row: &[f64], product: &[f64], distance: f64) {
        let size = self.values as f64;
        let largest = row.iter().fold(0.0_f64, |largest, &z| largest.max(known(z).abs()));
        let shrunk = if largest > LEARNED_MAX { LEARNED_MAX / largest } else { 1.0 };
        let weight = ((FREEDOM + size) / (FREEDOM + distance)).min(1.0) * shrunk * shrunk;
        self.rows = (self.rows + 1.0).min(self.horizon);
        let rate = 1.0 / (self.rows + BELIEVED.0 + BELIEVED.1 * size);
        let keep = 1.0 - rate;
        // Sherman & Morrison (1950): the inverse after a product of a vector with itself was added.
        let gain = rate * weight / keep;
        let fall = gain / (1.0 + gain * distance) / keep;
        let mut at = 0;
        for (i, &z) in row.iter().enumerate() {
            let (pull, push) = (rate * weight * known(z), fall * product[i]);
            let line = at..at + i + 1;
            at = line.end;
            let lines = self.covariance[line.clone()].iter_mut().zip(&mut self.inverse[line]);
            for ((covariance, inverse), (&other, &p)) in lines.zip(row.iter().zip(product)) {
                let moved = keep * f64::from(*covariance) + pull * known(other);
                *covariance = (moved as f32).clamp(-COVARIANCE_MAX, COVARIANCE_MAX);
                let moved = f64::from(*inverse) / keep - push * p;
                *inverse = (moved as f32).clamp(-INVERSE_MAX, INVERSE_MAX);
            }
            if z.is_nan() {
                // Nothing is known of it, so it has a variance of 1 as before the first row.
                let own = &mut self.covariance[at - 1];
                *own = (*own + rate as f32).min(COVARIANCE_MAX);
            }
        }
        self.age += 1;
        // Sooner while every row counts much: rounding, the ridge, and missing values are no part of the update.
        let patience = ANCHOR_ROWS.max(self.values as u32);
        if self.age >= patience.min(1 + (0.25 * self.rows) as u32) {
            self.anchor();
        }
    }

    /// Computes the inverse of covariance and ridge, by Cholesky factors, in the inverse's own place.
    fn anchor(&mut self) {
        self.age = 0;
        let (ridge, matrix) = (self.ridge, &mut self.inverse);
        matrix.copy_from_slice(&self.covariance);
        let dot = |matrix: &[f32], a: usize, b: usize, len: usize| -> f64 {
            let pairs = matrix[a..a + len].iter().zip(&matrix[b..b + len]);
            pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        // The lower factor, with the inverse of each pivot in its place.
        for i in 0..self.values {
            let line = triangle(i);
            for j in 0..i {
                let above = triangle(j);
                let left = f64::from(matrix[line + j]) - dot(matrix, line, above, j);
                matrix[line + j] = (left * f64::from(matrix[above + j])) as f32;
            }
            let own = f64::from(matrix[line + i]) + ridge - dot(matrix, line, line, i);
            // Rounding, or bytes that were no covariance, may leave less than the ridge.
            matrix[line + i] = (1.0 / own.max(0.5 * ridge).sqrt()) as f32;
        }
        // The factor's inverse.
        for i in 0..self.values {
            let line = triangle(i);
            for j in 0..i {
                let column = (j..i)
                    .map(|k| f64::from(matrix[line + k]) * f64::from(matrix[triangle(k) + j]));
                let sum: f64 = column.sum();
                matrix[line + j] = (-sum * f64::from(matrix[line + i])) as f32;
            }
        }
        // That, transposed, times itself.
        for i in 0..self.values {
            for j in 0..=i {
                let below = (i..self.values).map(|k| {
                    let line = triangle(k);
                    f64::from(matrix[line + i]) * f64::from(matrix[line + j])
                });
                let sum: f64 = below.sum();
                matrix[triangle(i) + j] = (sum as f32).clamp(-INVERSE_MAX, INVERSE_MAX);
            }
        }
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rows, self.age), out);
        self.covariance.iter().chain(&*self.inverse).for_each(|entry| put(entry, out));
    }

    /// Takes what [`encode`](Self::encode) appended, into a new one of as many values.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        (self.rows, self.age) = take(bytes)?;
        ensure((0.0..=self.horizon).contains(&self.rows), "rows of a covariance")?;
        ensure(self.age < ANCHOR_ROWS.max(self.values as u32), "age of an inverse")?;
        for (entries, most) in
            [(&mut self.covariance, COVARIANCE_MAX), (&mut self.inverse, INVERSE_MAX)]
        {
            for entry in entries {
                *entry = take(bytes)?;
                ensure(entry.abs() <= most, "entry of a matrix")?;
            }
        }
        Ok(())
    }
}

/// Entries of a lower triangle of so many lines.
fn triangle(lines: usize) -> usize {
    lines * (lines + 1) / 2
}

/// A deviation, 0 if it is missing.
fn known(deviation: f64) -> f64 {
    if deviation.is_nan() { 0.0 } else { deviation }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by definition: a covariance in f64, and equations solved by elimination for every row.
    struct Slow {
        covariance: Vec<Vec<f64>>,
        rows: f64,
    }

    impl Slow {
        fn distance(&self, row: &[f64], ridge: f64) -> f64 {
            let size = row.len();
            let mut lines = self.covariance.clone();
            for (i, line) in lines.iter_mut().enumerate() {
                line[i] += ridge;
                line.push(row[i]);
            }
            for i in 0..size {
                for other in (0..size).filter(|&other| other != i) {
                    let factor = lines[other][i] / lines[i][i];
                    (i..=size).for_each(|k| lines[other][k] -= factor * lines[i][k]);
                }
            }
            (0..size).map(|i| row[i] * lines[i][size] / lines[i][i]).sum()
        }

        fn learn(&mut self, row: &[f64], distance: f64, horizon: f64) {
            let size = row.len() as f64;
            let largest = row.iter().fold(0.0_f64, |a, z| a.max(z.abs()));
            let shrunk = (LEARNED_MAX / largest).min(1.0);
            let weight = ((FREEDOM + size) / (FREEDOM + distance)).min(1.0) * shrunk * shrunk;
            self.rows = (self.rows + 1.0).min(horizon);
            let rate = 1.0 / (self.rows + BELIEVED.0 + BELIEVED.1 * size);
            for (i, line) in self.covariance.iter_mut().enumerate() {
                for (j, entry) in line.iter_mut().enumerate() {
                    *entry += rate * (weight * row[i] * row[j] - *entry);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_updated_inverse_is_the_inverse(
            size in 1_usize..6,
            rows in prop::collection::vec(prop::array::uniform6(-3.0..3.0_f64), 1..600),
            shared in 0.0..4.0_f64, wild in 0_usize..600,
        ) {
            let (horizon, ridge) = (200.0, 0.02);
            let mut fast = Ellipsoid::new(size, horizon, ridge);
            let identity = |i| (0..size).map(|j| f64::from(u8::from(i == j))).collect();
            let mut slow = Slow { covariance: (0..size).map(identity).collect(), rows: 0.0 };
            for (at, row) in rows.iter().enumerate() {
                let scale = if at == wild { 100.0 } else { 1.0 };
                let row: Vec<f64> =
                    (0..size).map(|i| scale * (row[i] + shared * row[5])).collect();
                let mut room = row.clone();
                let found = fast.measure(&mut room, 0);
                let expected = slow.distance(&row, ridge);
                // The ridge fades between two anchors, by a thirtieth of itself at most.
                prop_assert!((found / expected - 1.0).abs() < 0.35, "{at}: {found} {expected}");
                if fast.age == 0 {
                    prop_assert!((found / expected - 1.0).abs() < 2e-3, "{found} {expected}");
                }
                fast.learn(&row, &room[size..], found);
                slow.learn(&row, found, horizon);
            }
        }
    }

    #[test]
    fn a_missing_value_comes_back_as_unknown() {
        let mut it = Ellipsoid::new(2, 100.0, 0.02);
        for row in 0..2000 {
            let z = if row % 2 == 0 { 1.0 } else { -1.0 };
            let row = [z, if row < 1000 { z } else { f64::NAN }];
            let mut room = row.to_vec();
            let distance = it.measure(&mut room, 0);
            it.learn(&row, &room[2..], distance);
        }
        assert!((it.covariance[2] - 1.0).abs() < 0.01 && it.covariance[1].abs() < 0.01);
    }
}
