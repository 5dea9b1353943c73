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
    ("auto", 1, 2_700),
    ("auto", 5, 2_200),
    ("auto", 40, 19_200),
    ("robust_z(window=41)", 1, 930),
    ("robust_z(window=64)", 1, 1_120),
    ("robust_z(window=64)", 5, 5_250),
    ("robust_z(window=10000)", 1, 80_700),
    ("half_space_trees(depth=1, trees=3, window=16)", 1, 760),
    ("half_space_trees(depth=1, trees=3, window=16)", 5, 2_350),
    ("half_space_trees(depth=8, trees=10, window=64)", 5, 2_800),
    ("half_space_trees", 1, 17_300),
    ("random_cut_forest(sample=32, trees=10, window=128)", 1, 2_050),
    ("random_cut_forest(sample=32, trees=10, window=128)", 5, 3_200),
    ("random_cut_forest(sample=32, shingle=3, trees=8, window=96)", 1, 1_700),
    ("random_cut_forest", 1, 37_000),
    ("isolation_forest(sample=32, trees=10, window=128)", 1, 2_600),
    ("isolation_forest(sample=32, trees=10, window=128)", 5, 5_400),
    ("isolation_forest(extended=1, sample=32, trees=10, window=100)", 5, 6_200),
    ("isolation_forest", 5, 54_500),
    ("loda(window=64)", 1, 7_200),
    ("loda(projections=20, window=100)", 5, 3_000),
    ("loda", 5, 52_500),
    ("mahalanobis(horizon=100)", 1, 480),
    ("mahalanobis(horizon=100)", 5, 650),
    ("mahalanobis(ridge=0.1)", 40, 8_100),
    ("lesinn(horizon=40, samples=3, size=5)", 1, 450),
    ("lesinn(samples=4)", 5, 1_250),
    ("fusion(gate=30, samples=4, size=8)", 1, 590),
    ("fusion(gate=500, samples=2)", 5, 1_260),
    ("fusion", 8, 3_300),
    ("knn(k=3, window=40)", 1, 720),
    ("knn(k=5, mean=0, window=64)", 5, 1_960),
    ("lof(k=4, window=30)", 1, 600),
    ("lof(window=48)", 5, 1_620),
    ("one_class_svm(features=0)", 5, 600),
    ("one_class_svm(features=24)", 1, 760),
    ("ewma(half_life=20)", 1, 750),
    ("ewma(half_life=20)", 5, 3_250),
    ("ewma(half_life=150, smoothing=0.25)", 5, 2_600),
    ("seasonal(season_max=40)", 1, 1_250),
    ("seasonal(season_max=40)", 5, 5_850),
    ("seasonal(level=0.3, season=12)", 5, 3_450),
    ("seasonal", 1, 7_200),
    ("spectral_residual(window=64)", 1, 700),
    ("spectral_residual(window=64)", 5, 3_150),
    ("spectral_residual(window=256)", 5, 7_400),
    ("spectral_residual", 1, 1_000),
    ("discord(history=160, length=12)", 1, 750),
    ("discord(history=160, length=12)", 5, 3_300),
    ("discord(flat=0.1, history=256, length=10)", 5, 4_300),
    ("discord", 1, 2_500),
    ("autoencoder(hidden=3)", 1, 900),
    ("autoencoder(hidden=3)", 5, 4_200),
    ("autoencoder(hidden=2, rate=0.05, shingle=1)", 5, 3_150),
    ("autoencoder", 5, 6_000),
    ("ensemble(members=[robust_z(window=41), ewma(half_life=50)])", 5, 7_400),
    ("ensemble(combine=maximum, members=[ewma(half_life=50)])", 5, 3_250),
    (MEDIAN, 5, 9_750),
    (VOTE, 5, 11_600),
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
    ("auto", "62da9fa03e9a41041a7d195e8ed98f09"),
    ("robust_z(window=41)", "e4e4e75a3932a03802ceb91e9f1a89ff"),
    ("robust_z(window=64)", "be9a59090db2f6b655ed84fcdb800b1f"),
    ("half_space_trees(depth=1, trees=3, window=16)", "1f21d255cffa483a8e910045e3922d26"),
    ("half_space_trees(depth=8, trees=10, window=64)", "8332f2e62d1286ffe6db984fb5c6530b"),
    ("auto", "76cefa8a2ab3b03e467de73179bbaa0a"),
    ("auto", "4ce26e18bd88df436c4c9282315e578b"),
    ("robust_z(window=41)", "3f9842ee26ae91c92ddcc8bb208c8443"),
    ("robust_z(window=64)", "c3a98f16c8cc050f948234ea754e5621"),
    ("half_space_trees(depth=1, trees=3, window=16)", "a505c669ae46a0dd3e32765abb2b0d9e"),
    ("half_space_trees(depth=8, trees=10, window=64)", "f53f494e586363b641c77873f7c4f350"),
    ("random_cut_forest(sample=32, trees=10, window=128)", "5528e614efc2fdbc3a88e5dd2294866f"),
    (
        "random_cut_forest(sample=32, shingle=3, trees=8, window=96)",
        "30e4195c79df4aff61d66c4ee06cc2c0",
    ),
    ("isolation_forest(sample=32, trees=10, window=128)", "3cbd0107445b6dd1ac2d0f365302a456"),
    (
        "isolation_forest(extended=1, sample=32, trees=10, window=100)",
        "2625399cbfe4ce4530d2869ea221b13b",
    ),
    ("loda(window=64)", "957e33f378782f09174a703be429b76a"),
    ("loda(projections=20, window=100)", "dd8c0802e66831f7995fd878e5deb103"),
    ("mahalanobis(horizon=100)", "5ad4059319b9d0b556704c926e1dfd63"),
    ("mahalanobis(ridge=0.1)", "ae8fbe4f6bf996a9415e752a8e3d5a3f"),
    ("lesinn(horizon=40, samples=3, size=5)", "4df46f584033db523452588a5a8fd7fb"),
    ("lesinn(samples=4)", "bff70792b742ce1ce90eb6dbadcb678d"),
    ("fusion(gate=30, samples=4, size=8)", "8266c0abd10d45e1108fc9e07165dc85"),
    ("fusion(gate=500, samples=2)", "2a87afab505906a93144e81b906cb0d3"),
    ("knn(k=3, window=40)", "f0d9c6b2ff2092fd558c6d494adb3d88"),
    ("knn(k=5, mean=0, window=64)", "d575c810bedbb4f71fd6d7f9b5169d9c"),
    ("lof(k=4, window=30)", "f21a148d9686bae1e1da43be07cba683"),
    ("lof(window=48)", "3ebcf5b34740881968f4334bcc543f8c"),
    ("one_class_svm(features=0)", "050aaf2cab60c206860c0157dfc2a10c"),
    ("one_class_svm(features=24)", "52f26c86226bce95ff36c3c96f46132f"),
    ("ewma(half_life=20)", "6a28d71f60a2dcb83dc02e2f623a909c"),
    ("ewma(half_life=150, smoothing=0.25)", "43bc38eff596431eb0232f63758ed140"),
    ("seasonal(season_max=40)", "b5f624ee94f5ecda83b8c3a1afced5b3"),
    ("seasonal(level=0.3, season=12)", "3c550dff54031dd1c33f1c2e9315dcd1"),
    ("spectral_residual(window=64)", "b3f9b48bf09ea793edd4086e9b272b2b"),
    ("spectral_residual(window=256)", "3c0962630336291a5fdfb738162e5a4b"),
    ("discord(history=160, length=12)", "cb136d6438234811803f8bfa5273fcc5"),
    ("discord(flat=0.1, history=256, length=10)", "a1230136615ce1d1db3e3787acd32954"),
    ("autoencoder(hidden=3)", "1ab18f852e63530d343df7a1a597ca97"),
    ("autoencoder(hidden=2, rate=0.05, shingle=1)", "bf1f11dce0ebe67b4e770d5cccc12072"),
    (
        "ensemble(members=[robust_z(window=41), ewma(half_life=50)])",
        "0ea8d61862b8c297ecb923baa3beef94",
    ),
    ("ensemble(combine=maximum, members=[ewma(half_life=50)])", "ab17f0c63e91a076c12172243752e934"),
    (MEDIAN, "e88973c652cf0868e6b82bfdb799c991"),
    (VOTE, "1df4709441174aacd6097bf22cf4524b"),
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
