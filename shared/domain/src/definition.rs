//! What users define: streams, detectors, channels. The same types come from a definitions file (TOML) and
//! from the `control` log. [`Definitions`] is the set in force at one config version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// How a stream's messages are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Format {
    /// JSON pointer to the series key; default `/series`, else the message's Kafka key.
    #[serde(default)]
    pub key: Option<String>,
    /// JSON pointer to the time; default `/time`.
    #[serde(default)]
    pub time: Option<String>,
    /// JSON pointers to the values, by feature name; default `/values` or `/value`.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// JSON pointer to an object of tags (strings); default `/tags`.
    #[serde(default)]
    pub tags: Option<String>,
    /// IANA name of the zone of times without one; default UTC.
    #[serde(default)]
    pub zone: Option<String>,
    /// `true`: messages are protobuf `RecordBatch` (with or without Confluent framing) and not JSON.
    #[serde(default)]
    pub protobuf: bool,
}

/// What happens to a row behind the watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatePolicy {
    /// Scored on arrival, marked late, not learned.
    #[default]
    Score,
    /// Refused with reason LATE.
    Refuse,
}

/// A feature of a window, kept current at constant amortised cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The newest value.
    Last,
    /// How many values are present.
    Count,
    /// Sum.
    Sum,
    /// Arithmetic mean.
    Mean,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Population standard deviation.
    Std,
}

impl Aggregate {
    /// The name, as in definitions and in feature names (`cpu.mean`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Std => "std",
        }
    }
}

/// A sliding window over a number of records of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its name within the stream; a detector names it.
    pub name: String,
    /// How many records it spans, 2 to 100,000.
    pub size: u32,
    /// A row is made every so many records, once it is full; 1 to `size`.
    #[serde(default = "one")]
    pub slide: u32,
    /// What is computed of each value of the stream, in this order.
    pub features: Vec<Aggregate>,
}

/// A test for drift, run on each value of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftTest {
    /// Adaptive windowing (Bifet & Gavaldà 2007).
    Adwin,
    /// Page-Hinkley (Page 1954), two-sided.
    PageHinkley,
}

impl DriftTest {
    /// The name, as in definitions and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adwin => "adwin",
            Self::PageHinkley => "page_hinkley",
        }
    }
}

/// A named kind of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its name: letters, digits, `-`, `_`, `.`; at most 100.
    pub name: String,
    /// The topic its records come on, without prefix. One topic belongs to one stream.
    #[serde(default = "records_topic")]
    pub topic: String,
    /// How messages are read.
    #[serde(default)]
    pub format: Format,
    /// The values a record may have, in their order; empty: whatever the series' records bring.
    #[serde(default)]
    pub features: Vec<String>,
    /// How long a row waits for older ones, in milliseconds of event time.
    #[serde(default)]
    pub lateness_ms: u64,
    /// What happens to rows behind the watermark.
    #[serde(default)]
    pub late: LatePolicy,
    /// Windows whose features can be scored instead of the records.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Tests for drift; empty: none.
    #[serde(default = "default_drift")]
    pub drift: Vec<DriftTest>,
    /// The chance of a false alarm of a drift test, over all values of a row; ADWIN's confidence parameter.
    #[serde(default = "default_drift_confidence")]
    pub drift_confidence: f64,
}

/// The name of the stream that exists without being defined, on topic `records`.
pub const DEFAULT_STREAM: &str = "default";

impl Stream {
    /// The stream that exists without being defined: JSON on `records`, every default.
    pub fn implicit() -> Self {
        Self {
            name: DEFAULT_STREAM.into(),
            topic: records_topic(),
            format: Format::default(),
            features: vec![],
            lateness_ms: 0,
            late: LatePolicy::default(),
            windows: vec![],
            drift: default_drift(),
            drift_confidence: default_drift_confidence(),
        }
    }

    /// Checks one stream by itself.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        let what = |field: &str| format!("stream {:?}, {field}", self.name);
        check_name("stream", &self.name)?;
        check_name("topic", &self.topic)?;
        if self.lateness_ms > 7 * 24 * 3_600_000 {
            return invalid(what("lateness_ms"), "more than a week (604800000)");
        }
        if !(1e-12..=0.5).contains(&self.drift_confidence) {
            return invalid(what("drift_confidence"), "must be from 1e-12 to 0.5");
        }
        for pointer in self.format.values.values().chain(&self.format.key).chain(&self.format.time)
        {
            if !pointer.starts_with('/') {
                return invalid(
                    what("format"),
                    format!("{pointer:?} is no JSON pointer: it must start with /"),
                );
            }
        }
        if !self.features.is_empty()
            && let Some(name) = self.format.values.keys().find(|n| !self.features.contains(n))
        {
            return invalid(what("format.values"), format!("{name:?} is not among the features"));
        }
        for window in &self.windows {
            let what =
                |field: &str| format!("stream {:?}, window {:?}, {field}", self.name, window.name);
            check_name("window", &window.name)?;
            if !(2..=100_000).contains(&window.size) {
                return invalid(what("size"), "must be from 2 to 100000");
            }
            if !(1..=window.size).contains(&window.slide) {
                return invalid(what("slide"), "must be from 1 to size");
            }
            if window.features.is_empty() {
                return invalid(what("features"), "at least one is needed");
            }
        }
        Ok(())
    }
}

/// What a detector runs. `Auto` chooses by the number of values: one, [`Algorithm::RobustZ`]; several,
/// [`Algorithm::HalfSpaceTrees`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Algorithm {
    /// Chosen by the shape of the series.
    #[default]
    Auto,
    /// Distance from the median of a sliding window in units of its MAD.
    RobustZ {
        /// Rows in the window, 8 to 10,000.
        #[serde(default = "robust_z_window")]
        window: u32,
    },
    /// Half-space trees (Tan, Ting & Liu 2011).
    HalfSpaceTrees {
        /// Number of trees, 1 to 200.
        #[serde(default = "hst_trees")]
        trees: u32,
        /// Depth of each tree, 1 to 15.
        #[serde(default = "hst_depth")]
        depth: u32,
        /// Rows per window, 16 to 100,000.
        #[serde(default = "hst_window")]
        window: u32,
    },
}

impl Algorithm {
    /// What `Auto` stands for with this many values; itself otherwise.
    pub fn resolved(&self, values: usize) -> Self {
        match self {
            Self::Auto if values <= 1 => Self::RobustZ { window: robust_z_window() },
            Self::Auto => Self::HalfSpaceTrees {
                trees: hst_trees(),
                depth: hst_depth(),
                window: hst_window(),
            },
            chosen => chosen.clone(),
        }
    }
}

/// From which score a row is an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Threshold {
    /// From this score, in (0, 1).
    Score(f64),
    /// From the score that this share of rows exceeds, in (0, 0.5].
    Contamination(f64),
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Contamination(0.0001)
    }
}

/// What a detector does with its model when windowing found a drift of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftPolicy {
    /// Nothing.
    #[default]
    None,
    /// Starts the model anew.
    Relearn,
}

/// A configured algorithm on a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detector {
    /// Its name: letters, digits, `-`, `_`, `.`; at most 100.
    pub name: String,
    /// The stream it watches.
    pub stream: String,
    /// The window whose rows it scores; none: the records.
    #[serde(default)]
    pub window: Option<String>,
    /// The algorithm and its parameters.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// From which score a row is an anomaly.
    #[serde(default)]
    pub threshold: Threshold,
    /// So many rows in a row below four fifths of the threshold end an anomaly; 1 to 10,000.
    #[serde(default = "default_clear_after")]
    pub clear_after: u32,
    /// An open anomaly of a series that is silent for so long (log time) is cleared, in milliseconds.
    #[serde(default = "default_silence_ms")]
    pub silence_ms: u64,
    /// Rows a series must have had before one of its rows can open an anomaly (they are scored all the same).
    #[serde(default = "default_warm_up")]
    pub warm_up: u32,
    /// What happens at a drift.
    #[serde(default)]
    pub on_drift: DriftPolicy,
    /// Paused when `false`: its models stay, nothing is scored.
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl Detector {
    /// The detector that a stream has without one being defined, named after it.
    pub fn implicit(stream: &str) -> Self {
        Self {
            name: stream.into(),
            stream: stream.into(),
            window: None,
            algorithm: Algorithm::default(),
            threshold: Threshold::default(),
            clear_after: default_clear_after(),
            silence_ms: default_silence_ms(),
            warm_up: default_warm_up(),
            on_drift: DriftPolicy::default(),
            enabled: true,
        }
    }

    /// Checks one detector by itself.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        let what = |field: &str| format!("detector {:?}, {field}", self.name);
        check_name("detector", &self.name)?;
        match self.threshold {
            Threshold::Score(s) if !(0.0 < s && s < 1.0) => {
                return invalid(what("threshold.score"), "must lie between 0 and 1");
            }
            Threshold::Contamination(c) if !(0.0 < c && c <= 0.5) => {
                return invalid(what("threshold.contamination"), "must be above 0 and at most 0.5");
            }
            _ => {}
        }
        if !(1..=10_000).contains(&self.clear_after) {
            return invalid(what("clear_after"), "must be from 1 to 10000");
        }
        match self.algorithm {
            Algorithm::RobustZ { window } if !(8..=10_000).contains(&window) => {
                invalid(what("algorithm.window"), "must be from 8 to 10000")
            }
            Algorithm::HalfSpaceTrees { trees, .. } if !(1..=200).contains(&trees) => {
                invalid(what("algorithm.trees"), "must be from 1 to 200")
            }
            Algorithm::HalfSpaceTrees { depth, .. } if !(1..=15).contains(&depth) => {
                invalid(what("algorithm.depth"), "must be from 1 to 15")
            }
            Algorithm::HalfSpaceTrees { window, .. } if !(16..=100_000).contains(&window) => {
                invalid(what("algorithm.window"), "must be from 16 to 100000")
            }
            _ => Ok(()),
        }
    }
}

/// Where alerts are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Its name: letters, digits, `-`, `_`, `.`; at most 100.
    pub name: String,
    /// How and where.
    #[serde(flatten)]
    pub kind: ChannelKind,
}

/// How a channel sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ChannelKind {
    /// HTTP POST of one JSON object per state of an alert, signed as Standard Webhooks says.
    Webhook {
        /// `http://` or `https://`.
        url: String,
        /// Name of the file that holds the secret (`whsec_…`); none: not signed.
        #[serde(default)]
        secret_file: Option<String>,
    },
    /// One message per state of an alert on `alerts.<severity>.<stream>.<key>`.
    Nats {
        /// `nats://host:port`.
        url: String,
    },
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
            Definition::Stream(s) => {
                self.streams.insert(s.name.clone(), s);
            }
            Definition::Detector(d) => {
                self.detectors.insert(d.name.clone(), (version, d));
            }
            Definition::Channel(c) => {
                self.channels.insert(c.name.clone(), c);
            }
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
            Definition::Stream(s) => self.streams.get(&s.name) == Some(s),
            Definition::Detector(d) => self.detectors.get(&d.name).is_some_and(|(_, e)| e == d),
            Definition::Channel(c) => self.channels.get(&c.name) == Some(c),
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
            check_name("channel", &channel.name)?;
            let (url, schemes): (_, &[&str]) = match &channel.kind {
                ChannelKind::Webhook { url, .. } => (url, &["http://", "https://"]),
                ChannelKind::Nats { url } => (url, &["nats://", "tls://"]),
            };
            if !schemes.iter().any(|s| url.starts_with(s)) {
                return invalid(
                    format!("channel {:?}, url", channel.name),
                    format!("{url:?} must start with {}", schemes.join(" or ")),
                );
            }
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

fn one() -> u32 {
    1
}
fn yes() -> bool {
    true
}
fn records_topic() -> String {
    "records".into()
}
fn default_drift() -> Vec<DriftTest> {
    vec![DriftTest::Adwin, DriftTest::PageHinkley]
}
fn default_drift_confidence() -> f64 {
    1e-6
}
fn robust_z_window() -> u32 {
    256
}
fn hst_trees() -> u32 {
    25
}
fn hst_depth() -> u32 {
    10
}
fn hst_window() -> u32 {
    250
}
fn default_clear_after() -> u32 {
    5
}
fn default_silence_ms() -> u64 {
    10 * 60_000
}
fn default_warm_up() -> u32 {
    30
}
