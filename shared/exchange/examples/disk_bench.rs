//! What a data directory costs: records a second that one thread appends and another one copies
//! from topic to topic, in memory only and with both settings of durability. Prints a line for
//! each.
//!
//! `cargo run --release -p oddwatch-exchange --example disk_bench [records] [directory]`; without a
//! directory a temporary one is used.

use std::{error::Error, path::PathBuf, sync::Arc, thread, time::Instant};

use oddwatch_exchange::{
    Append, CommitOutcome, DiskOptions, Durability, Event, Exchange, Group, Member, MemoryExchange,
    MemoryOptions, Output, Outputs, PollLimits, Start, TopicSpec,
};

const PARTITIONS: u32 = 4;
const RECORD_BYTES: usize = 57;

/// Records in an append, records in all as a part of those asked for.
const LOADS: [(usize, usize); 3] = [(1_000, 1), (30, 10), (1, 100)];

type Failed = Box<dyn Error + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "it measures time")]
#[expect(clippy::print_stdout, reason = "it prints its results")]
fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let records: usize = arguments.next().map_or(Ok(2_000_000), |count| count.parse())?;
    let within: Option<PathBuf> = arguments.next().map(PathBuf::from);
    for (per_append, part) in LOADS {
        let records = records / part / per_append * per_append;
        for durability in [None, Some(Durability::Process), Some(Durability::Disk)] {
            let directory = match &within {
                Some(path) => tempfile::tempdir_in(path)?,
                None => tempfile::tempdir()?,
            };
            let disk = DiskOptions {
                durability: durability.unwrap_or(Durability::Process),
                ..DiskOptions::default()
            };
            let options = MemoryOptions { disk, ..MemoryOptions::new(Arc::new(|| 0)) };
            let exchange = match durability {
                None => MemoryExchange::new(options),
                Some(_) => MemoryExchange::open(directory.path(), options)?,
            };
            let started_at = Instant::now();
            let commits = run(&exchange, records, per_append)?;
            let seconds = started_at.elapsed().as_secs_f64();
            let how = durability.map_or("memory only".into(), |kind| format!("{kind:?}"));
            // Each record is written twice: appended and copied.
            let written = (2 * records * RECORD_BYTES) as f64 / 1e6;
            println!(
                "{how:12} {per_append:5} an append: {:9.0} records/s appended and copied, \
                 {:6.1} MB/s, {:6.0} appends and {:6.0} commits a second ({records} records, {seconds:.2} s)",
                records as f64 / seconds,
                written / seconds,
                (records / per_append) as f64 / seconds,
                commits as f64 / seconds,
            );
        }
    }
    Ok(())
}

fn spec(name: &str, ring: bool) -> TopicSpec {
    TopicSpec {
        name: name.into(),
        partitions: PARTITIONS,
        retention_ms: None,
        compacted: false,
        memory_bytes_max: 64 << 20,
        ring,
    }
}

/// Returns the number of commits.
fn run(exchange: &MemoryExchange, records: usize, per_append: usize) -> Result<usize, Failed> {
    exchange.create_topics(&[spec("from", false), spec("to", true)])?;
    let (from, to): (Arc<str>, Arc<str>) = ("from".into(), "to".into());
    let topics = vec![Arc::clone(&from)];
    let group = Group { name: "copier".into(), member: "one".into(), topics };
    let mut member = exchange.join(&group)?;
    let appender = exchange.appender()?;
    let filler = thread::spawn(move || fill(&*appender, &from, records, per_append));
    let commits = copy(&mut *member, &to, records)?;
    filler.join().map_err(|_| "the filler panicked")??;
    Ok(commits)
}

fn fill(
    appender: &dyn Append,
    topic: &Arc<str>,
    records: usize,
    per_append: usize,
) -> Result<(), oddwatch_exchange::Error> {
    for first in (0..records).step_by(per_append) {
        let messages: Vec<Output> = (first..first + per_append)
            .map(|i| {
                let record =
                    format!(r#"{{"series":"s{:06}","time":{i:013},"value":1.5}}"#, i % 1_000);
                let record = format!("{record:RECORD_BYTES$}").into_bytes();
                Output::to(topic, (i / per_append.div_ceil(4)) as u32 % PARTITIONS, None, record)
            })
            .collect();
        loop {
            match appender.append(messages.clone()) {
                Ok(_) => break,
                Err(oddwatch_exchange::Error::Full { .. }) => thread::yield_now(),
                Err(other) => return Err(other),
            }
        }
    }
    Ok(())
}

fn copy(member: &mut dyn Member, to: &Arc<str>, records: usize) -> Result<usize, Failed> {
    let (mut copied, mut commits) = (0, 0);
    while copied < records {
        match member.poll(&PollLimits::default())? {
            Event::Assigned(assignments) => {
                for assignment in assignments {
                    member.start(&assignment.partition, Start::Committed)?;
                }
            }
            Event::Batch(batch) => {
                let mut messages = Vec::new();
                for slice in batch.slices {
                    let number = slice.partition.number;
                    messages.extend(slice.messages.into_iter().map(|message| Output {
                        topic: Arc::clone(to),
                        partition: Some(number),
                        key: None,
                        value: message.value,
                        headers: Vec::new(),
                    }));
                }
                copied += messages.len();
                commits += 1;
                let outputs = Outputs { messages, metadata: Vec::new() };
                while member.commit(&outputs)? != CommitOutcome::Committed {}
            }
            Event::Revoked(_) | Event::Idle(_) => {}
        }
    }
    Ok(commits)
}
