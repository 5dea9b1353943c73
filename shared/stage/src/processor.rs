//! The processor of a stage: polls, applies, commits, snapshots; decides nothing.

use std::{collections::BTreeMap, sync::Arc};

use domain::Topics;
use exchange::{
    Assignment, Batch, Group, Message, Offset, Outputs, Partition, Place, Processor, Restore,
    Slice, Start,
    points::{self, Point},
};
use snapshot::{Header, Loaded, Loader, Saver, Wanted};

use crate::{
    Life, LossPolicy, Select, Snapshots, Stage, StageError, StageOptions,
    part::{Committed, Part, Parts, named},
    stage::{Origin, PartitionState as _},
};

/// A stage on one worker thread.
pub struct StageProcessor<S: Stage> {
    stage: S,
    options: StageOptions,
    parts: BTreeMap<Partition, Part<S::State>>,
    /// Partitions that wait for their snapshot, with what was committed.
    waiting: BTreeMap<Partition, Committed>,
    loader: Option<Loader<S::Saved>>,
    saver: Option<Saver>,
    /// Partitions whose snapshots could not be asked for, and why: what is replayed in their place may be gone.
    unread: BTreeMap<Partition, snapshot::Error>,
    /// Partitions that have come, with the offset from which they may need their input, to be told.
    needs: Vec<(Partition, Offset)>,
    /// The item in hand; its index is the state's to tell once the message has been read.
    hand: Option<Place>,
}

impl<S: Stage> StageProcessor<S> {
    /// A processor without partitions.
    pub fn new(stage: S, options: StageOptions) -> Self {
        let snapshots = options.snapshots.clone();
        let (loader, saver) = snapshots
            .map(|Snapshots { store, config, inline }| {
                let loader = Loader::new(Arc::clone(&store), S::SERVICE, inline);
                (loader, Saver::new(store, S::SERVICE, config, inline))
            })
            .unzip();
        Self {
            stage,
            options,
            parts: BTreeMap::new(),
            waiting: BTreeMap::new(),
            loader,
            saver,
            unread: BTreeMap::new(),
            needs: vec![],
            hand: None,
        }
    }

    /// The group that its worker joins under the name `member`.
    pub fn group(topics: &Topics, member: &str) -> Group {
        Group {
            name: topics.group(S::GROUP),
            member: member.into(),
            topics: vec![S::input_topic(topics).clone()],
        }
    }

    /// A partition without a committed offset: it is new, unless there is a snapshot or an output.
    fn begin(&mut self, partition: &Partition) -> Result<Start, StageError> {
        let output =
            Partition::new(S::output_topic(&self.options.topics).clone(), partition.number);
        let newest = match &self.options.snapshots {
            Some(snapshots) => snapshots.newest(S::SERVICE, partition)?,
            None => None,
        };
        let what = match &newest {
            Some(header) => format!("a snapshot as of offset {}", header.offset),
            None if self.options.exchange.written(&output)? => format!("output in {output}"),
            None => {
                self.place_fresh(partition, Life::first(0));
                return Ok(Start::Earliest);
            }
        };
        let what = format!("there is {what}, but the group has no committed offset (any more)");
        let epoch = newest.map_or(1, |header| header.epoch);
        self.afresh(partition, &what, epoch, 0)?;
        Ok(Start::Earliest)
    }

    /// Follows the policy when a state can't be restored: ends, or makes one that knows nothing from the offset
    /// `began` on (0: whatever is kept).
    fn afresh(
        &mut self,
        partition: &Partition,
        what: &str,
        epoch: u32,
        began: Offset,
    ) -> Result<(), StageError> {
        let service = S::SERVICE;
        if self.options.loss == LossPolicy::Stop {
            let (partition, what) = (partition.clone(), what.to_owned());
            return Err(StageError::Lost { service, partition, what });
        }
        // Larger than any that was ever used, known or not.
        let seconds = u32::try_from(self.options.clock.now() / 1_000_000).unwrap_or(u32::MAX);
        let life = Life { epoch: seconds.max(epoch + 1), next: 1, began };
        let epoch = life.epoch;
        tracing::error!(service, %partition, what, epoch, "state lost, starting afresh");
        self.place_fresh(partition, life);
        Ok(())
    }

    fn place_fresh(&mut self, partition: &Partition, life: Life) {
        let state = self.stage.fresh(partition, Origin::of(life));
        self.place(partition, state, life, None, vec![]);
    }

    fn place(
        &mut self,
        partition: &Partition,
        state: S::State,
        life: Life,
        committed: Option<Committed>,
        kept: Vec<Offset>,
    ) {
        let now_ms = self.options.clock.now() / 1000;
        if let Some(saver) = &mut self.saver {
            saver.assigned(&partition.to_string(), kept, now_ms);
            // A release that went further before holds on.
            self.needs.push((partition.clone(), life.began));
        }
        let known = life.epoch == 1 || life.began > 0;
        let part = Part {
            state,
            read_to: life.began,
            began: known.then_some(life.began),
            committed: committed.map_or(0, |committed| committed.offset),
            expected: committed.and_then(|committed| committed.life),
        };
        self.parts.insert(partition.clone(), part);
    }

    /// Makes a state of what was loaded, or one that knows nothing if nothing good was found.
    fn revive(
        &mut self,
        partition: &Partition,
        committed: Committed,
        loaded: Option<Loaded<S::Saved>>,
    ) -> Result<Start, StageError> {
        let mut life = committed.life.unwrap_or(Life::first(0));
        if life.epoch > 1 && life.next == 1 {
            // Nothing was written yet: it begins where it stands.
            life.began = committed.offset;
        }
        if let Some(Loaded { state: Some((header, saved)), kept, .. }) = loaded {
            match S::revive(saved) {
                Ok(state) => {
                    self.place(partition, state, life, Some(committed), kept);
                    if let Some(part) = self.parts.get_mut(partition) {
                        part.read_to = header.offset;
                    }
                    return Ok(Start::At(header.offset));
                }
                Err(why) => {
                    let offset = header.offset;
                    tracing::warn!(service = S::SERVICE, %partition, offset, why, "snapshot not used");
                }
            }
        }
        let state = self.stage.fresh(partition, Origin::of(life));
        self.place(partition, state, life, Some(committed), vec![]);
        Ok(Start::At(life.began))
    }

    fn collect(&mut self) -> Result<Vec<(Partition, Start)>, StageError> {
        let Some(loader) = &mut self.loader else { return Ok(vec![]) };
        let mut starts = vec![];
        for (name, loaded) in loader.ready() {
            let known = named(&self.waiting, &name);
            let Some((partition, committed)) =
                known.and_then(|partition| self.waiting.remove_entry(&partition))
            else {
                continue;
            };
            let loaded = loaded.map_err(|error| {
                tracing::warn!(service = S::SERVICE, %partition, %error, "snapshots can't be read");
                self.unread.insert(partition.clone(), error);
            });
            let start = self.revive(&partition, committed, loaded.ok())?;
            starts.push((partition, start));
        }
        Ok(starts)
    }

    /// Applies the items of a slice, up to `until` of the first message, and encodes what follows unless it is a
    /// replay.
    fn slice(
        &mut self,
        slice: &Slice,
        replay: bool,
        until: u64,
        outputs: &mut Outputs,
    ) -> Result<(), StageError> {
        let Self { stage, options, parts, saver, hand, .. } = self;
        let partition = &slice.partition;
        let Some(part) = parts.get_mut(partition) else { return Ok(()) };
        if !replay && !slice.messages.is_empty() {
            part.check_met(S::SERVICE, partition)?;
        }
        let mut out = S::output(&part.state);
        let mut bytes = 0;
        for message in &slice.messages {
            part.began.get_or_insert(message.offset);
            part.read_to = message.offset + 1;
            let value = message.value.as_deref().unwrap_or_default();
            bytes += value.len() as u64;
            let place = |item| Place { partition: partition.clone(), offset: message.offset, item };
            *hand = Some(place(Place::WHOLE));
            let skipped = options.control.skipped(S::SERVICE, partition, message);
            if skipped.is_some_and(|skipped| skipped.contains(&Place::WHOLE)) {
                S::refuse(&mut out, control::poisonous(S::SERVICE, partition, message));
                continue;
            }
            match S::decode(value) {
                Ok(input) => {
                    options.control.read_to(S::config_version(&input))?;
                    *hand = Some(place(0));
                    let control = &options.control;
                    let skipped = control.skipped(S::SERVICE, partition, message);
                    let select = Select::all_but(skipped).until(until);
                    S::apply(&mut part.state, control, &input, select, &mut out)
                        .map_err(|source| StageError::halt(S::GROUP, partition, source))?;
                }
                Err(error) => {
                    let refusal = control::undecodable(S::SERVICE, partition, message, &error);
                    S::refuse(&mut out, refusal);
                }
            }
        }
        *hand = None;
        stage.written(&mut part.state, &out, replay);
        // That the end was reached is no input.
        if let Some(saver) = saver
            && !slice.messages.is_empty()
        {
            saver.applied(&partition.to_string(), bytes);
        }
        if !replay && !slice.messages.is_empty() {
            let now = options.clock.now();
            S::encode(&options.topics, partition.number, &out, now, &mut outputs.messages);
            outputs.metadata.push((partition.clone(), part.life().encode()));
        }
        Ok(())
    }
}

impl<S: Stage> Processor for StageProcessor<S> {
    type Error = StageError;

    fn restore(&mut self, assignment: &Assignment) -> Result<Restore, StageError> {
        // Skips hold for every replay.
        self.options.control.read_all()?;
        let partition = &assignment.partition;
        let Some(committed) = &assignment.committed else {
            return Ok(Restore::Start(self.begin(partition)?));
        };
        let life = Life::decode(&committed.metadata);
        let known = Committed { offset: committed.offset, life };
        let Some(loader) = &mut self.loader else {
            return Ok(Restore::Start(self.revive(partition, known, None)?));
        };
        let wanted = Wanted {
            offset_max: committed.offset,
            epoch: life.map(|life| life.epoch),
            state_versions: S::STATE_VERSIONS,
        };
        let (stage, history) = (self.stage.clone(), self.options.control.history());
        let of = partition.clone();
        let begin =
            move |header: &Header, head: &[u8]| stage.read_head(&of, &history, header, head);
        let item = |saved: &mut S::Saved, index: u32, bytes: &[u8]| {
            points::pass(Point::MidLoad);
            S::read_item(saved, index, bytes)
        };
        loader.request(&partition.to_string(), wanted, begin, item);
        self.waiting.insert(partition.clone(), known);
        if self.options.snapshots.as_ref().is_some_and(|snapshots| snapshots.inline)
            && let Some((_, start)) = self.collect()?.pop()
        {
            return Ok(Restore::Start(start));
        }
        Ok(Restore::Later)
    }

    fn restored(&mut self) -> Result<Vec<(Partition, Start)>, StageError> {
        self.collect()
    }

    fn loading(&self) -> usize {
        self.waiting.len()
    }

    fn lost(
        &mut self,
        partition: &Partition,
        wanted: Offset,
        first: Offset,
    ) -> Result<Start, StageError> {
        if wanted >= first {
            // The log is shorter than what was read of it: it is another one.
            let partition = partition.clone();
            return Err(exchange::Error::Lost { partition, wanted, first }.into());
        }
        // A store that is away for a while is no loss: whoever comes next may find what it has.
        if let Some(error) = self.unread.remove(partition) {
            return Err(error.into());
        }
        let part = self.parts.remove(partition);
        let (life, committed) = part.map_or((None, 0), |part| (part.expected, part.committed));
        let what = format!("offsets {wanted} to {} of its input are gone", first - 1);
        let began = first.max(committed);
        self.afresh(partition, &what, life.map_or(1, |life| life.epoch), began)?;
        Ok(Start::At(began))
    }

    fn drop_partition(&mut self, partition: &Partition) {
        self.parts.remove(partition);
        self.waiting.remove(partition);
        self.unread.remove(partition);
        let name = partition.to_string();
        if let Some(loader) = &mut self.loader {
            loader.forget(&name);
        }
        if let Some(saver) = &mut self.saver {
            saver.dropped(&name);
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, StageError> {
        let mut outputs = Outputs::default();
        for slice in &batch.slices {
            self.slice(slice, batch.replay, u64::MAX, &mut outputs)?;
        }
        S::observe(self.parts.values().map(|part| &part.state));
        Ok(outputs)
    }

    fn settled(&mut self) -> Result<Vec<(Partition, Offset)>, StageError> {
        let Some(saver) = &mut self.saver else { return Ok(vec![]) };
        let now_ms = self.options.clock.now() / 1000;
        let released = saver.settle(now_ms, &mut Parts(&mut self.parts));
        if saver.in_progress() {
            points::pass(Point::MidSnapshot);
        }
        let released = released.into_iter().filter_map(|released| {
            Some((named(&self.parts, &released.partition)?, released.needed_from))
        });
        Ok(std::mem::take(&mut self.needs).into_iter().chain(released).collect())
    }

    fn can_skip(&self) -> bool {
        true
    }

    fn place(&self) -> Option<Place> {
        let hand = self.hand.clone()?;
        if hand.item == Place::WHOLE {
            return Some(hand);
        }
        let item = self.parts.get(&hand.partition)?.state.item();
        Some(Place { item, ..hand })
    }

    fn is_busy(&self) -> bool {
        self.saver.as_ref().is_some_and(Saver::in_progress)
    }

    fn metadata(&self, partition: &Partition) -> Option<String> {
        Some(self.parts.get(partition)?.life().encode())
    }

    fn items(&self, message: &Message) -> u64 {
        let value = message.value.as_deref().unwrap_or_default();
        S::decode(value).map_or(1, |input| S::items(&input)).max(1)
    }

    fn rehearse(&mut self, batch: &Batch, items: u64) -> Result<(), StageError> {
        for slice in &batch.slices {
            self.slice(slice, batch.replay, items, &mut Outputs::default())?;
        }
        Ok(())
    }

    fn skip(&mut self, place: &Place, why: &str) -> Result<(), StageError> {
        let now = self.options.clock.now();
        self.options.writer.skip(S::SERVICE, place, why, now)?;
        Ok(())
    }
}
