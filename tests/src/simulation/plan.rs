//! What a seed stands for: settings, definitions, faults.

use std::{collections::BTreeMap, fmt};

use domain::{
    Definition, Detector, Direction, DriftPolicy, DriftTest, GapPolicy, LatePolicy, Shape, Stream,
    Threshold, Window,
};
use snapshot::SaverConfig;

use super::{
    deadly::{DEADLY, Deadly, Death},
    dice::Dice,
    luck::Rates,
};
use crate::local::Sections;

/// The services, in the order of a record's way.
pub(crate) const SERVICES: [&str; 4] = ["ingest", "windowing", "detector", "notification"];

/// The name of the second stream, and of its topic.
pub(crate) const OTHER: &str = "other";

/// So many deaths from outside, without progress, make no worker look for a row that kills it.
const DEATHS_MAX: u32 = 3;
/// Where it has to look for one, a death from outside misleads it, but only for a while.
const DEATHS_MAX_WHILE_SEARCHING: u32 = 1;

/// Everything that is drawn before a simulation begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) partitions: u32,
    pub(crate) records_partitions: u32,
    /// The most members of each service.
    pub(crate) members_max: BTreeMap<&'static str, usize>,
    pub(crate) batch_messages_max: usize,
    pub(crate) batch_bytes_max: usize,
    /// The bound of inner topics; `None`: nothing is ever forgotten.
    pub(crate) memory_bytes_max: Option<usize>,
    pub(crate) saver: Option<SaverConfig>,
    pub(crate) definitions: Vec<Definition>,
    /// Definitions are changed in mid-run.
    pub(crate) redefines: bool,
    /// Records of a series come on several partitions.
    pub(crate) scattered: bool,
    pub(crate) messages: usize,
    pub(crate) series: usize,
    pub(crate) deadly: Vec<Deadly>,
    pub(crate) rates: Rates,
    pub(crate) actions: Actions,
    /// Time between ticks, in milliseconds; 0: none.
    pub(crate) tick_ms: u64,
    /// Limits that are met: the most features, series, rows held, bytes of models.
    pub(crate) tight: bool,
}

/// How often something is done, in a thousand turns; else a member makes a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actions {
    pub(crate) publish: u32,
    pub(crate) kill: u32,
    pub(crate) rebalance: u32,
    pub(crate) damage: u32,
    pub(crate) jump: u32,
    pub(crate) redefine: u32,
    pub(crate) stall: u32,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let dice = &mut Dice::new(seed, 1);
        let calm = dice.happens(100);
        let share =
            |dice: &mut Dice, most: usize| if calm { 0 } else { dice.below(most + 1) as u32 };
        let two_streams = dice.happens(250);
        let streams = if two_streams { vec!["default", OTHER] } else { vec!["default"] };
        let tight = dice.happens(150);
        let redefines = dice.happens(300);
        // Drifts take a long series.
        let is_long = dice.happens(80);
        let memory_bytes_max = dice.happens(250).then(|| *dice.pick(&[20_000, 40_000]));
        let bounded = memory_bytes_max.is_some();
        let plan = Self {
            seed,
            partitions: dice.between(1, 4) as u32,
            records_partitions: dice.between(1, 3) as u32,
            members_max: SERVICES.map(|service| (service, dice.between(1, 3))).into(),
            batch_messages_max: *dice.pick(if bounded {
                &[1, 3, 5]
            } else {
                &[1, 3, 10, 50, 1_000]
            }),
            batch_bytes_max: *dice.pick(&[1, 1_000, 1 << 20]),
            memory_bytes_max,
            saver: (bounded || dice.happens(900)).then(|| SaverConfig {
                every_ms: *dice.pick(&[50, 500, 2_000, 60_000]),
                // All that the kept ones need must fit into a bounded log.
                input_bytes: *dice.pick(match bounded {
                    true => &[1, 300, 600],
                    false => &[1, 2_000, 3_000, 5_000, 10_000, 50_000],
                }),
                slice_bytes: *dice.pick(&[1, 1_000, 100_000]),
                kept: dice.between(1, 3),
                buffered_bytes_max: 1 << 30,
            }),
            definitions: streams.iter().flat_map(|name| define(name, dice)).collect(),
            redefines,
            scattered: dice.happens(250),
            messages: if is_long { 200 } else { dice.between(60, 160) },
            series: if is_long { 1 } else { dice.between(1, 6) },
            deadly: if dice.happens(250) { deadly(dice) } else { vec![] },
            rates: Rates {
                point: share(dice, 4),
                full: share(dice, 30),
                rewind: share(dice, 15),
                before: share(dice, 10),
                after: share(dice, 10),
                store: if dice.happens(200) { share(dice, 60) } else { 0 },
            },
            actions: Actions {
                publish: 40 + dice.below(200) as u32,
                kill: share(dice, 6),
                rebalance: share(dice, 6),
                // With what it needs forgotten, a state can't be replayed.
                damage: if dice.happens(300) && !bounded { share(dice, 20) } else { 0 },
                jump: share(dice, 10),
                redefine: if redefines { 3 + share(dice, 10) } else { 0 },
                stall: share(dice, 4),
            },
            tick_ms: *dice.pick(&[0, 50, 500, 1_000]),
            tight,
        };
        plan.of_few_deaths()
    }

    /// Where each anomaly of a series kills notification, silence must not open one after the other.
    fn of_few_deaths(mut self) -> Self {
        if self.deadly.iter().any(|deadly| deadly.service == "notification") {
            for definition in &mut self.definitions {
                if let Definition::Stream(stream) = definition {
                    (stream.no_data_after, stream.series_ttl_ms) = (0, 0);
                }
            }
        }
        self
    }

    /// How many deaths from outside each service may die before it has been idle.
    pub(crate) fn deaths_max(&self) -> BTreeMap<&'static str, u32> {
        let searches = |service: &str| {
            self.deadly.iter().any(|d| d.service == service && d.death == Death::Die)
        };
        SERVICES
            .into_iter()
            .map(|service| {
                let searches = searches(service);
                (service, if searches { DEATHS_MAX_WHILE_SEARCHING } else { DEATHS_MAX })
            })
            .collect()
    }

    /// Makes the services' sections as planned.
    pub(crate) fn set(&self, sections: &mut Sections) {
        sections.ingest.tick_ms = self.tick_ms;
        if self.tight {
            sections.windowing.features_max = 3;
            sections.windowing.series_max = 3;
            sections.windowing.held_rows_max = 2;
            sections.detector.model_bytes_max = 60_000;
        }
    }

    /// What the services must not count: the exchange gives everything once, no state is ahead of its input, and what
    /// was saved can be read back.
    pub(crate) fn forbidden(&self) -> Vec<&'static str> {
        let mut forbidden = vec![exchange::metrics::REPEATS, exchange::metrics::GAPS];
        if self.actions.damage == 0 {
            forbidden.push(snapshot::metrics::REFUSED);
        }
        if self.rates.store == 0 {
            forbidden.push(snapshot::metrics::FAILURES);
        }
        forbidden
    }

    /// Whether a run that nothing disturbs must come to the same scores, series by series.
    pub(crate) fn has_single(&self) -> bool {
        // Which series is one too many depends on which one came first.
        let bounded = |definition: &Definition| matches!(definition, Definition::Stream(stream) if stream.series_max.is_some());
        let tight = self.tight || self.definitions.iter().any(bounded);
        !self.redefines && !self.scattered && self.deadly.is_empty() && !tight
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partitions, records_partitions, messages, series, saver, deadly, .. } = self;
        write!(
            f,
            "{partitions}+{records_partitions} partitions, {messages} messages of {series} "
        )?;
        write!(f, "series, members {:?}, snapshots {saver:?}, ", self.members_max)?;
        write!(f, "{:?}, {:?}, deadly {deadly:?}, ", self.rates, self.actions)?;
        write!(f, "batches of {} messages, memory ", self.batch_messages_max)?;
        write!(f, "{:?}, tight {}", self.memory_bytes_max, self.tight)
    }
}

fn deadly(dice: &mut Dice) -> Vec<Deadly> {
    let mut all: Vec<Deadly> = (0..dice.between(1, 2)).map(|_| *dice.pick(&DEADLY)).collect();
    all.sort();
    all.dedup();
    all
}

/// A stream and its detectors.
fn define(name: &str, dice: &mut Dice) -> Vec<Definition> {
    let stream = stream(name, dice);
    let mut definitions = vec![Definition::Stream(stream.clone())];
    // Without any, the implicit one runs, whose trees are large.
    for number in 0..*dice.pick(&[0, 1, 1, 1, 1, 2, 2, 2]) {
        let detector = detector(&format!("{name}-{number}"), &stream, dice);
        definitions.push(Definition::Detector(detector));
    }
    definitions
}

/// A stream of this name, as it may come.
pub(crate) fn stream(name: &str, dice: &mut Dice) -> Stream {
    let windows = (0..*dice.pick(&[0, 0, 1, 2])).map(|number| window(number, dice)).collect();
    let tests: &[&[DriftTest]] = &[
        &[],
        &[DriftTest::Adwin],
        &[DriftTest::PageHinkley],
        &[DriftTest::Adwin, DriftTest::PageHinkley],
        &DriftTest::DEFAULT,
    ];
    let regular = dice.happens(300);
    let gaps = if regular { *dice.pick(&GAPS) } else { GapPolicy::None };
    Stream {
        name: name.into(),
        topic: if name == OTHER { OTHER.into() } else { Stream::implicit().topic },
        interval_ms: if regular { 10 } else { 0 },
        gaps,
        season_ms: 50,
        // What one record lets go must fit into the smallest log.
        gap_rows_max: *dice.pick(&[0, 2, 10]),
        no_data_after: if regular { *dice.pick(&[0, 1, 5]) } else { 0 },
        series_ttl_ms: *dice.pick(&[0, 0, 300, 3_000, 1_000_000]),
        series_max: *dice.pick(&[None, None, None, Some(2)]),
        record_ids: *dice.pick(&[0, 1, 100]),
        lateness_ms: *dice.pick(&[0, 0, 30, 200]),
        late: *dice.pick(&[None, Some(LatePolicy::Score), Some(LatePolicy::Refuse)]),
        windows,
        drift: dice.pick(tests).to_vec(),
        drift_run_length: *dice.pick(&[50_000, 1_000, 10_000]),
        ..Stream::implicit()
    }
}

const GAPS: [GapPolicy; 6] = [
    GapPolicy::None,
    GapPolicy::Previous,
    GapPolicy::Linear,
    GapPolicy::Zero,
    GapPolicy::Fixed(7.0),
    GapPolicy::Seasonal,
];

fn window(number: usize, dice: &mut Dice) -> Window {
    const ALL: &str = "last count sum mean min max std p50 delta rate distinct since_last";
    let names: Vec<&str> = ALL.split(' ').collect();
    let first = dice.below(names.len());
    let count = dice.between(1, 3);
    let features = names.iter().cycle().skip(first).take(count);
    let size = dice.between(2, 9);
    let hop_ms = *dice.pick(&[10, 25, 40]);
    let shape = match dice.below(5) {
        0 => Shape::Time { size_ms: hop_ms, hop_ms, offset_ms: 0 },
        1 => Shape::Time { size_ms: 4 * hop_ms, hop_ms, offset_ms: 7 },
        2 => Shape::Session { gap_ms: hop_ms, size_ms_max: 150 },
        3 => Shape::Count { size: size as u32, slide: size as u32 },
        _ => Shape::Count { size: size as u32, slide: dice.between(1, size) as u32 },
    };
    Window {
        name: format!("w{number}"),
        shape,
        features: features.filter_map(|name| name.parse().ok()).collect(),
    }
}

/// A detector of a stream.
pub(crate) fn detector(name: &str, stream: &Stream, dice: &mut Dice) -> Detector {
    let windows: Vec<Option<String>> =
        [None].into_iter().chain(stream.windows.iter().map(|w| Some(w.name.clone()))).collect();
    Detector {
        name: name.into(),
        window: dice.pick(&windows).clone(),
        algorithm: dice.pick(&detect::SAMPLES).clone(),
        direction: *dice.pick(&[Direction::Both, Direction::Both, Direction::Up]),
        threshold: *dice.pick(&[
            Threshold::Score(0.4),
            Threshold::Score(0.7),
            Threshold::Contamination(0.05),
            Threshold::AlertsPerWeek(10_000.0),
        ]),
        clear_after: dice.between(1, 5) as u32,
        silence_ms: *dice.pick(&[50, 1_000, 600_000]),
        warm_up: *dice.pick(&[2, 10, 30]),
        on_drift: *dice.pick(&[
            DriftPolicy::None,
            DriftPolicy::Relearn,
            DriftPolicy::Widen,
            DriftPolicy::Freeze,
        ]),
        enabled: !dice.happens(100),
        ..Detector::implicit(&stream.name)
    }
}
