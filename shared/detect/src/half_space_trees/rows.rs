//! The rows of the last window in places, feature by feature, so that a cut tells rows apart eight at a time.

use domain::encoding::{DecodeError, ensure};

use super::splits::{PLACE_MAX, Split};

/// Rows of a column come in so many.
const LANES: usize = 16;
/// Rows that two bytes can count.
const BLOCK: usize = 1 << 15;
/// The label of what is no row.
const NONE: u16 = u16::MAX;

/// A ring of rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    /// Each feature's places in turn.
    places: Box<[u16]>,
    /// A number for each row, by which rows of one node are told from others.
    labels: Box<[u16]>,
    values: usize,
    window: usize,
    /// Rows that are there, and where the next goes.
    len: usize,
    next: usize,
}

impl Rows {
    pub(super) fn new(values: usize, window: usize) -> Self {
        let width = window.next_multiple_of(LANES);
        let labels = vec![NONE; width].into();
        Self { places: vec![0; values * width].into(), labels, values, window, len: 0, next: 0 }
    }

    pub(super) fn bytes_for(values: usize, window: usize) -> usize {
        (values + 1) * window.next_multiple_of(LANES) * size_of::<u16>()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.places) + size_of_val(&*self.labels)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes a row in, for the oldest one if the window is full.
    pub(super) fn push(&mut self, row: &[u16]) {
        let width = self.labels.len();
        for (column, &place) in self.places.chunks_exact_mut(width).zip(row) {
            column[self.next] = place;
        }
        self.next = (self.next + 1) % self.window;
        self.len = (self.len + 1).min(self.window);
    }

    /// Labels all rows with 0.
    pub(super) fn label(&mut self) {
        self.labels.fill(NONE);
        self.labels[..self.len].fill(0);
    }

    /// Labels those of the rows labelled `from` that a cut sends right with `to`; tells how many they are.
    pub(super) fn part(&mut self, Split { feature, at }: Split, from: u16, to: u16) -> u32 {
        let width = self.labels.len();
        let column = &self.places[feature * width..][..width];
        let held = self.len.next_multiple_of(LANES);
        let mut sum = 0;
        let blocks = self.labels[..held].chunks_mut(BLOCK).zip(column.chunks(BLOCK));
        for (labels, places) in blocks {
            // All of two bytes and without a branch: the compiler makes it eight at a time.
            let mut count = 0_u16;
            for (label, &place) in labels.iter_mut().zip(places) {
                let right = u16::from(*label == from) & u16::from(place >= at);
                let mask = right.wrapping_neg();
                *label = (*label & !mask) | (to & mask);
                count = count.wrapping_add(right);
            }
            sum += u32::from(count);
        }
        sum
    }

    /// Appends the rows, oldest first.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let width = self.labels.len();
        for nth in 0..self.len {
            let slot = (self.next + self.window - self.len + nth) % self.window;
            for column in self.places.chunks_exact(width) {
                out.extend(column[slot].to_le_bytes());
            }
        }
    }

    /// Takes what [`encode`](Self::encode) appended of so many rows into a new ring.
    pub(super) fn decode(&mut self, len: usize, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let size = len * self.values * size_of::<u16>();
        ensure(bytes.len() >= size, "length of rows")?;
        let (rows, rest) = bytes.split_at(size);
        *bytes = rest;
        let mut row = Vec::with_capacity(self.values);
        for places in rows.chunks_exact((self.values * size_of::<u16>()).max(1)) {
            row.clear();
            row.extend(places.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)));
            ensure(row.iter().all(|&place| place <= PLACE_MAX), "place of a value")?;
            self.push(&row);
        }
        Ok(())
    }

    /// The places of the rows, in no order.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<Vec<u16>> {
        let columns = || self.places.chunks_exact(self.labels.len());
        (0..self.len).map(|slot| columns().map(|column| column[slot]).collect()).collect()
    }
}
