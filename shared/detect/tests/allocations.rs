//! A row allocates nothing, learned or not.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use domain::{Algorithm, Detector};
use oddwatch_detect::SeriesModel;

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

#[test]
fn a_row_allocates_nothing() {
    let algorithms = [
        (Algorithm::RobustZ { window: 100 }, 3),
        (Algorithm::HalfSpaceTrees { trees: 10, depth: 8, window: 64 }, 5),
    ];
    for (algorithm, values) in algorithms {
        let mut detector = Detector::implicit("s");
        detector.algorithm = algorithm;
        let mut series = SeriesModel::new(&detector, values, 1);
        assert_eq!(series.bytes(), SeriesModel::bytes_for(&detector, values));
        let mut row = vec![0.0; values];
        // The first row makes the tables that all series share.
        series.assess(&row, true, 0);
        let before = ALLOCATIONS.get();
        let mut steps = 0;
        for i in 0..5_000_u64 {
            row.iter_mut().enumerate().for_each(|(v, x)| *x = (i * 37 % (100 + v as u64)) as f64);
            row[1] = if i % 7 == 0 { f64::NAN } else { row[1] };
            row[0] = if i % 1000 == 900 { 1e6 } else { row[0] };
            steps += usize::from(series.assess(&row, i % 10 > 0, 0).transition.is_some());
            series.assess(&row, true, 0);
        }
        assert_eq!(ALLOCATIONS.get(), before);
        assert!(steps > 0);
        assert_eq!(series.bytes(), SeriesModel::bytes_for(&detector, values));
    }
}
