//! Windows over a span of event time, aligned to the calendar: tumbling, or hopping by panes (Li, Maier, Tufte,
//! Papadimos & Tucker, "No pane, no gain: efficient evaluation of sliding-window aggregates over data streams", 2005).
//!
//! A pane is the stretch of one hop; a window joins its panes. Panes stand in a queue of two stacks (Tangwongsan,
//! Hirzel & Schneider, "Low-latency sliding-window aggregation in worst-case constant time", 2017, tell it as known):
//! the older ones each joined with those after them, the newer ones joined as they come. So a record costs O(1), a
//! window's end one join, each pane two more in its life, and nothing is ever subtracted. The memory is one stretch
//! for each pane with records and three more, whatever the rate of records. Spans without records cost nothing.

use domain::{
    Micros,
    encoding::{self, DecodeError},
};

use super::{needs::Needs, stretch::Stretch};

/// No pane of any time has a larger number: hops are at least 1,000 µs long.
const PANE_MAX: i64 = i64::MAX / 1_000 + 1;

/// How spans of time are numbered: window `k` ends with pane `k`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hops {
    /// The length of a pane, in microseconds.
    pub(super) hop: Micros,
    /// Where pane 0 begins.
    pub(super) offset: Micros,
    /// How many panes a window has.
    pub(super) panes: i64,
}

impl Hops {
    fn pane_of(self, at: Micros) -> i64 {
        at.saturating_sub(self.offset).div_euclid(self.hop)
    }

    fn end_of(self, pane: i64) -> Micros {
        pane.saturating_add(1).saturating_mul(self.hop).saturating_add(self.offset)
    }
}

/// The panes of the windows that have not ended.
#[derive(Debug)]
pub(super) struct Timed {
    hops: Hops,
    needs: Needs,
    values: usize,
    /// Each pane joined with those after it up to the first one of `newer`; the oldest one last.
    older: Vec<Stretch>,
    /// Each pane by itself; the newest one last.
    newer: Vec<Stretch>,
    /// Those of `newer` whose window has ended, joined.
    joined: Stretch,
    joined_count: usize,
    /// Where a window is put together; empty if windows do not hop.
    whole: Stretch,
    /// The room of a pane that has left.
    spare: Option<Stretch>,
    /// The first window that has not ended.
    next: i64,
}

impl Timed {
    /// Before the first record.
    pub(super) fn new(hops: Hops, needs: Needs, values: usize) -> Self {
        let hopping = if hops.panes > 1 { values } else { 0 };
        Self {
            hops,
            needs,
            values,
            older: vec![],
            newer: vec![],
            joined: Stretch::new(needs, hopping),
            joined_count: 0,
            whole: Stretch::new(needs, hopping),
            spare: None,
            next: i64::MIN,
        }
    }

    /// When the next window ends that has records.
    pub(super) fn due_at(&self) -> Option<Micros> {
        self.due().map(|window| self.hops.end_of(window))
    }

    fn due(&self) -> Option<i64> {
        let oldest = self.older.last().or(self.newer.first())?;
        Some(oldest.pane.max(self.next))
    }

    /// If a window with records has ended by that time, reads it and lets go what no later one needs. Returns when
    /// it ended. To be called until there is none, before a record of that time is added.
    pub(super) fn close(
        &mut self,
        event_at: Micros,
        read: impl FnOnce(&mut Stretch, Micros),
    ) -> Option<Micros> {
        let window = self.due()?;
        let end = self.hops.end_of(window);
        if end > event_at {
            return None;
        }
        self.next = window + 1;
        if self.hops.panes == 1 {
            if let Some(pane) = self.newer.first_mut() {
                read(pane, end);
            }
        } else {
            self.join_newer();
            match self.older.last_mut() {
                None => read(&mut self.joined, end),
                Some(older) if self.newer.is_empty() => read(older, end),
                Some(older) => {
                    self.whole.clear();
                    self.whole.merge(older);
                    self.whole.merge(&self.joined);
                    read(&mut self.whole, end);
                }
            }
        }
        self.leave(self.next - self.hops.panes);
        Some(end)
    }

    fn join_newer(&mut self) {
        for pane in &self.newer[self.joined_count..] {
            self.joined.merge(pane);
        }
        self.joined_count = self.newer.len();
    }

    /// Lets go the panes up to this one.
    fn leave(&mut self, last: i64) {
        let newest = self.newer.last().or(self.older.first());
        if newest.is_some_and(|newest| newest.pane <= last) {
            self.spare = self.newer.pop().or_else(|| self.older.pop());
            self.newer.clear();
            self.older.clear();
            self.forget_joined();
        }
        while self.older.last().or(self.newer.first()).is_some_and(|oldest| oldest.pane <= last) {
            if self.older.is_empty() {
                self.turn_over();
            }
            self.spare = self.older.pop();
        }
    }

    /// Joins each newer pane with those after it; O(1) for each, once in its life.
    fn turn_over(&mut self) {
        while let Some(mut pane) = self.newer.pop() {
            if let Some(later) = self.older.last() {
                pane.merge(later);
            }
            self.older.push(pane);
        }
        self.forget_joined();
    }

    fn forget_joined(&mut self) {
        if self.joined_count > 0 {
            self.joined.clear();
            self.joined_count = 0;
        }
    }

    /// Takes in the next record. If it belongs to a window that has ended, it counts for the next one.
    pub(super) fn add(&mut self, at: Micros, imputed: bool, values: &[f64]) {
        let (hops, next) = (self.hops, self.next);
        let same = |pane: &Stretch| pane.pane >= next && at < hops.end_of(pane.pane);
        if !self.newer.last().is_some_and(same) {
            self.begin(self.hops.pane_of(at).max(next));
        }
        if let Some(pane) = self.newer.last_mut() {
            pane.add(at, imputed, values, self.needs);
        }
    }

    fn begin(&mut self, pane: i64) {
        if self.newer.last().is_some_and(|newest| newest.pane >= pane) {
            return;
        }
        let mut begun = self.spare.take().unwrap_or_else(|| Stretch::new(self.needs, self.values));
        begun.clear();
        begun.pane = pane;
        self.newer.push(begun);
    }

    /// Makes place for more values.
    pub(super) fn widen(&mut self, values: usize) {
        self.values = values;
        let panes = self.older.iter_mut().chain(&mut self.newer).chain(&mut self.spare);
        panes.for_each(|pane| pane.widen(self.needs, values));
        if self.hops.panes > 1 {
            self.joined.widen(self.needs, values);
            self.whole.widen(self.needs, values);
        }
    }

    /// The most bytes over so many values.
    pub(super) fn bytes_max(hops: Hops, needs: Needs, values: usize) -> usize {
        // Each of the two stacks has come to stand on room for all panes, in powers of two.
        let panes = hops.panes as usize;
        let stacks = 2 * panes.next_power_of_two().max(4) * size_of::<Stretch>();
        // A spare one; and two to join them, if there is more than one.
        let besides = if panes > 1 { 3 } else { 1 };
        stacks + (panes + besides) * Stretch::bytes_max(needs, values)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(self.next, self.older.len() as u32, self.newer.len() as u32), out);
        self.older.iter().chain(&self.newer).for_each(|pane| pane.encode(out));
    }

    pub(super) fn decode(
        hops: Hops,
        needs: Needs,
        values: usize,
        bytes: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let mut timed = Self::new(hops, needs, values);
        let (next, older, newer): (i64, u32, u32) = encoding::take(bytes)?;
        let few = i64::from(older) + i64::from(newer) <= hops.panes;
        encoding::ensure(few, "number of a window's panes")?;
        let numbers = -PANE_MAX..=PANE_MAX;
        encoding::ensure(next == i64::MIN || numbers.contains(&next), "number of a window")?;
        timed.next = next;
        for _ in 0..older {
            timed.older.push(Stretch::decode(needs, values, bytes)?);
        }
        for _ in 0..newer {
            timed.newer.push(Stretch::decode(needs, values, bytes)?);
        }
        let panes = || timed.older.iter().rev().chain(&timed.newer).map(|pane| pane.pane);
        let known = panes().all(|pane| numbers.contains(&pane));
        let ascending = panes().is_sorted_by(|one, next| one < next);
        encoding::ensure(known && ascending, "order of a window's panes")?;
        let (first, last) = (panes().next().unwrap_or(0), panes().next_back().unwrap_or(0));
        let ended = timed.older.first().is_none_or(|pane| pane.pane < next);
        encoding::ensure(last - first < hops.panes && ended, "span of a window's panes")?;
        // Joined again in the same order, it is the same bits.
        let ended = timed.newer.iter().take_while(|pane| pane.pane < next).count();
        timed.joined_count = if hops.panes > 1 { ended } else { 0 };
        for pane in &timed.newer[..timed.joined_count] {
            timed.joined.merge(pane);
        }
        Ok(timed)
    }
}
