//! What librdkafka's threads and callbacks tell a reader: that there is something to read, and that the group has
//! changed the assignment.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    bindings::rd_kafka_resp_err_t as RawError,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
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

/// Hears of rebalances. An assignment is answered by [`Reader::assign`], once its partitions are started.
#[derive(Default)]
pub(super) struct Rebalances {
    quiet: Quiet,
    changes: Mutex<Vec<Change>>,
    closing: AtomicBool,
}

impl Rebalances {
    /// What has happened since the last call.
    pub(super) fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on every rebalance is answered at once.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    fn tell(&self, change: Change) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
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
        let closing = self.closing.load(Ordering::Acquire);
        let partitions: Vec<Partition> = list
            .elements()
            .iter()
            .map(|element| Partition::new(element.topic(), element.partition() as u32))
            .collect();
        let answered = match error {
            RawError::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                if closing || partitions.is_empty() {
                    consumer.incremental_assign(list)
                } else {
                    self.tell(Change::Assigned(partitions));
                    Ok(())
                }
            }
            // No work between "revoked" and "unassigned".
            _ => {
                let answered = consumer.incremental_unassign(list);
                if !partitions.is_empty() {
                    self.tell(Change::Revoked(partitions));
                }
                answered
            }
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "rebalance not answered");
        }
    }
}
