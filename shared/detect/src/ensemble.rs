//! Several algorithms on the same rows. What their raw scores mean differs, so each member is judged by its
//! own past first, as if it were alone; how surprising each finds the row, in decades of chance, is what is
//! combined, and the result is calibrated once more as a whole (the combination of outlier scores after
//! normalisation: Kriegel, Kröger, Schubert & Zimek 2011, "Interpreting and unifying outlier scores").
//!
//! The mean favours rows that several find odd, the maximum those that any does, the median those that half
//! of them do; a vote is the highest surprise that members with the majority of the weight reach. Members that
//! know nothing of a row have no say. A member that is noisy by habit is so by its own past, and needs no
//! smaller weight for it.
//!
//! Stacking is the mean by weights that feedback moves ([`stack`]).
//!
//! Contributions and expected values are the members', by weight and by how surprised each is.

mod stack;

use domain::{
    Algorithm, Combine,
    encoding::{DecodeError, ensure, put, take, take_count},
};

use crate::{
    Assessment, Model, Networks,
    calibration::Prior,
    nearest::Search,
    present,
    scorer::{Levels, Row, Scorer},
    series::judge::{Judge, Odd},
};
use stack::Stack;

/// From so many decades of chance on a row is odd to a member, which then learns it as a happening.
const ODD: f64 = 4.0;
/// Levels are so many a decade, so that the usual exponential tail has the usual length.
const LEVELS: f64 = 0.5;
/// What spreads one seed to the members.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Models of one series whose surprises are combined.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    combine: Combine,
    majority: f64,
    members: Box<[Member]>,
    /// What feedback has taught, if it is to teach anything.
    stack: Option<Stack>,
    values: usize,
    rows: u64,
}

/// One model, and what is usual of it.
#[derive(Clone, Debug, PartialEq)]
struct Member {
    model: Model,
    judge: Judge,
    weight: f64,
    /// Rows in a row that were odd to it.
    run: u32,
}

impl Member {
    /// The surprise of a row and of how many levels it is the largest, 0 if nothing is known of the row.
    fn score(&self, row: Row<'_>, values: usize, out: &mut Assessment) -> (f64, f64) {
        out.prepare(values, self.judge.count());
        self.model.score(row, out);
        let judged = self.judge.judge(row.values, self.model.rows(), out);
        (judged.surprise, judged.count)
    }

    fn learn(&mut self, row: Row<'_>, (surprise, count): (f64, f64), seen: &Assessment) {
        if count > 0.0 {
            self.run = if surprise >= ODD { self.run.saturating_add(1) } else { 0 };
            let share = libm::pow(10.0, -ODD);
            let odd = Odd { surprise: ODD, share, run: self.run };
            self.judge.learn(self.model.rows(), odd, count, seen);
        }
        self.model.learn(row, seen);
    }
}

impl Scorer for Ensemble {
    const LEVELS: Levels = Levels::Row(Prior::SURPRISE);

    fn new(algorithm: &Algorithm, values: usize, seed: u64) -> Self {
        Self::sharing(algorithm, values, seed, &Networks::default())
    }

    fn sharing(algorithm: &Algorithm, values: usize, seed: u64, networks: &Networks) -> Self {
        let member = |(index, algorithm): (u64, &Algorithm)| {
            let seed = seed.wrapping_add(index.wrapping_mul(SEED_STEP));
            let model = Model::new(algorithm, values, seed, networks);
            let judge = Judge::new(model.levels(), values, ODD);
            Member { model, judge, weight: algorithm.weight(), run: 0 }
        };
        Self {
            combine: algorithm.combine,
            majority: algorithm.get("majority"),
            members: (0..).zip(&algorithm.members).map(member).collect(),
            stack: stacks(algorithm)
                .then(|| Stack::new(algorithm.members.iter().map(Algorithm::weight))),
            values,
            rows: 0,
        }
    }

    fn networks(&self, into: &mut Networks) {
        self.members.iter().for_each(|member| member.model.networks(into));
    }

    fn bytes_for(algorithm: &Algorithm, values: usize) -> usize {
        let of = |algorithm| {
            let judge = Judge::bytes_for(Model::levels_of(algorithm, values), values);
            size_of::<Member>() + Model::bytes_for(algorithm, values) + judge
        };
        let stack = if stacks(algorithm) { Stack::bytes_for(algorithm.members.len()) } else { 0 };
        algorithm.members.iter().map(of).sum::<usize>() + stack
    }

    fn score(&self, row: Row<'_>, out: &mut Assessment) {
        if out.members.len() < self.members.len() {
            out.members.resize_with(self.members.len(), Assessment::default);
        }
        out.room.resize(2 * self.members.len(), 0.0);
        let mut voices = [(0.0, 0.0); Algorithm::MEMBERS_MAX];
        let mut heard = 0;
        let each = self.members.iter().zip(&mut out.members).zip(out.room.chunks_exact_mut(2));
        for (at, ((member, said), kept)) in each.enumerate() {
            let (surprise, count) = member.score(row, self.values, said);
            (kept[0], kept[1]) = (surprise, count);
            if count > 0.0 {
                voices[heard] = (surprise, self.weight(at));
                heard += 1;
            }
        }
        if heard > 0 {
            out.raw = combined(self.combine, self.majority, &mut voices[..heard]);
            out.levels[0] = LEVELS * out.raw;
        }
        if (0..self.values).any(|value| present(row.values, value).is_some()) {
            let sum: f64 = self.members.iter().map(|member| member.weight).sum();
            let each = self.members.iter().zip(&out.members);
            out.confidence = each.map(|(m, said)| m.weight / sum * said.confidence).sum();
            out.confidence = out.confidence.min(1.0);
        }
        self.tell(out);
        out.normalise(row.values);
    }

    fn learn(&mut self, row: Row<'_>, seen: &Assessment) {
        let each = self.members.iter_mut().zip(&seen.members).zip(seen.room.chunks_exact(2));
        for ((member, said), kept) in each {
            member.learn(row, (kept[0], kept[1]), said);
        }
        self.rows += 1;
    }

    fn remembered(&self, row: Row<'_>, search: &mut Search<'_>) {
        self.members.iter().for_each(|member| member.model.remembered(row, search));
    }

    fn remember(&mut self, row: u64, seen: &Assessment) {
        let members = 2 * self.members.len();
        if let (Some(stack), Some(said)) = (&mut self.stack, seen.room.get(..members)) {
            let surprise = |kept: &[f64]| if kept[1] > 0.0 { kept[0] } else { stack::SILENT };
            stack.remember(row, said.chunks_exact(2).map(surprise));
        }
    }

    fn feedback(&mut self, row: u64, odd: bool) -> bool {
        self.stack.as_mut().is_some_and(|stack| stack.learn(row, odd))
    }

    fn inherit(&mut self, before: &mut Self) {
        std::mem::swap(&mut self.stack, &mut before.stack);
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> usize {
        let of = |member: &Member| {
            let judge = Judge::bytes_for(member.model.levels(), self.values);
            size_of::<Member>() + member.model.bytes() + judge
        };
        let stack = self.stack.as_ref().map_or(0, |_| Stack::bytes_for(self.members.len()));
        self.members.iter().map(of).sum::<usize>() + stack
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(&self.rows, out);
        for member in &self.members {
            put(&member.run, out);
            member.model.encode(out);
            member.judge.encode(out);
        }
        self.stack.iter().for_each(|stack| stack.encode(out));
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.rows = take_count(bytes, "number of rows")?;
        for member in &mut self.members {
            member.run = take(bytes)?;
            member.model.restore(bytes)?;
            ensure(member.model.rows() == self.rows, "number of rows of a member")?;
            member.judge = Judge::decode(member.model.levels(), self.values, bytes)?;
        }
        self.stack.as_mut().map_or(Ok(()), |stack| stack.decode(bytes))
    }
}

impl Ensemble {
    /// How much a member counts.
    fn weight(&self, member: usize) -> f64 {
        let given = self.members[member].weight;
        self.stack.as_ref().map_or(given, |stack| stack.weight(member))
    }

    /// Sets what is said of each value: the members' shares by weight and surprise, and their expectations
    /// and units by weight.
    fn tell(&self, out: &mut Assessment) {
        for value in 0..self.values {
            let (mut share, mut weights, mut expected, mut scale) = (0.0, 0.0, 0.0, 0.0);
            let each = out.members.iter().zip(out.room.chunks_exact(2)).take(self.members.len());
            for (at, (said, kept)) in each.enumerate() {
                let weight = self.weight(at);
                share += weight * kept[0] * said.contributions[value];
                let (middle, unit) = (said.expected[value], said.scale[value]);
                if middle.is_finite() && unit.is_finite() {
                    weights += weight;
                    expected += weight * middle;
                    scale += weight * unit;
                }
            }
            out.contributions[value] = share;
            if weights > 0.0 {
                (out.expected[value], out.scale[value]) = (expected / weights, scale / weights);
            }
        }
    }
}

/// Whether feedback moves the weights.
fn stacks(algorithm: &Algorithm) -> bool {
    algorithm.combine == Combine::Stack
}

/// What members with these surprises and weights say together; there is at least one. Sorts them.
fn combined(combine: Combine, majority: f64, voices: &mut [(f64, f64)]) -> f64 {
    let sum: f64 = voices.iter().map(|(_, weight)| weight).sum();
    // Most surprised first.
    voices.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
    match combine {
        Combine::Mean | Combine::Stack => {
            voices.iter().map(|(surprise, weight)| surprise * weight).sum::<f64>() / sum
        }
        Combine::Maximum => voices[0].0,
        Combine::Median => 0.5 * (voices[voices.len() / 2].0 + voices[(voices.len() - 1) / 2].0),
        Combine::Vote => {
            let mut votes = 0.0;
            let reached = voices.iter().find(|(_, weight)| {
                votes += weight;
                // Sums of weights such as thirds must reach their own whole.
                votes >= majority * sum * (1.0 - 1e-9)
            });
            reached.unwrap_or(&voices[voices.len() - 1]).0
        }
    }
}

/// An ensemble of each kind of combination, for tests of what all algorithms must do.
pub(crate) fn samples() -> Vec<Algorithm> {
    use domain::Kind;

    let z = Algorithm::new(Kind::RobustZ).with("window", 41.0);
    let ewma = Algorithm::new(Kind::Ewma).with("half_life", 50.0);
    let trees = Algorithm::new(Kind::HalfSpaceTrees).with("trees", 3.0).with("depth", 4.0);
    let network = Algorithm::new(Kind::Autoencoder).with("shingle", 1.0).with("hidden", 2.0);
    vec![
        Algorithm::ensemble(Combine::Mean, [z.clone(), ewma.clone()]),
        Algorithm::ensemble(Combine::Maximum, [ewma.clone()]),
        Algorithm::ensemble(Combine::Stack, [z.clone(), ewma.clone().with("weight", 3.0)]),
        Algorithm::ensemble(Combine::Median, [z.clone(), trees.with("window", 16.0), ewma]),
        Algorithm::ensemble(Combine::Vote, [z.with("weight", 2.0), network, Algorithm::default()])
            .with("majority", 0.75),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn combinations_are_what_their_names_say() {
        let of = |combine, majority, voices: &[(f64, f64)]| {
            combined(combine, majority, &mut voices.to_vec())
        };
        let voices = [(1.0, 1.0), (6.0, 2.0), (2.0, 1.0)];
        assert_eq!(of(Combine::Mean, 0.5, &voices), 3.75);
        assert_eq!(of(Combine::Maximum, 0.5, &voices), 6.0);
        assert_eq!(of(Combine::Median, 0.5, &voices), 2.0);
        assert_eq!(of(Combine::Median, 0.5, &voices[..2]), 3.5);
        for (majority, reached) in [(0.1, 6.0), (0.5, 6.0), (0.6, 2.0), (0.8, 1.0), (1.0, 1.0)] {
            assert_eq!(of(Combine::Vote, majority, &voices), reached, "{majority}");
        }
        for combine in Combine::ALL {
            assert_eq!(of(*combine, 1.0, &[(5.0, 0.1)]), 5.0);
        }
    }

    proptest! {
        /// The highest threshold at which enough weight is past it, by trying all.
        #[test]
        fn a_vote_is_a_vote_at_every_threshold(
            voices in prop::collection::vec((0.0..9.0_f64, 0.1..5.0_f64), 1..16),
            majority in 0.01..1.0_f64,
        ) {
            let sum: f64 = voices.iter().map(|voice| voice.1).sum();
            let passes = |threshold: f64| {
                let past = voices.iter().filter(|voice| voice.0 >= threshold);
                past.map(|voice| voice.1).sum::<f64>() >= majority * sum - 1e-8
            };
            let slow = voices.iter().map(|v| v.0).filter(|t| passes(*t)).fold(0.0, f64::max);
            let fast = combined(Combine::Vote, majority, &mut voices.clone());
            prop_assert!((fast - slow).abs() < 1e-12);
        }
    }

    /// A member's voice is what the algorithm would say alone at the same bar.
    #[test]
    fn one_member_alone_speaks_for_itself() {
        let z = Algorithm::new(domain::Kind::RobustZ);
        let mut ensemble = Ensemble::new(&Algorithm::ensemble(Combine::Mean, [z.clone()]), 1, 3);
        let mut detector = domain::Detector::implicit("s");
        detector.algorithm = z;
        detector.threshold = domain::Threshold::Score(crate::calibration::score_of(ODD));
        let mut alone = crate::SeriesModel::new(&detector, 1, 3);
        let (mut out, mut other) = (Assessment::default(), Assessment::default());
        for at in 0..3000_u64 {
            let value = (at * 7919 % 1009) as f64 + if at % 500 == 499 { 1e5 } else { 0.0 };
            let row = Row { values: &[value], at: 0 };
            out.prepare(1, 1);
            ensemble.score(row, &mut out);
            ensemble.learn(row, &out);
            let verdict = alone.assess(row, true, 0, &mut other);
            let surprise = crate::calibration::surprise_of(verdict.score);
            // An open incident counts its last rows as part of a happening; a member has none.
            assert!((out.raw - surprise).abs() < 0.05 + 0.05 * surprise, "{at}: {out:?}");
            assert_eq!(
                out.expected.first().map(|x| x.to_bits()),
                other.expected.first().map(|x| x.to_bits())
            );
        }
    }
}
