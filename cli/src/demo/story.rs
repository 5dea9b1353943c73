//! What happened during a run, as far as it was heard: one closed list of events, and what they make of it.
//! Findings come from `alerts` and `detection.completed` only.

use std::collections::BTreeMap;

use domain::{Alert, Anomaly, Finding, Id, Micros, Phase, ScoreBatch, ScoreItem};

use super::{DemoError, disturbance::Failed, metrics::Sample, plan::Kind, units::Unit};

/// What the threads of a run tell.
pub(crate) enum Event {
    /// These are being published.
    Published(Vec<Sample>),
    /// These were scored.
    Scored { batch: ScoreBatch, received_at: Micros },
    /// An alert has a new state.
    Alerted { alert: Box<Alert>, published_at: Micros, received_at: Micros },
    /// A disturbance begins.
    Began { kind: Kind, what: String, at: Micros, until: Micros },
    /// It is over, or was cut short.
    Ended { kind: Kind, at: Micros, whole: bool, failed: Option<Failed> },
    /// A disturbance could not be caused.
    LeftOut { kind: Kind, why: Failed },
    /// A thread can't go on.
    Broken(DemoError),
}

/// One scored row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: Micros,
    pub(crate) value: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) score: f64,
    pub(crate) threshold: f64,
    pub(crate) odd: bool,
}

/// A series, drawn from its scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Track {
    /// The names and units of its values.
    pub(crate) features: Vec<(&'static str, Unit)>,
    pub(crate) points: Vec<Point>,
}

impl Track {
    /// The unit of one of its values.
    pub(crate) fn unit(&self, feature: &str) -> Unit {
        let found = self.features.iter().find(|(name, _)| *name == feature);
        found.or(self.features.first()).map_or(Unit::Plain, |(_, unit)| *unit)
    }
}

/// An anomaly that an alert told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) id: Id,
    /// As its first event told it.
    pub(crate) opened: Anomaly,
    /// As its last event told it.
    pub(crate) latest: Anomaly,
    /// From the record in the exchange to the alert written.
    pub(crate) published_after: Micros,
    /// From the record in the exchange to the alert in hand.
    pub(crate) received_after: Micros,
    pub(crate) received_at: Micros,
}

impl Found {
    pub(crate) fn series(&self) -> &str {
        &self.opened.series.key
    }

    /// The value that made most of it.
    pub(crate) fn feature(&self) -> &str {
        self.opened.contributions.first().map_or("", |top| &top.feature)
    }

    /// When it was over, if it is.
    pub(crate) fn cleared_at(&self) -> Option<Micros> {
        (self.latest.phase == Phase::Cleared).then_some(self.latest.event_at)
    }
}

/// A drift that an alert told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drifted {
    pub(crate) series: String,
    pub(crate) method: String,
    pub(crate) at: Micros,
    pub(crate) before: f64,
    pub(crate) after: f64,
}

/// A disturbance that was caused, or was to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Disturbance {
    pub(crate) kind: Kind,
    /// What was done.
    pub(crate) what: String,
    pub(crate) from: Micros,
    /// Its end; planned until it is known.
    pub(crate) until: Micros,
    /// Why it was not caused, or not to its end.
    pub(crate) cut: Option<String>,
}

/// The news that an event brought, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// An anomaly that was not known before.
    Anomaly(usize),
    /// A drift.
    Drift(usize),
    /// A disturbance begins.
    Begins(usize),
    /// A disturbance is over, or did not take place.
    Ends(usize),
}

/// A run so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) started_at: Micros,
    /// Names of the series of this process begin with this.
    pub(crate) own: String,
    pub(crate) records: u64,
    pub(crate) scores: u64,
    pub(crate) tracks: BTreeMap<String, Track>,
    pub(crate) found: Vec<Found>,
    pub(crate) drifts: Vec<Drifted>,
    pub(crate) disturbances: Vec<Disturbance>,
    /// From the record in the exchange to its score in hand.
    pub(crate) score_latencies: Vec<Micros>,
}

impl Story {
    /// Nothing has happened yet.
    pub(crate) fn new(started_at: Micros, own: &str) -> Self {
        Self { started_at, own: own.to_owned(), ..Self::default() }
    }

    /// Takes an event in; says what is new for people.
    ///
    /// # Errors
    /// What a thread broke with.
    pub(crate) fn apply(&mut self, event: Event) -> Result<Option<News>, DemoError> {
        Ok(match event {
            Event::Published(samples) => {
                self.published(samples);
                None
            }
            Event::Scored { batch, received_at } => {
                self.scored(&batch, received_at);
                None
            }
            Event::Alerted { alert, published_at, received_at } => {
                self.alerted(*alert, published_at, received_at)
            }
            Event::Began { kind, what, at, until } => {
                self.disturbances.push(Disturbance { kind, what, from: at, until, cut: None });
                Some(News::Begins(self.disturbances.len() - 1))
            }
            Event::Ended { kind, at, whole, failed } => {
                let index = self.disturbances.iter().position(|d| d.kind == kind);
                if let Some(disturbance) = index.and_then(|i| self.disturbances.get_mut(i)) {
                    disturbance.until = at;
                    disturbance.cut = match failed {
                        Some(failed) => Some(failed.to_string()),
                        None => (!whole).then(|| "stopped".to_owned()),
                    };
                }
                index.map(News::Ends)
            }
            Event::LeftOut { kind, why } => {
                let (from, until, cut) = (Micros::MAX, Micros::MAX, Some(why.to_string()));
                self.disturbances.push(Disturbance { kind, what: String::new(), from, until, cut });
                Some(News::Ends(self.disturbances.len() - 1))
            }
            Event::Broken(error) => return Err(error),
        })
    }

    /// The run ends now, whatever was planned.
    pub(crate) fn end(&mut self, now: Micros) {
        for disturbance in self.disturbances.iter_mut().filter(|d| (d.from..d.until).contains(&now))
        {
            disturbance.until = now;
            disturbance.cut.get_or_insert_with(|| "stopped".to_owned());
        }
    }

    fn published(&mut self, samples: Vec<Sample>) {
        self.records += samples.len() as u64;
        for sample in samples {
            let track = self.tracks.entry(sample.series).or_default();
            if track.features.is_empty() {
                track.features = sample.features.iter().map(|(n, unit, _)| (*n, *unit)).collect();
            }
        }
    }

    /// Others may use the same topics; what counts here are the series that this run published.
    fn scored(&mut self, batch: &ScoreBatch, received_at: Micros) {
        for item in &batch.items {
            let ScoreItem::Score(score) = item else {
                continue;
            };
            let Some(series) = batch.series.get(score.series as usize) else {
                continue;
            };
            let Some(track) = self.tracks.get_mut(&*series.key) else {
                continue;
            };
            self.scores += 1;
            self.score_latencies.push(received_at - score.ingested_at);
            track.points.push(Point {
                at: score.event_at,
                value: score.value,
                lower: score.lower,
                upper: score.upper,
                score: score.score,
                threshold: score.threshold,
                odd: score.is_anomaly,
            });
        }
    }

    fn alerted(&mut self, alert: Alert, published: Micros, received_at: Micros) -> Option<News> {
        match alert.finding {
            Finding::Anomaly(anomaly) if self.tracks.contains_key(&*anomaly.series.key) => {
                if let Some(known) = self.found.iter_mut().find(|known| known.id == alert.id) {
                    known.latest = anomaly;
                    return None;
                }
                self.found.push(Found {
                    id: alert.id,
                    published_after: published - anomaly.ingested_at,
                    received_after: received_at - anomaly.ingested_at,
                    received_at,
                    latest: anomaly.clone(),
                    opened: anomaly,
                });
                Some(News::Anomaly(self.found.len() - 1))
            }
            Finding::Drift(drift) if self.tracks.contains_key(&*drift.series.key) => {
                self.drifts.push(Drifted {
                    series: drift.series.key.to_string(),
                    method: drift.method.to_string(),
                    at: drift.event_at,
                    before: drift.before.mean,
                    after: drift.after.mean,
                });
                Some(News::Drift(self.drifts.len() - 1))
            }
            Finding::Anomaly(_) | Finding::Drift(_) => None,
        }
    }

    /// From the record in the exchange to the alert in hand, of every anomaly.
    pub(crate) fn alert_latencies(&self) -> Vec<Micros> {
        self.found.iter().map(|found| found.received_after).collect()
    }

    /// From the record in the exchange to the alert written, of every anomaly.
    pub(crate) fn written_latencies(&self) -> Vec<Micros> {
        self.found.iter().map(|found| found.published_after).collect()
    }

    /// Seconds since the run began.
    pub(crate) fn seconds(&self, at: Micros) -> f64 {
        (at - self.started_at) as f64 / 1e6
    }
}

/// The value that this share of all does not exceed; `None` without any.
pub(crate) fn quantile(values: &[Micros], share: f64) -> Option<Micros> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use domain::{AlertState, Severity};

    use super::*;
    use crate::demo::{metrics::VALUE, planted};

    fn alerted(found: &Found, revision: u32, phase: Phase) -> Event {
        let anomaly = Anomaly { revision, phase, ..found.opened.clone() };
        let alert = Alert {
            id: found.id,
            revision,
            state: AlertState::Firing,
            severity: Severity::High,
            summary: String::new(),
            finding: Finding::Anomaly(anomaly),
        };
        Event::Alerted { alert: Box::new(alert), published_at: 60_000, received_at: 70_000 }
    }

    #[test]
    fn an_anomaly_is_news_once_and_only_of_series_of_this_run() {
        let mut story = Story::new(0, "");
        let sample = Sample { series: "cpu/0".into(), features: vec![(VALUE, Unit::Share, 1.0)] };
        assert!(matches!(story.apply(Event::Published(vec![sample])), Ok(None)));
        let (ours, other) = (planted::found("cpu/0", 30_000), planted::found("orders", 30_000));
        let mut news = |event| story.apply(event).expect("no thread broke");
        assert_eq!(news(alerted(&other, 1, Phase::Opened)), None);
        assert_eq!(news(alerted(&ours, 1, Phase::Opened)), Some(News::Anomaly(0)));
        assert_eq!(news(alerted(&ours, 2, Phase::Cleared)), None);
        assert_eq!(story.found.len(), 1);
        assert_eq!(story.found[0].cleared_at(), Some(30_000));
        assert_eq!(story.alert_latencies(), [40_000]);
    }

    #[test]
    fn quantiles_are_those_of_a_person_with_a_list() {
        let list: Vec<Micros> = (1..=10).collect();
        for (share, expect) in [(0.5, 5), (0.99, 10), (0.0, 1)] {
            assert_eq!(quantile(&list, share), Some(expect));
        }
        assert_eq!(quantile(&[], 0.5), None);
    }
}
