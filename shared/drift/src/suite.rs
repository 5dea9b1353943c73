//! The textbook tests that a definition asks for, on the scores of one value, each with the bound that gives it the
//! wanted run length.

use domain::{DriftTest, encoding::DecodeError};

use crate::{
    bounds::Statistic,
    textbook::{
        Adwin, Change, HddmA, HddmW, Kswin, Limit, PageHinkley, Psi, Sides, Test, Wasserstein,
        adwin, hddm_a, hddm_w, kswin, page_hinkley, psi, wasserstein,
    },
};

/// A test of the suite.
#[derive(Clone, Debug, PartialEq)]
enum Member {
    Adwin(Adwin),
    PageHinkley(PageHinkley),
    Kswin(Kswin),
    HddmA(HddmA),
    HddmW(HddmW),
    Psi(Psi),
    Wasserstein(Wasserstein),
}

/// Does the same with any member.
macro_rules! each {
    ($member:expr, $test:ident => $do:expr) => {
        match $member {
            Member::Adwin($test) => $do,
            Member::PageHinkley($test) => $do,
            Member::Kswin($test) => $do,
            Member::HddmA($test) => $do,
            Member::HddmW($test) => $do,
            Member::Psi($test) => $do,
            Member::Wasserstein($test) => $do,
        }
    };
}

/// A test by itself, to be calibrated.
pub(crate) struct Lone(Option<Member>);

impl Lone {
    pub(crate) fn new(name: DriftTest, bound: f64) -> Self {
        Self(Member::with_bound(name, bound))
    }

    /// Whether it finds a change at this score.
    pub(crate) fn push(&mut self, score: f64) -> bool {
        self.0.as_mut().is_some_and(|member| member.push(score).is_some())
    }

    pub(crate) fn restart(&mut self) {
        self.0.iter_mut().for_each(|member| each!(member, test => test.restart()));
    }
}

/// The tests of one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suite {
    members: Box<[Entry]>,
    run_length: f64,
}

/// A test, and the change that it found at the last row.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    name: DriftTest,
    member: Member,
    change: Option<Change>,
}

impl Suite {
    /// Those of the tests that are run on one value, with so many rows between false alarms of each.
    pub(crate) fn new(tests: &[DriftTest], run_length: f64) -> Self {
        let entry = |name: &DriftTest| {
            let member = Member::new(*name, run_length)?;
            Some(Entry { name: *name, member, change: None })
        };
        Self { members: tests.iter().filter_map(entry).collect(), run_length }
    }

    /// Takes a score in.
    pub(crate) fn push(&mut self, score: f64) {
        for Entry { member, change, .. } in &mut self.members {
            *change = member.push(score);
        }
    }

    /// What was found at the last row: the test, its statistic and bound, since how many rows, and how many rows
    /// there are between alarms with such a statistic.
    pub(crate) fn evidence(&self) -> impl Iterator<Item = (DriftTest, f64, f64, u64, f64)> {
        self.members.iter().filter_map(|Entry { name, change, .. }| {
            let Change { statistic, bound, rows, .. } = (*change)?;
            let of = Statistic::of(*name)?;
            Some((*name, statistic, bound, rows, of.run_length(statistic).max(self.run_length)))
        })
    }

    /// Forgets all rows.
    pub(crate) fn restart(&mut self) {
        for Entry { member, change, .. } in &mut self.members {
            each!(member, test => test.restart());
            *change = None;
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let heap = |member: &Member| each!(member, test => test.bytes() - size_of_val(test));
        size_of_val(&*self.members) + self.members.iter().map(|e| heap(&e.member)).sum::<usize>()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.members.iter().for_each(|entry| each!(&entry.member, test => test.encode(out)));
    }

    /// Takes what [`encode`](Self::encode) appended into one of the same tests.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        for Entry { name, member, .. } in &mut self.members {
            let bound = Statistic::of(*name).map_or(0.0, |s| s.bound(self.run_length));
            match member {
                Member::Adwin(test) => *test = Adwin::decode(adwin(bound), bytes)?,
                Member::PageHinkley(test) => {
                    *test = PageHinkley::decode(page_hinkley(bound), bytes)?;
                }
                Member::Kswin(test) => *test = Kswin::decode(kswin(bound), bytes)?,
                Member::HddmA(test) => *test = HddmA::decode(hddm_a(bound), bytes)?,
                Member::HddmW(test) => *test = HddmW::decode(hddm_w(bound), bytes)?,
                Member::Psi(test) => *test = Psi::decode(psi(bound), bytes)?,
                Member::Wasserstein(test) => {
                    *test = Wasserstein::decode(wasserstein(bound), bytes)?;
                }
            }
        }
        Ok(())
    }
}

impl Member {
    /// With so many rows between false alarms; none for tests that are not run on one value, and for CUSUM, which
    /// is always there.
    fn new(name: DriftTest, run_length: f64) -> Option<Self> {
        let bound = Statistic::of(name)?.bound(run_length);
        Self::with_bound(name, bound)
    }

    fn push(&mut self, score: f64) -> Option<Change> {
        match self {
            // These two want numbers in [0, 1].
            Self::HddmA(test) => test.push(chance(score)),
            Self::HddmW(test) => test.push(chance(score)),
            _ => each!(self, test => test.push(score)),
        }
    }

    fn with_bound(name: DriftTest, bound: f64) -> Option<Self> {
        Some(match name {
            DriftTest::Adwin => Self::Adwin(Adwin::new(adwin(bound))),
            DriftTest::PageHinkley => Self::PageHinkley(PageHinkley::new(page_hinkley(bound))),
            DriftTest::Kswin => Self::Kswin(Kswin::new(kswin(bound))),
            DriftTest::HddmA => Self::HddmA(HddmA::new(hddm_a(bound))),
            DriftTest::HddmW => Self::HddmW(HddmW::new(hddm_w(bound))),
            DriftTest::Psi => Self::Psi(Psi::new(psi(bound))),
            DriftTest::Wasserstein => Self::Wasserstein(Wasserstein::new(wasserstein(bound))),
            DriftTest::Cusum | DriftTest::Mmd => return None,
        })
    }
}

/// The distribution function of a normal score.
fn chance(score: f64) -> f64 {
    0.5 * libm::erfc(-score * std::f64::consts::FRAC_1_SQRT_2)
}

fn adwin(bound: f64) -> adwin::Parameters {
    adwin::Parameters { limit: Limit::Bound(bound), sizes: 14, ..Default::default() }
}

fn page_hinkley(threshold: f64) -> page_hinkley::Parameters {
    // For steps of half a deviation, without forgetting.
    let (delta, alpha, sides) = (0.25, 1.0, Sides::Both);
    page_hinkley::Parameters { rows_min: 30, delta, threshold, alpha, sides }
}

fn kswin(bound: f64) -> kswin::Parameters {
    kswin::Parameters { limit: Limit::Bound(bound), window: 300, recent: 60 }
}

fn hddm_a(bound: f64) -> hddm_a::Parameters {
    let limit = Limit::Bound(bound);
    hddm_a::Parameters { limit, warning: limit, sides: Sides::Both }
}

fn hddm_w(bound: f64) -> hddm_w::Parameters {
    let limit = Limit::Bound(bound);
    hddm_w::Parameters { limit, warning: limit, lambda: 0.05, sides: Sides::Both }
}

fn psi(bound: f64) -> psi::Parameters {
    psi::Parameters { limit: Limit::Bound(bound), bins: 10, reference: 1000, window: 100 }
}

fn wasserstein(bound: f64) -> wasserstein::Parameters {
    wasserstein::Parameters { bound, window: 64, times: 8 }
}
