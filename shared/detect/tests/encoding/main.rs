//! What a series' model has learned survives being encoded: from any cut on its verdicts are the
//! same, bit for bit; the encoding is small; and no bytes do harm.

mod steps;

use domain::{Algorithm, Detector, Id, Kind};
use oddwatch_detect::{DecodeError, SAMPLES, STATE_VERSION, SeriesModel};
use proptest::prelude::*;
use steps::{Dice, Step, go};

const VALUES: [usize; 3] = [1, 2, 5];

fn detector(algorithm: &Algorithm) -> Detector {
    let mut detector = Detector::implicit("s");
    detector.algorithm = algorithm.clone();
    detector
}

fn encoded(model: &SeriesModel) -> Vec<u8> {
    let mut out = vec![];
    model.encode(&mut out);
    out
}

fn decoded(
    detector: &Detector,
    values: usize,
    mut bytes: &[u8],
) -> Result<SeriesModel, DecodeError> {
    let model = SeriesModel::decode(detector, values, STATE_VERSION, &mut bytes)?;
    assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
    Ok(model)
}

/// The model as it comes back; encoded again it is the same bytes.
fn back(detector: &Detector, values: usize, model: &SeriesModel) -> SeriesModel {
    let bytes = encoded(model);
    let model = decoded(detector, values, &bytes).expect("what was encoded can be decoded");
    assert_eq!(encoded(&model), bytes);
    model
}

/// Calls with the definition and number of values of every kind of series.
fn each(mut check: impl FnMut(&Detector, usize)) {
    for algorithm in &*SAMPLES {
        VALUES.iter().for_each(|&values| check(&detector(algorithm), values));
    }
}

/// A model that has come a long way.
fn grown(detector: &Detector, values: usize, steps: usize) -> SeriesModel {
    let mut model = SeriesModel::new(detector, values, 0xfeed_0000_0000_beef);
    let mut dice = Dice::new(7, values);
    for _ in 0..steps {
        go(&mut model, &dice.step(detector));
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_decoded_model_goes_on_bit_by_bit(seed: u64, cuts in 1_u32..400) {
        each(|detector, values| {
            let mut whole = SeriesModel::new(detector, values, seed);
            let mut cut = whole.clone();
            let mut dice = Dice::new(seed, values);
            for at in 0..2500 {
                if dice.one_in(cuts) {
                    cut = back(detector, values, &cut);
                }
                let step = dice.step(detector);
                let (expected, found) = (go(&mut whole, &step), go(&mut cut, &step));
                assert_eq!(expected, found, "{detector:?}, {values} values, step {at}: {step:?}");
            }
            assert_eq!(encoded(&whole), encoded(&cut));
            assert_eq!(whole.bytes(), cut.bytes());
        });
    }
}

#[test]
fn every_early_row_can_be_the_cut() {
    each(|detector, values| {
        let mut model = SeriesModel::new(detector, values, 3);
        let mut dice = Dice::new(3, values);
        for at in 0..200 {
            let (mut whole, mut cut) = (model.clone(), back(detector, values, &model));
            for _ in 0..40 {
                let step = Step::Row(dice.calm_row(), true, at);
                assert_eq!(go(&mut whole, &step), go(&mut cut, &step), "{detector:?} {at}");
            }
            go(&mut model, &Step::Row(dice.calm_row(), true, at));
        }
    });
}

/// The largest values there can be lead to nothing that decoding would take for damage.
#[test]
fn extremes_are_no_damage() {
    each(|detector, values| {
        for huge in [f64::MAX, 1e150, f64::MIN_POSITIVE, 5e-324] {
            let mut model = SeriesModel::new(detector, values, 9);
            let mut dice = Dice::new(9, values);
            for at in 0..3000_u64 {
                let sign = if dice.one_in(2 + at as u32 / 300) { -huge } else { huge };
                go(&mut model, &Step::Row(vec![sign; values], true, at as i64));
                if at % 50 == 0 {
                    back(detector, values, &model);
                }
            }
        }
    });
}

#[test]
fn a_changed_definition_is_no_part_of_it_and_another_series_is_told() {
    each(|detector, values| {
        let model = grown(detector, values, 700);
        let mut changed = detector.clone();
        changed.threshold = domain::Threshold::Score(0.9);
        (changed.warm_up, changed.clear_after, changed.silence_ms) = (9999, 1, 1);
        assert_eq!(encoded(&back(&changed, values, &model)), encoded(&model));

        let bytes = encoded(&model);
        let other = |detector: &Detector, values| {
            let error = decoded(detector, values, &bytes).expect_err("of another series");
            assert!(matches!(error, DecodeError::Other { .. }), "{error}");
        };
        other(detector, values + 1);
        changed.algorithm = Algorithm::new(Kind::RobustZ).with("window", 17.0);
        other(&changed, values);
        changed.algorithm = Algorithm::new(Kind::HalfSpaceTrees).with("depth", 2.0);
        other(&changed, values);
    });
}

#[test]
fn other_versions_are_refused_by_name() {
    let detector = detector(&SAMPLES[0]);
    let bytes = encoded(&grown(&detector, 1, 10));
    for version in [0, STATE_VERSION + 1, u32::MAX] {
        let error = SeriesModel::decode(&detector, 1, version, &mut &bytes[..]).expect_err("other");
        let text = error.to_string();
        assert!(matches!(error, DecodeError::Version { found, newest: STATE_VERSION, .. }
            if found == version));
        assert!(text.contains(&format!("version {version};")), "{text}");
        assert!(text.ends_with(&format!("to {STATE_VERSION}")), "{text}");
    }
}

/// What the encoding of a full model may take at most, by algorithm and number of values; of calm
/// rows, of even ones and of wide ones, which are the worst. All values of all rows differ, so
/// nothing is shorter by chance.
const BYTES_MAX: &[(&str, usize, usize)] = &[
    ("auto", 1, 4_520),
    ("auto", 5, 2_200),
    ("auto", 40, 19_200),
    ("robust_z(window=41)", 1, 1_000),
    ("robust_z(window=64)", 1, 1_190),
    ("robust_z(window=64)", 5, 5_250),
    ("robust_z(window=10000)", 1, 80_700),
    ("half_space_trees(depth=1, trees=3, window=16)", 1, 790),
    ("half_space_trees(depth=1, trees=3, window=16)", 5, 2_530),
    ("half_space_trees(depth=8, trees=10, window=64)", 5, 2_800),
    ("half_space_trees", 1, 17_300),
    ("random_cut_forest(sample=32, trees=10, window=128)", 1, 2_120),
    ("random_cut_forest(sample=32, trees=10, window=128)", 5, 3_200),
    ("random_cut_forest(sample=32, shingle=3, trees=8, window=96)", 1, 1_800),
    ("random_cut_forest", 1, 37_000),
    ("isolation_forest(sample=32, trees=10, window=128)", 1, 2_600),
    ("isolation_forest(sample=32, trees=10, window=128)", 5, 5_400),
    ("isolation_forest(extended=1, sample=32, trees=10, window=100)", 5, 6_200),
    ("isolation_forest", 5, 54_500),
    ("loda(window=64)", 1, 7_200),
    ("loda(projections=20, window=100)", 5, 3_000),
    ("loda", 5, 52_500),
    ("mahalanobis(horizon=100)", 1, 560),
    ("mahalanobis(horizon=100)", 5, 730),
    ("mahalanobis(ridge=0.1)", 40, 8_100),
    ("lesinn(horizon=40, samples=3, size=5)", 1, 560),
    ("lesinn(samples=4)", 5, 1_310),
    ("fusion(gate=30, samples=4, size=8)", 1, 700),
    ("fusion(gate=500, samples=2)", 5, 1_340),
    ("fusion", 8, 3_300),
    ("knn(k=3, window=40)", 1, 810),
    ("knn(k=5, mean=0, window=64)", 5, 2_040),
    ("lof(k=4, window=30)", 1, 680),
    ("lof(window=48)", 5, 1_670),
    ("one_class_svm(features=0)", 5, 670),
    ("one_class_svm(features=24)", 1, 830),
    ("ewma(half_life=20)", 1, 790),
    ("ewma(half_life=20)", 5, 3_250),
    ("ewma(half_life=150, smoothing=0.25)", 5, 2_600),
    ("seasonal(season_max=40)", 1, 1_250),
    ("seasonal(season_max=40)", 5, 5_850),
    ("seasonal(level=0.3, season=12)", 5, 3_450),
    ("seasonal", 1, 7_200),
    ("spectral_residual(window=64)", 1, 760),
    ("spectral_residual(window=64)", 5, 3_150),
    ("spectral_residual(window=256)", 5, 7_400),
    ("spectral_residual", 1, 1_000),
    ("discord(history=160, length=12)", 1, 780),
    ("discord(history=160, length=12)", 5, 3_300),
    ("discord(flat=0.1, history=256, length=10)", 5, 4_300),
    ("discord", 1, 2_500),
    ("autoencoder(hidden=3)", 1, 940),
    ("autoencoder(hidden=3)", 5, 4_200),
    ("autoencoder(hidden=2, rate=0.05, shingle=1)", 5, 3_150),
    ("autoencoder", 5, 6_000),
    ("novelty(short_rows=20)", 1, 4_550),
    (MEDIAN, 1, 3_900),
    (VOTE, 1, 9_900),
    ("ensemble(members=[robust_z(window=41), ewma(half_life=50)])", 5, 7_400),
    ("ensemble(combine=maximum, members=[ewma(half_life=50)])", 5, 3_250),
];

const MEDIAN: &str = "ensemble(combine=median, members=[robust_z(window=41), \
    half_space_trees(depth=4, trees=3, window=16), ewma(half_life=50)])";
const VOTE: &str = "ensemble(combine=vote, majority=0.75, members=[robust_z(weight=2, window=41), \
    autoencoder(hidden=2, shingle=1), auto])";

#[test]
fn full_models_are_small() {
    let (mut report, mut bad) = (String::new(), false);
    for (name, values, bytes_max) in BYTES_MAX {
        let algorithm = algorithm_of(name);
        let detector = detector(&algorithm);
        let mut bytes = [0; 3];
        for (bytes, row) in bytes.iter_mut().zip([Dice::calm_row, Dice::even_row, Dice::wide_row]) {
            let mut model = SeriesModel::new(&detector, *values, 5);
            let mut dice = Dice::new(5, *values);
            for at in 0..30_000 {
                go(&mut model, &Step::Row(row(&mut dice), true, 0));
                // Just before and after windows are full and tables are built.
                if at % 1000 > 990 {
                    *bytes = encoded(&model).len().max(*bytes);
                }
            }
        }
        bad |= bytes.iter().max() > Some(bytes_max);
        let memory = SeriesModel::bytes_for(&detector, *values);
        report += &format!(
            "{algorithm}, {values} values: {bytes:?} of {bytes_max}, {memory} in memory\n"
        );
    }
    print!("{report}");
    assert!(!bad, "bytes of encodings\n{report}");
    let listed =
        |sample: &&Algorithm| BYTES_MAX.iter().any(|(name, ..)| *name == sample.to_string());
    assert_eq!(SAMPLES.iter().filter(listed).count(), SAMPLES.len(), "a sample is not measured");
}

/// Bytes decode to an error, or to a model that takes whatever comes.
fn is_harmless(detector: &Detector, values: usize, mut bytes: &[u8], dice: &mut Dice) -> bool {
    let Ok(mut model) = SeriesModel::decode(detector, values, STATE_VERSION, &mut bytes) else {
        return true;
    };
    for _ in 0..150 {
        go(&mut model, &dice.step(detector));
    }
    assert_eq!(model.bytes(), SeriesModel::bytes_for(detector, values));
    decoded(detector, values, &encoded(&model)).is_ok()
}

#[test]
fn no_bytes_do_harm() {
    each(|detector, values| {
        let bytes = encoded(&grown(detector, values, 1500));
        let mut dice = Dice::new(11, values);
        for len in 0..bytes.len() {
            assert!(decoded(detector, values, &bytes[..len]).is_err(), "{len} bytes");
        }
        for _ in 0..1000 {
            let mut flipped = bytes.clone();
            let at = dice.below(flipped.len());
            flipped[at] ^= 1 << dice.below(8);
            assert!(is_harmless(detector, values, &flipped, &mut dice), "{at} of {flipped:?}");
            // Behind the head, which tells the algorithm and the number of values.
            let mut noise = bytes.clone();
            let from = dice.below(noise.len());
            let len = dice.below(40).min(noise.len() - from);
            let bytes = dice.noise(len);
            noise[from..from + len].copy_from_slice(&bytes);
            assert!(is_harmless(detector, values, &noise, &mut dice), "{from} of {noise:?}");
            let len = dice.below(400);
            let noise = dice.noise(len);
            assert!(is_harmless(detector, values, &noise, &mut dice), "{noise:?}");
        }
    });
}

/// The algorithm that is shown like this.
fn algorithm_of(shown: &str) -> Algorithm {
    if let Some(sample) = SAMPLES.iter().find(|sample| sample.to_string() == shown) {
        return sample.clone();
    }
    let (name, parameters) = shown.trim_end_matches(')').split_once('(').unwrap_or((shown, ""));
    let kind = Kind::ALL.iter().find(|kind| kind.name() == name).expect("an algorithm");
    let pairs = parameters.split(", ").filter_map(|pair| pair.split_once('='));
    let set = |algorithm: Algorithm, (name, value): (&str, &str)| {
        algorithm.with(name, value.parse().expect("a number"))
    };
    pairs.fold(Algorithm::new(*kind), set)
}

/// What a grown model of each sample encodes to. A changed encoding, or a changed model, needs a new
/// `STATE_VERSION`: then these change too, and only then.
const ENCODED: &[(&str, &str)] = &[
    ("auto", "e6ee734cc9f94204cc56a2b61ff9b97b"),
    ("robust_z(window=41)", "272674b15a81070dfc97c3c09f7e1820"),
    ("robust_z(window=64)", "4ced2a5135a1ad71dcb166769c715f7d"),
    ("half_space_trees(depth=1, trees=3, window=16)", "f2aa387f95ae67e307f079d55d949ac1"),
    ("half_space_trees(depth=8, trees=10, window=64)", "ea238c72718ec29ce666a8dd801a89fc"),
    ("novelty(short_rows=20)", "48e81b64e756ea8d416bff4347b37d2d"),
    ("random_cut_forest(sample=32, trees=10, window=128)", "9f54fc9bd0bbc1631ae3989cca0f3342"),
    (
        "random_cut_forest(sample=32, shingle=3, trees=8, window=96)",
        "f2fd075440fc4efa8c72594f78241259",
    ),
    ("isolation_forest(sample=32, trees=10, window=128)", "5c14bfd3ab5056cd2848dd199b00bd03"),
    (
        "isolation_forest(extended=1, sample=32, trees=10, window=100)",
        "70ed7fb1fb70c208daf11be2bebc8e7b",
    ),
    ("loda(window=64)", "6c0795f469e6c8328b39b59c6eecb109"),
    ("loda(projections=20, window=100)", "16e81ccafc853614ef55fe27f4f0ecf0"),
    ("mahalanobis(horizon=100)", "e940f362b1224c9bb71f6db82585a9aa"),
    ("mahalanobis(ridge=0.1)", "08e073ff54858e730383d9df747b2296"),
    ("lesinn(horizon=40, samples=3, size=5)", "9779bf40b6ebb8fdf902a9b21e3dc661"),
    ("lesinn(samples=4)", "a4c93c3d2d97756bcd1627ac9ad5c8f5"),
    ("fusion(gate=30, samples=4, size=8)", "9e072f95e90df104d2e24f3db5603ae3"),
    ("fusion(gate=500, samples=2)", "271cdcf6751891c09760973a3d7d2b8d"),
    ("knn(k=3, window=40)", "c4c3148ac94b9e861004edb6faea83b4"),
    ("knn(k=5, mean=0, window=64)", "a30bb01ed506a4d8ee6c1bd81174d23b"),
    ("lof(k=4, window=30)", "2766d7f8e72831921a26924ecb7580eb"),
    ("lof(window=48)", "ba0ca9456c12258ec925bb78bf760981"),
    ("one_class_svm(features=0)", "15bdccbf873d53813652338778483911"),
    ("one_class_svm(features=24)", "f0fce3daeb0335a2ada38dd3d5965242"),
    ("ewma(half_life=20)", "e891af2d4004c091a752bde6807f9d06"),
    ("ewma(half_life=150, smoothing=0.25)", "c3dfc49efae4fa395891bd9877692296"),
    ("seasonal(season_max=40)", "83c71615dcf2eaaa1901b69a7a1b31e4"),
    ("seasonal(level=0.3, season=12)", "5fb060dca8c8d7352057983ea5184bab"),
    ("spectral_residual(window=64)", "075d23028f1389abd8d983dc0a18947e"),
    ("spectral_residual(window=256)", "1b64d99d20a1014f4fe31b0b5a42ca3f"),
    ("discord(history=160, length=12)", "5a3d83a656d4a95a94950cf79bed4608"),
    ("discord(flat=0.1, history=256, length=10)", "64538a8b7fd807fa9cd9a41366cd2217"),
    ("autoencoder(hidden=3)", "24cbc5b9f97b39a65926d04062389a0e"),
    ("autoencoder(hidden=2, rate=0.05, shingle=1)", "c63e4bbfce607942c0b3c526d6a6a46e"),
    (
        "ensemble(members=[robust_z(window=41), ewma(half_life=50)])",
        "67b8b41b3c71e5e842318f4c680f925b",
    ),
    ("ensemble(combine=maximum, members=[ewma(half_life=50)])", "6d949904d5ac179fbcb3a78159833bc9"),
    (MEDIAN, "bbbfd90e5bbf590ad74210dd5c103a91"),
    (VOTE, "3be3a31696c46634bdc9fe0e39e4c082"),
];

#[test]
fn this_version_stays_as_it_is() {
    let grown_as = |sample| Id::of(&[&encoded(&grown(&detector(sample), 2, 800))]).to_string();
    let found: Vec<_> =
        SAMPLES.iter().map(|sample| (sample.to_string(), grown_as(sample))).collect();
    let expected: Vec<_> =
        ENCODED.iter().map(|(name, id)| (name.to_string(), id.to_string())).collect();
    assert_eq!(found, expected);
}
