//! What mutations are made with: one message, item, row or score out of many, and ways to lose, double and swap.

use domain::{Batch, Item, ScoreItem};
use oddwatch_tests::oracle::{ByPartition, Evidence, State, Told};
use rand_core::RngCore as _;
use rand_pcg::Pcg64Mcg;

/// One way.
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    /// One of these invariants must be found broken; others may be too.
    pub(crate) breaks: &'static [u8],
    pub(crate) make: fn(&mut Evidence, &mut Pcg64Mcg) -> Option<String>,
}

/// A number below `end`, if there is any.
pub(crate) fn below(end: usize, random: &mut Pcg64Mcg) -> Option<usize> {
    (end > 0).then(|| (random.next_u64() % end as u64) as usize)
}

/// Flips one bit of a number.
pub(crate) fn flip(value: &mut f64, random: &mut Pcg64Mcg) {
    *value = f64::from_bits(value.to_bits() ^ (1 << (random.next_u64() % 64)));
}

/// A partition that has messages.
pub(crate) fn partition<'a, T>(
    all: &'a mut ByPartition<T>,
    random: &mut Pcg64Mcg,
) -> Option<(u32, &'a mut Vec<Told<T>>)> {
    let full: Vec<u32> = all.iter().filter(|(_, told)| !told.is_empty()).map(|(p, _)| *p).collect();
    let number = full[below(full.len(), random)?];
    Some((number, all.get_mut(&number)?))
}

/// One message.
pub(crate) fn one<'a, T>(
    all: &'a mut ByPartition<T>,
    random: &mut Pcg64Mcg,
) -> Option<(String, &'a mut T)> {
    let (number, told) = partition(all, random)?;
    let at = below(told.len(), random)?;
    Some((format!("{number}/{at}"), &mut told[at].content))
}

/// One item of one batch of those that `is` takes.
pub(crate) fn item<'a>(
    batches: impl Iterator<Item = &'a mut Batch>,
    random: &mut Pcg64Mcg,
    is: impl Fn(&Item) -> bool,
) -> Option<(String, &'a mut Batch, usize)> {
    let mut places: Vec<(&'a mut Batch, usize)> = vec![];
    for batch in batches {
        let found: Vec<usize> = (0..batch.items.len()).filter(|at| is(&batch.items[*at])).collect();
        if let Some(at) = below(found.len(), random) {
            places.push((batch, found[at]));
        }
    }
    let at = below(places.len(), random)?;
    let (batch, index) = places.swap_remove(at);
    Some((format!("{:?} item {index}", batch.first), batch, index))
}

pub(crate) fn is_row(item: &Item) -> bool {
    matches!(item, Item::Row(_))
}

/// A row of `records.accepted`, to be changed.
pub(crate) fn accepted_row(
    evidence: &mut Evidence,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Row, &mut [f64], &mut Pcg64Mcg),
) -> Option<String> {
    let batches = evidence.committed.accepted.values_mut().flatten().flat_map(|t| &mut t.content);
    let (place, batch, index) = item(batches, random, is_row)?;
    change_row(batch, index, random, change);
    Some(place)
}

/// A row of `detection.requested`, to be changed.
pub(crate) fn requested_row(
    evidence: &mut Evidence,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Row, &mut [f64], &mut Pcg64Mcg),
) -> Option<String> {
    let batches = evidence.committed.requested.values_mut().flatten().map(|t| &mut t.content);
    let (place, batch, index) = item(batches, random, is_row)?;
    change_row(batch, index, random, change);
    Some(place)
}

pub(crate) fn change_row(
    batch: &mut Batch,
    index: usize,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Row, &mut [f64], &mut Pcg64Mcg),
) {
    let Batch { items, values, .. } = batch;
    if let Item::Row(row) = &mut items[index] {
        let values = &mut values[row.values.start as usize..row.values.end as usize];
        change(row, values, random);
    }
}

pub(crate) fn flip_one(_: &mut domain::Row, values: &mut [f64], random: &mut Pcg64Mcg) {
    if let Some(at) = below(values.len(), random) {
        flip(&mut values[at], random);
    }
}

/// A score, to be changed.
pub(crate) fn score(
    evidence: &mut Evidence,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut domain::Score, &mut Pcg64Mcg),
) -> Option<String> {
    let (place, batch) = one(&mut evidence.committed.completed, random)?;
    let is_score = |at: &usize| matches!(batch.items[*at], ScoreItem::Score(_));
    let scores: Vec<usize> = (0..batch.items.len()).filter(is_score).collect();
    let at = scores[below(scores.len(), random)?];
    if let ScoreItem::Score(score) = &mut batch.items[at] {
        change(score, random);
    }
    Some(format!("{place} item {at}"))
}

pub(crate) fn drop_one<T>(all: &mut ByPartition<T>, random: &mut Pcg64Mcg) -> Option<String> {
    let (number, told) = partition(all, random)?;
    let at = below(told.len(), random)?;
    told.remove(at);
    Some(format!("{number}/{at}"))
}

/// A message leaves a trace if there are rows in it, or if one of its sources' numbers go on: ticks that carry log time
/// no further are passed on by nobody.
pub(crate) fn drop_accepted(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (number, told) = partition(&mut evidence.committed.accepted, random)?;
    let at = below(told.len(), random)?;
    let items = told[at].content.iter().flat_map(|segment| &segment.items);
    let has_rows = items.filter(|item| matches!(item, domain::Item::Row(_))).count() > 0;
    let (before, later) = told.split_at(at + 1);
    let mut later = later.iter().flat_map(|told| &told.content);
    let goes_on = later.any(|segment| {
        before[at].content.iter().any(|lost| lost.first.source == segment.first.source)
    });
    if !has_rows && !goes_on {
        return None;
    }
    told.remove(at);
    Some(format!("{number}/{at}"))
}

pub(crate) fn double_one<T: Clone>(
    all: &mut ByPartition<T>,
    random: &mut Pcg64Mcg,
) -> Option<String> {
    let (number, told) = partition(all, random)?;
    let at = below(told.len(), random)?;
    told.insert(at, told[at].clone());
    Some(format!("{number}/{at}"))
}

/// Two neighbours change their contents, unless they may stand either way.
pub(crate) fn swap_two<T>(
    all: &mut ByPartition<T>,
    random: &mut Pcg64Mcg,
    ordered: impl Fn(&T, &T) -> bool,
) -> Option<String> {
    let (number, told) = partition(all, random)?;
    let pairs: Vec<usize> =
        (1..told.len()).filter(|at| ordered(&told[at - 1].content, &told[*at].content)).collect();
    let at = pairs[below(pairs.len(), random)?];
    told.swap(at - 1, at);
    let offset = told[at].offset;
    told[at].offset = std::mem::replace(&mut told[at - 1].offset, offset);
    Some(format!("{number}/{at}"))
}

pub(crate) fn of_one_kind(a: &State, b: &State) -> bool {
    let is_drift = |state: &State| matches!(state.alert.finding, domain::Finding::Drift(_));
    is_drift(a) == is_drift(b)
}
