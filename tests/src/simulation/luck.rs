//! What befalls services from outside: deaths at named points and around commits, rooms that are full, transactions
//! that are aborted. All services ask here, and all that happened is counted here.
//!
//! A service that dies again and again without any progress would, rightly, look for a row that kills it. So a
//! service's deaths from outside are bounded until all of its members have been idle.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use exchange::{Fault, FaultHook, Group};

use super::dice::Dice;

/// Every planned misfortune says so.
pub(crate) const AS_PLANNED: &str = "as planned";

/// Where a service can die, besides its commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Point {
    /// A partition has come.
    Restore,
    /// Its state was made ready, and is not read on yet.
    Restored,
    /// A replayed batch was applied.
    Replayed,
    /// A batch is about to be applied.
    Apply,
    /// It was applied, nothing is written.
    Applied,
    /// All is committed, snapshots are about to be taken.
    Settle,
    /// A slice of a snapshot, or all of it, was written.
    Settled,
    /// It was written down that a row is skipped, and nothing else was done.
    Skipped,
}

impl Point {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Restore => "death at restore",
            Self::Restored => "death when restored",
            Self::Replayed => "death in a replay",
            Self::Apply => "death before a batch",
            Self::Applied => "death after a batch",
            Self::Settle => "death before a snapshot",
            Self::Settled => "death in or after a snapshot",
            Self::Skipped => "death after a skip",
        }
    }
}

/// How often things happen, in a thousand chances.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// A death at a point.
    pub(crate) point: u32,
    /// A commit that finds no room.
    pub(crate) full: u32,
    /// A commit that is aborted.
    pub(crate) rewind: u32,
    /// A death before a commit.
    pub(crate) before: u32,
    /// A death after a commit.
    pub(crate) after: u32,
    /// A call of the store of snapshots that fails.
    pub(crate) store: u32,
}

/// The handle of a simulation's luck.
#[derive(Clone, Debug)]
pub(crate) struct Luck(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    dice: Dice,
    rates: Rates,
    /// How many deaths a service may die until it was idle.
    deaths_max: BTreeMap<&'static str, u32>,
    deaths: BTreeMap<String, u32>,
    counts: BTreeMap<&'static str, u64>,
}

impl Luck {
    /// Services that are not named in `deaths_max` do not die from outside.
    pub(crate) fn new(dice: Dice, rates: Rates, deaths_max: BTreeMap<&'static str, u32>) -> Self {
        let (deaths, counts) = (BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Inner { dice, rates, deaths_max, deaths, counts })))
    }

    /// From now on nothing befalls anybody.
    pub(crate) fn heal(&self) {
        self.lock().rates = Rates::default();
    }

    /// Takes note that something has happened.
    pub(crate) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    /// All that has happened.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().counts.clone()
    }

    /// Whether a service dies at a point now.
    pub(crate) fn dies(&self, service: &str, point: Point) -> bool {
        let mut inner = self.lock();
        let rate = match point {
            // After every turn, even an idle one.
            Point::Settle | Point::Settled => inner.rates.point / 2,
            // Few rows are skipped at all.
            Point::Skipped => 30 * inner.rates.point,
            _ => inner.rates.point,
        };
        let dies = inner.dice.happens(rate) && inner.may_die(service);
        if dies {
            inner.dies(service, point.name());
        }
        dies
    }

    /// Whether a call of the store of snapshots fails.
    pub(crate) fn store_fails(&self, what: &'static str) -> bool {
        let mut inner = self.lock();
        let rate = inner.rates.store;
        let fails = inner.dice.happens(rate);
        if fails {
            inner.count(what);
        }
        fails
    }

    /// Whether a service may be killed from outside now.
    pub(crate) fn may_die(&self, service: &str) -> bool {
        self.lock().may_die(service)
    }

    /// Whether a service may be killed from outside now; if so, it counts as done.
    pub(crate) fn may_be_killed(&self, service: &str, what: &'static str) -> bool {
        let mut inner = self.lock();
        let may = inner.may_die(service);
        if may {
            inner.dies(service, what);
        }
        may
    }

    /// All members of a service have been idle.
    pub(crate) fn idle(&self, service: &str) {
        self.lock().deaths.remove(service);
    }

    /// What the exchange asks at each commit.
    pub(crate) fn hook(&self) -> FaultHook {
        let luck = self.clone();
        Arc::new(move |group: &Group| luck.fault(group))
    }

    fn fault(&self, group: &Group) -> Option<Fault> {
        let service = group.name.strip_prefix("oddwatch-").unwrap_or(&group.name);
        let mut inner = self.lock();
        let Rates { full, rewind, before, after, .. } = inner.rates;
        let draw = inner.dice.below(1_000) as u32;
        let may_die = inner.may_die(service);
        if draw < full {
            inner.count("full");
            Some(Fault::Full)
        } else if draw < full + rewind {
            inner.count("abort");
            Some(Fault::Rewind)
        } else if draw < full + rewind + before && may_die {
            inner.dies(service, "death before a commit");
            Some(Fault::DieBefore)
        } else if (full + rewind + before..full + rewind + before + after).contains(&draw)
            && may_die
        {
            inner.dies(service, "death after a commit");
            Some(Fault::DieAfter)
        } else {
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Planned panics happen elsewhere, never half-way in here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn may_die(&self, service: &str) -> bool {
        let deaths = self.deaths.get(service).copied().unwrap_or(0);
        self.deaths_max.get(service).is_some_and(|most| deaths < *most)
    }

    fn dies(&mut self, service: &str, what: &'static str) {
        *self.deaths.entry(service.to_owned()).or_default() += 1;
        self.count(what);
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}
