//! Series as nobody would wish them to be, through every algorithm: nothing panics, nothing that is said is
//! NaN where something is known, scores lie in [0, 1), memory is what was promised, and what was learned
//! survives being encoded.

use domain::{Algorithm, Detector};
use oddwatch_detect::{Assessment, Row, SAMPLES, STATE_VERSION, SeriesModel, Verdict};

/// 2^53: from here on not every whole number is a double.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// The least double above 0.
const LEAST: f64 = 5e-324;
/// Microseconds from one row to the next, and the first and last time that a record may have.
const MINUTE: i64 = 60_000_000;
const TIMES: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_799_999_999);

/// A series: how many values, how many rows, and the value at each row.
struct Case {
    name: &'static str,
    values: usize,
    rows: u64,
    value: fn(row: u64, value: u64) -> f64,
}

const fn case(name: &'static str, value: fn(u64, u64) -> f64) -> Case {
    Case { name, values: 3, rows: 1_200, value }
}

const CASES: &[Case] = &[
    // Few rows: the Mahalanobis distance inverts a matrix of 1,000 x 1,000 at most of the first ones.
    Case { name: "1,000 features", values: 1_000, rows: 16, value: saw },
    Case { name: "1,000 features, most missing", values: 1_000, rows: 16, value: rarely },
    Case { name: "one value, then silence, alone", values: 1, rows: 1_200, value: once },
    case("one value, then silence", once),
    case(
        "one value of three, then silence",
        |row, value| if value == 1 { once(row, 1) } else { f64::NAN },
    ),
    case("counters beyond 2^53", |row, value| WHOLE_MAX * 4.0 + (row * 64 * (value + 1)) as f64),
    case("counters that grow by less than a double can tell", |row, _| {
        WHOLE_MAX * 64.0 + row as f64
    }),
    case("counters that wrap", |row, _| (u64::MAX - 500_000).wrapping_add(row * 997) as f64),
    case("constant", |_, value| [5.0, 0.0, -1e12][value as usize]),
    case(
        "constant, then another one",
        |row, _| if row < 600 { 5.0 } else { 5.000_000_000_000_001 },
    ),
    case("all missing", |_, _| f64::NAN),
    case("infinite", |row, _| if row % 2 == 0 { f64::INFINITY } else { f64::NEG_INFINITY }),
    case("infinite now and then", |row, v| if row % 9 == 4 { f64::INFINITY } else { saw(row, v) }),
    case("steps of 1e308", |row, _| if row / 100 % 2 == 0 { 1e308 } else { -1e308 }),
    case("one step to 1e308 and back", |row, v| if row == 700 { 1e308 } else { saw(row, v) }),
    case(
        "steps to the largest double",
        |row, _| if row / 7 % 2 == 0 { f64::MAX } else { f64::MIN },
    ),
    case("larger and larger", |row, value| libm::exp((row * (value + 1)) as f64 / 3.0)),
    case("smaller and smaller", |row, value| libm::exp(-((row * (value + 1)) as f64) / 3.0)),
    case("subnormals", |row, value| LEAST * (row * (value + 3) % 7) as f64),
    case(
        "subnormals and ones",
        |row, _| if row % 50 == 49 { 1.0 } else { LEAST * (row % 3) as f64 },
    ),
    case("-0", |_, _| -0.0),
    case("-0 and 0", |row, value| if (row + value) % 3 == 0 { -0.0 } else { 0.0 }),
    case("alternating", |row, value| if (row + value) % 2 == 0 { 1.0 } else { -1.0 }),
    case("alternating, huge", |row, _| if row % 2 == 0 { 1e300 } else { -1e300 }),
    case("alternating, tiny", |row, _| if row % 2 == 0 { LEAST } else { -LEAST }),
    case("values by turns", |row, value| if row % 3 == value { saw(row, value) } else { f64::NAN }),
    case(
        "a value that comes late",
        |row, v| if v == 2 && row < 900 { f64::NAN } else { saw(row, v) },
    ),
    case("copies of one value", |row, _| saw(row, 0)),
    case("two numbers an ulp apart", |row, _| if row % 2 == 0 { 1.0 } else { 1.0 + f64::EPSILON }),
];

/// An ordinary value.
fn saw(row: u64, value: u64) -> f64 {
    (row * (37 + 2 * value) % 101) as f64 + 10.0 * value as f64
}

fn rarely(row: u64, value: u64) -> f64 {
    if (row * 7 + value).is_multiple_of(97) { saw(row, value) } else { f64::NAN }
}

fn once(row: u64, _: u64) -> f64 {
    if row == 0 { 7.0 } else { f64::NAN }
}

/// What is said of a row makes sense; `row` says which, for the message.
fn check(verdict: &Verdict<'_>, known: bool, row: &str) {
    assert!((0.0..1.0).contains(&verdict.score), "{row}: score {}", verdict.score);
    assert!((0.0..1.0).contains(&verdict.alert), "{row}: alert {}", verdict.alert);
    assert!((0.0..1.0).contains(&verdict.threshold), "{row}: threshold {}", verdict.threshold);
    assert!((0.0..=1.0).contains(&verdict.confidence), "{row}: {}", verdict.confidence);
    assert!(verdict.raw.is_finite(), "{row}: raw score {}", verdict.raw);
    assert!(verdict.contributions.iter().all(|share| (0.0..=1.0).contains(share)), "{row}");
    let (sum, whole) = (verdict.contributions.iter().sum::<f64>(), f64::from(u8::from(known)));
    assert!((sum - whole).abs() < 1e-9, "{row}: shares sum to {sum}");
    for ((expected, lower), upper) in verdict.expected.iter().zip(verdict.lower).zip(verdict.upper)
    {
        let told = [expected, lower, upper].map(|number| number.is_finite());
        let unknown = [expected, lower, upper].map(|number| number.is_nan());
        let range = format!("{row}: {expected} of {lower} to {upper}");
        assert!(told == [true; 3] || unknown == [true; 3], "{range}");
        assert!(unknown[0] || (lower <= expected && expected <= upper), "{range}");
    }
    if !known {
        assert_eq!(
            (verdict.score, verdict.confidence, verdict.is_anomaly),
            (0.0, 0.0, false),
            "{row}"
        );
    }
}

fn run(algorithm: &Algorithm, case: &Case) {
    let mut detector = Detector::implicit("s");
    detector.algorithm = algorithm.clone();
    let promised = SeriesModel::bytes_for(&detector, case.values);
    let mut model = SeriesModel::new(&detector, case.values, 1);
    assert_eq!(model.bytes(), promised, "{algorithm}");
    let (mut out, mut values) = (Assessment::default(), vec![]);
    let mut seen = vec![false; case.values];
    for row in 0..case.rows {
        values.clear();
        values.extend((0..case.values as u64).map(|value| (case.value)(row, value)));
        // The last rows come at the last moment of time, after one at the first.
        let at = match case.rows - row {
            2 => TIMES.0,
            1 => TIMES.1,
            _ => row as i64 * MINUTE,
        };
        let known = values.iter().any(|value| value.is_finite());
        let learn = row % 11 < 10;
        let verdict = model.assess(Row { values: &values, at }, learn, at, &mut out);
        let place = || format!("{algorithm}, {}, row {row}", case.name);
        check(&verdict, known, &place());
        for (value, seen) in seen.iter_mut().enumerate() {
            // What was learned can be expected, and what never came is not.
            assert!(*seen || verdict.expected[value].is_nan(), "{}", place());
            *seen |= learn && values[value].is_finite();
        }
    }
    assert_eq!(model.bytes(), promised, "{algorithm}, {}", case.name);
    let mut bytes = vec![];
    model.encode(&mut bytes);
    let decoded = SeriesModel::decode(&detector, case.values, STATE_VERSION, &mut &*bytes);
    let mut again = vec![];
    decoded.expect("what was encoded can be decoded").encode(&mut again);
    assert!(bytes == again, "{algorithm}, {}", case.name);
}

fn run_all(wanted: impl Fn(&Case) -> bool) {
    for algorithm in &*SAMPLES {
        CASES.iter().filter(|case| wanted(case)).for_each(|case| run(algorithm, case));
    }
}

#[test]
fn whatever_comes_is_taken() {
    run_all(|case| case.values < 1_000);
}

#[test]
fn a_thousand_features_are_taken() {
    run_all(|case| case.values == 1_000);
}
