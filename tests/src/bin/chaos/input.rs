//! What was published: read back from the topics, and understood without the product's help.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use domain::{Micros, Reason, Topics};
use exchange::{Error, Exchange as _, FollowFrom, Follower, KafkaExchange, Message};
use oddwatch_tests::oracle::{Record, Sent};
use serde_json::Value;

use crate::series::TOPICS;

const WAIT: Duration = Duration::from_millis(100);
const MESSAGES_MAX: usize = 20_000;
/// Times are refused as of the future from here: 2100.
const FUTURE_SECONDS: i64 = 4_102_444_800;

/// Reads what was published.
pub(crate) struct Input {
    followers: Vec<(&'static str, String, Box<dyn Follower>)>,
    names: HashMap<String, Arc<str>>,
    pub(crate) records: Vec<Record>,
}

impl Input {
    pub(crate) fn open(exchange: &KafkaExchange, topics: &Topics) -> Result<Self, Error> {
        let mut followers = vec![];
        for topic in TOPICS {
            let name = format!("{}{topic}", topics.prefix);
            let follower = exchange.follow(&name, FollowFrom::Earliest)?;
            followers.push((topic, name, follower));
        }
        Ok(Self { followers, names: HashMap::new(), records: vec![] })
    }

    /// Reads on to the end of what is there now; says how many records there are.
    pub(crate) fn read(&mut self) -> Result<u64, Error> {
        let Self { followers, names, records } = self;
        for (topic, name, follower) in followers {
            let stream = if *topic == "records" { "default" } else { *topic };
            while !follower.caught_up()? {
                for (partition, message) in follower.next(WAIT, MESSAGES_MAX)? {
                    let mut named = |text: String| -> Arc<str> {
                        names
                            .entry(text)
                            .or_insert_with_key(|text| Arc::from(text.as_str()))
                            .clone()
                    };
                    let source = named(format!("{name}/{partition}"));
                    let sent = understood(stream, &message, &mut named);
                    records.push(Record {
                        source,
                        offset: message.offset,
                        index: 0,
                        ingested_at: Some(message.timestamp_ms * 1_000),
                        sent,
                    });
                }
            }
        }
        Ok(records.len() as u64)
    }

    /// The last offset of each partition, by topic and number.
    pub(crate) fn ends(&self) -> BTreeMap<(String, u32), u64> {
        let mut ends = BTreeMap::new();
        for record in &self.records {
            if let Some((topic, number)) = record.source.rsplit_once('/')
                && let Ok(number) = number.parse()
            {
                let end = ends.entry((topic.to_owned(), number)).or_insert(0);
                *end = record.offset.max(*end);
            }
        }
        ends
    }
}

/// What must become of a message, by what `series.rs` makes.
fn understood(stream: &str, message: &Message, named: &mut dyn FnMut(String) -> Arc<str>) -> Sent {
    let bytes = message.value.as_deref().unwrap_or_default();
    let Ok(json) = serde_json::from_slice::<Value>(bytes) else {
        return Sent::Refused(Reason::Undecodable);
    };
    let Some(time) = json["time"].as_i64() else { return Sent::Refused(Reason::NoTime) };
    let number = |name: &str, value: &Value| Some((name.to_owned(), value.as_f64()?));
    let values: Option<Vec<(String, f64)>> = match (&json["value"], &json["values"]) {
        (Value::Null, Value::Object(values)) => {
            values.iter().map(|(name, value)| number(name, value)).collect()
        }
        (value, _) => number("value", value).map(|value| vec![value]),
    };
    if (FUTURE_SECONDS..10 * FUTURE_SECONDS).contains(&time) {
        return Sent::Refused(Reason::Future);
    }
    let Some(values) = values else { return Sent::Refused(Reason::WrongType) };
    // Seconds on `records`, milliseconds on `machines`.
    let unit: Micros = if stream == "default" { 1_000_000 } else { 1_000 };
    Sent::Row {
        stream: named(stream.to_owned()),
        key: named(json["series"].as_str().unwrap_or_default().to_owned()),
        event_at: time * unit,
        values: values.into_iter().map(|(name, value)| (named(name), value)).collect(),
    }
}
