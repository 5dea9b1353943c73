//! What a statistic must exceed for a wanted number of rows between false alarms. The numbers are from a simulation
//! of each statistic on independent standard normal scores, which is what a series is turned into
//! (`cargo run --release -p oddwatch-drift --example bounds`).

use domain::DriftTest;

/// The power of ten of the first run length of [`Statistic::table`].
const FROM: f64 = 3.0;

/// A statistic with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistic {
    /// The largest sum of the level.
    Level,
    /// The larger sum of the spread.
    Spread,
    /// The larger sum of missing values.
    Missing,
    Adwin,
    PageHinkley,
    Kswin,
    HddmA,
    HddmW,
    Psi,
    Wasserstein,
    /// The distance of all values together.
    Joint,
}

impl Statistic {
    /// All there are.
    pub(crate) const ALL: [Self; 11] = [
        Self::Level,
        Self::Spread,
        Self::Missing,
        Self::Adwin,
        Self::PageHinkley,
        Self::Kswin,
        Self::HddmA,
        Self::HddmW,
        Self::Psi,
        Self::Wasserstein,
        Self::Joint,
    ];

    /// That of a test that has one.
    pub(crate) fn of(test: DriftTest) -> Option<Self> {
        Some(match test {
            DriftTest::Cusum => return None,
            DriftTest::Adwin => Self::Adwin,
            DriftTest::PageHinkley => Self::PageHinkley,
            DriftTest::Kswin => Self::Kswin,
            DriftTest::HddmA => Self::HddmA,
            DriftTest::HddmW => Self::HddmW,
            DriftTest::Psi => Self::Psi,
            DriftTest::Wasserstein => Self::Wasserstein,
            DriftTest::Mmd => Self::Joint,
        })
    }

    /// The bounds for 10^3, 10^4 and 10^5 rows.
    fn table(self) -> [f64; 3] {
        match self {
            Self::Level => [6.000, 8.354, 10.656],
            Self::Spread => [4.658, 6.826, 9.077],
            Self::Missing => [3.815, 6.147, 8.382],
            Self::Adwin => [2.588, 4.517, 6.592],
            Self::PageHinkley => [9.898, 14.532, 18.899],
            Self::Kswin => [0.226, 0.284, 0.328],
            Self::HddmA => [1.441, 1.993, 2.545],
            Self::HddmW => [2.405, 3.836, 5.225],
            Self::Psi => [0.211, 0.316, 0.421],
            Self::Wasserstein => [0.306, 0.443, 0.523],
            Self::Joint => [26.7, 33.2, 39.2],
        }
    }

    /// The bound for so many rows between false alarms: between the numbers of the table, and beyond them, it grows
    /// with the logarithm.
    pub(crate) fn bound(self, run_length: f64) -> f64 {
        let table = self.table();
        let place = libm::log10(run_length) - FROM;
        let at = (place.max(0.0) as usize).min(table.len() - 2);
        (table[at] + (place - at as f64) * (table[at + 1] - table[at])).max(0.5 * table[0])
    }

    /// The rows between false alarms with such a bound.
    pub(crate) fn run_length(self, bound: f64) -> f64 {
        let table = self.table();
        let at = (0..table.len() - 2).find(|at| bound < table[at + 1]).unwrap_or(table.len() - 2);
        let place = at as f64 + (bound - table[at]) / (table[at + 1] - table[at]);
        libm::pow(10.0, (FROM + place).clamp(0.0, 300.0))
    }
}
