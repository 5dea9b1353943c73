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
    ("seasonal(season_max=40)", 1, 1_252),
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
    ("auto", "1b79f100a53f4928180ae86dd2f94f79"),
    ("robust_z(window=41)", "f1213000d026db215f640b99cad52320"),
    ("robust_z(window=64)", "3a8a9a6f14d4bf2adecde3cedb5967c0"),
    ("half_space_trees(depth=1, trees=3, window=16)", "ea5e14c3d4757787d86edb67e5615512"),
    ("half_space_trees(depth=8, trees=10, window=64)", "51eeecc3f2870d464162620f91d8330f"),
    ("novelty(short_rows=20)", "38ec62d96ca5af218b776d90bac3690f"),
    ("random_cut_forest(sample=32, trees=10, window=128)", "0ead86edb3afe17c1413b32a3f2b1e02"),
    (
        "random_cut_forest(sample=32, shingle=3, trees=8, window=96)",
        "237e81d39534bc7074be3237623af58f",
    ),
    ("isolation_forest(sample=32, trees=10, window=128)", "09651e7cca7daf3a3c467d35a08f9287"),
    (
        "isolation_forest(extended=1, sample=32, trees=10, window=100)",
        "1a9fa11b3add34580856b6ec6f5207c0",
    ),
    ("loda(window=64)", "fb9b93e6ea65cedfb6694cada1bcc219"),
    ("loda(projections=20, window=100)", "7e5e0b6e1b3f34c3a43500fc5bebdb85"),
    ("mahalanobis(horizon=100)", "2e60f9b7faf603e463d1bd4d2a4347f6"),
    ("mahalanobis(ridge=0.1)", "cfe6e7c669ebafb4ccebc59afb7f05d5"),
    ("lesinn(horizon=40, samples=3, size=5)", "64920a72b80d5dbb091ff7ec271df1fd"),
    ("lesinn(samples=4)", "3b6cb67331ccc9c44f75aca89efa2828"),
    ("fusion(gate=30, samples=4, size=8)", "f3ed15a378a620c6cceaadd5fcfaaa19"),
    ("fusion(gate=500, samples=2)", "2ec1d7670366e9ecfc62f521afff1b98"),
    ("knn(k=3, window=40)", "c71ccd65b6927571b7b12682bc47debd"),
    ("knn(k=5, mean=0, window=64)", "897f5e79120985529cb3d1a5feea9fa5"),
    ("lof(k=4, window=30)", "97ec379ca1fda004d6bccf3c5941edfe"),
    ("lof(window=48)", "9723288e055209cff87c977a788ab79c"),
    ("one_class_svm(features=0)", "e5f37ed5a182e094236326d00d87ca86"),
    ("one_class_svm(features=24)", "8b7a22e6a7cb6eb0bdea0a5f60c562ac"),
    ("ewma(half_life=20)", "613cc8139489560f5df3e4bea7d360a1"),
    ("ewma(half_life=150, smoothing=0.25)", "a7527f37d5d22e66172fead706fcd6e4"),
    ("seasonal(season_max=40)", "8d90ee34490c852f8ccbd59730c1cd89"),
    ("seasonal(level=0.3, season=12)", "c77eae0d888806a4e7844ab3c6878adb"),
    ("spectral_residual(window=64)", "69abe1cd70962d456a5f0717365bf91f"),
    ("spectral_residual(window=256)", "ec51f7bc9f49cffaa357abded902e390"),
    ("discord(history=160, length=12)", "2d65b544e8faa1c9de47594f12c7d256"),
    ("discord(flat=0.1, history=256, length=10)", "92d71e95ed54638454ce7c310b730da3"),
    ("autoencoder(hidden=3)", "19e285b236824c65cc66d3319fa359e7"),
    ("autoencoder(hidden=2, rate=0.05, shingle=1)", "251f7c7fb628b5c2831de42f7555a28c"),
    ("pca(horizon=100)", "fe95eb327818199f2f17ecaf07382082"),
    ("pca(components=1)", "8e80b55f676f005d244a4e841a4b8d9b"),
    (
        "ensemble(members=[robust_z(window=41), ewma(half_life=50)])",
        "2bc7948644ee61184ee5dc8b30f11b3b",
    ),
    ("ensemble(combine=maximum, members=[ewma(half_life=50)])", "6ff7aaf7e4b968b5311aa1f544234f49"),
    (STACK, "930e438d5e0c903509c7a7af71cab52f"),
    (MEDIAN, "898aea9edf5c943e8fb95544c7a68b27"),
    (VOTE, "4b5d3eb6018f46264b49e088a355ec89"),
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
