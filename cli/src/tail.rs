//! `oddwatch tail`: follows a topic and shows what travels on it, one line a row.

mod rows;

use std::{
    io::{self, BufWriter, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use domain::Topics;
use exchange::{Exchange, FollowFrom};
use runtime::Stop;

pub(crate) use rows::time;
use rows::{Kind, Shown};

/// Shows what travels on a topic.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TailArgs {
    /// records, records.accepted, records.rejected, detection.requested, detection.completed,
    /// anomaly.detected, drift.detected, alerts, control, or the topic of a stream of yours
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// How rows are shown
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Begin with the first message that is kept, not with the next one
    #[arg(long)]
    from_start: bool,
    /// End after so many rows
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Show the ticks between rows as well, which carry log time on
    #[arg(long)]
    ticks: bool,
}

/// How rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Ndjson,
}

/// Why a topic can't be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The rows can't be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// How long one read waits before it looks whether to stop.
const WAIT: Duration = Duration::from_millis(100);
const MESSAGES_MAX: usize = 1_000;
/// How many such waits a missing topic is given (5 s).
const AWAIT_LOOKS: u32 = 50;

/// Follows the topic until a stop is wished, enough rows were shown, or nobody reads any more.
pub(crate) fn run(
    args: &TailArgs,
    exchange: Arc<dyn Exchange>,
    topics: &Topics,
    stop: &Stop,
) -> Result<(), TailError> {
    let out = BufWriter::new(io::stdout().lock());
    match follow(args, &*exchange, topics, stop, out) {
        // `… | head` has seen enough.
        Err(TailError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

/// Gives services that are just starting a moment to create the topic; what is missing then is for
/// [`Exchange::follow`] to say.
fn await_topic(exchange: &dyn Exchange, topic: &str, stop: &Stop) -> Result<(), TailError> {
    for _ in 0..AWAIT_LOOKS {
        if stop.stopped() || exchange.topic(topic)?.is_some() {
            break;
        }
        thread::sleep(WAIT);
    }
    Ok(())
}

fn follow(
    args: &TailArgs,
    exchange: &dyn Exchange,
    topics: &Topics,
    stop: &Stop,
    mut out: impl Write,
) -> Result<(), TailError> {
    let (topic, kind) = topic(&args.topic, topics);
    await_topic(exchange, &topic, stop)?;
    let from = if args.from_start { FollowFrom::Earliest } else { FollowFrom::Latest };
    let mut follower = exchange.follow(&topic, from)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while !stop.stopped() && left > 0 {
        for (partition, message) in follower.next(WAIT, MESSAGES_MAX)? {
            let place = format!("{topic}/{partition}@{}", message.offset);
            for row in rows::of(kind, &place, &message, args.ticks) {
                if left == 0 {
                    break;
                }
                write_row(&mut out, args.output, &row)?;
                left -= 1;
            }
        }
        out.flush()?;
    }
    Ok(())
}

fn write_row(out: &mut impl Write, format: Format, row: &Shown) -> io::Result<()> {
    match format {
        Format::Text => writeln!(out, "{}", row.text),
        Format::Ndjson => writeln!(out, "{}", row.json),
    }
}

/// The full name of a topic, and what travels on it. A name that is none of ours is a stream's own.
fn topic(name: &str, topics: &Topics) -> (Arc<str>, Kind) {
    let plain = Topics::new("");
    let ours = [
        (&plain.records, &topics.records, Kind::Records),
        (&plain.accepted, &topics.accepted, Kind::Accepted),
        (&plain.rejected, &topics.rejected, Kind::Rejected),
        (&plain.requested, &topics.requested, Kind::Requested),
        (&plain.completed, &topics.completed, Kind::Completed),
        (&plain.anomalies, &topics.anomalies, Kind::Anomalies),
        (&plain.drifts, &topics.drifts, Kind::Drifts),
        (&plain.control, &topics.control, Kind::Control),
        (&plain.alerts, &topics.alerts, Kind::Alerts),
    ];
    let found = ours.into_iter().find(|(short, full, _)| &***short == name || &***full == name);
    if let Some((_, full, kind)) = found {
        return (full.clone(), kind);
    }
    // Streams' own topics have the same prefix, which may be given or left out.
    let prefix = topics.records.strip_suffix(&*plain.records).unwrap_or_default();
    let bare = name.strip_prefix(prefix).unwrap_or(name);
    (Arc::from(format!("{prefix}{bare}")), Kind::Records)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use exchange::{MemoryExchange, MemoryOptions, Output, TopicSpec};

    use super::*;

    #[test]
    fn short_and_full_names_are_known() {
        let topics = Topics::new("test.");
        let check = |name: &str, full: &str, kind| {
            assert_eq!(topic(name, &topics), (Arc::from(full), kind));
        };
        check("records", "test.records", Kind::Records);
        check("anomaly.detected", "test.anomaly.detected", Kind::Anomalies);
        check("test.alerts", "test.alerts", Kind::Alerts);
        check("shop.orders", "test.shop.orders", Kind::Records);
        check("test.shop.orders", "test.shop.orders", Kind::Records);
    }

    #[test]
    fn so_many_rows_are_shown_and_no_more() {
        let exchange = MemoryExchange::new(MemoryOptions::new(Arc::new(|| 0)));
        let topics = Topics::new("");
        let spec = TopicSpec {
            name: topics.records.clone(),
            partitions: 1,
            retention_ms: None,
            compacted: false,
            memory_bytes_max: 1 << 20,
            ring: true,
        };
        exchange.create_topics(&[spec]).expect("created");
        let message = |value: &'static str| Output {
            topic: topics.records.clone(),
            partition: None,
            key: None,
            value: Some(Bytes::from_static(value.as_bytes())),
            headers: vec![],
        };
        let two = message(r#"[{"series":"a","value":1},{"series":"a","value":2}]"#);
        let append = exchange.appender().expect("an appender");
        append.append(vec![two, message(r#"{"series":"b","value":3}"#)]).expect("appended");
        let shown = |count, output| {
            let args = TailArgs {
                topic: "records".into(),
                output,
                from_start: true,
                count: Some(count),
                ticks: false,
            };
            let mut out = vec![];
            follow(&args, &exchange, &topics, &Stop::default(), &mut out).expect("followed");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(shown(1, Format::Text).lines().count(), 1);
        let all = shown(3, Format::Ndjson);
        let last: serde_json::Value =
            serde_json::from_str(all.lines().last().expect("rows")).expect("JSON");
        assert_eq!(last["record"]["value"], 3);
    }
}
