//! The processes and who looks after them: whatever has ended is started again, as Kubernetes would.

use std::{collections::BTreeMap, time::Duration};

use exchange::points::Plan;
use oddwatch_tests::process::Signal;
use reqwest::blocking::Client;

use crate::{
    member::{Doom, Ending, Member},
    plan::Role,
    setup::Setup,
};

/// The place of a process that must always run.
struct Slot {
    role: Role,
    instance: &'static str,
    member: Option<Member>,
    /// When the next one is started.
    starts_at: Duration,
    /// Where the next one dies.
    die_at: Option<Plan>,
}

/// All processes of a run.
#[derive(Default)]
pub(crate) struct Fleet {
    slots: Vec<Slot>,
    /// Those that were replaced, and have yet to learn of it.
    ghosts: Vec<(Member, Duration)>,
    visitor: Option<(Member, Duration)>,
    client: Client,
    /// What it has come to.
    pub(crate) tally: Tally,
}

/// What is counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kills: u64,
    pub(crate) excused: u64,
    assignments: u64,
    rewinds: u64,
    pub(crate) recoveries: Vec<Duration>,
    /// Deaths at each named point.
    pub(crate) points: BTreeMap<String, u64>,
    pub(crate) faults: Vec<String>,
}

impl Tally {
    /// How often partitions were given to a member by its group.
    pub(crate) fn rebalances(&self) -> u64 {
        self.assignments.saturating_sub(self.rewinds)
    }
}

/// The broker, as processes find it.
#[derive(Clone, Copy)]
pub(crate) struct Broker {
    pub(crate) is_up: bool,
    /// When it last came back.
    pub(crate) back_at: Option<Duration>,
}

impl Broker {
    /// How long its absence is an excuse afterwards: the longest that a commit is asked for, and a little.
    const EXCUSE: Duration = Duration::from_secs(60);

    fn is_excuse(self, now: Duration) -> bool {
        !self.is_up || self.back_at.is_some_and(|at| now < at + Self::EXCUSE)
    }
}

/// How long a process that was replaced may take to learn of it.
const GHOST_MAX: Duration = Duration::from_secs(60);
/// How long one that is asked to end may take.
const END_MAX: Duration = Duration::from_secs(20);
/// A process that found no broker is started again after so long.
const BACKOFF: Duration = Duration::from_millis(500);

impl Fleet {
    /// Starts all.
    pub(crate) fn start(setup: &Setup, now: Duration) -> Result<Self, reqwest::Error> {
        let slot =
            |role, instance| Slot { role, instance, member: None, starts_at: now, die_at: None };
        let slots = vec![
            slot(Role::Ingest, "0"),
            slot(Role::Windowing, "0"),
            slot(Role::Detector, "0"),
            slot(Role::Detector, "1"),
            slot(Role::Notification, "0"),
        ];
        let client = Client::builder().timeout(Duration::from_millis(500)).build()?;
        let mut fleet = Self { slots, client, ..Self::default() };
        fleet.fill(setup, now);
        Ok(fleet)
    }

    /// Looks after all of them; says what happened, in words.
    pub(crate) fn tend(&mut self, setup: &Setup, now: Duration, broker: Broker) -> Vec<String> {
        let mut told = vec![];
        self.bury(now, broker, &mut told);
        self.fill(setup, now);
        for slot in &mut self.slots {
            let Some(member) = &mut slot.member else { continue };
            if member.wake(now) {
                told.push(format!("{} goes on", member.name()));
            }
            if member.recovered_in.is_none() && member.is_ready(&self.client) {
                // While the broker was away nobody could recover.
                let since = member.started_at.max(broker.back_at.unwrap_or_default());
                member.recovered_in = Some(now - since);
                self.tally.recoveries.push(now - since);
            }
        }
        self.tend_ghosts(now, broker, &mut told);
        self.tend_visitor(now, broker, &mut told);
        told
    }

    /// Whether all run and have their partitions.
    pub(crate) fn is_whole(&self) -> bool {
        let whole = |slot: &Slot| slot.member.as_ref().is_some_and(|m| m.recovered_in.is_some());
        self.slots.iter().all(whole) && self.ghosts.is_empty() && self.visitor.is_none()
    }

    /// How many processes have not got their partitions back yet.
    pub(crate) fn recovering(&self) -> usize {
        let waits = |slot: &&Slot| slot.member.as_ref().is_none_or(|m| m.recovered_in.is_none());
        self.slots.iter().filter(waits).count()
    }

    /// SIGKILL; the next process may have to die at a point.
    pub(crate) fn kill(&mut self, at: usize, next: Option<Plan>) -> Option<String> {
        let slot = &mut self.slots[at];
        slot.die_at = next;
        let member = slot.member.as_mut().filter(|member| member.doom == Doom::None)?;
        member.signal(Signal::Kill);
        Some(member.name())
    }

    /// SIGSTOP, for so long. `replaced`: another one is started under its name meanwhile.
    pub(crate) fn freeze(
        &mut self,
        at: usize,
        wakes_at: Duration,
        replaced: Option<Duration>,
    ) -> Option<String> {
        let slot = &mut self.slots[at];
        let is_free = |m: &&mut Member| m.doom == Doom::None && m.wakes_at.is_none();
        let member = slot.member.as_mut().filter(is_free)?;
        member.freeze(wakes_at);
        let name = member.name();
        if let Some(starts_at) = replaced
            && let Some(mut ghost) = slot.member.take()
        {
            ghost.doom = Doom::Replaced;
            slot.starts_at = starts_at;
            self.ghosts.push((ghost, wakes_at + GHOST_MAX));
        }
        Some(name)
    }

    /// The slots of a service.
    pub(crate) fn of(&self, role: Role) -> Vec<usize> {
        (0..self.slots.len()).filter(|at| self.slots[*at].role == role).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// A further detector, until then. One at a time.
    pub(crate) fn visit(&mut self, setup: &Setup, now: Duration, until: Duration) -> bool {
        if self.visitor.is_some() {
            return false;
        }
        let member = Member::start(setup, Role::Detector, "visitor", None, now);
        self.visitor = Some((member, until));
        true
    }

    /// No more misfortunes: all go on, and the visitor leaves.
    pub(crate) fn heal(&mut self, now: Duration) {
        for slot in &mut self.slots {
            slot.die_at = None;
            if let Some(member) = &mut slot.member {
                member.wakes_at = member.wakes_at.map(|_| now);
            }
        }
        for (ghost, _) in &mut self.ghosts {
            ghost.wakes_at = ghost.wakes_at.map(|_| now);
        }
        if let Some((_, until)) = &mut self.visitor {
            *until = now.min(*until);
        }
    }

    /// Asks the processes of a service to end, and waits until they have.
    pub(crate) fn end(&mut self, role: Role, clock: &dyn Fn() -> Duration, wait: &dyn Fn()) {
        let ending = self.slots.iter_mut().filter(|slot| slot.role == role);
        let mut ending: Vec<Member> = ending.filter_map(|slot| slot.member.take()).collect();
        ending.iter_mut().for_each(|member| member.signal(Signal::Terminate));
        let until = clock() + END_MAX;
        let broker = Broker { is_up: true, back_at: None };
        while let Some(mut member) = ending.pop() {
            while !self.has_ended(&mut member, clock(), broker, &mut vec![]) {
                if clock() > until && member.doom == Doom::Terminated {
                    let name = member.name();
                    self.tally.faults.push(format!("{name} does not end within {END_MAX:?}"));
                    member.signal(Signal::Kill);
                }
                wait();
            }
        }
    }

    /// Starts what is due.
    fn fill(&mut self, setup: &Setup, now: Duration) {
        for slot in self.slots.iter_mut().filter(|s| s.member.is_none() && s.starts_at <= now) {
            let die_at = slot.die_at.take().map(|plan| plan.to_string());
            slot.member = Some(Member::start(setup, slot.role, slot.instance, die_at, now));
        }
    }

    /// Takes those that have ended out of their slots.
    fn bury(&mut self, now: Duration, broker: Broker, told: &mut Vec<String>) {
        for at in 0..self.slots.len() {
            let Some(mut member) = self.slots[at].member.take() else { continue };
            if self.has_ended(&mut member, now, broker, told) {
                let found_none = member.doom == Doom::None && member.journal.dies_at.is_none();
                self.slots[at].starts_at = if found_none { now + BACKOFF } else { now };
            } else {
                self.slots[at].member = Some(member);
            }
        }
    }

    /// Whether a process has ended; counts what it came to.
    fn has_ended(
        &mut self,
        member: &mut Member,
        now: Duration,
        broker: Broker,
        told: &mut Vec<String>,
    ) -> bool {
        let Some(status) = member.ended() else { return false };
        let tally = &mut self.tally;
        match member.judge(status, broker.is_excuse(now)) {
            Ending::Death => {
                tally.kills += 1;
                if let Some(plan) = &member.journal.dies_at {
                    told.push(format!("{} has died at {plan}", member.name()));
                    let point = plan.split(':').next().unwrap_or_default().to_owned();
                    *tally.points.entry(point).or_default() += 1;
                }
            }
            Ending::Order => {}
            Ending::Excused(what) => {
                tally.excused += 1;
                told.push(what);
            }
            Ending::Wrong(what) => {
                told.push(format!("FAULT: {what}"));
                tally.faults.push(what);
            }
        }
        tally.assignments += member.journal.assignments;
        tally.rewinds += member.journal.rewinds;
        tally.faults.append(&mut member.journal.alarms);
        true
    }

    fn tend_ghosts(&mut self, now: Duration, broker: Broker, told: &mut Vec<String>) {
        for (mut ghost, until) in std::mem::take(&mut self.ghosts) {
            if ghost.wake(now) {
                told.push(format!("the replaced {} goes on", ghost.name()));
            }
            if self.has_ended(&mut ghost, now, broker, told) {
                continue;
            }
            if now > until && ghost.doom == Doom::Replaced {
                let name = ghost.name();
                let what =
                    format!("{name} does not notice within {GHOST_MAX:?} that it was replaced");
                told.push(format!("FAULT: {what}"));
                self.tally.faults.push(what);
                ghost.signal(Signal::Kill);
            }
            self.ghosts.push((ghost, until));
        }
    }

    fn tend_visitor(&mut self, now: Duration, broker: Broker, told: &mut Vec<String>) {
        let Some((mut visitor, until)) = self.visitor.take() else { return };
        if self.has_ended(&mut visitor, now, broker, told) {
            told.push("the visitor has gone".to_owned());
            return;
        }
        if now > until && visitor.doom == Doom::None {
            visitor.signal(Signal::Terminate);
        } else if now > until + END_MAX && visitor.doom == Doom::Terminated {
            self.tally.faults.push(format!("the visitor does not end within {END_MAX:?}"));
            visitor.signal(Signal::Kill);
        }
        self.visitor = Some((visitor, until));
    }
}
