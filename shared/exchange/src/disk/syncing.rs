//! The thread that brings the write-ahead log to the disk and into the database: every second, and
//! earlier when much was written. Writers go on meanwhile.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

/// What a power failure may take with `Durability::Process`.
const INTERVAL: Duration = Duration::from_secs(1);

/// So much written asks for an earlier turn: small steps keep the log short and the disk's queue
/// too.
const STEP_BYTES: u64 = 8 << 20;

#[derive(Default)]
struct Shared {
    /// Bytes written since the last turn began.
    bytes: AtomicU64,
    broken: AtomicBool,
}

pub(super) struct Syncing {
    shared: Arc<Shared>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncing {
    pub(super) fn start(db: Connection) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (ask, asked) = sync_channel(1);
        let theirs = Arc::clone(&shared);
        let run = move || run(&db, &asked, &theirs);
        let thread = thread::Builder::new().name("exchange-sync".into()).spawn(run)?;
        Ok(Self { shared, ask: Some(ask), thread: Some(thread) })
    }

    /// Tells of a transaction of so many bytes.
    pub(super) fn written(&self, bytes: u64) {
        let before = self.shared.bytes.fetch_add(bytes.max(1), Ordering::Relaxed);
        if before + bytes >= STEP_BYTES
            && let Some(ask) = &self.ask
        {
            // A turn that was asked for already is as good.
            let _ = ask.try_send(());
        }
    }

    /// Whether a sync failed: what was answered as durable may not be.
    pub(super) fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(db: &Connection, asked: &Receiver<()>, shared: &Shared) {
    loop {
        if asked.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        if shared.bytes.swap(0, Ordering::Relaxed) == 0 {
            continue;
        }
        let done = db.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
        let Err(error) = done else { continue };
        match error.sqlite_error_code() {
            // The log holds everything; the next turn tries again.
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                shared.bytes.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                tracing::error!(%error, "the store can't be synced to the disk");
                shared.broken.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}
