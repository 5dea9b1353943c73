//! Small random samples of the past rows, replaced bit by bit, and how little a row is like any of them.

use domain::encoding::{DecodeError, ensure, put, take, take_count};
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::{DEVIATION_MAX, nearest::Search, present, standard::Standards};

/// Rows compared side by side, so that the processor computes their dissimilarities at the same time.
const LANES: usize = 16;
/// Values are stored in steps of so many to a unit of deviation, 64 units to each side.
const STEPS: f64 = 512.0;
/// A frame is left when the mean has moved so many of its units, or the unit has changed by such a factor.
const MOVED: f64 = 8.0;
const CHANGED: f64 = 4.0;
/// The first rows look after the frames each, later ones every so many.
const FRAME_ROWS: u64 = 64;
/// What is usual of dissimilarities is a mean over so many rows.
const USUAL_ROWS: f64 = 1000.0;
/// A value's usual dissimilarity is at least so much, in roots of units: a wobble on a constant is nothing.
const USUAL_MIN: f32 = 0.05;
/// As many as a u32 has values.
const CHANCES: f64 = 4_294_967_296.0;
/// And at most, which is the root of all the units there are.
const USUAL_MAX: f32 = 1e3;

/// What the stored steps of a value mean, in the value's unit.
#[derive(Clone, Debug, Default, PartialEq)]
struct Frame {
    mean: f64,
    unit: f64,
}

/// Subsamples of the past.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subsamples {
    /// Blocks of lanes; a block has all lanes of its first value, then of the second.
    points: Box<[i16]>,
    frames: Box<[Frame]>,
    /// The mean dissimilarity between two rows in this value.
    usual: Box<[f32]>,
    samples: usize,
    size: usize,
    /// Rows that a subsample stands for.
    horizon: u64,
    rows: u64,
    /// No value's dissimilarity is larger, in what is usual.
    part_max: f32,
    /// With the number of rows it is the state of the generator.
    seed: u64,
}

impl Subsamples {
    pub(crate) fn new(
        values: usize,
        samples: usize,
        size: usize,
        horizon: usize,
        seed: u64,
    ) -> Self {
        Self {
            points: vec![0; blocks(samples, size) * values * LANES].into(),
            frames: vec![Frame { mean: 0.0, unit: 1.0 }; values].into(),
            usual: vec![USUAL_MIN; values].into(),
            samples,
            size,
            horizon: horizon.max(size) as u64,
            rows: 0,
            part_max: f32::INFINITY,
            seed,
        }
    }

    /// The same, but no value's dissimilarity counts as more than so many usual ones.
    pub(crate) fn with_parts_up_to(self, part_max: f32) -> Self {
        Self { part_max, ..self }
    }

    pub(crate) fn bytes(values: usize, samples: usize, size: usize) -> usize {
        let points = blocks(samples, size) * LANES * size_of::<i16>();
        values * (points + size_of::<Frame>() + size_of::<f32>())
    }

    pub(crate) fn heap(&self) -> usize {
        Self::bytes(self.frames.len(), self.samples, self.size)
    }

    /// The mean over the subsamples of the least dissimilarity to a row of this, per value that is present, in
    /// units of what is usual between two rows. Adds each value's part to `parts`. `room` is for working in.
    pub(crate) fn dissimilarity(&self, row: &[f64], parts: &mut [f64], room: &mut Vec<f64>) -> f64 {
        let values = self.frames.len();
        let filled = self.rows.min(self.size as u64) as usize;
        let start = room.len();
        let mut known = 0;
        for (index, (frame, &usual)) in self.frames.iter().zip(&self.usual).enumerate() {
            // A missing value is as far from all rows: not at all.
            let value = present(row, index);
            known += usize::from(value.is_some());
            let steps = value.map_or(0.0, |value| frame.steps(value));
            let weight = value.map_or(0.0, |_| 1.0 / (usual + USUAL_MIN));
            room.extend([steps, f64::from(weight) / STEPS.sqrt()]);
        }
        if known == 0 || filled == 0 || values == 0 {
            room.truncate(start);
            return 0.0;
        }
        let (mut sum, mut nearest, mut slot) = (0.0_f64, (f32::INFINITY, 0), 0);
        for (block, points) in self.points.chunks_exact(values * LANES).enumerate() {
            let totals = totals(points, &room[start..], self.part_max);
            for (lane, &total) in totals.iter().enumerate() {
                let at = block * LANES + lane;
                if at >= self.samples * self.size {
                    break;
                }
                if slot < filled && total < nearest.0 {
                    nearest = (total, at);
                }
                slot += 1;
                if slot == self.size {
                    sum += f64::from(nearest.0);
                    self.attribute(nearest.1, &room[start..], parts);
                    (nearest, slot) = ((f32::INFINITY, 0), 0);
                }
            }
        }
        room.truncate(start);
        sum / (self.samples * known) as f64
    }

    /// Adds each value's part in the dissimilarity to the point.
    fn attribute(&self, point: usize, query: &[f64], parts: &mut [f64]) {
        let values = self.frames.len();
        for (value, (part, query)) in parts.iter_mut().zip(query.chunks_exact(2)).enumerate() {
            let stored = f64::from(self.points[place(point, value, values)]);
            let own = (stored - query[0]).abs().sqrt() * query[1];
            *part += own.min(f64::from(self.part_max));
        }
    }

    /// Learns a row with a weight in [0, 1]: the chance, relative to a usual row's, that it is taken into a
    /// subsample. `standards` have learned the row already.
    pub(crate) fn learn(&mut self, row: &[f64], weight: f64, standards: &Standards) {
        if self.rows < FRAME_ROWS || self.rows.is_multiple_of(FRAME_ROWS) {
            self.follow(standards);
        }
        let mut random = Pcg64Mcg::seed_from_u64(self.seed.wrapping_add(self.rows));
        if self.rows > 0 {
            self.compare(row, weight, random.next_u32());
        }
        self.rows += 1;
        let past = self.rows.min(self.horizon) as f64;
        let bound = (weight * self.size as f64 / past * CHANCES).min(u32::MAX.into());
        for sample in 0..self.samples {
            let young = self.rows <= self.size as u64;
            let (chance, lane) = (random.next_u32(), random.next_u32());
            let slot = if young {
                (self.rows - 1) as usize
            } else {
                ((u64::from(lane) * self.size as u64) >> 32) as usize
            };
            if young || f64::from(chance) < bound {
                self.store(sample * self.size + slot, row);
            }
        }
    }

    /// Offers all stored rows to a search.
    pub(crate) fn offer(&self, search: &mut Search<'_>) {
        let (values, filled) = (self.frames.len(), self.rows.min(self.size as u64) as usize);
        for point in (0..self.samples * self.size).filter(|point| point % self.size < filled) {
            search.offer(|value| {
                let (frame, at) = (&self.frames[value], place(point, value, values));
                frame.mean + f64::from(self.points[at]) / STEPS * frame.unit
            });
        }
    }

    /// Puts a row in the place of a stored one.
    fn store(&mut self, point: usize, row: &[f64]) {
        let values = self.frames.len();
        for (index, frame) in self.frames.iter().enumerate() {
            let steps = present(row, index).map_or(0.0, |value| frame.steps(value));
            self.points[place(point, index, values)] = as_stored(steps);
        }
    }

    /// Learns what is usual between a row and any other.
    fn compare(&mut self, row: &[f64], weight: f64, any: u32) {
        let values = self.frames.len();
        let filled = self.rows.min(self.size as u64);
        let any = (u64::from(any) * (self.samples as u64 * filled)) >> 32;
        let point = (any / filled) as usize * self.size + (any % filled) as usize;
        let rate = weight / (self.rows as f64).min(USUAL_ROWS);
        for (index, frame) in self.frames.iter().enumerate() {
            if let Some(value) = present(row, index) {
                let stored = f64::from(self.points[place(point, index, values)]);
                let root = ((frame.steps(value) - stored).abs() / STEPS).sqrt();
                let usual = &mut self.usual[index];
                let moved = f64::from(*usual) + rate * (root - f64::from(*usual));
                *usual = (moved as f32).clamp(0.0, USUAL_MAX);
            }
        }
    }

    /// Moves frames that no longer fit, and says what is stored anew.
    fn follow(&mut self, standards: &Standards) {
        let values = self.frames.len();
        for (index, standard) in standards.as_slice().iter().enumerate() {
            let mean = standard.expected();
            if mean.is_nan() {
                continue;
            }
            let (old, new) = (self.frames[index].clone(), Frame { mean, unit: standard.unit() });
            let factor = old.unit / new.unit;
            let fits = (1.0 / CHANGED..=CHANGED).contains(&factor)
                && (new.mean - old.mean).abs() <= MOVED * old.unit;
            if fits {
                continue;
            }
            for point in 0..self.samples * self.size {
                let stored = &mut self.points[place(point, index, values)];
                let value = old.mean + f64::from(*stored) / STEPS * old.unit;
                *stored = as_stored(new.steps(value));
            }
            let root = f64::from(self.usual[index]) * factor.sqrt();
            self.usual[index] = (root as f32).clamp(0.0, USUAL_MAX);
            self.frames[index] = new;
        }
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        for (frame, usual) in self.frames.iter().zip(&self.usual) {
            put(&(frame.mean, frame.unit, usual), out);
        }
        self.points.iter().for_each(|point| put(point, out));
    }

    /// Takes what [`encode`](Self::encode) appended, into new ones of the same measures.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for (frame, usual) in self.frames.iter_mut().zip(&mut self.usual) {
            (frame.mean, frame.unit, *usual) = take(bytes)?;
            ensure(frame.mean.abs() <= DEVIATION_MAX, "mean of a frame")?;
            ensure((1e-9..=2.0 * DEVIATION_MAX).contains(&frame.unit), "unit of a frame")?;
            ensure((0.0..=USUAL_MAX).contains(usual), "usual dissimilarity")?;
        }
        for point in &mut self.points {
            *point = take(bytes)?;
        }
        Ok(())
    }
}

impl Frame {
    /// How many steps a value is from the mean; far beyond all sense it ends at a million units.
    fn steps(&self, value: f64) -> f64 {
        ((value - self.mean) / self.unit).clamp(-1e6, 1e6) * STEPS
    }
}

/// The dissimilarities of a block's rows: the root of the absolute difference, value by value.
fn totals(points: &[i16], query: &[f64], part_max: f32) -> [f32; LANES] {
    let mut totals = [0.0_f32; LANES];
    for (points, query) in points.chunks_exact(LANES).zip(query.chunks_exact(2)) {
        let (steps, weight) = (query[0] as f32, query[1] as f32);
        for (total, &point) in totals.iter_mut().zip(points) {
            let part = (f32::from(point) - steps).abs().sqrt() * weight;
            *total += part.min(part_max);
        }
    }
    totals
}

/// How many blocks hold so many rows.
fn blocks(samples: usize, size: usize) -> usize {
    (samples * size).div_ceil(LANES)
}

/// Where a stored row's value is.
fn place(point: usize, value: usize, values: usize) -> usize {
    (point / LANES * values + value) * LANES + point % LANES
}

fn as_stored(steps: f64) -> i16 {
    steps.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The blocks find what comparing the row with one stored row after the other finds.
        #[test]
        fn the_nearest_of_each_subsample_is_found(
            rows in prop::collection::vec(prop::array::uniform3(-50.0..50.0_f64), 1..120),
            (samples, size) in (1_usize..6, 2_usize..21),
            missing in 0_usize..4, seed: u64,
        ) {
            let mut standards = Standards::new(3);
            let mut it = Subsamples::new(3, samples, size, 40, seed);
            for mut row in rows {
                if let Some(value) = row.get_mut(missing) {
                    *value = f64::NAN;
                }
                let (mut parts, mut room) = (vec![0.0; 3], vec![]);
                let found = it.dissimilarity(&row, &mut parts, &mut room);
                let mut sum = 0.0;
                for sample in 0..samples {
                    let filled = size.min(it.rows as usize);
                    let points = (0..filled).map(|slot| sample * size + slot);
                    let nearest = points.map(|point| slow(&it, &row, point));
                    sum += nearest.reduce(f64::min).unwrap_or(0.0);
                }
                let known = row.iter().filter(|value| value.is_finite()).count();
                let expected = sum / (samples * known) as f64;
                // The blocks compute with f32, whose last digit is large in the root of a small difference.
                let close = |found: f64| (found - expected).abs() < 1e-2 * (1.0 + expected);
                prop_assert!(close(found), "{found} {expected}");
                prop_assert!(close(parts.iter().sum::<f64>() / (samples * known) as f64));
                standards.learn(&row);
                it.learn(&row, 1.0, &standards);
            }
        }
    }

    fn slow(it: &Subsamples, row: &[f64], point: usize) -> f64 {
        let one = |index: usize| {
            let Some(value) = present(row, index) else { return 0.0 };
            let (frame, usual) = (&it.frames[index], f64::from(it.usual[index]));
            let stored = f64::from(it.points[place(point, index, row.len())]) / STEPS;
            let z = ((value - frame.mean) / frame.unit).clamp(-1e6, 1e6);
            (z - stored).abs().sqrt() / (usual + f64::from(USUAL_MIN))
        };
        (0..row.len()).map(one).sum()
    }

    #[test]
    fn a_subsample_is_of_the_last_rows_and_frames_follow() {
        let mut standards = Standards::new(1);
        let mut it = Subsamples::new(1, 8, 16, 64, 1);
        let mut learn = |it: &mut Subsamples, value: f64| {
            standards.learn(&[value]);
            it.learn(&[value], 1.0, &standards);
        };
        (0..500).for_each(|row| learn(&mut it, f64::from(row % 7)));
        (0..2000).for_each(|row| learn(&mut it, 1e6 + f64::from(row % 7)));
        let near = |it: &Subsamples, value| it.dissimilarity(&[value], &mut [0.0], &mut vec![]);
        let stored = |it: &Subsamples, at: usize| {
            it.frames[0].mean + f64::from(it.points[at]) / STEPS * it.frames[0].unit
        };
        assert!((0..128).all(|at| (stored(&it, at) - 1e6).abs() < 1e5), "{:?}", it.frames);
        assert!(near(&it, 3.0) > 5.0 * near(&it, 1e6 + 3.0), "{}", near(&it, 3.0));
    }
}
