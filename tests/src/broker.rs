//! A real Kafka broker; deployments on it that do not disturb each other; kcat as a client that is not ours; and
//! readers that see what any read_committed reader sees.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use domain::Topics;
use exchange::{
    Exchange, FollowFrom, Message,
    kafka::{KafkaExchange, KafkaOptions},
};
use tempfile::TempDir;

use crate::{needs, process::Service};

/// One deployment on the broker: topics and groups behind a prefix of their own.
pub struct Deployment {
    /// The names of its topics.
    pub topics: Topics,
    /// The broker, read from outside.
    pub exchange: KafkaExchange,
    /// Where logs and files of the test lie.
    pub folder: TempDir,
    broker: String,
}

impl Deployment {
    /// A new deployment on the broker of the environment; `None` if the test must be skipped.
    pub fn new(test: &str) -> Option<Self> {
        let broker = needs::require(test, "KAFKA_BOOTSTRAP")?;
        if !needs::kcat(test) {
            return None;
        }
        let run = RandomState::new().build_hasher().finish();
        let options = KafkaOptions::new(broker.as_str(), "oddwatch-tests");
        Some(Self {
            topics: Topics::new(&format!("{test}-{run:016x}.")),
            exchange: KafkaExchange::connect(options).expect("the broker answers"),
            folder: tempfile::tempdir().expect("a folder for logs"),
            broker,
        })
    }

    /// The broker's address.
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// Starts a service of it, or `up`, and waits until it serves. `settings` are `section.key=value`.
    pub fn start(&self, service: &str, instance: &str, settings: &[&str]) -> Service {
        let prefix = format!("kafka.topic_prefix={}", self.topics.prefix);
        let instance_setting = format!("worker.instance={instance}");
        let mut args = vec![service, "--kafka", &self.broker];
        for setting in [prefix.as_str(), &instance_setting].iter().chain(settings) {
            args.extend(["--set", setting]);
        }
        Service::start(self.folder.path(), &format!("{service}-{instance}"), &args)
    }

    /// Publishes lines of key, tab and value with kcat; lines of one key stay in their order. Returns when the
    /// broker has them.
    pub fn publish<'a>(&self, topic: &str, lines: impl IntoIterator<Item = &'a str>) {
        let mut kcat = self.kcat(topic);
        // As Kafka's Java clients place keys; idempotence keeps the order if a request is repeated.
        kcat.args(["-K", "\t", "-X", "partitioner=murmur2_random"]);
        let mut child = kcat.stdin(Stdio::piped()).spawn().expect("kcat runs");
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        stdin.write_all(text.as_bytes()).expect("kcat reads");
        drop(stdin);
        assert!(child.wait().expect("kcat ends").success(), "kcat could not publish to {topic}");
    }

    /// Publishes each file's content as one message without a key, in their order, to one partition with kcat.
    pub fn publish_files(&self, topic: &str, partition: u32, files: &[PathBuf]) {
        let mut kcat = self.kcat(topic);
        kcat.args(["-p", &partition.to_string()]).args(files).stdin(Stdio::null());
        assert!(kcat.status().expect("kcat runs").success(), "kcat could not publish to {topic}");
    }

    fn kcat(&self, topic: &str) -> Command {
        let mut kcat = Command::new("kcat");
        kcat.args(["-P", "-q", "-b", &self.broker, "-t", topic]);
        kcat.args(["-X", "enable.idempotence=true", "-X", "message.max.bytes=8000000"]);
        kcat
    }

    /// Reads a topic from its beginning, all the time.
    pub fn read<T: Default + Send + 'static>(&self, topic: &str, take: Take<T>) -> Reader<T> {
        Reader::start(&self.exchange, topic, take)
    }

    /// A path for a file of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

/// The version of brokers that are killed. 4.3.0, alone or with one replica, forgets to end transactions that were
/// open when it was killed (KAFKA-20734: for a moment no partition has a leader, which it takes for a deletion of
/// their topics): what they wrote becomes visible with the producer's next commit, or their offsets hang for ever.
const KILLED_VERSION: &str = "4.2.0";

/// A broker of one's own, which may be killed without disturbing other tests. When this is dropped it is stopped,
/// and its data are kept, to be looked at, until the next start, unless they were forgotten.
pub struct OwnBroker {
    name: String,
    address: String,
    is_forgotten: bool,
}

impl OwnBroker {
    /// Starts the broker `name` afresh. What an earlier one of that name has left is deleted.
    ///
    /// # Errors
    /// What `scripts/kafka.sh` says.
    pub fn start(name: &str) -> Result<Self, String> {
        let mut broker =
            Self { name: name.to_owned(), address: String::new(), is_forgotten: false };
        broker.run("wipe")?;
        broker.address = broker.run("start")?.trim().to_owned();
        Ok(broker)
    }

    /// Its address; a broker that was killed comes back under the same.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// As [`OwnBroker::start`].
    pub fn kill(&self) -> Result<(), String> {
        self.run("kill").map(drop)
    }

    /// Begins to start the killed broker with its data. It listens once the script has ended.
    ///
    /// # Errors
    /// If there is no shell.
    pub fn revive(&self) -> Result<Child, String> {
        let mut script = self.script("revive");
        script.stdout(Stdio::null()).stderr(Stdio::null());
        script.spawn().map_err(|error| format!("scripts/kafka.sh: {error}"))
    }

    /// Lets its data be deleted with it. Without, `KAFKA_NAME=name scripts/kafka.sh start` serves them again.
    pub fn forget(&mut self) {
        self.is_forgotten = true;
    }

    /// How far each consumer group has read, as Kafka's own tool tells it: group, topic, partition, next offset.
    ///
    /// # Errors
    /// As [`OwnBroker::start`].
    pub fn groups(&self) -> Result<Vec<(String, String, u32, u64)>, String> {
        let text = self.run("groups")?;
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let (group, topic) = (words.next()?.to_owned(), words.next()?.to_owned());
            Some((group, topic, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    fn script(&self, command: &str) -> Command {
        let mut script = Command::new(needs::root().join("scripts/kafka.sh"));
        script.arg(command).env("KAFKA_NAME", &self.name).env("KAFKA_VERSION", KILLED_VERSION);
        script.stdin(Stdio::null());
        script
    }

    fn run(&self, command: &str) -> Result<String, String> {
        let output = self.script(command).output();
        let output = output.map_err(|error| format!("scripts/kafka.sh: {error}"))?;
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        if output.status.success() {
            return Ok(out.into_owned());
        }
        Err(format!("scripts/kafka.sh {command} failed: {}", err.trim()))
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        // There is nobody to tell; the next one of this name begins with the same.
        let _ = self.run(if self.is_forgotten { "wipe" } else { "stop" });
    }
}

/// Adds a message of a partition to what was read.
pub type Take<T> = fn(&mut T, u32, &Message);

/// Reads a topic on a thread of its own, from its beginning, without a group, committed messages only.
pub struct Reader<T> {
    found: Arc<Mutex<T>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Default + Send + 'static> Reader<T> {
    fn start(exchange: &KafkaExchange, topic: &str, take: Take<T>) -> Self {
        const WAIT: Duration = Duration::from_millis(50);
        let mut follower =
            exchange.follow(topic, FollowFrom::Earliest).expect("the topic can be followed");
        let found: Arc<Mutex<T>> = Arc::default();
        let ending: Arc<AtomicBool> = Arc::default();
        let (shared, end) = (Arc::clone(&found), Arc::clone(&ending));
        let thread = thread::spawn(move || {
            loop {
                if end.load(Ordering::Acquire) && follower.caught_up().expect("the broker answers")
                {
                    return;
                }
                let messages = follower.next(WAIT, 10_000).expect("the topic can be read");
                let mut found = shared.lock().unwrap_or_else(PoisonError::into_inner);
                for (partition, message) in &messages {
                    take(&mut found, *partition, message);
                }
            }
        });
        Self { found, ending, thread: Some(thread) }
    }

    /// Looks at what was read so far.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.check();
        look(&self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads to the end of what is committed now, and returns all.
    pub fn finish(mut self) -> T {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader did not fail");
        }
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn check(&self) {
        assert!(self.thread.as_ref().is_some_and(|t| !t.is_finished()), "the reader failed");
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
    }
}
