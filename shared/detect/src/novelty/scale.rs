//! The scale of a feature: in which differences are near or far.

use domain::encoding::{DecodeError, ensure, put, take};

use super::{SIZE_MAX, Settings};

/// Weights are made anew on a new extreme, and after so many rows.
const STALE: u16 = 16;
/// The mean and the mean deviation look back over so many rows.
const HORIZON: f32 = 2_000.0;
/// A range that is younger than so many rows takes any extreme as it is.
const YOUNG: u16 = 30;
/// So many mean deviations are about as wide as a range.
const RANGE_DEVIATIONS: f32 = 8.0;
/// A row so far within the range, as a share of it, lets the edge creep.
const WITHIN: f32 = 0.1;
/// No weight is larger, so that none turns a distance into NaN.
const WEIGHT_MAX: f32 = 1e30;
/// No bound, mean or deviation is larger.
const NUMBER_MAX: f32 = 4.0 * SIZE_MAX;

/// The range and deviation of a feature of `W` numbers, and the weights that follow from them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale<const W: usize> {
    /// Counts rows, and is halved when it is full.
    pub(super) clock: u16,
    stale: u16,
    low: [f32; W],
    high: [f32; W],
    mean: [f32; W],
    deviation: [f32; W],
    /// What turns a difference into its part of the distance in radii.
    pub(super) weight: [f32; W],
}

impl<const W: usize> Scale<W> {
    pub(super) fn new() -> Self {
        Self {
            clock: 0,
            stale: 0,
            low: [f32::INFINITY; W],
            high: [f32::NEG_INFINITY; W],
            mean: [0.0; W],
            deviation: [0.0; W],
            weight: [0.0; W],
        }
    }

    /// The range of the feature's first number.
    pub(super) fn span(&self) -> f32 {
        (self.high[0] - self.low[0]).max(0.0)
    }

    /// How far the feature's first number lies outside of its range, in ranges.
    pub(super) fn beyond(&self, x: f32, floor: f32) -> f32 {
        let outside = (self.low[0] - x).max(x - self.high[0]).max(0.0);
        let range = self.span().max(floor);
        if outside > 0.0 && range > 0.0 { outside / range } else { 0.0 }
    }

    /// The mean distance of the feature's first number from its mean.
    pub(super) fn deviation(&self) -> f32 {
        self.deviation[0]
    }

    /// The scale with one feature more, which stands for `stride` rows. `floor` is the least scale.
    pub(super) fn with(
        &self,
        feature: &[f32; W],
        settings: &Settings,
        floor: f32,
        stride: f32,
    ) -> Self {
        let mut with = *self;
        for (j, &x) in feature.iter().enumerate() {
            with.stretch(j, x, settings, stride);
        }
        with.clock = if self.clock == u16::MAX { u16::MAX / 2 } else { self.clock } + 1;
        let rate = (1.0 / f32::from(with.clock)).max(1.0 / HORIZON);
        for (j, &x) in feature.iter().enumerate() {
            with.mean[j] += rate * (x - with.mean[j]);
            let far = (x - with.mean[j]).abs().min(with.high[j] - with.low[j]);
            with.deviation[j] += rate * (far - with.deviation[j]);
        }
        if with.stale == 0 {
            with.weight = std::array::from_fn(|j| with.weigh(j, settings, floor));
            with.stale = STALE;
        }
        with.stale -= 1;
        with
    }

    /// Takes a number into its range, of which an edge creeps inwards while numbers are far from
    /// it. A range widens by no more than some ranges: a broken value of 1e12 must not blind a
    /// series.
    fn stretch(&mut self, j: usize, x: f32, settings: &Settings, stride: f32) {
        let range = self.high[j] - self.low[j];
        if range < 0.0 {
            (self.low[j], self.high[j]) = (x, x);
            return;
        }
        let step = range * stride / settings.creep;
        if x > self.low[j] + WITHIN * range {
            self.low[j] += step;
        }
        if x < self.high[j] - WITHIN * range {
            self.high[j] -= step;
        }
        let bounded = self.clock > YOUNG && range > 0.0;
        let most = if bounded { settings.widen * range } else { f32::INFINITY };
        if x < self.low[j] {
            self.low[j] = x.max(self.low[j] - most);
            self.stale = 0;
        }
        if x > self.high[j] {
            self.high[j] = x.min(self.high[j] + most);
            self.stale = 0;
        }
    }

    /// One over the range in radii, tempered by the mean deviation, which a few extremes don't
    /// carry away.
    fn weigh(&self, j: usize, settings: &Settings, floor: f32) -> f32 {
        let range = (self.high[j] - self.low[j]).max(floor);
        let spread = (RANGE_DEVIATIONS * self.deviation[j]).max(floor);
        let scale = if 0.0 < spread && spread < range {
            range * libm::powf(spread / range, settings.blend)
        } else {
            range
        };
        // Of a constant nothing is near or far.
        let radius = scale * W as f32 * settings.radius;
        if radius > 0.0 { (1.0 / radius).min(WEIGHT_MAX) } else { 0.0 }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.clock, self.stale), out);
        if self.clock > 0 {
            for numbers in [&self.low, &self.high, &self.mean, &self.deviation, &self.weight] {
                numbers.iter().for_each(|number| put(number, out));
            }
        }
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut new = Self::new();
        (new.clock, new.stale) = take(bytes)?;
        ensure(new.stale < STALE, "age of a scale")?;
        if new.clock == 0 {
            return Ok(new);
        }
        let all = [&mut new.low, &mut new.high, &mut new.mean, &mut new.deviation, &mut new.weight];
        for number in all.into_iter().flatten() {
            *number = take(bytes)?;
        }
        for j in 0..W {
            let within = |x: f32| x.abs() <= NUMBER_MAX;
            ensure(within(new.low[j]) && within(new.high[j]), "range")?;
            // Both edges creep in one row, so they may just have crossed.
            ensure(
                new.low[j] <= new.high[j] + 0.5 * new.high[j].abs().max(new.low[j].abs()),
                "range",
            )?;
            ensure(within(new.mean[j]) && within(new.deviation[j]), "mean or deviation")?;
            ensure((0.0..=WEIGHT_MAX).contains(&new.weight[j]), "weight")?;
        }
        Ok(new)
    }
}
