//! Does real things to the machine, each bounded in time and size, and leaves nothing behind.

use std::{
    fs::{self, File, OpenOptions},
    hint::black_box,
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    thread,
};

use domain::Micros;
use sysinfo::{Disks, System};

use super::{pace::Pace, plan::Kind, units::Unit};

/// A core looks at the clock after so many rounds, which takes far below a millisecond.
const ROUNDS: u64 = 100_000;

/// What is written before it is made durable.
const CHUNK_BYTES: usize = 16 << 20;
/// The file does not grow beyond this; then it is written over.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// All that is written in one burst, evenly over its time.
const WRITTEN_BYTES_MAX: u64 = 1_536 << 20;
/// This share of what is free may be used, of memory and of disks.
const FREE_SHARE: u64 = 5;
/// The file is at least so large, or the burst is left out.
const FILE_BYTES_MIN: u64 = CHUNK_BYTES as u64;

/// Memory is taken in such steps.
const BLOCK_BYTES: usize = 32 << 20;
const TAKEN_BYTES_MAX: u64 = 1_536 << 20;
/// Taking it all may last this share of the time; the rest it is held.
const TAKING_SHARE: i64 = 12;

/// Why a disturbance was not caused, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// No place for a file of some size.
    #[error("nowhere to write: {0}")]
    NoRoom(String),
    /// The disk refused.
    #[error("{path}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refused memory.
    #[error("{got} were given, then no more memory")]
    Memory {
        /// What was given.
        got: String,
    },
}

/// What is going to be done, in words, found out before it begins.
pub(crate) enum Prepared {
    /// So many threads compute.
    Cpu(usize),
    /// So many bytes of a file that has no name any more.
    Disk { file: File, path: PathBuf, bytes_max: u64 },
    /// So many bytes.
    Memory(u64),
}

impl Prepared {
    /// Looks at what the machine can bear.
    pub(crate) fn new(kind: Kind) -> Result<Self, Failed> {
        match kind {
            Kind::Cpu => Ok(Self::Cpu(thread::available_parallelism().map_or(1, Into::into))),
            Kind::Disk => {
                let (path, bytes_max) = place()?;
                let file = nameless(&path)?;
                Ok(Self::Disk { file, path, bytes_max })
            }
            Kind::Memory => Ok(Self::Memory(memory_to_take())),
        }
    }

    /// What people read when it begins.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Cpu(threads) => format!("{threads} threads compute"),
            Self::Disk { path, .. } => {
                let most = Unit::Bytes.show(WRITTEN_BYTES_MAX as f64);
                let folder = path.parent().unwrap_or(path);
                format!("up to {most} written to {}, with fsync", folder.display())
            }
            Self::Memory(bytes) => format!("{} taken and touched", Unit::Bytes.show(*bytes as f64)),
        }
    }

    /// Does it until the time has come or a stop is wished.
    pub(crate) fn cause(self, pace: &Pace, until: Micros) -> Result<(), Failed> {
        match self {
            Self::Cpu(threads) => {
                compute(threads, pace, until);
                Ok(())
            }
            Self::Disk { file, path, bytes_max } => {
                write(file, bytes_max, pace, until).map_err(|source| Failed::Disk { path, source })
            }
            Self::Memory(bytes) => take(bytes, pace, until),
        }
    }
}

fn compute(threads: usize, pace: &Pace, until: Micros) {
    thread::scope(|scope| {
        for seed in 0..threads as u64 {
            scope.spawn(move || {
                let mut state = seed;
                while !pace.reached(until) {
                    for _ in 0..ROUNDS {
                        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005) ^ seed);
                    }
                }
            });
        }
    });
}

/// Where to write, and how much: the folder for temporary files, unless that lives in memory; else the
/// working folder.
fn place() -> Result<(PathBuf, u64), Failed> {
    let disks = Disks::new_with_refreshed_list();
    let folders = [std::env::temp_dir(), PathBuf::from("target"), PathBuf::from(".")];
    let mut refused = vec![];
    for folder in folders {
        let Ok(folder) = fs::canonicalize(folder) else {
            continue;
        };
        let mounted = |disk: &&sysinfo::Disk| folder.starts_with(disk.mount_point());
        let depth = |disk: &&sysinfo::Disk| disk.mount_point().components().count();
        let disk = disks.iter().filter(mounted).max_by_key(depth);
        let system = disk.map_or_else(String::new, |d| d.file_system().to_string_lossy().into());
        let free = disk.map_or(u64::MAX, sysinfo::Disk::available_space);
        let bytes_max = (free / FREE_SHARE).min(FILE_BYTES_MAX);
        if matches!(system.as_str(), "tmpfs" | "ramfs" | "devtmpfs") {
            refused.push(format!("{} lives in memory", folder.display()));
        } else if bytes_max < FILE_BYTES_MIN {
            let free = Unit::Bytes.show(free as f64);
            refused.push(format!("{} has {free} free", folder.display()));
        } else {
            let name = format!("oddwatch-demo-{}.tmp", std::process::id());
            return Ok((folder.join(name), bytes_max));
        }
    }
    Err(Failed::NoRoom(refused.join(", ")))
}

/// A new file whose name is taken away at once, so that it is gone whatever happens to this process.
fn nameless(path: &Path) -> Result<File, Failed> {
    let fail = |source| Failed::Disk { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(fail)?;
    fs::remove_file(path).map_err(fail)?;
    Ok(file)
}

fn write(mut file: File, bytes_max: u64, pace: &Pace, until: Micros) -> io::Result<()> {
    // Neither zeros nor a short pattern: some disks would not write those.
    let mut state = 1_u64;
    let chunk: Vec<u8> = (0..CHUNK_BYTES / 8)
        .flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state ^ (state >> 29)).to_le_bytes()
        })
        .collect();
    let chunks = (WRITTEN_BYTES_MAX / CHUNK_BYTES as u64) as i64;
    let (from, mut place) = (pace.now(), 0);
    for number in 0..chunks {
        if place + CHUNK_BYTES as u64 > bytes_max {
            place = file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(&chunk)?;
        file.sync_data()?;
        place += CHUNK_BYTES as u64;
        let due = from + (until - from) * (number + 1) / chunks;
        if !pace.wait_until(due) || pace.reached(until) {
            break;
        }
    }
    Ok(())
}

/// A share of what is available, within the limits of the control group if there is one.
fn memory_to_take() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let available = system.available_memory();
    let within = system.cgroup_limits().map_or(available, |limits| limits.free_memory);
    (available.min(within) / FREE_SHARE).min(TAKEN_BYTES_MAX)
}

fn take(bytes: u64, pace: &Pace, until: Micros) -> Result<(), Failed> {
    let count = bytes.div_ceil(BLOCK_BYTES as u64) as i64;
    let from = pace.now();
    let mut blocks: Vec<Vec<u8>> = vec![];
    for number in 0..count {
        let mut block = Vec::new();
        if block.try_reserve_exact(BLOCK_BYTES).is_err() {
            let got = Unit::Bytes.show((blocks.len() * BLOCK_BYTES) as f64);
            return Err(Failed::Memory { got });
        }
        // Not zeros: their pages would not be there before they are written.
        block.resize(BLOCK_BYTES, 0x5a);
        blocks.push(block);
        let due = from + (until - from) / TAKING_SHARE * (number + 1) / count;
        if !pace.wait_until(due) {
            break;
        }
    }
    pace.wait_until(until);
    black_box(&blocks);
    Ok(())
}

#[cfg(test)]
mod tests {
    use runtime::{Clock, Stop};

    use super::*;

    /// A time that has come already: each does its least, for real.
    #[test]
    fn disturbances_end_with_their_time_and_leave_nothing() {
        let pace = Pace::new(Clock::System, Stop::default());
        for kind in Kind::ALL {
            let prepared = Prepared::new(kind).expect("a machine that can bear it");
            assert!(!prepared.describe().is_empty());
            let path = match &prepared {
                Prepared::Disk { path, bytes_max, .. } => {
                    assert!((FILE_BYTES_MIN..=FILE_BYTES_MAX).contains(bytes_max));
                    Some(path.clone())
                }
                Prepared::Memory(bytes) => {
                    assert!(*bytes <= TAKEN_BYTES_MAX);
                    // All of it is too much for a test.
                    assert!(take((BLOCK_BYTES * 2) as u64, &pace, pace.now()).is_ok());
                    continue;
                }
                Prepared::Cpu(threads) => {
                    assert!(*threads > 0);
                    None
                }
            };
            let now = pace.now();
            assert!(prepared.cause(&pace, now).is_ok());
            assert!(path.is_none_or(|path| !path.exists()));
        }
    }

    #[test]
    fn a_stop_ends_a_disturbance_early() {
        let stop = Stop::default();
        stop.stop();
        let pace = Pace::new(Clock::System, stop);
        let far = pace.now() + 3_600_000_000;
        assert!(Prepared::Cpu(2).cause(&pace, far).is_ok());
        assert!(take(BLOCK_BYTES as u64, &pace, far).is_ok());
    }
}
