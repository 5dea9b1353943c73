//! The textbook tests for change, by their papers' definitions, each on the value as it is given. In reading order:
//! [`Test`] is what all of them do; [`page_hinkley`] and [`cusum`] sum deviations up; [`adwin`], [`hddm_a`] and
//! [`hddm_w`] compare means before and after a cut; [`kswin`], [`psi`] and [`wasserstein`] compare whole distributions.
//!
//! None knows how much the rows of a series depend on each other, nor what is a wild value. Who wants a wanted rate
//! of false alarms on real series gives them values that are standardised and about independent, and sets the bound
//! as a number: each has parameters with its paper's confidence or threshold, and takes the number instead.
//!
//! A value that is missing (NaN) changes nothing; one beyond ±1e100 counts as that.

use std::fmt::Debug;

use domain::encoding::{DecodeError, ensure, take};

pub mod adwin;
mod chi_square;
pub mod cusum;
pub mod hddm_a;
pub mod hddm_w;
pub mod kswin;
pub mod page_hinkley;
pub mod psi;
pub mod wasserstein;

pub use adwin::Adwin;
pub use cusum::Cusum;
pub use hddm_a::HddmA;
pub use hddm_w::HddmW;
pub use kswin::Kswin;
pub use page_hinkley::PageHinkley;
pub use psi::Psi;
pub use wasserstein::Wasserstein;

/// Beyond this size values are taken as this size, so that sums of squares stay finite.
pub const VALUE_MAX: f64 = 1e100;

/// A test for change that takes one value a row. Rows allocate nothing; the memory is bounded by the parameters.
pub trait Test: Clone + Debug + PartialEq {
    /// What it is made with; the default is the paper's, or that of the library that it is compared with.
    type Parameters: Copy + Debug + Default + PartialEq;

    /// Its state before the first row.
    ///
    /// # Panics
    /// With parameters out of the ranges that they state.
    fn new(parameters: Self::Parameters) -> Self;

    /// Takes a value in, and tells the change that is found with it. A test does not start anew by itself: who
    /// acts on a change calls [`restart`](Self::restart), or hears of the same one again.
    fn push(&mut self, x: f64) -> Option<Change>;

    /// Forgets all rows.
    fn restart(&mut self);

    /// How much speaks for a change now, the larger the more; 0 as long as it cannot say.
    fn statistic(&self) -> f64;

    /// What the statistic must exceed (HDDM-A: reach) for a change to be told. The place of a confidence or a
    /// threshold where a wanted rate of false alarms is set.
    fn bound(&self) -> f64;

    /// Bytes of memory, itself included; the same at every row.
    fn bytes(&self) -> usize;

    /// Appends what was learned. The parameters are not among it.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes off the front of `bytes` what [`encode`](Self::encode) appended: with the same parameters it goes on
    /// with the same bits.
    ///
    /// # Errors
    /// Bytes that are no encoding of this test with these parameters.
    fn decode(parameters: Self::Parameters, bytes: &mut &[u8]) -> Result<Self, DecodeError>;
}

/// A change, as a test finds it at a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The test's statistic.
    pub statistic: f64,
    /// What it exceeded.
    pub bound: f64,
    /// Where the values went.
    pub direction: Direction,
    /// For how many rows the change has been going on, the last one included: the test's own estimate.
    pub rows: u64,
}

/// Where values went with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Values are larger, or spread wider where the test is on the spread.
    Up,
    /// Values are smaller, or spread less.
    Down,
    /// The distribution differs, and this test does not say where it went.
    Other,
}

/// Which changes are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sides {
    /// Up and down.
    #[default]
    Both,
    /// To larger values only.
    Up,
    /// To smaller values only.
    Down,
}

impl Sides {
    fn up(self) -> bool {
        self != Self::Down
    }

    fn down(self) -> bool {
        self != Self::Up
    }
}

/// Where the bound lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// As the paper has it for this chance of a false alarm, in (0, 1).
    Confidence(f64),
    /// At this value of the statistic, from 0.
    Bound(f64),
}

impl Limit {
    /// Whether its number is in its range.
    fn possible(self) -> bool {
        match self {
            Self::Confidence(chance) => 0.0 < chance && chance < 1.0,
            Self::Bound(bound) => (0.0..=f64::MAX).contains(&bound),
        }
    }
}

/// The value that counts, unless it is missing.
#[inline]
fn given(x: f64) -> Option<f64> {
    (!x.is_nan()).then(|| x.clamp(-VALUE_MAX, VALUE_MAX))
}

/// Takes a number of at most this size off the front.
fn take_within(bytes: &mut &[u8], max: f64, what: &'static str) -> Result<f64, DecodeError> {
    let x: f64 = take(bytes)?;
    ensure(x.abs() <= max, what)?;
    Ok(x)
}
