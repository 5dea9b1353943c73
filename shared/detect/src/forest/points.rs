//! The last rows of a series as places of two bytes, shared by all trees; a point is the rows of a
//! shingle up to one row, read where they lie.
//!
//! A place is a standardised value in steps of 1/200 of a deviation. Beyond twelve deviations places
//! grow with the logarithm only, so that one wild value does not take all cuts for itself; the
//! order of values stays. Whole numbers of two bytes make boxes and points a quarter of what they
//! are in double precision, and let the processor handle eight of them at a time, exactly.

use domain::encoding::{DecodeError, ensure};

/// So many places are one deviation.
const STEPS: f64 = 200.0;
/// From so many deviations on places grow with the logarithm.
const KNEE: f64 = 12.0;
/// The place of the mean.
pub(crate) const MIDDLE: u16 = 1 << 15;

/// The place of a value so many deviations from its mean.
pub(crate) fn place(deviations: f64) -> u16 {
    let size = deviations.abs();
    let bent = if size <= KNEE { size } else { KNEE * (1.0 + libm::log(size / KNEE)) };
    (f64::from(MIDDLE) + (STEPS * bent.min(160.0)).copysign(deviations)) as u16
}

/// The deviations at a place; the inverse of [`place`], to a step.
pub(crate) fn deviations(place: f64) -> f64 {
    let bent = (place - f64::from(MIDDLE)) / STEPS;
    let size = bent.abs();
    let size = if size <= KNEE { size } else { KNEE * libm::exp(size / KNEE - 1.0) };
    size.copysign(bent)
}

/// A ring of rows. The last rows of the ring stand in front of the first too, so that no shingle
/// is ever torn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Points {
    places: Box<[u16]>,
    values: usize,
    shingle: usize,
    rows: usize,
    /// The slot of the next row.
    next: usize,
}

impl Points {
    /// For shingles of rows of so many values, of which the last `rows` can be read.
    pub(crate) fn new(values: usize, shingle: usize, rows: usize) -> Self {
        let places = vec![MIDDLE; Self::len(values, shingle, rows)].into();
        Self { places, values, shingle, rows: rows + shingle, next: 0 }
    }

    fn len(values: usize, shingle: usize, rows: usize) -> usize {
        (rows + 2 * shingle - 1) * values
    }

    pub(crate) fn bytes_for(values: usize, shingle: usize, rows: usize) -> usize {
        Self::len(values, shingle, rows) * size_of::<u16>()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.places)
    }

    /// The places of a point.
    pub(crate) fn dims(&self) -> usize {
        self.shingle * self.values
    }

    /// The point that ends with the row in a slot, oldest row first.
    #[inline]
    pub(crate) fn at(&self, slot: u16) -> &[u16] {
        let from = usize::from(slot) * self.values;
        &self.places[from..from + self.shingle * self.values]
    }

    /// Appends a row; tells its slot.
    pub(crate) fn push(&mut self, row: &[u16]) -> u16 {
        let slot = self.next;
        self.next = (slot + 1) % self.rows;
        let before = self.shingle - 1;
        self.set(slot + before, row);
        if slot + before >= self.rows {
            self.set(slot + before - self.rows, row);
        }
        slot as u16
    }

    fn set(&mut self, row: usize, places: &[u16]) {
        self.places[row * self.values..(row + 1) * self.values].copy_from_slice(places);
    }

    /// The rows before the next one that belong to its shingle.
    pub(crate) fn before(&self) -> &[u16] {
        let last = (self.next + self.rows - 1) % self.rows;
        &self.at(last as u16)[self.values..]
    }

    /// How many rows ago the row in a slot came; 1 is the last.
    pub(crate) fn age(&self, slot: u16) -> usize {
        let age = (self.next + self.rows - usize::from(slot)) % self.rows;
        if age == 0 { self.rows } else { age }
    }

    /// The slot of the row that came so many rows ago.
    pub(crate) fn slot(&self, age: usize) -> u16 {
        ((self.next + self.rows - age) % self.rows) as u16
    }

    /// Appends the rows that can still be read, of so many that came.
    pub(crate) fn encode(&self, rows: u64, out: &mut Vec<u8>) {
        let kept = rows.min(self.rows as u64 - 1) as usize;
        for age in (1..=kept).rev() {
            let row = &self.at(self.slot(age))[(self.shingle - 1) * self.values..];
            row.iter().for_each(|place| out.extend(place.to_le_bytes()));
        }
    }

    /// Takes what [`encode`](Self::encode) appended into new points.
    pub(crate) fn decode(&mut self, rows: u64, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let kept = rows.min(self.rows as u64 - 1) as usize;
        let size = kept * self.values * size_of::<u16>();
        ensure(bytes.len() >= size, "length of points")?;
        let (places, rest) = bytes.split_at(size);
        *bytes = rest;
        // In the slots where they were.
        self.next = ((rows - kept as u64) % self.rows as u64) as usize;
        let mut row = vec![0; self.values];
        for places in places.chunks_exact((self.values * size_of::<u16>()).max(1)) {
            for (place, pair) in row.iter_mut().zip(places.chunks_exact(2)) {
                *place = u16::from_le_bytes([pair[0], pair[1]]);
            }
            self.push(&row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_rise_and_come_back() {
        let mut last = 0;
        for deviation in [-1e6, -1e3, -5.0, -4.0, -0.5, 0.0, 0.01, 3.9, 4.1, 40.0, 1e6] {
            let at = place(deviation);
            assert!(at > last, "{deviation} at {at}");
            last = at;
            let back = deviations(f64::from(at));
            assert!((back - deviation).abs() <= 0.01 + 0.01 * deviation.abs(), "{back}");
        }
    }

    #[test]
    fn a_point_is_the_last_rows() {
        for (values, shingle) in [(1, 1), (1, 4), (3, 2)] {
            let mut points = Points::new(values, shingle, 10);
            let row = |i: usize| (0..values).map(move |v| (i * 10 + v) as u16);
            for i in 0..60 {
                let slot = points.push(&row(i).collect::<Vec<_>>());
                assert_eq!((points.age(slot), points.slot(1)), (1, slot));
                for age in 1..=10.min((i + 2).saturating_sub(shingle)) {
                    let last = i + 1 - age;
                    let expected: Vec<_> = (last + 1 - shingle..=last).flat_map(row).collect();
                    assert_eq!(points.at(points.slot(age)), expected, "{i} {age}");
                }
                let (mut bytes, mut other) = (vec![], Points::new(values, shingle, 10));
                points.encode(i as u64 + 1, &mut bytes);
                assert_eq!(other.decode(i as u64 + 1, &mut &bytes[..]), Ok(()));
                assert_eq!((other.before(), other.next), (points.before(), points.next));
            }
        }
    }
}
