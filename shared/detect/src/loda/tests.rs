//! Histograms against the slow definition, and what odd rows come to.

use proptest::prelude::*;

use super::*;

fn loda(values: usize) -> Loda {
    Loda::new(&Algorithm::new(domain::Kind::Loda), values, 5)
}

/// Scores a row and learns it.
fn go(model: &mut Loda, values: &[f64]) -> Assessment {
    let (mut out, row) = (Assessment::default(), Row { values, at: 0 });
    out.prepare(values.len(), 1);
    model.score(row, &mut out);
    model.learn(row, &out);
    out
}

fn normal(dice: &mut Dice) -> f64 {
    (0..12).map(|_| dice.uniform()).sum::<f64>() - 6.0
}

proptest! {
    #[test]
    fn histograms_are_of_the_last_rows(
        rows in prop::collection::vec(prop::collection::vec(0_u16..70, 3), 1..80),
    ) {
        let mut histograms = Histograms::new(3, 20);
        let bin = |bin: u16| if bin < BINS as u16 { bin } else { NONE };
        let rows: Vec<Vec<u16>> =
            rows.into_iter().map(|row| row.into_iter().map(bin).collect()).collect();
        for (at, row) in rows.iter().enumerate() {
            histograms.learn(row);
            let last = &rows[(at + 1).saturating_sub(20)..=at];
            let mut found = [0.0; 8];
            let said = histograms.surprises(row, &mut found);
            prop_assert_eq!(said as usize, row.iter().filter(|bin| **bin != NONE).count());
            for projection in 0..3 {
                let bins = || last.iter().map(|row| row[projection]).filter(|bin| *bin != NONE);
                let same = bins().filter(|bin| *bin == row[projection]).count() as f64;
                let share = (same + 0.5) / (bins().count() as f64 + 0.5 * BINS as f64);
                if row[projection] != NONE {
                    // The width of the bin, from the edges of its places.
                    let place = f64::from(row[projection]) - f64::from(REACH) - 1.0;
                    let value = |place: f64| f64::from(HALF) * place / (f64::from(REACH) - place);
                    let width = value(place.abs() + 0.5) - value((place.abs() - 0.5).max(0.0));
                    let width = if place == 0.0 { 2.0 * width } else { width };
                    if place.abs() < 20.0 {
                        let slow = -libm::log(share / width);
                        prop_assert!((f64::from(found[projection]) - slow).abs() < 0.02);
                    }
                } else {
                    prop_assert_eq!(found[projection], 0.0);
                }
            }
        }
    }
}

#[test]
fn the_raw_score_is_near_the_entropy_of_a_normal_law() {
    let (mut model, mut dice) = (loda(1), Dice::new(1));
    let rows: Vec<_> =
        (0..6000).map(|_| go(&mut model, &[7.0 + 3.0 * normal(&mut dice)])).collect();
    let mean = rows[1000..].iter().map(|out| out.raw).sum::<f64>() / 5000.0;
    // Of deviations: 1/2 ln(2 pi e).
    assert!((mean - 1.4189).abs() < 0.12, "{mean}");
}

#[test]
fn the_odd_feature_is_named_and_the_score_grows_with_distance() {
    let (mut model, mut dice) = (loda(10), Dice::new(4));
    for _ in 0..1500 {
        let row: Vec<f64> = (0..10).map(|v| f64::from(v) + 10.0 * normal(&mut dice)).collect();
        go(&mut model, &row);
    }
    let mut last = f64::MIN;
    for distance in [0.0, 40.0, 100.0, 1000.0] {
        let row: Vec<f64> =
            (0..10).map(|v| f64::from(v) + if v == 7 { distance } else { 0.0 }).collect();
        let mut out = Assessment::default();
        out.prepare(10, 1);
        model.score(Row { values: &row, at: 0 }, &mut out);
        assert!(out.raw > last, "{} at {distance}", out.raw);
        last = out.raw;
        assert!(distance < 100.0 || out.contributions[7] > 0.6, "{:?}", out.contributions);
    }
    let mut row = vec![0.0; 10];
    row[7] = f64::NAN;
    let out = go(&mut model, &row);
    assert_eq!(out.contributions[7], 0.0);
    assert!(out.raw < last && out.confidence > 0.5);
}

#[test]
fn projections_have_few_features_and_length_one() {
    for (values, features) in [(1, 1), (2, 1), (4, 2), (10, 3), (40, 6)] {
        let model = loda(values);
        let width = model.shifts.len();
        for projection in 0..100 {
            let shares = (0..values).map(|value| model.shares[value * width + projection]);
            assert_eq!(shares.clone().filter(|share| *share != 0.0).count(), features);
            assert!((shares.map(|share| share * share).sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
