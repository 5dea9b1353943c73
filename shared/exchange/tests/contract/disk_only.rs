//! What only an exchange with a data directory promises: nothing is forgotten by a restart, memory
//! stays bounded whatever lies on the disk, and the disk is bounded too.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use oddwatch_exchange::{
    CommitOutcome, Committed, DiskOptions, Error, FollowFrom, Follower, MemoryExchange, Message,
    Output, Outputs, Start, TopicSpec,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    bed::{Bed, Seat, numbers, output, partition, spec, text, values},
    disk_bed::{CACHE_BYTES_MAX, DISK_BYTES_MAX, DiskBed, options, tight},
    releases::a_full_topic_gives_up_what_was_released,
};

const DATABASE: &str = "exchange.db";

fn create(bed: &DiskBed, name: &str, change: impl FnOnce(&mut TopicSpec)) -> Arc<str> {
    let mut spec = spec(name, 1);
    change(&mut spec);
    bed.exchange().create_topics(std::slice::from_ref(&spec)).expect("create topic");
    spec.name
}

fn append(bed: &DiskBed, topic: &Arc<str>, values: impl IntoIterator<Item = String>) {
    for value in values {
        let appender = bed.exchange().appender().expect("appender");
        appender.append(vec![output(topic, 0, &value)]).expect("append");
    }
}

/// A thousand bytes that begin with a number.
fn wide(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("{number:0<8}{}", "x".repeat(992))).collect()
}

fn next(follower: &mut dyn Follower) -> Result<Vec<(u32, Message)>, Error> {
    follower.next(Duration::ZERO, 10_000)
}

/// Reads on until everything was read.
fn rest(follower: &mut dyn Follower) -> Vec<Message> {
    let mut found = Vec::new();
    while !follower.caught_up().expect("caught up") {
        found.extend(next(follower).expect("next").into_iter().map(|(_, message)| message));
    }
    found
}

#[test]
fn a_restart_forgets_nothing() {
    let bed = DiskBed::new();
    let dyn_bed: &dyn Bed = &bed;
    let (topic, out) = (dyn_bed.topic("in", 2), dyn_bed.topic("out", 1));
    dyn_bed.append(&topic, 0, numbers(0..5));
    dyn_bed.append(&topic, 1, numbers(5..8));
    let mut seat = dyn_bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(8);
    let metadata = vec![(partition(&topic, 0), "what I know".to_owned())];
    let outputs = Outputs { messages: vec![output(&out, 0, "a")], metadata };
    assert_eq!(seat.member.commit(&outputs).expect("commit"), CommitOutcome::Committed);
    drop(seat);
    bed.restart();

    assert_eq!(dyn_bed.values(&topic), numbers(0..8));
    assert_eq!(dyn_bed.values(&out), ["a"]);
    // The commit burnt an offset behind its message.
    let appender = bed.exchange().appender().expect("appender");
    assert_eq!(appender.append(vec![output(&out, 0, "b")]).expect("append"), [(0, 2)]);
    drop(appender);
    bed.restart();
    let mut seat = dyn_bed.join("a", &[&topic]);
    let committed: Vec<_> = seat.assigned().into_iter().map(|a| a.committed).collect();
    let known = |offset, metadata: &str| Some(Committed { offset, metadata: metadata.into() });
    assert_eq!(committed, [known(5, "what I know"), known(3, "")]);
    assert_eq!(dyn_bed.values(&out), ["a", "b"]);
}

#[test]
fn memory_stays_bounded_and_the_slow_read_everything_from_the_disk() {
    let disk = DiskOptions { disk_bytes_max: 1 << 30, ..tight() };
    let bed = DiskBed::with(disk);
    let dyn_bed: &dyn Bed = &bed;
    let topic = dyn_bed.topic("in", 1);
    let mut early = bed.exchange().follow(&topic, FollowFrom::Earliest).expect("follow");
    let mut seat = dyn_bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    for round in 0..10 {
        append(&bed, &topic, wide(round * 10..round * 10 + 10));
        assert!(bed.memory().bytes() <= CACHE_BYTES_MAX, "{}", bed.memory().bytes());
        seat.read(10);
    }
    seat.committed(Vec::new());
    let mut late = bed.exchange().follow(&topic, FollowFrom::Earliest).expect("follow");
    for follower in [&mut early, &mut late] {
        let found: Vec<String> = rest(&mut **follower).iter().map(text).collect();
        assert_eq!(found, wide(0..100));
    }
    drop((early, late, seat));

    // After a restart nothing is in memory, and a replay goes from the disk into what is new.
    bed.restart();
    assert_eq!(bed.memory().bytes(), 0);
    append(&bed, &topic, wide(100..110));
    let mut seat = dyn_bed.join("a", &[&topic]);
    seat.begin(Start::At(17));
    let seen = seat.read(93);
    assert_eq!(values(&seen), wide(17..110));
    let replayed = seen.iter().filter(|seen| seen.replay).count();
    assert_eq!(replayed, 83);
    assert!(seen[..83].iter().all(|seen| seen.replay));
}

/// Between what is on the disk only and what is in memory lies the offset that the last commit
/// burnt.
#[test]
fn a_burnt_offset_before_a_restart_is_no_hole() {
    let bed = DiskBed::new();
    let dyn_bed: &dyn Bed = &bed;
    let (topic, out) = (dyn_bed.topic("in", 1), dyn_bed.topic("out", 1));
    for round in 0..3 {
        dyn_bed.append(&topic, 0, numbers(round..round + 1));
        let mut seat = dyn_bed.join("a", &[&topic]);
        seat.begin(Start::Committed);
        seat.read(1);
        seat.committed(vec![output(&out, 0, &round.to_string())]);
        assert_eq!(dyn_bed.values(&out), numbers(0..round + 1));
        let mut group = dyn_bed.group("b", &[&out]);
        group.name.push_str(&round.to_string());
        let mut late = Seat { member: bed.exchange().join(&group).expect("join") };
        late.begin(Start::Committed);
        assert_eq!(values(&late.read(round as usize + 1)), numbers(0..round + 1));
        drop((seat, late));
        bed.restart();
    }
}

#[test]
fn a_ring_forgets_its_oldest_on_the_disk() {
    let bed = DiskBed::new();
    let ring = create(&bed, "ring", |spec| spec.ring = true);
    let mut follower = bed.exchange().follow(&ring, FollowFrom::Earliest).expect("follow");
    append(&bed, &ring, wide(0..1));
    assert_eq!(next(&mut *follower).expect("next").len(), 1);
    append(&bed, &ring, wide(1..600));
    let first = match next(&mut *follower) {
        Err(Error::Lost { wanted: 1, first, .. }) => first,
        other => panic!("{other:?}"),
    };
    let kept = rest(&mut *follower);
    assert_eq!(
        kept.iter().map(|message| message.offset).collect::<Vec<_>>(),
        Vec::from_iter(first..600)
    );
    assert_eq!(kept.iter().map(text).collect::<Vec<_>>(), wide(first as u32..600));
    // What is kept fills the bound nearly.
    assert!((45..60).contains(&kept.len()), "{} messages", kept.len());
    drop(follower);
    bed.restart();
    assert_eq!((&bed as &dyn Bed).values(&ring), wide(first as u32..600));
    // What went was deleted, not only hidden.
    bed.close();
    let database = Connection::open(bed.directory().join(DATABASE)).expect("open");
    let rows: u64 =
        database.query_row("select count(*) from chunks", [], |row| row.get(0)).expect("count");
    assert!(rows < 60, "{rows} rows");
}

#[test]
fn a_full_topic_on_the_disk_waits_for_its_readers() {
    let bed = DiskBed::new();
    let topic = create(&bed, "in", |_| {});
    let fill = || {
        let mut taken = 0;
        let appender = bed.exchange().appender().expect("appender");
        while appender.append(vec![output(&topic, 0, &wide(0..1)[0])]).is_ok() {
            taken += 1;
        }
        taken
    };
    let all = fill();
    assert_eq!(all, DISK_BYTES_MAX as usize / (1_000 + 136), "nobody has read it yet");
    bed.restart();
    assert_eq!(fill(), 0, "nobody has read it yet");
    let mut seat = (&bed as &dyn Bed).join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(all);
    assert_eq!(fill(), 0, "read, but not committed");
    seat.committed(Vec::new());
    drop(seat);
    // Who reads it, and how far, is known after a restart.
    bed.restart();
    assert_eq!(fill(), all);
    bed.restart();
    assert_eq!(fill(), 0);
}

#[test]
fn what_was_released_goes_on_the_disk_too() {
    /// The bounds of the case, on the disk.
    struct Bounded(DiskBed);
    impl Bed for Bounded {
        fn exchange(&self) -> Arc<dyn oddwatch_exchange::Exchange> {
            self.0.exchange()
        }
        fn prefix(&self) -> &str {
            ""
        }
        fn faults(&self) -> &crate::bed::Faults {
            self.0.faults()
        }
    }
    let disk = DiskOptions { disk_bytes_max: 25_000, ..tight() };
    a_full_topic_gives_up_what_was_released(&Bounded(DiskBed::with(disk)));
}

#[test]
fn a_release_outlives_the_process() {
    let bed = DiskBed::new();
    let dyn_bed: &dyn Bed = &bed;
    let topic = create(&bed, "in", |_| {});
    append(&bed, &topic, wide(0..50));
    let mut seat = dyn_bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(50);
    seat.member.release(&partition(&topic, 0), 10).expect("release");
    seat.committed(Vec::new());
    drop(seat);
    bed.restart();
    let appender = bed.exchange().appender().expect("appender");
    let taken =
        (0..100).take_while(|_| appender.append(vec![output(&topic, 0, &wide(0..1)[0])]).is_ok());
    // The room that was left, and that of ten messages: all were committed, but a restore needs the
    // others.
    assert_eq!(taken.count(), 2 + 10);
    drop(appender);
    let kept = dyn_bed.values(&topic);
    assert_eq!(kept[0], wide(10..11)[0]);
}

#[test]
fn old_messages_go_when_no_group_needs_them() {
    let bed = DiskBed::new();
    let dyn_bed: &dyn Bed = &bed;
    let change = |ring| {
        move |spec: &mut TopicSpec| {
            (spec.retention_ms, spec.ring) = (Some(1_000), ring);
        }
    };
    let (topic, ring) = (create(&bed, "in", change(false)), create(&bed, "ring", change(true)));
    let mut seat = dyn_bed.join("a", &[&topic, &ring]);
    seat.begin(Start::Committed);
    for name in [&topic, &ring] {
        append(&bed, name, numbers(0..10));
    }
    seat.read(20);
    bed.now.fetch_add(2_000, Ordering::Relaxed);
    let kept = |name: &Arc<str>| {
        append(&bed, name, ["new".to_owned()]);
        dyn_bed.values(name).len()
    };
    // A ring asks nobody; the other one keeps what is read but not committed.
    assert_eq!((kept(&ring), kept(&topic)), (1, 11));
    seat.committed(Vec::new());
    assert_eq!(kept(&topic), 2);
    // What is young stays, though it was committed.
    seat.read(3);
    seat.committed(Vec::new());
    assert_eq!(kept(&topic), 3);
}

#[test]
fn a_compacted_topic_keeps_the_newest_of_each_key_on_the_disk() {
    let bed = DiskBed::new();
    let topic = create(&bed, "alerts", |spec| (spec.compacted, spec.ring) = (true, true));
    let keyed = |key: u32, value: Option<String>| Output {
        key: Some(key.to_string().into()),
        value: value.map(Into::into),
        ..output(&topic, 0, "")
    };
    let appender = bed.exchange().appender().expect("appender");
    let write = |output| appender.append(vec![output]).expect("append");
    write(keyed(100, Some("kept".into())));
    write(keyed(101, Some("removed".into())));
    write(keyed(101, None));
    // Enough for a ring of this size to forget the first ones, were it not compacted.
    for i in 0..2_000_u32 {
        write(keyed(i % 4, Some(format!("{i:0>100}"))));
    }
    drop(appender);
    for _ in 0..2 {
        let found = (&bed as &dyn Bed).values(&topic);
        assert!(found.contains(&"kept".into()), "{found:?}");
        assert!(!found.contains(&"removed".into()));
        let newest = |v: &String| v.parse::<u32>().is_ok_and(|number| number >= 1_996);
        assert_eq!(found.iter().filter(|value| newest(value)).count(), 4);
        assert!(found.len() < 50, "{} messages", found.len());
        bed.restart();
    }
    // When the newest messages go, the partition ends before them.
    let appender = bed.exchange().appender().expect("appender");
    for _ in 0..40 {
        appender.append(vec![keyed(5, None)]).expect("append");
    }
    drop(appender);
    let found = (&bed as &dyn Bed).values(&topic);
    assert!(found.contains(&"kept".into()), "{found:?}");
    bed.restart();
    assert_eq!((&bed as &dyn Bed).values(&topic), found);
}

#[test]
fn a_topic_is_kept_as_the_last_process_says() {
    let bed = DiskBed::new();
    let ring = create(&bed, "in", |spec| spec.ring = true);
    // Within one process the first one counts.
    create(&bed, "in", |_| {});
    append(&bed, &ring, wide(0..100));
    bed.restart();
    create(&bed, "in", |_| {});
    bed.restart();
    let appender = bed.exchange().appender().expect("appender");
    let taken =
        (0..100).take_while(|_| appender.append(vec![output(&ring, 0, &wide(0..1)[0])]).is_ok());
    assert!(taken.count() < 2, "it forgets no longer");
    let other = bed.exchange().create_topics(&[spec("in", 2)]);
    assert!(matches!(&other, Err(Error::Topic { what }) if what.contains("has 1 partitions")));
}

fn refused(directory: &Path) -> String {
    let options = options(&Arc::default(), tight());
    match MemoryExchange::open(directory, options) {
        Err(Error::Store { what }) => {
            assert!(what.contains(&*directory.to_string_lossy()), "{what}");
            assert_eq!(what.lines().count(), 1, "{what}");
            what
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_directory_that_is_not_ours_is_refused_by_name() {
    let bed = DiskBed::new();
    let directory = bed.directory();
    assert!(refused(directory).contains("is in use by another process"));
    bed.close();

    let foreign = directory.join("holiday.jpg");
    std::fs::write(&foreign, "x").expect("write");
    assert!(refused(directory).contains("holds holiday.jpg, which is not of Oddwatch"));
    std::fs::remove_file(&foreign).expect("remove");

    let database = Connection::open(directory.join(DATABASE)).expect("open");
    database.pragma_update(None, "user_version", 9).expect("layout");
    drop(database);
    assert!(refused(directory).contains("has layout 9, 1 expected"));

    let database = Connection::open(directory.join(DATABASE)).expect("open");
    database.pragma_update(None, "application_id", 7).expect("application");
    drop(database);
    assert!(refused(directory).contains("a database of another program"));

    std::fs::write(directory.join(DATABASE), "x".repeat(10_000)).expect("write");
    assert!(refused(directory).contains("is damaged (file is not a database"));
    for bytes in ["", "deleted"] {
        std::fs::write(directory.join(DATABASE), bytes).expect("write");
        if !bytes.is_empty() {
            std::fs::remove_file(directory.join(DATABASE)).expect("remove");
        }
        assert!(refused(directory).contains("exchange.db is missing or empty"));
    }

    let file = TempDir::new().expect("temporary directory");
    let file = file.path().join("file");
    std::fs::write(&file, "x").expect("write");
    assert!(refused(&file).contains("can't be used"));
}
