//! A run: everything starts, the load flows, misfortune strikes, all heals, the pipeline drains, the oracle judges.

use std::{fs, io::Write as _, process::Child, thread, time::Duration};

use exchange::{KafkaExchange, KafkaOptions};
use oddwatch_tests::{broker::OwnBroker, oracle, wait::Stopwatch};

use crate::{
    Failed,
    damage::damage,
    dice::Dice,
    fleet::{Broker, Fleet},
    input::Input,
    load::{Load, Publisher},
    outsider,
    plan::{self, Misfortune, Order, Role},
    receiver::Receiver,
    setup::{self, Setup},
    verdict::{self, Counts, Known, Summary},
    watch::{self, Watch},
};

/// How often all are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often it says how far it is.
const TELL: Duration = Duration::from_secs(10);
/// Without any progress for so long, the pipeline hangs.
const STUCK: Duration = Duration::from_secs(120);
/// Nothing more comes if nothing has come for so long.
const QUIET: Duration = Duration::from_millis(700);

/// A run that goes on.
struct Run {
    order: Order,
    watch: Stopwatch,
    dice: Dice,
    setup: Setup,
    broker: OwnBroker,
    broker_state: Broker,
    reviving: Option<(Duration, Option<Child>)>,
    exchange: KafkaExchange,
    receivers: [Receiver; 2],
    fleet: Fleet,
}

/// Runs all of it; returns the line, and whether all is well.
pub(crate) fn run(order: Order) -> Result<(String, bool), Failed> {
    let mut run = Run::start(order)?;
    let reader = Watch::start(&run.exchange, &run.setup.topics)?;
    let publisher = Publisher::new(run.broker.address(), &run.setup.topics.prefix, order.seed);
    let load = Load::start(publisher, order.records, order.rate);
    run.strike(&load, &reader)?;
    run.heal()?;
    let mut input = Input::open(&run.exchange, &run.setup.topics)?;
    let mut publisher = load.join()?;
    loop {
        let records = input.read()?;
        if records >= order.records {
            break;
        }
        run.say(&format!("{} records went down with kcat: more", order.records - records));
        publisher.publish(order.records - records)?;
        publisher.finish()?;
    }
    run.drain(&reader, input.records.len() as u64)?;
    run.end(&reader);
    run.judge(reader, input)
}

impl Run {
    fn start(order: Order) -> Result<Self, Failed> {
        let watch = Stopwatch::start();
        let mut setup = Setup::new()?;
        let broker = OwnBroker::start(setup::BROKER)?;
        broker.address().clone_into(&mut setup.broker);
        let receivers = [
            Receiver::start("steady", false, Dice::new(order.seed, 2))?,
            Receiver::start("moody", true, Dice::new(order.seed, 3))?,
        ];
        setup.define(&receivers)?;
        let exchange = KafkaExchange::connect(KafkaOptions::new(broker.address(), "chaos"))?;
        let fleet = Fleet::start(&setup, watch.elapsed())?;
        let mut run = Self {
            order,
            watch,
            dice: Dice::new(order.seed, 4),
            setup,
            broker,
            broker_state: Broker { is_up: true, back_at: None },
            reviving: None,
            exchange,
            receivers,
            fleet,
        };
        run.say("the broker runs, the services start");
        run.wait("all services are ready", |run| Ok(run.fleet.is_whole()))?;
        // The first starts are no recoveries.
        run.fleet.tally.recoveries.clear();
        Ok(run)
    }

    /// Misfortunes, spread over the load.
    fn strike(&mut self, load: &Load, reader: &Watch) -> Result<(), Failed> {
        let Order { kills, records, rate, .. } = self.order;
        let mut outages = plan::outages(&mut self.dice, kills);
        outages.reverse();
        let mut round = vec![];
        let (mut rounds, mut next_at, mut told_at) = (0, self.now(), self.now());
        self.say("the load and the misfortunes begin");
        while self.fleet.tally.kills < kills || !load.is_over() {
            self.tend()?;
            let now = self.now();
            if self.fleet.tally.kills < kills && now >= next_at {
                if round.is_empty() {
                    round = plan::round(&mut self.dice, rounds);
                    rounds += 1;
                }
                if let Some(misfortune) = round.pop() {
                    self.befall(&misfortune);
                }
                // A round has 16 misfortunes for 20 kills.
                let left = ((kills - self.fleet.tally.kills.min(kills)) as f64 * 0.8).max(1.0);
                let pace = (load.left() as f64 / rate as f64 / left).max(0.5);
                next_at = now + Duration::from_secs_f64(pace * (0.3 + 1.4 * self.dice.unit()));
            }
            let part = load.handed() as f64 / records as f64;
            if let Some((_, away)) = outages.pop_if(|(at, _)| part >= *at) {
                self.kill_broker(away)?;
            }
            if now >= told_at + TELL {
                told_at = now;
                let (seen, handed) = (reader.seen(), load.handed());
                let (kills, waiting) = (self.fleet.tally.kills, self.fleet.recovering());
                let scored = seen.scored + seen.refused;
                self.say(&format!(
                    "{handed} published, {scored} done, {kills} kills, {waiting} recovering"
                ));
            }
            thread::sleep(LOOK); // poll interval
        }
        Ok(())
    }

    fn befall(&mut self, misfortune: &Misfortune) {
        let now = self.now();
        let told = match *misfortune {
            Misfortune::Kill(role) => self.kill(role, None),
            Misfortune::Twice(role, plan) => self.kill(role, Some(plan)),
            Misfortune::All => {
                let killed: Vec<_> =
                    (0..self.fleet.len()).filter_map(|at| self.fleet.kill(at, None)).collect();
                Some(format!("killed all: {}", killed.join(", ")))
            }
            Misfortune::Freeze(role, awakes) => {
                let at = self.choose(role);
                let name = self.fleet.freeze(at, now + awakes, None);
                name.map(|name| format!("{name} stands still for {awakes:?}"))
            }
            Misfortune::Zombie { role, awakes, replaced } => {
                let at = self.choose(role);
                let starts_at = replaced.then_some(now + Duration::from_secs(2));
                let name = self.fleet.freeze(at, now + awakes, starts_at);
                let how = if replaced { "and is replaced" } else { "past all time-outs" };
                name.map(|name| format!("{name} stands still for {awakes:?}, {how}"))
            }
            Misfortune::Visitor(stays) => {
                let came = self.fleet.visit(&self.setup, now, now + stays);
                came.then(|| format!("a further detector comes for {stays:?}"))
            }
        };
        told.iter().for_each(|told| self.say(told));
    }

    fn kill(&mut self, role: Role, next: Option<exchange::points::Plan>) -> Option<String> {
        let at = self.choose(role);
        let name = self.fleet.kill(at, next)?;
        if self.dice.happens(0.4) {
            for what in damage(&self.setup.snapshots(), role.name(), &mut self.dice) {
                self.say(&what);
            }
        }
        let next = next.map(|plan| format!(", the next one dies at {plan}"));
        Some(format!("killed {name}{}", next.unwrap_or_default()))
    }

    fn choose(&mut self, role: Role) -> usize {
        self.dice.choose(&self.fleet.of(role)).copied().unwrap_or_default()
    }

    fn kill_broker(&mut self, away: Duration) -> Result<(), Failed> {
        if self.reviving.is_none() {
            self.say(&format!("killed the broker, for {away:?} and its start"));
            self.broker_state.is_up = false;
            self.broker.kill()?;
            self.reviving = Some((self.now() + away, None));
        }
        Ok(())
    }

    /// Looks after the broker and the processes once.
    fn tend(&mut self) -> Result<(), Failed> {
        let now = self.now();
        match &mut self.reviving {
            Some((at, none @ None)) if *at <= now => *none = Some(self.broker.revive()?),
            Some((_, Some(script))) => {
                if let Some(status) = script.try_wait()? {
                    if !status.success() {
                        return Err("the killed broker did not come back".into());
                    }
                    self.reviving = None;
                    self.broker_state = Broker { is_up: true, back_at: Some(now) };
                    self.say("the broker is back");
                }
            }
            _ => {}
        }
        for what in self.fleet.tend(&self.setup, now, self.broker_state) {
            self.say(&what);
        }
        Ok(())
    }

    /// Ends all misfortunes and waits until all processes are whole.
    fn heal(&mut self) -> Result<(), Failed> {
        self.say("the load and the misfortunes are over");
        self.fleet.heal(self.now());
        self.receivers.iter().for_each(Receiver::heal);
        self.wait("all services have their partitions back", |run| {
            Ok(run.reviving.is_none() && run.fleet.is_whole())
        })
    }

    /// Waits until all records are scored or refused, and all findings have become alerts that were taken.
    fn drain(&mut self, reader: &Watch, records: u64) -> Result<(), Failed> {
        let began = self.now();
        let (mut last, mut moved_at) = (reader.seen(), self.now());
        loop {
            self.tend()?;
            let seen = reader.seen();
            let is_over = seen.scored + seen.refused >= records && seen.alerts >= seen.findings;
            if is_over && self.receivers.iter().all(|one| one.ids() as u64 >= seen.alerts) {
                let took = self.now() - began;
                self.say(&format!("drained in {took:?}: {seen:?}"));
                return Ok(());
            }
            if (seen.scored, seen.alerts) != (last.scored, last.alerts) {
                (last, moved_at) = (seen, self.now());
            }
            if self.now() > moved_at + STUCK {
                // The oracle says what is missing.
                let what = format!("no progress within {STUCK:?}: {seen:?} of {records} records");
                self.say(&what);
                self.fleet.tally.faults.push(what);
                return Ok(());
            }
            thread::sleep(LOOK); // poll interval
        }
    }

    /// Ends the services one after another, each once it has read all that the one before it wrote.
    fn end(&mut self, reader: &Watch) {
        let watch = self.watch;
        for role in Role::ALL {
            self.fleet.end(role, &|| watch.elapsed(), &|| thread::sleep(LOOK)); // poll interval
            let (mut last, mut moved_at) = (reader.seen(), self.now());
            while self.now() < moved_at + QUIET {
                thread::sleep(LOOK); // poll interval
                if reader.seen() != last {
                    (last, moved_at) = (reader.seen(), self.now());
                }
            }
        }
    }

    fn judge(mut self, reader: Watch, input: Input) -> Result<(String, bool), Failed> {
        self.say("the services have ended; reading what they wrote");
        let mut committed = reader.finish()?;
        watch::read_rest(&self.exchange, &self.setup.topics, &mut committed)?;
        let records = input.records.len();
        self.say("judging");
        let topics = &self.setup.topics;
        let seen_by_kcat = outsider::compare(self.broker.address(), topics, &committed)?;
        self.fleet.tally.faults.extend(seen_by_kcat);
        let (setup, broker, receivers) = (&self.setup, &self.broker, &self.receivers);
        let faults = verdict::judge(Known { setup, broker, input, committed, receivers })?;
        let tally = &self.fleet.tally;
        let all = faults.iter().map(ToString::to_string).chain(tally.faults.iter().cloned());
        fs::write(self.setup.folder.join("faults.txt"), all.collect::<Vec<_>>().join("\n"))?;
        let is_good = faults.is_empty() && tally.faults.is_empty();
        if is_good {
            self.broker.forget();
        } else {
            self.say("all faults are in faults.txt beside the logs; the broker's data are kept");
        }
        if !faults.is_empty() {
            self.say(&oracle::first(&faults));
        }
        if !tally.faults.is_empty() {
            let first: Vec<_> = tally.faults.iter().take(10).map(String::as_str).collect();
            self.say(&format!("{} process faults:\n{}", tally.faults.len(), first.join("\n")));
        }
        let of = |percent| verdict::percentile(&tally.recoveries, percent).as_millis();
        self.say(&format!(
            "{} recoveries, from a process' start to its partitions being restored and /readyz: p50 {} ms, p99 {} \
             ms, longest {} ms; {} ends were due to the broker's absence; deaths at points: {:?}; logs: {}",
            tally.recoveries.len(),
            of(50),
            of(99),
            of(100),
            tally.excused,
            tally.points,
            self.setup.logs().display()
        ));
        let summary = Summary { tally, records, counts: Counts::of(&faults) };
        Ok((summary.to_string(), is_good))
    }

    fn wait(
        &mut self,
        what: &str,
        is_so: impl Fn(&mut Self) -> Result<bool, Failed>,
    ) -> Result<(), Failed> {
        let until = self.now() + STUCK;
        while !is_so(self)? {
            if self.now() > until {
                let faults = self.fleet.tally.faults.join("\n");
                let logs = self.setup.logs().display().to_string();
                return Err(format!("not within {STUCK:?}: {what}; logs: {logs}\n{faults}").into());
            }
            self.tend()?;
            thread::sleep(LOOK); // poll interval
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    fn say(&self, what: &str) {
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(std::io::stderr(), "chaos {:7.2}: {what}", self.now().as_secs_f64());
    }
}
