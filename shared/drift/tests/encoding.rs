//! What a monitor has learned survives being encoded: from any cut on its findings are the same,
//! bit for bit; the encoding is small; and no bytes do harm.

use domain::{DriftTest, Id};
use oddwatch_drift::{DecodeError, Found, Mark, Monitor, STATE_VERSION, TESTS};
use proptest::prelude::*;

const VALUES: [usize; 3] = [1, 2, 5];
const RUN_LENGTH: u64 = 1_000;

/// Values that break arithmetic or are none.
const WILD: [f64; 12] = [
    1e308,
    -1e308,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    -0.0,
    0.0,
    5e-324,
    -f64::MIN_POSITIVE / 3.0,
    1e150,
    -1e150,
];

/// Random numbers (SplitMix64), and how each value behaves for now.
struct Dice {
    state: u64,
    moods: Vec<(u64, f64)>,
}

impl Dice {
    fn new(seed: u64, values: usize) -> Self {
        Self { state: seed, moods: vec![(0, 0.0); values] }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.next().is_multiple_of(many)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn calm_row(&mut self) -> Vec<f64> {
        (0..self.moods.len()).map(|_| self.uniform() + self.uniform()).collect()
    }

    /// A row with steps, bursts, constants, missing and wild values.
    fn row(&mut self) -> Vec<f64> {
        let values = 0..self.moods.len();
        let value = |value: usize| {
            if self.one_in(300) {
                self.moods[value] = (self.next() % 7, 20.0 * self.uniform());
            }
            let (mood, level) = self.moods[value];
            match mood {
                0..3 => level + self.uniform() + if self.one_in(90) { 1e4 } else { 0.0 },
                3 => level,
                4 if self.one_in(3) => f64::NAN,
                4 => 1e6 * self.uniform(),
                5 => (self.next() % 4) as f64,
                _ if self.one_in(9) => WILD[self.below(WILD.len())],
                _ => -level - self.uniform(),
            }
        };
        values.map(value).collect()
    }
}

fn encoded(monitor: &Monitor) -> Vec<u8> {
    let mut out = vec![];
    monitor.encode(&mut out);
    out
}

fn decoded(tests: &[DriftTest], values: usize, mut bytes: &[u8]) -> Result<Monitor, DecodeError> {
    let monitor = Monitor::decode(tests, values, STATE_VERSION, &mut bytes)?;
    assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
    Ok(monitor)
}

/// The monitor as it comes back; encoded again it is the same bytes.
fn back(tests: &[DriftTest], values: usize, monitor: &Monitor) -> Monitor {
    let bytes = encoded(monitor);
    let monitor = decoded(tests, values, &bytes).expect("what was encoded can be decoded");
    assert_eq!(encoded(&monitor), bytes);
    monitor
}

fn mark(row: u64) -> Mark {
    Mark { row, at: row as i64 }
}

/// A row's finding, as text that tells each number apart from any other.
fn go(monitor: &mut Monitor, row: &[f64], number: u64) -> Option<String> {
    let found: Found = monitor.push(row, mark(number))?;
    Some(format!("{found:?}"))
}

/// Calls with each test alone, all of them, and none, for some numbers of values.
fn each(mut check: impl FnMut(&[DriftTest], usize)) {
    for tests in TESTS.chunks(1).chain([TESTS, &[]]) {
        VALUES.iter().for_each(|&values| check(tests, values));
    }
}

fn grown(tests: &[DriftTest], values: usize, rows: usize) -> Monitor {
    let mut monitor = Monitor::new(tests, RUN_LENGTH, values);
    let mut dice = Dice::new(7, values);
    for row in 0..rows {
        monitor.push(&dice.row(), mark(row as u64));
    }
    monitor
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn a_decoded_monitor_goes_on_bit_by_bit(seed: u64, cuts in 1_u64..400) {
        let mut found = 0;
        each(|tests, values| {
            let mut whole = Monitor::new(tests, RUN_LENGTH, values);
            let mut cut = whole.clone();
            let mut dice = Dice::new(seed, values);
            for at in 0..5000 {
                if dice.one_in(cuts) {
                    cut = back(tests, values, &cut);
                }
                let row = dice.row();
                let (expected, got) = (go(&mut whole, &row, at), go(&mut cut, &row, at));
                found += usize::from(got.is_some());
                assert_eq!(expected, got, "{tests:?}, {values} values, row {at}: {row:?}");
            }
            assert_eq!(encoded(&whole), encoded(&cut));
            assert_eq!(whole.bytes(), cut.bytes());
        });
        assert!(found > 0, "rows without a drift are no test");
    }
}

#[test]
fn every_early_row_can_be_the_cut() {
    each(|tests, values| {
        let mut monitor = Monitor::new(tests, RUN_LENGTH, values);
        let mut dice = Dice::new(3, values);
        for at in 0..300_u64 {
            let (mut whole, mut cut) = (monitor.clone(), back(tests, values, &monitor));
            for next in at..at + 80 {
                let mut row = dice.calm_row();
                row.iter_mut().for_each(|value| *value += (at / 100 * 50) as f64);
                let expected = go(&mut whole, &row, next);
                assert_eq!(expected, go(&mut cut, &row, next), "{tests:?} {at}");
            }
            monitor.push(&dice.row(), mark(at));
        }
    });
}

/// The largest values there can be lead to nothing that decoding would take for damage.
#[test]
fn extremes_are_no_damage() {
    each(|tests, values| {
        for huge in [f64::MAX, 1e150, f64::MIN_POSITIVE, 5e-324] {
            let mut monitor = Monitor::new(tests, RUN_LENGTH, values);
            let mut dice = Dice::new(9, values);
            for at in 0..3000_u64 {
                let sign = if dice.one_in(2 + at / 300) { -huge } else { huge };
                monitor.push(&vec![sign; values], mark(at));
                if at % 50 == 0 {
                    back(tests, values, &monitor);
                }
            }
        }
    });
}

#[test]
fn another_monitor_is_told() {
    let bytes = encoded(&grown(TESTS, 2, 500));
    for (tests, values) in [(TESTS, 3), (&TESTS[..1], 2), (&TESTS[1..], 2), (&[], 2)] {
        let error = decoded(tests, values, &bytes).expect_err("of another series");
        assert!(matches!(error, DecodeError::Other { .. }), "{error}");
    }
    for version in [0, STATE_VERSION - 1, STATE_VERSION + 1, u32::MAX] {
        let error = Monitor::decode(TESTS, 2, version, &mut &bytes[..]).expect_err("other");
        let text = error.to_string();
        assert!(text.contains(&format!("version {version};")), "{text}");
        assert!(text.ends_with(&format!("to {STATE_VERSION}")), "{text}");
    }
}

#[test]
fn full_monitors_are_small() {
    // Of one value, and of each one of five: in memory, and encoded.
    let check = |tests: &[DriftTest], values: usize, memory_max: usize, bytes_max: usize| {
        let monitor = grown(tests, values, 20_000);
        let (memory, bytes) = (monitor.bytes(), encoded(&monitor).len());
        assert_eq!(memory, Monitor::new(tests, RUN_LENGTH, values).bytes());
        assert!(memory <= memory_max && bytes <= bytes_max, "{memory} and {bytes} bytes");
    };
    check(&DriftTest::DEFAULT, 1, 3_500, 2_800);
    check(&DriftTest::DEFAULT, 5, 25_000, 20_000);
    check(&[], 5, 500, 50);
}

/// Bytes decode to an error, or to a monitor that takes whatever comes.
fn is_harmless(tests: &[DriftTest], values: usize, mut bytes: &[u8], dice: &mut Dice) -> bool {
    let Ok(mut monitor) = Monitor::decode(tests, values, STATE_VERSION, &mut bytes) else {
        return true;
    };
    for row in 0..300 {
        monitor.push(&dice.row(), mark(1 << 62 | row));
    }
    assert_eq!(monitor.bytes(), Monitor::new(tests, RUN_LENGTH, values).bytes());
    decoded(tests, values, &encoded(&monitor)).is_ok()
}

#[test]
fn no_bytes_do_harm() {
    each(|tests, values| {
        let bytes = encoded(&grown(tests, values, 3000));
        let mut dice = Dice::new(11, values);
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 500) {
            assert!(decoded(tests, values, &bytes[..len]).is_err(), "{len} bytes");
        }
        for _ in 0..200 {
            let mut flipped = bytes.clone();
            let at = dice.below(flipped.len());
            flipped[at] ^= 1 << dice.below(8);
            assert!(is_harmless(tests, values, &flipped, &mut dice), "{at} of {flipped:?}");
            let mut noise = bytes.clone();
            let from = dice.below(noise.len());
            let len = dice.below(40).min(noise.len() - from);
            noise[from..from + len].copy_from_slice(&dice.noise(len));
            assert!(is_harmless(tests, values, &noise, &mut dice), "{from} of {noise:?}");
            let len = dice.below(400);
            let noise = dice.noise(len);
            assert!(is_harmless(tests, values, &noise, &mut dice), "{noise:?}");
        }
    });
}

/// A changed encoding, or a changed test, needs a new `STATE_VERSION`: then this changes too, and
/// only then.
#[test]
fn version_2_stays_as_it_is() {
    let id = Id::of(&[&encoded(&grown(TESTS, 2, 5000))]);
    assert_eq!(id.to_string(), "6964db807a21a6d45e93f8fc5542fce3");
}
