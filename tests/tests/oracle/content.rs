//! Changes of rows, scores and findings.

use domain::{Flags, Item, Phase};

use crate::{
    outside,
    tools::{Mutation, accepted_row, below, flip, flip_one, item, one, requested_row, score},
};

/// All of them.
pub(crate) const MUTATIONS: &[Mutation] = &[
    // Rows.
    Mutation {
        name: "one bit of an accepted value",
        breaks: &[1],
        make: |e, r| accepted_row(e, r, flip_one),
    },
    Mutation {
        name: "one bit of a value",
        breaks: &[3],
        make: |e, r| requested_row(e, r, flip_one),
    },
    Mutation {
        name: "another event time",
        breaks: &[1],
        make: |e, r| accepted_row(e, r, |row, _, _| row.event_at += 1),
    },
    Mutation {
        name: "another record",
        breaks: &[1],
        make: |e, r| accepted_row(e, r, |row, _, _| row.origin.offset += 1_000_000),
    },
    Mutation {
        name: "a row's number",
        breaks: &[2],
        make: |e, r| requested_row(e, r, |row, _, _| row.row += 1),
    },
    Mutation {
        name: "a row is late",
        breaks: &[3],
        make: |e, r| {
            requested_row(e, r, |row, _, _| {
                row.flags = Flags { late: !row.flags.late, ..row.flags };
            })
        },
    },
    Mutation {
        name: "a drift's mark is lost",
        breaks: &[3],
        make: |e, r| {
            let batches = e.committed.requested.values_mut().flatten().map(|t| &mut t.content);
            let marked = |item: &Item| matches!(item, Item::Row(row) if row.drift.is_some());
            let (place, batch, index) = item(batches, r, marked)?;
            if let Item::Row(row) = &mut batch.items[index] {
                row.drift = None;
            }
            Some(place)
        },
    },
    Mutation {
        name: "a tick tells another time",
        breaks: &[3],
        make: |e, r| {
            let batches = e.committed.requested.values_mut().flatten().map(|t| &mut t.content);
            let (place, batch, index) = item(batches, r, |item| matches!(item, Item::Tick(_)))?;
            batch.items[index] = Item::Tick(1);
            Some(place)
        },
    },
    Mutation {
        name: "two items of a message swapped",
        breaks: &[3],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.requested, r)?;
            let at = 1 + below(batch.items.len().checked_sub(1)?, r)?;
            (batch.items[at - 1] != batch.items[at]).then_some(())?;
            batch.items.swap(at - 1, at);
            Some(place)
        },
    },
    // Scores.
    Mutation {
        name: "one bit of a score",
        breaks: &[3],
        make: |e, r| {
            score(e, r, |s, r| {
                let at = below(9, r).unwrap_or(0);
                let all = [
                    &mut s.score,
                    &mut s.raw,
                    &mut s.confidence,
                    &mut s.threshold,
                    &mut s.top_share,
                    &mut s.value,
                    &mut s.expected,
                    &mut s.lower,
                    &mut s.upper,
                ];
                all.into_iter().skip(at).take(1).for_each(|value| flip(value, r));
            })
        },
    },
    Mutation {
        name: "a score of another row",
        breaks: &[1],
        make: |e, r| score(e, r, |score, _| score.row += 1),
    },
    Mutation {
        name: "a score of another record",
        breaks: &[1],
        make: |e, r| score(e, r, |score, _| score.origin.index += 1),
    },
    Mutation {
        name: "an anomaly or none",
        breaks: &[3],
        make: |e, r| score(e, r, |score, _| score.is_anomaly = !score.is_anomaly),
    },
    Mutation {
        name: "a score by another definition",
        breaks: &[1],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.completed, r)?;
            let at = below(batch.detectors.len(), r)?;
            batch.detectors[at].1 += 1;
            Some(place)
        },
    },
    Mutation {
        name: "a score within a message is lost",
        breaks: &[1],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.completed, r)?;
            let at = below(batch.items.len(), r)?;
            batch.items.remove(at);
            Some(place)
        },
    },
    // Findings.
    Mutation {
        name: "an anomaly's id",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            anomaly.id = domain::Id::of(&[b"another"]);
            Some(place)
        },
    },
    Mutation {
        name: "an anomaly's revision",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            anomaly.revision += 1;
            Some(place)
        },
    },
    Mutation {
        name: "an anomaly's phase",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            let opened = anomaly.phase == Phase::Opened;
            anomaly.phase = if opened { Phase::Updated } else { Phase::Opened };
            Some(place)
        },
    },
    Mutation {
        name: "one bit of an anomaly's score",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            flip(&mut anomaly.score, r);
            Some(place)
        },
    },
    Mutation {
        name: "one bit of a share",
        breaks: &[4],
        make: |e, r| {
            let (place, anomaly) = one(&mut e.committed.anomalies, r)?;
            let at = below(anomaly.contributions.len(), r)?;
            flip(&mut anomaly.contributions[at].share, r);
            Some(place)
        },
    },
    Mutation {
        name: "a drift's statistic",
        breaks: &[3],
        make: |e, r| {
            let (place, drift) = one(&mut e.committed.drifts, r)?;
            flip(&mut drift.statistic, r);
            Some(place)
        },
    },
    Mutation { name: "an alert's id", breaks: &[4], make: outside::alert_id },
    Mutation { name: "an alert's state", breaks: &[4], make: outside::alert_state },
    Mutation { name: "an alert's revision", breaks: &[4], make: outside::alert_revision },
    Mutation { name: "an alert's delivery id", breaks: &[4], make: outside::state_id },
];
