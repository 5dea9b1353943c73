//! Polls, applies, commits; decides nothing.

use std::collections::BTreeMap;

use control::{ControlLog, StageError};
use domain::{Phase, Topics};
use exchange::{
    Assignment, Batch, Group, Output as Written, Outputs, Partition, Processor, Slice, Start,
    metrics::REPEATS,
};
use runtime::Clock;
use wire::events::Stamps;

use crate::{config::DetectorConfig, metrics as names, output::Output, state::State};

/// The consumer group.
pub const GROUP: &str = "oddwatch-detector";

/// What the detector needs.
pub struct DetectorOptions {
    /// The definitions.
    pub control: ControlLog,
    /// The topics' names.
    pub topics: Topics,
    /// Limits.
    pub config: DetectorConfig,
    /// Stamps what is published; decides nothing.
    pub clock: Clock,
}

/// The detector service on one worker thread.
pub struct DetectorProcessor {
    options: DetectorOptions,
    states: BTreeMap<Partition, State>,
}

impl DetectorProcessor {
    /// A processor without partitions.
    pub fn new(options: DetectorOptions) -> Self {
        Self { options, states: BTreeMap::new() }
    }

    /// The group that its worker joins under the name `member`.
    pub fn group(topics: &Topics, member: &str) -> Group {
        Group {
            name: topics.group(GROUP),
            member: member.into(),
            topics: vec![topics.requested.clone()],
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
            match wire::rows::decode_requested(bytes) {
                Ok(batch) => {
                    self.options.control.read_to(batch.config_version_max())?;
                    state
                        .apply(&self.options.control, &batch, &mut out)
                        .map_err(|source| StageError::hole(GROUP, &slice.partition, source))?;
                }
                Err(error) => {
                    let partition = &slice.partition;
                    let refused = control::undecodable("detector", partition, message, &error);
                    out.refusals.push(refused);
                }
            }
        }
        state.written(&out);
        let counts = std::mem::take(&mut state.counts);
        metrics::counter!(REPEATS, "group" => GROUP).increment(counts.repeats);
        if !replay {
            metrics::counter!(names::SCORES).increment(counts.scores);
            metrics::counter!(names::REFUSED).increment(out.refusals.len() as u64);
            self.encode(&slice.partition, &out, outputs);
        }
        Ok(())
    }

    fn encode(&self, partition: &Partition, out: &Output, outputs: &mut Outputs) {
        let topics = &self.options.topics;
        let now = self.options.clock.now();
        let stamps = Stamps::scored(now);
        let to = partition.number;
        for batch in out.batches.iter().filter(|batch| !batch.items.is_empty()) {
            let value = wire::scores::encode_completed(batch, out.config_version, stamps);
            outputs.messages.push(Written::to(&topics.completed, to, None, value));
        }
        for anomaly in &out.anomalies {
            if anomaly.phase == Phase::Opened {
                let latency_us = now.saturating_sub(anomaly.ingested_at).max(0);
                metrics::counter!(names::ANOMALIES).increment(1);
                metrics::histogram!(names::LATENCY).record(latency_us as f64 / 1e6);
            }
            let key = anomaly.series.key.as_bytes();
            let value = wire::events::encode_anomaly(anomaly, stamps);
            outputs.messages.push(Written::to(&topics.anomalies, to, Some(key), value));
        }
        for refusal in &out.refusals {
            let value = wire::events::encode_refusal(refusal, stamps);
            outputs.messages.push(Written::to(&topics.rejected, to, refusal.key.as_deref(), value));
        }
    }
}

impl Processor for DetectorProcessor {
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
        let (models, bytes) = self
            .states
            .values()
            .map(State::models)
            .fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        metrics::gauge!(names::MODELS).set(models as f64);
        metrics::gauge!(names::MODEL_BYTES).set(bytes as f64);
        Ok(outputs)
    }
}
