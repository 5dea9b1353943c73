//! How often tests for drift find one where there is none, and how soon they find one that is there: [`false_alarms`]
//! on series without a change, [`delays`] on series with one, of the kinds and changes of [`series`].

mod delays;
mod false_alarms;
pub mod series;

use domain::DriftTest;

pub use delays::{Delay, WITHIN, delays};
pub use false_alarms::{FalseAlarms, false_alarms};

/// The run length of the default tests: that of a stream that says nothing.
pub const RUN_LENGTH: u64 = 50_000;
/// That of one test by itself on series without a change, so that there are alarms to count.
pub const RUN_LENGTH_ALONE: u64 = 10_000;
/// A rate that is stated is kept to this share of it.
pub const RATE_TOLERANCE: f64 = 0.25;
/// What the default tests are called.
pub const DEFAULT: &str = "default";

/// Tests that are measured together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tests {
    /// Their name: [`DEFAULT`], or that of the only one.
    pub name: &'static str,
    /// Which ones.
    pub tests: Vec<DriftTest>,
}

impl Tests {
    /// The default tests, then each test alone.
    pub fn all() -> Vec<Self> {
        let alone = |test: &DriftTest| Self { name: test.name(), tests: vec![*test] };
        let default = Self { name: DEFAULT, tests: DriftTest::DEFAULT.to_vec() };
        std::iter::once(default).chain(drift::TESTS.iter().map(alone)).collect()
    }

    /// Whether they look at several values together only, so that one value has no test.
    fn needs_values(&self) -> bool {
        self.tests == [DriftTest::Mmd]
    }

    /// The run length on series without a change.
    fn run_length(&self) -> u64 {
        if self.name == DEFAULT { RUN_LENGTH } else { RUN_LENGTH_ALONE }
    }
}

/// How much is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Numbers of values of a row, and the series without a change of each kind for them.
    pub stationary: Vec<(usize, u64)>,
    /// How many wanted run lengths each of these series lasts.
    pub lengths: u64,
    /// Series for each change.
    pub changed: u64,
    /// Rows between false alarms that are asked for; none: [`RUN_LENGTH`], but [`RUN_LENGTH_ALONE`] for one test by
    /// itself on series without a change.
    pub run_length: Option<u64>,
}

impl Plan {
    /// Enough that the default tests on one value have some hundred false alarms of each kind.
    pub fn full() -> Self {
        let stationary = vec![(1, 12), (5, 10), (20, 5)];
        Self { stationary, lengths: 10, changed: 40, run_length: None }
    }

    /// Enough to see that it works.
    pub fn quick() -> Self {
        Self { stationary: vec![(1, 2), (5, 1)], lengths: 4, changed: 2, run_length: None }
    }
}

#[cfg(test)]
mod tests {
    use super::{series::KINDS, *};
    use crate::parallel::quietly;

    fn small() -> (Vec<Tests>, Plan) {
        let tests = Tests::all().into_iter().filter(|tests| tests.name == "cusum").collect();
        let run_length = Some(2_000);
        (tests, Plan { stationary: vec![(1, 3), (2, 1)], lengths: 5, changed: 3, run_length })
    }

    #[test]
    fn false_alarms_are_counted_by_seed() {
        let (tests, plan) = small();
        let all = false_alarms(&tests, &plan, &quietly);
        assert_eq!(all, false_alarms(&tests, &plan, &quietly));
        assert_eq!(all.len(), 2 * KINDS.len());
        for one in &all {
            assert_eq!(one.alarms.len(), if one.values == 1 { 3 } else { 1 });
            assert_eq!((one.run_length, one.rows), (2_000, 10_000));
            let [low, high] = one.rate_interval();
            let rate = one.rate();
            assert!(low <= rate && rate <= high && rate.is_finite(), "{one:?}");
        }
        // 15 alarms are wanted of each kind with one value.
        let alarms: u64 = all[..KINDS.len()].iter().flat_map(|one| &one.alarms).sum();
        assert!((30..120).contains(&alarms), "{alarms}");
    }

    #[test]
    fn a_step_is_found_soon_after_it_and_a_faint_one_later() {
        let (tests, plan) = small();
        let all = delays(&tests, &plan, &quietly);
        assert_eq!(all, delays(&tests, &plan, &quietly));
        let of = |change: &str| {
            let found = all.iter().find(|one| one.change == change && one.kind == "iid");
            found.expect("it was measured")
        };
        let large = of("step 2");
        assert_eq!(large.misses(), 0);
        assert!(large.delays.iter().flatten().all(|rows| (1..30).contains(rows)), "{large:?}");
        assert!(of("step .5").found().mean > large.found().mean);
    }

    #[test]
    fn a_test_of_values_together_has_none_for_one() {
        let mmd: Vec<Tests> = Tests::all().into_iter().filter(Tests::needs_values).collect();
        assert_eq!(mmd[0].name, "mmd");
        let plan = Plan { changed: 1, ..small().1 };
        assert!(false_alarms(&mmd, &plan, &quietly).iter().all(|one| one.values == 2));
        assert!(delays(&mmd, &plan, &quietly).iter().all(|one| one.values > 1));
    }
}
