//! `records.accepted` and `detection.requested`: batches of rows, in columns.

use std::sync::Arc;

use domain::{Batch, Extras, Flags, Id, Item, Origin, Position, Row};
use prost::Message as _;

use crate::{
    DecodeError, EVENT_VERSION, check_version,
    columns::{
        Deltas, Undelta, check_index, check_lengths, decode_series, decode_tags, decode_trace,
        encode_series, encode_tags, marked, marks,
    },
    decode,
    events::{Stamps, decode_drift_message, encode_drift_message},
    malformed, v1,
};

/// Encodes what ingest found for one partition: a segment per source, in the order in which they are to be
/// applied.
pub fn encode_accepted(segments: &[Batch], stamps: Stamps) -> Vec<u8> {
    let metadata = segments.first().map(|first| {
        let mut metadata = batch_metadata(first, stamps);
        metadata.config_version =
            segments.iter().map(Batch::config_version_max).max().unwrap_or_default();
        metadata
    });
    let segments = segments
        .iter()
        .map(|batch| v1::AcceptedSegment {
            first: Some(encode_position(&batch.first)),
            rows: Some(encode_columns(batch)),
        })
        .collect();
    v1::RecordsAccepted { metadata, segments }.encode_to_vec()
}

/// Reads what [`encode_accepted`] wrote.
///
/// # Errors
/// If the bytes are no such message, of another version, or contradict themselves.
pub fn decode_accepted(bytes: &[u8]) -> Result<Vec<Batch>, DecodeError> {
    const NAME: &str = "RecordsAccepted";
    let message: v1::RecordsAccepted = decode(NAME, bytes)?;
    let version = message.metadata.as_ref().map_or(0, |m| m.version);
    check_version(NAME, version)?;
    message
        .segments
        .iter()
        .map(|segment| {
            let first = segment.first.as_ref().ok_or_else(|| malformed(NAME, "no position"))?;
            decode_columns(NAME, decode_position(first), segment.rows.as_ref())
        })
        .collect()
}

/// Encodes rows to be scored.
pub fn encode_requested(batch: &Batch, stamps: Stamps) -> Vec<u8> {
    v1::DetectionRequested {
        metadata: Some(batch_metadata(batch, stamps)),
        rows: Some(encode_columns(batch)),
    }
    .encode_to_vec()
}

/// Reads what [`encode_requested`] wrote.
///
/// # Errors
/// If the bytes are no such message, of another version, or contradict themselves.
pub fn decode_requested(bytes: &[u8]) -> Result<Batch, DecodeError> {
    const NAME: &str = "DetectionRequested";
    let message: v1::DetectionRequested = decode(NAME, bytes)?;
    let metadata = message.metadata.as_ref().ok_or_else(|| malformed(NAME, "no metadata"))?;
    check_version(NAME, metadata.version)?;
    let first = metadata.position.as_ref().ok_or_else(|| malformed(NAME, "no position"))?;
    decode_columns(NAME, decode_position(first), message.rows.as_ref())
}

pub(crate) fn encode_position(position: &Position) -> v1::Position {
    v1::Position {
        source: position.source.to_string(),
        epoch: position.epoch,
        number: position.number,
    }
}

pub(crate) fn decode_position(position: &v1::Position) -> Position {
    Position {
        source: position.source.as_str().into(),
        epoch: position.epoch,
        number: position.number,
    }
}

/// The id of a batch: what it is a batch of.
pub(crate) fn batch_id(kind: &str, first: &Position) -> Id {
    Id::of(&[
        kind.as_bytes(),
        first.source.as_bytes(),
        &first.epoch.to_le_bytes(),
        &first.number.to_le_bytes(),
    ])
}

fn batch_metadata(batch: &Batch, stamps: Stamps) -> v1::EventMetadata {
    let traceparent = batch
        .rows()
        .find_map(|row| row.extras.as_ref()?.traceparent.as_deref())
        .unwrap_or_default();
    v1::EventMetadata {
        version: EVENT_VERSION,
        id: batch_id("rows", &batch.first).to_string(),
        position: Some(encode_position(&batch.first)),
        config_version: batch.config_version_max(),
        log_time_us: batch.log_time(),
        published_at_us: stamps.published_at,
        traceparent: traceparent.to_owned(),
        ..Default::default()
    }
}

fn encode_columns(batch: &Batch) -> v1::RowColumns {
    let rows = batch.items.len();
    let mut c = v1::RowColumns {
        series: batch.series.iter().map(encode_series).collect(),
        sources: batch.sources.iter().map(ToString::to_string).collect(),
        series_index: Vec::with_capacity(rows),
        values: Vec::with_capacity(batch.values.len()),
        ..Default::default()
    };
    let [mut event, mut ingested, mut log, mut version, mut offset] =
        std::array::from_fn(|_| Deltas::default());
    let mut numbered = false;
    for item in &batch.items {
        let index = c.series_index.len() as u32;
        let row = match item {
            Item::Row(row) => row,
            Item::Tick(log_time_us) => {
                let log_time_us = *log_time_us;
                c.ticks.push(v1::TickMark { before_row: index, log_time_us, ..Default::default() });
                continue;
            }
            Item::Forget { series, log_time: log_time_us } => {
                let (forgotten_series, log_time_us) = (Some(*series), *log_time_us);
                c.ticks.push(v1::TickMark { before_row: index, log_time_us, forgotten_series });
                continue;
            }
        };
        numbered |= row.row > 0;
        c.series_index.push(row.series);
        c.row_number.push(row.row);
        event.push(row.event_at);
        ingested.push(row.ingested_at);
        log.push(row.log_time);
        version.push(row.config_version as i64);
        c.origin_source.push(row.origin.source);
        offset.push(row.origin.offset as i64);
        c.origin_index.push(row.origin.index);
        for value in batch.values_of(row) {
            if value.is_nan() {
                c.missing.push(c.values.len() as u32);
                c.values.push(0.0);
            } else {
                c.values.push(*value);
            }
        }
        if row.flags.late {
            c.late_rows.push(index);
        }
        if row.flags.imputed {
            c.imputed_rows.push(index);
        }
        if row.flags.no_data {
            c.no_data_rows.push(index);
        }
        if let Some(extras) = &row.extras {
            c.extras.push(v1::RowExtras {
                row_index: index,
                tags: encode_tags(&extras.tags),
                traceparent: extras.traceparent.as_deref().unwrap_or_default().to_owned(),
                record_id: extras.record_id.as_deref().unwrap_or_default().to_owned(),
            });
        }
        if let Some(drift) = &row.drift {
            let drift = encode_drift_message(drift, Stamps::default());
            c.drifts.push(v1::DriftMark { row_index: index, drift: Some(drift) });
        }
    }
    if !numbered {
        c.row_number.clear();
    }
    c.event_at_us_delta = event.into_column();
    c.ingested_at_us_delta = ingested.into_column();
    c.log_time_us_delta = log.into_column();
    c.config_version_delta = version.into_column();
    c.origin_offset_delta = offset.into_column();
    c
}

fn decode_columns(
    name: &'static str,
    first: Position,
    columns: Option<&v1::RowColumns>,
) -> Result<Batch, DecodeError> {
    let c = columns.ok_or_else(|| malformed(name, "no rows"))?;
    let rows = c.series_index.len();
    let numbers = if c.row_number.is_empty() { rows } else { c.row_number.len() };
    check_lengths(
        name,
        rows,
        &[
            ("row_number", numbers),
            ("event_at_us_delta", c.event_at_us_delta.len()),
            ("ingested_at_us_delta", c.ingested_at_us_delta.len()),
            ("log_time_us_delta", c.log_time_us_delta.len()),
            ("config_version_delta", c.config_version_delta.len()),
            ("origin_source", c.origin_source.len()),
            ("origin_offset_delta", c.origin_offset_delta.len()),
            ("origin_index", c.origin_index.len()),
        ],
    )?;
    let late = marks(name, "late_rows", rows, &c.late_rows)?;
    let imputed = marks(name, "imputed_rows", rows, &c.imputed_rows)?;
    let no_data = marks(name, "no_data_rows", rows, &c.no_data_rows)?;
    let mut batch = Batch::new(first);
    batch.series = c.series.iter().map(decode_series).collect();
    batch.sources = c.sources.iter().map(|s| Arc::from(s.as_str())).collect();
    batch.values.clone_from(&c.values);
    for &index in &c.missing {
        check_index(name, "missing value", index, c.values.len())?;
        batch.values[index as usize] = f64::NAN;
    }
    let [mut event, mut ingested, mut log, mut version, mut offset] = [
        Undelta::new(&c.event_at_us_delta),
        Undelta::new(&c.ingested_at_us_delta),
        Undelta::new(&c.log_time_us_delta),
        Undelta::new(&c.config_version_delta),
        Undelta::new(&c.origin_offset_delta),
    ];
    let (mut ticks, mut extras, mut drifts) =
        (c.ticks.iter().peekable(), c.extras.iter().peekable(), c.drifts.iter().peekable());
    batch.items.reserve(rows + c.ticks.len());
    let mut at = 0u32;
    for index in 0..rows {
        while let Some(tick) = ticks.next_if(|t| t.before_row as usize <= index) {
            batch.items.push(decode_tick(name, tick, batch.series.len())?);
        }
        let series = c.series_index[index];
        check_index(name, "series", series, batch.series.len())?;
        check_index(name, "source", c.origin_source[index], batch.sources.len())?;
        let width = batch.series[series as usize].features.len() as u32;
        let end = at + width;
        if end as usize > batch.values.len() {
            return Err(malformed(name, format!("row {index} has fewer values than its series")));
        }
        let row_extras = extras.next_if(|e| e.row_index as usize == index).map(|e| {
            Arc::new(Extras {
                tags: decode_tags(&e.tags),
                traceparent: decode_trace(&e.traceparent),
                record_id: (!e.record_id.is_empty()).then(|| e.record_id.as_str().into()),
            })
        });
        let drift = drifts
            .next_if(|d| d.row_index as usize == index)
            .and_then(|mark| mark.drift.as_ref())
            .map(|drift| decode_drift_message(drift).map(Arc::new))
            .transpose()?;
        batch.items.push(Item::Row(Row {
            series,
            row: c.row_number.get(index).copied().unwrap_or(0),
            event_at: event.next(index),
            ingested_at: ingested.next(index),
            log_time: log.next(index),
            config_version: version.next(index) as u64,
            origin: Origin {
                source: c.origin_source[index],
                offset: offset.next(index) as u64,
                index: c.origin_index[index],
            },
            flags: Flags {
                late: marked(&late, index),
                imputed: marked(&imputed, index),
                no_data: marked(&no_data, index),
            },
            values: at..end,
            extras: row_extras,
            drift,
        }));
        at = end;
    }
    if at as usize != batch.values.len() {
        return Err(malformed(name, format!("{} values for {at}", batch.values.len())));
    }
    for tick in ticks {
        batch.items.push(decode_tick(name, tick, batch.series.len())?);
    }
    Ok(batch)
}

fn decode_tick(
    name: &'static str,
    tick: &v1::TickMark,
    series: usize,
) -> Result<Item, DecodeError> {
    let log_time = tick.log_time_us;
    let Some(forgotten) = tick.forgotten_series else { return Ok(Item::Tick(log_time)) };
    check_index(name, "forgotten series", forgotten, series)?;
    Ok(Item::Forget { series: forgotten, log_time })
}

#[cfg(test)]
mod tests;
