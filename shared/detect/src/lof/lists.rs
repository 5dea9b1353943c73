//! For each point of a window the points nearest to it, kept current as points come and go (the incremental LOF
//! of Pokrajac, Lazarevic & Latecki 2007, without what can be computed when asked for).

use crate::points::{Points, insert};

/// Each point's list of nearest others. It is exact as far as it goes: it may be shorter than the longest, but
/// nothing nearer than its last is missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lists {
    /// For each point, squared distances and numbers, sorted.
    near: Box<[(f32, u16)]>,
    counts: Box<[u8]>,
    neighbours: usize,
}

impl Lists {
    /// For so many points, of which so many neighbours are asked for. Lists are twice as long, so that they are
    /// seldom too short after some have gone.
    pub(super) fn new(size: usize, neighbours: usize) -> Self {
        Self {
            near: vec![(0.0, 0); 2 * neighbours * size].into(),
            counts: vec![0; size].into(),
            neighbours,
        }
    }

    pub(super) fn bytes(size: usize, neighbours: usize) -> usize {
        size * (2 * neighbours * size_of::<(f32, u16)>() + 1)
    }

    /// The neighbours of a point.
    pub(super) fn of(&self, point: usize) -> &[(f32, u16)] {
        let start = 2 * self.neighbours * point;
        &self.near[start..start + usize::from(self.counts[point]).min(self.neighbours)]
    }

    /// Takes a point out of all lists, before another one is stored in its place. `room` is for its coordinates.
    pub(super) fn remove(&mut self, point: usize, points: &Points, room: &mut [f64]) {
        points.placed(point, room);
        points.each(room, |other, square| {
            let (list, count) = self.list(other);
            let end = usize::from(*count);
            // It can be there only if it is as near as the last.
            if end == 0 || square > list[end - 1].0 {
                return;
            }
            if let Some(at) = list[..end].iter().position(|near| usize::from(near.1) == point) {
                list.copy_within(at + 1..end, at);
                *count -= 1;
            }
        });
        self.counts[point] = 0;
    }

    /// Takes a point in that has just been stored; lists that became too short are made anew.
    pub(super) fn add(&mut self, point: usize, points: &Points, room: &mut [f64]) {
        let (asked, longest) = (self.neighbours, 2 * self.neighbours);
        let others = points.len() - 1;
        points.placed(point, room);
        points.each(room, |other, square| {
            if other == point {
                return;
            }
            let (list, count) = self.list(other);
            let end = usize::from(*count);
            // A list that has all the others grows at its end, any other one does not: who knows who is next?
            let all = end + 1 == others;
            let new = (square, point as u16);
            if (all && end < longest) || (end > 0 && new < list[end - 1]) {
                *count = insert(list, end, new) as u8;
            }
        });
        for other in 0..points.len() {
            if usize::from(self.counts[other]) < asked.min(others) {
                points.placed(other, room);
                let (list, count) = self.list(other);
                *count = points.nearest(room, other, list) as u8;
            }
        }
    }

    /// Makes all lists anew.
    pub(super) fn rebuild(&mut self, points: &Points, room: &mut [f64]) {
        for point in 0..points.len() {
            points.placed(point, room);
            let (list, count) = self.list(point);
            *count = points.nearest(room, point, list) as u8;
        }
    }

    fn list(&mut self, point: usize) -> (&mut [(f32, u16)], &mut u8) {
        let start = 2 * self.neighbours * point;
        (&mut self.near[start..start + 2 * self.neighbours], &mut self.counts[point])
    }
}
