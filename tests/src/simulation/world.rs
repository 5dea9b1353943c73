//! The world of one seed: an exchange, a store of snapshots, a clock, members that come and go, and a reader that
//! reads everything all the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use domain::{Definition, Micros, Topics};
use exchange::{Append, Error, FollowFrom, MemoryOptions, PollLimits, Step, TopicSpec};
use object_store::{ObjectStore, memory::InMemory};
use runtime::Clock;
use snapshot::Store;
use stage::Snapshots;

use super::{
    bed::Bed,
    input::Draft,
    luck::{AS_PLANNED, Luck},
    member::{Ended, Member},
    objects::Objects,
    plan::{Plan, SERVICES},
    reader::Reader,
};
use crate::{
    local::{Failed, Local},
    oracle::{Committed, Record},
};

/// When it begins: in 2026.
const BEGIN_US: Micros = 1_770_000_000_000_000;
/// A member's clock is some of these off.
const SKEW_US: Micros = 50_000;
/// Topics that people read hold everything.
const PUBLIC_BYTES_MAX: usize = 1 << 30;

/// The world.
pub(crate) struct World<'a> {
    pub(crate) local: Local,
    pub(crate) luck: Luck,
    pub(crate) objects: Arc<InMemory>,
    pub(crate) members: Vec<Member>,
    /// What was published, in order.
    pub(crate) published: Vec<Record>,
    /// Messages that ingest dies on.
    pub(crate) kills_ingest: BTreeSet<(String, u64)>,
    pub(crate) steps: u64,
    /// Which turn it is.
    pub(crate) turns: u64,
    /// The store of snapshots fails, and the log is bounded.
    may_be_overtaken: bool,
    clock: Arc<AtomicI64>,
    appender: Arc<dyn Append>,
    limits: PollLimits,
    reader: Reader,
    bed: &'a dyn Bed,
    options: MemoryOptions,
    /// Members that have been idle since any of their service had work.
    idle: BTreeMap<&'static str, BTreeSet<String>>,
    names: usize,
}

impl<'a> World<'a> {
    /// A world in which nobody lives yet.
    pub(crate) fn new(plan: &Plan, luck: Luck, bed: &'a dyn Bed) -> Result<Self, Failed> {
        let time = Arc::new(AtomicI64::new(BEGIN_US));
        let (ms, us) = (Arc::clone(&time), Arc::clone(&time));
        let mut options = MemoryOptions::new(Arc::new(move || ms.load(Ordering::Relaxed) / 1_000));
        options.faults = Some(luck.hook());
        let exchange = bed.open(options.clone())?;
        let clock = Clock::Given(Arc::new(move || us.load(Ordering::Relaxed)));
        let mut local = Local::new(Arc::clone(&exchange), clock)?;
        plan.set(&mut local.sections);
        let objects = Arc::new(InMemory::new());
        local.snapshots = plan.saver.clone().map(|config| {
            let objects: Arc<dyn ObjectStore> =
                Arc::new(Objects { inner: Arc::clone(&objects), luck: luck.clone() });
            Snapshots { store: Arc::new(Store::over(objects, "", None)), config, inline: true }
        });
        exchange.create_topics(&public(&local.topics, plan.partitions))?;
        let bytes_max = plan.memory_bytes_max.unwrap_or(PUBLIC_BYTES_MAX);
        local.set_up(plan.partitions, plan.records_partitions, bytes_max, &plan.definitions)?;
        Ok(Self {
            reader: Reader::new(&*exchange, &local.topics)?,
            bed,
            appender: exchange.appender()?,
            options,
            local,
            luck,
            objects,
            members: vec![],
            published: vec![],
            kills_ingest: BTreeSet::new(),
            steps: 0,
            turns: 0,
            may_be_overtaken: plan.rates.store > 0 && plan.memory_bytes_max.is_some(),
            clock: time,
            limits: PollLimits {
                wait: Duration::ZERO,
                cycle: Duration::ZERO,
                messages_max: plan.batch_messages_max,
                bytes_max: plan.batch_bytes_max,
            },
            idle: BTreeMap::new(),
            names: 0,
        })
    }

    /// A further member of a service joins, under a name of its own.
    pub(crate) fn join(&mut self, service: &'static str) -> Result<(), Failed> {
        self.names += 1;
        self.join_as(service, format!("{service}-{}", self.names))
    }

    /// A member joins under this name.
    pub(crate) fn join_as(&mut self, service: &'static str, name: String) -> Result<(), Failed> {
        self.worked(service);
        // No two machines have the same time.
        let skew_us = (self.names % 7) as Micros * SKEW_US - 3 * SKEW_US;
        let time = Arc::clone(&self.clock);
        let clock = Clock::Given(Arc::new(move || time.load(Ordering::Relaxed) + skew_us));
        let local = Local { clock, ..self.local.clone() };
        match Member::join(&local, service, name, self.limits, &self.luck) {
            Ok(member) => self.members.push(member),
            // It is tried again, as a supervisor would.
            Err(error) if error.to_string().contains(AS_PLANNED) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A member is gone at once.
    pub(crate) fn remove(&mut self, at: usize) -> Member {
        let member = self.members.remove(at);
        self.worked(member.service);
        member
    }

    /// All members are gone at once, and with them the exchange's process, if it is one of its own.
    pub(crate) fn crash(&mut self) -> Result<(), Failed> {
        let found = self.bed.after_crash(self.options.clone())?;
        self.members.clear();
        self.idle.clear();
        if let Some(exchange) = found {
            self.reader.reopen(&*exchange)?;
            self.appender = exchange.appender()?;
            self.local.exchange = exchange;
            self.luck.count("the exchange was found again after a crash");
        }
        Ok(())
    }

    /// How many members a service has.
    pub(crate) fn count(&self, service: &str) -> usize {
        self.members.iter().filter(|member| member.service == service).count()
    }

    /// One turn of a member's loop; one that dies is gone. Says whether it did anything, or died.
    pub(crate) fn step(&mut self, at: usize) -> Result<Step, Failed> {
        self.steps += 1;
        let member = &mut self.members[at];
        let service = member.service;
        match member.step() {
            Ok(Step::Idle) => {
                let name = member.name.clone();
                let idle = self.idle.entry(service).or_default();
                idle.insert(name);
                if idle.len() == self.count(service) {
                    self.luck.idle(service);
                }
                Ok(Step::Idle)
            }
            Ok(step) => {
                self.worked(service);
                self.reader.read()?;
                Ok(step)
            }
            Err(Ended::AsPlanned) => {
                self.remove(at);
                self.reader.read()?;
                Ok(Step::Worked)
            }
            Err(Ended::Fenced) => Err(format!("{} was fenced", self.members[at].name).into()),
            // It had to replay all for want of its snapshots, of a log from which that may go at any time. It ends,
            // and finds its snapshots when it comes again.
            Err(Ended::Failed(why))
                if self.may_be_overtaken && why.contains(" is gone, the first") =>
            {
                self.luck.count("a replay overtaken by forgetting");
                self.remove(at);
                Ok(Step::Worked)
            }
            Err(Ended::Failed(why)) => {
                Err(format!("{} ended: {why}", self.members[at].name).into())
            }
        }
    }

    fn worked(&mut self, service: &'static str) {
        self.idle.remove(service);
    }

    /// Publishes a message; says whether there was room.
    pub(crate) fn publish(&mut self, draft: &Draft) -> Result<bool, Failed> {
        let written = match self.appender.append(vec![draft.output.clone()]) {
            Err(Error::Full { .. }) => return Ok(false),
            written => written?,
        };
        let (partition, offset) = written[0];
        let source = format!("{}/{partition}", draft.output.topic);
        if draft.kills_ingest {
            self.kills_ingest.insert((source.clone(), offset));
        }
        let source: Arc<str> = source.into();
        let ingested_at = Some(self.now() / 1_000 * 1_000);
        let records = (0..).zip(&draft.sent).map(|(index, sent)| {
            let (source, sent) = (Arc::clone(&source), sent.clone());
            Record { source, offset, index, ingested_at, sent }
        });
        self.published.extend(records);
        Ok(true)
    }

    /// Appends a definition.
    pub(crate) fn define(&mut self, definition: &Definition) -> Result<(), Failed> {
        self.local.writer()?.append(definition, self.now())?;
        Ok(())
    }

    /// The time.
    pub(crate) fn now(&self) -> Micros {
        self.clock.load(Ordering::Relaxed)
    }

    /// Sets the clock on, or back.
    pub(crate) fn jump(&self, by_us: Micros) {
        self.clock.fetch_add(by_us, Ordering::Relaxed);
    }

    /// Sets the clock.
    pub(crate) fn set_clock(&self, to: Micros) {
        self.clock.store(to, Ordering::Relaxed);
    }

    /// How many partitions between the services have forgotten their first messages.
    pub(crate) fn trimmed(&self) -> Result<usize, Failed> {
        let mut trimmed = 0;
        let topics = &self.local.topics;
        for topic in [&topics.accepted, &topics.requested, &topics.anomalies, &topics.drifts] {
            let mut follower = self.local.exchange.follow(topic, FollowFrom::Earliest)?;
            let mut first = BTreeMap::new();
            for (partition, message) in follower.next(Duration::ZERO, usize::MAX)? {
                first.entry(partition).or_insert(message.offset);
            }
            trimmed += first.values().filter(|offset| **offset > 0).count();
        }
        Ok(trimmed)
    }

    /// All that was committed.
    pub(crate) fn committed(&mut self) -> Result<Committed, Failed> {
        Ok(self.reader.finish()?)
    }

    /// Everybody steps in turn until nobody has anything to do. Services without a member get one.
    pub(crate) fn rest(&mut self) -> Result<(), Failed> {
        const ROUNDS_MAX: usize = 20_000;
        for _ in 0..ROUNDS_MAX {
            for service in SERVICES {
                if self.count(service) == 0 {
                    self.join(service)?;
                }
            }
            let mut worked = false;
            for at in (0..self.members.len()).rev() {
                worked |= self.step(at)? != Step::Idle;
            }
            if !worked {
                return Ok(());
            }
        }
        Err(format!("it does not come to rest within {ROUNDS_MAX} rounds").into())
    }
}

/// Topics that are not bounded as the inner ones are: control, and what nobody but people reads.
fn public(topics: &Topics, partitions: u32) -> [TopicSpec; 4] {
    let spec = |name: &Arc<str>, partitions| TopicSpec {
        name: Arc::clone(name),
        partitions,
        retention_ms: None,
        compacted: false,
        memory_bytes_max: PUBLIC_BYTES_MAX,
        // What is read all the time may be forgotten.
        ring: *name != topics.control,
    };
    [
        spec(&topics.control, 1),
        spec(&topics.rejected, partitions),
        spec(&topics.completed, partitions),
        spec(&topics.alerts, partitions),
    ]
}
