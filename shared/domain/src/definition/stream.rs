//! Streams: named kinds of record, and their drift tests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GapPolicy, Invalid, Window, check_name, invalid};

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
    /// JSON pointer to the id by which a repeated record is known (text or number); default `/record_id`.
    #[serde(default)]
    pub record_id: Option<String>,
    /// IANA name of the zone of times without one; default UTC.
    #[serde(default)]
    pub zone: Option<String>,
    /// `true`: messages are protobuf `RecordBatch` (with or without Confluent framing) and not JSON.
    #[serde(default)]
    pub protobuf: bool,
}

/// What happens to a row behind the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatePolicy {
    /// Scored on arrival, marked late, not learned.
    Score,
    /// Refused with reason LATE.
    Refuse,
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
    /// What happens to rows behind the watermark; see [`late_policy`](Self::late_policy).
    #[serde(default)]
    pub late: Option<LatePolicy>,
    /// How often a record of a series is expected, in milliseconds of event time; 0: at any time.
    #[serde(default)]
    pub interval_ms: u64,
    /// What stands in for one that does not come.
    #[serde(default)]
    pub gaps: GapPolicy,
    /// The season of seasonal gaps, in whole intervals.
    #[serde(default)]
    pub season_ms: u64,
    /// The most rows in a row that stand in for records.
    #[serde(default = "default_gap_rows_max")]
    pub gap_rows_max: u32,
    /// After so many intervals without a record a row says so, which is an anomaly; 0: never.
    #[serde(default)]
    pub no_data_after: u32,
    /// A series of which no record came for so long (log time) is forgotten, with its models; 0: never.
    #[serde(default = "default_series_ttl_ms")]
    pub series_ttl_ms: u64,
    /// The most series of this stream in a partition, besides `windowing.series_max`.
    #[serde(default)]
    pub series_max: Option<u64>,
    /// So many ids of a series' last records are remembered, to drop repeats; 0: none are dropped.
    #[serde(default = "default_record_ids")]
    pub record_ids: u32,
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
            late: None,
            interval_ms: 0,
            gaps: GapPolicy::None,
            season_ms: 0,
            gap_rows_max: default_gap_rows_max(),
            no_data_after: 0,
            series_ttl_ms: default_series_ttl_ms(),
            series_max: None,
            record_ids: default_record_ids(),
            windows: vec![],
            drift: default_drift(),
            drift_run_length: default_drift_run_length(),
        }
    }

    /// What happens to rows behind the watermark: as it is said, else scored, or refused if the stream has
    /// windows, whose past rows can't be made anew.
    pub fn late_policy(&self) -> LatePolicy {
        let usual = if self.windows.is_empty() { LatePolicy::Score } else { LatePolicy::Refuse };
        self.late.unwrap_or(usual)
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
        self.check_times()?;
        if !(1_000..=10_000_000).contains(&self.drift_run_length) {
            return invalid(what("drift_run_length"), "must be from 1000 to 10000000 rows");
        }
        if has_repeats(&self.drift) {
            return invalid(what("drift"), "one stands twice");
        }
        let Format { key, time, tags, record_id, .. } = &self.format;
        for pointer in
            self.format.values.values().chain(key).chain(time).chain(tags).chain(record_id)
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
            window.check(&self.name)?;
        }
        if has_repeats(&self.windows.iter().map(|window| &window.name).collect::<Vec<_>>()) {
            return invalid(what("windows"), "two have the same name");
        }
        Ok(())
    }
}

pub(super) fn has_repeats<T: PartialEq>(all: &[T]) -> bool {
    all.iter().enumerate().any(|(at, one)| all[..at].contains(one))
}

pub(super) fn records_topic() -> String {
    "records".into()
}
fn default_gap_rows_max() -> u32 {
    1_000
}
fn default_series_ttl_ms() -> u64 {
    30 * 24 * 3_600_000
}
fn default_record_ids() -> u32 {
    100
}
fn default_drift() -> Vec<DriftTest> {
    DriftTest::DEFAULT.to_vec()
}
fn default_drift_run_length() -> u64 {
    50_000
}
