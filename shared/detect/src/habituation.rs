//! What keeps one happening from alarming twice, and a series that alarms all the time from being
//! heard as loudly as one that never does.
//!
//! After a peak, only what is clearly stronger counts for some rows, then anything does again. And
//! each alarm of late makes the next one harder. The score knows nothing of either; they decide
//! only whether an anomaly opens.

use domain::{
    Detector,
    encoding::{DecodeError, ensure, put, take},
};

/// Within the rest, only a strength so many times as large counts again.
const REOPEN: f64 = 1.384;
/// A value that deviates more than so many times as far is not the same happening, whatever the
/// model has come to think of deviations.
const FARTHER: f64 = 2.0;
/// Rows after which an alarm counts 1/e for the next ones.
const ALARM_ROWS: f64 = 8_520.0;
/// No strength is larger: levels of hundreds stand for more than a double can hold.
const STRENGTH_MAX: f64 = 1e30;
/// Nor is heard as more, so that an alert stays below 1.
const HEARD_MAX: f64 = 1e15;

/// How a row stands towards an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    /// In [0, 1), comparable between series: 0.5 at a strength of 1, less the more alarms there were
    /// of late, 0 if a peak short before was about as strong.
    pub alert: f64,
    /// Whether an anomaly that opened short before was about as strong.
    pub rests: bool,
}

/// A row that was stronger than those about it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Peak {
    strength: f64,
    /// How far the value was from what was expected, in its unit; infinite if unknown.
    deviation: f64,
    /// Rows since.
    age: u32,
}

impl Peak {
    fn covers(&self, strength: f64, rest_rows: u32) -> bool {
        self.age < rest_rows && strength <= REOPEN * self.strength
    }
}

/// The alarms of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Habituation {
    rest_rows: u32,
    /// By how much each alarm of late makes the next one harder.
    habit: f64,
    /// The last peak, and the last one at which an anomaly opened.
    peak: Peak,
    opened: Peak,
    /// Peaks with an alert of 0.5 or more, of late.
    alarms: f64,
    /// Anomalies that opened, of late.
    anomalies: f64,
}

impl Habituation {
    /// No alarm yet.
    pub fn new(detector: &Detector) -> Self {
        let (rest_rows, habit) = (detector.rest_rows, detector.habituation);
        Self {
            rest_rows,
            habit,
            peak: Peak::default(),
            opened: Peak::default(),
            alarms: 0.0,
            anomalies: 0.0,
        }
    }

    /// Takes a changed definition; alarms of late stay.
    pub fn reconfigure(&mut self, detector: &Detector) {
        (self.rest_rows, self.habit) = (detector.rest_rows, detector.habituation);
    }

    /// By how much anomalies of late make a strength smaller.
    pub fn deafness(&self) -> f64 {
        1.0 + self.habit * self.anomalies
    }

    /// How a row of this strength stands, of which the value that counts most deviates so far.
    pub fn judge(&self, strength: f64, deviation: f64) -> Alarm {
        let strength = strength.min(STRENGTH_MAX);
        let heard = (strength / (1.0 + self.habit * self.alarms)).min(HEARD_MAX);
        // Not if either is unknown.
        let is_farther = deviation > FARTHER * self.opened.deviation;
        let stands_out = !self.peak.covers(strength, self.rest_rows);
        Alarm {
            alert: if stands_out { heard / (heard + 1.0) } else { 0.0 },
            rests: self.opened.covers(strength, self.rest_rows) && !is_farther,
        }
    }

    /// Learns a row: its strength, how it was judged, and whether an anomaly opened at it.
    pub fn learn(&mut self, strength: f64, deviation: f64, judged: Alarm, opened: bool) {
        let strength = strength.min(STRENGTH_MAX);
        // Nothing is farther than what is not known.
        let deviation = if deviation.is_nan() { f64::INFINITY } else { deviation };
        self.alarms *= 1.0 - 1.0 / ALARM_ROWS;
        self.anomalies *= 1.0 - 1.0 / ALARM_ROWS;
        for peak in [&mut self.peak, &mut self.opened] {
            peak.age = peak.age.saturating_add(1);
        }
        if judged.alert > 0.0 {
            self.peak = Peak { strength, deviation, age: 0 };
            if judged.alert >= 0.5 {
                self.alarms += 1.0;
            }
        }
        if opened {
            self.opened = Peak { strength, deviation, age: 0 };
            self.anomalies += 1.0;
        }
    }

    /// Appends all of it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.rest_rows, self.habit, self.alarms, self.anomalies), out);
        for Peak { strength, deviation, age } in [self.peak, self.opened] {
            put(&(strength, deviation, age), out);
        }
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (rest_rows, habit, alarms, anomalies) = take(bytes)?;
        ensure((0.0..f64::INFINITY).contains(&habit), "habituation")?;
        for count in [alarms, anomalies] {
            ensure((0.0..=2.0 * ALARM_ROWS).contains(&count), "alarms of late")?;
        }
        let mut peak = || {
            let (strength, deviation, age) = take(bytes)?;
            ensure((0.0..=STRENGTH_MAX).contains(&strength), "strength of a peak")?;
            ensure((0.0..=f64::INFINITY).contains(&deviation), "deviation of a peak")?;
            Ok::<_, DecodeError>(Peak { strength, deviation, age })
        };
        Ok(Self { rest_rows, habit, peak: peak()?, opened: peak()?, alarms, anomalies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(it: &mut Habituation, strength: f64) -> Alarm {
        let judged = it.judge(strength, 1.0);
        it.learn(strength, 1.0, judged, strength >= 1.0 && !judged.rests);
        judged
    }

    #[test]
    fn an_anomaly_rests_and_alarms_add_up() {
        let mut detector = Detector::implicit("s");
        (detector.rest_rows, detector.habituation) = (10, 0.1);
        let mut it = Habituation::new(&detector);
        let first = step(&mut it, 1.0);
        assert!(first.alert == 0.5 && !first.rests);
        let quiet = (0..50).take_while(|_| step(&mut it, 1.2).rests).count();
        assert_eq!(quiet, 10);
        step(&mut it, 1.2);
        assert!(it.judge(1.2, 1.9).rests && !it.judge(1.2, 2.1).rests, "twice as far is another");
        assert!(step(&mut it, 4.0).alert > 0.7, "what is clearly stronger alarms at once");
        let fresh = Habituation::new(&detector).judge(9.0, 1.0).alert;
        assert!(it.judge(9.0, 1.0).alert < fresh, "alarms make the next one harder");
        for _ in 0..100_000 {
            step(&mut it, 0.0);
        }
        assert!((it.judge(9.0, 1.0).alert - fresh).abs() < 1e-3, "and are forgotten");
    }

    #[test]
    fn the_strongest_there_is_alarms_once() {
        let mut detector = Detector::implicit("s");
        detector.rest_rows = 10;
        let mut it = Habituation::new(&detector);
        let first = step(&mut it, f64::INFINITY);
        assert!((0.9..1.0).contains(&first.alert) && !first.rests, "{first:?}");
        let next = step(&mut it, f64::INFINITY);
        assert!(next.alert == 0.0 && next.rests, "{next:?}");
    }

    #[test]
    fn a_peak_below_the_threshold_hides_no_anomaly() {
        let mut it = Habituation::new(&Detector::implicit("s"));
        step(&mut it, 0.9);
        let alarm = it.judge(1.1, 1.0);
        assert!(!alarm.rests && alarm.alert == 0.0, "{alarm:?}");
    }
}
