//! The consumer of one member: which partitions it has, where it reads them, what it has committed.
//!
//! Each partition is read through a queue of its own, because rust-rdkafka's end-of-partition event
//! does not say of which topic. librdkafka gets to know of a partition only once it is started: the
//! group's assignment is answered by nothing, and each partition is added when its state is ready.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset as RawOffset, TopicPartitionList,
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

/// The most events served at one look.
const SERVED_MAX: usize = 1_000;

/// `RD_KAFKA_OFFSET_INVALID`: for lists in which only the partitions count.
const NO_OFFSET: i64 = -1_001;

/// A started partition.
pub(super) struct Reading {
    pub(super) queue: PartitionQueue<Rebalances>,
    /// Whether librdkafka was told to read it.
    handed: bool,
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
    /// The next offset to deliver is gone.
    pub(super) lost: bool,
    /// Read from librdkafka, but of another kind than the batch, or too much for it.
    pub(super) held_back: VecDeque<Message>,
}

/// The consumer and its partitions.
pub(super) struct Reader {
    pub(super) cluster: Arc<Cluster>,
    pub(super) group: Group,
    /// Of all its topics.
    partitions: usize,
    /// Always there until the drop.
    consumer: Option<Arc<BaseConsumer<Rebalances>>>,
    pub(super) signal: Arc<Signal>,
    pub(super) readings: BTreeMap<Partition, Reading>,
    /// Told of but not started, with what is committed.
    awaiting: BTreeMap<Partition, Option<Committed>>,
    /// Revoked or rewound, to be told of first.
    pub(super) gone: BTreeSet<Partition>,
    /// Those of them that went with a seat: who has not been told may still start them.
    pub(super) unseated: BTreeSet<Partition>,
    /// Assigned or rewound, to be told of then.
    pub(super) come: BTreeSet<Partition>,
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
        let consumer = subscribe(&config(&cluster.options, &group, partitions), &group, &signal)?;
        Ok(Self {
            cluster,
            group,
            partitions,
            consumer: Some(consumer),
            signal,
            readings: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            gone: BTreeSet::new(),
            unseated: BTreeSet::new(),
            come: BTreeSet::new(),
            batch_at: None,
            turn: 0,
        })
    }

    /// Joins again with another consumer, because this one was fenced. Everything that it had is gone.
    pub(super) fn rejoin(&mut self) -> Result<(), Error> {
        let config = config(&self.cluster.options, &self.group, self.partitions);
        let consumer = subscribe(&config, &self.group, &self.signal)?;
        self.unseated.extend(std::mem::take(&mut self.readings).into_keys());
        self.unseated.extend(std::mem::take(&mut self.awaiting).into_keys());
        self.gone.extend(self.unseated.iter().cloned());
        self.come.clear();
        if let Some(fenced) = self.consumer.replace(consumer) {
            close(fenced, &self.group);
        }
        Ok(())
    }

    /// Whether the group takes another consumer for the one of this name.
    pub(super) fn is_fenced(&self) -> bool {
        let death = client::death(self.consumer().client(), &self.group);
        matches!(death, Some(Error::Fenced { .. }))
    }

    pub(super) fn consumer(&self) -> &Arc<BaseConsumer<Rebalances>> {
        self.consumer.as_ref().expect("the consumer is taken only by the drop")
    }

    /// Lets the group's changes and the client's errors in. Must not be called while a batch is in the
    /// making or uncommitted: a revocation takes effect at once.
    pub(super) fn serve(&mut self) -> Result<(), Error> {
        for _ in 0..SERVED_MAX {
            let before = self.consumer().context().served();
            match self.consumer().poll(Duration::ZERO) {
                None if self.consumer().context().served() == before => break,
                // Served without a result.
                None => {}
                Some(Ok(message)) => {
                    // Not seen: each partition has its own queue before it is assigned.
                    tracing::warn!(offset = rdkafka::Message::offset(&message), "message astray");
                }
                Some(Err(error)) => self.check(&error)?,
            }
        }
        for change in self.consumer().context().take() {
            match change {
                Change::Assigned(partitions) => self.come.extend(partitions),
                Change::Revoked(partitions) => self.revoked(partitions),
            }
        }
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

    /// Forgets what was revoked; the member is told if it knew of it.
    fn revoked(&mut self, partitions: Vec<Partition>) {
        for partition in partitions {
            self.come.remove(&partition);
            let read = self.readings.remove(&partition).is_some();
            let awaited = self.awaiting.remove(&partition).is_some();
            if read || awaited {
                self.gone.insert(partition);
            }
        }
    }

    /// Takes over the partitions that have come; their committed offsets are asked for here, outside the
    /// callback.
    pub(super) fn assigned(&mut self) -> Result<Vec<Assignment>, Error> {
        let committed = self.committed(&self.come)?;
        self.come.clear();
        self.awaiting.extend(committed.clone());
        let of = |(partition, committed)| Assignment { partition, committed };
        Ok(committed.into_iter().map(of).collect())
    }

    fn committed(
        &self,
        partitions: &BTreeSet<Partition>,
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
        if self.unseated.contains(partition) {
            // Of those that came together, one's start or note may have found the seat taken.
            return Ok(());
        }
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
        let replay_until = committed.as_ref().map_or(0, |committed| committed.offset);
        let reading = Reading {
            queue,
            handed: false,
            began: position,
            position,
            committed,
            replay_until,
            at_end: false,
            told_at_end: false,
            lost: false,
            held_back: VecDeque::new(),
        };
        self.readings.insert(partition.clone(), reading);
        Ok(())
    }

    /// Hands the partitions started since to librdkafka, with their offsets.
    pub(super) fn assign(&mut self) -> Result<(), Error> {
        let mut starting = Vec::new();
        for (partition, reading) in &mut self.readings {
            if !reading.handed {
                reading.handed = true;
                starting.push((partition.clone(), client::raw(reading.position)));
            }
        }
        if starting.is_empty() {
            return Ok(());
        }
        let assigned = self.consumer().incremental_assign(&list(starting.into_iter())?);
        assigned.map_err(|error| fatal("starting partitions", &error))
    }

    /// Makes what was started come again, as after a crash. What waits to be started goes on waiting.
    pub(super) fn rewind(&mut self) -> Result<(), Error> {
        let readings = std::mem::take(&mut self.readings);
        self.gone.extend(readings.keys().cloned());
        // The group may have taken everything away: its revocation follows, and unassigns.
        if self.consumer().assignment_lost() {
            return Ok(());
        }
        let handed = readings.iter().filter(|(_, reading)| reading.handed);
        let list = list(handed.map(|(partition, _)| (partition.clone(), NO_OFFSET)))?;
        let unassigned = self.consumer().incremental_unassign(&list);
        self.come.extend(readings.into_keys());
        unassigned.map_err(|error| fatal("rewinding partitions", &error))
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
        self.readings.clear();
        if let Some(consumer) = self.consumer.take() {
            close(consumer, &self.group);
        }
    }
}

/// Closes a consumer. librdkafka's close can wait for ever; a process that wants to end must not.
fn close(consumer: Arc<BaseConsumer<Rebalances>>, group: &Group) {
    let (done, closed) = mpsc::sync_channel(1);
    thread::spawn(move || {
        drop(consumer);
        let _ = done.send(());
    });
    if closed.recv_timeout(CLOSE_MAX).is_err() {
        tracing::warn!(group = group.name, "consumer does not close, left behind");
    }
}

/// A consumer that is about to join its group.
fn subscribe(
    config: &ClientConfig,
    group: &Group,
    signal: &Arc<Signal>,
) -> Result<Arc<BaseConsumer<Rebalances>>, Error> {
    let mut consumer: BaseConsumer<Rebalances> = config
        .create_with_context(Rebalances::default())
        .map_err(|error| fatal("the Kafka settings are refused", &error))?;
    let wake = Arc::clone(signal);
    consumer.set_nonempty_callback(move || wake.set());
    let topics: Vec<&str> = group.topics.iter().map(|topic| &**topic).collect();
    consumer.subscribe(&topics).map_err(|error| fatal("subscribing", &error))?;
    Ok(Arc::new(consumer))
}

fn config(options: &KafkaOptions, group: &Group, partitions: usize) -> ClientConfig {
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
