//! A window takes no more memory than it says, whatever the records, and a record allocates nothing in the steady
//! state.
#![allow(unsafe_code, reason = "the trait of allocators is unsafe")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use domain::{Micros, Origin, Shape};
use oddwatch_windowing::window::{Stamp, Window};

struct Counting;

thread_local! {
    /// By thread: the test's own, not those of the harness.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

const ALL: &str = "last count sum mean min max std delta rate since_last p50 p99 distinct";
const LIGHT: &str = "last count sum mean min max std delta rate since_last";
const SHAPES: [Shape; 8] = [
    Shape::Count { size: 100, slide: 3 },
    Shape::Count { size: 1_000, slide: 7 },
    Shape::Count { size: 1_000, slide: 1_000 },
    Shape::Time { size_ms: 1_000, hop_ms: 1_000, offset_ms: 0 },
    Shape::Time { size_ms: 1_000, hop_ms: 100, offset_ms: 3 },
    Shape::Time { size_ms: 1_000, hop_ms: 1, offset_ms: 0 },
    Shape::Time { size_ms: 100_000, hop_ms: 10_000, offset_ms: 0 },
    Shape::Session { gap_ms: 10, size_ms_max: 1_000 },
];

fn made(shape: Shape, features: &str, values: usize) -> Window {
    let features = features.split(' ').map(|name| name.parse().expect("a feature")).collect();
    Window::new(&domain::Window { name: "w".into(), shape, features }, values)
}

/// Feeds so many records, one each millisecond; `value` makes them of their numbers. Looks after each.
fn feed(
    window: &mut Window,
    records: std::ops::Range<u64>,
    value: impl Fn(u64) -> f64,
    mut look: impl FnMut(&Window),
) {
    let mut stamp = Stamp {
        event_at: 0,
        ingested_at: 0,
        config_version: 0,
        origin: Origin { source: 0, offset: 0, index: 0 },
        source: Arc::from("records/0"),
        extras: None,
        imputed: false,
        no_data: false,
    };
    let mut row = Vec::with_capacity(1_000);
    let mut values = [0.0; 3];
    for number in records {
        stamp.event_at = number as Micros * 1_000;
        while window.close(stamp.event_at, &mut row).is_some() {}
        for (place, one) in (0..).zip(&mut values) {
            *one = value(number * 3 + place);
        }
        window.add(&stamp, &values);
        window.full(&mut row);
        look(window);
    }
}

/// All bits mixed: values of every magnitude, all of them different.
fn wild(number: u64) -> f64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = f64::from_bits((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    if value.is_finite() { value } else { f64::NAN }
}

fn falling(number: u64) -> f64 {
    -(number as f64)
}

#[test]
fn a_window_takes_no_more_bytes_than_it_says() {
    for shape in SHAPES {
        for features in [ALL, "mean", "p99", "distinct", "max rate"] {
            for value in [wild, falling, |_| f64::NAN, |_| 7.0] {
                let before = BYTES.get();
                let mut window = made(shape, features, 3);
                let mut most = 0;
                let inline = size_of::<Window>() as isize;
                feed(&mut window, 0..5_000, value, |_| most = most.max(BYTES.get() - before));
                let said = window.bytes() as isize;
                // Besides it, the row and the stamp of this test.
                let beside = 8 * 1_000 + 64;
                assert!(most + inline - beside <= said, "{shape:?} {features}: {most}, not {said}");
            }
        }
    }
}

#[test]
fn a_record_allocates_nothing_in_the_steady_state() {
    for (shape, features) in SHAPES.into_iter().flat_map(|shape| [(shape, LIGHT), (shape, ALL)]) {
        let mut window = made(shape, features, 3);
        // The same every second, so that a window has seen all it will see.
        let value = |number: u64| (number * 7 % 997) as f64 / 8.0 + (number % 3) as f64;
        let long = matches!(shape, Shape::Time { size_ms: 100_000, .. });
        let warm = if long { 700_000 } else { 50_000 };
        feed(&mut window, 0..warm, value, |_| {});
        let (before, mut after) = (ALLOCATIONS.get(), 0);
        feed(&mut window, warm..warm + 20_000, value, |_| after = ALLOCATIONS.get());
        // This test's own row and source.
        let found = after - before - 2;
        // Panes change places with each turn of their queue, and the last of a thousand comes late to the place where
        // it needs the most room for values. The bytes stay bounded, as above.
        let growing = features == ALL && matches!(shape, Shape::Time { hop_ms: 1, .. });
        assert!(found <= if growing { 20 } else { 0 }, "{shape:?} {features}: {found}");
    }
}

#[test]
fn what_no_feature_asks_for_is_not_kept() {
    let bytes = |shape, features| made(shape, features, 1).bytes();
    for shape in SHAPES {
        let light = bytes(shape, "mean");
        for more in ["mean p50", "mean distinct"] {
            assert!(bytes(shape, more) > light, "{shape:?} {more}");
        }
    }
    assert!(bytes(SHAPES[2], "mean") < 1_024, "{}", bytes(SHAPES[2], "mean"));
}
