//! Items one after another, whatever messages they came in: message boundaries differ from run to run, and no
//! comparison may see them.

use std::{fmt, sync::Arc};

use domain::{Batch, Item, Micros, Position, Row, Score, ScoreBatch, ScoreItem, SeriesRef};

use super::{Told, count::RecordAt};

/// An item of `records.accepted` or `detection.requested`.
#[derive(Clone, Copy)]
pub(super) enum Flat<'a> {
    Tick(Micros),
    /// A series is forgotten, at this log time.
    Forget(&'a SeriesRef, Micros),
    Row(FlatRow<'a>),
}

/// A row with what its indexes stand for.
#[derive(Clone, Copy)]
pub(super) struct FlatRow<'a> {
    pub(super) series: &'a SeriesRef,
    pub(super) source: &'a Arc<str>,
    pub(super) values: &'a [f64],
    pub(super) row: &'a Row,
}

/// An item of `detection.completed`.
#[derive(Clone, Copy)]
pub(super) enum FlatScoreItem<'a> {
    Tick(Micros),
    Score(FlatScore<'a>),
}

/// A score with what its indexes stand for.
#[derive(Clone, Copy)]
pub(super) struct FlatScore<'a> {
    pub(super) series: &'a SeriesRef,
    pub(super) source: &'a Arc<str>,
    pub(super) detector: &'a (Arc<str>, u64),
    pub(super) score: &'a Score,
}

/// The items of a batch.
pub(super) fn items(batch: &Batch) -> impl Iterator<Item = Flat<'_>> {
    batch.items.iter().map(|item| match item {
        Item::Tick(log_time) => Flat::Tick(*log_time),
        Item::Forget { series, log_time } => {
            Flat::Forget(&batch.series[*series as usize], *log_time)
        }
        Item::Row(row) => Flat::Row(FlatRow {
            series: &batch.series[row.series as usize],
            source: &batch.sources[row.origin.source as usize],
            values: batch.values_of(row),
            row,
        }),
    })
}

/// The rows of messages of `records.accepted`.
pub(super) fn accepted_rows(told: &[Told<Vec<Batch>>]) -> impl Iterator<Item = FlatRow<'_>> {
    told.iter().flat_map(|told| &told.content).flat_map(items).filter_map(row)
}

/// The items of messages of `detection.requested`.
pub(super) fn requested(told: &[Told<Batch>]) -> impl Iterator<Item = Flat<'_>> {
    told.iter().flat_map(|told| items(&told.content))
}

fn row(item: Flat<'_>) -> Option<FlatRow<'_>> {
    match item {
        Flat::Row(row) => Some(row),
        Flat::Tick(_) | Flat::Forget(..) => None,
    }
}

/// The items of messages of `detection.completed`.
pub(super) fn completed(told: &[Told<ScoreBatch>]) -> impl Iterator<Item = FlatScoreItem<'_>> {
    told.iter().map(|told| &told.content).flat_map(|batch| {
        batch.items.iter().map(|item| match item {
            ScoreItem::Tick(log_time) => FlatScoreItem::Tick(*log_time),
            ScoreItem::Score(score) => FlatScoreItem::Score(FlatScore {
                series: &batch.series[score.series as usize],
                source: &batch.sources[score.origin.source as usize],
                detector: &batch.detectors[score.detector as usize],
                score,
            }),
        })
    })
}

/// The scores of messages of `detection.completed`.
pub(super) fn scores(told: &[Told<ScoreBatch>]) -> impl Iterator<Item = FlatScore<'_>> {
    completed(told).filter_map(|item| match item {
        FlatScoreItem::Score(score) => Some(score),
        FlatScoreItem::Tick(_) => None,
    })
}

/// The position of each message's items: first, and how many.
pub(super) fn position(batch: &Batch) -> (&Position, u64) {
    (&batch.first, batch.items.len() as u64)
}

impl FlatRow<'_> {
    /// The record that it was made from.
    pub(super) fn place(&self) -> RecordAt {
        RecordAt::new(self.source, self.row.origin.offset, self.row.origin.index)
    }

    /// Whether it is of a record, and does not stand in for one.
    pub(super) fn is_record(&self) -> bool {
        !self.row.flags.imputed && !self.row.flags.no_data
    }

    /// Whether all of it is the same, bit for bit, but for where it stands in its message.
    pub(super) fn same(&self, other: &Self) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let of = |flat: &Self| {
            let Row { row, event_at, ingested_at, log_time, config_version, .. } = *flat.row;
            (row, event_at, ingested_at, log_time, config_version, flat.row.flags)
        };
        let drift = |flat: &Self| flat.row.drift.as_ref().map(|drift| format!("{drift:?}"));
        self.series == other.series
            && self.place() == other.place()
            && of(self) == of(other)
            && bits(self.values) == bits(other.values)
            && self.row.extras == other.row.extras
            && drift(self) == drift(other)
    }
}

impl Flat<'_> {
    /// Whether all of it is the same, bit for bit.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tick(a), Self::Tick(b)) => a == b,
            (Self::Forget(a, at), Self::Forget(b, then)) => (a, at) == (b, then),
            (Self::Row(a), Self::Row(b)) => a.same(b),
            _ => false,
        }
    }
}

impl FlatScore<'_> {
    /// The record that its row was made from.
    pub(super) fn place(&self) -> RecordAt {
        RecordAt::new(self.source, self.score.origin.offset, self.score.origin.index)
    }

    /// What of it must be the same in every run on the same records: all but log time.
    pub(super) fn said(&self) -> Said {
        let s = self.score;
        let values = [
            s.score,
            s.raw,
            s.confidence,
            s.threshold,
            s.top_share,
            s.value,
            s.expected,
            s.lower,
            s.upper,
        ];
        Said {
            place: self.place(),
            event_at: s.event_at,
            ingested_at: s.ingested_at,
            is_late: s.flags.late,
            is_imputed: s.flags.imputed,
            is_no_data: s.flags.no_data,
            is_anomaly: s.is_anomaly,
            top_feature: s.top_feature,
            bits: values.map(f64::to_bits),
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.series == other.series
            && self.detector == other.detector
            && (self.score.row, self.score.log_time) == (other.score.row, other.score.log_time)
            && self.said() == other.said()
    }
}

/// What a score says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) place: RecordAt,
    event_at: Micros,
    ingested_at: Micros,
    pub(super) is_late: bool,
    is_imputed: bool,
    is_no_data: bool,
    is_anomaly: bool,
    top_feature: u32,
    bits: [u64; 9],
}

impl FlatScoreItem<'_> {
    /// Whether all of it is the same, bit for bit.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tick(a), Self::Tick(b)) => a == b,
            (Self::Score(a), Self::Score(b)) => a.same(b),
            _ => false,
        }
    }
}

impl fmt::Display for FlatRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, values, row, .. } = self;
        let window = series.window.as_deref().unwrap_or("record");
        let (stream, key, number) = (&series.stream, &series.key, row.row);
        write!(f, "{stream}/{key} {window} row {number} of {} {values:?}", self.place())?;
        let late = if row.flags.late { ", late" } else { "" };
        let imputed = if row.flags.imputed { ", imputed" } else { "" };
        let no_data = if row.flags.no_data { ", no data" } else { "" };
        let drift = if row.drift.is_some() { ", drift" } else { "" };
        let Row { event_at, log_time, .. } = row;
        write!(f, " at {event_at} log {log_time}{late}{imputed}{no_data}{drift}")
    }
}

impl fmt::Display for Flat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(log_time) => write!(f, "tick {log_time}"),
            Self::Forget(SeriesRef { stream, key, window, .. }, log_time) => {
                let window = window.as_deref().unwrap_or("record");
                write!(f, "end of {stream}/{key} {window} at log {log_time}")
            }
            Self::Row(row) => row.fmt(f),
        }
    }
}

impl fmt::Display for FlatScoreItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(log_time) => write!(f, "tick {log_time}"),
            Self::Score(FlatScore { series, detector, score, .. }) => {
                write!(f, "{}/{} by {}: {score:?}", series.stream, series.key, detector.0)
            }
        }
    }
}
