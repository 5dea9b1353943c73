//! All four services on the memory exchange, each on a thread of its own, in this process.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use exchange::{
    Exchange, FollowFrom, Group, PollLimits, Processor,
    memory::{MemoryExchange, MemoryOptions},
};
use oddwatch_tests::local::Local;
use runtime::{Clock, Stop, clock::Stopwatch};

use crate::{Failed, load};

const SERIES: u64 = 1_000;
const PARTITIONS: u32 = 4;
/// Nothing is to be forgotten before it was counted.
const PARTITION_BYTES_MAX: usize = 2 << 30;

/// Records a second from `records` to `detection.completed`, all services running.
pub(crate) fn run(records: u64) -> Result<String, Failed> {
    let clock = Clock::System;
    let stamp = clock.clone();
    let exchange = MemoryExchange::new(MemoryOptions::new(Arc::new(move || stamp.now() / 1000)));
    let local = Local::new(Arc::new(exchange.clone()), clock)?;
    local.set_up(PARTITIONS, PARTITIONS, PARTITION_BYTES_MAX, &[])?;
    let stop = Stop::default();
    let workers = [
        spawn(&local, local.ingest("bench")?, &stop)?,
        spawn(&local, local.windowing("bench")?, &stop)?,
        spawn(&local, local.detector("bench")?, &stop)?,
        spawn(&local, local.notification("bench")?, &stop)?,
    ];
    let mut completed = exchange.follow(&local.topics.completed, FollowFrom::Earliest)?;
    let appender = exchange.appender()?;
    let watch = Stopwatch::start();
    let from = local.topics.records.clone();
    let filler = thread::spawn(move || {
        load::fill(&*appender, &from, records, SERIES).map_err(|error| error.to_string())
    });
    load::await_scores(&mut *completed, 0, records)?;
    let seconds = watch.elapsed().as_secs_f64();
    stop.stop();
    filler.join().map_err(|_| "the filler panicked")??;
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")??;
    }
    let rate = records as f64 / seconds;
    Ok(format!(
        "memory exchange, one process: {records} records of {SERIES} series in {seconds:.2} s, {rate:.0} records/s"
    ))
}

type Running = JoinHandle<Result<(), String>>;

fn spawn<P>(local: &Local, member: (Group, P), stop: &Stop) -> Result<Running, Failed>
where
    P: Processor + 'static,
    P::Error: std::fmt::Display,
{
    let worker = local.worker(member, PollLimits::default())?;
    let stop = stop.clone();
    Ok(thread::spawn(move || {
        let ended = worker.run(&|| stop.stopped()).map_err(|error| error.to_string());
        stop.stop();
        ended
    }))
}
