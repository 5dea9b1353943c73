//! What a service with replayable state has to say for itself.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc};

use control::{ControlLog, History};
use domain::{Micros, Refusal, Topics};
use exchange::{Output, Partition};
use snapshot::{Capture, Header};
use wire::DecodeError;

use crate::{Halt, Life};

/// Which items of a message are taken.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    skipped: Option<&'a BTreeSet<u64>>,
    until: u64,
}

/// What is done with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is applied.
    Take,
    /// It is refused, because a service panicked or died on it.
    Skip,
    /// It, and what follows, is left alone.
    Stop,
}

impl<'a> Select<'a> {
    /// All items but the skipped ones.
    pub fn all_but(skipped: Option<&'a BTreeSet<u64>>) -> Self {
        Self { skipped, until: u64::MAX }
    }

    /// Of these, only those before an index.
    #[must_use]
    pub fn until(self, until: u64) -> Self {
        Self { until, ..self }
    }

    /// What is done with the item of this index within its message.
    #[inline]
    pub fn choose(&self, index: u64) -> Choice {
        if index >= self.until {
            Choice::Stop
        } else if self.skipped.is_some_and(|skipped| skipped.contains(&index)) {
            Choice::Skip
        } else {
            Choice::Take
        }
    }
}

/// The state of one partition.
pub trait PartitionState: Capture + Send {
    /// The epoch and number of the next output item.
    fn position(&self) -> (u32, u64);

    /// The index of the item in hand within its message; asked after a panic.
    fn item(&self) -> u64;
}

/// What a fresh state is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The epoch of its own numbers.
    pub epoch: u32,
    /// It begins in the middle of its sources' numbers.
    pub in_the_middle: bool,
}

impl Origin {
    /// That of a life.
    pub fn of(life: Life) -> Self {
        Self { epoch: life.epoch, in_the_middle: life.epoch > 1 }
    }
}

/// A service whose state is a function of its input log.
pub trait Stage: Clone + Send + Sync + 'static {
    /// The service's name, such as `detector`.
    const SERVICE: &'static str;
    /// Its consumer group, without a prefix.
    const GROUP: &'static str;
    /// The versions of saved states that it reads; it writes the last one.
    const STATE_VERSIONS: RangeInclusive<u32>;
    /// What one partition knows.
    type State: PartitionState;
    /// A saved state that is being read.
    type Saved: Send + 'static;
    /// A decoded message.
    type Input;
    /// What a cycle writes for one partition.
    type Output;

    /// The topic it reads.
    fn input_topic(topics: &Topics) -> &Arc<str>;

    /// The topic that its numbered items go to.
    fn output_topic(topics: &Topics) -> &Arc<str>;

    /// A state that knows nothing.
    fn fresh(&self, partition: &Partition, origin: Origin) -> Self::State;

    /// Reads a message.
    ///
    /// # Errors
    /// If it is none of this stage's.
    fn decode(bytes: &[u8]) -> Result<Self::Input, DecodeError>;

    /// How many items a message has.
    fn items(input: &Self::Input) -> u64;

    /// The config version up to which `control` must have been read.
    fn config_version(input: &Self::Input) -> u64;

    /// An output that continues a state's numbers.
    fn output(state: &Self::State) -> Self::Output;

    /// Applies the selected items of a message.
    ///
    /// # Errors
    /// If items are missing or a definition can't be carried out; the partition must stop then.
    fn apply(
        state: &mut Self::State,
        control: &ControlLog,
        input: &Self::Input,
        select: Select<'_>,
        out: &mut Self::Output,
    ) -> Result<(), Halt>;

    /// Adds a refusal to an output.
    fn refuse(out: &mut Self::Output, refusal: Refusal);

    /// Takes note of what an output wrote, and counts it unless it was replayed.
    fn written(&self, state: &mut Self::State, out: &Self::Output, replay: bool);

    /// Encodes an output for partitions of this number. `now` only stamps it.
    fn encode(topics: &Topics, number: u32, out: &Self::Output, now: Micros, to: &mut Vec<Output>);

    /// Tells of all states, for metrics.
    fn observe<'a>(states: impl Iterator<Item = &'a Self::State>);

    /// Begins to read a saved state. `history` reaches to the saved config version.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read_head(
        &self,
        partition: &Partition,
        history: &Arc<History>,
        header: &Header,
        head: &[u8],
    ) -> Result<Self::Saved, String>;

    /// Reads one of its items.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read_item(saved: &mut Self::Saved, index: u32, bytes: &[u8]) -> Result<(), String>;

    /// Makes a state of all that was read.
    ///
    /// # Errors
    /// What is wrong with it.
    fn revive(saved: Self::Saved) -> Result<Self::State, String>;
}
