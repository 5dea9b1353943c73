//! The yardstick: how many records a second one thread copies from topic to topic, exactly once, with bare
//! librdkafka, and with `exchange` as argument through this crate's adapter. Prints one line.
//!
//! `KAFKA_BOOTSTRAP=127.0.0.1:9092 cargo run --release --example copy_bench [raw|exchange] [records]`

use std::{error::Error, sync::Arc, thread, time::Duration};

use oddwatch_exchange::{
    Assignment, Batch, Exchange, Group, KafkaExchange, KafkaOptions, Output, Outputs, Partition,
    PollLimits, Processor, Restore, Start, TopicSpec, Worker,
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

const PER_TRANSACTION: usize = 20_000;
const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "it measures time")]
#[expect(clippy::print_stdout, reason = "it prints its result")]
fn main() -> Result<(), Box<dyn Error>> {
    let brokers = std::env::var("KAFKA_BOOTSTRAP").map_err(|_| "KAFKA_BOOTSTRAP is not set")?;
    let mut arguments = std::env::args().skip(1);
    let how = arguments.next().unwrap_or_else(|| "raw".into());
    let records: usize = arguments.next().map_or(Ok(2_000_000), |count| count.parse())?;
    let exchange = KafkaExchange::connect(KafkaOptions::new(&brokers, "copy-bench"))?;
    let run = std::process::id();
    let [from, to] = ["from", "to"].map(|end| Arc::from(format!("copy-bench-{run}-{end}")));
    exchange.create_topics(&[spec(&from), spec(&to)])?;
    fill(&brokers, &from, records)?;
    let started_at = std::time::Instant::now();
    match how.as_str() {
        "raw" => copy(&brokers, &from, &to, records)?,
        "exchange" => copy_by_exchange(&exchange, &from, &to, records)?,
        other => return Err(format!("{other}: raw or exchange expected").into()),
    }
    let seconds = started_at.elapsed().as_secs_f64();
    println!(
        "{how}: {:.0} records/s copied exactly once ({records} records of 57 bytes, {PER_TRANSACTION} \
         a transaction, one thread, {seconds:.2} s)",
        records as f64 / seconds
    );
    Ok(())
}

fn spec(name: &Arc<str>) -> TopicSpec {
    TopicSpec {
        name: Arc::clone(name),
        partitions: PARTITIONS,
        retention_ms: Some(3_600_000),
        compacted: false,
        memory_bytes_max: 0,
        ring: false,
    }
}

fn producer(brokers: &str, settings: &[(&str, &str)]) -> Result<BaseProducer, Box<dyn Error>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("compression.type", "lz4");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    Ok(config.create()?)
}

fn fill(brokers: &str, topic: &str, records: usize) -> Result<(), Box<dyn Error>> {
    let producer = producer(brokers, &[("linger.ms", "20")])?;
    for i in 0..records {
        let record =
            format!(r#"{{"series":"s{:06}","time":{:013},"value":{:.6}}}"#, i % 1_000, i, 1.5);
        let record = format!("{record:57}");
        let number = (i % PARTITIONS as usize) as i32;
        let to = BaseRecord::<(), _>::to(topic).partition(number);
        let mut next = to.payload(&record);
        while let Err((_, back)) = producer.send(next) {
            producer.poll(Duration::ZERO);
            thread::sleep(Duration::from_micros(200));
            next = back;
        }
    }
    producer.flush(PATIENCE)?;
    Ok(())
}

/// Consume and produce in transactions, with nothing in between.
fn copy(brokers: &str, from: &str, to: &str, records: usize) -> Result<(), Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", to)
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    let mut all = TopicPartitionList::new();
    for number in 0..PARTITIONS {
        all.add_partition_offset(from, number as i32, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let settings = [
        ("transactional.id", to),
        ("linger.ms", "0"),
        ("retry.backoff.ms", "1"),
        ("retry.backoff.max.ms", "5"),
    ];
    let producer = producer(brokers, &settings)?;
    producer.init_transactions(PATIENCE)?;
    let group = consumer.group_metadata().ok_or("no group")?;
    let mut copied = 0;
    while copied < records {
        producer.begin_transaction()?;
        let mut next = [0; PARTITIONS as usize];
        let end = (copied + PER_TRANSACTION).min(records);
        while copied < end {
            let message = consumer.poll(PATIENCE).ok_or("nothing came")??;
            next[message.partition() as usize] = message.offset() + 1;
            let to = BaseRecord::<[u8], _>::to(to).partition(message.partition());
            let sent = producer.send(to.payload(message.payload().unwrap_or_default()));
            sent.map_err(|(error, _)| error)?;
            copied += 1;
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
            thread::sleep(Duration::from_micros(200));
        }
        let mut offsets = TopicPartitionList::new();
        for (number, next) in next.iter().enumerate().filter(|(_, next)| **next > 0) {
            offsets.add_partition_offset(from, number as i32, Offset::Offset(*next))?;
        }
        producer.send_offsets_to_transaction(&offsets, &group, PATIENCE)?;
        producer.commit_transaction(PATIENCE)?;
    }
    Ok(())
}

struct Copier {
    to: Arc<str>,
    copied: usize,
}

impl Processor for Copier {
    type Error = oddwatch_exchange::Error;

    fn restore(&mut self, _: &Assignment) -> Result<Restore, Self::Error> {
        Ok(Restore::Start(Start::Committed))
    }

    fn drop_partition(&mut self, _: &Partition) {}

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Self::Error> {
        let mut messages = Vec::new();
        for slice in &batch.slices {
            messages.extend(slice.messages.iter().map(|message| Output {
                topic: Arc::clone(&self.to),
                partition: Some(slice.partition.number),
                key: None,
                value: message.value.clone(),
                headers: Vec::new(),
            }));
        }
        self.copied += messages.len();
        Ok(Outputs { messages, metadata: Vec::new() })
    }
}

fn copy_by_exchange(
    exchange: &KafkaExchange,
    from: &Arc<str>,
    to: &Arc<str>,
    records: usize,
) -> Result<(), Box<dyn Error>> {
    let (name, member) = (to.to_string(), to.to_string());
    let member = exchange.join(&Group { name, member, topics: vec![Arc::clone(from)] })?;
    let limits = PollLimits { messages_max: PER_TRANSACTION, ..PollLimits::default() };
    let mut worker = Worker::new(member, Copier { to: Arc::clone(to), copied: 0 }, limits);
    while worker.processor().copied < records {
        worker.step()?;
    }
    Ok(())
}
