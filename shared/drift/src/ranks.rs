//! Where a number stands among all before it. The rank of the newest of exchangeable numbers is uniform and
//! independent of the ranks before it, whatever their distribution (Barnard 1963, on Monte Carlo tests; Rényi
//! 1962, on records), so what is made of ranks needs no scale and fears no heavy tail.
//!
//! The numbers are kept as some weighted centroids, fine at the ends and coarse in the middle, and half as many
//! that are yet to be merged (Dunning & Ertl 2019: "Computing extremely accurate quantiles using
//! t-digests"). A number that came often stays a centroid of its own, so that ties are known as ties.

use domain::encoding::{DecodeError, ensure, put, take};

/// A centroid at place q in [0, 1] holds at most so many times the share sqrt(q (1 - q)) of all, and, at the ends,
/// so many times q (1 - q): the ends decide how far a score can go. If there are more than fit, both grow.
const SHARE: (f64, f64) = (0.13, 0.7);
/// Above it a weight stays as it is, and the centroid's share falls.
const WEIGHT_MAX: u32 = 1 << 30;

/// Centroids, and numbers that wait, at most: more than any [`Ranks`] has.
const PLACES: usize = 96;

/// All numbers so far, as at most `C` centroids and `F` numbers that wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ranks<const C: usize = 64, const F: usize = 32> {
    centroids: [Centroid; C],
    fresh: [f32; F],
    len: u8,
    fresh_len: u8,
    /// Sum of the centroids' weights.
    weight: f64,
}

/// Some numbers next to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Centroid {
    mean: f32,
    /// How many there are, and in the highest bit whether they differ.
    weight: u32,
}

/// The highest bit of a weight: not all numbers are equal.
const DIFFER: u32 = 1 << 31;

impl<const C: usize, const F: usize> Default for Ranks<C, F> {
    fn default() -> Self {
        const { assert!(C + F <= PLACES) };
        let (centroids, fresh) = ([Centroid::default(); C], [0.0; F]);
        Self { centroids, len: 0, fresh, fresh_len: 0, weight: 0.0 }
    }
}

impl<const C: usize, const F: usize> Ranks<C, F> {
    /// How many numbers there were.
    pub(crate) fn rows(&self) -> f64 {
        self.weight + f64::from(self.fresh_len)
    }

    /// The place of a finite number among all so far and itself, in (0, 1): `at` in (0, 1) places it among its
    /// ties.
    pub(crate) fn place(&self, number: f32, at: f64) -> f64 {
        let (mut below, mut equal) = self.among_centroids(number);
        for &fresh in self.waiting() {
            below += f64::from(u8::from(fresh < number));
            equal += f64::from(u8::from(fresh == number));
        }
        (below + at * (equal + 1.0)) / (self.rows() + 1.0)
    }

    /// How many of the centroids' numbers are less, and how many equal.
    fn among_centroids(&self, number: f32) -> (f64, f64) {
        let all = self.merged();
        let place = all.partition_point(|centroid| centroid.mean < number);
        let before: f64 = all[..place].iter().map(|centroid| centroid.count()).sum();
        let Some(right) = all.get(place) else {
            return (before, 0.0);
        };
        if right.mean == number {
            let weight = right.count();
            return if right.is_tie() { (before, weight) } else { (before + 0.5 * weight, 0.0) };
        }
        let Some(left) = place.checked_sub(1).map(|at| all[at]) else {
            return (0.0, 0.0);
        };
        let low = before - left.spread_above();
        let high = before + right.spread_above();
        let share = f64::from(number - left.mean) / f64::from(right.mean - left.mean);
        (low + share * (high - low), 0.0)
    }

    fn merged(&self) -> &[Centroid] {
        &self.centroids[..usize::from(self.len)]
    }

    fn waiting(&self) -> &[f32] {
        &self.fresh[..usize::from(self.fresh_len)]
    }

    /// Takes a finite number in.
    pub(crate) fn learn(&mut self, number: f32) {
        self.fresh[usize::from(self.fresh_len)] = number;
        self.fresh_len += 1;
        if usize::from(self.fresh_len) == F {
            self.merge();
        }
    }

    /// The number below which this share of all lies; NaN of none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut all = self.clone();
        all.merge();
        let wanted = share * all.weight;
        let (mut before, mut last) = (0.0, (0.0, f64::NAN));
        for centroid in all.merged() {
            let (weight, mean) = (centroid.count(), f64::from(centroid.mean));
            let middle = before + 0.5 * weight;
            let inside = centroid.is_tie() && before <= wanted && wanted <= before + weight;
            if inside || (middle >= wanted && last.1.is_nan()) {
                return mean;
            }
            if middle >= wanted {
                let share = (wanted - last.0) / (middle - last.0);
                return last.1 + share * (mean - last.1);
            }
            before += weight;
            last = (if centroid.is_tie() { before } else { middle }, mean);
        }
        last.1
    }

    /// Puts the numbers that wait among the centroids.
    fn merge(&mut self) {
        let mut all = [Centroid::default(); PLACES];
        let fresh = &mut self.fresh[..usize::from(self.fresh_len)];
        fresh.sort_unstable_by(f32::total_cmp);
        let (mut count, mut next) = (0, 0);
        let mut append = |new: Centroid| match all[..count].last_mut() {
            Some(last) if last.mean == new.mean => last.absorb(new),
            _ => {
                all[count] = new;
                count += 1;
            }
        };
        for centroid in &self.centroids[..usize::from(self.len)] {
            while next < fresh.len() && fresh[next] < centroid.mean {
                append(Centroid { mean: fresh[next], weight: 1 });
                next += 1;
            }
            append(*centroid);
        }
        fresh[next..].iter().for_each(|&mean| append(Centroid { mean, weight: 1 }));
        self.fresh_len = 0;
        // As many as fit 64 with shares of these sizes.
        let mut slack = 64.0 / C as f64;
        while count > C {
            count = compress(&mut all[..count], slack);
            slack *= 1.2;
        }
        self.centroids[..count].copy_from_slice(&all[..count]);
        self.centroids[count..].fill(Centroid::default());
        self.len = count as u8;
        self.weight = all[..count].iter().map(|centroid| centroid.count()).sum();
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.len, self.fresh_len), out);
        for Centroid { mean, weight } in self.merged() {
            put(&(mean, weight), out);
        }
        self.waiting().iter().for_each(|number| put(number, out));
    }

    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut ranks = Self::default();
        (ranks.len, ranks.fresh_len) = take(bytes)?;
        let (len, fresh_len) = (usize::from(ranks.len), usize::from(ranks.fresh_len));
        ensure(len <= C && fresh_len < F, "number of ranked numbers")?;
        let mut last = f32::NEG_INFINITY;
        for centroid in &mut ranks.centroids[..len] {
            let (mean, weight): (f32, u32) = take(bytes)?;
            ensure(last < mean && mean < f32::INFINITY, "order of ranked numbers")?;
            ensure((1..=WEIGHT_MAX).contains(&(weight & !DIFFER)), "weight of ranked numbers")?;
            (*centroid, last) = (Centroid { mean, weight }, mean);
            ranks.weight += centroid.count();
        }
        for number in &mut ranks.fresh[..fresh_len] {
            *number = take(bytes)?;
            ensure(number.is_finite(), "ranked number")?;
        }
        Ok(ranks)
    }
}

impl Centroid {
    /// How many numbers it holds.
    fn count(self) -> f64 {
        f64::from(self.weight & !DIFFER)
    }

    /// Whether they are all equal.
    fn is_tie(self) -> bool {
        self.weight & DIFFER == 0
    }

    /// How many of its numbers may lie above its mean.
    fn spread_above(self) -> f64 {
        if self.is_tie() { 0.0 } else { 0.5 * self.count() }
    }

    /// Takes in one whose mean is not less.
    fn absorb(&mut self, other: Self) {
        let weight = (self.weight & !DIFFER) + (other.weight & !DIFFER);
        let differ = if self.mean < other.mean { DIFFER } else { self.weight | other.weight };
        let share = other.count() / (self.count() + other.count());
        let mean = f64::from(self.mean) + share * (f64::from(other.mean) - f64::from(self.mean));
        self.mean = (mean as f32).clamp(self.mean, other.mean);
        self.weight = weight.min(WEIGHT_MAX) | (differ & DIFFER);
    }
}

/// Merges neighbours that together hold less than their share; returns how many are left, at the front.
fn compress(all: &mut [Centroid], slack: f64) -> usize {
    let total: f64 = all.iter().map(|centroid| centroid.count()).sum();
    let (mut end, mut before) = (0, 0.0);
    for at in 1..all.len() {
        let (current, next) = (all[end], all[at]);
        let both = current.count() + next.count();
        let place = (before + 0.5 * both) / total;
        let square = (place * (1.0 - place)).max(0.0);
        if both <= slack * total * (SHARE.0 * square.sqrt()).min(SHARE.1 * square) {
            all[end].absorb(next);
        } else {
            before += current.count();
            end += 1;
            all[end] = next;
        }
    }
    // Rounding may have made two means equal.
    let mut kept = 0;
    for at in 1..=end {
        if all[at].mean == all[kept].mean {
            let next = all[at];
            all[kept].absorb(next);
        } else {
            kept += 1;
            all[kept] = all[at];
        }
    }
    kept + 1
}
