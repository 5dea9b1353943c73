//! One value under watch. What its season and the rows before let expect is taken off; what is left is ranked among
//! all that was left since the last change; the rank is made a standard normal score. The scores of a series without
//! a change are about independent and standard normal whatever the series is like, so a test's bound holds for all.

use domain::{
    DriftKind, DriftTest,
    encoding::{DecodeError, ensure, put, take},
};

use crate::{
    Mark, VALUE_MAX,
    charts::{Charts, Evidence, Watched},
    dependence::Dependence,
    dice::Dice,
    history::History,
    normal,
    ranks::Ranks,
    season::Season,
    suite::Suite,
};

/// Rows that are only learned at first and after a change, at least and at most.
const PAUSE: (u32, u32) = (64, 2048);
/// A pause in which the level moves on is taken again, so often at most: a ramp is one change.
const PAUSES_MAX: u8 = 8;
/// The level moves if the halves of a pause differ by so many standard errors.
const MOVES: f64 = 2.5;
/// How much the doubt about a dependence counts: a level's sums are exponentially sensitive to it, about with twice
/// their bound of 12 nats.
const DOUBT: f64 = 24.0;
/// What is left counts as nothing if it is less than this share of the level: rounding is no change.
const ROUNDING: f64 = 1e-9;
/// Evidence of this strength makes a value one of those that changed.
pub(crate) const CHANGED: f64 = 0.5;
/// A season explains a change if it explains more than a level does by this factor.
const EXPLAINS: f64 = 1.1;
/// And at least this share of all there is: a season that is given up is not known again for some thousand rows.
const EXPLAINED_MIN: f64 = 0.5;

/// What is known of one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Watch {
    dependence: Dependence,
    season: Season,
    ranks: Ranks,
    history: History,
    charts: Charts,
    suite: Suite,
    /// What is left is of values less this, in this unit; fixed as long as it is ranked.
    anchor: f64,
    unit: f64,
    pause: Pause,
    /// Since when values are ranked.
    since: Mark,
}

/// Rows that are learned and not tested.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pause {
    rows: u32,
    left: u32,
    turns: u8,
    /// Sums of the two halves.
    sums: [f64; 2],
    /// By how much means scattered more before the change than those of independent rows; 0: nothing is known.
    gain: f64,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Said {
    /// Its value is missing.
    Missing,
    /// Nothing yet.
    Learned,
    /// A standard normal score, if nothing changed.
    Score(f64),
}

/// The strongest evidence of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Strongest {
    pub(crate) test: DriftTest,
    pub(crate) evidence: Evidence,
    /// How many rows between alarms such a statistic has.
    pub(crate) run_length: f64,
}

impl Pause {
    const FIRST: Self = Self { rows: PAUSE.0, left: PAUSE.0, turns: 0, sums: [0.0; 2], gain: 0.0 };

    /// Whether the level moved during it.
    fn moved(&self, unit: f64) -> bool {
        let half = 0.5 * f64::from(self.rows);
        let difference = (self.sums[1] - self.sums[0]) / half;
        let error = unit * self.gain * (2.0 / half).sqrt();
        self.gain > 0.0 && self.turns < PAUSES_MAX && difference.abs() > MOVES * error
    }
}

impl Watch {
    /// With these tests and so many rows between false alarms of each.
    pub(crate) fn new(tests: &[DriftTest], run_length: f64) -> Self {
        Self {
            dependence: Dependence::default(),
            season: Season::default(),
            ranks: Ranks::default(),
            history: History::default(),
            charts: Charts::new(run_length),
            suite: Suite::new(tests, run_length),
            anchor: 0.0,
            unit: 1.0,
            pause: Pause::FIRST,
            since: Mark::default(),
        }
    }

    /// Takes the value of a row in; NaN: it is missing.
    pub(crate) fn push(&mut self, value: f64, now: Mark, dice: &mut Dice) -> Said {
        let is_missing = !value.is_finite();
        self.charts.push_missing(is_missing, now, dice);
        if is_missing {
            self.season.learn(None, None);
            return Said::Missing;
        }
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        self.history.learn(value);
        if self.dependence.is_fit() {
            self.season.begin(self.dependence.mean(), self.dependence.spread());
        }
        let rest = (value - self.season.expected()).clamp(-VALUE_MAX, VALUE_MAX);
        let doubt = DOUBT * self.dependence.doubt() + self.season.doubt();
        let level = self.dependence.is_fit().then(|| self.dependence.mean());
        if self.season.learn(Some(value), level) {
            // From here on values are without their season, which is another series.
            self.begin(Pause::FIRST);
            return Said::Learned;
        }
        if self.pause.left > 0 {
            self.learn_only(rest, now);
            return Said::Learned;
        }
        let left = rest - self.dependence.expected(self.anchor);
        self.dependence.learn(rest);
        let left = if left.abs() <= ROUNDING * self.anchor.abs() { 0.0 } else { left / self.unit };
        let left = left.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32;
        let score = normal::quantile(self.ranks.place(left, dice.uniform()));
        self.ranks.learn(left);
        let level = score / (1.0 + doubt).sqrt();
        self.charts.push(level, score, now);
        self.suite.push(level);
        Said::Score(score)
    }

    fn learn_only(&mut self, rest: f64, now: Mark) {
        self.dependence.learn(rest);
        let second = usize::from(self.pause.left <= self.pause.rows / 2);
        self.pause.sums[second] += rest / VALUE_MAX;
        self.pause.left -= 1;
        if self.pause.left > 0 {
            return;
        }
        if self.pause.moved(self.dependence.unit() / VALUE_MAX) {
            let Pause { rows, turns, gain, .. } = self.pause;
            self.begin(Pause { rows, left: rows, turns: turns + 1, sums: [0.0; 2], gain });
            return;
        }
        self.anchor = self.dependence.mean();
        let unit = self.dependence.spread();
        let least = (ROUNDING * self.anchor.abs()).max(f64::MIN_POSITIVE);
        self.unit = if unit > 0.0 { unit } else { least };
        self.since = now;
    }

    /// Learns anew what is usual, and first only learns.
    fn begin(&mut self, pause: Pause) {
        self.dependence = Dependence::default();
        self.ranks = Ranks::default();
        self.charts.restart(false);
        self.suite.restart();
        self.pause = pause;
    }

    /// The strongest evidence of the tests that are wanted.
    pub(crate) fn strongest(&self, tests: &[DriftTest], now: Mark) -> Option<Strongest> {
        let charts = tests.contains(&DriftTest::Cusum).then(|| self.charts.strongest());
        let charts = charts.into_iter().flatten();
        let suite = self.suite.evidence().map(|(test, statistic, bound, rows, run_length)| {
            let evidence = Evidence { statistic, bound, since: self.ago(rows, now) };
            Strongest { test, evidence, run_length }
        });
        let all = charts.chain(suite);
        all.max_by(|a, b| a.evidence.strength().total_cmp(&b.evidence.strength()))
    }

    /// How much its sums speak for a change, from 0; 1 is an alarm.
    pub(crate) fn strength(&self) -> f64 {
        self.charts.strongest().map_or(0.0, |strongest| strongest.evidence.strength())
    }

    /// When what its sums show began.
    pub(crate) fn began(&self) -> Mark {
        self.charts.strongest().map_or(self.since, |strongest| strongest.evidence.since)
    }

    /// The row so many rows before, with its time by the spacing of rows.
    fn ago(&self, rows: u64, now: Mark) -> Mark {
        let between = now.row.saturating_sub(self.since.row).max(1) as f64;
        let time = now.at.saturating_sub(self.since.at) as f64 / between * rows as f64;
        Mark { row: now.row.saturating_sub(rows), at: now.at.saturating_sub(time as i64) }
    }

    /// What changed, by a change that began so many rows ago.
    pub(crate) fn kind(&self, test: DriftTest, rows: u64) -> DriftKind {
        let [level, spread, missing] = [Watched::Level, Watched::Spread, Watched::Missing]
            .map(|watched| self.charts.evidence(watched).strength());
        if missing > level.max(spread) && missing >= CHANGED {
            return DriftKind::Missingness;
        }
        if self.is_seasonal(rows) {
            return DriftKind::Seasonality;
        }
        let of_means =
            [DriftTest::Adwin, DriftTest::PageHinkley, DriftTest::HddmA, DriftTest::HddmW];
        if level >= spread && (level >= CHANGED || of_means.contains(&test)) {
            DriftKind::Level
        } else if spread >= CHANGED {
            DriftKind::Variance
        } else {
            DriftKind::Distribution
        }
    }

    /// Whether a season that changed its height or phase explains the last rows better than another level.
    fn is_seasonal(&self, rows: u64) -> bool {
        let (mut count, mut sum, mut total) = (0.0, 0.0, 0.0);
        let (mut products, mut squares) = ([0.0; 2], [0.0; 2]);
        for (ago, value) in (1..).zip(self.history.recent(rows.max(8))) {
            let Some(added) = self.season.added(ago) else { return false };
            let off = value - added[0] - self.anchor;
            count += 1.0;
            sum += off;
            total += off * off;
            for side in 0..2 {
                products[side] += off * added[side];
                squares[side] += added[side] * added[side];
            }
        }
        let explained = |side: usize| {
            if squares[side] > 0.0 { products[side] * products[side] / squares[side] } else { 0.0 }
        };
        let most = explained(0).max(explained(1));
        most > EXPLAINS * sum * sum / f64::max(count, 1.0) && most > EXPLAINED_MIN * total
    }

    /// The values before the last so many rows, and since.
    pub(crate) fn around(&self, rows: u64) -> [domain::Summary; 2] {
        self.history.around(rows)
    }

    /// Starts anew after a change of this kind that was found after so many rows.
    pub(crate) fn restart(&mut self, kind: DriftKind, rows: u64) {
        if kind == DriftKind::Seasonality {
            self.season.restart();
        }
        let gain = if self.pause.left > 0 { 0.0 } else { self.dependence.gain() };
        // Twice as long as it took to be found, so that a ramp as slow shows.
        let rows = (2 * rows.min(u64::from(PAUSE.1)) as u32).clamp(PAUSE.0, PAUSE.1);
        self.begin(Pause { rows, left: rows, turns: 0, sums: [0.0; 2], gain });
        self.charts.restart(kind == DriftKind::Missingness);
        self.history = History::default();
    }

    /// Bytes it takes, the heap included.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + Season::bytes() + self.suite.bytes()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.dependence.encode(out);
        self.season.encode(out);
        self.ranks.encode(out);
        self.history.encode(out);
        self.charts.encode(out);
        self.suite.encode(out);
        let Pause { rows, left, turns, sums, gain } = self.pause;
        put(&(self.anchor, self.unit, rows, left, turns, sums, gain, self.since), out);
    }

    /// Takes what [`encode`](Self::encode) appended into one with the same tests and run length.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.dependence = Dependence::decode(bytes)?;
        self.season = Season::decode(bytes)?;
        self.ranks = Ranks::decode(bytes)?;
        self.history = History::decode(bytes)?;
        self.charts.decode(bytes)?;
        self.suite.decode(bytes)?;
        let (rows, left, turns, sums, gain);
        (self.anchor, self.unit, rows, left, turns, sums, gain, self.since) = take(bytes)?;
        self.pause = Pause { rows, left, turns, sums, gain };
        let unit = 0.0 < self.unit && self.unit < f64::INFINITY;
        ensure(self.anchor.abs() <= 2.0 * VALUE_MAX && unit, "unit")?;
        let possible = left <= rows && (PAUSE.0..=PAUSE.1).contains(&rows);
        ensure(possible && sums.iter().all(|sum| sum.is_finite()), "pause")?;
        ensure((0.0..=1e3).contains(&gain), "gain of a dependence")
    }
}
