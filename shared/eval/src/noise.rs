//! Anomalies found where there are none: rows of noise, of kinds that real series are like.

use domain::{Detector, Micros};

use crate::{Estimate, Progress, Series, dice::Dice, parallel, prequential};

/// Rows are five minutes apart.
pub const STEP: Micros = 300_000_000;
/// Anomalies are counted from this row on.
pub const FIRST: usize = 200;

/// A kind of noise.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The next value, from the row, the value before and the dice.
    next: fn(usize, f64, &mut Dice) -> f64,
}

/// The kinds that are measured.
pub const KINDS: [Kind; 6] = [
    Kind { name: "white", next: |_, _, dice| dice.normal() },
    Kind { name: "AR(1) .95", next: |_, before, dice| 0.95 * before + dice.normal() },
    Kind { name: "random walk", next: |_, before, dice| before + dice.normal() },
    Kind { name: "lognormal", next: |_, _, dice| libm::exp(dice.normal()) },
    Kind {
        name: "sine + noise",
        next: |row, _, dice| {
            3.0 * libm::sin(std::f64::consts::TAU * row as f64 / 288.0) + dice.normal()
        },
    },
    Kind { name: "Poisson(5)", next: |_, _, dice| dice.poisson(5.0) },
];

impl Kind {
    /// A series of this kind.
    pub fn series(&self, rows: usize, seed: u64) -> Series {
        let mut dice = Dice::new(self.name, seed);
        let mut before = 0.0;
        let mut next = |row| {
            before = (self.next)(row, before, &mut dice);
            before
        };
        let values = (0..rows).map(&mut next).collect();
        let at = (0..rows as Micros).map(|row| row * STEP).collect();
        Series::single(&format!("{}-{seed}", self.name), at, values)
    }
}

/// False anomalies of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct False {
    /// The kind's name.
    pub kind: &'static str,
    /// Anomalies opened in 10,000 rows, over the seeds.
    pub per_10_000: Estimate,
}

/// Counts the anomalies that open on each kind of noise from row 200 on, in series of so many rows
/// with so many seeds.
pub fn measure(detector: &Detector, rows: usize, seeds: u64, progress: Progress<'_>) -> Vec<False> {
    let turns: Vec<(Kind, u64)> =
        KINDS.iter().flat_map(|kind| (0..seeds).map(move |seed| (*kind, seed))).collect();
    let counted = parallel::map(
        &turns,
        |(kind, seed)| opened(detector, &kind.series(rows, *seed), FIRST),
        progress,
    );
    let judged = rows.saturating_sub(FIRST).max(1) as f64;
    let of_kind = |(kind, counts): (&Kind, &[usize])| {
        let rates: Vec<f64> = counts.iter().map(|count| *count as f64 / judged * 1e4).collect();
        False { kind: kind.name, per_10_000: Estimate::of(&rates) }
    };
    KINDS.iter().zip(counted.chunks(seeds.max(1) as usize)).map(of_kind).collect()
}

/// How many anomalies open from a row on.
pub(crate) fn opened(detector: &Detector, series: &Series, first: usize) -> usize {
    prequential::run(detector, series).iter().skip(first).filter(|said| said.opened).count()
}

#[cfg(test)]
mod tests {
    use domain::Threshold;

    use super::*;
    use crate::{parallel::quietly, robust::deviation};

    #[test]
    fn noise_is_what_its_name_says() {
        let of = |index: usize| KINDS[index].series(20_000, 1).values;
        let lagged = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let products: f64 =
                values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
            products / values.len() as f64 / deviation(values) / deviation(values)
        };
        assert!((deviation(&of(0)) - 1.0).abs() < 0.03 && lagged(&of(0)).abs() < 0.03);
        assert!((lagged(&of(1)) - 0.95).abs() < 0.01 && (deviation(&of(1)) - 3.2).abs() < 0.3);
        let steps: Vec<f64> = of(2).windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!((deviation(&steps) - 1.0).abs() < 0.03 && lagged(&steps).abs() < 0.03);
        let logs: Vec<f64> = of(3).iter().map(|value| libm::log(*value)).collect();
        assert!((deviation(&logs) - 1.0).abs() < 0.03);
        assert!((deviation(&of(4)) - 5.5_f64.sqrt()).abs() < 0.1);
        assert!(of(5).iter().all(|value| value.fract() == 0.0));
        assert_ne!(KINDS[0].series(10, 1), KINDS[0].series(10, 2));
    }

    #[test]
    fn what_is_planted_is_counted() {
        let mut series = KINDS[0].series(1000, 1);
        let mut strict = Detector::implicit("default");
        strict.threshold = Threshold::Score(0.9);
        assert_eq!(opened(&strict, &series, 0), 0);
        // Each larger than the one before, which was learned.
        for (row, value) in [(150, 1e4), (400, 1e6), (700, 1e8)] {
            series.values[row] = value;
        }
        assert_eq!((opened(&strict, &series, 0), opened(&strict, &series, FIRST)), (3, 2));
    }

    #[test]
    fn a_lower_threshold_finds_more() {
        let mut detector = Detector::implicit("default");
        let mut rate = |score: f64| {
            detector.threshold = Threshold::Score(score);
            let all = measure(&detector, 1500, 3, &quietly);
            assert!(all.len() == 6 && all.iter().all(|kind| kind.per_10_000.count == 3));
            all.iter().map(|kind| kind.per_10_000.mean).sum::<f64>()
        };
        assert!(rate(0.3) > rate(0.6) && rate(0.999) == 0.0);
    }
}
