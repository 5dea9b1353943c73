//! What the detector says of itself to the stage that runs it. Decides nothing.

use std::{ops::RangeInclusive, sync::Arc};

use control::{ControlLog, History};
use domain::{Batch, Micros, Phase, Refusal, Topics};
use exchange::{Output as Written, Partition, metrics::REPEATS};
use snapshot::Header;
use stage::{Halt, Origin, Select, Stage, StageOptions, StageProcessor};
use wire::{DecodeError, events::Stamps};

use crate::{
    config::DetectorConfig,
    metrics as names,
    output::Output,
    state::{Saved, State},
};

/// The detector service on one worker thread.
pub type DetectorProcessor = StageProcessor<Detection>;

/// Makes the processor of a worker thread.
pub fn processor(config: DetectorConfig, options: StageOptions) -> DetectorProcessor {
    StageProcessor::new(Detection::new(config), options)
}

/// The detector as a stage.
#[derive(Clone)]
pub struct Detection {
    config: DetectorConfig,
}

impl Detection {
    /// The stage with these limits.
    pub fn new(config: DetectorConfig) -> Self {
        Self { config }
    }
}

impl Stage for Detection {
    const SERVICE: &'static str = "detector";
    const GROUP: &'static str = "oddwatch-detector";
    const STATE_VERSIONS: RangeInclusive<u32> = 1..=1;
    type State = State;
    type Saved = Saved;
    type Input = Batch;
    type Output = Output;

    fn input_topic(topics: &Topics) -> &Arc<str> {
        &topics.requested
    }

    fn output_topic(topics: &Topics) -> &Arc<str> {
        &topics.completed
    }

    fn fresh(&self, partition: &Partition, origin: Origin) -> State {
        State::new(partition.to_string().into(), origin, &self.config)
    }

    fn decode(bytes: &[u8]) -> Result<Batch, DecodeError> {
        wire::rows::decode_requested(bytes)
    }

    fn items(batch: &Batch) -> u64 {
        batch.items.len() as u64
    }

    fn config_version(batch: &Batch) -> u64 {
        batch.config_version_max()
    }

    fn output(state: &State) -> Output {
        state.output()
    }

    fn apply(
        state: &mut State,
        control: &ControlLog,
        batch: &Batch,
        select: Select<'_>,
        out: &mut Output,
    ) -> Result<(), Halt> {
        state.apply(control, batch, select, out)
    }

    fn refuse(out: &mut Output, refusal: Refusal) {
        out.refusals.push(refusal);
    }

    fn written(&self, state: &mut State, out: &Output, replay: bool) {
        state.written(out);
        let counts = std::mem::take(&mut state.counts);
        metrics::counter!(REPEATS, "group" => Self::GROUP).increment(counts.repeats);
        if !replay {
            metrics::counter!(names::SCORES).increment(counts.scores);
            metrics::counter!(names::FEEDBACK).increment(counts.feedback);
            metrics::counter!(names::REFUSED).increment(out.refusals.len() as u64);
        }
    }

    fn encode(topics: &Topics, to: u32, out: &Output, now: Micros, messages: &mut Vec<Written>) {
        let stamps = Stamps::scored(now);
        for batch in out.batches.iter().filter(|batch| !batch.items.is_empty()) {
            let value = wire::scores::encode_completed(batch, out.config_version, stamps);
            messages.push(Written::to(&topics.completed, to, None, value));
        }
        for anomaly in &out.anomalies {
            if anomaly.phase == Phase::Opened {
                let latency_us = now.saturating_sub(anomaly.ingested_at).max(0);
                metrics::counter!(names::ANOMALIES).increment(1);
                metrics::histogram!(names::LATENCY).record(latency_us as f64 / 1e6);
            }
            let key = anomaly.series.key.as_bytes();
            let value = wire::events::encode_anomaly(anomaly, stamps);
            messages.push(Written::to(&topics.anomalies, to, Some(key), value));
        }
        for refusal in &out.refusals {
            let value = wire::events::encode_refusal(refusal, stamps);
            messages.push(Written::to(&topics.rejected, to, refusal.key.as_deref(), value));
        }
    }

    fn observe<'a>(states: impl Iterator<Item = &'a State>) {
        let (models, bytes) =
            states.map(State::models).fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        metrics::gauge!(names::MODELS).set(models as f64);
        metrics::gauge!(names::MODEL_BYTES).set(bytes as f64);
    }

    fn read_head(
        &self,
        partition: &Partition,
        history: &Arc<History>,
        header: &Header,
        head: &[u8],
    ) -> Result<Saved, String> {
        let saved = Saved::new(partition, &self.config, history, header, head);
        saved.map_err(|error| error.to_string())
    }

    fn read_item(saved: &mut Saved, index: u32, bytes: &[u8]) -> Result<(), String> {
        saved.item(index, bytes).map_err(|error| error.to_string())
    }

    fn revive(saved: Saved) -> Result<State, String> {
        saved.finish().map_err(|error| error.to_string())
    }
}
