//! A row allocates nothing, learned or not.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use domain::Detector;
use oddwatch_detect::{Assessment, Row, SAMPLES, STATE_VERSION, SeriesModel};

struct Counting;

thread_local! {
    /// By thread: the test's own, not those of the harness.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static GIVEN_BACK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        GIVEN_BACK.set(GIVEN_BACK.get() + layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Row number `i`, with some missing and some wild values.
fn row(i: u64, values: usize) -> Vec<f64> {
    let mut row: Vec<f64> =
        (0..values as u64).map(|value| (i * 37 % (100 + value)) as f64).collect();
    row[1] = if i.is_multiple_of(7) { f64::NAN } else { row[1] };
    row[0] = if i % 1000 == 900 { 1e6 } else { row[0] };
    row
}

fn as_row(values: &[f64]) -> Row<'_> {
    Row { values, at: 0 }
}

/// A series that has learned something, by each algorithm.
fn each(values: usize, mut check: impl FnMut(&Detector, SeriesModel)) {
    for algorithm in &*SAMPLES {
        let mut detector = Detector::implicit("s");
        detector.algorithm = algorithm.clone();
        detector.threshold = domain::Threshold::Contamination(0.001);
        let mut series = SeriesModel::new(&detector, values, 1);
        let mut out = Assessment::default();
        for i in 0..700 {
            series.assess(as_row(&row(i, values)), true, 0, &mut out);
        }
        check(&detector, series);
    }
}

fn encoded(series: &SeriesModel) -> Vec<u8> {
    let mut bytes = vec![];
    series.encode(&mut bytes);
    bytes
}

#[test]
fn a_row_allocates_nothing() {
    let values = 3;
    let rows: Vec<_> = (0..5_000).map(|i| row(i, values)).collect();
    let check = |detector: &Detector, series: &mut SeriesModel, out: &mut Assessment| {
        let before = ALLOCATIONS.get();
        let mut steps = 0;
        for (i, row) in rows.iter().enumerate() {
            let row = as_row(row);
            steps += usize::from(series.assess(row, i % 10 > 0, 0, out).transition.is_some());
            steps += usize::from(series.assess(row, true, 0, out).transition.is_some());
        }
        assert_eq!(ALLOCATIONS.get(), before);
        assert!(steps > 0, "{detector:?}");
    };
    each(values, |detector, series| {
        let decoded = SeriesModel::decode(detector, values, STATE_VERSION, &mut &*encoded(&series));
        let mut series = SeriesModel::new(detector, values, 1);
        // The first row makes the tables and buffers that all series share.
        let mut out = Assessment::default();
        series.assess(as_row(&rows[0]), true, 0, &mut out);
        for mut series in [series, decoded.expect("what was encoded can be decoded")] {
            assert_eq!(series.bytes(), SeriesModel::bytes_for(detector, values));
            check(detector, &mut series, &mut out);
            assert_eq!(series.bytes(), SeriesModel::bytes_for(detector, values));
        }
    });
}

/// Bytes that this thread has on the heap, but for those that it gave back for others: only differences count.
fn held() -> i64 {
    BYTES.get() as i64 - GIVEN_BACK.get() as i64
}

#[test]
fn a_model_takes_the_bytes_that_are_promised() {
    for (values, algorithm) in
        [1, 3, 40, 1000].iter().flat_map(|v| SAMPLES.iter().map(move |a| (*v, a)))
    {
        let mut detector = Detector::implicit("s");
        detector.algorithm = algorithm.clone();
        let promised = SeriesModel::bytes_for(&detector, values) - size_of::<SeriesModel>();
        // The first one makes the tables that all series share.
        SeriesModel::new(&detector, values, 1);
        let before = held();
        let definition = algorithm.resolved(values);
        let named = held() - before;
        let series = SeriesModel::new(&detector, values, 1);
        let found = held() - before - 2 * named;
        assert_eq!(found, promised as i64, "{algorithm}, {values} values: {series:?} {definition}");
    }
}

#[test]
fn no_bytes_make_decoding_ask_for_more_than_a_model_takes() {
    let values = 3;
    each(values, |detector, series| {
        let good = encoded(&series);
        // All that is asked for on the way, what is given back at once too.
        let bytes_max = 2 * SeriesModel::bytes_for(detector, values) + good.len() + 4096;
        let mut refused = 0;
        for at in 0..good.len().min(3000) {
            for value in [0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at..(at + 9).min(good.len())].fill(value);
                let before = BYTES.get();
                let made = SeriesModel::decode(detector, values, STATE_VERSION, &mut &*bytes);
                let asked = BYTES.get() - before;
                assert!(asked <= bytes_max, "{asked} of {bytes_max} with {value} at {at}");
                refused += usize::from(made.is_err());
            }
        }
        assert!(refused > 0);
    });
}
