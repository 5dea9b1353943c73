//! Takes slices off the worker's hands: on a thread of its own, or, for single-threaded runs, at
//! once.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use crate::{Error, Header, Store, upload::Upload};

/// How many slices may wait for the thread. They are memory; more than two only help where a store
/// is jerky.
const SLICES_MAX: usize = 4;
/// A store that does not take a slice within this time hangs.
const A_WHILE: Duration = Duration::from_millis(500);
/// Beside slices: begin, end and cancellation of one snapshot that has failed already and of the
/// next one.
const ORDERS_MAX: usize = SLICES_MAX + 6;

/// What is to be done.
pub(crate) enum Order {
    /// Begins a snapshot.
    Begin {
        header: Header,
        head: Vec<u8>,
        /// The offsets that are kept when it is durable.
        kept: Vec<u64>,
    },
    /// Adds whole records.
    Slice(Vec<u8>),
    /// Publishes it.
    Finish,
    /// Gives it up.
    Cancel,
}

/// How a snapshot ended; every begin is answered by exactly one.
#[derive(Debug)]
pub(crate) enum End {
    /// It is durable and has so many bytes.
    Durable(u64),
    Failed(Error),
    Cancelled,
}

/// How long to wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
    Not,
    /// Half a second.
    AWhile,
    ToTheEnd,
}

/// The worker's side.
pub(crate) struct Writer {
    store: Arc<Store>,
    mode: Mode,
    /// Whether a begin was not answered yet.
    open: bool,
    /// The answer, if it did not come from a thread.
    answer: Option<End>,
}

enum Mode {
    Inline {
        writing: Box<Writing>,
        buffer: Vec<u8>,
    },
    /// The thread starts with the first snapshot, and again if it was lost.
    Idle,
    Thread(Link),
}

struct Link {
    orders: SyncSender<Order>,
    answers: Receiver<End>,
    /// Slices that were written come back, so that their memory is used again and their number is
    /// bounded.
    free: Receiver<Vec<u8>>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub(crate) fn new(store: Arc<Store>, inline: bool) -> Self {
        let mode = if inline {
            let writing = Box::new(Writing { store: Arc::clone(&store), current: None });
            Mode::Inline { writing, buffer: vec![] }
        } else {
            Mode::Idle
        };
        Self { store, mode, open: false, answer: None }
    }

    /// An empty buffer for the next slice; `None` if there is no room for one, even after waiting.
    pub(crate) fn buffer(&mut self, wait: Wait) -> Option<Vec<u8>> {
        let mut buffer = match (&mut self.mode, wait) {
            (Mode::Inline { buffer, .. }, _) => std::mem::take(buffer),
            (Mode::Idle, _) => return None,
            (Mode::Thread(link), Wait::Not) => link.free.try_recv().ok()?,
            (Mode::Thread(link), Wait::AWhile) => link.free.recv_timeout(A_WHILE).ok()?,
            (Mode::Thread(link), Wait::ToTheEnd) => link.free.recv().ok()?,
        };
        buffer.clear();
        Some(buffer)
    }

    /// Passes an order on; never waits.
    pub(crate) fn give(&mut self, order: Order) {
        if let Order::Begin { .. } = &order {
            self.open = true;
            if let Mode::Idle = self.mode {
                match start(&self.store) {
                    Ok(link) => self.mode = Mode::Thread(link),
                    Err(error) => return self.lost(Error::store("starting a thread", error)),
                }
            }
        }
        match &mut self.mode {
            Mode::Inline { writing, buffer } => {
                let (answer, used) = writing.handle(order);
                self.answer = self.answer.take().or(answer);
                if let Some(used) = used {
                    *buffer = used;
                }
            }
            Mode::Idle => {}
            Mode::Thread(link) => {
                if link.orders.try_send(order).is_err() {
                    self.ended();
                }
            }
        }
    }

    /// The answer to the last begin, if it has come or, waiting, when it comes.
    pub(crate) fn answer(&mut self, wait: bool) -> Option<End> {
        if !self.open {
            return None;
        }
        if self.answer.is_none()
            && let Mode::Thread(link) = &self.mode
        {
            let received = if wait {
                link.answers.recv().map_err(|RecvError| TryRecvError::Disconnected)
            } else {
                link.answers.try_recv()
            };
            match received {
                Ok(answer) => self.answer = Some(answer),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.ended(),
            }
        }
        let answer = self.answer.take()?;
        self.open = false;
        Some(answer)
    }

    /// The thread has gone: its snapshot has failed, the next one starts another thread.
    fn ended(&mut self) {
        self.mode = Mode::Idle;
        self.lost(Error::store("writing snapshots", "the writing thread has ended"));
    }

    fn lost(&mut self, error: Error) {
        if self.open && self.answer.is_none() {
            self.answer = Some(End::Failed(error));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Mode::Thread(link) = std::mem::replace(&mut self.mode, Mode::Idle) {
            // Without orders to come the thread takes an unfinished upload back and ends.
            drop(link.orders);
            if link.thread.join().is_err() {
                tracing::debug!("the writing thread panicked");
            }
        }
    }
}

fn start(store: &Arc<Store>) -> std::io::Result<Link> {
    let (orders, orders_in) = sync_channel(ORDERS_MAX);
    let (answers_out, answers) = sync_channel(ORDERS_MAX);
    let (free_out, free) = sync_channel(SLICES_MAX);
    for _ in 0..SLICES_MAX {
        // There is room: nothing else was sent yet.
        let _ = free_out.try_send(Vec::new());
    }
    let mut writing = Writing { store: Arc::clone(store), current: None };
    let thread = Builder::new().name("snapshots".to_owned()).spawn(move || {
        for order in orders_in {
            let (answer, used) = writing.handle(order);
            let told = answer.is_none_or(|answer| answers_out.send(answer).is_ok());
            if !(told && used.is_none_or(|used| free_out.send(used).is_ok())) {
                break;
            }
        }
        writing.handle(Order::Cancel);
    })?;
    Ok(Link { orders, answers, free, thread })
}

/// The store's side.
struct Writing {
    store: Arc<Store>,
    current: Option<Current>,
}

struct Current {
    upload: Upload,
    kept: Vec<u64>,
}

impl Writing {
    /// Does what is ordered; gives the answer to the begin, if this is the end, and a used slice
    /// back.
    fn handle(&mut self, order: Order) -> (Option<End>, Option<Vec<u8>>) {
        let mut used = None;
        let ended = match order {
            Order::Begin { header, head, kept } => {
                match Upload::begin(&self.store, header, &head) {
                    Ok(upload) => {
                        self.current = Some(Current { upload, kept });
                        None
                    }
                    Err(error) => Some(End::Failed(error)),
                }
            }
            Order::Slice(records) => {
                let pushed = self.current.as_mut().map(|current| current.upload.push(&records));
                used = Some(records);
                pushed.and_then(Result::err).and_then(|error| self.end(End::Failed(error)))
            }
            Order::Finish => {
                let published = self.current.as_mut().map(|at| at.upload.publish(&at.kept));
                match published {
                    Some(Ok(bytes)) => self.end(End::Durable(bytes)),
                    Some(Err(error)) => self.end(End::Failed(error)),
                    None => None,
                }
            }
            Order::Cancel => self.end(End::Cancelled),
        };
        (ended, used)
    }

    /// Ends the current snapshot, if it has not ended yet.
    fn end(&mut self, end: End) -> Option<End> {
        let current = self.current.take()?;
        if !matches!(end, End::Durable(_)) {
            current.upload.abort();
        }
        Some(end)
    }
}
