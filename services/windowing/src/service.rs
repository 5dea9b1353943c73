//! Polls, applies, commits; decides nothing.

use std::collections::BTreeMap;

use control::{ControlLog, StageError};
use domain::Topics;
use exchange::{
    Assignment, Batch, Group, Output as Written, Outputs, Partition, Processor, Slice, Start,
    metrics::REPEATS,
};
use runtime::Clock;
use wire::events::Stamps;

use crate::{config::WindowingConfig, metrics as names, output::Output, state::State};

/// The consumer group.
pub const GROUP: &str = "oddwatch-windowing";

/// What windowing needs.
pub struct WindowingOptions {
    /// The definitions.
    pub control: ControlLog,
    /// The topics' names.
    pub topics: Topics,
    /// Limits.
    pub config: WindowingConfig,
    /// Stamps what is published; decides nothing.
    pub clock: Clock,
}

/// The windowing service on one worker thread.
pub struct WindowingProcessor {
    options: WindowingOptions,
    states: BTreeMap<Partition, State>,
}

impl WindowingProcessor {
    /// A processor without partitions.
    pub fn new(options: WindowingOptions) -> Self {
        Self { options, states: BTreeMap::new() }
    }

    /// The group that its worker joins under the name `member`.
    pub fn group(topics: &Topics, member: &str) -> Group {
        Group {
            name: topics.group(GROUP),
            member: member.into(),
            topics: vec![topics.accepted.clone()],
        }
    }

    fn slice(
        &mut self,
        slice: &Slice,
        replay: bool,
        outputs: &mut Outputs,
    ) -> Result<(), StageError> {
        let Some(state) = self.states.get_mut(&slice.partition) else {
            return Ok(());
        };
        let mut out = state.output();
        for message in &slice.messages {
            let bytes = message.value.as_deref().unwrap_or_default();
            match wire::rows::decode_accepted(bytes) {
                Ok(segments) => {
                    let version = segments.iter().map(domain::Batch::config_version_max).max();
                    self.options.control.read_to(version.unwrap_or(0))?;
                    state
                        .apply(&self.options.control, &segments, &mut out)
                        .map_err(|source| StageError::hole(GROUP, &slice.partition, source))?;
                }
                Err(error) => out.refusals.push(control::undecodable(
                    "windowing",
                    &slice.partition,
                    message,
                    &error,
                )),
            }
        }
        state.written(&out);
        let counts = std::mem::take(&mut state.counts);
        metrics::counter!(REPEATS, "group" => GROUP).increment(counts.repeats);
        if !replay {
            metrics::counter!(names::ROWS).increment(counts.rows);
            metrics::counter!(names::LATE_ROWS).increment(counts.late);
            metrics::counter!(names::DRIFTS).increment(out.drifts.len() as u64);
            metrics::counter!(names::REFUSED).increment(out.refusals.len() as u64);
            self.encode(&slice.partition, &out, outputs);
        }
        Ok(())
    }

    fn encode(&self, partition: &Partition, out: &Output, outputs: &mut Outputs) {
        let topics = &self.options.topics;
        let stamps = Stamps::published(self.options.clock.now());
        let to = partition.number;
        for batch in out.batches.iter().filter(|batch| !batch.items.is_empty()) {
            let value = wire::rows::encode_requested(batch, stamps);
            outputs.messages.push(Written::to(&topics.requested, to, None, value));
        }
        for drift in &out.drifts {
            let key = drift.series.key.as_bytes();
            let value = wire::events::encode_drift(drift, stamps);
            outputs.messages.push(Written::to(&topics.drifts, to, Some(key), value));
        }
        for refusal in &out.refusals {
            let value = wire::events::encode_refusal(refusal, stamps);
            outputs.messages.push(Written::to(&topics.rejected, to, refusal.key.as_deref(), value));
        }
    }
}

impl Processor for WindowingProcessor {
    type Error = StageError;

    /// State is rebuilt by replaying the whole input.
    fn restore(&mut self, assignment: &Assignment) -> Result<Start, StageError> {
        let partition = assignment.partition.clone();
        let state = State::new(partition.to_string().into(), &self.options.config);
        self.states.insert(partition, state);
        Ok(Start::Earliest)
    }

    fn drop_partition(&mut self, partition: &Partition) {
        self.states.remove(partition);
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, StageError> {
        let mut outputs = Outputs::default();
        for slice in &batch.slices {
            self.slice(slice, batch.replay, &mut outputs)?;
        }
        let series: usize = self.states.values().map(State::series_count).sum();
        metrics::gauge!(names::SERIES).set(series as f64);
        Ok(outputs)
    }
}
