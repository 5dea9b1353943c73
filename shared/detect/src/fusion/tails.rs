//! How far out each value is by its own habit: from where its tail begins, and how fast it falls. A value that
//! is wild by habit must not hide a calm one that breaks.

use domain::encoding::{DecodeError, ensure, put, take};

/// The share of rows in a tail.
const SHARE: f64 = 0.005;
/// A row in the tail moves its beginning by so much, in levels; all others together move it back.
const STEP: f64 = 0.1;
/// And by such a share of how far it is in it, so that a habit of rare bursts is known after some of them.
const REACH: f64 = 0.25;
/// A row's share in the mean excess.
const RATE: f64 = 0.1;
/// An excess counts as so much at most.
const EXCESS_MAX: f64 = 1.0;
/// What is believed at first: from about a normal law's 3.5 deviations on, with a heavier tail.
const BELIEVED: Tail = Tail { start: 4.5, excess: 0.2, burst: 0.0 };
/// Where a tail can begin, as 1 + units of deviation, and bounds of its mean excess.
const START: (f64, f64) = (2.2, 1.1e6);
const EXCESS: (f64, f64) = (0.08, 0.5);

/// Longer bursts are learned row by row.
const RUN_MAX: u32 = 64;
/// What comes after the tails takes no deviation for larger.
const CLIPPED: f64 = 3.0;

/// An exponential tail of levels.
#[derive(Clone, Debug, PartialEq)]
struct Tail {
    /// 1 + the units of deviation from which on it is the tail: no logarithm tells the body from it.
    start: f32,
    /// Mean excess of levels.
    excess: f32,
    /// 1 + the largest deviation of a burst that is not over, or 0.
    burst: f32,
}

impl Tail {
    /// By how many levels 1 + a deviation is in the tail.
    fn excess_of(&self, far: f64) -> f64 {
        libm::log(far / f64::from(self.start)).max(0.0)
    }

    fn learn_burst(&mut self) {
        let beyond = self.excess_of(f64::from(self.burst));
        let moved = f64::from(self.excess);
        let moved = moved + RATE * (beyond.min(EXCESS_MAX) - moved);
        self.excess = moved.clamp(EXCESS.0, EXCESS.1) as f32;
        let moved = f64::from(self.start) * libm::exp(STEP + REACH * beyond);
        self.start = moved.min(START.1) as f32;
        self.burst = 0.0;
    }
}

/// The tails of all values of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tails {
    tails: Box<[Tail]>,
    /// Rows in a row of which a value was far out.
    run: u32,
}

impl Tails {
    pub(super) fn new(values: usize) -> Self {
        Self { tails: vec![BELIEVED; values].into(), run: 0 }
    }

    pub(super) fn bytes(values: usize) -> usize {
        values * size_of::<Tail>()
    }

    /// How far out a deviation of the value of this number is: minus ln of the chance in its tail, 0 in its body.
    pub(super) fn beyond(&self, value: usize, deviation: f64) -> f64 {
        let (tail, far) = (&self.tails[value], 1.0 + deviation.abs());
        // The positive form: a missing value is nowhere.
        if far > f64::from(tail.start) { tail.excess_of(far) / f64::from(tail.excess) } else { 0.0 }
    }

    /// How far out the farthest deviation is. Adds each value's to `parts`. Clips the deviations, so that what
    /// comes after judges by how they fit together.
    pub(super) fn clip(&self, deviations: &mut [f64], parts: &mut [f64]) -> f64 {
        let mut farthest = 0.0_f64;
        for (value, (z, part)) in deviations.iter_mut().zip(parts).enumerate() {
            let beyond = self.beyond(value, *z);
            *part += beyond;
            farthest = farthest.max(beyond);
            *z = z.clamp(-CLIPPED, CLIPPED);
        }
        farthest
    }

    /// Learns deviations as they were before [`clip`](Self::clip). A burst of `far` ones is one happening, and
    /// learned when it is over: its second row is as much news as the first. What does not end is no burst.
    pub(super) fn learn(&mut self, deviations: impl Iterator<Item = f64>, far: bool) {
        self.run = if far { self.run.saturating_add(1) } else { 0 };
        let over = !far || self.run > RUN_MAX;
        for (tail, z) in self.tails.iter_mut().zip(deviations) {
            let (far, start) = (1.0 + z.abs(), f64::from(tail.start));
            if far > start {
                tail.burst = tail.burst.max(far as f32);
            } else if far <= start {
                tail.start = (start * (1.0 - STEP * SHARE / (1.0 - SHARE))).max(START.0) as f32;
            }
            if over && tail.burst > 0.0 {
                tail.learn_burst();
            }
        }
    }

    /// Appends what was learned.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.run, out);
        self.tails.iter().for_each(|tail| put(&(tail.start, tail.excess, tail.burst), out));
    }

    /// Puts what [`encode`](Self::encode) appended into new ones of as many values.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.run = take(bytes)?;
        for tail in &mut self.tails {
            (tail.start, tail.excess, tail.burst) = take(bytes)?;
            let within = |value: f32, (least, most): (f64, f64)| {
                (least as f32..=most as f32).contains(&value)
            };
            ensure(within(tail.start, START), "beginning of a tail")?;
            ensure(within(tail.excess, EXCESS), "excess")?;
            ensure(within(tail.burst, (0.0, START.1)), "deviation of a burst")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(tails: &Tails, row: [f64; 2]) -> f64 {
        tails.clip(&mut row.clone(), &mut [0.0; 2])
    }

    #[test]
    fn a_habit_is_no_news_and_hides_nothing() {
        let mut tails = Tails::new(2);
        let news = far(&tails, [20.0, 0.0]);
        assert!(news > 7.0 && far(&tails, [0.0, f64::NAN]) == 0.0);
        // One in fifty is far out in the first value.
        for row in 0..5000 {
            let row = [if row % 50 == 0 { 20.0 } else { 1.0 }, f64::from(row % 3)];
            tails.learn(row.into_iter(), far(&tails, row) > 1.0);
        }
        assert!(far(&tails, [20.0, 0.0]) < 1.0 && far(&tails, [0.0, 20.0]) > news);
        let mut row = [0.5, -20.0];
        tails.clip(&mut row, &mut [0.0; 2]);
        assert_eq!(row, [0.5, -CLIPPED]);
    }

    #[test]
    fn a_burst_is_one_happening() {
        let mut tails = Tails::new(1);
        let news = tails.beyond(0, 50.0);
        (0..30).for_each(|_| tails.learn([50.0].into_iter(), true));
        assert_eq!(tails.beyond(0, 50.0), news);
        tails.learn([0.0].into_iter(), false);
        let next = tails.beyond(0, 50.0);
        assert!((0.4 * news..0.8 * news).contains(&next), "{news} {next}");
    }
}
