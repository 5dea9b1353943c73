//! What holds for every textbook test: decoded it goes on with the same bits, no bytes do harm, a row allocates
//! nothing, and wild values break nothing.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use oddwatch_drift::textbook::{
    Adwin, Change, Cusum, HddmA, HddmW, Kswin, Limit, PageHinkley, Psi, Test, Wasserstein, adwin,
    cusum, hddm_a, hddm_w, kswin, page_hinkley, psi, wasserstein,
};
use proptest::prelude::*;

struct Counting;

thread_local! {
    /// By thread: the test's own, not those of the harness.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// What is checked of one test with some parameters.
trait Check {
    fn check<T: Test>(&mut self, parameters: T::Parameters);
}

/// Every test, as it comes and with other parameters.
fn all(check: &mut impl Check) {
    check.check::<Adwin>(adwin::Parameters::default());
    let (limit, grace) = (Limit::Bound(3.0), 2);
    let small = adwin::Parameters { limit, clock: 5, per_size: 2, sizes: 6, side_min: 2, grace };
    check.check::<Adwin>(small);
    check.check::<PageHinkley>(page_hinkley::Parameters::default());
    let quick = page_hinkley::Parameters { rows_min: 0, threshold: 0.5, ..Default::default() };
    check.check::<PageHinkley>(quick);
    check.check::<HddmA>(hddm_a::Parameters::default());
    check.check::<HddmA>(hddm_a::Parameters { limit: Limit::Bound(0.5), ..Default::default() });
    check.check::<HddmW>(hddm_w::Parameters::default());
    check.check::<HddmW>(hddm_w::Parameters { limit: Limit::Bound(0.1), ..Default::default() });
    check.check::<Kswin>(kswin::Parameters::default());
    check.check::<Kswin>(kswin::Parameters { limit: Limit::Bound(0.5), window: 20, recent: 7 });
    check.check::<Psi>(psi::Parameters::default());
    let limit = Limit::Confidence(0.3);
    check.check::<Psi>(psi::Parameters { limit, bins: 4, reference: 50, window: 30 });
    check.check::<Wasserstein>(wasserstein::Parameters::default());
    check.check::<Wasserstein>(wasserstein::Parameters { bound: 0.1, window: 21, times: 3 });
    check.check::<Cusum>(cusum::Parameters::default());
    let scale = cusum::Scale::Known { mean: 0.5, deviation: 0.3 };
    check.check::<Cusum>(cusum::Parameters { scale, of: cusum::Of::Spread, ..Default::default() });
}

/// Values that change, stand still, are missing and are wild.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.0..1.0_f64,
        2 => 3.0..5.0_f64,
        2 => Just(0.25),
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324, -0.0, 1e100, -1e9,
        ]),
    ]
}

fn encoded<T: Test>(test: &T) -> Vec<u8> {
    let mut out = vec![];
    test.encode(&mut out);
    out
}

/// What a row does, each number as its bits.
fn go<T: Test>(test: &mut T, x: f64) -> (Option<[u64; 4]>, [u64; 2]) {
    let bits = |Change { statistic, bound, direction, rows }| {
        [statistic.to_bits(), bound.to_bits(), direction as u64, rows]
    };
    (test.push(x).map(bits), [test.statistic(), test.bound()].map(f64::to_bits))
}

struct GoesOn<'a> {
    values: &'a [f64],
    cut: usize,
}

impl Check for GoesOn<'_> {
    fn check<T: Test>(&mut self, parameters: T::Parameters) {
        let mut test = T::new(parameters);
        let (fresh, bytes) = (encoded(&test), test.bytes());
        let (before, after) = self.values.split_at(self.cut);
        for &x in before {
            go(&mut test, x);
        }
        let state = encoded(&test);
        let mut rest = &state[..];
        let mut back = T::decode(parameters, &mut rest).expect("what was encoded");
        assert!(rest.is_empty(), "{} bytes are left", rest.len());
        assert_eq!(encoded(&back), state);
        for &x in after {
            let told = go(&mut test, x);
            assert_eq!(go(&mut back, x), told);
            let [statistic, bound] = told.1.map(f64::from_bits);
            assert!(statistic >= 0.0 && bound >= 0.0, "{statistic} {bound} {test:?}");
            if told.0.is_some() && self.cut.is_multiple_of(2) {
                test.restart();
                back.restart();
            }
        }
        assert_eq!(back.bytes(), bytes);
        back.restart();
        assert_eq!(encoded(&back), fresh);
        for end in (0..state.len()).step_by(1 + state.len() / 40) {
            assert!(T::decode(parameters, &mut &state[..end]).is_err(), "{end} of {state:?}");
        }
    }
}

/// Bytes that differ from an encoding at some places.
struct Damage<'a> {
    values: &'a [f64],
    places: &'a [(usize, u8)],
}

impl Check for Damage<'_> {
    fn check<T: Test>(&mut self, parameters: T::Parameters) {
        let mut test = T::new(parameters);
        for &x in self.values {
            test.push(x);
        }
        let mut state = encoded(&test);
        for &(place, byte) in self.places {
            let len = state.len();
            state[place % len] = byte;
        }
        if let Ok(mut damaged) = T::decode(parameters, &mut &state[..]) {
            for &x in self.values {
                go(&mut damaged, x);
            }
            assert_eq!(damaged.bytes(), test.bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_decoded_goes_on_with_the_same_bits(
        values in prop::collection::vec(value(), 1..500),
        cut in 0.0..1.0_f64,
    ) {
        let cut = (values.len() as f64 * cut) as usize;
        all(&mut GoesOn { values: &values, cut });
    }

    #[test]
    fn damaged_bytes_do_no_harm(
        values in prop::collection::vec(value(), 1..300),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let places: Vec<_> =
            places.iter().map(|(place, byte)| (place.index(1 << 20), *byte)).collect();
        all(&mut Damage { values: &values, places: &places });
    }
}

struct Allocations;

impl Check for Allocations {
    fn check<T: Test>(&mut self, parameters: T::Parameters) {
        let mut test = T::new(parameters);
        let (before, mut found) = (ALLOCATIONS.get(), 0);
        for row in 0..8_000_u64 {
            let x = (row * 37 % 100) as f64 / 200.0 + if row % 4000 < 2000 { 0.0 } else { 0.5 };
            if test.push(100.0 * x).is_some() {
                found += 1;
                test.restart();
            }
        }
        assert_eq!(ALLOCATIONS.get(), before, "{parameters:?}");
        assert!(found > 0, "{parameters:?}");
    }
}

#[test]
fn a_row_allocates_nothing() {
    all(&mut Allocations);
}
