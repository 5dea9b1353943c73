//! The whole pipeline in one thread, by seed: ingest, windowing, detector and notification on an exchange in memory,
//! while members are killed, come and go, commits fail, snapshots are damaged, definitions change, rows are deadly and
//! the clock jumps. Afterwards the oracle judges what was committed. A seed always gives the same run.
//!
//! - `plan`: what a seed stands for;
//! - `input`: the records;
//! - `luck`: what befalls services from outside, and how often it did;
//! - `deadly` and `unlucky`: services that die on rows, on messages and at points;
//! - `member` and `world`: who is there, and what there is;
//! - `course`: what happens in which turn, and how it ends;
//! - `bed`, `objects` and `reader`: the exchange, in memory or on disk, where snapshots lie, and who reads all of it;
//! - `counters`: what the services themselves count.

mod bed;
mod counters;
mod course;
mod deadly;
mod dice;
mod input;
mod luck;
mod member;
mod objects;
mod plan;
mod reader;
mod unlucky;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

pub use bed::{Bed, InMemory, OnDisk};

use self::{
    counters::Counters,
    dice::Dice,
    input::drafts,
    luck::{Luck, Rates},
    plan::{Plan, SERVICES},
    world::World,
};
use crate::{
    local::Failed,
    oracle::{self, Committed, Evidence, Limits},
};

/// What has happened, by its name, and how often. The names of metrics are what the services counted.
pub type Counts = BTreeMap<String, u64>;

/// What a seed has come to.
pub struct Run {
    /// What has happened.
    pub counts: Counts,
    /// What was judged, and found to be good.
    pub evidence: Evidence,
}

impl Run {
    /// A hash of everything that was committed: FNV-1a (Fowler, Noll & Vo).
    pub fn fingerprint(&self) -> u64 {
        self.evidence.committed.bytes().flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// Simulates a seed and judges it.
///
/// # Errors
/// What is wrong with it, and how to see it again.
pub fn run(seed: u64, bed: &dyn Bed) -> Result<Run, String> {
    member::quiet_planned_panics();
    let plan = Plan::new(seed);
    let again = || format!("seed {seed} (./dev simulate 1 {seed}): {plan}");
    let counters = Counters::default();
    let ran = metrics::with_local_recorder(&counters, || {
        catch_unwind(AssertUnwindSafe(|| simulate(&plan, bed)))
    });
    match ran {
        Ok(Ok(mut run)) => {
            run.counts.extend(counters.all());
            match plan.forbidden().iter().find_map(|name| counted(&run.counts, name)) {
                Some((name, times)) => Err(format!("{name} is {times}\n{}", again())),
                None => Ok(run),
            }
        }
        Ok(Err(wrong)) => Err(format!("{wrong}\n{}", again())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}\n{}", text.unwrap_or("no words"), again()))
        }
    }
}

fn counted<'a>(counts: &'a Counts, name: &str) -> Option<(&'a String, &'a u64)> {
    counts.iter().find(|(counted, _)| counted.starts_with(name))
}

fn simulate(plan: &Plan, bed: &dyn Bed) -> Result<Run, Failed> {
    let luck = Luck::new(Dice::new(plan.seed, 4), plan.rates, plan.deaths_max());
    let mut world = World::new(plan, luck, bed)?;
    course::run(plan, &mut world)?;
    let committed = world.committed()?;
    let sections = &world.local.sections;
    let limits =
        Limits { windowing: sections.windowing.clone(), detector: sections.detector.clone() };
    let evidence = Evidence {
        poison: deadly::poison(&world.published, &world.kills_ingest, &committed),
        replay: Some(oracle::replay(&committed, &world.local.topics, &limits)?),
        single: plan.has_single().then(|| single(plan, &world, bed)).transpose()?,
        input: std::mem::take(&mut world.published),
        committed,
        ..Evidence::default()
    };
    let trimmed = world.trimmed()?;
    let faults = oracle::judge(&evidence);
    if !faults.is_empty() {
        return Err(oracle::first(&faults).into());
    }
    let mut counts = counts(&world, &evidence);
    counts.insert("partitions that forgot their first messages".into(), trimmed as u64);
    Ok(Run { counts, evidence })
}

/// The same records at the same offsets and times, and nothing that disturbs.
fn single(plan: &Plan, world: &World<'_>, bed: &dyn Bed) -> Result<Committed, Failed> {
    let luck = Luck::new(Dice::new(plan.seed, 5), Rates::default(), BTreeMap::new());
    let plan = Plan { saver: None, memory_bytes_max: None, ..plan.clone() };
    let mut alone = World::new(&plan, luck, bed)?;
    for service in SERVICES {
        alone.join(service)?;
    }
    let mut records = world.published.iter().filter(|record| record.index == 0);
    for draft in drafts(&plan) {
        let record = records.next().ok_or("the single run has more records")?;
        alone.set_clock(record.ingested_at.unwrap_or_default());
        alone.publish(&draft)?;
    }
    alone.set_clock(world.now());
    alone.rest()?;
    alone.members.iter().for_each(member::Member::finish);
    alone.rest()?;
    alone.committed()
}

fn counts(world: &World<'_>, evidence: &Evidence) -> Counts {
    let counts = world.luck.counts().into_iter().map(|(what, times)| (what.to_owned(), times));
    let mut counts: Counts = counts.collect();
    let committed = &evidence.committed;
    let mut count = |what: &str, times: usize| {
        *counts.entry(what.to_owned()).or_default() += times as u64;
    };
    count("seeds", 1);
    count("steps", world.steps as usize);
    count("records", evidence.input.len());
    count("scores", committed.scores());
    count("compared with a single run", usize::from(evidence.single.is_some()));
    for poison in &evidence.poison {
        count(&format!("deadly for {}", poison.service), 1);
    }
    let of = |all: &BTreeMap<u32, Vec<_>>| all.values().map(Vec::len).sum::<usize>();
    count("alerts", of(&committed.alerts));
    let anomalies = committed.anomalies.values().flatten().map(|told| &told.content);
    count("anomalies cleared in silence", anomalies.filter(|anomaly| anomaly.silent).count());
    counts
}
