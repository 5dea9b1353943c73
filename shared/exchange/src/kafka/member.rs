//! A member of a group on Kafka: reads with one consumer, writes with two producers.

use std::sync::Arc;

use rdkafka::{
    Offset as RawOffset, TopicPartitionList,
    consumer::{Consumer, ConsumerGroupMetadata},
};

use super::{
    client::{self, fatal},
    reader::Reader,
    topics::Cluster,
    writer::{Failure, Writer},
};
use crate::{
    checks::check_metadata,
    faults::Fault,
    port::{
        CommitOutcome, Committed, Error, Event, Group, Member, Offset, Outputs, Partition,
        PollLimits, Start,
    },
};

/// A member on Kafka.
pub(super) struct KafkaMember {
    reader: Reader,
    writer: Writer,
}

impl KafkaMember {
    /// Joins the group. The producers come first: they end what a dead predecessor has left open, so that the
    /// committed offsets are final.
    pub(super) fn join(cluster: Arc<Cluster>, group: Group) -> Result<Self, Error> {
        let writer = Writer::open(&cluster.options, &group)?;
        let reader = Reader::join(cluster, group)?;
        Ok(Self { reader, writer })
    }

    /// The offsets to commit: where something was delivered, nothing was committed yet, or metadata is given.
    fn offsets(&self, outputs: &Outputs) -> Result<Vec<(Partition, Committed)>, Error> {
        let readings = &self.reader.readings;
        let mut metadata = check_metadata(outputs, |partition| readings.contains_key(partition))?;
        let mut offsets = Vec::new();
        for (partition, reading) in readings {
            let before = reading.committed.as_ref();
            let offset = match before {
                Some(before) => reading.position.max(before.offset),
                None => reading.position,
            };
            let named = metadata.remove(partition);
            if named.is_some() || before.is_none_or(|before| before.offset != offset) {
                let metadata = match named {
                    Some(named) => named.to_owned(),
                    None => before.map(|before| before.metadata.clone()).unwrap_or_default(),
                };
                offsets.push((partition.clone(), Committed { offset, metadata }));
            }
        }
        Ok(offsets)
    }

    fn transact(
        &mut self,
        outputs: &Outputs,
        offsets: &[(Partition, Committed)],
        fault: Option<Fault>,
    ) -> Result<(), Failure> {
        let consumer = self.reader.consumer();
        if consumer.assignment_lost() || self.reader.is_fenced() {
            return Err(Failure::Abort("the group has taken the partitions away".into()));
        }
        if let Some(death) = client::death(consumer.client(), &self.reader.group) {
            return Err(Failure::End(death));
        }
        let metadata = self.metadata().map_err(Failure::End)?;
        let list = list(offsets).map_err(Failure::End)?;
        let reason = match self.writer.transact(&outputs.messages, &list, &metadata, fault) {
            Err(Failure::Fenced(reason)) => {
                self.check_name().map_err(Failure::End)?;
                reason
            }
            Err(Failure::GivenUp(reason)) => {
                if self.reader.is_fenced() {
                    self.check_name().map_err(Failure::End)?;
                }
                reason
            }
            done => return done,
        };
        match self.writer.reopen() {
            Ok(()) => {
                Err(Failure::Abort(format!("the broker has given up a transaction: {reason}")))
            }
            Err(Error::Unavailable { what }) => Err(Failure::End(Error::Fatal { what })),
            Err(error) => Err(Failure::End(error)),
        }
    }

    fn metadata(&self) -> Result<ConsumerGroupMetadata, Error> {
        let metadata = self.reader.consumer().group_metadata();
        metadata.ok_or_else(|| Error::Fatal { what: "the consumer has no group".into() })
    }

    /// Ends a member in whose place another one has come. That a consumer or one producer was fenced does not
    /// prove it: a broker fences the producer of a transaction that it gives up, and a static member that joins anew
    /// after an outage, even a zombie, fences whoever sits on its seat. But whoever joins under our name opens both
    /// producers first.
    fn check_name(&self) -> Result<(), Error> {
        let group = &self.reader.group;
        let Some(topic) = group.topics.first() else { return Err(client::fenced(group)) };
        let probe = Committed { offset: 0, metadata: String::new() };
        let offsets = list(&[(Partition::new(Arc::clone(topic), 0), probe)])?;
        match self.writer.is_ours(&offsets, &self.metadata()?) {
            Ok(true) => Ok(()),
            Ok(false) => Err(client::fenced(group)),
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// Takes the seat in the group back from a member that is not, or no more, of our name.
    fn rejoin(&mut self) -> Result<(), Error> {
        self.check_name()?;
        let Group { name: group, member, .. } = &self.reader.group;
        tracing::warn!(group, member, "the group had another member for this one, joining anew");
        self.reader.rejoin()
    }
}

fn list(offsets: &[(Partition, Committed)]) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, committed) in offsets {
        let mut element = list.add_partition(&partition.topic, partition.number as i32);
        element
            .set_offset(RawOffset::Offset(client::raw(committed.offset)))
            .map_err(|error| fatal(&format!("the offset of {partition}"), &error))?;
        if !committed.metadata.is_empty() {
            element.set_metadata(&committed.metadata);
        }
    }
    Ok(list)
}

impl Member for KafkaMember {
    fn poll(&mut self, limits: &PollLimits) -> Result<Event, Error> {
        match self.reader.poll(limits) {
            Err(Error::Fenced { .. }) => {
                self.rejoin()?;
                // What is gone is told next.
                Ok(Event::Idle(vec![]))
            }
            polled => polled,
        }
    }

    fn start(&mut self, partition: &Partition, start: Start) -> Result<(), Error> {
        self.reader.start(partition, start)
    }

    fn commit(&mut self, outputs: &Outputs) -> Result<CommitOutcome, Error> {
        let offsets = self.offsets(outputs)?;
        if outputs.messages.is_empty() && offsets.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        match self.reader.cluster.check_sizes(&outputs.messages) {
            Err(Error::Unavailable { what }) => {
                // A commit has no word for "later"; the next poll does.
                tracing::warn!(what, "exchange unavailable, partitions rewound");
                self.rewind()?;
                return Ok(CommitOutcome::Rewound);
            }
            checked => checked?,
        }
        self.write(outputs, offsets)
    }

    fn note(&mut self, metadata: &[(Partition, String)]) -> Result<CommitOutcome, Error> {
        let outputs = Outputs { messages: vec![], metadata: metadata.to_vec() };
        let readings = &self.reader.readings;
        let named = check_metadata(&outputs, |partition| readings.contains_key(partition))?;
        let at = |(partition, metadata): (&Partition, &str)| {
            let reading = readings.get(partition)?;
            let offset = reading.committed.as_ref().map_or(reading.began, |c| c.offset);
            Some((partition.clone(), Committed { offset, metadata: metadata.to_owned() }))
        };
        let offsets: Vec<_> = named.into_iter().filter_map(at).collect();
        if offsets.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        self.write(&Outputs::default(), offsets)
    }

    fn rewind(&mut self) -> Result<(), Error> {
        if !self.reader.is_fenced() {
            let rewound = self.reader.rewind();
            // A consumer that dies meanwhile refuses.
            if rewound.is_ok() || !self.reader.is_fenced() {
                return rewound;
            }
        }
        self.rejoin()
    }

    fn release(&mut self, _: &Partition, _: Offset) -> Result<(), Error> {
        Ok(())
    }

    fn group(&self) -> &Group {
        &self.reader.group
    }

    fn leave(self: Box<Self>) {}
}

impl KafkaMember {
    /// Writes outputs and these offsets in one transaction.
    fn write(
        &mut self,
        outputs: &Outputs,
        offsets: Vec<(Partition, Committed)>,
    ) -> Result<CommitOutcome, Error> {
        let hook = self.reader.cluster.options.faults.as_ref();
        let fault = hook.and_then(|hook| hook(&self.reader.group));
        if fault == Some(Fault::Full) {
            return Ok(CommitOutcome::Full);
        }
        match self.transact(outputs, &offsets, fault) {
            Ok(()) if fault == Some(Fault::DieAfter) => Fault::DieAfter.answer(),
            Ok(()) => {
                for (partition, committed) in offsets {
                    if let Some(reading) = self.reader.readings.get_mut(&partition) {
                        reading.committed = Some(committed);
                    }
                }
                Ok(CommitOutcome::Committed)
            }
            Err(Failure::Full) => Ok(CommitOutcome::Full),
            Err(Failure::End(error)) => Err(error),
            Err(failure) => {
                let is_unseated = matches!(failure, Failure::Unseated(_));
                let reason = failure.into_error();
                let Group { name: group, member, .. } = &self.reader.group;
                tracing::warn!(group, member, %reason, "transaction aborted, partitions rewound");
                // The consumer would learn it with its next heartbeat, up to 3 s and many restores later.
                if is_unseated {
                    self.rejoin()?;
                } else {
                    self.rewind()?;
                }
                Ok(CommitOutcome::Rewound)
            }
        }
    }
}
