//! Anomalies planted into a series itself, where nobody has labelled any. What was odd in the series
//! before counts as calm: a candidate that finds it is not better for it, but neither is any other.

use crate::{Series, dice::Dice, labelled::Labelled, robust::deviation};

/// The share of a series before anything is planted: what detectors learn by.
const CALM: f64 = 0.6;
/// Copies of a series, each with other anomalies.
const COPIES: u64 = 3;
/// Rows for each anomaly.
const SPACING: usize = 120;
/// A series must have so many rows for anything to be planted.
pub const ROWS_MIN: usize = 40;

/// A kind of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// One row, 4 to 10 deviations up or down.
    Spike,
    /// Some rows, 2 to 5 deviations up or down.
    Shift,
    /// The value before stays for some rows.
    Frozen,
    /// Two stretches change places.
    Swapped,
}

/// All kinds, each planted equally often.
pub const PLANTS: [Plant; 4] = [Plant::Spike, Plant::Shift, Plant::Frozen, Plant::Swapped];

/// A series with planted anomalies.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Planted {
    /// The rows, labelled where something was planted.
    pub(super) of: Labelled,
    /// The first row of the part into which was planted.
    pub(super) from: usize,
}

/// Copies of a series with anomalies in its later part; none of a series that is too short.
pub(super) fn trials(series: &Series) -> Vec<Planted> {
    if series.len() < ROWS_MIN {
        return vec![];
    }
    (0..COPIES).map(|copy| planted(series, copy)).collect()
}

fn planted(series: &Series, copy: u64) -> Planted {
    let mut dice = Dice::new(&format!("planted in {}", series.key), copy);
    let from = (series.len() as f64 * CALM) as usize;
    let held = series.len() - from;
    let count = (held / SPACING).max(PLANTS.len()).min(held / 4);
    let slot = held / count;
    let units: Vec<f64> = (0..series.width).map(|value| unit(series, value)).collect();
    let mut of = Labelled { series: series.clone(), labels: vec![false; series.len()] };
    for turn in 0..count {
        let plant = PLANTS[(turn + copy as usize) % PLANTS.len()];
        let length = match plant {
            Plant::Spike => 1,
            Plant::Shift | Plant::Frozen => (slot / 4).clamp(1, 12),
            Plant::Swapped => 2 * (slot / 8).clamp(1, 8),
        };
        let first = from + turn * slot + dice.below(slot.saturating_sub(length) + 1);
        let value = dice.below(series.width);
        set(&mut of.series, plant, first..first + length, value, units[value], &mut dice);
        of.labels[first..first + length].fill(true);
    }
    Planted { of, from }
}

/// Plants one anomaly into one value of some rows.
fn set(
    series: &mut Series,
    plant: Plant,
    rows: std::ops::Range<usize>,
    value: usize,
    unit: f64,
    dice: &mut Dice,
) {
    let sign = if dice.uniform() < 0.5 { -1.0 } else { 1.0 };
    let size = dice.between(1.0, 2.5);
    let width = series.width;
    let place = |row: usize| row * width + value;
    match plant {
        // 4 to 10 and 2 to 5 deviations.
        Plant::Spike | Plant::Shift => {
            let least = if plant == Plant::Spike { 4.0 } else { 2.0 };
            let added = sign * least * size * unit;
            for row in rows {
                series.values[place(row)] += added;
            }
        }
        Plant::Frozen => {
            let before = series.values[place(rows.start.saturating_sub(1))];
            for row in rows {
                series.values[place(row)] = before;
            }
        }
        Plant::Swapped => {
            let half = rows.len() / 2;
            for row in rows.start..rows.start + half {
                series.values.swap(place(row), place(row + half));
            }
        }
    }
}

/// One deviation of a value of the series; of a constant one a tenth of its size.
fn unit(series: &Series, value: usize) -> f64 {
    let all: Vec<f64> = series.rows().map(|row| row.values[value]).collect();
    let spread = deviation(&all);
    let size = all.iter().copied().filter(|x| x.is_finite()).fold(0.0, |a: f64, x| a.max(x.abs()));
    match (spread > 0.0, size > 0.0) {
        (true, _) => spread,
        (false, true) => size / 10.0,
        (false, false) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(rows: usize, width: usize) -> Series {
        let mut dice = Dice::new("test", 1);
        let at = (0..rows as i64).collect();
        let values = (0..rows * width).map(|_| dice.normal()).collect();
        Series { key: "k".into(), width, at, values }
    }

    #[test]
    fn only_labelled_rows_of_the_later_part_differ() {
        for (rows, width) in [(40, 1), (100, 3), (5000, 2)] {
            let original = series(rows, width);
            let all = trials(&original);
            assert_eq!(all.len(), 3);
            assert_eq!(all, trials(&original));
            assert_ne!(all[0], all[1]);
            for Planted { of, from } in all {
                assert_eq!((of.series.len(), of.labels.len()), (rows, rows));
                assert!(of.labels[..from].iter().all(|label| !label));
                let labelled = of.labels.iter().filter(|label| **label).count();
                assert!(labelled > 0 && labelled < (rows - from) / 2, "{labelled} of {rows}");
                for (row, (is, was)) in of.series.rows().zip(original.rows()).enumerate() {
                    assert!(of.labels[row] || is == was, "row {row}");
                    let changed = is.values.iter().zip(was.values).filter(|(a, b)| a != b).count();
                    assert!(changed <= 1, "one value only");
                }
            }
        }
        assert!(trials(&series(39, 1)).is_empty());
    }

    #[test]
    fn each_kind_is_as_described() {
        let original = series(200, 2);
        let set = |plant, rows: std::ops::Range<usize>| {
            let mut changed = original.clone();
            super::set(&mut changed, plant, rows, 1, 2.0, &mut Dice::new("set", 1));
            let of = |series: &Series| series.rows().map(|row| row.values[1]).collect::<Vec<_>>();
            (of(&changed), of(&original))
        };
        let (is, was) = set(Plant::Spike, 50..51);
        assert!((8.0..=20.0).contains(&(is[50] - was[50]).abs()));
        let (is, was) = set(Plant::Shift, 50..60);
        assert!((4.0..=10.0).contains(&(is[55] - was[55]).abs()) && is[60] == was[60]);
        let (is, was) = set(Plant::Frozen, 50..60);
        assert!(is[50..60].iter().all(|value| *value == was[49]));
        let (is, was) = set(Plant::Swapped, 50..60);
        assert_eq!((&is[50..55], &is[55..60]), (&was[55..60], &was[50..55]));
        assert_eq!(unit(&Series::single("c", vec![0, 1], vec![5.0, 5.0]), 0), 0.5);
        assert_eq!(unit(&Series::single("c", vec![0, 1], vec![f64::NAN, 0.0]), 0), 1.0);
    }
}
