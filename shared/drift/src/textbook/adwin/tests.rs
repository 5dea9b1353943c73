//! The window against all its rows kept as they came.

use proptest::prelude::*;

use super::*;

/// The definition: buckets that keep their rows, oldest first; means and variance of the rows.
struct Slow {
    parameters: Parameters,
    buckets: Vec<Vec<f64>>,
    pushed: u64,
}

impl Slow {
    fn push(&mut self, x: f64) -> bool {
        let Parameters { per_size, sizes, clock, grace, .. } = self.parameters;
        self.buckets.push(vec![x]);
        for size in 0..sizes {
            let same = |bucket: &Vec<f64>| bucket.len() == 1 << size;
            if self.buckets.iter().filter(|bucket| same(bucket)).count() > per_size {
                let first = self.buckets.iter().position(same).expect("there are some");
                let new = self.buckets.remove(first + 1);
                self.buckets[first].extend(new);
            }
        }
        self.buckets.retain(|bucket| bucket.len() < 1 << sizes);
        self.pushed += 1;
        let mut changed = false;
        if self.pushed.is_multiple_of(u64::from(clock)) && self.rows().len() > grace as usize {
            while self.some_cut() {
                self.buckets.remove(0);
                changed = true;
            }
        }
        changed
    }

    fn rows(&self) -> Vec<f64> {
        self.buckets.concat()
    }

    fn some_cut(&self) -> bool {
        let rows = self.rows();
        let least = self.parameters.side_min as usize;
        let mut edge = 0;
        self.buckets.iter().any(|bucket| {
            edge += bucket.len();
            let (old, new) = rows.split_at(edge);
            if old.len() < least || new.len() < least {
                return false;
            }
            let shares =
                1.0 / (old.len() - least + 1) as f64 + 1.0 / (new.len() - least + 1) as f64;
            let nats = match self.parameters.limit {
                Limit::Bound(nats) => nats,
                Limit::Confidence(delta) => libm::log(2.0 * libm::log(rows.len() as f64) / delta),
            };
            let bound = (2.0 * shares * variance(&rows) * nats).sqrt() + 2.0 / 3.0 * nats * shares;
            (mean(old) - mean(new)).abs() > bound
        })
    }
}

fn mean(rows: &[f64]) -> f64 {
    rows.iter().sum::<f64>() / rows.len().max(1) as f64
}

fn variance(rows: &[f64]) -> f64 {
    rows.iter().map(|x| (x - mean(rows)).powi(2)).sum::<f64>() / rows.len().max(1) as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_definition(
        xs in prop::collection::vec(-1.0..1.0_f64, 1..600),
        steps in prop::collection::vec(-3.0..3.0_f64, 3),
        per_size in 1..8_usize,
        sizes in 4..12_usize,
        clock in 1..40_u32,
        side_min in 1..9_u32,
        limit in prop_oneof![
            Just(Limit::Confidence(0.002)),
            Just(Limit::Confidence(0.3)),
            Just(Limit::Bound(4.0)),
        ],
    ) {
        let parameters = Parameters { limit, clock, per_size, sizes, side_min, grace: 10 };
        let (mut slow, mut fast) =
            (Slow { parameters, buckets: vec![], pushed: 0 }, Adwin::new(parameters));
        for (row, x) in xs.iter().enumerate() {
            let x = x + steps[row / 200];
            let before = mean(&fast_rows(&slow, x));
            let change = fast.push(x);
            prop_assert_eq!(change.is_some(), slow.push(x));
            let rows = slow.rows();
            prop_assert_eq!(fast.rows(), rows.len() as u64);
            prop_assert!((fast.mean() - mean(&rows)).abs() < 1e-9);
            prop_assert!((fast.variance() - variance(&rows)).abs() < 1e-9);
            if let Some(change) = change {
                prop_assert!(change.statistic > change.bound);
                prop_assert_eq!(change.rows, fast.rows());
                if side_min > 2 && change.rows > 20 && (mean(&rows) - before).abs() > 0.2 {
                    let up = mean(&rows) > before;
                    prop_assert_eq!(change.direction, if up { Direction::Up } else { Direction::Down });
                }
            }
            let looked = (row + 1).is_multiple_of(clock as usize) && rows.len() > 10;
            let over = fast.statistic() > fast.bound() * (1.0 + 1e-9);
            prop_assert!(!(looked && over), "{} at {row}", fast.statistic());
        }
    }
}

/// The window with one more row, before anything is dropped.
fn fast_rows(slow: &Slow, x: f64) -> Vec<f64> {
    let mut rows = slow.rows();
    rows.push(x);
    rows
}

#[test]
fn what_is_dropped_leaves_no_trace() {
    let mut test = Adwin::new(Parameters::default());
    for row in 0..5_000 {
        test.push(1e9 * f64::from(row % 2));
    }
    for row in 0..5_000 {
        test.push(1e-3 * f64::from(row % 2));
    }
    assert!(test.rows() < 5_100, "{}", test.rows());
    assert!((test.variance() / 0.25e-6 - 1.0).abs() < 1e-9, "{}", test.variance());
}

#[test]
fn the_oldest_rows_fall_off() {
    let mut test = Adwin::new(Parameters { sizes: 10, ..Parameters::default() });
    let bytes = test.bytes();
    for _ in 0..100_000 {
        test.push(1.0);
    }
    assert!((4_000..6_000).contains(&test.rows()), "{}", test.rows());
    assert_eq!((test.mean(), test.variance()), (1.0, 0.0));
    assert_eq!(test.bytes(), bytes);
}

/// Far from 0 sums lose digits, and the same cuts are found nevertheless.
#[test]
fn the_place_of_the_values_does_not_matter() {
    let (mut near, mut far) =
        (Adwin::new(Parameters::default()), Adwin::new(Parameters::default()));
    let (mut state, mut changes) = (1_u64, 0);
    for row in 0..200_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let x = (state >> 58) as f64 / 64.0 + if row / 5_000 % 3 == 1 { 0.2 } else { 0.0 };
        let change = near.push(x);
        assert_eq!(far.push(x + 1e6).is_some(), change.is_some(), "{row}");
        assert_eq!(far.rows(), near.rows());
        changes += u32::from(change.is_some());
    }
    assert!(changes > 20, "{changes}");
}
