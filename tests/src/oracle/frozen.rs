//! An exchange that is over: `control` can be read as it was, nothing was ever written, and nobody can join.

use std::{sync::Arc, time::Duration};

use domain::Topics;
use exchange::{
    Append, Error, Exchange, FollowFrom, Follower, Group, Member, Message, Offset, Output,
    Partition, TopicInfo, TopicSpec,
};

/// The exchange.
pub(super) struct Frozen {
    pub(super) topics: Topics,
    pub(super) partitions: u32,
    /// The entries of `control`.
    pub(super) control: Arc<[Message]>,
}

struct FrozenFollower {
    messages: Arc<[Message]>,
    next: usize,
}

struct Closed;

fn over() -> Error {
    Error::Fatal { what: "this exchange is over".into() }
}

impl Follower for FrozenFollower {
    fn next(&mut self, _: Duration, messages_max: usize) -> Result<Vec<(u32, Message)>, Error> {
        let rest = self.messages.iter().skip(self.next).take(messages_max);
        let found: Vec<_> = rest.map(|message| (0, message.clone())).collect();
        self.next += found.len();
        Ok(found)
    }

    fn caught_up(&mut self) -> Result<bool, Error> {
        Ok(self.next == self.messages.len())
    }
}

impl Append for Closed {
    fn append(&self, _: Vec<Output>) -> Result<Vec<(u32, Offset)>, Error> {
        Err(over())
    }
}

impl Exchange for Frozen {
    fn create_topics(&self, _: &[TopicSpec]) -> Result<(), Error> {
        Err(over())
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, Error> {
        Ok(Some(TopicInfo { name: name.into(), partitions: self.partitions }))
    }

    fn written(&self, _: &Partition) -> Result<bool, Error> {
        Ok(false)
    }

    fn join(&self, _: &Group) -> Result<Box<dyn Member>, Error> {
        Err(over())
    }

    fn appender(&self) -> Result<Arc<dyn Append>, Error> {
        Ok(Arc::new(Closed))
    }

    fn follow(&self, topic: &str, _: FollowFrom) -> Result<Box<dyn Follower>, Error> {
        if *topic != *self.topics.control {
            return Err(over());
        }
        Ok(Box::new(FrozenFollower { messages: Arc::clone(&self.control), next: 0 }))
    }
}
