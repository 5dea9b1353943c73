//! Changes of whole messages, of what was published, and of numbers, epochs and times.

use domain::{Batch, Item};
use oddwatch_tests::oracle::Sent;

use crate::tools::{
    Mutation, accepted_row, below, double_one, drop_accepted, drop_one, flip, of_one_kind, one,
    partition, swap_two,
};

/// All of them.
pub(crate) const MUTATIONS: &[Mutation] = &[
    // Whole messages.
    Mutation { name: "accepted lost", breaks: &[1, 2, 3], make: drop_accepted },
    Mutation {
        name: "requested lost",
        breaks: &[1, 2, 3],
        make: |e, r| drop_one(&mut e.committed.requested, r),
    },
    Mutation {
        name: "completed lost",
        breaks: &[1, 2, 3],
        make: |e, r| drop_one(&mut e.committed.completed, r),
    },
    Mutation {
        name: "refusal lost",
        breaks: &[1],
        make: |e, r| drop_one(&mut e.committed.rejected, r),
    },
    Mutation {
        name: "anomaly lost",
        breaks: &[4],
        make: |e, r| drop_one(&mut e.committed.anomalies, r),
    },
    Mutation {
        name: "drift lost",
        breaks: &[3],
        make: |e, r| drop_one(&mut e.committed.drifts, r),
    },
    Mutation {
        name: "alert lost",
        breaks: &[4],
        make: |e, r| drop_one(&mut e.committed.alerts, r),
    },
    Mutation {
        name: "accepted twice",
        breaks: &[2],
        make: |e, r| double_one(&mut e.committed.accepted, r),
    },
    Mutation {
        name: "requested twice",
        breaks: &[2],
        make: |e, r| double_one(&mut e.committed.requested, r),
    },
    Mutation {
        name: "completed twice",
        breaks: &[2],
        make: |e, r| double_one(&mut e.committed.completed, r),
    },
    Mutation {
        name: "refusal twice",
        breaks: &[1],
        make: |e, r| double_one(&mut e.committed.rejected, r),
    },
    Mutation {
        name: "anomaly twice",
        breaks: &[4],
        make: |e, r| double_one(&mut e.committed.anomalies, r),
    },
    Mutation {
        name: "drift twice",
        breaks: &[4],
        make: |e, r| double_one(&mut e.committed.drifts, r),
    },
    Mutation {
        name: "alert twice",
        breaks: &[4],
        make: |e, r| double_one(&mut e.committed.alerts, r),
    },
    Mutation {
        name: "accepted swapped",
        breaks: &[2],
        make: |e, r| {
            // Segments of different sources may come in any order.
            let same = |a: &Vec<Batch>, b: &Vec<Batch>| {
                a.iter().any(|a| b.iter().any(|b| a.first.source == b.first.source))
            };
            swap_two(&mut e.committed.accepted, r, same)
        },
    },
    Mutation {
        name: "requested swapped",
        breaks: &[2],
        make: |e, r| swap_two(&mut e.committed.requested, r, |_, _| true),
    },
    Mutation {
        name: "completed swapped",
        breaks: &[2],
        make: |e, r| swap_two(&mut e.committed.completed, r, |_, _| true),
    },
    Mutation {
        name: "anomalies swapped",
        breaks: &[4],
        make: |e, r| swap_two(&mut e.committed.anomalies, r, |_, _| true),
    },
    Mutation {
        name: "alerts swapped",
        breaks: &[4],
        make: |e, r| swap_two(&mut e.committed.alerts, r, of_one_kind),
    },
    Mutation {
        name: "offset goes back",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.completed, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            told.swap(at - 1, at);
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "in another partition",
        breaks: &[1],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.accepted, r)?;
            let all = std::mem::take(told);
            let has_rows = all.iter().flat_map(|t| &t.content).any(|b| b.rows().next().is_some());
            e.committed.accepted.insert(number + 100, all);
            has_rows.then(|| number.to_string())
        },
    },
    // What was published.
    Mutation {
        name: "a record that nobody published",
        breaks: &[1],
        make: |e, r| {
            let at = below(e.input.len(), r)?;
            Some(e.input.remove(at).source.to_string())
        },
    },
    Mutation {
        name: "published with another value",
        breaks: &[1],
        make: |e, r| {
            let at = below(e.input.len(), r)?;
            let Sent::Row { values, .. } = &mut e.input[at].sent else { return None };
            let value = below(values.len(), r)?;
            flip(&mut values[value].1, r);
            Some(at.to_string())
        },
    },
    Mutation {
        name: "published at another time",
        breaks: &[1],
        make: |e, r| {
            let at = below(e.input.len(), r)?;
            let Sent::Row { event_at, .. } = &mut e.input[at].sent else { return None };
            *event_at += 1;
            Some(at.to_string())
        },
    },
    // Numbers, epochs and times.
    Mutation {
        name: "a number is skipped",
        breaks: &[2],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.requested, r)?;
            batch.first.number += 1;
            Some(place)
        },
    },
    Mutation {
        name: "a number of scores comes again",
        breaks: &[2],
        make: |e, r| {
            let (place, batch) = one(&mut e.committed.completed, r)?;
            batch.first.number = batch.first.number.checked_sub(1).filter(|n| *n > 0)?;
            Some(place)
        },
    },
    Mutation {
        name: "a number of a source is skipped",
        breaks: &[2],
        make: |e, r| {
            let (place, segments) = one(&mut e.committed.accepted, r)?;
            let at = below(segments.len(), r)?;
            segments[at].first.number += 1;
            Some(place)
        },
    },
    Mutation {
        name: "an epoch goes back",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.completed, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            told[at].content.first.epoch -= 1;
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "an epoch rises without reason",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.requested, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            told[at].content.first.epoch += 1;
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "log time goes back",
        breaks: &[2],
        make: |e, r| {
            let (number, told) = partition(&mut e.committed.requested, r)?;
            let at = 1 + below(told.len().checked_sub(1)?, r)?;
            let before = told[at - 1].content.log_time();
            match told[at].content.items.first_mut()? {
                Item::Row(row) => row.log_time = before.checked_sub(1)?,
                Item::Tick(log_time) | Item::Forget { log_time, .. } => {
                    *log_time = before.checked_sub(1)?;
                }
            }
            Some(format!("{number}/{at}"))
        },
    },
    Mutation {
        name: "the config version goes back",
        breaks: &[2, 3],
        make: |e, r| {
            accepted_row(e, r, |row, _, _| row.config_version = 0)
                .filter(|_| e.committed.accepted.values().all(|told| told.len() > 3))
        },
    },
];
