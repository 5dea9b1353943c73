//! What the oracle says of a run, and the line that sums it up.

use std::{collections::BTreeMap, fmt, fs, time::Duration};

use detector::DetectorConfig;
use domain::Topics;
use oddwatch_tests::{
    broker::OwnBroker,
    oracle::{self, ByPartition, Committed, End, Evidence, Fault, Lag, Limits, Text},
};
use serde::Deserialize;
use windowing::WindowingConfig;

use crate::{Failed, fleet::Tally, input::Input, receiver::Receiver, setup::Setup};

/// What is wrong with a run, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    lost: usize,
    doubled: usize,
    differing: usize,
    alerts_missing: usize,
    alerts_doubled: usize,
}

/// The line at the end.
pub(crate) struct Summary<'a> {
    pub(crate) tally: &'a Tally,
    pub(crate) records: usize,
    pub(crate) counts: Counts,
}

/// Both sections with their defaults.
#[derive(Deserialize)]
struct Sections {
    windowing: WindowingConfig,
    detector: DetectorConfig,
}

/// What is known of a run that is over.
pub(crate) struct Known<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) broker: &'a OwnBroker,
    pub(crate) input: Input,
    pub(crate) committed: Committed,
    pub(crate) receivers: &'a [Receiver],
}

/// Lets the oracle judge.
pub(crate) fn judge(known: Known<'_>) -> Result<Vec<Fault>, Failed> {
    let Known { setup, broker, input, committed, receivers } = known;
    let defaults = [windowing::DEFAULTS, detector::DEFAULTS].join("\n");
    let sections: Sections =
        runtime::settings::load(&defaults, None, std::collections::HashMap::new(), &[])?;
    let limits = Limits { windowing: sections.windowing, detector: sections.detector };
    let replay = oracle::replay(&committed, &setup.topics, &limits)?;
    let lags = lags(&setup.topics, &broker.groups()?, &ends(&setup.topics, &input, &committed));
    let receivers = receivers.iter().map(|receiver| oracle::Receiver {
        name: receiver.name.to_owned(),
        honours_ids: false,
        got: receiver.got(),
    });
    let evidence = Evidence {
        input: input.records,
        committed,
        replay: Some(replay),
        receivers: receivers.collect(),
        end: Some(End { lags, bytes_before: 0, bytes_after: 0 }),
        texts: texts(setup)?,
        secrets: vec![Setup::secret()],
        ..Evidence::default()
    };
    Ok(oracle::judge(&evidence))
}

/// The logs of all processes.
fn texts(setup: &Setup) -> Result<Vec<Text>, Failed> {
    let mut texts = vec![];
    for entry in fs::read_dir(setup.logs())? {
        let path = entry?.path();
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        texts.push(Text { name: path.display().to_string(), text });
    }
    Ok(texts)
}

type Ends = BTreeMap<(String, u32), u64>;

/// The last offset of a message in each partition of every topic that a group reads.
fn ends(topics: &Topics, input: &Input, committed: &Committed) -> Ends {
    let mut ends = input.ends();
    add(&mut ends, &topics.accepted, &committed.accepted);
    add(&mut ends, &topics.requested, &committed.requested);
    add(&mut ends, &topics.anomalies, &committed.anomalies);
    add(&mut ends, &topics.drifts, &committed.drifts);
    add(&mut ends, &topics.alerts, &committed.alerts);
    ends
}

fn add<T>(ends: &mut Ends, topic: &str, messages: &ByPartition<T>) {
    for (partition, told) in messages {
        let last = told.last().map(|told| told.offset);
        ends.extend(last.map(|last| ((topic.to_owned(), *partition), last)));
    }
}

/// How far each group has read what was written. A partition that its group has committed nothing for was not read.
fn lags(topics: &Topics, groups: &[(String, String, u32, u64)], ends: &Ends) -> Vec<Lag> {
    let mut lags = vec![];
    for ((topic, partition), last) in ends {
        let of_topic = |name: &str| groups.iter().any(|(g, t, ..)| g == name && t == topic);
        let mut names: Vec<&str> = groups.iter().map(|(group, ..)| group.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let readers: Vec<&str> = names.into_iter().filter(|name| of_topic(name)).collect();
        if readers.is_empty() {
            let reader = format!("nobody, of {topic}/{partition}");
            lags.push(Lag { reader, position: 0, end: last + 1 });
        }
        for group in readers.iter().filter(|group| group.starts_with(&*topics.prefix)) {
            let at = |(g, t, p, at): &(String, String, u32, u64)| {
                (g == group && t == topic && p == partition).then_some(*at)
            };
            let position = groups.iter().find_map(at).unwrap_or(0);
            let reader = format!("{group} of {topic}/{partition}");
            lags.push(Lag { reader, position, end: last + 1 });
        }
    }
    lags
}

impl Counts {
    /// Sorts faults by what they mean to a user.
    pub(crate) fn of(faults: &[Fault]) -> Self {
        let mut counts = Self::default();
        for Fault { invariant, what } in faults {
            let has = |words: &[&str]| words.iter().any(|word| what.contains(word));
            let counted = match invariant {
                5 if has(&["did not get"]) => &mut counts.alerts_missing,
                4 | 5 if has(&["twice", "another payload", "no state of any alert"]) => {
                    &mut counts.alerts_doubled
                }
                1 | 2 if has(&["came again", "twice", "never published"]) => &mut counts.doubled,
                1 | 2 if has(&["accepted 0 times and refused 0", "are missing", ": no "]) => {
                    &mut counts.lost
                }
                1 if has(&["came 1 times and left, or was refused, 0"]) => &mut counts.lost,
                1 if has(&["accepted", "came "]) => &mut counts.doubled,
                6 => &mut counts.lost,
                _ => &mut counts.differing,
            };
            *counted += 1;
        }
        counts
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { lost, doubled, differing, alerts_missing, alerts_doubled } = &self.counts;
        let (kills, rebalances) = (self.tally.kills, self.tally.rebalances());
        let p99 = percentile(&self.tally.recoveries, 99).as_millis();
        write!(
            f,
            "kills={kills} rebalances={rebalances} records={} lost={lost} doubled={doubled} \
             differing={differing} alerts_missing={alerts_missing} alerts_doubled={alerts_doubled} \
             recovery_p99_ms={p99}",
            self.records
        )
    }
}

/// The least time that so many percent do not exceed.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}
