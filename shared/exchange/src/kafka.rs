//! Apache Kafka through librdkafka, transactional.
//!
//! A member is one consumer and two transactional producers, used in turn: the next transaction need not wait
//! for the markers of the last one. Every setting was measured; each says why where it is made (`client`,
//! `reader`, `writer`).
//!
//! Absent on purpose: `pause` (a partition can stay paused for ever), automatic commits, silent jumps to another
//! offset.

mod appender;
mod client;
mod follower;
mod gather;
mod member;
mod reader;
mod rebalances;
mod topics;
mod transaction;
mod writer;

use std::{sync::Arc, time::Duration};

use self::{
    appender::KafkaAppender, client::Quiet, follower::KafkaFollower, member::KafkaMember,
    topics::Cluster,
};
use crate::{
    faults::FaultHook,
    port::{
        Append, Error, Exchange, FollowFrom, Follower, Group, Member, Partition, TopicInfo,
        TopicSpec,
    },
};

/// What is needed to use a Kafka cluster.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `host:port` of some brokers, separated by commas.
    pub brokers: String,
    /// How the brokers' logs and metrics name this process.
    pub client_id: String,
    /// Settings of librdkafka, for all clients or with the prefix `consumer.` or `producer.` for these only.
    /// What the promises rest on can't be overridden.
    pub overrides: Vec<(String, String)>,
    /// How long one commit may take; at most the session time-out, so that an abandoned transaction does not
    /// outlive its member.
    pub transaction_timeout: Duration,
    /// How long [`KafkaExchange::connect`] tries.
    pub connect_timeout: Duration,
    /// How long [`Append::append`] tries.
    pub append_timeout: Duration,
    /// Bytes read ahead per member, shared by its partitions.
    pub read_ahead_bytes_max: usize,
    /// Planned misfortune, for tests.
    pub faults: Option<FaultHook>,
}

impl KafkaOptions {
    /// The defaults for these brokers.
    pub fn new(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: client_id.into(),
            overrides: Vec::new(),
            transaction_timeout: Duration::from_secs(8),
            connect_timeout: Duration::from_secs(5),
            append_timeout: Duration::from_secs(10),
            read_ahead_bytes_max: 64 << 20,
            faults: None,
        }
    }
}

/// A Kafka cluster. Clones share the connection.
#[derive(Clone)]
pub struct KafkaExchange {
    cluster: Arc<Cluster>,
}

impl KafkaExchange {
    /// Connects to a cluster and asks it for its topics once.
    ///
    /// # Errors
    /// `Unavailable` within [`KafkaOptions::connect_timeout`] if nothing there answers as a Kafka broker does;
    /// `Fatal` if a setting is unknown or must not be overridden.
    pub fn connect(options: KafkaOptions) -> Result<Self, Error> {
        client::check_overrides(&options.overrides)?;
        let cluster = Cluster::connect(options)?;
        Ok(Self { cluster: Arc::new(cluster) })
    }
}

impl Exchange for KafkaExchange {
    fn create_topics(&self, specs: &[TopicSpec]) -> Result<(), Error> {
        self.cluster.create_topics(specs)
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, Error> {
        let partitions = self.cluster.partitions(name)?;
        Ok(partitions.map(|partitions| TopicInfo { name: name.into(), partitions }))
    }

    fn written(&self, partition: &Partition) -> Result<bool, Error> {
        self.cluster.written(partition)
    }

    fn join(&self, group: &Group) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(KafkaMember::join(Arc::clone(&self.cluster), group.clone())?))
    }

    fn appender(&self) -> Result<Arc<dyn Append>, Error> {
        Ok(Arc::new(KafkaAppender::open(Arc::clone(&self.cluster))?))
    }

    fn follow(&self, topic: &str, from: FollowFrom) -> Result<Box<dyn Follower>, Error> {
        Ok(Box::new(KafkaFollower::open(&self.cluster, topic, from)?))
    }
}
