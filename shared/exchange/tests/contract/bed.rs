//! What the cases stand on: an exchange with names of its own, planned faults, and helpers that wait.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use oddwatch_exchange::{
    Assignment, CommitOutcome, Event, Exchange, Fault, FaultHook, FollowFrom, Group, KafkaExchange,
    KafkaOptions, Member, MemoryExchange, MemoryOptions, Message, Output, Outputs, Partition,
    PollLimits, Start, TopicSpec,
};

/// How many polls of [`WAIT`] a condition may take.
const PATIENCE: u32 = 300;
const WAIT: Duration = Duration::from_millis(100);

/// An exchange to test.
pub trait Bed: Send + Sync {
    fn exchange(&self) -> Arc<dyn Exchange>;

    /// Names that no other run uses begin with this.
    fn prefix(&self) -> &str;

    /// What befalls the next commits, in order.
    fn faults(&self) -> &Faults;

    /// Makes an exchange that trims by age forget what lies below an offset. The others forget by themselves, at
    /// their bounds.
    fn forget(&self, _: &Partition, _: u64) {}

    /// Ends the process that the exchange lives in and starts it again, where there is such a thing. No member,
    /// follower or appender may be left.
    fn restart(&self) {}
}

impl dyn Bed + '_ {
    /// Creates a topic.
    pub fn topic(&self, what: &str, partitions: u32) -> Arc<str> {
        let spec = spec(&format!("{}{what}", self.prefix()), partitions);
        self.exchange().create_topics(std::slice::from_ref(&spec)).expect("create topic");
        spec.name
    }

    pub fn group(&self, member: &str, topics: &[&Arc<str>]) -> Group {
        Group {
            name: format!("{}group", self.prefix()),
            member: format!("{}{member}", self.prefix()),
            topics: topics.iter().map(|topic| Arc::clone(topic)).collect(),
        }
    }

    pub fn join(&self, member: &str, topics: &[&Arc<str>]) -> Seat {
        let group = self.group(member, topics);
        Seat { member: self.exchange().join(&group).expect("join") }
    }

    /// Appends one message per value to a partition.
    pub fn append(
        &self,
        topic: &Arc<str>,
        partition: u32,
        values: impl IntoIterator<Item = String>,
    ) {
        let messages = values.into_iter().map(|value| output(topic, partition, &value)).collect();
        self.exchange().appender().expect("appender").append(messages).expect("append");
    }

    /// Everything committed in a topic, as text, by partition and offset.
    pub fn everything(&self, topic: &str) -> Vec<(u32, String)> {
        let mut follower = self.exchange().follow(topic, FollowFrom::Earliest).expect("follow");
        let mut found = Vec::new();
        for _ in 0..PATIENCE {
            found.extend(follower.next(WAIT, 1_000).expect("next"));
            if follower.caught_up().expect("caught up") {
                found.sort_by_key(|(partition, message)| (*partition, message.offset));
                return found.iter().map(|(partition, m)| (*partition, text(m))).collect();
            }
        }
        panic!("never caught up with {topic}");
    }

    pub fn values(&self, topic: &str) -> Vec<String> {
        self.everything(topic).into_iter().map(|(_, value)| value).collect()
    }
}

/// A member and how to get on with it.
pub struct Seat {
    pub member: Box<dyn Member>,
}

/// A message as a case looks at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub partition: u32,
    pub offset: u64,
    pub value: String,
    pub replay: bool,
}

impl Seat {
    pub fn poll(&mut self) -> Event {
        self.member.poll(&limits()).expect("poll")
    }

    /// Waits for partitions.
    pub fn assigned(&mut self) -> Vec<Assignment> {
        for _ in 0..PATIENCE {
            match self.poll() {
                Event::Assigned(assignments) => return assignments,
                Event::Idle(_) | Event::Revoked(_) => {}
                Event::Batch(batch) => {
                    panic!("a batch before any partition was started: {batch:?}")
                }
            }
        }
        panic!("no partition came");
    }

    /// Waits for partitions and starts them all in the same way.
    pub fn begin(&mut self, start: Start) -> Vec<Assignment> {
        let assignments = self.assigned();
        for assignment in &assignments {
            self.member.start(&assignment.partition, start).expect("start");
        }
        assignments
    }

    /// Reads until so many messages have come, committing nothing.
    pub fn read(&mut self, messages: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        for _ in 0..PATIENCE {
            seen.extend(self.look());
            if seen.len() >= messages {
                assert_eq!(seen.len(), messages, "{seen:?}");
                return seen;
            }
        }
        panic!("{} of {messages} messages came: {seen:?}", seen.len());
    }

    /// One poll; the messages in it, if it was a batch.
    pub fn look(&mut self) -> Vec<Seen> {
        match self.poll() {
            Event::Batch(batch) => {
                let replay = batch.replay;
                let of = |slice: oddwatch_exchange::Slice| {
                    let partition = slice.partition.number;
                    slice.messages.into_iter().map(move |message| Seen {
                        partition,
                        offset: message.offset,
                        value: text(&message),
                        replay,
                    })
                };
                batch.slices.into_iter().flat_map(of).collect()
            }
            Event::Idle(_) => Vec::new(),
            event => panic!("unexpected {event:?}"),
        }
    }

    /// Polls until nothing has come for a while.
    pub fn quiet(&mut self) {
        for _ in 0..3 {
            assert_eq!(self.look(), [], "nothing was to come");
        }
    }

    pub fn commit(&mut self, messages: Vec<Output>) -> CommitOutcome {
        let outputs = Outputs { messages, metadata: Vec::new() };
        self.member.commit(&outputs).expect("commit")
    }

    /// Commits what was read, with these outputs.
    pub fn committed(&mut self, messages: Vec<Output>) {
        assert_eq!(self.commit(messages), CommitOutcome::Committed);
    }
}

/// Planned faults, taken one per commit.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().expect("faults").extend(faults);
    }

    pub fn clear(&self) {
        self.0.lock().expect("faults").clear();
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().expect("faults").is_empty()
    }

    pub fn hook(&self) -> FaultHook {
        let faults = self.clone();
        Arc::new(move |_| faults.0.lock().expect("faults").pop_front())
    }
}

pub struct MemoryBed {
    exchange: MemoryExchange,
    faults: Faults,
}

impl MemoryBed {
    pub fn new() -> Self {
        let (faults, now) = (Faults::default(), AtomicI64::new(1_700_000_000_000));
        let clock = Arc::new(move || now.fetch_add(1, Ordering::Relaxed));
        let options = MemoryOptions { faults: Some(faults.hook()), ..MemoryOptions::new(clock) };
        Self { exchange: MemoryExchange::new(options), faults }
    }

    pub fn held_bytes(&self) -> usize {
        self.exchange.bytes()
    }
}

impl Bed for MemoryBed {
    fn exchange(&self) -> Arc<dyn Exchange> {
        Arc::new(self.exchange.clone())
    }

    fn prefix(&self) -> &str {
        ""
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }
}

pub struct KafkaBed {
    exchange: KafkaExchange,
    faults: Faults,
    prefix: String,
}

impl KafkaBed {
    /// The broker of the environment, or `None` if there is none and none is required.
    pub fn open(case: &str) -> Option<Self> {
        Self::open_with(case, &[])
    }

    pub fn open_with(case: &str, overrides: &[(&str, &str)]) -> Option<Self> {
        let Ok(brokers) = std::env::var("KAFKA_BOOTSTRAP") else {
            let required = std::env::var("ODDWATCH_REQUIRE").is_ok_and(|value| value == "all");
            assert!(!required, "{case}: KAFKA_BOOTSTRAP is not set");
            #[expect(clippy::print_stdout, reason = "a skipped case must say so")]
            {
                println!("skipped: {case}: KAFKA_BOOTSTRAP is not set");
            }
            return None;
        };
        let faults = Faults::default();
        let mut options = KafkaOptions::new(brokers, "contract");
        options.faults = Some(faults.hook());
        // The shortest session that a broker takes by default: a take-over waits for its end.
        options.transaction_timeout = Duration::from_secs(5);
        let session =
            [("consumer.session.timeout.ms", "6000"), ("consumer.heartbeat.interval.ms", "300")];
        for (name, value) in session.iter().chain(overrides) {
            options.overrides.push(((*name).to_owned(), (*value).to_owned()));
        }
        let exchange = KafkaExchange::connect(options).expect("connect");
        let run = RandomState::new().build_hasher().finish();
        Some(Self { exchange, faults, prefix: format!("{case}-{run:016x}-") })
    }
}

impl Bed for KafkaBed {
    fn exchange(&self) -> Arc<dyn Exchange> {
        Arc::new(self.exchange.clone())
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn forget(&self, partition: &Partition, below: u64) {
        let brokers = std::env::var("KAFKA_BOOTSTRAP").expect("the bed is open");
        crate::kafka_only::delete_records(&brokers, partition, below);
    }
}

pub fn limits() -> PollLimits {
    PollLimits { wait: WAIT, ..PollLimits::default() }
}

pub fn spec(name: &str, partitions: u32) -> TopicSpec {
    TopicSpec {
        name: name.into(),
        partitions,
        retention_ms: Some(3_600_000),
        compacted: false,
        memory_bytes_max: 64 << 20,
        ring: false,
    }
}

pub fn output(topic: &Arc<str>, partition: u32, value: &str) -> Output {
    Output {
        topic: Arc::clone(topic),
        partition: Some(partition),
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    }
}

pub fn text(message: &Message) -> String {
    let value = message.value.as_deref().unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

pub fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// The values of what was seen.
pub fn values(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|seen| seen.value.clone()).collect()
}

pub fn partition(topic: &Arc<str>, number: u32) -> Partition {
    Partition::new(Arc::clone(topic), number)
}
