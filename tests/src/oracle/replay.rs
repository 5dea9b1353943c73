//! What windowing and the detector make of the messages that were committed, when each is applied once, in order,
//! by a processor that nothing disturbs and that saves nothing.

use std::sync::Arc;

use bytes::Bytes;
use detector::DetectorConfig;
use domain::Topics;
use exchange::{Assignment, Batch, Exchange, Message, Output, Partition, Processor, Slice};
use runtime::Clock;
use stage::{StageError, StageOptions};
use windowing::WindowingConfig;

use super::{ByPartition, Committed, Told, frozen::Frozen};

/// The limits of the services that are replayed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The section `windowing`.
    pub windowing: WindowingConfig,
    /// The section `detector`.
    pub detector: DetectorConfig,
}

/// Replays both stages on what was committed: windowing on `records.accepted`, the detector on
/// `detection.requested`, each with the entries of `control`, those that skip items included. Returns what they
/// write.
///
/// # Errors
/// If a stage can't take its input.
pub fn replay(
    committed: &Committed,
    topics: &Topics,
    limits: &Limits,
) -> Result<Committed, StageError> {
    let entry = |(_, told): &(u64, Told<_>)| message(told.offset, &told.bytes);
    let exchange: Arc<dyn Exchange> = Arc::new(Frozen {
        topics: topics.clone(),
        partitions: committed.partitions().unwrap_or(1),
        control: committed.control.iter().map(entry).collect(),
    });
    let clock = Clock::Given(Arc::new(|| 0));
    let options = || StageOptions::bare(&exchange, topics, &clock);
    let mut replayed = Committed::default();
    let windowing = windowing::processor(limits.windowing.clone(), options()?);
    run(windowing, &topics.accepted, &committed.accepted, &mut |partition, written| {
        replayed.take_outputs(topics, partition, written);
    })?;
    let detector = detector::processor(limits.detector.clone(), options()?);
    run(detector, &topics.requested, &committed.requested, &mut |partition, written| {
        replayed.take_outputs(topics, partition, written);
    })?;
    Ok(replayed)
}

fn run<T>(
    mut processor: impl Processor<Error = StageError>,
    topic: &Arc<str>,
    input: &ByPartition<T>,
    written: &mut dyn FnMut(u32, Vec<Output>),
) -> Result<(), StageError> {
    for (number, told) in input {
        let partition = Partition::new(Arc::clone(topic), *number);
        processor.restore(&Assignment { partition: partition.clone(), committed: None })?;
        let messages = told.iter().map(|told| message(told.offset, &told.bytes)).collect();
        let slice = Slice { partition, messages, at_end: true };
        let outputs = processor.apply(&Batch { slices: vec![slice], replay: false })?;
        written(*number, outputs.messages);
    }
    Ok(())
}

/// Offset and value are all that a stage sees of a message, unless it refuses it as a whole.
fn message(offset: u64, bytes: &Bytes) -> Message {
    let value = Some(bytes.clone());
    Message { offset, timestamp_ms: 0, key: None, value, headers: vec![] }
}
