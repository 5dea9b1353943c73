//! Reading all partitions of a topic without a group.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message as _, Offset as RawOffset,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    KafkaOptions, Quiet,
    client::{self, ASK, Kind, fatal},
    reader::list,
    topics::Cluster,
};
use crate::{
    deadline::Deadline,
    port::{Error, FollowFrom, Follower, Message, Offset, Partition},
};

/// The longest wait for one event.
const LOOK: Duration = Duration::from_millis(100);

/// A follower.
pub(super) struct KafkaFollower {
    cluster: Arc<Cluster>,
    topic: Arc<str>,
    consumer: BaseConsumer<Quiet>,
    following: Vec<Following>,
}

/// One partition. On transactional topics the last message may be followed by markers, so a position below the
/// end proves nothing; an end-of-partition event that was made later than the end was asked for does. It is
/// repeated only after a seek.
struct Following {
    /// The next offset to return.
    position: Offset,
    /// Whether an end-of-partition event came after the last message.
    at_end: bool,
    /// A seek was made when the end was here; the next event proves it.
    probing: Option<Offset>,
    /// Everything below has been returned.
    proven: Offset,
}

impl KafkaFollower {
    pub(super) fn open(
        cluster: &Arc<Cluster>,
        topic: &str,
        from: FollowFrom,
    ) -> Result<Self, Error> {
        let topic: Arc<str> = topic.into();
        let partitions = cluster.expect_partitions(&topic)?;
        let mut following = Vec::with_capacity(partitions as usize);
        for number in 0..partitions {
            let (first, end) = cluster.watermarks(&Partition::new(Arc::clone(&topic), number))?;
            let position = match from {
                FollowFrom::Earliest => first,
                FollowFrom::Latest => end,
            };
            following.push(Following { position, at_end: false, probing: None, proven: 0 });
        }
        let consumer = consumer(&cluster.options, &topic)?;
        let follower = Self { cluster: Arc::clone(cluster), topic, consumer, following };
        follower.assign()?;
        Ok(follower)
    }

    fn partition(&self, number: usize) -> Partition {
        Partition::new(Arc::clone(&self.topic), number as u32)
    }

    /// Reads every partition from its position on.
    fn assign(&self) -> Result<(), Error> {
        let positions = self.following.iter().enumerate();
        let at = |(number, following): (usize, &Following)| {
            (self.partition(number), client::raw(following.position))
        };
        let assigned = self.consumer.assign(&list(positions.map(at))?);
        assigned.map_err(|error| fatal(&format!("following {}", self.topic), &error))
    }

    /// A position is gone: goes on from the first message kept, and says so.
    fn lost(&mut self) -> Result<(), Error> {
        let mut lost = None;
        for number in 0..self.following.len() {
            let partition = self.partition(number);
            let (first, end) = self.cluster.watermarks(&partition)?;
            let following = &mut self.following[number];
            let wanted = following.position;
            if wanted < first || wanted > end {
                following.position = first;
                lost.get_or_insert(Error::Lost { partition, wanted, first });
            }
        }
        self.assign()?;
        lost.map_or(Ok(()), Err)
    }

    /// Takes one event; `None` if there was none within the wait or it carried no message.
    fn take(&mut self, wait: Duration) -> Result<Option<(u32, Message)>, Error> {
        let polled = match self.consumer.poll(wait) {
            None => return Ok(None),
            Some(polled) => polled.map(|message| (message.partition(), client::owned(&message))),
        };
        match polled {
            Ok((number, message)) => {
                let following = &mut self.following[number as usize];
                if message.offset < following.position {
                    return Ok(None);
                }
                following.position = message.offset + 1;
                following.at_end = false;
                Ok(Some((number as u32, message)))
            }
            Err(KafkaError::PartitionEOF(number)) => {
                let following = &mut self.following[number as usize];
                following.at_end = true;
                if let Some(end) = following.probing.take() {
                    following.proven = end;
                }
                Ok(None)
            }
            Err(KafkaError::MessageConsumption(Code::AutoOffsetReset)) => {
                self.lost()?;
                Ok(None)
            }
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                Err(Error::Fatal { what: format!("following {}: {code}", self.topic) })
            }
            Err(error) => {
                tracing::debug!(%error, topic = &*self.topic, "follower error");
                Ok(None)
            }
        }
    }
}

fn consumer(options: &KafkaOptions, topic: &str) -> Result<BaseConsumer<Quiet>, Error> {
    let mut config = client::config(options);
    let read_ahead = options.read_ahead_bytes_max / 1024 / 4;
    config
        // librdkafka wants a name to assign partitions; nothing joins under it.
        .set("group.id", format!("{}-follower", options.client_id))
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", read_ahead.max(1_024).to_string())
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "100");
    client::override_settings(&mut config, options, Kind::Consumer);
    config
        .create_with_context(Quiet::default())
        .map_err(|error| fatal(&format!("following {topic}"), &error))
}

/// Whether a partition shows a committed message from this offset on. Aborted transactions leave offsets
/// behind and nothing else, so only reading tells.
pub(super) fn shows_any(
    cluster: &Cluster,
    partition: &Partition,
    from: Offset,
) -> Result<bool, Error> {
    let asked = format!("reading {partition}");
    let consumer = consumer(&cluster.options, &partition.topic)?;
    let from = std::iter::once((partition.clone(), client::raw(from)));
    consumer.assign(&list(from)?).map_err(|error| fatal(&asked, &error))?;
    let deadline = Deadline::after(ASK);
    let mut complaint = None;
    while let Some(left) = deadline.left() {
        match consumer.poll(left.min(LOOK)) {
            Some(Ok(_)) => return Ok(true),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(false),
            // What was there a moment ago is gone, so it was written.
            Some(Err(KafkaError::MessageConsumption(Code::AutoOffsetReset))) => return Ok(true),
            Some(Err(error)) => complaint = Some(error),
            None => {}
        }
    }
    let why = complaint.map_or_else(|| format!("no answer within {ASK:?}"), |e| e.to_string());
    Err(Error::Unavailable { what: format!("{asked}: {why}") })
}

impl Follower for KafkaFollower {
    fn next(&mut self, wait: Duration, messages_max: usize) -> Result<Vec<(u32, Message)>, Error> {
        let deadline = Deadline::after(wait);
        let mut found = Vec::new();
        loop {
            let wait = if found.is_empty() { deadline.left_or_zero() } else { Duration::ZERO };
            match self.take(wait)? {
                Some(message) => found.push(message),
                // An event without a message may have been in front of one.
                None if found.is_empty() && deadline.left().is_some() => {}
                None => return Ok(found),
            }
            if found.len() >= messages_max {
                return Ok(found);
            }
        }
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        let mut caught_up = true;
        for number in 0..self.following.len() {
            let (first, end) = self.cluster.watermarks(&self.partition(number))?;
            let topic = Arc::clone(&self.topic);
            let following = &mut self.following[number];
            if following.position >= end || following.proven >= end || first >= end {
                continue;
            }
            caught_up = false;
            if following.at_end && following.probing.is_none() {
                following.probing = Some(end);
                following.at_end = false;
                let position = RawOffset::Offset(client::raw(following.position));
                self.consumer
                    .seek(&topic, number as i32, position, ASK)
                    .map_err(|error| fatal(&format!("following {topic}"), &error))?;
            }
        }
        Ok(caught_up)
    }
}
