//! Where the projections of the last rows fell: a count for each bin of each projection, kept by a
//! ring of the rows' bins.

use domain::encoding::{DecodeError, ensure, put, take};

/// Bins of a projection.
pub(super) const BINS: usize = 64;
/// The bin of a projection that says nothing.
pub(super) const NONE: u16 = u8::MAX as u16;
/// Rows that are assumed in each bin before the first.
const ASSUMED: f64 = 0.5;

/// Histograms of the projections of the last rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histograms {
    count: usize,
    /// Rows in each bin of each projection in turn.
    counts: Box<[u16]>,
    /// Rows in each projection.
    totals: Box<[u16]>,
    /// The bins of the last rows.
    ring: Box<[u8]>,
    /// The place of the next row, and rows in the ring.
    next: usize,
    rows: usize,
    /// ln of a number of rows and those assumed, and of all of a projection.
    ln_rows: Box<[f32]>,
    ln_total: Box<[f32]>,
    /// ln of the width of each bin, in deviations.
    ln_width: Box<[f32]>,
}

impl Histograms {
    pub(super) fn new(count: usize, window: usize) -> Self {
        let ln = |rows: usize, bins: f64| libm::log(rows as f64 + ASSUMED * bins) as f32;
        Self {
            count,
            counts: vec![0; count * BINS].into(),
            totals: vec![0; count].into(),
            ring: vec![0; count * window].into(),
            next: 0,
            rows: 0,
            ln_rows: (0..=window).map(|rows| ln(rows, 1.0)).collect(),
            ln_total: (0..=window).map(|rows| ln(rows, BINS as f64)).collect(),
            ln_width: (0..BINS).map(ln_width).collect(),
        }
    }

    pub(super) fn bytes_for(count: usize, window: usize) -> usize {
        let logarithms = 2 * (window + 1) + BINS;
        count * (BINS + 1) * size_of::<u16>() + count * window + logarithms * size_of::<f32>()
    }

    pub(super) fn bytes(&self) -> usize {
        let logarithms = self.ln_rows.len() + self.ln_total.len() + self.ln_width.len();
        size_of_val(&*self.counts)
            + size_of_val(&*self.totals)
            + self.ring.len()
            + logarithms * size_of::<f32>()
    }

    /// How many rows they hold.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn window(&self) -> usize {
        self.ln_rows.len() - 1
    }

    /// Minus ln of the density of each projection at its bin; 0 of one that says nothing. Tells how
    /// many say something.
    pub(super) fn surprises(&self, bins: &[u16], out: &mut [f32]) -> f32 {
        out[self.count..].fill(0.0);
        let mut silent = 0;
        let projections = bins.iter().zip(out).zip(&self.totals);
        for ((counts, _), ((&bin, surprise), &total)) in
            self.counts.as_chunks::<BINS>().0.iter().zip(0..self.count).zip(projections)
        {
            if bin == NONE {
                silent += 1;
                *surprise = 0.0;
                continue;
            }
            let bin = usize::from(bin) % BINS;
            let rows = self.ln_rows[usize::from(counts[bin])];
            *surprise = self.ln_total[usize::from(total)] - rows + self.ln_width[bin];
        }
        (self.count - silent) as f32
    }

    /// Takes a row in for the oldest.
    pub(super) fn learn(&mut self, bins: &[u16]) {
        let full = self.rows == self.window();
        let from = self.next * self.count;
        let slot = &mut self.ring[from..from + self.count];
        let counts = self.counts.as_chunks_mut::<BINS>().0.iter_mut().zip(&mut self.totals);
        for (((counts, total), old), &bin) in counts.zip(slot).zip(bins) {
            if full && u16::from(*old) != NONE {
                counts[usize::from(*old) % BINS] -= 1;
                *total -= 1;
            }
            if bin != NONE {
                counts[usize::from(bin) % BINS] += 1;
                *total += 1;
            }
            *old = bin as u8;
        }
        self.rows = (self.rows + 1).min(self.window());
        self.next = (self.next + 1) % self.window();
    }

    /// Appends the rows, oldest first.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        for age in (1..=self.rows).rev() {
            let slot = (self.next + self.window() - age) % self.window();
            out.extend(&self.ring[slot * self.count..(slot + 1) * self.count]);
        }
    }

    /// Takes what [`encode`](Self::encode) appended into new ones.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let rows: usize = take(bytes)?;
        ensure(rows <= self.window(), "rows of histograms")?;
        ensure(bytes.len() >= rows * self.count, "length of histograms")?;
        let (bins, rest) = bytes.split_at(rows * self.count);
        *bytes = rest;
        let possible = |bin: &u8| usize::from(*bin) < BINS || u16::from(*bin) == NONE;
        ensure(bins.iter().all(possible), "bin")?;
        let mut row = vec![0; self.count];
        for bins in bins.chunks_exact(self.count) {
            row.iter_mut().zip(bins).for_each(|(bin, &byte)| *bin = u16::from(byte));
            self.learn(&row);
        }
        Ok(())
    }
}

/// ln of the width of a bin, in deviations; the outermost ones, which have no end, count as half as
/// far out.
fn ln_width(bin: usize) -> f32 {
    let reach = f64::from(super::REACH);
    let out = ((bin as f64 - reach - 1.0).abs() / reach).min(1.0 - 0.5 / reach);
    libm::log(f64::from(super::HALF) / (reach * (1.0 - out) * (1.0 - out))) as f32
}
