//! Which misfortunes happen, in which order: all of it follows from the seed. When they happen follows from how fast
//! the load goes, which no seed decides.

use std::{str::FromStr, time::Duration};

use exchange::points::{Plan, Point};

use crate::dice::Dice;

/// One of the four services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Ingest,
    Windowing,
    Detector,
    Notification,
}

impl Role {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ingest, Self::Windowing, Self::Detector, Self::Notification];

    /// Its name, also that of its command.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Windowing => "windowing",
            Self::Detector => "detector",
            Self::Notification => "notification",
        }
    }
}

/// What happens to the processes.
#[derive(Clone, Debug)]
pub(crate) enum Misfortune {
    /// SIGKILL.
    Kill(Role),
    /// SIGKILL, and the process that is started in its place dies at a named point.
    Twice(Role, Plan),
    /// SIGKILL for all of them.
    All,
    /// SIGSTOP, and SIGCONT before any time-out.
    Freeze(Role, Duration),
    /// SIGSTOP, and SIGCONT after every time-out. If it is replaced, another process has been started under its
    /// name meanwhile, as when a machine is given up that then comes back.
    Zombie { role: Role, awakes: Duration, replaced: bool },
    /// A further detector comes, and goes by SIGTERM after this time.
    Visitor(Duration),
}

/// The session time-out is 10 s, a transaction's 8 s.
const ZOMBIE_MS: (u64, u64) = (12_000, 16_000);

/// A round of misfortunes with 20 kills in it.
pub(crate) fn round(dice: &mut Dice, number: u64) -> Vec<Misfortune> {
    let points = Point::ALL.len() as u64;
    let mut all = vec![Misfortune::All];
    for turn in 0..5 {
        let point = Point::ALL[((5 * number + turn) % points) as usize];
        let role = role_at(dice, point);
        all.push(Misfortune::Twice(role, plan(dice, point)));
        all.push(Misfortune::Kill(Role::ALL[((turn + number) % 4) as usize]));
    }
    for _ in 0..2 {
        all.push(Misfortune::Freeze(role(dice), millis(dice, 300, 5_000)));
    }
    for replaced in [false, true] {
        let awakes = millis(dice, ZOMBIE_MS.0, ZOMBIE_MS.1);
        all.push(Misfortune::Zombie { role: role(dice), awakes, replaced });
    }
    all.push(Misfortune::Visitor(millis(dice, 3_000, 9_000)));
    dice.shuffle(&mut all);
    all
}

fn role(dice: &mut Dice) -> Role {
    Role::ALL[dice.within(0, 3) as usize]
}

/// Only states that are replayed from a log have snapshots that matter.
fn role_at(dice: &mut Dice, point: Point) -> Role {
    match point {
        Point::MidSnapshot | Point::MidLoad | Point::MidReplay => {
            if dice.happens(0.5) {
                Role::Windowing
            } else {
                Role::Detector
            }
        }
        _ => role(dice),
    }
}

fn millis(dice: &mut Dice, least: u64, most: u64) -> Duration {
    Duration::from_millis(dice.within(least, most))
}

fn plan(dice: &mut Dice, point: Point) -> Plan {
    let passage = match point {
        Point::MidSnapshot => dice.within(1, 8),
        Point::MidLoad => dice.within(1, 60),
        Point::MidReplay => dice.within(1, 3),
        // The first is that of the mark that is noted before anything is applied.
        _ => dice.within(1, 60),
    };
    // Half of the deaths after the offsets fall into the commit itself.
    let within_commit = point == Point::AfterOffsets && dice.happens(0.5);
    let delay = Duration::from_micros(if within_commit { dice.within(200, 8_000) } else { 0 });
    Plan { point, passage, delay }
}

/// Kills of the broker: at which part of the load, and how long it stays away.
pub(crate) fn outages(dice: &mut Dice, kills: u64) -> Vec<(f64, Duration)> {
    let count = (kills / 50).max(1);
    let of = |number: u64| {
        let part = (number as f64 + dice.unit()) / count as f64;
        (0.15 + 0.7 * part, millis(dice, 0, 6_000))
    };
    (0..count).map(of).collect()
}

/// What a run is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) kills: u64,
    pub(crate) records: u64,
    pub(crate) seed: u64,
    /// Records a second.
    pub(crate) rate: u64,
}

impl Order {
    /// Reads `--kills N --records M --seed S --rate R`.
    pub(crate) fn read(arguments: &[String]) -> Result<Self, String> {
        let mut order = Self { kills: 20, records: 200_000, seed: 1, rate: 4_500 };
        for pair in arguments.chunks(2) {
            let wrong = || format!("{} is not understood", pair.join(" "));
            let [name, value] = pair else { return Err(wrong()) };
            let value = u64::from_str(value).map_err(|_| wrong())?;
            match name.as_str() {
                "--kills" => order.kills = value,
                "--records" => order.records = value,
                "--seed" => order.seed = value,
                "--rate" => order.rate = value.max(20),
                _ => return Err(wrong()),
            }
        }
        Ok(order)
    }
}
