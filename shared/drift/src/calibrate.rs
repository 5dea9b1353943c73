//! Where the numbers of `bounds` come from: each statistic on independent standard normal scores, started anew at
//! each alarm, with the bound that gives a wanted number of rows between alarms. No service uses this.

use domain::DriftTest;

use crate::{
    Mark,
    bounds::Statistic,
    charts::{Charts, Watched},
    dice::Dice,
    joint::Joint,
    normal,
    suite::Lone,
};

/// Searches; each brings the run length nearer to the one that is wanted.
const SEARCHES: usize = 4;
/// Values of which the joint test is told.
const VALUES: usize = 4;
/// The share of missing values.
const MISSING: f64 = 0.1;

/// What each statistic is called, with those of [`DriftTest::Cusum`] one by one.
pub fn names() -> impl Iterator<Item = String> {
    Statistic::ALL.iter().map(|statistic| format!("{statistic:?}"))
}

/// The bound of a statistic, by its place in [`names`], for this run length, from about so many `alarms` in each
/// search; none if there is no such statistic.
pub fn bound(statistic: usize, run_length: f64, alarms: f64, seed: u64) -> Option<f64> {
    let statistic = *Statistic::ALL.get(statistic)?;
    let rows = (run_length * alarms) as u64;
    let mut bound = statistic.bound(run_length);
    let mut last: Option<(f64, f64)> = None;
    for _ in 0..SEARCHES {
        let found = run(statistic, bound, rows, seed).max(0.5);
        let nats = libm::log(rows as f64 / found / run_length);
        // The logarithm of a run length is about linear in the bound.
        let slope = match last {
            Some((before, then)) if (nats - then).abs() > 0.02 => (bound - before) / (nats - then),
            _ => (statistic.bound(1e5) - statistic.bound(1e4)) / std::f64::consts::LN_10,
        };
        last = Some((bound, nats));
        let step = (-nats * slope.abs()).clamp(-0.3 * bound, 0.3 * bound);
        bound += step;
    }
    Some(bound)
}

/// How many alarms there are in so many rows.
fn run(statistic: Statistic, bound: f64, rows: u64, seed: u64) -> f64 {
    let mut dice = Dice::new(seed);
    let mut alarms = 0.0;
    let mut subject = Subject::new(statistic, bound);
    for _ in 0..rows {
        if subject.alarms(&mut dice) {
            alarms += 1.0;
            subject.restart();
        }
    }
    alarms
}

/// A statistic that is being run.
enum Subject {
    Chart(Charts, Watched, f64),
    Alone(Lone),
    Joint(Box<Joint>, f64),
}

impl Subject {
    fn new(statistic: Statistic, bound: f64) -> Self {
        let chart = |watched| Self::Chart(Charts::new(1e5), watched, bound);
        match statistic {
            Statistic::Level => chart(Watched::Level),
            Statistic::Spread => chart(Watched::Spread),
            Statistic::Missing => chart(Watched::Missing),
            Statistic::Joint => Self::Joint(Box::new(Joint::new(VALUES, 1e5)), bound),
            _ => Self::Alone(Lone::new(test(statistic), bound)),
        }
    }

    fn alarms(&mut self, dice: &mut Dice) -> bool {
        let now = Mark::default();
        match self {
            Self::Chart(charts, Watched::Missing, bound) => {
                let is_missing = dice.uniform() < MISSING;
                charts.push_missing(is_missing, now, dice);
                charts.evidence(Watched::Missing).statistic > *bound
            }
            Self::Chart(charts, watched, bound) => {
                let score = normal::quantile(dice.uniform());
                charts.push(score, score, now);
                charts.evidence(*watched).statistic > *bound
            }
            Self::Alone(lone) => lone.push(normal::quantile(dice.uniform())),
            Self::Joint(joint, bound) => {
                let scores: [f64; VALUES] =
                    std::array::from_fn(|_| normal::quantile(dice.uniform()));
                joint.push(&scores, now, dice);
                joint.evidence().statistic > *bound
            }
        }
    }

    fn restart(&mut self) {
        match self {
            Self::Chart(charts, watched, _) => charts.restart(*watched == Watched::Missing),
            Self::Alone(lone) => lone.restart(),
            Self::Joint(joint, _) => joint.restart(),
        }
    }
}

/// The test that has this statistic.
fn test(statistic: Statistic) -> DriftTest {
    let of = |test: &&DriftTest| Statistic::of(**test) == Some(statistic);
    crate::TESTS.iter().find(of).copied().unwrap_or(DriftTest::Cusum)
}
