//! Windows against a rescan of the records: every shape, every feature.

use domain::{Aggregate, Origin};
use proptest::prelude::*;

use super::*;

const MS: Micros = 1_000;

/// A record: its event time in milliseconds, whether it was filled in, its values.
#[derive(Clone, Debug)]
struct Rec {
    at: Micros,
    imputed: bool,
    values: [f64; 2],
}

fn stamp(number: usize, rec: &Rec) -> Stamp {
    Stamp {
        event_at: rec.at,
        ingested_at: rec.at,
        config_version: 1,
        origin: Origin { source: 0, offset: number as u64, index: 0 },
        source: "records/0".into(),
        extras: None,
        imputed: rec.imputed,
        no_data: false,
    }
}

/// A row: number, event time, last record, imputed, values.
type Made = (u64, Micros, u64, bool, Vec<f64>);

fn made(closed: Closed, row: &[f64]) -> Made {
    let Closed { number, event_at, stamp, imputed } = closed;
    (number, event_at, stamp.origin.offset, imputed, row.to_vec())
}

/// Closes what has ended by that time, and checks that a window says beforehand when.
fn close(window: &mut Window, event_at: Micros, rows: &mut Vec<Made>) {
    let mut row = vec![];
    loop {
        let due = window.due_at();
        let Some(closed) = window.close(event_at, &mut row) else {
            assert!(due.is_none_or(|due| due > event_at), "{due:?} was due at {event_at}");
            return;
        };
        assert!(due.is_some_and(|due| due <= event_at), "{due:?} was not due at {event_at}");
        rows.push(made(closed, &row));
    }
}

fn add(window: &mut Window, number: usize, rec: &Rec, rows: &mut Vec<Made>) {
    close(window, rec.at, rows);
    window.add(&stamp(number, rec), &rec.values[..window.values]);
    let mut row = vec![];
    rows.extend(window.full(&mut row).map(|closed| made(closed, &row)));
}

/// The rows by going through all records for each window: the records of each window that closes, and when.
fn spans(definition: &Definition, records: &[Rec]) -> Vec<(Micros, std::ops::Range<usize>)> {
    match definition.shape {
        Shape::Count { size, slide } => (0..records.len())
            .filter_map(|last| Some((last, (last + 1).checked_sub(size as usize)?)))
            .filter(|(_, first)| first % slide as usize == 0)
            .map(|(last, first)| (records[last].at, first..last + 1))
            .collect(),
        Shape::Time { size_ms, hop_ms, offset_ms } => {
            let (size, hop, offset) = (micros(size_ms), micros(hop_ms), micros(offset_ms));
            let (Some(first), Some(last)) = (records.first(), records.last()) else {
                return vec![];
            };
            let start = (first.at - size - offset).div_euclid(hop) * hop + offset;
            let ends = (start..=last.at + size + hop).step_by(hop as usize);
            let inside = |end: Micros| {
                let from = records.partition_point(|rec| rec.at < end - size);
                (end, from..records.partition_point(|rec| rec.at < end))
            };
            ends.map(inside).filter(|(_, span)| !span.is_empty()).collect()
        }
        Shape::Session { gap_ms, size_ms_max } => {
            let (gap, longest) = (micros(gap_ms), micros(size_ms_max));
            let mut spans: Vec<(Micros, std::ops::Range<usize>)> = vec![];
            for (at, rec) in records.iter().enumerate() {
                let goes_on = spans.last().is_some_and(|(last_at, span)| {
                    rec.at < last_at + gap && rec.at < records[span.start].at + longest
                });
                match spans.last_mut().filter(|_| goes_on) {
                    Some(span) => *span = (rec.at, span.1.start..at + 1),
                    None => spans.push((rec.at, at..at + 1)),
                }
            }
            spans
        }
    }
}

/// What a feature is, and how far from it is right: a difference, or a share of it where values are many. `kept` is
/// the largest value whose rounding may have stayed behind.
fn rescan(all: &[(Micros, f64)], kept: f64, row_at: Micros, feature: Aggregate) -> (f64, f64, f64) {
    let present: Vec<_> = all.iter().copied().filter(|(_, v)| !v.is_nan()).collect();
    let values = || present.iter().map(|(_, v)| *v);
    let n = present.len() as f64;
    let largest = values().fold(kept, |m: f64, v| m.max(v.abs()));
    let mean = values().sum::<f64>() / n;
    let steps = || present.windows(2).map(|two| step(two[0].1, two[1].1));
    let Some(((first_at, first), (last_at, last))) =
        present.first().copied().zip(present.last().copied())
    else {
        let none = matches!(feature, Aggregate::Count | Aggregate::Distinct);
        return (if none { 0.0 } else { f64::NAN }, 0.0, 0.0);
    };
    let rounding = 1e-11 * largest;
    match feature {
        Aggregate::Count => (n, 0.0, 0.0),
        Aggregate::Last => (all[all.len() - 1].1, 0.0, 0.0),
        Aggregate::Sum => (mean * n, rounding * n, 0.0),
        Aggregate::Mean => (mean, rounding, 0.0),
        Aggregate::Min => (values().fold(f64::INFINITY, f64::min), 0.0, 0.0),
        Aggregate::Max => (values().fold(f64::NEG_INFINITY, f64::max), 0.0, 0.0),
        Aggregate::Std => {
            let variance = values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
            let std = variance.sqrt();
            // The root of a difference: near zero, the root of its rounding.
            (std, rounding.max(1e-12 * kept * kept / std.max(1e-6 * kept).max(1e-300)), 1e-9)
        }
        Aggregate::Quantile(percentile) => {
            let mut sorted: Vec<f64> = values().collect();
            sorted.sort_by(f64::total_cmp);
            let value = sorted[percentile.rank(present.len() as u64) as usize - 1];
            (value, 0.0, if all.len() > 256 { 0.0078 } else { 0.0 })
        }
        Aggregate::Delta => (last - first, 0.0, 0.0),
        Aggregate::Rate if last_at > first_at => {
            let passed = seconds(first_at, last_at);
            let summed = steps().map(f64::abs).sum::<f64>();
            (steps().sum::<f64>() / passed, 1e-11 * (summed + largest) / passed, 0.0)
        }
        Aggregate::Rate => (f64::NAN, 0.0, 0.0),
        Aggregate::Distinct => {
            let bits: std::collections::BTreeSet<u64> = values().map(distinct::bits_of).collect();
            let exact = bits.len() <= 256;
            (bits.len() as f64, 0.0, if exact { 0.0 } else { 5.0 * 0.0325 })
        }
        Aggregate::SinceLast => (seconds(last_at, row_at), 0.0, 0.0),
    }
}

/// Compares the rows with those of a rescan.
fn check(definition: &Definition, records: &[Rec], rows: &[Made]) -> Result<(), TestCaseError> {
    let spans = spans(definition, records);
    let slides = matches!(definition.shape, Shape::Count { size, slide } if size != slide);
    let sizes = records.iter().flat_map(|rec| rec.values).filter(|v| !v.is_nan()).map(f64::abs);
    let kept = if slides { sizes.fold(0.0, f64::max) } else { 0.0 };
    prop_assert_eq!(rows.len(), spans.len(), "{:?}", definition.shape);
    for (number, (row, (event_at, span))) in (1..).zip(rows.iter().zip(spans)) {
        let records = &records[span.clone()];
        let imputed = records.iter().any(|rec| rec.imputed);
        let expected = (number, event_at, span.end as u64 - 1, imputed);
        prop_assert_eq!((row.0, row.1, row.2, row.3), expected, "{:?}", definition.shape);
        let mut found = row.4.iter();
        for value in 0..2 {
            let all: Vec<_> = records.iter().map(|rec| (rec.at, rec.values[value])).collect();
            for feature in &definition.features {
                let (right, apart, share) = rescan(&all, kept, event_at, *feature);
                let found = *found.next().unwrap();
                let near = (found - right).abs() <= apart + share * right.abs();
                prop_assert!(
                    near || found.is_nan() && right.is_nan(),
                    "{feature} of {} records: {found:e}, not {right:e}, {:?}",
                    all.len(),
                    definition.shape
                );
            }
        }
        prop_assert!(found.next().is_none());
    }
    Ok(())
}

fn all_features() -> Vec<Aggregate> {
    let names = "last count sum mean min max std p50 delta rate distinct p99.9 since_last p0.01";
    names.split(' ').map(|name| name.parse().unwrap()).collect()
}

fn shape(size_max: u32) -> impl Strategy<Value = Shape> {
    let count = (2..size_max, any::<prop::sample::Index>()).prop_map(|(size, slide)| {
        // Every third tumbles.
        let slide = 1 + slide.index(size as usize * 3 / 2) as u32;
        Shape::Count { size, slide: slide.min(size) }
    });
    let time = (1u64..200, 1u64..12, 0u64..200).prop_map(|(hop_ms, panes, offset_ms)| {
        Shape::Time { size_ms: hop_ms * panes, hop_ms, offset_ms: offset_ms % hop_ms }
    });
    let session = (1u64..60, 0u64..300)
        .prop_map(|(gap_ms, more)| Shape::Session { gap_ms, size_ms_max: gap_ms + more });
    prop_oneof![count, time, session]
}

/// A definition with some features in some order.
fn definition(size_max: u32) -> impl Strategy<Value = Definition> {
    let features = prop_oneof![
        Just(all_features()).prop_shuffle(),
        prop::sample::subsequence(all_features(), 1..4),
    ];
    (shape(size_max), features).prop_map(|(shape, features)| Definition {
        name: "w".into(),
        shape,
        features,
    })
}

/// Records in order: mostly close together, sometimes after a long silence.
fn records(most: usize) -> impl Strategy<Value = Vec<Rec>> {
    let apart = prop_oneof![20 => 0..20 * MS, 2 => 0..100 * MS, 1 => 0..10_000 * MS];
    let value = || {
        prop_oneof![
            6 => -1e3..1e3f64,
            3 => (0..50i32).prop_map(f64::from),
            1 => Just(f64::NAN),
            1 => Just(-0.0),
        ]
    };
    let record = (apart, prop::bool::weighted(0.02), [value(), value()]);
    (-5_000 * MS..5_000 * MS, prop::collection::vec(record, 1..most)).prop_map(
        |(start, records)| {
            let mut at = start;
            let records = records.into_iter().map(|(apart, imputed, values)| {
                at += apart;
                Rec { at, imputed, values }
            });
            records.collect()
        },
    )
}

fn run(definition: &Definition, records: &[Rec]) -> Vec<Made> {
    let (mut window, mut rows) = (Window::new(definition, 2), vec![]);
    for (number, rec) in records.iter().enumerate() {
        add(&mut window, number, rec, &mut rows);
    }
    close(&mut window, Micros::MAX, &mut rows);
    rows
}

fn encoded(window: &Window) -> Vec<u8> {
    let mut bytes = vec![];
    window.encode(&mut bytes);
    bytes
}

fn decoded(definition: &Definition, bytes: &[u8]) -> Result<Window, DecodeError> {
    let mut bytes = bytes;
    let window = Window::decode(definition, 2, &mut bytes)?;
    encoding::ensure(bytes.is_empty(), "length of a window")?;
    Ok(window)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_feature_of_every_shape_is_that_of_a_rescan(
        definition in definition(40),
        records in records(300),
    ) {
        check(&definition, &records, &run(&definition, &records))?;
    }

    #[test]
    fn a_decoded_window_goes_on_with_the_same_bits(
        definition in definition(40),
        records in records(200),
        at in any::<prop::sample::Index>(),
        silence in 0..300 * MS,
    ) {
        let (mut window, mut rows) = (Window::new(&definition, 2), vec![]);
        let cut = at.index(records.len());
        for (number, rec) in records[..cut].iter().enumerate() {
            add(&mut window, number, rec, &mut rows);
        }
        if cut == records.len() - 1 {
            close(&mut window, records[cut].at.min(records[0].at + silence), &mut rows);
        }
        let mut other = decoded(&definition, &encoded(&window)).unwrap();
        prop_assert_eq!(encoded(&other), encoded(&window));
        let (mut one, mut two) = (vec![], vec![]);
        for (number, rec) in records.iter().enumerate().skip(cut) {
            add(&mut window, number, rec, &mut one);
            add(&mut other, number, rec, &mut two);
        }
        close(&mut window, Micros::MAX, &mut one);
        close(&mut other, Micros::MAX, &mut two);
        prop_assert_eq!(format!("{:?}", one), format!("{:?}", two));
        let bits = |rows: &[Made]| -> Vec<u64> {
            rows.iter().flat_map(|row| row.4.iter().map(|v| v.to_bits())).collect()
        };
        prop_assert_eq!(bits(&one), bits(&two));
        prop_assert_eq!(encoded(&other), encoded(&window));
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_window_that_works(
        definition in definition(40),
        records in records(100),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        torn in prop::bool::weighted(0.1),
    ) {
        let (mut window, mut rows) = (Window::new(&definition, 2), vec![]);
        for (number, rec) in records.iter().enumerate() {
            add(&mut window, number, rec, &mut rows);
        }
        let mut bytes = encoded(&window);
        damage.iter().for_each(|(at, byte)| { let at = at.index(bytes.len()); bytes[at] = *byte; });
        if torn {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(mut window) = decoded(&definition, &bytes) {
            for (number, rec) in records.iter().enumerate() {
                let rec = Rec { at: rec.at + 20_000 * MS, ..rec.clone() };
                // Due times of a damaged state may lie anywhere, but it makes no endless number of rows.
                let mut row = vec![];
                for _ in 0..2_000 {
                    if window.close(rec.at, &mut row).is_none() { break }
                }
                prop_assert!(window.close(rec.at, &mut row).is_none());
                window.add(&stamp(number, &rec), &rec.values);
                window.full(&mut row);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn many_values_are_within_the_stated_errors(
        shape in prop_oneof![
            (257u32..600).prop_map(|size| Shape::Count { size, slide: 1 + size / 9 }),
            (257u32..2_000).prop_map(|size| Shape::Count { size, slide: size }),
            (1u64..8).prop_map(|panes| Shape::Time { size_ms: 2_000 * panes, hop_ms: 2_000, offset_ms: 5 }),
            Just(Shape::Session { gap_ms: 90, size_ms_max: 1 << 30 }),
        ],
        records in records(6_000),
    ) {
        let definition = Definition { name: "w".into(), shape, features: all_features() };
        check(&definition, &records, &run(&definition, &records))?;
    }
}

fn window(shape: Shape, features: &str) -> Window {
    let features = features.split(' ').map(|name| name.parse().unwrap()).collect();
    Window::new(&Definition { name: "w".into(), shape, features }, 1)
}

/// Adds (event time in ms, value) one after the other; each row as `number@ms [values]`.
fn lines(mut window: Window, records: &[(Micros, f64)]) -> Vec<String> {
    let mut rows = vec![];
    for (number, (at, value)) in records.iter().enumerate() {
        let rec = Rec { at: at * MS, imputed: false, values: [*value; 2] };
        add(&mut window, number, &rec, &mut rows);
    }
    close(&mut window, Micros::MAX, &mut rows);
    rows.iter().map(|(number, at, .., row)| format!("{number}@{} {row:?}", at / MS)).collect()
}

#[test]
fn a_tumbling_minute_is_aligned_and_has_its_start_but_not_its_end() {
    let minute = Shape::Time { size_ms: 60_000, hop_ms: 60_000, offset_ms: 0 };
    let records = [(59_999, 1.0), (60_000, 2.0), (119_999, 3.0), (120_000, 4.0)];
    let rows = ["1@60000 [1.0, 1.0]", "2@120000 [2.0, 5.0]", "3@180000 [1.0, 4.0]"];
    assert_eq!(lines(window(minute, "count sum"), &records), rows);
    let shifted = Shape::Time { size_ms: 60_000, hop_ms: 60_000, offset_ms: 30_000 };
    let rows = ["1@90000 [2.0, 3.0]", "2@150000 [2.0, 7.0]"];
    assert_eq!(lines(window(shifted, "count sum"), &records), rows);
    let before_1970 = [(-1, 1.0), (0, 2.0)];
    let rows = ["1@0 [1.0, 1.0]", "2@60000 [1.0, 2.0]"];
    assert_eq!(lines(window(minute, "count sum"), &before_1970), rows);
}

#[test]
fn a_hopping_window_says_each_record_in_each_of_its_hops() {
    let shape = Shape::Time { size_ms: 30, hop_ms: 10, offset_ms: 0 };
    let rows = [
        "1@10 [1.0, 1.0]",
        "2@20 [2.0, 3.0]",
        "3@30 [2.0, 3.0]",
        "4@40 [1.0, 2.0]",
        "5@1000010 [1.0, 7.0]",
        "6@1000020 [1.0, 7.0]",
        "7@1000030 [1.0, 7.0]",
    ];
    let records = [(5, 1.0), (15, 2.0), (1_000_005, 7.0)];
    assert_eq!(lines(window(shape, "count sum"), &records), rows);
}

#[test]
fn a_session_ends_by_its_gap_or_its_length() {
    let shape = Shape::Session { gap_ms: 10, size_ms_max: 25 };
    let records = [(0, 1.0), (9, 2.0), (19, 3.0), (28, 4.0), (37, 5.0), (44, 6.0)];
    let rows = ["1@9 [2.0, 0.0]", "2@37 [3.0, 0.0]", "3@44 [1.0, 0.0]"];
    assert_eq!(lines(window(shape, "count since_last"), &records), rows);
}

#[test]
fn a_rate_takes_a_fall_for_a_reset() {
    let shape = Shape::Count { size: 4, slide: 4 };
    let records = [(0, 100.0), (1_000, 130.0), (2_000, 5.0), (4_000, 25.0)];
    assert_eq!(lines(window(shape, "rate delta"), &records), ["1@4000 [13.75, -75.0]"]);
    let shape = Shape::Count { size: 4, slide: 1 };
    assert_eq!(lines(window(shape, "rate delta"), &records), ["1@4000 [13.75, -75.0]"]);
}

#[test]
fn a_spread_that_left_leaves_nothing_behind() {
    let mut window = window(Shape::Count { size: 4, slide: 1 }, "std");
    let mut row = vec![];
    for (number, value) in [1e6, -1e6, 1e6, 0.1, 0.1, 0.1, 0.1, 0.1].into_iter().enumerate() {
        let rec = Rec { at: 0, imputed: false, values: [value; 2] };
        window.add(&stamp(number, &rec), &rec.values);
        window.full(&mut row);
    }
    assert_eq!(row, [0.0]);
}

#[test]
fn a_widened_window_over_time_goes_on_and_one_by_count_starts_anew() {
    let check = |shape, expected: &[&str]| {
        let mut window = window(shape, "sum count");
        let mut rows = vec![];
        let rec = |at, values| Rec { at, imputed: false, values };
        add(&mut window, 0, &rec(0, [1.0, 9.0]), &mut rows);
        let mut window = window.widened(2);
        add(&mut window, 1, &rec(1, [2.0, 3.0]), &mut rows);
        close(&mut window, Micros::MAX, &mut rows);
        let rows: Vec<_> = rows.iter().map(|row| format!("{:?}", row.4)).collect();
        assert_eq!(rows, expected);
    };
    let hopping = Shape::Time { size_ms: 2, hop_ms: 1, offset_ms: 0 };
    check(hopping, &["[3.0, 2.0, 3.0, 1.0]", "[3.0, 2.0, 3.0, 1.0]"]);
    check(Shape::Session { gap_ms: 2, size_ms_max: 9 }, &["[3.0, 2.0, 3.0, 1.0]"]);
    check(Shape::Count { size: 2, slide: 1 }, &[]);
}

#[test]
fn event_times_at_the_ends_of_all_time_are_no_harm() {
    for shape in [
        Shape::Time { size_ms: 30, hop_ms: 10, offset_ms: 9 },
        Shape::Time { size_ms: 1, hop_ms: 1, offset_ms: 0 },
        Shape::Session { gap_ms: 10, size_ms_max: 25 },
    ] {
        let mut window = window(shape, "sum since_last");
        let mut row = vec![];
        for (number, at) in
            [Micros::MIN, Micros::MIN + 1, 0, Micros::MAX - 1, Micros::MAX, Micros::MAX]
                .into_iter()
                .enumerate()
        {
            while window.close(at, &mut row).is_some() {}
            window.add(&stamp(number, &Rec { at, imputed: false, values: [1.0; 2] }), &[1.0]);
        }
        while window.close(Micros::MAX, &mut row).is_some() {}
        assert_eq!(window.due_at(), None, "{shape:?}");
    }
}
