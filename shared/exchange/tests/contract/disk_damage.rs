//! Damaged files: bits flipped, ends cut off, pages overwritten. Opening says what is wrong, or
//! reading does, or what is there is a beginning of what was: never a panic, never a message that
//! was not written so, never half a commit.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    ops::Range,
    path::Path,
    sync::Arc,
    time::Duration,
};

use oddwatch_exchange::{
    DiskOptions, Durability, Error, Event, Exchange, FollowFrom, Group, MemoryExchange, Message,
    Output, Outputs, PollLimits, Start, TopicSpec,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    bed::{Seat, output, spec, text},
    disk_bed::options,
};

/// What a topic held, by partition.
type Content = BTreeMap<(String, u32), Vec<Message>>;

const TOPICS: [&str; 3] = ["in", "out", "alerts"];
const ROUNDS: u64 = 150;
const DAMAGES: u64 = 120;

fn open(directory: &Path) -> Result<MemoryExchange, Error> {
    let disk = DiskOptions {
        durability: Durability::Process,
        disk_bytes_max: 1 << 30,
        cache_bytes_max: 10_000,
    };
    MemoryExchange::open(directory, options(&Arc::default(), disk))
}

fn join(exchange: &MemoryExchange) -> Result<Seat, Error> {
    let topics = vec!["in".into()];
    let group = Group { name: "group".into(), member: "a".into(), topics };
    Ok(Seat { member: exchange.join(&group)? })
}

/// What a round writes.
fn value(round: u64) -> String {
    format!("{round} {}", "x".repeat((round * 37 % 9_000) as usize))
}

/// Whether an alert is as some round wrote it: which ones are kept depends on how far the store
/// goes back.
fn is_alert(message: &Message) -> bool {
    let text = text(message);
    let round = text.split(' ').next().and_then(|round| round.parse::<u64>().ok());
    round.is_some_and(|round| {
        text == value(round) && message.key == Some((round % 5).to_string().into())
    })
}

/// Each round copies one message from each partition of `in`.
fn fill(exchange: &MemoryExchange, rounds: Range<u64>) {
    let alerts = TopicSpec { compacted: true, ring: true, ..spec("alerts", 1) };
    exchange.create_topics(&[spec("in", 2), spec("out", 1), alerts]).expect("create topics");
    let [from, to, alerts] = TOPICS.map(Arc::<str>::from);
    let appender = exchange.appender().expect("appender");
    let mut seat = join(exchange).expect("join");
    seat.begin(Start::Committed);
    for round in rounds {
        let value = value(round);
        let messages = vec![output(&from, 0, &value), output(&from, 1, &value)];
        appender.append(messages).expect("append");
        seat.read(2);
        let key = Some((round % 5).to_string().into());
        let alert = Output { key, ..output(&alerts, 0, &value) };
        seat.committed(vec![output(&to, 0, &value), output(&to, 0, "again"), alert]);
    }
}

fn content(exchange: &MemoryExchange) -> Result<Content, Error> {
    let mut content = Content::new();
    for topic in TOPICS {
        if exchange.topic(topic)?.is_none() {
            continue;
        }
        let mut follower = exchange.follow(topic, FollowFrom::Earliest)?;
        while !follower.caught_up()? {
            for (partition, message) in follower.next(Duration::ZERO, 1_000)? {
                content.entry((topic.to_owned(), partition)).or_default().push(message);
            }
        }
    }
    Ok(content)
}

/// How far the group has come in each partition of `in`.
fn committed(exchange: &MemoryExchange) -> Result<[u64; 2], Error> {
    let mut seat = join(exchange)?;
    let mut offsets = [0; 2];
    if let Event::Assigned(assignments) = seat.member.poll(&PollLimits::default())? {
        for assignment in assignments {
            let offset = assignment.committed.map_or(0, |committed| committed.offset);
            offsets[assignment.partition.number as usize] = offset;
        }
    }
    Ok(offsets)
}

/// Opens a damaged directory; the error, if it is noticed, or else how many messages there are.
fn look(directory: &Path, whole: &Content) -> Result<usize, Error> {
    let exchange = open(directory)?;
    let found = content(&exchange)?;
    let mut count = 0;
    for (place, messages) in &found {
        count += messages.len();
        if place.0 == "alerts" {
            assert!(messages.iter().all(is_alert), "{messages:?}");
        } else {
            assert!(whole[place].starts_with(messages), "{place:?}");
        }
    }
    if exchange.topic("in")?.is_some() {
        let offsets = committed(&exchange)?;
        let out = found.get(&("out".to_owned(), 0)).map_or(0, Vec::len) as u64;
        assert_eq!(offsets, [out / 2; 2], "outputs and offsets agree");
        // And it goes on working.
        let appender = exchange.appender()?;
        appender.append(vec![output(&"in".into(), 0, "new")])?;
        drop(appender);
        let mut seat = join(&exchange)?;
        let outputs = Outputs { messages: vec![], metadata: vec![] };
        while let Event::Assigned(assignments) = seat.member.poll(&PollLimits::default())? {
            for assignment in assignments {
                seat.member.start(&assignment.partition, Start::Committed)?;
            }
        }
        seat.member.commit(&outputs)?;
    }
    Ok(count)
}

/// A small generator: what is damaged, and how, is the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides.max(1)
    }
}

fn damage(file: &Path, dice: &mut Dice) -> String {
    let mut opened = OpenOptions::new().read(true).write(true).open(file).expect("open");
    let length = opened.metadata().expect("metadata").len();
    // Often near the beginning, where a few bytes say what all the others are.
    let within = if dice.roll(3) == 0 { length.min(8_192) } else { length };
    let at = dice.roll(within);
    let (kind, bytes): (_, Vec<u8>) = match dice.roll(4) {
        0 => {
            opened.set_len(at).expect("cut");
            return format!("{} cut to {at} of {length} bytes", file.display());
        }
        1 => ("zeroes", vec![0; 4_096]),
        2 => ("noise", (0..100).map(|_| dice.roll(256) as u8).collect()),
        _ => {
            let mut byte = [0];
            opened.seek(SeekFrom::Start(at)).expect("seek");
            opened.read_exact(&mut byte).expect("read");
            ("a bit flipped", vec![byte[0] ^ (1 << dice.roll(8))])
        }
    };
    let end = (at as usize + bytes.len()).min(length as usize);
    opened.seek(SeekFrom::Start(at)).expect("seek");
    opened.write_all(&bytes[..end - at as usize]).expect("write");
    format!("{} with {kind} at {at} of {length} bytes", file.display())
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("read directory") {
        let entry = entry.expect("entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

fn temporary() -> TempDir {
    TempDir::new().expect("temporary directory")
}

/// Damages a copy of a store in many ways, one at a time.
fn damaged(store: &Path, whole: &Content, seed: u64) {
    let (mut dice, mut noticed, mut shorter) = (Dice(seed), 0, 0);
    let messages: usize = whole.values().map(Vec::len).sum();
    for _ in 0..DAMAGES {
        let broken = temporary();
        copy(store, broken.path());
        let mut files: Vec<_> = fs::read_dir(broken.path())
            .expect("read directory")
            .map(|entry| entry.expect("entry").path())
            .filter(|file| fs::metadata(file).expect("metadata").len() > 1_000)
            .collect();
        files.sort();
        let what = damage(&files[dice.roll(files.len() as u64) as usize], &mut dice);
        match look(broken.path(), whole) {
            Err(Error::Store { what: said }) => {
                noticed += 1;
                assert!(said.contains(&*broken.path().to_string_lossy()), "{what}: {said}");
                assert!(said.contains("damaged") || said.contains("can't be used"), "{said}");
                assert_eq!(said.lines().count(), 1, "{said}");
            }
            Err(other) => panic!("{what}: {other:?}"),
            Ok(found) => {
                assert!(found <= messages, "{what}");
                shorter += usize::from(found < messages);
            }
        }
    }
    assert!(noticed + shorter > DAMAGES as usize / 8, "{noticed} noticed, {shorter} shorter");
}

fn connect(directory: &Path) -> Connection {
    Connection::open(directory.join("exchange.db")).expect("connect")
}

#[test]
fn a_damaged_store_is_noticed_or_a_beginning_of_what_it_was() {
    let directory = temporary();
    let exchange = open(directory.path()).expect("open");
    fill(&exchange, 0..ROUNDS / 3);
    // A reader keeps a part of the log from going into the database.
    let reader = connect(directory.path());
    let chunks = "begin; select count(*) from chunks;";
    reader.execute_batch(chunks).expect("read");
    fill(&exchange, ROUNDS / 3..ROUNDS);
    let whole = content(&exchange).expect("read");
    assert_eq!(whole[&("in".to_owned(), 1)].len() as u64, ROUNDS);
    let checkpoint = "pragma wal_checkpoint(passive)";
    connect(directory.path()).query_row(checkpoint, [], |_| Ok(())).expect("checkpoint");

    // As after a kill: part of it is in the log only, part in both.
    let killed = temporary();
    copy(directory.path(), killed.path());
    // As after an orderly end: all of it is in the database.
    drop(reader);
    drop(exchange);
    for (store, seed) in [(killed.path(), 7), (directory.path(), 8)] {
        let intact = temporary();
        copy(store, intact.path());
        let messages = look(intact.path(), &whole).expect("intact");
        assert_eq!(messages, whole.values().map(Vec::len).sum::<usize>());
        damaged(store, &whole, seed);
    }
}
