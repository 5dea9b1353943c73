//! kcat as a reader that is not ours: which offsets of a topic any read_committed reader is shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    process::{Command, Stdio},
};

use domain::Topics;
use oddwatch_tests::oracle::{ByPartition, Committed};

/// Offsets by partition.
type Offsets = BTreeMap<u32, Vec<u64>>;

/// What kcat is shown of each topic and what we were shown, where it differs.
pub(crate) fn compare(
    broker: &str,
    topics: &Topics,
    committed: &Committed,
) -> io::Result<Vec<String>> {
    let control = committed.control.iter().map(|(_, told)| told.offset).collect();
    let ours: [(&str, Offsets); 8] = [
        (&topics.control, BTreeMap::from([(0, control)])),
        (&topics.accepted, offsets(&committed.accepted)),
        (&topics.rejected, offsets(&committed.rejected)),
        (&topics.requested, offsets(&committed.requested)),
        (&topics.completed, offsets(&committed.completed)),
        (&topics.anomalies, offsets(&committed.anomalies)),
        (&topics.drifts, offsets(&committed.drifts)),
        (&topics.alerts, offsets(&committed.alerts)),
    ];
    let mut faults = vec![];
    for (topic, ours) in ours {
        let theirs = shown(broker, topic)?;
        for partition in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (ours, theirs) = (ours.get(partition), theirs.get(partition));
            if ours != theirs {
                let [ours, theirs] = [ours, theirs].map(|all| all.map_or(0, Vec::len));
                faults.push(format!(
                    "{topic}/{partition}: kcat reads {theirs} messages, we have read {ours}, or others"
                ));
            }
        }
    }
    Ok(faults)
}

fn offsets<T>(messages: &ByPartition<T>) -> Offsets {
    let all = messages.iter();
    all.map(|(partition, told)| (*partition, told.iter().map(|one| one.offset).collect())).collect()
}

fn shown(broker: &str, topic: &str) -> io::Result<Offsets> {
    let output = Command::new("kcat")
        .args(["-C", "-e", "-q", "-b", broker, "-t", topic, "-o", "beginning", "-f", "%p %o\n"])
        .args(["-X", "isolation.level=read_committed"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    let mut shown = Offsets::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let numbers =
            line.split_once(' ').and_then(|(p, o)| Some((p.parse().ok()?, o.parse().ok()?)));
        let Some((partition, offset)) = numbers else {
            return Err(io::Error::other(format!("kcat says {line:?}")));
        };
        shown.entry(partition).or_default().push(offset);
    }
    Ok(shown)
}
