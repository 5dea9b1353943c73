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
    ("half_space_trees(depth=1, trees=3, window=16)", 1, 830),
    ("half_space_trees(depth=1, trees=3, window=16)", 5, 2_750),
    ("half_space_trees(depth=8, trees=10, window=64)", 5, 3_550),
    ("half_space_trees", 1, 2_100),
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
    ("pca(horizon=100)", 1, 660),
    ("pca(horizon=100)", 5, 760),
    ("pca(components=1)", 40, 1_770),
    ("novelty(short_rows=20)", 1, 4_550),
    (MEDIAN, 1, 2_800),
    (VOTE, 1, 9_900),
    ("ensemble(members=[robust_z(window=41), ewma(half_life=50)])", 5, 7_400),
    ("ensemble(combine=maximum, members=[ewma(half_life=50)])", 5, 3_250),
    (STACK, 1, 6_500),
];

const MEDIAN: &str = "ensemble(combine=median, members=[robust_z(window=41), \
    half_space_trees(depth=4, trees=3, window=16), ewma(half_life=50)])";
const STACK: &str =
    "ensemble(combine=stack, members=[robust_z(window=41), ewma(half_life=50, weight=3)])";
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
    ("auto", "309b8a818c067adad713525e2f72413e"),
    ("robust_z(window=41)", "67f92bc2330d69685b565a3b09efe8aa"),
    ("robust_z(window=64)", "c52fd237c16eb57cb58d1deeff10578e"),
    ("half_space_trees(depth=1, trees=3, window=16)", "3f0fd8ceacf804cc9e906219a6c2d71a"),
    ("half_space_trees(depth=8, trees=10, window=64)", "0c8f06e3774402f1ad2bfb285811d11a"),
    ("novelty(short_rows=20)", "09176f2d94a0a4f63e675c6d2d66fe69"),
    ("random_cut_forest(sample=32, trees=10, window=128)", "8579662db0cdff0e74beb5c222b7b9c6"),
    (
        "random_cut_forest(sample=32, shingle=3, trees=8, window=96)",
        "4cc4cff6131e339fa197fa89e51e08b0",
    ),
    ("isolation_forest(sample=32, trees=10, window=128)", "d83715ae7939fd51fc71ca6695a838df"),
    (
        "isolation_forest(extended=1, sample=32, trees=10, window=100)",
        "9622cb1a405488cc111769a55b88ec69",
    ),
    ("loda(window=64)", "2e75b73baa1d36dba22f829c04746c55"),
    ("loda(projections=20, window=100)", "e8b98fcedbac205b953127a35db658df"),
    ("mahalanobis(horizon=100)", "ec123b02d582a6b48d5f9c1c29527948"),
    ("mahalanobis(ridge=0.1)", "1ffbd56bd54f658ce83990fcbef1789d"),
    ("lesinn(horizon=40, samples=3, size=5)", "550044c38c34327dafd17a5a9cd0d0e8"),
    ("lesinn(samples=4)", "38c99011db2d4da9f9ec4716d4673785"),
    ("fusion(gate=30, samples=4, size=8)", "a12fa125fecd3781ad95624b8908b063"),
    ("fusion(gate=500, samples=2)", "af2f83c1a2034fee2d4dcb5e423f204d"),
    ("knn(k=3, window=40)", "29b45332544cec433b6cf23e0d0d3892"),
    ("knn(k=5, mean=0, window=64)", "624f256e5a2b9cc0eecdda3ada5e3a8c"),
    ("lof(k=4, window=30)", "d7cf539b144da62bd516160cb2d2b44a"),
    ("lof(window=48)", "a008b3ef2fd63bd5ba7b83b814de0933"),
    ("one_class_svm(features=0)", "3190d4c3f2dee21414481db563e3cdd6"),
    ("one_class_svm(features=24)", "41d3e59701424342ac694095865b921a"),
    ("ewma(half_life=20)", "d2d6f05023839a1e3b0695ef74738d7b"),
    ("ewma(half_life=150, smoothing=0.25)", "4ef498f7dae17a05b21de4a507823b56"),
    ("seasonal(season_max=40)", "4789710a344071d2bd13bc841e651e9c"),
    ("seasonal(level=0.3, season=12)", "3bb3d13a14c94178a7241fb1f8d2256b"),
    ("spectral_residual(window=64)", "bf972d48d75741a5671fd869a6860a09"),
    ("spectral_residual(window=256)", "fbcbcf8787ca1fa2604fbee807774d22"),
    ("discord(history=160, length=12)", "53fdef329f76072d10a7d78c6b0fbb10"),
    ("discord(flat=0.1, history=256, length=10)", "7e7b65d7381935a07316455bc55367f8"),
    ("autoencoder(hidden=3)", "b0c88354f5bad25b5287e22ec06daacd"),
    ("autoencoder(hidden=2, rate=0.05, shingle=1)", "4db0d5f27446589c7a87d5403a07b1de"),
    ("pca(horizon=100)", "9830e8c11abbbfd4fc7f1468d3fc80d1"),
    ("pca(components=1)", "4002e97d4f819fe4b20868bad3d7ceb4"),
    (
        "ensemble(members=[robust_z(window=41), ewma(half_life=50)])",
        "f07f9340d73b32f4d1f030a0c2c1a79d",
    ),
    ("ensemble(combine=maximum, members=[ewma(half_life=50)])", "5992d1515e1967d72e5739e28a79e1e2"),
    (STACK, "85be55a2ba46ed9209450e06d7a99081"),
    (MEDIAN, "14fa82bcde145b86b3b659a38e8eb92b"),
    (VOTE, "96d5c898c34590bd9f114cb263370629"),
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
