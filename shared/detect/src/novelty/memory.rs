//! A bounded memory of what a feature has looked like.

use domain::encoding::{DecodeError, ensure, put, take};

use super::{SIZE_MAX, Settings, scale::Scale};

/// Where a prototype lies that is not in use: farther than any feature.
const NOWHERE: f32 = 1e30;

/// Distances that are compared side by side; memories hold a multiple of it.
const LANES: usize = 8;

/// What a memory says of a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look<const W: usize> {
    feature: [f32; W],
    /// The scale with it.
    scale: Scale<W>,
    distance: f32,
    /// The nearest prototype.
    nearest: u8,
}

impl<const W: usize> Look<W> {
    /// The distance to the nearest prototype, in radii; 0 if there is none.
    pub(super) fn distance(&self) -> f32 {
        self.distance
    }
}

/// Up to `K` prototypes of a feature of `W` numbers; the one visited longest ago makes room. At most
/// 64, since the number of the nearest one takes the lowest six bits of its distance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Memory<const W: usize, const K: usize> {
    prototypes: [[f32; K]; W],
    /// The scale's clock at the last visit.
    visited: [u16; K],
    used: u16,
    scale: Scale<W>,
}

impl<const W: usize, const K: usize> Memory<W, K> {
    pub(super) fn new() -> Self {
        Self { prototypes: [[NOWHERE; K]; W], visited: [0; K], used: 0, scale: Scale::new() }
    }

    /// The feature's scale.
    pub(super) fn scale(&self) -> &Scale<W> {
        &self.scale
    }

    /// Compares a feature, which stands for `stride` rows, with the prototypes. `floor` is the least
    /// scale.
    pub(super) fn look(
        &self,
        feature: [f32; W],
        settings: &Settings,
        floor: f32,
        stride: f32,
    ) -> Look<W> {
        let scale = self.scale.with(&feature, settings, floor, stride);
        let mut distances = [0_f32; K];
        for ((x, weight), prototypes) in feature.iter().zip(scale.weight).zip(&self.prototypes) {
            for (distance, prototype) in distances.iter_mut().zip(prototypes) {
                *distance += (x - prototype).abs() * weight;
            }
        }
        // Distances are positive, so their bits rise with them; the number rides in the lowest.
        let keys: [i32; K] = std::array::from_fn(|number| {
            (distances[number].to_bits() as i32 & !63) | number as i32
        });
        let mut least = [i32::MAX; LANES];
        for keys in keys.chunks_exact(LANES) {
            for (least, key) in least.iter_mut().zip(keys) {
                *least = if key < least { *key } else { *least };
            }
        }
        let least = least.into_iter().fold(i32::MAX, i32::min);
        let nearest = (least & 63) as u8;
        let distance = if self.used == 0 { 0.0 } else { distances[usize::from(nearest)] };
        Look { feature, scale, distance, nearest }
    }

    /// Learns a feature that was looked at. The nearest prototype moves towards it at a `rate`, if it
    /// is near.
    pub(super) fn learn(&mut self, look: &Look<W>, rate: f32) {
        if self.scale.clock == u16::MAX {
            self.visited.iter_mut().for_each(|visit| *visit /= 2);
        }
        self.scale = look.scale;
        let mut place = usize::from(look.nearest);
        let is_near = self.used > 0 && look.distance <= 1.0;
        if !is_near && usize::from(self.used) < K {
            place = usize::from(self.used);
            self.used += 1;
        } else if !is_near {
            let visits = self.visited.iter().enumerate();
            place = visits.min_by_key(|(_, visit)| **visit).map_or(0, |(place, _)| place);
        }
        for (prototypes, x) in self.prototypes.iter_mut().zip(look.feature) {
            let prototype = &mut prototypes[place];
            *prototype = if is_near { *prototype + rate * (x - *prototype) } else { x };
        }
        self.visited[place] = self.scale.clock;
    }

    /// The nearest prototype to a feature that was looked at.
    pub(super) fn nearest(&self, look: &Look<W>) -> Option<[f32; W]> {
        let place = usize::from(look.nearest);
        (self.used > 0).then(|| std::array::from_fn(|number| self.prototypes[number][place]))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.scale.encode(out);
        put(&self.used, out);
        let used = usize::from(self.used);
        for numbers in &self.prototypes {
            numbers[..used].iter().for_each(|number| put(number, out));
        }
        self.visited[..used].iter().for_each(|visit| put(visit, out));
    }

    /// Puts what [`encode`](Self::encode) appended into a new one.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.scale = Scale::decode(bytes)?;
        self.used = take(bytes)?;
        let used = usize::from(self.used);
        ensure(used <= K && self.used <= self.scale.clock, "number of prototypes")?;
        ensure((used == 0) == (self.scale.clock == 0), "number of prototypes")?;
        for numbers in &mut self.prototypes {
            for number in &mut numbers[..used] {
                *number = take(bytes)?;
                ensure(number.abs() <= SIZE_MAX, "prototype")?;
            }
        }
        for visit in &mut self.visited[..used] {
            *visit = take(bytes)?;
            ensure(*visit <= self.scale.clock, "visit of a prototype")?;
        }
        Ok(())
    }
}
