//! Windows of a stream: which records belong together, and what is computed of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Invalid, check_name, invalid};

/// A day, in milliseconds.
const DAY_MS: u64 = 24 * 3_600_000;
/// No window spans more time: a leap year.
const SPAN_MS_MAX: u64 = 366 * DAY_MS;
/// So many partial results are kept of a window that hops.
const HOPS_MAX: u64 = 1_000;
/// So many values are kept of a window that slides.
const SIZE_MAX: u32 = 100_000;

/// A feature of a window, kept current record by record, never by rescanning the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Aggregate {
    /// The newest record's value; missing if that record has none.
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
    /// The smallest value that at least this share of the values present do not exceed (nearest rank), such as `p99`.
    Quantile(Percentile),
    /// The last value present minus the first.
    Delta,
    /// The increase of a counter per second: what it rose from each value present to the next, where a fall is a reset
    /// and the new value the rise, over the seconds from the first to the last. Missing if no time passed.
    Rate,
    /// How many different values are present.
    Distinct,
    /// Seconds from the last value present to the row's event time.
    SinceLast,
}

/// A percentile, in (0, 100), to four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile(u32);

impl Percentile {
    /// Of so many millionths: 999,000 is the 99.9th percentile. `None` unless from 1 to 999,999.
    pub fn of_millionths(millionths: u32) -> Option<Self> {
        (1..1_000_000).contains(&millionths).then_some(Self(millionths))
    }

    /// In millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// The rank of the value that is meant among so many sorted ones, from 1; 0 of none.
    pub fn rank(self, count: u64) -> u64 {
        (u128::from(count) * u128::from(self.0)).div_ceil(1_000_000) as u64
    }
}

impl Aggregate {
    /// Those without a parameter, by name.
    const NAMED: [(&'static str, Self); 11] = [
        ("last", Self::Last),
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("mean", Self::Mean),
        ("min", Self::Min),
        ("max", Self::Max),
        ("std", Self::Std),
        ("delta", Self::Delta),
        ("rate", Self::Rate),
        ("distinct", Self::Distinct),
        ("since_last", Self::SinceLast),
    ];
}

/// The name, as in definitions and in feature names (`cpu.mean`, `cpu.p99.9`).
impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Quantile(Percentile(millionths)) = self {
            let (whole, rest) = (millionths / 10_000, millionths % 10_000);
            let decimals = format!("{rest:04}");
            let decimals = decimals.trim_end_matches('0');
            let point = if decimals.is_empty() { "" } else { "." };
            return write!(f, "p{whole}{point}{decimals}");
        }
        let name = Self::NAMED.iter().find(|(_, one)| one == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A name that no feature of a window has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no feature of a window: there are last, count, sum, mean, min, max, std, delta, rate, distinct, \
     since_last, and percentiles such as p50 and p99.9 (above 0, below 100, at most four decimals)"
)]
pub struct UnknownFeature(String);

impl FromStr for Aggregate {
    type Err = UnknownFeature;

    fn from_str(name: &str) -> Result<Self, UnknownFeature> {
        if let Some((_, known)) = Self::NAMED.iter().find(|(known, _)| *known == name) {
            return Ok(*known);
        }
        let percentile = name.strip_prefix('p').and_then(percentile);
        percentile.map(Self::Quantile).ok_or_else(|| UnknownFeature(name.into()))
    }
}

/// Reads digits with at most four decimals.
fn percentile(text: &str) -> Option<Percentile> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || whole.len() > 2 || decimals.len() > 4 {
        return None;
    }
    let millionths: u32 = format!("{whole}{decimals:0<4}").parse().ok()?;
    Percentile::of_millionths(millionths)
}

impl TryFrom<String> for Aggregate {
    type Error = UnknownFeature;

    fn try_from(name: String) -> Result<Self, UnknownFeature> {
        name.parse()
    }
}

impl From<Aggregate> for String {
    fn from(aggregate: Aggregate) -> Self {
        aggregate.to_string()
    }
}

/// Which records of a series a window spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// So many records.
    Count {
        /// How many, 2 to 100,000.
        size: u32,
        /// A row is made every so many records, once the window is full; 1 (the default) to `size` (tumbling).
        slide: u32,
    },
    /// A span of event time, its start included, its end not.
    Time {
        /// Its length, at most 366 days.
        size_ms: u64,
        /// A window ends every so often; a whole part of `size_ms` (the default: tumbling), at least a thousandth.
        hop_ms: u64,
        /// Ends are at whole numbers of hops after 1970-01-01T00:00:00Z plus this; less than `hop_ms`.
        offset_ms: u64,
    },
    /// Records with less than a gap of event time between them.
    Session {
        /// A record so long after the one before, or later, begins the next session.
        gap_ms: u64,
        /// A session is closed after so long and another one begun; the default is a day.
        size_ms_max: u64,
    },
}

/// A window over the records of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Window {
    /// Its name within the stream; a detector names it.
    pub name: String,
    /// Which records it spans.
    pub shape: Shape,
    /// What is computed of each value of the stream, in this order.
    pub features: Vec<Aggregate>,
}

/// A window as it is written down.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slide: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hop_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_ms_max: Option<u64>,
    features: Vec<Aggregate>,
}

impl TryFrom<Fields> for Window {
    type Error = Invalid;

    fn try_from(fields: Fields) -> Result<Self, Invalid> {
        let Fields { size, slide, size_ms, hop_ms, offset_ms, gap_ms, size_ms_max, .. } = fields;
        let rest = [
            ("slide", slide.is_some(), size.is_some(), "size"),
            ("hop_ms", hop_ms.is_some(), size_ms.is_some(), "size_ms"),
            ("offset_ms", offset_ms.is_some(), size_ms.is_some(), "size_ms"),
            ("size_ms_max", size_ms_max.is_some(), gap_ms.is_some(), "gap_ms"),
        ];
        let what = |field: &str| format!("window {:?}, {field}", fields.name);
        if let Some((field, .., needs)) = rest.into_iter().find(|(_, set, may, _)| *set && !may) {
            return invalid(what(field), format!("belongs to a window with {needs}"));
        }
        let shape = match (size, size_ms, gap_ms) {
            (Some(size), None, None) => Shape::Count { size, slide: slide.unwrap_or(1) },
            (None, Some(size_ms), None) => Shape::Time {
                size_ms,
                hop_ms: hop_ms.unwrap_or(size_ms),
                offset_ms: offset_ms.unwrap_or(0),
            },
            (None, None, Some(gap_ms)) => {
                Shape::Session { gap_ms, size_ms_max: size_ms_max.unwrap_or(DAY_MS) }
            }
            _ => {
                let wrong =
                    "exactly one of size (records), size_ms (time) and gap_ms (session) is needed";
                return invalid(what("shape"), wrong);
            }
        };
        Ok(Self { name: fields.name, shape, features: fields.features })
    }
}

impl From<Window> for Fields {
    fn from(window: Window) -> Self {
        let Window { name, shape, features } = window;
        let fields = Self { name, features, ..Self::default() };
        match shape {
            Shape::Count { size, slide } => Self { size: Some(size), slide: Some(slide), ..fields },
            Shape::Time { size_ms, hop_ms, offset_ms } => Self {
                size_ms: Some(size_ms),
                hop_ms: Some(hop_ms),
                offset_ms: Some(offset_ms),
                ..fields
            },
            Shape::Session { gap_ms, size_ms_max } => {
                Self { gap_ms: Some(gap_ms), size_ms_max: Some(size_ms_max), ..fields }
            }
        }
    }
}

impl Window {
    /// Checks one window of a stream by itself.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub(super) fn check(&self, stream: &str) -> Result<(), Invalid> {
        let what = |field: &str| format!("stream {stream:?}, window {:?}, {field}", self.name);
        check_name("window", &self.name)?;
        let (field, wrong) = match self.shape {
            Shape::Count { size, slide } => {
                let slides = format!("must be from 1 to size, which is {size}");
                first([
                    ("size", (2..=SIZE_MAX).contains(&size), "must be from 2 to 100000".into()),
                    ("slide", (1..=size).contains(&slide), slides),
                ])
            }
            Shape::Time { size_ms, hop_ms, offset_ms } => {
                let span = "must be from 1 to 31622400000 (366 days)".to_owned();
                let whole = hop_ms > 0 && size_ms.is_multiple_of(hop_ms);
                let hops =
                    format!("must go into size_ms, which is {size_ms}, a whole number of times");
                let many = format!("must be at least a thousandth of size_ms, which is {size_ms}");
                let offset = format!("must be less than a hop, which is {hop_ms} ms");
                first([
                    ("size_ms", (1..=SPAN_MS_MAX).contains(&size_ms), span),
                    ("hop_ms", whole, hops),
                    ("hop_ms", whole && size_ms / hop_ms <= HOPS_MAX, many),
                    ("offset_ms", offset_ms < hop_ms, offset),
                ])
            }
            Shape::Session { gap_ms, size_ms_max } => {
                let longest = "must be from gap_ms to 31622400000 (366 days)".to_owned();
                let fits = (gap_ms..=SPAN_MS_MAX).contains(&size_ms_max);
                first([
                    ("gap_ms", gap_ms >= 1, "must be at least 1".into()),
                    ("size_ms_max", fits, longest),
                ])
            }
        };
        if !wrong.is_empty() {
            return invalid(what(field), wrong);
        }
        if self.features.is_empty() {
            return invalid(what("features"), "at least one is needed");
        }
        if super::stream::has_repeats(&self.features) {
            return invalid(what("features"), "one stands twice");
        }
        Ok(())
    }
}

/// The first field that is not right, and what would be; nothing if all are.
fn first<const N: usize>(fields: [(&'static str, bool, String); N]) -> (&'static str, String) {
    let wrong = fields.into_iter().find(|(_, right, _)| !right);
    wrong.map_or(("", String::new()), |(field, _, wrong)| (field, wrong))
}

#[cfg(test)]
mod tests;
