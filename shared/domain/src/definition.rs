//! What users define: streams, detectors, channels. The same types come from a definitions file (TOML) and
//! from the `control` log. [`Definitions`] is the set in force at one config version.

mod algorithm;
mod channel;
mod detector;
mod feedback;
mod given;
mod regular;
mod stream;
mod window;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use algorithm::{Algorithm, Combine, Kind, Parameter};
pub use channel::{Channel, ChannelKind};
pub use detector::{Detector, Direction, DriftPolicy, QuietTime, Threshold};
pub use feedback::Feedback;
pub use given::{Digest, GivenModel};
pub use regular::{GapPolicy, SEASON_ROWS_MAX};
use stream::records_topic;
pub use stream::{DEFAULT_STREAM, DriftTest, Format, LatePolicy, Stream};
pub use window::{Aggregate, Percentile, Shape, UnknownFeature, Window};

/// A definition that can't be; says which and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {wrong}")]
pub struct Invalid {
    /// Which definition and field.
    pub what: String,
    /// What is wrong and what would be right.
    pub wrong: String,
}

fn invalid<T>(what: impl Into<String>, wrong: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid { what: what.into(), wrong: wrong.into() })
}

/// A source: a topic that ingest reads, with its partitions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The topic's full name.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
}

/// How the inner topics are laid out; written once by whoever starts first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The number of partitions of all inner topics, 1 to 256.
    pub partitions: u32,
    /// What ingest reads, sorted.
    pub sources: Vec<Source>,
}

/// What the states of windowing and detector may take, per partition. A row that meets a limit is refused, so limits
/// decide, and are in force by config version like everything that does: a restart with others changes no replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most series of windowing.
    pub series_max: u64,
    /// The most features of a series.
    pub features_max: u64,
    /// The most rows that wait for older ones, per series.
    pub held_rows_max: u64,
    /// The most bytes of the detector's models.
    pub model_bytes_max: u64,
}

/// An item on which a service panicked or died: it is skipped and refused from then on, here and in every replay,
/// whatever the config version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The service that can't take it, such as `detector`.
    pub service: String,
    /// The partition it is read from, as `topic/number`.
    pub partition: String,
    /// The message's offset.
    pub offset: u64,
    /// The item's index within the message, from 0.
    pub item: u64,
    /// What happened.
    pub why: String,
}

/// One entry of the `control` log.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// How topics are laid out.
    Layout(Layout),
    /// A stream.
    Stream(Stream),
    /// A detector.
    Detector(Detector),
    /// A channel.
    Channel(Channel),
    /// What states may take.
    Limits(Limits),
    /// An item that is skipped.
    Skip(Skip),
    /// What a person says of a row: never in force, as it is an event.
    Feedback(Feedback),
    /// The removal of what the key (`detector/cpu`) names.
    Removed(String),
}

impl Definition {
    /// The entry's key: kind and name, such as `stream/orders`.
    pub fn key(&self) -> String {
        match self {
            Self::Layout(_) => "layout".into(),
            Self::Stream(s) => format!("stream/{}", s.name),
            Self::Detector(d) => format!("detector/{}", d.name),
            Self::Channel(c) => format!("channel/{}", c.name),
            Self::Limits(_) => "limits".into(),
            Self::Skip(s) => format!("skip/{}/{}/{}/{}", s.service, s.partition, s.offset, s.item),
            Self::Feedback(feedback) => feedback.key(),
            Self::Removed(key) => key.clone(),
        }
    }
}

/// The definitions in force at one config version. A config version is the offset of a `control` entry plus
/// one; 0 is before the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    /// The config version.
    pub version: u64,
    /// The layout, once known.
    pub layout: Option<Layout>,
    /// What states may take, if it is said.
    pub limits: Option<Limits>,
    /// Streams by name.
    pub streams: BTreeMap<String, Stream>,
    /// Detectors by name, each with the version that defined it.
    pub detectors: BTreeMap<String, (u64, Detector)>,
    /// Channels by name.
    pub channels: BTreeMap<String, Channel>,
}

impl Definitions {
    /// Takes the entry that makes `version`.
    pub fn apply(&mut self, version: u64, definition: Definition) {
        self.version = version;
        match definition {
            Definition::Layout(layout) => self.layout = Some(layout),
            Definition::Limits(limits) => self.limits = Some(limits),
            Definition::Stream(s) => {
                self.streams.insert(s.name.clone(), s);
            }
            Definition::Detector(d) => {
                self.detectors.insert(d.name.clone(), (version, d));
            }
            Definition::Channel(c) => {
                self.channels.insert(c.name.clone(), c);
            }
            // Hold whatever the version, or happen at one: the log itself keeps these.
            Definition::Skip(_) | Definition::Feedback(_) => {}
            Definition::Removed(key) => match key.split_once('/') {
                Some(("stream", name)) => drop(self.streams.remove(name)),
                Some(("detector", name)) => drop(self.detectors.remove(name)),
                Some(("channel", name)) => drop(self.channels.remove(name)),
                _ => {}
            },
        }
    }

    /// Whether this entry would change nothing.
    pub fn holds(&self, definition: &Definition) -> bool {
        match definition {
            Definition::Layout(layout) => self.layout.as_ref() == Some(layout),
            Definition::Limits(limits) => self.limits.as_ref() == Some(limits),
            Definition::Stream(s) => self.streams.get(&s.name) == Some(s),
            Definition::Detector(d) => self.detectors.get(&d.name).is_some_and(|(_, e)| e == d),
            Definition::Channel(c) => self.channels.get(&c.name) == Some(c),
            Definition::Skip(_) | Definition::Feedback(_) => false,
            Definition::Removed(key) => match key.split_once('/') {
                Some(("stream", name)) => !self.streams.contains_key(name),
                Some(("detector", name)) => !self.detectors.contains_key(name),
                Some(("channel", name)) => !self.channels.contains_key(name),
                _ => true,
            },
        }
    }

    /// All streams in force: the defined ones, and the implicit one unless one is defined on `records` or
    /// under its name.
    pub fn streams_in_force(&self) -> Vec<Stream> {
        let mut all: Vec<Stream> = self.streams.values().cloned().collect();
        if !all.iter().any(|s| s.topic == records_topic() || s.name == DEFAULT_STREAM) {
            all.push(Stream::implicit());
        }
        all
    }

    /// The stream of that name, defined or implicit.
    pub fn stream(&self, name: &str) -> Option<Stream> {
        self.streams
            .get(name)
            .cloned()
            .or_else(|| self.streams_in_force().into_iter().find(|s| s.name == name))
    }

    /// The detectors of a stream with the versions that defined them: the defined ones, or the implicit one
    /// (version 0) if there is none.
    pub fn detectors_of(&self, stream: &str) -> Vec<(u64, Detector)> {
        let defined: Vec<_> =
            self.detectors.values().filter(|(_, d)| d.stream == stream).cloned().collect();
        if defined.is_empty() { vec![(0, Detector::implicit(stream))] } else { defined }
    }

    /// Checks all definitions together.
    ///
    /// # Errors
    /// The first definition that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut topics: BTreeMap<&str, &str> = BTreeMap::new();
        for stream in self.streams.values() {
            stream.check()?;
            if let Some(other) = topics.insert(&stream.topic, &stream.name) {
                return invalid(
                    format!("stream {:?}, topic", stream.name),
                    format!(
                        "{:?} is read by stream {other:?} already; a topic belongs to one stream",
                        stream.topic
                    ),
                );
            }
        }
        for (_, detector) in self.detectors.values() {
            detector.check()?;
            let what = |field: &str| format!("detector {:?}, {field}", detector.name);
            let Some(stream) = self.stream(&detector.stream) else {
                return invalid(
                    what("stream"),
                    format!("there is no stream {:?}", detector.stream),
                );
            };
            if let Some(window) = &detector.window
                && !stream.windows.iter().any(|w| w.name == *window)
            {
                return invalid(
                    what("window"),
                    format!("stream {:?} has no window {window:?}", stream.name),
                );
            }
        }
        for channel in self.channels.values() {
            channel.check()?;
        }
        Ok(())
    }
}

fn check_name(kind: &str, name: &str) -> Result<(), Invalid> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 100 && name.chars().all(ok) {
        return Ok(());
    }
    invalid(
        format!("{kind} name {name:?}"),
        "must be 1 to 100 characters of letters, digits, '-', '_' and '.'",
    )
}
