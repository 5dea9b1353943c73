//! Invariant 4: anomalies and their ids are those of the replay and of the single run; each event is about a row
//! that was scored so; each finding makes one alert, and no alert is about anything else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{Alert, AlertState, Anomaly, Drift, Finding, Id, Phase, SeriesRef};

use super::{
    ByPartition, Committed, Evidence, Faults, Told, differences,
    flat::{self, Flat},
    same::{decided_by_ticks, each, first_difference, name_of, texts},
};

pub(super) fn judge(evidence: &Evidence, faults: &mut Faults<'_>) {
    let committed = &evidence.committed;
    lives(committed, faults);
    about_rows(committed, faults);
    marked(committed, faults);
    alerts(committed, faults);
    if let Some(replay) = &evidence.replay {
        each(&committed.anomalies, &replay.anomalies, |partition, found, right| {
            let items = (texts(found), texts(right));
            first_difference("anomaly.detected", partition, items, String::eq, faults);
        });
    }
    if let Some(single) = &evidence.single {
        same_as_single(committed, single, faults);
    }
}

/// Each anomaly is opened once, its revisions follow on, and nothing follows its end.
fn lives(committed: &Committed, faults: &mut Faults<'_>) {
    let mut last: BTreeMap<Id, (u32, Phase)> = BTreeMap::new();
    for anomaly in committed.anomalies.values().flatten().map(|told| &told.content) {
        let Anomaly { id, revision, phase, .. } = anomaly;
        let before = last.insert(*id, (*revision, *phase));
        let follows = match before {
            None => (*revision, *phase) == (1, Phase::Opened),
            Some((_, Phase::Cleared)) => false,
            Some((before, _)) => *revision == before + 1 && *phase != Phase::Opened,
        };
        if !follows {
            faults.add(format!("anomaly {id}: revision {revision}, {phase:?}, follows {before:?}"));
        }
    }
}

/// What was scored, by series, detector and row: a series that was forgotten counts its rows anew.
type Scored<'a> = HashMap<(&'a SeriesRef, &'a str, u64, u64), Vec<(u64, bool)>>;

/// Each event that a row made is about a row that has this score.
fn about_rows(committed: &Committed, faults: &mut Faults<'_>) {
    let mut scored = Scored::new();
    for score in committed.completed.values().flat_map(|told| flat::scores(told)) {
        let (detector, version) = score.detector;
        let at = (score.series, &**detector, *version, score.score.row);
        let said = (score.score.score.to_bits(), score.score.is_anomaly);
        scored.entry(at).or_default().push(said);
    }
    for anomaly in committed.anomalies.values().flatten().map(|told| &told.content) {
        // One that ends with its model is told under the definition that is gone.
        let at = (&anomaly.series, &*anomaly.detector, anomaly.detector_version, anomaly.row);
        let opened = anomaly.phase == Phase::Opened;
        let found = scored.get(&at);
        let fits = found.is_some_and(|said| said.contains(&(anomaly.score.to_bits(), true)));
        if opened && !fits {
            faults.add(format!("anomaly {}: opened at row {}, {found:?}", anomaly.id, anomaly.row));
        }
    }
}

/// Each drift is marked in line at the row of its series where it was found.
fn marked(committed: &Committed, faults: &mut Faults<'_>) {
    each(&committed.requested, &no_others(&committed.drifts), |partition, told, _| {
        let marks = flat::requested(told).filter_map(|item| match item {
            Flat::Row(row) if row.series.window.is_none() => row.row.drift.as_deref().cloned(),
            _ => None,
        });
        let marks: Vec<String> = marks.map(|drift| format!("{drift:?}")).collect();
        let told = committed.drifts.get(&partition).map_or(&[][..], Vec::as_slice);
        let told: Vec<String> = texts(told).collect();
        if marks != told {
            let (marks, told) = (marks.into_iter().collect(), told.into_iter().collect());
            let (marks, told) = differences(&marks, &told);
            faults
                .add(format!("drifts of {partition} only marked: {marks:?}, only told: {told:?}"));
        }
    });
    let mut ids = BTreeSet::new();
    for drift in committed.drifts.values().flatten().map(|told| &told.content) {
        if !ids.insert(drift.id) {
            faults.add(format!("drift {} was told twice", drift.id));
        }
    }
}

/// Partitions that have drifts, without messages of rows.
fn no_others(drifts: &ByPartition<Drift>) -> ByPartition<domain::Batch> {
    drifts.keys().map(|partition| (*partition, vec![])).collect()
}

/// Each finding makes one state of one alert, in its partition and its topic's order.
fn alerts(committed: &Committed, faults: &mut Faults<'_>) {
    let refused: BTreeSet<(&str, u64)> =
        committed.refused_by("notification").map(|r| (&*r.source, r.offset)).collect();
    let taken = |name: &str, partition: u32, offset: u64| {
        let is_it = |(source, at): &&(&str, u64)| {
            *at == offset && source.ends_with(&format!("{name}/{partition}"))
        };
        !refused.iter().any(|one| is_it(&one))
    };
    let partitions = committed.anomalies.keys().chain(committed.drifts.keys());
    let partitions = partitions.chain(committed.alerts.keys()).collect::<BTreeSet<_>>();
    for &partition in partitions {
        let anomalies = told(&committed.anomalies, partition).iter();
        let anomalies = anomalies.filter(|told| taken("anomaly.detected", partition, told.offset));
        let drifts = told(&committed.drifts, partition).iter();
        let drifts = drifts.filter(|told| taken("drift.detected", partition, told.offset));
        let states = told(&committed.alerts, partition);
        let of = |is_drift: bool| {
            states.iter().map(|told| &told.content).filter_map(move |state| {
                let is_it = matches!(state.alert.finding, Finding::Drift(_)) == is_drift;
                is_it.then(|| format!("{} {}", state.id, text(&state.alert)))
            })
        };
        let right = anomalies.map(|told| expected(&of_anomaly(&told.content)));
        first_difference("alerts of anomalies", partition, (of(false), right), String::eq, faults);
        let right = drifts.map(|told| expected(&of_drift(&told.content)));
        first_difference("alerts of drifts", partition, (of(true), right), String::eq, faults);
    }
}

fn told<T>(all: &ByPartition<T>, partition: u32) -> &[Told<T>] {
    all.get(&partition).map_or(&[], Vec::as_slice)
}

/// What of an alert is not words.
fn text(alert: &Alert) -> String {
    format!("{:?}", Alert { summary: String::new(), ..alert.clone() })
}

fn expected(alert: &Alert) -> String {
    let id = Id::of(&[alert.id.to_string().as_bytes(), &alert.revision.to_le_bytes()]);
    format!("{id} {}", text(alert))
}

fn of_anomaly(anomaly: &Anomaly) -> Alert {
    let is_over = anomaly.phase == Phase::Cleared;
    Alert {
        id: Id::of(&[b"alert/anomaly", anomaly.id.to_string().as_bytes()]),
        revision: anomaly.revision,
        state: if is_over { AlertState::Resolved } else { AlertState::Firing },
        severity: anomaly.severity,
        summary: String::new(),
        finding: Finding::Anomaly(anomaly.clone()),
    }
}

fn of_drift(drift: &Drift) -> Alert {
    Alert {
        id: Id::of(&[b"alert/drift", drift.id.to_string().as_bytes()]),
        revision: 1,
        state: AlertState::Firing,
        severity: domain::Severity::Low,
        summary: String::new(),
        finding: Finding::Drift(drift.clone()),
    }
}

/// The openings and worsenings of series in which no tick decided; how they end may depend on when the log does.
fn same_as_single(found: &Committed, right: &Committed, faults: &mut Faults<'_>) {
    let left_out = decided_by_ticks(found, right);
    let events = |committed: &Committed| -> BTreeSet<String> {
        let anomalies = committed.anomalies.values().flatten().map(|told| &told.content);
        let events = anomalies.filter(|anomaly| !left_out.contains(&name_of(&anomaly.series)));
        let events = events.filter(|anomaly| anomaly.phase != Phase::Cleared);
        let event = |a: &Anomaly| format!("{} {} {:?} row {}", a.id, a.revision, a.phase, a.row);
        events.map(event).collect()
    };
    let (found, right) = (events(found), events(right));
    let (more, lacking) = differences(&found, &right);
    if let Some(event) = more.first() {
        faults.add(format!("{} events are not of the single run, such as {event}", more.len()));
    }
    if let Some(event) = lacking.first() {
        faults.add(format!("{} events are lacking, such as {event}", lacking.len()));
    }
}
