//! Models that users give, as PyTorch and scikit-learn export them: they say what onnxruntime says (make_models.py
//! has recorded it), and a series judges that like any other score.
#![cfg(feature = "onnx")]

use std::{fs, path::Path};

use domain::{Algorithm, Combine, Detector, GivenModel, Kind};
use oddwatch_detect::{Assessment, Model, Networks, Row, STATE_VERSION, SeriesModel};

fn given(name: &str) -> GivenModel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx").join(name);
    GivenModel::new(name, fs::read(path).expect("a model"))
}

fn algorithm(name: &str) -> Algorithm {
    let mut algorithm = Algorithm::new(Kind::Onnx);
    algorithm.model = Some(given(name));
    algorithm
}

fn detector(algorithm: Algorithm) -> Detector {
    Detector { algorithm, ..Detector::implicit("s") }
}

/// The rows of a recorded file, cut behind the values.
fn recorded(name: &str, values: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx").join(name);
    let text = fs::read_to_string(path).expect("recorded results");
    let row = |line: &str| {
        let mut row: Vec<f64> = line.split(',').map(|x| x.parse().expect("a number")).collect();
        let said = row.split_off(values);
        (row, said)
    };
    text.lines().map(row).collect()
}

fn assess(model: &Model, row: &[f64]) -> Assessment {
    let mut out = Assessment::default();
    out.prepare(row.len(), 1);
    model.score(Row { values: row, at: 0 }, &mut out);
    out
}

/// Calls `check` with what we say of each recorded row and what onnxruntime said.
fn compare(name: &str, values: usize, check: impl Fn(&[f64], &Assessment, &[f64])) {
    let networks = Networks::default();
    let model = Model::new(&algorithm(&format!("{name}.onnx")), values, 1, &networks);
    let rows = recorded(&format!("{name}.csv"), values);
    assert!(rows.len() >= 20);
    for (row, said) in rows {
        check(&row, &assess(&model, &row), &said);
    }
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
}

#[test]
fn rebuilt_rows_are_those_of_onnxruntime() {
    compare("autoencoder", 4, |row, out, rebuilt| {
        let errors: Vec<f64> = row.iter().zip(rebuilt).map(|(x, y)| (x - y) * (x - y)).collect();
        let sum: f64 = errors.iter().sum();
        near(out.raw, (sum / 4.0).sqrt());
        for value in 0..4 {
            near(out.expected[value], rebuilt[value]);
            near(out.contributions[value], errors[value] / sum);
        }
    });
}

#[test]
fn probabilities_of_the_last_class_are_those_of_onnxruntime() {
    compare("classifier", 3, |_, out, probabilities| near(out.raw, probabilities[1]));
}

#[test]
fn scores_are_those_of_onnxruntime() {
    compare("distance", 5, |_, out, score| near(out.raw, score[0]));
}

/// Noise in ±1.
fn noise(at: usize) -> f64 {
    let mut x = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 31;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Sensors with the relation that the autoencoder was trained on, each in a unit of its own.
fn sensors(at: usize) -> [f64; 4] {
    let (a, b) = (1.7 * noise(3 * at), 1.7 * noise(3 * at + 1));
    let raw = [a, -a, 0.6 * a + 0.8 * b, b];
    let ranges = [(20.0, 3.0), (1000.0, 50.0), (0.5, 0.1), (-7.0, 2.0)];
    std::array::from_fn(|i| {
        ranges[i].0 + ranges[i].1 * (raw[i] + 0.05 * noise(11 * at + i + 70_000))
    })
}

/// Runs rows through a series; the last one is the odd one. Gives its score and the largest of the last thousand
/// others, and what is said of it.
fn run<const N: usize>(
    algorithm: Algorithm,
    row: impl Fn(usize) -> [f64; N],
    odd: [f64; N],
) -> (f64, f64, Assessment) {
    let detector = detector(algorithm);
    let mut networks = Networks::default();
    networks.read(&detector, Some(N)).expect("a model that can be run");
    let mut series = SeriesModel::sharing(&detector, N, 1, &networks);
    let (mut out, mut most) = (Assessment::default(), 0.0_f64);
    for at in 0..3000 {
        let score = series.assess(Row { values: &row(at), at: 0 }, true, 0, &mut out).score;
        most = if at >= 2000 { most.max(score) } else { 0.0 };
    }
    let score = series.assess(Row { values: &odd, at: 0 }, true, 0, &mut out).score;
    (score, most, out)
}

#[test]
fn a_broken_relation_has_the_highest_score_and_is_explained() {
    let [a, b, c, d] = sensors(3000);
    let far = if b > 1000.0 { -150.0 } else { 150.0 };
    let algorithm = algorithm("autoencoder.onnx").with("standardise", 1.0);
    let (score, most, out) = run(algorithm.clone(), sensors, [a, b + far, c, d]);
    assert!(score > 0.8 && score > most + 0.2, "{score} {most}");
    // The first two are one number's views: the model can't tell which of them lies.
    assert!(out.contributions[0] + out.contributions[1] > 0.7, "{:?}", out.contributions);
    let within = Algorithm::ensemble(Combine::Maximum, [algorithm, Algorithm::new(Kind::Ewma)]);
    let (score, most, _) = run(within, sensors, [a, b + far, c, d]);
    assert!(score > most, "{score} {most}");
}

#[test]
fn what_the_classifier_calls_odd_has_the_highest_score() {
    let usual = |at: usize| [45.0 + 20.0 * noise(at), 4.0 + 2.0 * noise(at + 9000), 1500.0];
    let (score, most, out) = run(algorithm("classifier.onnx"), usual, [90.0, 9.0, 1500.0]);
    assert!(out.raw > 0.7 && score > 0.5 && score > most + 0.2, "{score} {most} {out:?}");
}

#[test]
fn rows_are_seen_together_the_newest_last() {
    let networks = Networks::default();
    let shingled = algorithm("distance.onnx").with("shingle", 3.0);
    let mut model = Model::new(&shingled, 2, 1, &networks);
    let rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [f64::NAN, 7.0]];
    let mut raws = vec![];
    for row in rows {
        let out = assess(&model, &row);
        raws.push((out.raw, out.confidence > 0.0));
        model.learn(Row { values: &row, at: 0 }, &out);
    }
    assert_eq!(raws[..2], [(0.0, false), (0.0, false)], "there are no three rows yet");
    near(raws[2].0, 91.0_f64.sqrt());
    // The mean stands for what is missing.
    near(raws[3].0, (9.0 + 16.0 + 25.0 + 36.0 + 9.0 + 49.0_f64).sqrt());
    // Of four values in a row of two the classifier says nothing, for ever.
    let model = Model::new(&algorithm("classifier.onnx"), 2, 1, &networks);
    let out = assess(&model, &[1.0, 2.0]);
    assert_eq!((out.raw, out.confidence), (0.0, 0.0));
    assert!(out.levels[0].is_nan());
}

#[test]
fn a_series_goes_on_after_its_encoding() {
    for shingle in [1.0, 2.0] {
        for algorithm in [algorithm("autoencoder.onnx"), algorithm("distance.onnx")] {
            let detector = detector(algorithm.with("standardise", 1.0).with("shingle", shingle));
            let mut networks = Networks::default();
            // Eight inputs are too many for the autoencoder: its series says nothing, and goes on with that.
            let named = detector.algorithm.given().next().map(GivenModel::name);
            let runs = shingle == 1.0 || named == Some("distance.onnx");
            assert_eq!(networks.read(&detector, Some(4)).is_ok(), runs, "{detector:?}");
            let mut whole = SeriesModel::sharing(&detector, 4, 9, &networks);
            let promised = SeriesModel::bytes_for(&detector, 4);
            let (mut out, mut other) = (Assessment::default(), Assessment::default());
            for at in 0..400 {
                whole.assess(Row { values: &sensors(at), at: 0 }, true, 0, &mut out);
            }
            assert_eq!(whole.bytes(), promised);
            let mut bytes = vec![];
            whole.encode(&mut bytes);
            let rest = &mut &bytes[..];
            let decoded = SeriesModel::decode_sharing(&detector, 4, STATE_VERSION, &networks, rest);
            let mut decoded = decoded.expect("its own encoding");
            assert!(rest.is_empty() && decoded == whole);
            for at in 400..500 {
                if at == 450 {
                    whole.relearn();
                    decoded.relearn();
                }
                let values = sensors(at);
                let row = Row { values: &values, at: 0 };
                let (a, b) = (
                    whole.assess(row, true, 0, &mut out).score,
                    decoded.assess(row, true, 0, &mut other).score,
                );
                assert_eq!(a.to_bits(), b.to_bits());
            }
            for at in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << (at % 8);
                for bytes in [&bad[..], &bytes[..at]] {
                    let mut rest = bytes;
                    let decoded = SeriesModel::decode_sharing(
                        &detector,
                        4,
                        STATE_VERSION,
                        &networks,
                        &mut rest,
                    );
                    if let Ok(mut model) = decoded {
                        let values = sensors(at);
                        model.assess(Row { values: &values, at: 0 }, true, 0, &mut out);
                        assert_eq!(model.bytes(), promised);
                    }
                }
            }
            let mut changed = detector.clone();
            changed.algorithm.model = Some(given("classifier.onnx"));
            let other = SeriesModel::decode(&changed, 4, STATE_VERSION, &mut &bytes[..]);
            assert!(other.is_err(), "a model of another file");
        }
    }
}

#[test]
fn what_can_not_be_run_is_refused_with_the_reason() {
    let check = |algorithm: Algorithm, values: Option<usize>, wrong: &str| {
        let mut networks = Networks::default();
        let error = networks.read(&detector(algorithm), values).expect_err(wrong).to_string();
        assert!(error.contains(wrong), "{error}");
        assert!(error.starts_with("detector \"s\", algorithm."), "{error}");
        assert!(networks.is_empty());
    };
    check(algorithm("integers.onnx"), None, "model: integers.onnx: its input is I64, it must be F");
    check(algorithm("two_inputs.onnx"), None, "it has 2 inputs, it must have one");
    check(algorithm("many.onnx"), None, "its output must be of one row");
    check(algorithm("make_models.py"), None, "it is no ONNX model that can be run");
    check(algorithm("autoencoder.onnx"), Some(3), "it takes 4 inputs, not 3");
    check(algorithm("autoencoder.onnx").with("shingle", 3.0), None, "which are not 3 rows");
    check(
        algorithm("autoencoder.onnx").with("output", 2.0),
        None,
        "of 4 inputs it makes 4 outputs, which output = 2 can't mean",
    );
    let within = Algorithm::ensemble(Combine::Mean, [algorithm("integers.onnx")]);
    check(within, None, "algorithm.members[0].model: integers.onnx");
}

#[test]
fn damaged_models_are_refused() {
    for name in ["autoencoder.onnx", "distance.onnx"] {
        let bytes = given(name).bytes().to_vec();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            for bytes in [&bad[..], &bytes[..at]] {
                let mut algorithm = Algorithm::new(Kind::Onnx);
                algorithm.model = Some(GivenModel::new(name, bytes));
                // Read or refused, and asked if it was read.
                let model = Model::new(&algorithm, 4, 1, &Networks::default());
                let out = assess(&model, &[1.0, 2.0, 3.0, 4.0]);
                assert!(out.raw.is_finite());
            }
        }
    }
}

#[test]
fn models_are_read_once_and_forgotten_when_nobody_has_them() {
    let (one, other) =
        (detector(algorithm("autoencoder.onnx")), detector(algorithm("distance.onnx")));
    let mut networks = Networks::default();
    for detector in [&one, &other, &one] {
        networks.read(detector, None).expect("a model");
    }
    assert_eq!(networks.len(), 2);
    networks.keep([&other].into_iter());
    assert_eq!(networks.len(), 1);
    networks.keep(std::iter::empty());
    assert!(networks.is_empty());
}
