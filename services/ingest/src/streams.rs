//! The streams in force, made ready for decoding: pointers, zones and features resolved once per config
//! version and not once per record.

use std::{collections::BTreeMap, sync::Arc};

use chrono_tz::Tz;
use domain::{Definitions, Invalid, Stream};

/// The names of the values of a series, shared by all rows that have them.
pub(crate) type FeatureSet = Arc<[Arc<str>]>;

/// The streams in force at one config version, by the full name of their topic.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) version: u64,
    by_topic: BTreeMap<Arc<str>, StreamSpec>,
}

impl Streams {
    pub(crate) fn new(definitions: &Definitions, prefix: &str) -> Self {
        let streams = definitions.streams_in_force();
        let by_topic = streams
            .iter()
            .map(|stream| (full_name(prefix, stream), StreamSpec::new(stream)))
            .collect();
        Self { version: definitions.version, by_topic }
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Option<&StreamSpec> {
        self.by_topic.get(topic)
    }

    pub(crate) fn on_topic(&self, topic: &str) -> Option<(&Arc<str>, &StreamSpec)> {
        self.by_topic.get_key_value(topic)
    }

    pub(crate) fn named(&self, name: &str) -> Option<(&Arc<str>, &StreamSpec)> {
        self.by_topic.iter().find(|(_, spec)| *spec.name == *name)
    }
}

/// The topics that ingest reads: those of all streams in force, sorted, with their prefix.
pub fn input_topics(definitions: &Definitions, prefix: &str) -> Vec<Arc<str>> {
    let streams = definitions.streams_in_force();
    let mut topics: Vec<_> = streams.iter().map(|stream| full_name(prefix, stream)).collect();
    topics.sort();
    topics.dedup();
    topics
}

/// Checks what only ingest can tell of a stream: that its zone exists.
///
/// # Errors
/// The zone, if it is no IANA name.
pub fn check_stream(stream: &Stream) -> Result<(), Invalid> {
    match Zone::new(stream.format.zone.as_deref()) {
        Zone::Unknown(name) => Err(Invalid {
            what: format!("stream {:?}, format.zone", stream.name),
            wrong: format!("{name:?} is no IANA zone: use a name such as Europe/Berlin"),
        }),
        Zone::Utc | Zone::Named(_) => Ok(()),
    }
}

pub(crate) fn full_name(prefix: &str, stream: &Stream) -> Arc<str> {
    Arc::from(format!("{prefix}{}", stream.topic))
}

/// One stream, ready to decode with.
pub(crate) struct StreamSpec {
    pub(crate) name: Arc<str>,
    pub(crate) shape: Shape,
    pub(crate) zone: Zone,
    pub(crate) features: Option<Defined>,
}

/// How a stream's messages are read.
pub(crate) enum Shape {
    /// JSON with its fields in the default places.
    Plain,
    /// JSON with pointers of its own.
    Pointers(Pointers),
    /// Protobuf only.
    Protobuf,
}

/// Where a record's parts are, if not in the default places.
pub(crate) struct Pointers {
    pub(crate) key: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) values: Vec<(String, String)>,
    pub(crate) tags: Option<String>,
    pub(crate) record_id: Option<String>,
}

/// The zone of local times.
pub(crate) enum Zone {
    Utc,
    Named(Tz),
    /// No such zone: records that need it are refused.
    Unknown(Box<str>),
}

/// The features that a stream defines.
pub(crate) struct Defined {
    pub(crate) names: FeatureSet,
    sorted: Vec<(Arc<str>, usize)>,
}

impl StreamSpec {
    pub(crate) fn new(stream: &Stream) -> Self {
        let format = &stream.format;
        let is_plain = format.key.is_none()
            && format.time.is_none()
            && format.values.is_empty()
            && format.tags.is_none()
            && format.record_id.is_none();
        let shape = if format.protobuf {
            Shape::Protobuf
        } else if is_plain {
            Shape::Plain
        } else {
            Shape::Pointers(Pointers {
                key: format.key.clone(),
                time: format.time.clone(),
                values: format.values.clone().into_iter().collect(),
                tags: format.tags.clone(),
                record_id: format.record_id.clone(),
            })
        };
        Self {
            name: Arc::from(stream.name.as_str()),
            shape,
            zone: Zone::new(format.zone.as_deref()),
            features: (!stream.features.is_empty()).then(|| Defined::new(&stream.features)),
        }
    }
}

impl Zone {
    fn new(name: Option<&str>) -> Self {
        match name {
            None | Some("UTC") => Self::Utc,
            Some(name) => match name.parse() {
                Ok(zone) => Self::Named(zone),
                Err(_) => Self::Unknown(name.into()),
            },
        }
    }
}

impl Defined {
    fn new(features: &[String]) -> Self {
        let names: FeatureSet = features.iter().map(|name| Arc::from(name.as_str())).collect();
        let mut sorted: Vec<_> = names.iter().cloned().zip(0..).collect();
        sorted.sort();
        Self { names, sorted }
    }

    /// Where the feature of that name stands.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        let at = self.sorted.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(self.sorted[at].1)
    }
}

#[cfg(test)]
mod tests {
    use domain::{Definition, Format};

    use super::*;

    #[test]
    fn the_input_is_every_stream_s_topic_once() {
        let mut definitions = Definitions::default();
        assert_eq!(input_topics(&definitions, "p."), [Arc::from("p.records")]);
        let orders = Stream { name: "orders".into(), topic: "shop".into(), ..Stream::implicit() };
        definitions.apply(1, Definition::Stream(orders));
        assert_eq!(input_topics(&definitions, ""), [Arc::from("records"), Arc::from("shop")]);
    }

    #[test]
    fn an_unknown_zone_is_named() {
        let format = Format { zone: Some("Mars/Base".into()), ..Format::default() };
        let error = check_stream(&Stream { format, ..Stream::implicit() }).unwrap_err();
        assert!(error.to_string().contains("\"Mars/Base\" is no IANA zone"), "{error}");
        check_stream(&Stream::implicit()).unwrap();
    }
}
