//! Made series, with and without a change. Without one, each value has a deviation of 1 about what its season adds.

use crate::dice::Dice;

/// Rows of a season.
const SEASON: f64 = 96.0;
/// How far a season goes up and down.
const AMPLITUDE: f64 = 2.0;
/// Rows of a ramp, and how far it goes.
const RAMP: (f64, f64) = (1000.0, 2.0);

/// The kinds of series that are measured, by name.
pub const KINDS: [Kind; 4] = [
    Kind { name: "iid", next: |_, dice| dice.normal() },
    Kind { name: "heavy tails", next: |_, dice| student_3(dice) },
    Kind { name: "AR(1) .8", next: |before, dice| 0.8 * before + 0.6 * dice.normal() },
    Kind { name: "season", next: |_, dice| dice.normal() },
];

/// A kind of series.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The next value without season, from the one before.
    next: fn(f64, &mut Dice) -> f64,
}

impl Kind {
    fn is_seasonal(&self) -> bool {
        self.name == "season"
    }

    /// The changes that are measured on this kind in rows of so many values.
    pub fn changes(&self, values: usize) -> Vec<Change> {
        let mut changes = CHANGES.to_vec();
        if self.is_seasonal() {
            changes.extend([Change::Phase, Change::Amplitude]);
        }
        if values > 1 && self.name == "iid" {
            changes.push(Change::Correlation);
        }
        changes
    }
}

/// The changes of every kind.
const CHANGES: [Change; 6] = [
    Change::Step(0.5),
    Change::Step(1.0),
    Change::Step(2.0),
    Change::Variance(2.0),
    Change::Variance(4.0),
    Change::Ramp,
];

/// What changes of the first value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The mean, by so many deviations.
    Step(f64),
    /// The variance about the mean (and season), to so many times.
    Variance(f64),
    /// The mean, by 2 deviations in 1,000 rows.
    Ramp,
    /// The season comes a quarter earlier.
    Phase,
    /// The season goes half as far.
    Amplitude,
    /// The second value, independent before, has a correlation of .9 with the first.
    Correlation,
}

impl Change {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step(size) if size < 1.0 => "step .5",
            Self::Step(size) if size < 2.0 => "step 1",
            Self::Step(_) => "step 2",
            Self::Variance(times) if times < 4.0 => "variance x 2",
            Self::Variance(_) => "variance x 4",
            Self::Ramp => "ramp of 2 in 1,000 rows",
            Self::Phase => "season a quarter earlier",
            Self::Amplitude => "season half as large",
            Self::Correlation => "correlation 0 to .9",
        }
    }
}

/// Student's t of 3 degrees of freedom, divided by its deviation.
fn student_3(dice: &mut Dice) -> f64 {
    let mut square = || {
        let normal = dice.normal();
        normal * normal
    };
    let chi_square = square() + square() + square();
    dice.normal() / chi_square.sqrt()
}

/// Rows of independent values of one kind.
#[derive(Debug)]
pub struct Rows {
    kind: Kind,
    change: Option<(Change, u64)>,
    dice: Dice,
    /// The values before, without season.
    before: Vec<f64>,
    row: u64,
}

impl Rows {
    /// Rows of so many values, with a change from a row on, if there is one.
    pub fn new(kind: Kind, values: usize, seed: u64, change: Option<(Change, u64)>) -> Self {
        let purpose = format!("drift {} {values}", kind.name);
        Self { kind, change, dice: Dice::new(&purpose, seed), before: vec![0.0; values], row: 0 }
    }

    /// The next row, into `row`, which has its values.
    pub fn fill(&mut self, row: &mut [f64]) {
        for (value, before) in row.iter_mut().zip(&mut self.before) {
            *before = (self.kind.next)(*before, &mut self.dice);
            *value = *before;
        }
        let change = self.change.filter(|(_, from)| self.row >= *from);
        match (change, &mut row[..]) {
            (Some((Change::Step(size), _)), [first, ..]) => *first += size,
            (Some((Change::Variance(times), _)), [first, ..]) => *first *= times.sqrt(),
            (Some((Change::Ramp, from)), [first, ..]) => {
                *first += RAMP.1 * ((self.row - from) as f64 / RAMP.0).min(1.0);
            }
            (Some((Change::Correlation, _)), [first, second, ..]) => {
                *second = 0.9 * *first + 0.19_f64.sqrt() * *second;
            }
            _ => {}
        }
        if self.kind.is_seasonal() {
            for (at, value) in row.iter_mut().enumerate() {
                let (early, share) = match change.filter(|_| at == 0) {
                    Some((Change::Phase, _)) => (0.25, 1.0),
                    Some((Change::Amplitude, _)) => (0.0, 0.5),
                    _ => (0.0, 1.0),
                };
                let seasons = self.row as f64 / SEASON + early;
                *value += share * AMPLITUDE * libm::sin(std::f64::consts::TAU * seasons);
            }
        }
        self.row += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robust::deviation;

    fn values(kind: usize, change: Option<Change>, count: usize) -> Vec<f64> {
        let mut rows = Rows::new(KINDS[kind], 1, 1, change.map(|change| (change, 0)));
        let mut row = [0.0];
        let mut next = || {
            rows.fill(&mut row);
            row[0]
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn kinds_have_a_deviation_of_one_about_their_season() {
        for (kind, expect) in [(0, 1.0), (1, 1.0), (2, 1.0), (3, 3.0)] {
            let found = deviation(&values(kind, None, 200_000));
            assert!((found * found / expect - 1.0).abs() < 0.1, "{kind}: {found}");
        }
    }

    #[test]
    fn changes_do_what_their_names_say() {
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let (plain, stepped) = (values(0, None, 960), values(0, Some(Change::Step(1.0)), 960));
        assert!((mean(&stepped) - mean(&plain) - 1.0).abs() < 1e-9);
        let wide = deviation(&values(0, Some(Change::Variance(4.0)), 960));
        assert!((wide / deviation(&plain) - 2.0).abs() < 1e-9);
        let ramp = values(0, Some(Change::Ramp), 1100);
        assert!((ramp[500] - values(0, None, 501)[500] - 1.0).abs() < 1e-9);
        // The season begins at 0 and is at its highest after a quarter, of 24 rows.
        let season = |change| values(3, change, 25);
        let (whole, turned) = (season(None), season(Some(Change::Phase)));
        assert!((turned[0] - whole[0] - 2.0).abs() < 1e-9);
        let half = season(Some(Change::Amplitude));
        assert!((half[0] - whole[0]).abs() < 1e-9 && (whole[24] - half[24] - 1.0).abs() < 1e-9);
        let mut rows = Rows::new(KINDS[0], 2, 1, Some((Change::Correlation, 0)));
        let (mut row, mut product) = ([0.0; 2], 0.0);
        for _ in 0..5_000 {
            rows.fill(&mut row);
            product += row[0] * row[1] / 5_000.0;
        }
        assert!((product - 0.9).abs() < 0.05, "{product}");
    }
}
