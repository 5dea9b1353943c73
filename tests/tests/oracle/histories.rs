//! Histories to be mutated: of simulated runs that have everything a history can have.

use std::sync::OnceLock;

use oddwatch_tests::{
    oracle::{End, Evidence, Lag, Receiver, Text},
    simulation::{InMemory, run},
};

use super::Histories;

/// How many histories.
const HISTORIES: usize = 3;
/// A secret that stands in no text.
pub(crate) const SECRET: &str = "whsec_2f1c9d";

/// The first seeds whose runs have something of everything, and the first with a deadly row.
pub(crate) fn all() -> &'static Histories {
    static ALL: OnceLock<Histories> = OnceLock::new();
    ALL.get_or_init(|| {
        let (mut all, mut deadly) = (Histories::new(), Histories::new());
        let seeds = (0_u64..).map(|seed| (seed, run(seed, &InMemory).expect("the seed is good")));
        for (seed, run) in seeds {
            let evidence = run.evidence;
            if !evidence.poison.is_empty() && deadly.is_empty() && has_defaults(&evidence) {
                deadly.insert(seed, with_outside(evidence));
            } else if has_everything(&evidence) && all.len() < HISTORIES {
                all.insert(seed, with_outside(evidence));
            }
            if all.len() == HISTORIES && !deadly.is_empty() {
                break;
            }
        }
        all.append(&mut deadly);
        all
    })
}

/// Whether the services ran with their default limits, as the judge assumes.
fn has_defaults(evidence: &Evidence) -> bool {
    let replay = evidence.replay.as_ref();
    let faults = super::judge(Evidence { replay: replay.cloned(), ..evidence.clone() });
    faults.is_empty()
}

fn has_everything(evidence: &Evidence) -> bool {
    let committed = &evidence.committed;
    let refused = |service: &str| {
        committed.rejected.values().flatten().any(|told| told.content.service == service)
    };
    let windows = committed
        .requested
        .values()
        .flatten()
        .any(|told| told.content.series.iter().any(|series| series.window.is_some()));
    let ticks = committed.completed.values().flatten().any(|told| {
        told.content.items.iter().any(|item| matches!(item, domain::ScoreItem::Tick(_)))
    });
    windows
        && ticks
        && refused("ingest")
        && refused("windowing")
        && committed.accepted.len() > 1
        && committed.anomalies.values().map(Vec::len).sum::<usize>() > 4
        && committed.drifts.values().any(|told| !told.is_empty())
        && evidence.single.is_some()
}

/// Two receivers that got every alert, readers at their ends, and texts without secrets.
fn with_outside(evidence: Evidence) -> Evidence {
    let states = evidence.committed.alerts.values().flatten();
    let got: Vec<(String, Vec<u8>)> =
        states.map(|told| (told.content.id.clone(), told.bytes.to_vec())).collect();
    let twice = got.iter().flat_map(|delivery| [delivery.clone(), delivery.clone()]).collect();
    let lag = |reader: &str| Lag { reader: reader.into(), position: 70, end: 70 };
    Evidence {
        receivers: vec![
            Receiver { name: "webhook".into(), honours_ids: false, got: twice },
            Receiver { name: "subscriber".into(), honours_ids: true, got },
        ],
        end: Some(End {
            lags: vec![lag("windowing records.accepted/0"), lag("detector detection.requested/0")],
            bytes_before: 100_000_000,
            bytes_after: 109_000_000,
        }),
        texts: vec![Text { name: "log of ingest".into(), text: "serving http=127.0.0.1:1".into() }],
        secrets: vec![SECRET.into()],
        ..evidence
    }
}
