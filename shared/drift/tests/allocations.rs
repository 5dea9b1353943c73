//! A row allocates nothing, but what is told of a drift.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use oddwatch_drift::{Mark, Monitor, TESTS};

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
    let mut monitor = Monitor::new(TESTS, 50_000, 4);
    let bytes = monitor.bytes();
    let (mut found, mut allocations) = (0, 0);
    for row in 0..20_000_u64 {
        let saw = (row * 37 % 100) as f64 + if row % 4000 < 2000 { 0.0 } else { 500.0 };
        let before = ALLOCATIONS.get();
        let drift = monitor.push(&[saw, -saw, 0.0, f64::NAN], Mark { row, at: 0 });
        if drift.is_none() {
            allocations += ALLOCATIONS.get() - before;
        }
        found += usize::from(drift.is_some());
    }
    assert_eq!(allocations, 0);
    assert!(found > 0, "{found}");
    assert_eq!(monitor.bytes(), bytes);
}
