//! Named points at which a process can be made to die all of a sudden, so that tests see what it leaves behind at
//! just these. Nothing happens unless a death was planned, which only a setting that stands in no list of settings
//! does.

use std::{
    fmt,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A point that is passed again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A transaction is about to begin.
    BeforeBegin,
    /// Its outputs were delivered.
    AfterSend,
    /// Its offsets were sent; the commit comes next.
    AfterOffsets,
    /// It is committed, and nobody here knows yet.
    AfterCommit,
    /// A snapshot is being written.
    MidSnapshot,
    /// An item of a snapshot is about to be read.
    MidLoad,
    /// Input is about to be replayed.
    MidReplay,
}

impl Point {
    /// All points.
    pub const ALL: [Self; 7] = [
        Self::BeforeBegin,
        Self::AfterSend,
        Self::AfterOffsets,
        Self::AfterCommit,
        Self::MidSnapshot,
        Self::MidLoad,
        Self::MidReplay,
    ];

    /// Its name, as in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeBegin => "before_begin",
            Self::AfterSend => "after_send",
            Self::AfterOffsets => "after_offsets",
            Self::AfterCommit => "after_commit",
            Self::MidSnapshot => "mid_snapshot",
            Self::MidLoad => "mid_load",
            Self::MidReplay => "mid_replay",
        }
    }
}

/// When the process is to die; as text `point:passage` or `point:passage+microseconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub point: Point,
    /// At which passage of it, from 1.
    pub passage: u64,
    /// So long after it, while the process goes on: to die within a call that follows.
    pub delay: Duration,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}+{}", self.point.name(), self.passage, self.delay.as_micros())
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (name, when) = text.split_once(':')?;
            let (passage, delay) = when.split_once('+').unwrap_or((when, "0"));
            let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
            let delay = Duration::from_micros(delay.parse().ok()?);
            Some(Self { point, passage: passage.parse().ok().filter(|n| *n > 0)?, delay })
        };
        read().ok_or_else(|| format!("{text:?} is no point:passage or point:passage+microseconds"))
    }
}

static PLANNED: OnceLock<(Plan, AtomicU64)> = OnceLock::new();

/// Plans this process' death. The first plan holds.
pub fn plan(plan: Plan) {
    let _ = PLANNED.set((plan, AtomicU64::new(0)));
}

/// Passes a point, or dies there.
#[inline]
pub fn pass(point: Point) {
    if let Some((plan, passages)) = PLANNED.get()
        && plan.point == point
        && passages.fetch_add(1, Ordering::Relaxed) + 1 == plan.passage
    {
        die(*plan);
    }
}

/// As SIGKILL does it: nothing is flushed, closed or told to anybody.
fn die(plan: Plan) {
    tracing::warn!(%plan, "dying as planned");
    if plan.delay.is_zero() {
        std::process::abort();
    }
    thread::spawn(move || {
        thread::sleep(plan.delay);
        std::process::abort();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_back_and_nothing_else_is() {
        for point in Point::ALL {
            let plan = Plan { point, passage: 3, delay: Duration::from_micros(1_500) };
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        let at_once: Plan = "mid_load:1".parse().unwrap();
        assert_eq!((at_once.passage, at_once.delay), (1, Duration::ZERO));
        for text in ["", "mid_load", "mid_load:0", "mid_load:x", "mid_load:1+", "nowhere:1"] {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
    }
}
