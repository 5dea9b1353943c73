//! Judges a run: which disturbances were caught, after how long and by which series, and which anomalies had
//! no disturbance to explain them.

use domain::Micros;

use super::{
    plan::Kind,
    story::{Disturbance, Found, Story},
};

/// A row that belongs to a disturbance may be so much later than its end (the last reading, a slow disk).
pub(crate) const GRACE: Micros = 3_000_000;
/// What a disturbance leaves behind on its own series (load falls slowly, caches settle) is no false alarm.
pub(crate) const AFTERMATH: Micros = 10_000_000;

/// What became of a disturbance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// An alert told of it.
    Caught {
        /// From its start to the first such alert in hand.
        after: Micros,
        /// The series, in the order of their alerts.
        by: Vec<String>,
    },
    /// No alert told of it.
    Missed,
    /// It was not caused, or cut short before anybody could have noticed.
    NotCaused(String),
}

/// What became of all of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// One per disturbance.
    pub(crate) outcomes: Vec<(Disturbance, Outcome)>,
    /// Indices into the anomalies found.
    pub(crate) false_alarms: Vec<usize>,
}

impl Verdict {
    /// Judges by what was found.
    pub(crate) fn of(story: &Story) -> Self {
        let outcomes = story.disturbances.iter().map(|d| (d.clone(), outcome(story, d))).collect();
        let numbered = story.found.iter().enumerate();
        let unexplained = numbered.filter(|(_, found)| explained_by(story, found).is_none());
        Self { outcomes, false_alarms: unexplained.map(|(index, _)| index).collect() }
    }

    /// How many of a kind of outcome.
    pub(crate) fn caught(&self) -> usize {
        self.outcomes.iter().filter(|(_, o)| matches!(o, Outcome::Caught { .. })).count()
    }

    /// Whether none was missed.
    pub(crate) fn all_caught(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| *outcome != Outcome::Missed)
    }
}

/// The disturbance that explains an anomaly, if any does: rather one that goes on than what one left behind,
/// rather one that acts upon the series than another.
pub(crate) fn explained_by(story: &Story, found: &Found) -> Option<Kind> {
    let explaining = story.disturbances.iter().filter(|d| explains(d, found, &story.own));
    let best = explaining.max_by_key(|d| {
        let goes_on = found.opened.opened_at <= d.until.saturating_add(GRACE);
        (goes_on, acted_on(d.kind, found, &story.own))
    });
    best.map(|disturbance| disturbance.kind)
}

/// Whether an anomaly is of a series that the disturbance acts upon, by what made most of it.
fn acted_on(kind: Kind, found: &Found, own: &str) -> bool {
    kind.acts_on(found.series(), found.feature(), own)
}

fn outcome(story: &Story, disturbance: &Disturbance) -> Outcome {
    let from = disturbance.from;
    let caught = |found: &&Found| {
        let at = found.opened.opened_at;
        // Rows carry milliseconds, so one that was read at the start may seem a little earlier.
        from - 1_000 <= at
            && at <= disturbance.until.saturating_add(GRACE)
            && acted_on(disturbance.kind, found, &story.own)
    };
    let mut by: Vec<&Found> = story.found.iter().filter(caught).collect();
    by.sort_by_key(|found| found.received_at);
    match (by.first(), &disturbance.cut) {
        (Some(first), _) => Outcome::Caught {
            after: first.received_at - from,
            by: by.iter().map(|found| found.series().to_owned()).collect(),
        },
        (None, Some(why)) => Outcome::NotCaused(why.clone()),
        (None, None) => Outcome::Missed,
    }
}

/// Anything may happen while the machine is disturbed; afterwards, what the disturbance acted upon settles.
fn explains(disturbance: &Disturbance, found: &Found, own: &str) -> bool {
    let at = found.opened.opened_at;
    let since = at.saturating_sub(disturbance.until);
    at >= disturbance.from - 1_000
        && (since <= GRACE || since <= AFTERMATH && acted_on(disturbance.kind, found, own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::planted;

    const S: Micros = 1_000_000;

    fn check(anomalies: &[(&str, i64)], outcome: Outcome, false_alarms: &[usize]) {
        let mut story = Story::new(0, "process/oddwatch/");
        story.disturbances = vec![Disturbance {
            kind: Kind::Cpu,
            what: String::new(),
            from: 30 * S,
            until: 36 * S,
            cut: None,
        }];
        story.found = anomalies.iter().map(|(series, at)| planted::found(series, at * S)).collect();
        let verdict = Verdict::of(&story);
        assert_eq!(verdict.outcomes[0].1, outcome, "{anomalies:?}");
        assert_eq!(verdict.false_alarms, false_alarms, "{anomalies:?}");
        assert_eq!(verdict.all_caught(), outcome != Outcome::Missed);
    }

    fn caught(after: Micros, by: &[&str]) -> Outcome {
        Outcome::Caught { after, by: by.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_disturbance_is_caught_by_a_row_of_its_time_and_series() {
        let later = planted::RECEIVED_AFTER;
        check(&[], Outcome::Missed, &[]);
        check(&[("cpu/0", 29)], Outcome::Missed, &[0]);
        check(&[("cpu/0", 31)], caught(S + later, &["cpu/0"]), &[]);
        check(&[("cpu/0", 39)], caught(9 * S + later, &["cpu/0"]), &[]);
        check(&[("memory/used", 31)], Outcome::Missed, &[]);
        check(
            &[("load/1m", 34), ("memory/used", 33), ("cpu/all", 30)],
            caught(later, &["cpu/all", "load/1m"]),
            &[],
        );
    }

    #[test]
    fn what_no_disturbance_explains_is_a_false_alarm() {
        let later = planted::RECEIVED_AFTER;
        let and = |series, at| [("cpu/0", 30), (series, at)];
        check(&and("load/1m", 45), caught(later, &["cpu/0"]), &[]);
        check(&and("load/1m", 47), caught(later, &["cpu/0"]), &[1]);
        check(&and("network/eth0/sent", 38), caught(later, &["cpu/0"]), &[]);
        check(&and("network/eth0/sent", 40), caught(later, &["cpu/0"]), &[1]);
        check(&and("network/eth0/sent", 10), caught(later, &["cpu/0"]), &[1]);
    }

    #[test]
    fn what_was_not_caused_is_not_missed() {
        let mut story = Story::new(0, "");
        story.disturbances = vec![Disturbance {
            kind: Kind::Disk,
            what: String::new(),
            from: Micros::MAX,
            until: Micros::MAX,
            cut: Some("no room".into()),
        }];
        let verdict = Verdict::of(&story);
        assert_eq!(verdict.outcomes[0].1, Outcome::NotCaused("no room".into()));
        assert!(verdict.all_caught() && verdict.caught() == 0);
    }
}
