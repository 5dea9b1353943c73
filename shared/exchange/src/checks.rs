//! Checks that both adapters make, so that they refuse the same in the same words.

use std::collections::BTreeMap;

use crate::port::{Error, METADATA_BYTES_MAX, Outputs, Partition};

/// Refuses a topic that exists with another number of partitions.
pub(crate) fn check_partitions(topic: &str, found: u32, expected: u32) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let what = format!(
        "topic {topic} has {found} partitions, {expected} expected; their number is fixed at creation"
    );
    Err(Error::Topic { what })
}

/// The metadata of a commit by partition, once it is known to be small enough and ours.
pub(crate) fn check_metadata(
    outputs: &Outputs,
    is_started: impl Fn(&Partition) -> bool,
) -> Result<BTreeMap<&Partition, &str>, Error> {
    let mut named = BTreeMap::new();
    for (partition, metadata) in &outputs.metadata {
        if metadata.len() > METADATA_BYTES_MAX {
            let topic = format!("the offset metadata of {partition}");
            let (bytes, bytes_max) = (metadata.len(), METADATA_BYTES_MAX);
            return Err(Error::Oversized { topic, bytes, bytes_max });
        }
        if !is_started(partition) {
            let what = format!("metadata for {partition}, which this member has not started");
            return Err(Error::Fatal { what });
        }
        named.insert(partition, metadata.as_str());
    }
    Ok(named)
}
