//! The consumer of one member: which partitions it has, where it reads them, what it has committed.
//!
//! Each partition is read through a queue of its own, because rust-rdkafka's end-of-partition event does not say
//! of which topic; and a partition that is not started is simply not assigned to librdkafka yet.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset as RawOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, base_consumer::PartitionQueue},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    KafkaOptions,
    client::{self, ASK, Kind, fatal, unavailable},
    rebalances::{Change, Rebalances, Signal},
    topics::Cluster,
};
use crate::port::{Assignment, Committed, Error, Group, Message, Offset, Partition, Start};

/// How long a consumer may take to close before it is left to itself.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// A started partition.
pub(super) struct Reading {
    pub(super) queue: PartitionQueue<Rebalances>,
    /// Where it was started.
    pub(super) began: Offset,
    /// The next offset to deliver.
    pub(super) position: Offset,
    pub(super) committed: Option<Committed>,
    /// What lies below is replay.
    pub(super) replay_until: Offset,
    /// Whether it has been read to its end.
    pub(super) at_end: bool,
    /// Whether the end was told of.
    pub(super) told_at_end: bool,
    /// Read from librdkafka, but of another kind than the batch, or too much for it.
    pub(super) held_back: VecDeque<Message>,
}

/// The consumer and its partitions.
pub(super) struct Reader {
    pub(super) cluster: Arc<Cluster>,
    pub(super) group: Group,
    /// Always there until the drop.
    consumer: Option<Arc<BaseConsumer<Rebalances>>>,
    pub(super) signal: Arc<Signal>,
    pub(super) readings: BTreeMap<Partition, Reading>,
    /// Assigned but not started, with what is committed.
    awaiting: BTreeMap<Partition, Option<Committed>>,
    /// Started since the last poll: librdkafka gets a whole assignment at once.
    starting: Vec<(Partition, Offset)>,
    /// The group's assignment has to be answered even if it is empty.
    pub(super) changes: VecDeque<Change>,
    /// When the last batch was returned.
    pub(super) batch_at: Option<Instant>,
    /// Which partition comes first.
    pub(super) turn: usize,
}

impl Reader {
    /// Joins the group.
    pub(super) fn join(cluster: Arc<Cluster>, group: Group) -> Result<Self, Error> {
        let mut partitions = 0;
        for topic in &group.topics {
            partitions += cluster.expect_partitions(topic)? as usize;
        }
        let signal = Arc::new(Signal::default());
        let rebalances = Rebalances::default();
        let mut consumer: BaseConsumer<Rebalances> = config(&cluster.options, &group, partitions)
            .create_with_context(rebalances)
            .map_err(|error| fatal("the Kafka settings are refused", &error))?;
        let wake = Arc::clone(&signal);
        consumer.set_nonempty_callback(move || wake.set());
        let topics: Vec<&str> = group.topics.iter().map(|topic| &**topic).collect();
        consumer.subscribe(&topics).map_err(|error| fatal("subscribing", &error))?;
        Ok(Self {
            cluster,
            group,
            consumer: Some(Arc::new(consumer)),
            signal,
            readings: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            starting: Vec::new(),
            changes: VecDeque::new(),
            batch_at: None,
            turn: 0,
        })
    }

    pub(super) fn consumer(&self) -> &Arc<BaseConsumer<Rebalances>> {
        self.consumer.as_ref().expect("the consumer is taken only by the drop")
    }

    /// Lets the group's changes and the client's errors in. Must not be called while a batch is in the making or
    /// uncommitted: a revocation takes effect at once.
    pub(super) fn serve(&mut self) -> Result<(), Error> {
        // Some events are served without a result, so silence is no sign that there are none left.
        for _ in 0..4 {
            match self.consumer().poll(Duration::ZERO) {
                None => {}
                Some(Ok(message)) => {
                    // Not seen: each partition has its own queue before it is assigned.
                    tracing::warn!(offset = rdkafka::Message::offset(&message), "message astray");
                }
                Some(Err(error)) => self.check(&error)?,
            }
        }
        let changes = self.consumer().context().take();
        self.changes.extend(changes);
        Ok(())
    }

    /// Sorts out the errors that matter; librdkafka recovers from the others by itself.
    pub(super) fn check(&self, error: &KafkaError) -> Result<(), Error> {
        if let Some(death) = client::death(self.consumer().client(), &self.group) {
            return Err(death);
        }
        match error.rdkafka_error_code() {
            Some(
                code @ (Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed),
            ) => {
                let topics = self.group.topics.join(", ");
                Err(Error::Topic { what: format!("reading {topics}: {code}") })
            }
            _ => {
                tracing::debug!(%error, group = self.group.name, "consumer error");
                Ok(())
            }
        }
    }

    /// Takes over assigned partitions; their committed offsets are asked for here, outside the callback.
    pub(super) fn assigned(&mut self, partitions: &[Partition]) -> Result<Vec<Assignment>, Error> {
        let committed = self.committed(partitions)?;
        let mut assignments = Vec::with_capacity(committed.len());
        for (partition, committed) in committed {
            self.awaiting.insert(partition.clone(), committed.clone());
            assignments.push(Assignment { partition, committed });
        }
        Ok(assignments)
    }

    /// Drops what was revoked and returns what of it was known.
    pub(super) fn revoked(&mut self, partitions: Vec<Partition>) -> Vec<Partition> {
        let mut known = partitions;
        known.retain(|partition| {
            let read = self.readings.remove(partition).is_some();
            let awaited = self.awaiting.remove(partition).is_some();
            read || awaited
        });
        known
    }

    fn committed(
        &self,
        partitions: &[Partition],
    ) -> Result<BTreeMap<Partition, Option<Committed>>, Error> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&partition.topic, partition.number as i32);
        }
        let asked = format!("asking for the committed offsets of group {}", self.group.name);
        // The answer waits for pending transactions. The list must be gone before the consumer is.
        let list = self
            .consumer()
            .committed_offsets(list, ASK)
            .map_err(|error| unavailable(&asked, &error))?;
        let mut found = BTreeMap::new();
        for partition in partitions {
            let Some(element) = list.find_partition(&partition.topic, partition.number as i32)
            else {
                return Err(Error::Unavailable {
                    what: format!("{asked}: no answer for {partition}"),
                });
            };
            element.error().map_err(|error| unavailable(&asked, &error))?;
            let committed = match element.offset() {
                RawOffset::Offset(raw) => Some(Committed {
                    offset: client::offset(raw),
                    metadata: element.metadata().to_owned(),
                }),
                _ => None,
            };
            found.insert(partition.clone(), committed);
        }
        Ok(found)
    }

    /// Notes where a partition starts; librdkafka gets to know with the next poll.
    pub(super) fn start(&mut self, partition: &Partition, start: Start) -> Result<(), Error> {
        let Some(committed) = self.awaiting.get(partition).cloned() else {
            let what = format!("{partition} is not assigned to member {}", self.group.member);
            return Err(Error::Fatal { what });
        };
        let (first, end) = self.cluster.watermarks(partition)?;
        let position = match (start, &committed) {
            (Start::Committed, Some(committed)) => committed.offset,
            (Start::Committed, None) | (Start::Earliest, _) => first,
            (Start::At(offset), _) => offset,
        };
        if position < first || position > end {
            return Err(Error::Lost { partition: partition.clone(), wanted: position, first });
        }
        let number = partition.number as i32;
        let queue = self.consumer().split_partition_queue(&partition.topic, number);
        let Some(mut queue) = queue else {
            return Err(Error::Fatal { what: format!("{partition} has no queue") });
        };
        let wake = Arc::clone(&self.signal);
        queue.set_nonempty_callback(move || wake.set());
        self.awaiting.remove(partition);
        self.starting.push((partition.clone(), position));
        let replay_until = committed.as_ref().map_or(0, |committed| committed.offset);
        let reading = Reading {
            queue,
            began: position,
            position,
            committed,
            replay_until,
            at_end: false,
            told_at_end: false,
            held_back: VecDeque::new(),
        };
        self.readings.insert(partition.clone(), reading);
        Ok(())
    }

    /// Hands the started partitions to librdkafka, with their offsets.
    pub(super) fn assign(&mut self) -> Result<(), Error> {
        if let Some(partition) = self.awaiting.keys().next() {
            let what = format!("{partition} was assigned but not started before the next poll");
            return Err(Error::Fatal { what });
        }
        if self.starting.is_empty() {
            return Ok(());
        }
        let list = list(self.starting.drain(..).map(|(p, offset)| (p, client::raw(offset))))?;
        let assigned = self.consumer().incremental_assign(&list);
        assigned.map_err(|error| fatal("starting partitions", &error))
    }

    /// Makes everything come again, as after a crash.
    pub(super) fn rewind(&mut self) -> Result<(), Error> {
        let partitions: Vec<Partition> = self.readings.keys().cloned().collect();
        self.readings.clear();
        if self.consumer().assignment_lost() {
            // The group took them away: its revocation follows, and finds nothing left.
            self.changes.push_front(Change::Revoked(partitions.clone()));
            for partition in partitions {
                self.awaiting.insert(partition, None);
            }
            return Ok(());
        }
        let list = list(partitions.iter().map(|partition| (partition.clone(), -1001)))?;
        let unassigned = self.consumer().incremental_unassign(&list);
        unassigned.map_err(|error| fatal("rewinding partitions", &error))?;
        for partition in &partitions {
            self.awaiting.insert(partition.clone(), None);
        }
        self.changes.push_front(Change::Assigned(partitions.clone()));
        self.changes.push_front(Change::Revoked(partitions));
        Ok(())
    }
}

/// A list of partitions and offsets. It must not outlive the call it is made for: a consumer's drop hangs while
/// one of its lists is alive.
pub(super) fn list(
    partitions: impl Iterator<Item = (Partition, i64)>,
) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        let number = partition.number as i32;
        list.add_partition_offset(&partition.topic, number, RawOffset::from_raw(offset))
            .map_err(|error| fatal(&format!("offset {offset} of {partition}"), &error))?;
    }
    Ok(list)
}

impl Drop for Reader {
    fn drop(&mut self) {
        // An assignment that was never answered would keep the consumer from closing.
        if !self.awaiting.is_empty() || !self.starting.is_empty() {
            let awaiting = std::mem::take(&mut self.awaiting).into_keys().map(|p| (p, -1));
            let starting = self.starting.drain(..).map(|(p, offset)| (p, client::raw(offset)));
            if let Ok(list) = list(awaiting.chain(starting)) {
                let _ = self.consumer().incremental_assign(&list);
            }
        }
        self.readings.clear();
        let Some(consumer) = self.consumer.take() else { return };
        consumer.context().close();
        // librdkafka's close can wait for ever; a process that wants to end must not.
        let (done, closed) = mpsc::sync_channel(1);
        thread::spawn(move || {
            drop(consumer);
            let _ = done.send(());
        });
        if closed.recv_timeout(CLOSE_MAX).is_err() {
            tracing::warn!(group = self.group.name, "consumer does not close, left behind");
        }
    }
}

fn config(options: &KafkaOptions, group: &Group, partitions: usize) -> rdkafka::ClientConfig {
    // The bound holds for each partition's queue.
    let read_ahead = options.read_ahead_bytes_max / 1024 / partitions.max(1);
    let mut config = client::config(options);
    config
        .set("group.id", &group.name)
        .set("group.instance.id", &group.member)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        // Even for plain inputs: it also makes the offset fetch wait for pending transactions.
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("session.timeout.ms", "10000")
        .set("max.poll.interval.ms", "60000")
        .set("queued.max.messages.kbytes", read_ahead.clamp(1_024, 16_384).to_string())
        // A full queue would stall fetching for a second at a time.
        .set("fetch.queue.backoff.ms", "5")
        // The end of a partition is told when a fetch comes back empty; the default is 500 ms.
        .set("fetch.wait.max.ms", "100");
    client::override_settings(&mut config, options, Kind::Consumer);
    config
}
