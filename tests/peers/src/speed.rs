//! How many rows one core scores and learns in a second of its own time, and the bytes that the model then has on
//! the heap. A second of the processor is counted, where the system tells, for others may want the core as well.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark times and tells")]
#![allow(unsafe_code, reason = "the trait of allocators is unsafe")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use domain::Kind;

use crate::{
    alike::{Aws, Ours, Peer, Verdicts},
    works::{Failed, Work, named, read_rows},
};

/// Rows before the clock starts: every window is full by then.
const WARM_UP: usize = 8_192;
/// The clock is read after so many.
const ROUND: usize = 512;

struct Counting;

/// Bytes that are held now.
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it came; what is not overridden here
// calls these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Prints the work, who did it, rows a second and bytes.
pub(crate) fn run(who: &str, work: &str, folder: &Path, seconds: &str) -> Result<(), Failed> {
    let work = named(work)?;
    let rows = read_rows(folder, work.values)?;
    let seconds = Duration::try_from_secs_f64(seconds.parse()?)?;
    let before = BYTES.load(Ordering::Relaxed);
    let mut peer = peer(who, &work)?;
    let mut rows = rows.chunks_exact(work.values).cycle();
    let mut go = |times: usize| {
        let mut sum = 0.0;
        for row in rows.by_ref().take(times) {
            sum += peer.step(row)?;
        }
        Ok::<_, Failed>(sum)
    };
    let mut sum = go(WARM_UP)?;
    let (clock, mut done) = (Clock::start(), 0);
    let taken = loop {
        sum += go(ROUND)?;
        done += ROUND;
        let taken = clock.taken();
        if taken >= seconds {
            break taken;
        }
    };
    if !sum.is_finite() {
        return Err(format!("{who}: a score of {} is no number", work.name).into());
    }
    let bytes = BYTES.load(Ordering::Relaxed).saturating_sub(before);
    println!("{}\t{who}\t{:.0}\t{bytes}", work.name, done as f64 / taken.as_secs_f64());
    Ok(())
}

/// Time that this process has had a processor; on systems that do not tell, time that went by.
struct Clock {
    started: Instant,
    had: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self { started: Instant::now(), had: Self::had() }
    }

    fn taken(&self) -> Duration {
        let had = self.had.zip(Self::had()).map(|(before, now)| now - before);
        had.unwrap_or_else(|| self.started.elapsed())
    }

    /// The first number there is nanoseconds on a processor.
    fn had() -> Option<Duration> {
        let told = std::fs::read_to_string("/proc/self/schedstat").ok()?;
        Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
    }
}

fn peer(who: &str, Work { name, values, algorithm, .. }: &Work) -> Result<Box<dyn Peer>, Failed> {
    let aws = |boxes| -> Result<Box<dyn Peer>, Failed> {
        if algorithm.kind != Kind::RandomCutForest {
            return Err(format!("AWS has a random cut forest, not {name}").into());
        }
        let shape =
            (algorithm.whole("trees"), algorithm.whole("sample"), if *values == 1 { 8 } else { 1 });
        Ok(Box::new(Aws::new(*values, shape, boxes, 1)?))
    };
    Ok(match who {
        "model" => Box::new(Ours::new(algorithm, *values, 1)),
        "verdict" => Box::new(Verdicts::new(algorithm, *values, 1)),
        "aws" => aws(1.0)?,
        "aws-small" => aws(0.0)?,
        _ => return Err(format!("there is no '{who}'").into()),
    })
}
