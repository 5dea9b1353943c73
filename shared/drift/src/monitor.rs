//! All tests on all values of one series: one finding for one change.

use domain::{
    DriftKind, DriftTest, Micros, Summary,
    encoding::{DecodeError, ensure, ensure_same, put, take},
};
use serde::{Deserialize, Serialize};

use crate::{
    STATE_VERSION,
    bounds::Statistic,
    charts::Evidence,
    dice::Dice,
    joint::Joint,
    watch::{CHANGED, Said, Strongest, Watch},
};

/// Makes [`TESTS`] of a `match` over all tests, so that one that is missing does not compile.
macro_rules! tests {
    ($($test:path),+ $(,)?) => {
        /// All tests there are. What must hold for every test is tested over these.
        pub const TESTS: &[DriftTest] = &[$($test),+];

        const _: fn(DriftTest) = |test| match test {
            $($test => {})+
        };
    };
}

tests!(
    DriftTest::Adwin,
    DriftTest::PageHinkley,
    DriftTest::Cusum,
    DriftTest::Kswin,
    DriftTest::HddmA,
    DriftTest::HddmW,
    DriftTest::Psi,
    DriftTest::Wasserstein,
    DriftTest::Mmd,
);

/// The seed of what orders ties.
const SEED: u64 = 0x7469_6573_0000_0001;

/// A row's place: its number within the series, and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its number; rows come in ascending order.
    pub row: u64,
    /// Its event time.
    pub at: Micros,
}

/// A drift, as found at one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What changed.
    pub kind: DriftKind,
    /// Indexes of the values that changed, most first; never empty.
    pub values: Vec<usize>,
    /// The test that found it.
    pub test: DriftTest,
    /// The test's statistic, in its own unit.
    pub statistic: f64,
    /// What it had to exceed.
    pub bound: f64,
    /// The chance of such a statistic without a change in as many rows as were watched, over all values and tests.
    pub p_value: f64,
    /// When it began, as far as can be told.
    pub began: Mark,
    /// The first of the values before the change.
    pub before: Summary,
    /// And since, of which the last 64 rows are told.
    pub after: Summary,
}

/// Watches the values of one series for drift.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    tests: Box<[DriftTest]>,
    run_length: u64,
    watches: Box<[Watch]>,
    joint: Option<Box<Joint>>,
    dice: Dice,
    /// The scores of a row, for the joint test.
    scores: Box<[f64]>,
    /// The first row since the last drift.
    since: Option<Mark>,
}

impl Monitor {
    /// For rows of so many `values`, with so many rows between false alarms (1,000 to 10,000,000), over all values
    /// and tests.
    pub fn new(tests: &[DriftTest], run_length: u64, values: usize) -> Self {
        let tests: Box<[DriftTest]> =
            TESTS.iter().copied().filter(|test| tests.contains(test)).collect();
        let each = run_length as f64 * family(&tests, values);
        let wants_joint = tests.contains(&DriftTest::Mmd) && values > 1;
        let watched = if tests.is_empty() { 0 } else { values };
        Self {
            watches: (0..watched).map(|_| Watch::new(&tests, each)).collect(),
            joint: wants_joint.then(|| Box::new(Joint::new(values, each))),
            dice: Dice::new(SEED),
            scores: vec![0.0; watched].into(),
            since: None,
            tests,
            run_length,
        }
    }

    /// Takes the next row in and tells the drift found at it, if any; NaN: a value is missing. All tests of all
    /// values start anew then, so one change is told once.
    pub fn push(&mut self, row: &[f64], now: Mark) -> Option<Found> {
        self.since.get_or_insert(now);
        let mut learns = false;
        let values = row.iter().chain(std::iter::repeat(&f64::NAN));
        for ((watch, score), &x) in self.watches.iter_mut().zip(&mut self.scores).zip(values) {
            let said = watch.push(x, now, &mut self.dice);
            learns |= said == Said::Learned;
            *score = if let Said::Score(score) = said { score } else { 0.0 };
        }
        if let Some(joint) = self.joint.as_mut().filter(|_| !learns) {
            joint.push(&self.scores, now, &mut self.dice);
        }
        let found = self.find(now)?;
        for (value, watch) in self.watches.iter_mut().enumerate() {
            let kind = if found.values.contains(&value) { found.kind } else { DriftKind::Level };
            watch.restart(kind, now.row.saturating_sub(found.began.row));
        }
        self.joint.iter_mut().for_each(|joint| joint.restart());
        self.since = None;
        Some(found)
    }

    fn find(&self, now: Mark) -> Option<Found> {
        let strongest = |watch: &Watch| watch.strongest(&self.tests, now);
        let alone = self.watches.iter().enumerate().filter_map(|(at, w)| Some((at, strongest(w)?)));
        let alone = alone
            .filter(|(_, found)| found.evidence.strength() > 1.0)
            .max_by(|a, b| a.1.evidence.strength().total_cmp(&b.1.evidence.strength()));
        let joint = || {
            let evidence = self.joint.as_ref()?.evidence();
            let run_length = Statistic::Joint.run_length(evidence.statistic);
            let strongest = Strongest { test: DriftTest::Mmd, evidence, run_length };
            (evidence.strength() > 1.0).then_some(strongest)
        };
        let (first, Strongest { test, evidence, run_length }) = match alone {
            Some((value, strongest)) => (Some(value), strongest),
            None => (None, joint()?),
        };
        let Evidence { statistic, bound, since } = evidence;
        let values = self.changed(first);
        let leading = &self.watches[values[0]];
        let by_itself = first.is_some() || leading.strength() >= CHANGED;
        // What a value tells by itself is exact; all together know it to a window.
        let began = if first.is_none() && by_itself { leading.began() } else { since };
        let rows = now.row.saturating_sub(began.row) + 1;
        let kind = if by_itself { leading.kind(test, rows) } else { DriftKind::Multivariate };
        let [before, after] = leading.around(rows);
        let watched = self.since.map_or(0, |since| now.row.saturating_sub(since.row)) + 1;
        let expected = watched as f64 * family(&self.tests, self.watches.len()) / run_length;
        let p_value = -libm::expm1(-expected);
        Some(Found { kind, values, test, statistic, bound, p_value, began, before, after })
    }

    /// The values that changed, most first: the one that was found, and those that by themselves show it half as
    /// clearly as they would have to; if there is none, all.
    fn changed(&self, first: Option<usize>) -> Vec<usize> {
        let strength = |value: &usize| self.watches[*value].strength();
        let all = 0..self.watches.len();
        let mut values: Vec<usize> =
            all.clone().filter(|at| Some(*at) == first || strength(at) >= CHANGED).collect();
        if values.is_empty() {
            return all.collect();
        }
        values.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
        if let Some(at) = values.iter().position(|value| Some(*value) == first) {
            values[..=at].rotate_right(1);
        }
        values
    }

    /// Appends all that it knows, for [`decode`](Self::decode); its version is [`STATE_VERSION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(&(&self.tests, self.watches.len(), self.run_length), out);
        self.dice.encode(out);
        put(&self.since, out);
        self.watches.iter().for_each(|watch| watch.encode(out));
        self.joint.iter().for_each(|joint| joint.encode(out));
    }

    /// Takes an encoding of this version off the front of `bytes`: the monitor that was encoded, which goes on with
    /// the same findings, bit for bit. Its run length is in the encoding; `tests` and `values` say what to expect.
    ///
    /// # Errors
    /// A version that is not read here, other tests or another number of values, or bytes that are no encoding.
    pub fn decode(
        tests: &[DriftTest],
        values: usize,
        version: u32,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        if version != STATE_VERSION {
            let (found, newest) = (version, STATE_VERSION);
            return Err(DecodeError::Version { found, oldest: newest, newest });
        }
        let expected = Self::new(tests, RUN_LENGTHS.0, if tests.is_empty() { 0 } else { values });
        ensure_same("a monitor with tests", &take(bytes)?, &expected.tests)?;
        ensure_same("a monitor of values:", &take(bytes)?, &expected.watches.len())?;
        let run_length = take(bytes)?;
        ensure((RUN_LENGTHS.0..=RUN_LENGTHS.1).contains(&run_length), "run length")?;
        let mut monitor = Self::new(tests, run_length, values);
        monitor.dice = Dice::decode(SEED, bytes)?;
        monitor.since = take(bytes)?;
        monitor.watches.iter_mut().try_for_each(|watch| watch.decode(bytes))?;
        monitor.joint.iter_mut().try_for_each(|joint| joint.decode(bytes))?;
        Ok(monitor)
    }

    /// Bytes it takes, the heap included; constant over its life.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.tests)
            + size_of_val(&*self.scores)
            + self.watches.iter().map(Watch::bytes).sum::<usize>()
            + self.joint.as_ref().map_or(0, |joint| joint.bytes())
    }
}

/// Run lengths that can be asked for.
const RUN_LENGTHS: (u64, u64) = (1_000, 10_000_000);

/// How many tests share the false alarms: one for each value, and the joint test. Tests on the same value count as
/// if they never found the same.
fn family(tests: &[DriftTest], values: usize) -> f64 {
    let is_joint = |test: &&DriftTest| **test == DriftTest::Mmd;
    let joint = if values > 1 { tests.iter().filter(is_joint).count() } else { 0 };
    let alone = tests.len() - tests.iter().filter(is_joint).count();
    (alone * values + joint).max(1) as f64
}
