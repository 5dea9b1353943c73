//! What keeps one happening from alarming twice, and a series that alarms all the time from being
//! heard as loudly as one that never does.
//!
//! After an alarm a rest falls from above its surprise to nothing: within it, only what is clearly
//! more surprising alarms again. And each alarm of late makes the next one harder. The score knows
//! nothing of either; they decide only whether an anomaly opens.

use domain::{
    Detector,
    encoding::{DecodeError, ensure, put, take},
};

/// Right after an alarm, only a surprise so many times as large alarms again.
const REOPEN: f64 = 1.45;
/// Rows after which an alarm counts 1/e for the next ones.
const ALARM_ROWS: f64 = 9_000.0;
/// No surprise is larger.
const SURPRISE_MAX: f64 = 1e6;

/// How a row stands towards an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    /// In [0, 1), comparable between series: 0.5 at the threshold, 0 within the rest.
    pub alert: f64,
    /// Whether the row lies within the rest after an alarm.
    pub rests: bool,
}

/// The alarms of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Habituation {
    /// By how much the rest falls a row.
    fall: f64,
    /// By how much each alarm of late makes the next one harder.
    habit: f64,
    /// Surprises up to here are part of the last alarm.
    rest: f64,
    /// Alarms of late.
    alarms: f64,
}

impl Habituation {
    /// No alarm yet.
    pub fn new(detector: &Detector) -> Self {
        // Equal happenings may alarm again after the rest.
        let rows = f64::from(detector.rest_rows).max(1e-3);
        let fall = libm::exp(-libm::log(REOPEN) / rows);
        Self { fall, habit: detector.habituation, rest: 0.0, alarms: 0.0 }
    }

    /// Takes a changed definition; alarms of late stay.
    pub fn reconfigure(&mut self, detector: &Detector) {
        let Self { fall, habit, .. } = Self::new(detector);
        (self.fall, self.habit) = (fall, habit);
    }

    /// How a row of this surprise stands, with a threshold at the surprise `bar`.
    pub fn judge(&self, surprise: f64, bar: f64) -> Alarm {
        let rests = surprise <= self.rest * self.fall;
        let heard = surprise / (1.0 + self.habit * self.alarms);
        let alert = if rests { 0.0 } else { heard / (heard + bar) };
        Alarm { alert, rests }
    }

    /// Learns a row: its surprise, and whether it alarmed.
    pub fn learn(&mut self, surprise: f64, alarm: Alarm) {
        self.rest *= self.fall;
        self.alarms *= 1.0 - 1.0 / ALARM_ROWS;
        if !alarm.rests {
            self.rest = REOPEN * surprise.min(SURPRISE_MAX);
            if alarm.alert >= 0.5 {
                self.alarms += 1.0;
            }
        }
    }

    /// Appends all of it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.fall, self.habit, self.rest, self.alarms), out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (fall, habit, rest, alarms) = take(bytes)?;
        let new = Self { fall, habit, rest, alarms };
        ensure((0.0..=1.0).contains(&fall), "fall of a rest")?;
        ensure((0.0..f64::INFINITY).contains(&habit), "habituation")?;
        ensure((0.0..=REOPEN * SURPRISE_MAX).contains(&rest), "rest")?;
        ensure((0.0..=2.0 * ALARM_ROWS).contains(&alarms), "alarms of late")?;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(it: &mut Habituation, surprise: f64) -> f64 {
        let alarm = it.judge(surprise, 4.0);
        it.learn(surprise, alarm);
        alarm.alert
    }

    #[test]
    fn a_rest_falls_and_alarms_add_up() {
        let mut detector = Detector::implicit("s");
        (detector.rest_rows, detector.habituation) = (10, 0.1);
        let mut it = Habituation::new(&detector);
        assert_eq!(step(&mut it, 4.0), 0.5);
        let quiet = (0..12).take_while(|_| step(&mut it, 3.9) == 0.0).count();
        assert!((9..=11).contains(&quiet), "rows of rest: {quiet}");
        assert!(step(&mut it, 12.0) > 0.7, "what is clearly worse alarms at once");
        let fresh = Habituation::new(&detector).judge(40.0, 4.0).alert;
        assert!(it.judge(40.0, 4.0).alert < fresh, "alarms make the next one harder");
        for _ in 0..50_000 {
            step(&mut it, 0.0);
        }
        assert!((it.judge(40.0, 4.0).alert - fresh).abs() < 1e-3, "and are forgotten");
    }
}
