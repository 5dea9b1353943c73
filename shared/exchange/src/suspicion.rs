//! Finds the item on which a process dies: an abort, an exhausted stack, want of memory. No process can catch
//! these, so what is known has to outlive it: a mark behind the metadata of the committed offset.
//!
//! Before the first live batch after a restore a worker notes one death more than it knows of; the batch's commit
//! takes the mark away. So a mark that a restart finds tells of a death within that batch; a kill from outside
//! lands there once in a while, but not again and again without any progress. From the third death on messages
//! come one by one, so that all but the deadly one make progress. From the fourth on a binary search rehearses a
//! part of the message's items, each part noted before it is tried: a death says that the item is in the part, a
//! survival that it is behind it. A survival is noted too: the next death may be another partition's. The item found
//! is confirmed by one more death before it is skipped for good.

use std::collections::BTreeMap;

use crate::port::{Assignment, Batch, Offset, Outputs, Partition};

/// After so many deaths without progress, messages come one by one.
const CAREFUL: u32 = 3;
/// After so many, the item is searched for.
const SEARCH: u32 = 4;
/// Stands between a processor's metadata and the mark.
const SEPARATOR: char = '|';

/// What is known of deaths at a partition's committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// So many deaths, of whatever cause.
    Deaths(u32),
    /// The first `low` items of the message can be applied, the first `high` can't.
    Between { low: u64, high: u64 },
    /// This item was confirmed to be deadly.
    Guilty { item: u64 },
}

/// What is tried, as noted before it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// A batch is applied; with this there are so many deaths.
    Deaths(u32),
    /// The first `trial` items are rehearsed.
    Trial { low: u64, high: u64, trial: u64 },
    /// The items up to this one are rehearsed, once more.
    Confirm { item: u64 },
    /// Nothing of this partition is tried: the item is among these.
    Between { low: u64, high: u64 },
}

impl Mark {
    fn encode(self) -> String {
        match self {
            Self::Deaths(deaths) => format!("d{deaths}"),
            Self::Trial { low, high, trial } => format!("t{low},{high},{trial}"),
            Self::Confirm { item } => format!("c{item}"),
            Self::Between { low, high } => format!("b{low},{high}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let (kind, numbers) = text.split_at_checked(1)?;
        let numbers: Option<Vec<u64>> = numbers.split(',').map(|n| n.parse().ok()).collect();
        match (kind, &numbers?[..]) {
            ("d", &[deaths]) => Some(Self::Deaths(u32::try_from(deaths).ok()?)),
            ("t", &[low, high, trial]) if low < trial && trial < high => {
                Some(Self::Trial { low, high, trial })
            }
            ("c", &[item]) => Some(Self::Confirm { item }),
            ("b", &[low, high]) if low < high => Some(Self::Between { low, high }),
            _ => None,
        }
    }

    /// What follows from a death while this was tried.
    fn after_death(self) -> Knowledge {
        match self {
            Self::Deaths(deaths) => Knowledge::Deaths(deaths),
            Self::Trial { low, trial, .. } => Knowledge::Between { low, high: trial },
            Self::Confirm { item } => Knowledge::Guilty { item },
            Self::Between { low, high } => Knowledge::Between { low, high },
        }
    }
}

/// What to do next with the one message in question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Rehearse so many of its items, with this metadata noted before.
    Rehearse { items: u64, note: String },
    /// Skip this item for good.
    Skip { item: u64 },
}

/// The partitions of which no live batch was committed since they came.
#[derive(Default)]
pub(crate) struct Suspects {
    by_partition: BTreeMap<Partition, Suspect>,
}

struct Suspect {
    /// The processor's part of the metadata.
    base: String,
    /// The metadata as it was last known to be stored.
    stored: Option<(Offset, String)>,
    knowledge: Knowledge,
}

impl Suspects {
    /// Takes the mark from an assignment's metadata; the processor gets to see its own part only. What can't be
    /// skipped is not looked for.
    pub(crate) fn assigned(&mut self, assignment: &mut Assignment, can_skip: bool) {
        let found = assignment.committed.as_mut().map(|committed| {
            let stored = (committed.offset, committed.metadata.clone());
            let mut mark = None;
            if let Some((base, text)) = stored.1.rsplit_once(SEPARATOR) {
                mark = Mark::decode(text);
                committed.metadata = base.to_owned();
            }
            (stored, mark)
        });
        if !can_skip {
            return;
        }
        let base = assignment.committed.as_ref().map(|committed| committed.metadata.clone());
        let (stored, mark) = found.map_or((None, None), |(stored, mark)| (Some(stored), mark));
        // If the mark is this very process's, nobody has died of it.
        let known = self.by_partition.get(&assignment.partition);
        let knowledge = match known.filter(|known| known.stored == stored) {
            Some(known) => known.knowledge,
            None => mark.map_or(Knowledge::Deaths(0), Mark::after_death),
        };
        let suspect = Suspect { base: base.unwrap_or_default(), stored, knowledge };
        self.by_partition.insert(assignment.partition.clone(), suspect);
    }

    /// Whether no live batch of the partition was committed since it came.
    pub(crate) fn waits(&self, partition: &Partition) -> bool {
        self.by_partition.contains_key(partition)
    }

    /// Whether messages have to come one by one.
    pub(crate) fn is_careful(&self) -> bool {
        let careful = |suspect: &Suspect| match suspect.knowledge {
            Knowledge::Deaths(deaths) => deaths >= CAREFUL,
            Knowledge::Between { .. } | Knowledge::Guilty { .. } => true,
        };
        self.by_partition.values().any(careful)
    }

    /// The partition whose only message has to be searched.
    pub(crate) fn searched<'a>(&self, batch: &'a Batch) -> Option<&'a Partition> {
        let mut with_messages = batch.slices.iter().filter(|slice| !slice.messages.is_empty());
        let only = with_messages.next().filter(|slice| slice.messages.len() == 1)?;
        let knowledge = self.by_partition.get(&only.partition)?.knowledge;
        let due = !matches!(knowledge, Knowledge::Deaths(deaths) if deaths < SEARCH);
        (due && with_messages.next().is_none()).then_some(&only.partition)
    }

    /// What the processor would commit with a partition's offset now, if it is not what stands there.
    pub(crate) fn set_base(&mut self, partition: &Partition, base: Option<String>) {
        if let (Some(suspect), Some(base)) = (self.by_partition.get_mut(partition), base) {
            suspect.base = base;
        }
    }

    /// The metadata to note before a live batch is applied: its waiting partitions, with one death more.
    pub(crate) fn marks(&self, batch: &Batch) -> Vec<(Partition, String)> {
        let mut marks = vec![];
        for slice in batch.slices.iter().filter(|slice| !slice.messages.is_empty()) {
            if let Some(suspect) = self.by_partition.get(&slice.partition) {
                let Knowledge::Deaths(deaths) = suspect.knowledge else { continue };
                let mark = Mark::Deaths(deaths.saturating_add(1));
                marks.push((slice.partition.clone(), suspect.with(mark)));
            }
        }
        marks
    }

    /// What to try next on a message with so many items; a rehearsal comes with the metadata to note before.
    pub(crate) fn next(&mut self, partition: &Partition, items: u64) -> Option<Next> {
        let suspect = self.by_partition.get_mut(partition)?;
        let (low, high) = match suspect.knowledge {
            Knowledge::Guilty { item } => return Some(Next::Skip { item }),
            Knowledge::Between { low, high } => (low, high),
            Knowledge::Deaths(_) => (0, items.max(1)),
        };
        suspect.knowledge = Knowledge::Between { low, high };
        let (items, mark) = if high - low <= 1 {
            (high, Mark::Confirm { item: low })
        } else {
            let trial = low + (high - low) / 2;
            (trial, Mark::Trial { low, high, trial })
        };
        Some(Next::Rehearse { items, note: suspect.with(mark) })
    }

    /// A partition's metadata without a mark.
    pub(crate) fn base(&self, partition: &Partition) -> Option<String> {
        Some(self.by_partition.get(partition)?.base.clone())
    }

    /// A rehearsal of so many items was survived. Returns the metadata to note: what is known now, so that a death of
    /// another cause is not put down to these items.
    pub(crate) fn survived(&mut self, partition: &Partition, items: u64) -> Option<String> {
        let suspect = self.by_partition.get_mut(partition)?;
        let mark = match suspect.knowledge {
            Knowledge::Between { high, .. } if items < high => Mark::Between { low: items, high },
            // All of it was survived: some death had another cause.
            _ => Mark::Deaths(CAREFUL),
        };
        suspect.knowledge = mark.after_death();
        Some(suspect.with(mark))
    }

    /// An item of the partition is skipped from now on.
    pub(crate) fn skipped(&mut self, partition: &Partition) {
        if let Some(suspect) = self.by_partition.get_mut(partition) {
            suspect.knowledge = Knowledge::Deaths(0);
        }
    }

    /// These were noted. Where nothing was stored before, the next assignment tells of one death too many, which
    /// does no harm.
    pub(crate) fn noted(&mut self, metadata: Vec<(Partition, String)>) {
        for (partition, metadata) in metadata {
            let suspect = self.by_partition.get_mut(&partition);
            if let Some((_, stored)) = suspect.and_then(|suspect| suspect.stored.as_mut()) {
                *stored = metadata;
            }
        }
    }

    /// Makes the outputs of a live batch take the marks away.
    pub(crate) fn clear(&self, batch: &Batch, outputs: &mut Outputs) {
        for slice in batch.slices.iter().filter(|slice| !slice.messages.is_empty()) {
            let Some(suspect) = self.by_partition.get(&slice.partition) else { continue };
            let named = outputs.metadata.iter().any(|(partition, _)| *partition == slice.partition);
            if !named {
                outputs.metadata.push((slice.partition.clone(), suspect.base.clone()));
            }
        }
    }

    /// A live batch of these partitions was committed.
    pub(crate) fn passed(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.by_partition.remove(partition);
        }
    }
}

impl Suspect {
    fn with(&self, mark: Mark) -> String {
        format!("{}{SEPARATOR}{}", self.base, mark.encode())
    }
}
