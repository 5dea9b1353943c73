//! What windowing says of itself to the stage that runs it. Decides nothing.

use std::{ops::RangeInclusive, sync::Arc};

use control::{ControlLog, History};
use domain::{Batch, Micros, Refusal, Topics};
use exchange::{Output as Written, Partition, metrics::REPEATS};
use snapshot::Header;
use stage::{Halt, Origin, Select, Stage, StageOptions, StageProcessor};
use wire::{DecodeError, events::Stamps};

use crate::{
    config::WindowingConfig,
    metrics as names,
    output::Output,
    state::{Saved, State},
};

/// The windowing service on one worker thread.
pub type WindowingProcessor = StageProcessor<Windowing>;

/// Makes the processor of a worker thread.
pub fn processor(config: WindowingConfig, options: StageOptions) -> WindowingProcessor {
    StageProcessor::new(Windowing::new(config), options)
}

/// Windowing as a stage.
#[derive(Clone)]
pub struct Windowing {
    config: WindowingConfig,
}

impl Windowing {
    /// The stage with these limits.
    pub fn new(config: WindowingConfig) -> Self {
        Self { config }
    }
}

impl Stage for Windowing {
    const SERVICE: &'static str = "windowing";
    const GROUP: &'static str = "oddwatch-windowing";
    const STATE_VERSIONS: RangeInclusive<u32> = 1..=1;
    type State = State;
    type Saved = Saved;
    type Input = Vec<Batch>;
    type Output = Output;

    fn input_topic(topics: &Topics) -> &Arc<str> {
        &topics.accepted
    }

    fn output_topic(topics: &Topics) -> &Arc<str> {
        &topics.requested
    }

    fn fresh(&self, partition: &Partition, origin: Origin) -> State {
        State::new(partition.to_string().into(), origin, &self.config)
    }

    fn decode(bytes: &[u8]) -> Result<Vec<Batch>, DecodeError> {
        wire::rows::decode_accepted(bytes)
    }

    fn items(segments: &Vec<Batch>) -> u64 {
        segments.iter().map(|segment| segment.items.len() as u64).sum()
    }

    fn config_version(segments: &Vec<Batch>) -> u64 {
        segments.iter().map(Batch::config_version_max).max().unwrap_or(0)
    }

    fn output(state: &State) -> Output {
        state.output()
    }

    fn apply(
        state: &mut State,
        control: &ControlLog,
        segments: &Vec<Batch>,
        select: Select<'_>,
        out: &mut Output,
    ) -> Result<(), Halt> {
        Ok(state.apply(control, segments, select, out)?)
    }

    fn refuse(out: &mut Output, refusal: Refusal) {
        out.refusals.push(refusal);
    }

    fn written(&self, state: &mut State, out: &Output, replay: bool) {
        state.written(out);
        let counts = std::mem::take(&mut state.counts);
        metrics::counter!(REPEATS, "group" => Self::GROUP).increment(counts.repeats);
        if !replay {
            metrics::counter!(names::ROWS).increment(counts.rows);
            metrics::counter!(names::LATE_ROWS).increment(counts.late);
            for (arrival, records) in [
                ("in_time", counts.in_time),
                ("reordered", counts.reordered),
                ("late", counts.late),
                ("late_refused", counts.late_refused),
                ("repeated", counts.repeated),
            ] {
                metrics::counter!(names::RECORDS, "arrival" => arrival).increment(records);
            }
            metrics::counter!(names::IMPUTED_ROWS).increment(counts.imputed);
            metrics::counter!(names::NO_DATA).increment(counts.no_data);
            metrics::counter!(names::FORGOTTEN).increment(counts.forgotten);
            metrics::counter!(names::DRIFTS).increment(out.drifts.len() as u64);
            metrics::counter!(names::REFUSED).increment(out.refusals.len() as u64);
        }
    }

    fn encode(topics: &Topics, to: u32, out: &Output, now: Micros, messages: &mut Vec<Written>) {
        let stamps = Stamps::published(now);
        for batch in out.batches.iter().filter(|batch| !batch.items.is_empty()) {
            let value = wire::rows::encode_requested(batch, stamps);
            messages.push(Written::to(&topics.requested, to, None, value));
        }
        for drift in &out.drifts {
            let key = drift.series.key.as_bytes();
            let value = wire::events::encode_drift(drift, stamps);
            messages.push(Written::to(&topics.drifts, to, Some(key), value));
        }
        for refusal in &out.refusals {
            let value = wire::events::encode_refusal(refusal, stamps);
            messages.push(Written::to(&topics.rejected, to, refusal.key.as_deref(), value));
        }
    }

    fn observe<'a>(states: impl Iterator<Item = &'a State>) {
        let series: usize = states.map(State::series_count).sum();
        metrics::gauge!(names::SERIES).set(series as f64);
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
