//! What a detector's definition lets pass although it is odd.

use domain::{
    Detector, Direction, Micros, Muted, QuietTime,
    encoding::{DecodeError, ensure, put, take},
};

use crate::scorer::{Assessment, Row};

/// Nobody has more quiet times.
const QUIET_MAX: usize = 100;

/// The limits of one detector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limits {
    direction: Direction,
    deviation_min: f64,
    deviation_share_min: f64,
    quiet: Box<[QuietTime]>,
}

impl Limits {
    pub(super) fn new(detector: &Detector) -> Self {
        Self {
            direction: detector.direction,
            deviation_min: detector.deviation_min,
            deviation_share_min: detector.deviation_share_min,
            quiet: detector.quiet.iter().take(QUIET_MAX).cloned().collect(),
        }
    }

    /// Why a row that was assessed is no anomaly, if it is none. The value that contributed most
    /// decides; where nothing was expected of it, its deviation is unknown and mutes nothing.
    pub(super) fn mutes(&self, row: Row<'_>, out: &Assessment) -> Option<Muted> {
        let deviation = out.deviation(row.values);
        let wrong_side = match self.direction {
            Direction::Both => false,
            Direction::Up => deviation < 0.0,
            Direction::Down => deviation > 0.0,
        };
        let least =
            self.deviation_min.max(self.deviation_share_min * out.expected[out.top().0].abs());
        if wrong_side {
            Some(Muted::Direction)
        } else if deviation.abs() < least {
            Some(Muted::Small)
        } else if self.is_quiet(row.at) {
            Some(Muted::Quiet)
        } else {
            None
        }
    }

    /// Whether this time of the wall clock lies in a quiet time.
    pub(super) fn is_quiet(&self, at: Micros) -> bool {
        self.quiet.iter().any(|time| time.holds(at))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let direction = match self.direction {
            Direction::Both => 0_u8,
            Direction::Up => 1,
            Direction::Down => 2,
        };
        put(&(direction, self.deviation_min, self.deviation_share_min), out);
        put(&(self.quiet.len() as u32), out);
        for time in &self.quiet {
            let days = time.days.iter().fold(0_u8, |days, day| days | 1 << (day % 8));
            put(&(days, time.from, time.until), out);
        }
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (direction, deviation_min, deviation_share_min) = take::<(u8, f64, f64)>(bytes)?;
        let direction = match direction {
            0 => Direction::Both,
            1 => Direction::Up,
            2 => Direction::Down,
            _ => return Err(DecodeError::Impossible("direction")),
        };
        for least in [deviation_min, deviation_share_min] {
            ensure((0.0..f64::INFINITY).contains(&least), "least deviation")?;
        }
        let count: u32 = take(bytes)?;
        ensure(count as usize <= QUIET_MAX, "number of quiet times")?;
        let quiet = (0..count).map(|_| {
            let (days, from, until) = take::<(u8, u16, u16)>(bytes)?;
            let days = (1..=7).filter(|day| days & (1 << day) != 0).collect();
            Ok(QuietTime { days, from, until })
        });
        let quiet = quiet.collect::<Result<_, DecodeError>>()?;
        Ok(Self { direction, deviation_min, deviation_share_min, quiet })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(change: impl FnOnce(&mut Detector)) -> Limits {
        let mut detector = Detector::implicit("s");
        change(&mut detector);
        let limits = Limits::new(&detector);
        let mut bytes = vec![];
        limits.encode(&mut bytes);
        assert_eq!(Limits::decode(&mut &bytes[..]).as_ref(), Ok(&limits));
        limits
    }

    fn mutes(limits: &Limits, value: f64, at: i64) -> Option<Muted> {
        let mut out = Assessment::default();
        out.prepare(2, 1);
        (out.contributions, out.expected) = (vec![0.2, 0.8], vec![0.0, 100.0]);
        limits.mutes(Row { values: &[7.0, value], at }, &out)
    }

    #[test]
    fn direction_size_and_time_mute() {
        let up = of(|d| d.direction = Direction::Up);
        assert_eq!((mutes(&up, 90.0, 0), mutes(&up, 110.0, 0)), (Some(Muted::Direction), None));
        let down = of(|d| d.direction = Direction::Down);
        assert_eq!((mutes(&down, 90.0, 0), mutes(&down, 110.0, 0)), (None, Some(Muted::Direction)));
        let large = of(|d| (d.deviation_min, d.deviation_share_min) = (5.0, 0.2));
        assert_eq!((mutes(&large, 119.0, 0), mutes(&large, 79.0, 0)), (Some(Muted::Small), None));
        let quiet = of(|d| d.quiet = vec![QuietTime { days: vec![4], from: 0, until: 60 }]);
        let hour = 3_600_000_000;
        assert_eq!((mutes(&quiet, 1e9, 0), mutes(&quiet, 1e9, hour)), (Some(Muted::Quiet), None));
        assert_eq!(mutes(&large, f64::NAN, 0), None, "an unknown deviation mutes nothing");
    }
}
