//! A capture is the content as of its begin, whatever happens meanwhile.

mod common;

use std::collections::BTreeMap;

use common::Item;
use oddwatch_snapshot::Slices;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Do {
    Change(usize, u8),
    Insert(u8),
    Remove(usize),
    Advance(usize),
    Begin,
    Cancel,
}

fn any_step() -> impl Strategy<Value = Do> {
    prop_oneof![
        6 => (0..200_usize, any::<u8>()).prop_map(|(index, value)| Do::Change(index, value)),
        2 => any::<u8>().prop_map(Do::Insert),
        2 => (0..200_usize).prop_map(Do::Remove),
        3 => (0..2_000_usize).prop_map(Do::Advance),
        1 => Just(Do::Begin),
        1 => Just(Do::Cancel),
    ]
}

fn number(bytes: &mut &[u8]) -> usize {
    let mut value = 0;
    for place in 0.. {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The items in a capture's records; each may come once.
fn items(mut records: &[u8]) -> BTreeMap<usize, Vec<u8>> {
    let mut items = BTreeMap::new();
    while !records.is_empty() {
        let index = number(&mut records);
        let length = number(&mut records);
        let (bytes, rest) = records.split_at(length);
        assert!(items.insert(index, bytes.to_vec()).is_none(), "item {index} comes twice");
        records = rest;
    }
    items
}

/// Items whose lengths differ, so that records do.
fn item(value: u8) -> Item {
    Item(vec![value; usize::from(value) * 3])
}

fn content(slices: &Slices<Item>) -> BTreeMap<usize, Vec<u8>> {
    slices.iter().map(|(index, item)| (index, item.0.clone())).collect()
}

fn check(items_at_start: usize, steps: &[Do]) {
    let mut model: Vec<Option<Item>> =
        (0..items_at_start).map(|value| (value % 5 != 3).then(|| item(value as u8))).collect();
    let mut slices = Slices::from(model.clone());
    let mut expected = None;
    let mut out = vec![];
    let mut captures = 0;
    for step in steps.iter().chain([&Do::Begin, &Do::Change(0, 9), &Do::Advance(usize::MAX)]) {
        match *step {
            Do::Change(index, value) => {
                let index = index % model.len().max(1);
                if slices.get(index).is_some() {
                    *slices.get_mut(index) = item(value);
                    model[index] = Some(item(value));
                }
            }
            Do::Insert(value) => {
                let vacant = model.iter().position(Option::is_none).unwrap_or(model.len());
                assert_eq!(slices.insert(item(value)), vacant, "the lowest place");
                model.resize(model.len().max(vacant + 1), None);
                model[vacant] = Some(item(value));
            }
            Do::Remove(index) => {
                let index = index % model.len().max(1);
                if slices.get(index).is_some() {
                    assert_eq!(Some(slices.remove(index)), model[index].take());
                }
            }
            Do::Begin => {
                slices.begin();
                expected = Some(content(&slices));
                out.clear();
            }
            Do::Cancel => {
                slices.cancel();
                expected = None;
            }
            Do::Advance(bytes) => {
                let waiting = slices.buffered();
                let mut slice = vec![];
                let done = slices.advance(bytes, &mut slice);
                items(&slice);
                out.extend_from_slice(&slice);
                // A record more than asked for at most, or a piece of what copy-on-write has
                // written.
                assert!(slice.len() <= bytes.saturating_add(waiting + 3 * 255 + 4));
                assert!(done || (slice.len() >= bytes && !slice.is_empty()));
                match expected.take_if(|_| done) {
                    Some(expected) => {
                        assert_eq!(items(&out), expected);
                        captures += 1;
                    }
                    None => assert!(!done || slice.is_empty()),
                }
            }
        }
        assert_eq!(slices.is_capturing(), expected.is_some());
        let present = model.iter().enumerate().filter_map(|(at, item)| Some((at, item.as_ref()?)));
        assert!(slices.iter().eq(present), "what a capture does is not seen");
        assert_eq!((slices.len(), slices.places()), (model.iter().flatten().count(), model.len()));
    }
    assert!(captures > 0 && slices.buffered() == 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_capture_is_the_content_at_its_begin(
        items in 0..150_usize,
        steps in prop::collection::vec(any_step(), 0..120),
    ) {
        check(items, &steps);
    }
}

#[test]
fn edges() {
    use Do::*;
    check(0, &[]);
    check(0, &[Begin, Insert(1), Advance(0), Advance(10)]);
    check(1, &[Begin, Advance(0), Change(0, 1), Advance(0), Advance(0)]);
    check(64, &[Begin, Change(63, 1), Change(63, 2), Advance(0), Change(63, 3), Advance(1)]);
    check(65, &[Begin, Change(64, 1), Advance(1), Change(64, 2), Begin, Change(64, 3)]);
    check(130, &[Begin, Insert(1), Change(130, 5), Change(0, 5), Advance(100_000), Insert(2)]);
    check(
        9,
        &[Begin, Insert(7), Remove(3), Insert(8), Advance(1), Remove(0), Insert(6), Advance(10)],
    );
    check(3, &[Advance(10), Begin, Change(2, 7), Cancel, Advance(10), Change(2, 8)]);
}
