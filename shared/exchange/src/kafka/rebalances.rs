//! What librdkafka's threads and callbacks tell a reader: that there is something to read, and that the group has
//! changed the assignment.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    bindings::rd_kafka_resp_err_t as RawError,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
};

use super::Quiet;
use crate::port::Partition;

/// What has happened to the assignment.
pub(super) enum Change {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

/// Woken by librdkafka when one of the queues gets something.
#[derive(Default)]
pub(super) struct Signal {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// There is something to read.
    pub(super) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// To be called before the queues are looked at, so that nothing is missed after.
    pub(super) fn clear(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    pub(super) fn wait(&self, wait: Duration) {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(set, wait, |set| !*set);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Hears of rebalances and answers them at once: an assignment by nothing, because [`Reader::start`] adds its
/// partitions one by one; a revocation by what librdkafka was given of it.
///
/// [`Reader::start`]: super::reader::Reader::start
#[derive(Default)]
pub(super) struct Rebalances {
    quiet: Quiet,
    changes: Mutex<Vec<Change>>,
    /// Events served so far.
    served: AtomicUsize,
}

impl Rebalances {
    /// What has happened since the last call.
    pub(super) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many events were served so far. A poll that returns nothing and leaves this as it was has found the
    /// queue empty.
    pub(super) fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    fn tell(&self, change: Change) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.served.fetch_add(1, Ordering::Relaxed);
        self.quiet.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.error(error, reason);
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RawError,
        list: &mut TopicPartitionList,
    ) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let partitions: Vec<Partition> = list
            .elements()
            .iter()
            .map(|element| Partition::new(element.topic(), element.partition() as u32))
            .collect();
        let answered = match error {
            RawError::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.tell(Change::Assigned(partitions));
                consumer.incremental_assign(&TopicPartitionList::new())
            }
            // No work between "revoked" and "unassigned".
            _ => {
                let answered = unassign(consumer, list);
                self.tell(Change::Revoked(partitions));
                answered
            }
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "rebalance not answered");
        }
    }
}

/// Takes partitions from librdkafka. It refuses to give what it has not, so those that are not started yet are
/// left out.
fn unassign(consumer: &BaseConsumer<Rebalances>, list: &TopicPartitionList) -> KafkaResult<()> {
    let reading = consumer.assignment()?;
    let mut both = TopicPartitionList::new();
    for element in list.elements() {
        if reading.find_partition(element.topic(), element.partition()).is_some() {
            both.add_partition(element.topic(), element.partition());
        }
    }
    consumer.incremental_unassign(&both)
}
