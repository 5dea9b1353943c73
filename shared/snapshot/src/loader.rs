//! Loads snapshots on other threads, so that the partitions that are ready go on meanwhile.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
};

use crate::{Error, Header, Loaded, Store, Subject, Wanted};

/// How many load at a time: each holds a state and keeps a processor busy.
const THREADS_MAX: usize = 2;

type Outcome<R> = Result<Loaded<R>, Error>;
type Job<R> = Box<dyn FnOnce() -> Option<Outcome<R>> + Send>;

/// Loads the snapshots of a worker's partitions.
pub struct Loader<R> {
    store: Arc<Store>,
    service: &'static str,
    inline: bool,
    waiting: VecDeque<(Ticket, Job<R>)>,
    running: Vec<(Ticket, JoinHandle<Option<Outcome<R>>>)>,
    ready: Vec<(String, Outcome<R>)>,
}

/// A partition that is wanted until it is set to stop.
struct Ticket {
    partition: String,
    stop: Arc<AtomicBool>,
}

impl<R: Send + 'static> Loader<R> {
    /// A loader of a service's partitions; `inline` starts no threads and loads at once.
    pub fn new(store: Arc<Store>, service: &'static str, inline: bool) -> Self {
        let (waiting, running, ready) = (VecDeque::new(), vec![], vec![]);
        Self { store, service, inline, waiting, running, ready }
    }

    /// Asks for a partition's state, as [`Store::load`] does; an earlier request for it is
    /// forgotten.
    pub fn request(
        &mut self,
        partition: &str,
        wanted: Wanted,
        begin: impl Fn(&Header, &[u8]) -> Result<R, String> + Send + 'static,
        item: impl Fn(&mut R, u32, &[u8]) -> Result<(), String> + Send + 'static,
    ) {
        self.forget(partition);
        let stop = Arc::new(AtomicBool::new(false));
        let ticket = Ticket { partition: partition.to_owned(), stop: Arc::clone(&stop) };
        let subject = Subject::new(self.service, partition);
        let store = Arc::clone(&self.store);
        let load = move || store.load_unless(&stop, &subject, &wanted, begin, item).transpose();
        if self.inline {
            self.ready.extend(load().map(|outcome| (ticket.partition, outcome)));
        } else {
            self.waiting.push_back((ticket, Box::new(load)));
            self.start();
        }
    }

    /// Those that are loaded, or could not be, since the last call; starts what waits. To be called
    /// regularly.
    pub fn ready(&mut self) -> Vec<(String, Result<Loaded<R>, Error>)> {
        for (ticket, thread) in self.running.extract_if(.., |(_, thread)| thread.is_finished()) {
            let partition = ticket.partition;
            let outcome = thread.join().unwrap_or_else(|_| {
                let why = "loading its snapshot panicked".to_owned();
                Some(Err(Error::State { object: partition.clone(), why }))
            });
            let wanted = !ticket.stop.load(Ordering::Relaxed);
            self.ready.extend(outcome.filter(|_| wanted).map(|outcome| (partition, outcome)));
        }
        self.start();
        std::mem::take(&mut self.ready)
    }

    /// Drops a request: the partition has gone.
    pub fn forget(&mut self, partition: &str) {
        self.waiting.retain(|(ticket, _)| ticket.partition != partition);
        self.ready.retain(|(ready, _)| ready != partition);
        for (ticket, _) in self.running.iter().filter(|(at, _)| at.partition == partition) {
            ticket.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something was asked for that [`Loader::ready`] has not returned yet.
    pub fn in_progress(&self) -> bool {
        let wanted = |(ticket, _): &(Ticket, _)| !ticket.stop.load(Ordering::Relaxed);
        !self.waiting.is_empty() || !self.ready.is_empty() || self.running.iter().any(wanted)
    }

    fn start(&mut self) {
        while self.running.len() < THREADS_MAX
            && let Some((ticket, job)) = self.waiting.pop_front()
        {
            match spawn(job) {
                Ok(thread) => self.running.push((ticket, thread)),
                Err(error) => {
                    let error = Error::store("starting a thread", error);
                    self.ready.push((ticket.partition, Err(error)));
                }
            }
        }
    }
}

fn spawn<R: Send + 'static>(job: Job<R>) -> io::Result<JoinHandle<Option<Outcome<R>>>> {
    Builder::new().name("restore".to_owned()).spawn(job)
}

impl<R> Drop for Loader<R> {
    fn drop(&mut self) {
        // The threads end by themselves, within a block.
        for (ticket, _) in &self.running {
            ticket.stop.store(true, Ordering::Relaxed);
        }
    }
}
