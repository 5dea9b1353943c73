//! The load: kcat, a client that is not ours, is fed with lines at a steady rate. It ends when its broker is away;
//! then another one goes on. What it had not sent by then is lost, but that was never published.

use std::{
    io::{self, BufWriter, Write as _},
    net::TcpStream,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use oddwatch_tests::wait::Stopwatch;

use crate::series::{Lines, TOPICS};

/// Lines are written in bursts this far apart.
const BURST: Duration = Duration::from_millis(40);
/// How often a broker that is away is asked for.
const ASK: Duration = Duration::from_millis(200);

/// Publishes on a thread of its own.
pub(crate) struct Load {
    handed: Arc<AtomicU64>,
    records: u64,
    thread: JoinHandle<io::Result<Publisher>>,
}

impl Load {
    /// Starts to publish so many records at so many a second.
    pub(crate) fn start(mut publisher: Publisher, records: u64, rate: u64) -> Self {
        let handed: Arc<AtomicU64> = Arc::default();
        let counted = Arc::clone(&handed);
        let thread = thread::spawn(move || {
            let watch = Stopwatch::start();
            let burst = (rate * BURST.as_millis() as u64 / 1_000).max(1);
            let mut bursts = 0;
            let mut left = records;
            while left > 0 {
                // A burst that comes late is not made up for: a broker that is back is busy enough.
                bursts = (bursts + 1).max(watch.elapsed().as_millis() / BURST.as_millis());
                let due = BURST * u32::try_from(bursts).unwrap_or(u32::MAX);
                thread::sleep(due.saturating_sub(watch.elapsed())); // pacing
                let count = burst.min(left);
                publisher.publish(count)?;
                left -= count;
                counted.fetch_add(count, Ordering::Relaxed);
            }
            publisher.finish()?;
            Ok(publisher)
        });
        Self { handed, records, thread }
    }

    /// How much of it was handed to kcat.
    pub(crate) fn handed(&self) -> u64 {
        self.handed.load(Ordering::Relaxed)
    }

    pub(crate) fn left(&self) -> u64 {
        self.records - self.handed()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end.
    pub(crate) fn join(self) -> io::Result<Publisher> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the load panicked")))
    }
}

/// Hands lines to kcat, one for each topic.
pub(crate) struct Publisher {
    broker: String,
    prefix: String,
    lines: Lines,
    clients: [Option<Kcat>; TOPICS.len()],
}

struct Kcat {
    child: Child,
    input: BufWriter<ChildStdin>,
}

impl Publisher {
    pub(crate) fn new(broker: &str, prefix: &str, seed: u64) -> Self {
        let lines = Lines::new(seed);
        Self { broker: broker.to_owned(), prefix: prefix.to_owned(), lines, clients: [None, None] }
    }

    /// Hands so many lines over.
    pub(crate) fn publish(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            let line = self.lines.next();
            // A line that finds its client gone goes to the next one.
            while !self.hand(line.topic, &line.text)? {}
        }
        for topic in 0..TOPICS.len() {
            let flushed = self.clients[topic].as_mut().is_none_or(|c| c.input.flush().is_ok());
            if !flushed {
                self.clients[topic] = None;
            }
        }
        Ok(())
    }

    /// Ends both clients, which send what they have.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        for client in self.clients.iter_mut().filter_map(Option::take) {
            let mut child = client.end();
            child.wait()?;
        }
        Ok(())
    }

    fn hand(&mut self, topic: usize, text: &str) -> io::Result<bool> {
        let client = match &mut self.clients[topic] {
            Some(client) => client,
            none => {
                while TcpStream::connect(&self.broker).is_err() {
                    thread::sleep(ASK); // poll interval
                }
                none.insert(Kcat::start(
                    &self.broker,
                    &format!("{}{}", self.prefix, TOPICS[topic]),
                )?)
            }
        };
        let is_alive = client.child.try_wait()?.is_none();
        let handed = is_alive && client.input.write_all(text.as_bytes()).is_ok();
        if !handed && let Some(client) = self.clients[topic].take() {
            client.end().wait()?;
        }
        Ok(handed)
    }
}

impl Kcat {
    fn start(broker: &str, topic: &str) -> io::Result<Self> {
        // As Kafka's Java clients place keys; idempotence keeps the order if a request is repeated.
        let mut child = Command::new("kcat")
            .args(["-P", "-q", "-b", broker, "-t", topic, "-K", "\t"])
            .args(["-X", "enable.idempotence=true", "-X", "partitioner=murmur2_random"])
            .args(["-X", "linger.ms=10"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take().ok_or_else(|| io::Error::other("kcat has no input"))?;
        Ok(Self { child, input: BufWriter::new(input) })
    }

    /// Closes its input. What it does not take any more is lost.
    fn end(self) -> Child {
        let (input, _) = self.input.into_parts();
        drop(input);
        self.child
    }
}
