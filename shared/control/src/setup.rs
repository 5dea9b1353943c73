//! What a process does before it reads its first record: the topics exist, the layout is one that all agree
//! on, and the definitions of its file stand in `control`.

use std::sync::Arc;

use domain::{Definition, Layout, Micros, Source, Stream, Topics};
use exchange::{Exchange, TopicSpec};

use crate::{ControlLog, ControlWriter, Error};

/// How topics are set up.
#[derive(Clone, Debug)]
pub struct SetupOptions {
    /// Topics are prefixed by this; empty for none.
    pub topic_prefix: String,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Partitions of the inner topics, if this process is the first.
    pub partitions: u32,
    /// Partitions of `records` and of users' topics, if they are created.
    pub records_partitions: u32,
    /// How long the input is kept that states are restored from, in milliseconds; `None` for ever, as it must be
    /// without snapshots.
    pub input_retention_ms: Option<i64>,
    /// Bound of each partition of a topic, for an exchange that keeps topics in memory, in bytes.
    pub memory_bytes_max: usize,
}

const HOUR_MS: i64 = 3_600_000;
/// Users' records are kept for a week, and so is what states are restored from if there are snapshots; what people
/// read for a month.
pub const RECORDS_RETENTION_MS: i64 = 7 * 24 * HOUR_MS;
const FINDINGS_RETENTION_MS: i64 = 30 * 24 * HOUR_MS;

/// Creates missing topics, agrees on the layout and appends those `definitions` that differ from what is in
/// force. Returns the log, read to behind all that.
///
/// # Errors
/// `Invalid` if the layout in force is another than the configured one, or a topic is not as it must be.
pub fn set_up(
    exchange: &dyn Exchange,
    options: &SetupOptions,
    definitions: &[Definition],
    now: Micros,
) -> Result<ControlLog, Error> {
    let topics = Topics::new(&options.topic_prefix);
    create(exchange, options, &[control_spec(&topics, options)])?;
    let mut log = ControlLog::open(exchange, &topics)?;
    let partitions = match &log.latest().layout {
        Some(layout) if layout.partitions != options.partitions => {
            return Err(Error::Invalid(format!(
                "exchange.partitions is {}, but the topics were laid out with {}; it is fixed at creation",
                options.partitions, layout.partitions
            )));
        }
        Some(layout) => layout.partitions,
        None => options.partitions,
    };
    create(exchange, options, &inner_specs(&topics, partitions, options))?;
    let writer = ControlWriter::open(exchange, &topics)?;
    let mut last = log.latest().version;
    if definitions.iter().any(|definition| !log.latest().holds(definition)) {
        // All together: a stream and the detectors that read it may change at once.
        let mut with = log.latest().clone();
        definitions.iter().for_each(|definition| with.apply(0, definition.clone()));
        with.check().map_err(|error| Error::Invalid(error.to_string()))?;
    }
    for definition in definitions {
        if !log.latest().holds(definition) {
            last = writer.append(definition, now)?;
            log.read_to(last)?;
        }
    }
    let sources = sources(exchange, options, &log.latest().streams_in_force())?;
    let layout = Layout { partitions, sources };
    let layout = Definition::Layout(layout);
    if !log.latest().holds(&layout) {
        last = writer.append(&layout, now)?;
    }
    log.read_to(last)?;
    Ok(log)
}

/// Creates users' topics that are missing and says how many partitions each topic has.
fn sources(
    exchange: &dyn Exchange,
    options: &SetupOptions,
    streams: &[Stream],
) -> Result<Vec<Source>, Error> {
    let mut sources = vec![];
    for stream in streams {
        let name = format!("{}{}", options.topic_prefix, stream.topic);
        if exchange.topic(&name)?.is_none() {
            let mut spec = spec(&Arc::from(name.as_str()), options.records_partitions, options);
            spec.retention_ms = Some(RECORDS_RETENTION_MS);
            create(exchange, options, &[spec])?;
        }
        let topic = exchange.topic(&name)?.ok_or_else(|| missing(&name))?;
        sources.push(Source { topic: name, partitions: topic.partitions });
    }
    sources.sort();
    Ok(sources)
}

fn missing(name: &str) -> Error {
    Error::Invalid(format!("topic {name} is missing and kafka.create_topics is false: create it"))
}

fn create(
    exchange: &dyn Exchange,
    options: &SetupOptions,
    specs: &[TopicSpec],
) -> Result<(), Error> {
    if options.create_topics {
        return Ok(exchange.create_topics(specs)?);
    }
    for spec in specs {
        let found = exchange.topic(&spec.name)?.ok_or_else(|| missing(&spec.name))?;
        if found.partitions != spec.partitions {
            return Err(Error::Invalid(format!(
                "topic {} has {} partitions, it must have {}",
                spec.name, found.partitions, spec.partitions
            )));
        }
    }
    Ok(())
}

fn spec(name: &Arc<str>, partitions: u32, options: &SetupOptions) -> TopicSpec {
    TopicSpec {
        name: name.clone(),
        partitions,
        retention_ms: None,
        compacted: false,
        memory_bytes_max: options.memory_bytes_max,
        ring: false,
    }
}

fn control_spec(topics: &Topics, options: &SetupOptions) -> TopicSpec {
    spec(&topics.control, 1, options)
}

fn inner_specs(topics: &Topics, partitions: u32, options: &SetupOptions) -> Vec<TopicSpec> {
    let findings = |name| TopicSpec {
        retention_ms: Some(FINDINGS_RETENTION_MS),
        ring: true,
        ..spec(name, partitions, options)
    };
    let input = |name| TopicSpec {
        retention_ms: options.input_retention_ms,
        ..spec(name, partitions, options)
    };
    let read = |name| TopicSpec { ring: false, ..findings(name) };
    vec![
        input(&topics.accepted),
        input(&topics.requested),
        findings(&topics.rejected),
        findings(&topics.completed),
        read(&topics.anomalies),
        read(&topics.drifts),
        TopicSpec { compacted: true, ring: true, ..spec(&topics.alerts, partitions, options) },
    ]
}
