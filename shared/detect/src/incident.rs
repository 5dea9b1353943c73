//! One anomaly of a stretch of odd rows: opened, updated, cleared, with hysteresis. A pure state machine.

use domain::{
    Detector, LOG_TIME_END, LOG_TIME_NONE, Micros, Phase, Severity,
    encoding::{DecodeError, ensure, put, take, take_count},
};
use serde::{Deserialize, Serialize};

/// An open anomaly goes on while rows reach this share of the threshold at which it opened.
const CLEAR_BELOW: f64 = 0.8;
/// A score that exceeds the highest one told by so much is news.
const NEWS: f64 = 0.1;
/// No decoded anomaly has more steps or calm rows, so that counting on can't overflow.
const STEPS_MAX: u32 = u32::MAX / 2;

/// A step in an anomaly's life, for the world to hear.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Opened, updated or cleared.
    pub phase: Phase,
    /// Counts the steps of this anomaly from 1.
    pub revision: u32,
    /// The number of its first row, counting the series' learned rows from 1.
    pub first_row: u64,
    /// The number of the row of this step, likewise; for a silence, of the last row.
    pub row: u64,
    /// How many odd rows it has so far.
    pub rows: u64,
    /// The highest score so far.
    pub score_max: f64,
    /// The severity of the highest score.
    pub severity: Severity,
    /// The threshold at which it opened.
    pub threshold: f64,
    /// Whether it is cleared because the series fell silent.
    pub silent: bool,
}

/// Whether a series has an open anomaly, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    clear_after: u32,
    silence: Micros,
    open: Option<Open>,
    row: u64,
    last_at: Micros,
    /// Nothing comes any more, which is itself an anomaly.
    no_data: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Open {
    told: Transition,
    /// The highest score of the last step told.
    score_told: f64,
    quiet: u32,
}

impl Incident {
    /// No anomaly; clears as the definition says.
    pub fn new(detector: &Detector) -> Self {
        let silence = i64::try_from(detector.silence_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        Self {
            clear_after: detector.clear_after.max(1),
            silence,
            open: None,
            row: 0,
            last_at: LOG_TIME_NONE,
            no_data: false,
        }
    }

    /// Takes a changed definition; an open anomaly stays.
    pub fn reconfigure(&mut self, detector: &Detector) {
        let Self { clear_after, silence, .. } = Self::new(detector);
        (self.clear_after, self.silence) = (clear_after, silence);
    }

    /// Takes the next row in. `odd`: it is past the threshold and may open an anomaly.
    pub fn step(
        &mut self,
        score: f64,
        threshold: f64,
        odd: bool,
        at: Micros,
    ) -> Option<Transition> {
        self.row += 1;
        self.last_at = at;
        let row = self.row;
        if std::mem::take(&mut self.no_data) && !odd {
            // What was lacking is back.
            return self.end(false);
        }
        let Some(open) = &mut self.open else {
            return odd.then(|| self.begin(score, threshold));
        };
        let told = &mut open.told;
        told.row = row;
        if odd {
            told.rows += 1;
        }
        if !odd && score < CLEAR_BELOW * told.threshold {
            open.quiet += 1;
            return if open.quiet >= self.clear_after { self.end(false) } else { None };
        }
        open.quiet = 0;
        told.score_max = told.score_max.max(score);
        let severity = Severity::of(told.score_max);
        if odd && (severity > told.severity || told.score_max >= open.score_told + NEWS) {
            told.severity = severity;
            told.phase = Phase::Updated;
            told.revision += 1;
            open.score_told = told.score_max;
            return Some(*told);
        }
        None
    }

    /// Counts the next row, of which nothing is known: it neither opens nor clears.
    pub fn skip(&mut self, at: Micros) {
        self.row += 1;
        self.last_at = at;
    }

    /// Takes the row in that says that nothing comes any more: it opens an anomaly or goes on with one, which
    /// lasts until something comes.
    pub fn no_data(&mut self, score: f64, threshold: f64, at: Micros) -> Option<Transition> {
        let step = self.step(score, threshold, true, at);
        self.no_data = true;
        step
    }

    /// Clears an open anomaly if no row has come for the detector's `silence_ms` of log time. A last row from
    /// before log time was known counts from the first one that is.
    pub fn silence(&mut self, log_time: Micros) -> Option<Transition> {
        if self.last_at == LOG_TIME_NONE && log_time != LOG_TIME_END {
            self.last_at = log_time;
        }
        let silent = log_time.saturating_sub(self.last_at) >= self.silence && !self.no_data;
        if silent && self.open.is_some() { self.end(true) } else { None }
    }

    /// Clears an open anomaly of a series that is forgotten.
    pub fn forget(&mut self) -> Option<Transition> {
        self.end(true)
    }

    /// Whether an anomaly is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether an anomaly is open and the last row was part of it: past the threshold, or not far below.
    pub fn goes_on(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.quiet == 0)
    }

    fn begin(&mut self, score: f64, threshold: f64) -> Transition {
        let told = Transition {
            phase: Phase::Opened,
            revision: 1,
            first_row: self.row,
            row: self.row,
            rows: 1,
            score_max: score,
            severity: Severity::of(score),
            threshold,
            silent: false,
        };
        self.open = Some(Open { told, score_told: score, quiet: 0 });
        told
    }

    fn end(&mut self, silent: bool) -> Option<Transition> {
        let mut told = self.open.take()?.told;
        told.row = self.row;
        told.phase = Phase::Cleared;
        told.revision += 1;
        told.silent = silent;
        Some(told)
    }

    /// Appends all of it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&(self.clear_after, self.silence, self.row, self.last_at, self.no_data), out);
        put(&self.open.as_ref().map(|open| (&open.told, open.score_told, open.quiet)), out);
    }

    /// Takes what [`encode`](Self::encode) appended.
    pub(crate) fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        let (clear_after, silence) = take::<(u32, Micros)>(bytes)?;
        ensure(clear_after > 0 && silence >= 0, "end of an anomaly")?;
        let row = take_count(bytes, "row")?;
        let (last_at, no_data) = take(bytes)?;
        let open = take::<Option<(Transition, f64, u32)>>(bytes)?;
        let open = open.map(|(told, score_told, quiet)| Open { told, score_told, quiet });
        if let Some(Open { told, score_told, quiet }) = &open {
            let within = 0 < told.first_row && told.first_row <= told.row && told.row <= row;
            ensure(within, "row of an anomaly")?;
            // Each odd row is one of these, and makes one step at most.
            let rows = told.row - told.first_row + 1;
            ensure((1..=rows).contains(&told.rows), "number of odd rows")?;
            ensure((1..=told.rows).contains(&u64::from(told.revision)), "revision")?;
            ensure(told.revision.max(*quiet) <= STEPS_MAX, "number of steps or calm rows")?;
            ensure(told.phase != Phase::Cleared && !told.silent, "phase")?;
            let scores = [told.score_max, told.threshold, *score_told];
            ensure(scores.iter().all(|score| (0.0..=1.0).contains(score)), "score")?;
        }
        Ok(Self { clear_after, silence, open, row, last_at, no_data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs scores against a threshold of .6 with `clear_after` 2; each step told is a letter, else a dot.
    fn check(scores: &[f64], expect: &str) -> Option<Transition> {
        let mut detector = Detector::implicit("s");
        detector.clear_after = 2;
        let mut incident = Incident::new(&detector);
        let (mut told, mut last) = (String::new(), None);
        for (at, &score) in scores.iter().enumerate() {
            let step = incident.step(score, 0.6, score >= 0.6, at as i64);
            told.push(match step.map(|s| s.phase) {
                None => '.',
                Some(Phase::Opened) => 'o',
                Some(Phase::Updated) => 'u',
                Some(Phase::Cleared) => 'c',
            });
            last = step.or(last);
        }
        assert_eq!(told, expect, "{scores:?}");
        last
    }

    #[test]
    fn life() {
        check(&[0.1, 0.5, 0.59], "...");
        check(&[0.6, 0.1, 0.1, 0.1], "o.c.");
        check(&[0.6, 0.1, 0.5, 0.1, 0.1], "o...c"); // .5 is above .48: not over yet
        check(&[0.6, 0.65, 0.66, 0.1, 0.1], "o...c"); // little news is no news
        check(&[0.61, 0.76, 0.77, 0.8, 0.87], "ou..u"); // severity, then + .1
        check(&[0.6, 0.1, 0.7, 0.1, 0.1, 0.6], "o.u.co");
        let last = check(&[0.1, 0.62, 0.1, 0.92, 0.5, 0.1, 0.1], ".o.u..c").expect("cleared");
        assert_eq!((last.first_row, last.row, last.rows, last.revision), (2, 7, 2, 3));
        assert_eq!((last.score_max, last.severity), (0.92, Severity::Critical));
        assert!(!last.silent);
    }

    #[test]
    fn silence_clears() {
        let mut incident = Incident::new(&Detector::implicit("s"));
        assert_eq!(incident.silence(i64::MAX), None);
        assert!(incident.step(0.7, 0.6, true, 1_000).is_some());
        assert_eq!(incident.silence(LOG_TIME_NONE), None);
        assert_eq!(incident.silence(1_000 + 600_000_000 - 1), None);
        let cleared = incident.silence(1_000 + 600_000_000).expect("ten minutes are over");
        assert!(cleared.silent && cleared.phase == Phase::Cleared && cleared.revision == 2);
        assert_eq!(incident.silence(i64::MAX), None, "once");
    }

    #[test]
    fn no_data_lasts_until_something_comes() {
        let mut incident = Incident::new(&Detector::implicit("s"));
        let opened = incident.no_data(1.0, 0.6, 1_000).expect("it opens");
        assert_eq!((opened.phase, opened.severity), (Phase::Opened, Severity::Critical));
        assert_eq!(incident.silence(i64::MAX - 1), None, "silence is what it is about");
        let cleared = incident.step(0.1, 0.6, false, 2_000).expect("the first row clears it");
        assert_eq!((cleared.phase, cleared.silent, cleared.row), (Phase::Cleared, false, 2));
        assert_eq!(incident.step(0.1, 0.6, false, 3_000), None);
        // A row that is odd itself goes on with it.
        assert!(incident.no_data(1.0, 0.6, 4_000).is_some());
        assert_eq!(incident.step(0.7, 0.6, true, 5_000), None);
        assert!(incident.is_open() && incident.silence(i64::MAX - 1).is_some());
        incident.no_data(1.0, 0.6, 6_000);
        assert!(incident.forget().is_some_and(|step| step.silent));
    }

    #[test]
    fn silence_counts_from_the_first_known_log_time() {
        let mut incident = Incident::new(&Detector::implicit("s"));
        assert!(incident.step(0.7, 0.6, true, LOG_TIME_NONE).is_some());
        assert_eq!(incident.silence(1_000), None);
        assert_eq!(incident.silence(600_000_999), None);
        assert!(incident.silence(600_001_000).is_some());
    }
}
