//! A processor that dies at points, and on messages. All of its calls go through to the real one: when
//! [`Processor`] gets a further call, it must be added here.

use domain::Topics;
use exchange::{
    Assignment, Batch, Error, Message, Offset, Outputs, Partition, Place, Processor, Restore, Start,
};

use control::ControlLog;

use super::{
    deadly::Death,
    luck::{AS_PLANNED, Luck, Point},
};

/// Tells whether a service dies on a message.
pub(crate) type Kills = fn(&Topics, &Partition, &Message) -> Option<Death>;

/// What an unlucky processor is told.
pub(crate) struct Fate {
    /// The service.
    pub(crate) service: &'static str,
    pub(crate) luck: Luck,
    pub(crate) topics: Topics,
    /// Which messages are skipped by now.
    pub(crate) control: ControlLog,
    pub(crate) kills: Kills,
}

/// A processor and its fate.
pub(crate) struct Unlucky<P> {
    inner: P,
    fate: Fate,
}

fn died(of: &str) -> Error {
    Error::Fatal { what: format!("died {of}, {AS_PLANNED}") }
}

impl<P: Processor> Unlucky<P> {
    pub(crate) fn new(inner: P, fate: Fate) -> Self {
        Self { inner, fate }
    }

    fn pass(&self, point: Point) -> Result<(), Error> {
        if self.fate.luck.dies(self.fate.service, point) {
            return Err(died(point.name()));
        }
        Ok(())
    }

    /// The batch up to its first deadly message, and how that one kills.
    fn until_death(&self, batch: &Batch) -> Option<(Batch, Death)> {
        let Fate { service, topics, control, kills, .. } = &self.fate;
        for (at, slice) in batch.slices.iter().enumerate() {
            for (index, message) in slice.messages.iter().enumerate() {
                let Some(death) = kills(topics, &slice.partition, message) else { continue };
                if control.skipped(service, &slice.partition, message).is_some() {
                    continue;
                }
                let mut slices = batch.slices[..=at].to_vec();
                slices[at].messages.truncate(index + 1);
                return Some((Batch { slices, replay: batch.replay }, death));
            }
        }
        None
    }
}

impl<P: Processor> Processor for Unlucky<P> {
    type Error = P::Error;

    fn restore(&mut self, assignment: &Assignment) -> Result<Restore, P::Error> {
        self.pass(Point::Restore)?;
        let all = self.fate.control.read_all();
        all.map_err(|error| Error::Fatal { what: error.to_string() })?;
        let restore = self.inner.restore(assignment)?;
        let luck = &self.fate.luck;
        match restore {
            Restore::Start(Start::At(offset)) if offset > 0 => luck.count("restore in the middle"),
            Restore::Start(_) => luck.count("restore from the start, or as committed"),
            Restore::Later => luck.count("restore on another thread"),
        }
        self.pass(Point::Restored)?;
        Ok(restore)
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, P::Error> {
        self.pass(Point::Apply)?;
        if let Some((batch, death)) = self.until_death(batch) {
            self.inner.apply(&batch)?;
            match death {
                Death::Panic => panic!("{AS_PLANNED}: a deadly message"),
                Death::Die => return Err(died("of a message").into()),
            }
        }
        let outputs = self.inner.apply(batch)?;
        self.pass(if batch.replay { Point::Replayed } else { Point::Applied })?;
        Ok(outputs)
    }

    fn rehearse(&mut self, batch: &Batch, items: u64) -> Result<(), P::Error> {
        if let Some((batch, death)) = self.until_death(batch) {
            self.inner.rehearse(&batch, items)?;
            match death {
                Death::Panic => panic!("{AS_PLANNED}: a deadly message"),
                Death::Die => return Err(died("of a message").into()),
            }
        }
        self.fate.luck.count("rehearsal survived, or of a row");
        self.inner.rehearse(batch, items)
    }

    fn settled(&mut self) -> Result<Vec<(Partition, Offset)>, P::Error> {
        self.pass(Point::Settle)?;
        let released = self.inner.settled()?;
        if released.iter().any(|(_, offset)| *offset > 0) {
            self.fate.luck.count("input released");
        }
        self.pass(Point::Settled)?;
        Ok(released)
    }

    fn skip(&mut self, place: &Place, why: &str) -> Result<(), P::Error> {
        self.inner.skip(place, why)?;
        self.pass(Point::Skipped)?;
        Ok(())
    }

    fn restored(&mut self) -> Result<Vec<(Partition, Start)>, P::Error> {
        self.inner.restored()
    }

    fn loading(&self) -> usize {
        self.inner.loading()
    }

    fn lost(
        &mut self,
        partition: &Partition,
        wanted: Offset,
        first: Offset,
    ) -> Result<Start, P::Error> {
        self.inner.lost(partition, wanted, first)
    }

    fn drop_partition(&mut self, partition: &Partition) {
        self.inner.drop_partition(partition);
    }

    fn idle(&mut self, at_end: &[Partition]) -> Result<Outputs, P::Error> {
        self.inner.idle(at_end)
    }

    fn metadata(&self, partition: &Partition) -> Option<String> {
        self.inner.metadata(partition)
    }

    fn can_skip(&self) -> bool {
        self.inner.can_skip()
    }

    fn place(&self) -> Option<Place> {
        self.inner.place()
    }

    fn items(&self, message: &Message) -> u64 {
        self.inner.items(message)
    }
}
