//! The refusals of one message. Each refused record is told by itself, up to a number that grows with the
//! message: a few bytes must not become many large events. Beyond it the rest is told as one.

use std::sync::Arc;

use domain::{Reason, Refusal, refusal::REFUSED_BYTES_MAX};
use exchange::Message;

use super::{Cycle, Read};
use crate::codec::Fault;

/// The service's name in refusals.
pub(crate) const SERVICE: &str = "ingest";

/// So many records of a message are refused one by one, and one more for each so many bytes.
const SINGLE: usize = 8;
const BYTES_PER_SINGLE: usize = 64;

/// The refusals of one message, in the making.
pub(crate) struct RefusedMessage<'a> {
    source: &'a Arc<str>,
    message: &'a Message,
    single_left: usize,
    /// The first one that is not told by itself, and how many follow it.
    rest: Option<(u32, Fault, u64)>,
}

impl<'a> RefusedMessage<'a> {
    pub(crate) fn new(source: &'a Arc<str>, message: &'a Message) -> Self {
        let single_left = SINGLE + message.size() / BYTES_PER_SINGLE;
        Self { source, message, single_left, rest: None }
    }

    /// Refuses one record.
    pub(crate) fn add(&mut self, cycle: &mut Cycle, read: Read, fault: Fault) {
        cycle.refused[fault.reason as usize] += 1;
        if self.single_left > 0 {
            self.single_left -= 1;
            cycle.refusals.push(self.refusal(read, fault));
            return;
        }
        match &mut self.rest {
            None => self.rest = Some((read.index, fault, 0)),
            Some((_, _, more)) => *more += 1,
        }
    }

    /// Tells of those that were not told by themselves.
    pub(crate) fn finish(self, cycle: &mut Cycle, read: Read) {
        let Some((index, mut fault, more)) = self.rest.clone() else { return };
        if more > 0 {
            fault.payload = None;
            fault.detail.push_str(&format!(
                "; {more} further records of this message are refused too and not told one by one"
            ));
        }
        cycle.refusals.push(self.refusal(Read { index, ..read }, fault));
    }

    fn refusal(&self, read: Read, fault: Fault) -> Refusal {
        let cut = |bytes: &[u8]| bytes[..bytes.len().min(REFUSED_BYTES_MAX)].to_vec();
        let Fault { reason, detail, payload } = fault;
        let value = self.message.value.as_deref().unwrap_or_default();
        Refusal {
            reason,
            detail,
            service: SERVICE,
            source: self.source.clone(),
            offset: read.offset,
            index: read.index,
            ingested_at: read.ingested_at,
            key: self.message.key.as_deref().map(cut),
            payload: payload.map_or_else(|| cut(value), |payload| cut(&payload)),
        }
    }
}

/// The refusal of a message whose topic belongs to no stream any more.
pub(crate) fn no_stream(topic: &str) -> Fault {
    let detail = format!("no stream is defined on topic {topic}: define one, or publish elsewhere");
    Fault::new(Reason::Undecodable, detail)
}

/// The refusal of a message on which ingest panicked or died.
pub(crate) fn poisonous() -> Fault {
    Fault::new(Reason::Poison, "ingest panicked or died on this message".to_owned())
}
