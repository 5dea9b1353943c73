//! Kill -9: a process that appends and commits as fast as it can is killed at any point; whatever
//! it was told to be durable is there, commits are whole, offsets never went back, and the next
//! process goes on.
//!
//! The process is this test binary itself, told by the environment to be the child.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicI64},
    thread,
};

use bytes::Bytes;
use oddwatch_exchange::{
    Append, CommitOutcome, DiskOptions, Durability, Event, Exchange, FollowFrom, Group,
    MemoryExchange, Message, Output, Outputs, Partition, PollLimits, Start, TopicSpec,
};
use tempfile::TempDir;

use crate::{
    bed::{partition, spec},
    disk_bed::options,
};

/// Names the directory; set for the child only.
const DIRECTORY: &str = "ODDWATCH_TEST_KILLED_IN";
const KILLS: u64 = 20;
/// So small that both topics are trimmed all the time.
const DISK_BYTES_MAX: u64 = 4 << 20;

fn open(directory: &Path) -> MemoryExchange {
    let disk = DiskOptions {
        durability: Durability::Process,
        disk_bytes_max: DISK_BYTES_MAX,
        cache_bytes_max: 100_000,
    };
    let exchange = MemoryExchange::open(directory, options(&Arc::new(AtomicI64::new(1)), disk));
    let exchange = exchange.expect("open");
    let ring = TopicSpec { ring: true, ..spec("out", 1) };
    exchange.create_topics(&[spec("in", 2), ring]).expect("create topics");
    exchange
}

/// A message that tells its number; the rest is made from that too.
fn message(topic: &Arc<str>, partition: u32, number: u64) -> Output {
    let length = 8 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize % 20_000;
    let mut value = number.to_le_bytes().to_vec();
    value.resize(length, number as u8);
    let (topic, value) = (Arc::clone(topic), Some(Bytes::from(value)));
    Output { topic, partition: Some(partition), key: None, value, headers: Vec::new() }
}

/// The number of a message, if all of it is as it was written.
fn number(found: &Message) -> u64 {
    let value = found.value.as_deref().expect("a value");
    let number = u64::from_le_bytes(value[..8].try_into().expect("eight bytes"));
    let written = message(&"".into(), 0, number);
    assert_eq!(found.value, written.value, "message {number} at {}", found.offset);
    number
}

/// Everything kept of a topic, by partition.
fn everything(exchange: &MemoryExchange, topic: &str) -> BTreeMap<u32, Vec<Message>> {
    let mut follower = exchange.follow(topic, FollowFrom::Earliest).expect("follow");
    let mut found: BTreeMap<u32, Vec<Message>> = BTreeMap::new();
    while !follower.caught_up().expect("caught up") {
        for (partition, message) in follower.next(std::time::Duration::ZERO, 1_000).expect("next") {
            found.entry(partition).or_default().push(message);
        }
    }
    found
}

/// Says what is durable. The parent reads it as long as the child lives, and a little longer.
fn say(what: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush()).expect("the parent reads");
}

/// Copies both partitions of `in` to `out`, and appends to them, until it is killed.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let exchange = open(Path::new(&directory));
    let kept = everything(&exchange, "in");
    let next = |partition| kept.get(&partition).and_then(|m| m.last()).map_or(0, |m| number(m) + 1);
    let mut numbers = [next(0), next(1)];
    let appender = exchange.appender().expect("appender");
    say(format_args!("open"));
    thread::spawn(move || append(&*appender, &mut numbers));
    copy(&exchange);
}

fn append(appender: &dyn Append, numbers: &mut [u64; 2]) {
    let topic: Arc<str> = "in".into();
    loop {
        let (mut messages, mut written) = (Vec::new(), Vec::new());
        for turn in 0..1 + numbers[0] % 3 {
            let to = (turn % 2) as u32;
            messages.push(message(&topic, to, numbers[to as usize]));
            written.push(numbers[to as usize]);
            numbers[to as usize] += 1;
        }
        let places = loop {
            match appender.append(messages.clone()) {
                Ok(places) => break places,
                Err(oddwatch_exchange::Error::Full { .. }) => thread::yield_now(),
                Err(other) => panic!("{other:?}"),
            }
        };
        for ((to, offset), number) in places.into_iter().zip(written) {
            say(format_args!("appended {to} {offset} {number}"));
        }
    }
}

fn copy(exchange: &MemoryExchange) {
    let (topic, out): (Arc<str>, Arc<str>) = ("in".into(), "out".into());
    let group = Group { name: "group".into(), member: "a".into(), topics: vec![topic] };
    let mut member = exchange.join(&group).expect("join");
    let limits = PollLimits { messages_max: 7, ..PollLimits::default() };
    loop {
        let batch = match member.poll(&limits).expect("poll") {
            Event::Batch(batch) => batch,
            Event::Assigned(assignments) => {
                for assignment in assignments {
                    member.start(&assignment.partition, Start::Committed).expect("start");
                }
                continue;
            }
            _ => continue,
        };
        let (mut messages, mut metadata) = (Vec::new(), Vec::new());
        for slice in &batch.slices {
            for found in &slice.messages {
                messages.push(message(
                    &out,
                    0,
                    number(found) * 2 + u64::from(slice.partition.number),
                ));
            }
            if let Some(last) = slice.messages.last() {
                metadata.push((slice.partition.clone(), number(last).to_string()));
            }
        }
        let outputs = Outputs { messages, metadata };
        while member.commit(&outputs).expect("commit") != CommitOutcome::Committed {}
        for (partition, last) in &outputs.metadata {
            say(format_args!("committed {} {last}", partition.number));
        }
    }
}

/// What the child was told to be durable, over all its lives.
#[derive(Default)]
struct Promised {
    /// The newest append by partition: offset and number.
    appended: BTreeMap<u32, (u64, u64)>,
    /// The number up to which a partition was copied.
    committed: BTreeMap<u32, u64>,
}

impl Promised {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let word = |at: usize| words[at].parse::<u64>().expect("a number");
        match words[0] {
            "appended" => {
                let before = self.appended.insert(word(1) as u32, (word(2), word(3)));
                assert!(before.is_none_or(|before| before < (word(2), word(3))), "{line}");
            }
            "committed" => {
                let before = self.committed.insert(word(1) as u32, word(2));
                assert!(before.is_none_or(|before| before < word(2)), "{line}");
            }
            _ => {}
        }
    }

    /// Holds the store to it.
    fn check(&self, directory: &Path) {
        let exchange = open(directory);
        let kept = everything(&exchange, "in");
        for (to, (offset, number_of)) in &self.appended {
            let messages = &kept[to];
            let newest = messages.last().expect("the newest are kept");
            assert!(newest.offset >= *offset, "{to}: {} < {offset}", newest.offset);
            let found = messages.iter().find(|message| message.offset == *offset);
            assert_eq!(number(found.expect("it is there")), *number_of);
        }
        for messages in kept.values() {
            for pair in messages.windows(2) {
                assert_eq!(number(&pair[0]) + 1, number(&pair[1]), "nothing lost, nothing twice");
            }
        }
        // Outputs and offsets agree: the newest copy of each partition is what was committed for
        // it.
        let mut copied: BTreeMap<u32, u64> = BTreeMap::new();
        for message in everything(&exchange, "out").values().flatten() {
            let (to, number) = ((number(message) % 2) as u32, number(message) / 2);
            let before = copied.insert(to, number);
            assert!(before.is_none_or(|before| before + 1 == number), "{before:?} {number}");
        }
        let group = Group { name: "group".into(), member: "b".into(), topics: vec!["in".into()] };
        let mut member = exchange.join(&group).expect("join");
        let Event::Assigned(assignments) = member.poll(&PollLimits::default()).expect("poll")
        else {
            panic!("no partitions")
        };
        for assignment in assignments {
            let Partition { number: to, .. } = assignment.partition;
            let committed = assignment.committed.map(|c| c.metadata).filter(|m| !m.is_empty());
            let committed = committed.map(|metadata| metadata.parse().expect("a number"));
            assert!(committed >= self.committed.get(&to).copied(), "offsets never go back");
            assert_eq!(copied.get(&to).copied(), committed, "commits are whole");
            let start = member.start(&partition(&"in".into(), to), Start::Committed);
            start.expect("what was not copied is there");
        }
    }
}

#[test]
fn nothing_durable_is_lost_by_a_kill() {
    let directory = TempDir::new().expect("temporary directory");
    let (mut promised, mut seed) = (Promised::default(), 0x0dd3_a7c4_u64);
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "disk_kill::child", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("spawn");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut lines_left = 1 + (seed >> 33) % 2_000;
        let out = child.stdout.take().expect("stdout");
        let mut is_open = false;
        for line in BufReader::new(out).lines() {
            // The last line may be cut.
            let Ok(line) = line else { break };
            is_open |= line.ends_with("open");
            promised.hear(&line);
            if is_open && lines_left == 0 {
                child.kill().expect("kill");
            }
            lines_left = lines_left.saturating_sub(1);
        }
        let ended = child.wait_with_output().expect("wait");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(is_open && ended.status.code().is_none(), "round {round}: {said}");
        promised.check(directory.path());
    }
    assert_eq!(promised.appended.len(), 2);
    assert_eq!(promised.committed.len(), 2);
    let trimmed = everything(&open(directory.path()), "in")[&0][0].offset;
    assert!(trimmed > 0, "it was trimmed meanwhile");
}
