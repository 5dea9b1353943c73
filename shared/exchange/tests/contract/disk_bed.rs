//! The memory exchange with a data directory, as a bed: small bounds, so that most is read from the
//! disk and soon trimmed there.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use oddwatch_exchange::{
    DiskOptions, Durability, Exchange, FaultHook, MemoryExchange, MemoryOptions,
};
use tempfile::TempDir;

use crate::bed::{Bed, Faults};

/// What a partition may hold on the disk here, and in memory.
pub const DISK_BYTES_MAX: u64 = 60_000;
pub const CACHE_BYTES_MAX: usize = 2_000;

pub struct DiskBed {
    directory: TempDir,
    faults: Faults,
    /// Milliseconds; rises with every look.
    pub now: Arc<AtomicI64>,
    disk: DiskOptions,
    exchange: Mutex<Option<MemoryExchange>>,
}

/// Small bounds.
pub fn tight() -> DiskOptions {
    DiskOptions {
        durability: Durability::Process,
        disk_bytes_max: DISK_BYTES_MAX,
        cache_bytes_max: CACHE_BYTES_MAX,
    }
}

/// Options with a clock of their own.
pub fn options(now: &Arc<AtomicI64>, disk: DiskOptions) -> MemoryOptions {
    let now = Arc::clone(now);
    let clock = Arc::new(move || now.fetch_add(1, Ordering::Relaxed));
    MemoryOptions { disk, ..MemoryOptions::new(clock) }
}

impl DiskBed {
    pub fn new() -> Self {
        Self::with(tight())
    }

    pub fn with(disk: DiskOptions) -> Self {
        let bed = Self {
            directory: TempDir::new().expect("temporary directory"),
            faults: Faults::default(),
            now: Arc::new(AtomicI64::new(1_700_000_000_000)),
            disk,
            exchange: Mutex::default(),
        };
        bed.open();
        bed
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Closes the exchange; whoever used it must be gone.
    pub fn close(&self) {
        drop(self.exchange.lock().expect("exchange").take());
    }

    pub fn open(&self) {
        let faults: FaultHook = self.faults.hook();
        let options = MemoryOptions { faults: Some(faults), ..options(&self.now, self.disk) };
        let exchange = MemoryExchange::open(self.directory.path(), options).expect("open");
        *self.exchange.lock().expect("exchange") = Some(exchange);
    }

    pub fn memory(&self) -> MemoryExchange {
        self.exchange.lock().expect("exchange").clone().expect("the exchange is open")
    }
}

impl Bed for DiskBed {
    fn exchange(&self) -> Arc<dyn Exchange> {
        Arc::new(self.memory())
    }

    fn prefix(&self) -> &str {
        ""
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn restart(&self) {
        self.close();
        self.open();
    }
}
