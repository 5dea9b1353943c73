//! Streams: named kinds of record, their windows and their drift tests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Invalid, check_name, invalid};

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

/// A test for drift. Each is run on scores of a series' values, so none minds their scale or distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftTest {
    /// Adaptive windowing (Bifet & Gavaldà 2007).
    Adwin,
    /// Page-Hinkley (Page 1954), two-sided.
    PageHinkley,
    /// Cumulative sums (Page 1954) of level and spread, and of missing values.
    Cusum,
    /// Kolmogorov & Smirnov's test on a sliding window (Raab et al. 2020).
    Kswin,
    /// Hoeffding's bound on differences of means (Frías-Blanco et al. 2015).
    HddmA,
    /// The same with weights that decay.
    HddmW,
    /// Population stability index over quantile bins.
    Psi,
    /// Wasserstein's distance between reference and current window.
    Wasserstein,
    /// Maximum mean discrepancy (Gretton et al. 2012) of all values together, on random features.
    Mmd,
}

impl DriftTest {
    /// The name, as in definitions and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adwin => "adwin",
            Self::PageHinkley => "page_hinkley",
            Self::Cusum => "cusum",
            Self::Kswin => "kswin",
            Self::HddmA => "hddm_a",
            Self::HddmW => "hddm_w",
            Self::Psi => "psi",
            Self::Wasserstein => "wasserstein",
            Self::Mmd => "mmd",
        }
    }

    /// The tests a stream has unless it says otherwise.
    pub const DEFAULT: [Self; 2] = [Self::Cusum, Self::Mmd];
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
    /// Rows of one series between two drifts found where there are none, on average, over all its values and
    /// tests; 1,000 to 10,000,000.
    #[serde(default = "default_drift_run_length")]
    pub drift_run_length: u64,
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
            drift_run_length: default_drift_run_length(),
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
        if !(1_000..=10_000_000).contains(&self.drift_run_length) {
            return invalid(what("drift_run_length"), "must be from 1000 to 10000000 rows");
        }
        if has_repeats(&self.drift) {
            return invalid(what("drift"), "one stands twice");
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
            if has_repeats(&window.features) {
                return invalid(what("features"), "one stands twice");
            }
        }
        if has_repeats(&self.windows.iter().map(|window| &window.name).collect::<Vec<_>>()) {
            return invalid(what("windows"), "two have the same name");
        }
        Ok(())
    }
}

fn has_repeats<T: PartialEq>(all: &[T]) -> bool {
    all.iter().enumerate().any(|(at, one)| all[..at].contains(one))
}

fn one() -> u32 {
    1
}
pub(super) fn records_topic() -> String {
    "records".into()
}
fn default_drift() -> Vec<DriftTest> {
    DriftTest::DEFAULT.to_vec()
}
fn default_drift_run_length() -> u64 {
    50_000
}
