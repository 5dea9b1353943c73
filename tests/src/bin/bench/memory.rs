//! All four services on the memory exchange, each on a thread of its own, in this process.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use control::{ControlLog, SetupOptions};
use detector::{DetectorOptions, DetectorProcessor};
use domain::Topics;
use exchange::{
    Exchange, FollowFrom, Group, PollLimits, Processor, Worker,
    memory::{MemoryExchange, MemoryOptions},
};
use ingest::{IngestOptions, IngestProcessor};
use notification::NotificationProcessor;
use runtime::{Clock, Stop, clock::Stopwatch, settings};
use serde::Deserialize;
use windowing::{WindowingOptions, WindowingProcessor};

use crate::{Failed, load};

const SERIES: u64 = 1_000;
const PARTITIONS: u32 = 4;
/// Nothing is to be forgotten before it was counted.
const PARTITION_BYTES_MAX: usize = 2 << 30;

#[derive(Deserialize)]
struct Sections {
    ingest: ingest::IngestConfig,
    windowing: windowing::WindowingConfig,
    detector: detector::DetectorConfig,
    notification: notification::NotificationConfig,
}

/// Records a second from `records` to `detection.completed`, all services running.
pub(crate) fn run(records: u64) -> Result<String, Failed> {
    let clock = Clock::System;
    let stamp = clock.clone();
    let exchange = MemoryExchange::new(MemoryOptions::new(Arc::new(move || stamp.now() / 1000)));
    let topics = Topics::new("");
    let setup = SetupOptions {
        topic_prefix: String::new(),
        create_topics: true,
        partitions: PARTITIONS,
        records_partitions: PARTITIONS,
        memory_bytes_max: PARTITION_BYTES_MAX,
    };
    control::set_up(&exchange, &setup, &[], clock.now())?;
    let stop = Stop::default();
    let workers = start(&exchange, &topics, &clock, &stop)?;
    let mut completed = exchange.follow(&topics.completed, FollowFrom::Earliest)?;
    let appender = exchange.appender()?;
    let watch = Stopwatch::start();
    let from = topics.records.clone();
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

fn start(
    exchange: &MemoryExchange,
    topics: &Topics,
    clock: &Clock,
    stop: &Stop,
) -> Result<Vec<Running>, Failed> {
    let defaults =
        [ingest::DEFAULTS, windowing::DEFAULTS, detector::DEFAULTS, notification::DEFAULTS];
    let config: Sections = settings::load(&defaults.join("\n"), None, Default::default(), &[])?;
    let control = || ControlLog::open(exchange, topics);
    let log = control()?;
    let inputs = ingest::input_topics(log.latest(), "");
    let ingest = IngestProcessor::new(IngestOptions {
        exchange: Arc::new(exchange.clone()),
        control: log,
        topics: topics.clone(),
        topic_prefix: String::new(),
        config: config.ingest,
        clock: clock.clone(),
    })?;
    let windowing = WindowingProcessor::new(WindowingOptions {
        control: control()?,
        topics: topics.clone(),
        config: config.windowing,
        clock: clock.clone(),
    });
    let detector = DetectorProcessor::new(DetectorOptions {
        control: control()?,
        topics: topics.clone(),
        config: config.detector,
        clock: clock.clone(),
    });
    let notification =
        NotificationProcessor::new(topics.clone(), &config.notification, clock.clone());
    let group = Group { name: ingest::GROUP.into(), member: "bench".into(), topics: inputs };
    Ok(vec![
        spawn(exchange, &group, ingest, stop)?,
        spawn(exchange, &WindowingProcessor::group(topics, "bench"), windowing, stop)?,
        spawn(exchange, &DetectorProcessor::group(topics, "bench"), detector, stop)?,
        spawn(exchange, &notification::group(topics, "bench"), notification, stop)?,
    ])
}

fn spawn<P>(
    exchange: &MemoryExchange,
    group: &Group,
    processor: P,
    stop: &Stop,
) -> Result<Running, Failed>
where
    P: Processor + 'static,
    P::Error: std::fmt::Display,
{
    let worker = Worker::new(exchange.join(group)?, processor, PollLimits::default());
    let stop = stop.clone();
    Ok(thread::spawn(move || {
        let ended = worker.run(&|| stop.stopped()).map_err(|error| error.to_string());
        stop.stop();
        ended
    }))
}
