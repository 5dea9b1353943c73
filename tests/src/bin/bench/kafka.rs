//! Four service processes on Kafka.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
};

use control::SetupOptions;
use domain::Topics;
use exchange::{
    Exchange, FollowFrom,
    kafka::{KafkaExchange, KafkaOptions},
};
use runtime::{Clock, clock::Stopwatch};

use crate::{Failed, load};

const SERIES: u64 = 1_000;
const PARTITIONS: u32 = 4;

/// A cluster with topics of its own for one benchmark.
pub(crate) struct Bed {
    pub(crate) exchange: KafkaExchange,
    pub(crate) topics: Topics,
    brokers: String,
    prefix: String,
    children: Vec<Child>,
}

impl Bed {
    pub(crate) fn new(name: &str) -> Result<Self, Failed> {
        let brokers = std::env::var("KAFKA_BOOTSTRAP").map_err(|_| "KAFKA_BOOTSTRAP is not set")?;
        let exchange = KafkaExchange::connect(KafkaOptions::new(&brokers, "oddwatch-bench"))?;
        let prefix = format!("bench-{name}-{}-", std::process::id());
        let setup = SetupOptions {
            topic_prefix: prefix.clone(),
            create_topics: true,
            partitions: PARTITIONS,
            records_partitions: PARTITIONS,
            input_retention_ms: None,
            memory_bytes_max: 0,
        };
        control::set_up(&exchange, &setup, &[], Clock::System.now())?;
        let topics = Topics::new(&prefix);
        Ok(Self { exchange, topics, brokers, prefix, children: vec![] })
    }

    /// Starts the four services, each in a process of its own.
    pub(crate) fn start(&mut self) -> Result<(), Failed> {
        let here = std::env::current_exe()?;
        let oddwatch: PathBuf = here.with_file_name("oddwatch");
        for service in ["ingest", "windowing", "detector", "notification"] {
            let prefix = format!("kafka.topic_prefix={}", self.prefix);
            let child = Command::new(&oddwatch)
                .args([service, "--kafka", &self.brokers, "--set", &prefix])
                .args(["--set", &format!("worker.instance={}0", self.prefix)])
                .args(["--set", "api.http=127.0.0.1:0", "--set", "api.grpc=127.0.0.1:0"])
                .args(["--set", "telemetry.log=warn"])
                .stdin(Stdio::null())
                .spawn()
                .map_err(|error| format!("{}: {error}", oddwatch.display()))?;
            self.children.push(child);
        }
        Ok(())
    }

    /// Says so if a service has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failed> {
        for child in &mut self.children {
            if let Some(status) = child.try_wait()? {
                return Err(format!("a service ended: {status}").into());
            }
        }
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended by itself can't be killed, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Records a second from a filled `records` to `detection.completed`: from the start of the processes to the
/// last score.
pub(crate) fn drain(records: u64) -> Result<String, Failed> {
    let mut bed = Bed::new("drain")?;
    load::fill(&*bed.exchange.appender()?, &bed.topics.records, records, SERIES)?;
    let mut completed = bed.exchange.follow(&bed.topics.completed, FollowFrom::Earliest)?;
    let watch = Stopwatch::start();
    bed.start()?;
    load::await_scores(&mut *completed, 0, records)?;
    let seconds = watch.elapsed().as_secs_f64();
    bed.check()?;
    let rate = records as f64 / seconds;
    Ok(format!(
        "Kafka, four processes, start-up included: {records} records of {SERIES} series in {seconds:.2} s, {rate:.0} \
         records/s"
    ))
}

/// Records a second from `records` to `detection.completed`, of services that are running: from the first record
/// sent to the last one scored. The client that sends them shares the machine.
pub(crate) fn throughput(records: u64) -> Result<String, Failed> {
    let mut bed = Bed::new("throughput")?;
    let appender = bed.exchange.appender()?;
    let mut completed = bed.exchange.follow(&bed.topics.completed, FollowFrom::Earliest)?;
    bed.start()?;
    load::fill(&*appender, &bed.topics.records, SERIES, SERIES)?;
    load::await_scores(&mut *completed, 0, SERIES)?;
    let watch = Stopwatch::start();
    let topic = bed.topics.records.clone();
    let filler = thread::spawn(move || {
        load::fill(&*appender, &topic, records, SERIES).map_err(|error| error.to_string())
    });
    load::await_scores(&mut *completed, 0, records)?;
    let seconds = watch.elapsed().as_secs_f64();
    filler.join().map_err(|_| "the filler panicked")??;
    bed.check()?;
    let rate = records as f64 / seconds;
    Ok(format!(
        "Kafka, four processes, sent meanwhile: {records} records of {SERIES} series in {seconds:.2} s, {rate:.0} records/s"
    ))
}
