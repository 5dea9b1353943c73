//! The usual value at an hour of the day, or of a working day or weekend.

use domain::encoding::{DecodeError, ensure, put, take};

/// A bin says something once it was seen on so many days.
const DAYS: u8 = 2;
/// Later days count so much, earlier ones equally.
const DAY_RATE: f32 = 0.2;
const DAYS_EQUAL: u8 = 4;
/// On its first day a bin learns a row at least at this rate.
const FIRST_RATE: f32 = 0.3;
/// Seconds of an hour and of a day.
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// No usual value is larger.
const SIZE_MAX: f32 = 1e30;

/// Mean values by the clock: with 24 bins for each hour of the day, with 48 for each hour of working
/// days and then of weekends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Profile<const B: usize> {
    mean: [f32; B],
    /// On how many days a bin was seen.
    days: [u8; B],
    /// The last of them.
    last: [u16; B],
}

impl<const B: usize> Profile<B> {
    pub(super) fn new() -> Self {
        Self { mean: [0.0; B], days: [0; B], last: [u16::MAX; B] }
    }

    fn bin(seconds: i64) -> usize {
        let (day, hour) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY) / HOUR);
        // 1970-01-01 was a Thursday.
        let weekend = B > 24 && (day + 3).rem_euclid(7) >= 5;
        hour as usize + if weekend { 24 } else { 0 }
    }

    /// What is usual at this time of the wall clock, once it was seen on two days.
    pub(super) fn expected(&self, seconds: i64) -> Option<f32> {
        let bin = Self::bin(seconds);
        (self.days[bin] >= DAYS).then(|| self.mean[bin])
    }

    /// Learns a value; a day's rows of one bin count about `share`⁻¹ as one.
    pub(super) fn learn(&mut self, seconds: i64, x: f32, share: f32) {
        let bin = Self::bin(seconds);
        let today = seconds.div_euclid(DAY).rem_euclid(i64::from(u16::MAX)) as u16;
        if self.last[bin] != today {
            self.days[bin] = self.days[bin].saturating_add(1);
            self.last[bin] = today;
        }
        let days = self.days[bin];
        let rate = share * if days < DAYS_EQUAL { 1.0 / f32::from(days) } else { DAY_RATE };
        let rate = if days == 1 { rate.max(FIRST_RATE) } else { rate };
        self.mean[bin] += rate * (x - self.mean[bin]);
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for bin in 0..B {
            put(&self.days[bin], out);
            if self.days[bin] > 0 {
                put(&(self.mean[bin], self.last[bin]), out);
            }
        }
    }

    /// Puts what [`encode`](Self::encode) appended into a new one.
    pub(super) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        for bin in 0..B {
            self.days[bin] = take(bytes)?;
            if self.days[bin] > 0 {
                (self.mean[bin], self.last[bin]) = take(bytes)?;
                ensure(self.mean[bin].abs() <= SIZE_MAX, "usual value")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_known_after_two_days_and_weekends_are_apart() {
        let mut hours = Profile::<24>::new();
        let mut week = Profile::<48>::new();
        // Thursday to Tuesday, a row an hour; 10 at work, 2 at weekends.
        for hour in 0..6 * 24 {
            let (seconds, weekend) = (hour * HOUR, (48..96).contains(&hour));
            let x = if weekend { 2.0 } else { 10.0 };
            assert_eq!(hours.expected(seconds).is_some(), hour >= 48);
            hours.learn(seconds, x, 1.0);
            week.learn(seconds, x, 1.0);
        }
        assert_eq!(week.expected(7 * DAY), Some(10.0), "the next Thursday");
        assert_eq!(week.expected(9 * DAY + HOUR), Some(2.0), "the next Saturday");
        let mixed = hours.expected(9 * DAY).expect("known");
        assert!((2.0..10.0).contains(&mixed), "{mixed}");
    }
}
