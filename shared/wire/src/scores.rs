//! `detection.completed`: batches of scores, in columns.

use std::sync::Arc;

use domain::{Flags, Muted, Origin, Score, ScoreBatch, ScoreItem};
use prost::Message as _;

use crate::{
    DecodeError, EVENT_VERSION, check_version,
    columns::{
        Deltas, Undelta, check_index, check_lengths, decode_series, encode_series, marked, marks,
    },
    decode,
    events::Stamps,
    malformed,
    rows::{batch_id, decode_position, encode_position},
    v1,
};

const NAME: &str = "DetectionCompleted";

/// Encodes scores; `config_version` is the largest in force among their rows.
pub fn encode_completed(batch: &ScoreBatch, config_version: u64, stamps: Stamps) -> Vec<u8> {
    let mut c = v1::ScoreColumns {
        series: batch.series.iter().map(encode_series).collect(),
        sources: batch.sources.iter().map(ToString::to_string).collect(),
        detectors: batch
            .detectors
            .iter()
            .map(|(name, version)| v1::DetectorEntry { name: name.to_string(), version: *version })
            .collect(),
        ..Default::default()
    };
    let [mut event, mut ingested, mut log, mut offset] = std::array::from_fn(|_| Deltas::default());
    let mut log_time_us = domain::LOG_TIME_NONE;
    for item in &batch.items {
        let index = c.series_index.len() as u32;
        let score = match item {
            ScoreItem::Score(score) => score,
            ScoreItem::Tick(log_time) => {
                let tick = v1::TickMark {
                    before_row: index,
                    log_time_us: *log_time,
                    ..Default::default()
                };
                c.ticks.push(tick);
                log_time_us = *log_time;
                continue;
            }
        };
        log_time_us = score.log_time;
        c.series_index.push(score.series);
        c.detector_index.push(score.detector);
        c.row_number.push(score.row);
        event.push(score.event_at);
        ingested.push(score.ingested_at);
        log.push(score.log_time);
        c.origin_source.push(score.origin.source);
        offset.push(score.origin.offset as i64);
        c.origin_index.push(score.origin.index);
        c.score.push(score.score);
        c.raw.push(score.raw);
        c.confidence.push(score.confidence);
        c.threshold.push(score.threshold);
        c.top_feature.push(score.top_feature);
        c.top_share.push(score.top_share);
        c.value.push(score.value);
        c.expected.push(score.expected);
        c.lower.push(score.lower);
        c.upper.push(score.upper);
        c.muted
            .extend(score.muted.map(|why| v1::MutedMark { index, why: encode_muted(why).into() }));
        for (flag, column) in [
            (score.is_anomaly, &mut c.anomalies),
            (score.flags.late, &mut c.late),
            (score.flags.imputed, &mut c.imputed),
            (score.flags.no_data, &mut c.no_data),
        ] {
            if flag {
                column.push(index);
            }
        }
    }
    c.event_at_us_delta = event.into_column();
    c.ingested_at_us_delta = ingested.into_column();
    c.log_time_us_delta = log.into_column();
    c.origin_offset_delta = offset.into_column();
    let metadata = v1::EventMetadata {
        version: EVENT_VERSION,
        id: batch_id("scores", &batch.first).to_string(),
        position: Some(encode_position(&batch.first)),
        config_version,
        log_time_us,
        scored_at_us: stamps.scored_at,
        published_at_us: stamps.published_at,
        ..Default::default()
    };
    v1::DetectionCompleted { metadata: Some(metadata), scores: Some(c) }.encode_to_vec()
}

/// Reads what [`encode_completed`] wrote.
///
/// # Errors
/// If the bytes are no such message, of another version, or contradict themselves.
pub fn decode_completed(bytes: &[u8]) -> Result<ScoreBatch, DecodeError> {
    let message: v1::DetectionCompleted = decode(NAME, bytes)?;
    let metadata = message.metadata.as_ref().ok_or_else(|| malformed(NAME, "no metadata"))?;
    check_version(NAME, metadata.version)?;
    let first = metadata.position.as_ref().ok_or_else(|| malformed(NAME, "no position"))?;
    let c = message.scores.as_ref().ok_or_else(|| malformed(NAME, "no scores"))?;
    check(c)?;
    let rows = c.series_index.len();
    let anomalies = marks(NAME, "anomalies", rows, &c.anomalies)?;
    let late = marks(NAME, "late", rows, &c.late)?;
    let imputed = marks(NAME, "imputed", rows, &c.imputed)?;
    let no_data = marks(NAME, "no_data", rows, &c.no_data)?;
    let [mut event, mut ingested, mut log, mut offset] = [
        Undelta::new(&c.event_at_us_delta),
        Undelta::new(&c.ingested_at_us_delta),
        Undelta::new(&c.log_time_us_delta),
        Undelta::new(&c.origin_offset_delta),
    ];
    let mut muted = c.muted.iter().peekable();
    let mut ticks = c.ticks.iter().peekable();
    let mut items = Vec::with_capacity(rows + c.ticks.len());
    for index in 0..rows {
        while let Some(tick) = ticks.next_if(|t| t.before_row as usize <= index) {
            items.push(ScoreItem::Tick(tick.log_time_us));
        }
        let mark = muted.next_if(|mark| mark.index as usize == index);
        items.push(ScoreItem::Score(Score {
            muted: mark.map(|mark| decode_muted(mark.why())).transpose()?,
            series: c.series_index[index],
            detector: c.detector_index[index],
            row: c.row_number[index],
            event_at: event.next(index),
            ingested_at: ingested.next(index),
            log_time: log.next(index),
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
            score: c.score[index],
            raw: c.raw[index],
            confidence: c.confidence[index],
            threshold: c.threshold[index],
            is_anomaly: marked(&anomalies, index),
            top_feature: c.top_feature[index],
            top_share: c.top_share[index],
            value: c.value[index],
            expected: c.expected[index],
            lower: c.lower[index],
            upper: c.upper[index],
        }));
    }
    if muted.next().is_some() {
        return Err(malformed(NAME, "indexes of muted entries do not rise within the batch"));
    }
    items.extend(ticks.map(|tick| ScoreItem::Tick(tick.log_time_us)));
    Ok(ScoreBatch {
        first: decode_position(first),
        sources: c.sources.iter().map(|s| Arc::from(s.as_str())).collect(),
        series: c.series.iter().map(decode_series).collect(),
        detectors: c.detectors.iter().map(|d| (Arc::from(d.name.as_str()), d.version)).collect(),
        items,
    })
}

fn encode_muted(why: Muted) -> v1::Muted {
    match why {
        Muted::WarmUp => v1::Muted::WarmUp,
        Muted::Direction => v1::Muted::Direction,
        Muted::Small => v1::Muted::Small,
        Muted::Quiet => v1::Muted::Quiet,
        Muted::Rest => v1::Muted::Rest,
        Muted::Habituated => v1::Muted::Habituated,
        Muted::Imputed => v1::Muted::Imputed,
    }
}

fn decode_muted(why: v1::Muted) -> Result<Muted, DecodeError> {
    Ok(match why {
        v1::Muted::WarmUp => Muted::WarmUp,
        v1::Muted::Direction => Muted::Direction,
        v1::Muted::Small => Muted::Small,
        v1::Muted::Quiet => Muted::Quiet,
        v1::Muted::Rest => Muted::Rest,
        v1::Muted::Habituated => Muted::Habituated,
        v1::Muted::Imputed => Muted::Imputed,
        v1::Muted::Unspecified => return Err(malformed(NAME, "unknown reason of a muted entry")),
    })
}

fn check(c: &v1::ScoreColumns) -> Result<(), DecodeError> {
    let rows = c.series_index.len();
    check_lengths(
        NAME,
        rows,
        &[
            ("detector_index", c.detector_index.len()),
            ("row_number", c.row_number.len()),
            ("event_at_us_delta", c.event_at_us_delta.len()),
            ("ingested_at_us_delta", c.ingested_at_us_delta.len()),
            ("log_time_us_delta", c.log_time_us_delta.len()),
            ("origin_source", c.origin_source.len()),
            ("origin_offset_delta", c.origin_offset_delta.len()),
            ("origin_index", c.origin_index.len()),
            ("score", c.score.len()),
            ("raw", c.raw.len()),
            ("confidence", c.confidence.len()),
            ("threshold", c.threshold.len()),
            ("top_feature", c.top_feature.len()),
            ("top_share", c.top_share.len()),
            ("value", c.value.len()),
            ("expected", c.expected.len()),
            ("lower", c.lower.len()),
            ("upper", c.upper.len()),
        ],
    )?;
    for index in 0..rows {
        check_index(NAME, "series", c.series_index[index], c.series.len())?;
        check_index(NAME, "detector", c.detector_index[index], c.detectors.len())?;
        check_index(NAME, "source", c.origin_source[index], c.sources.len())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::{Position, SeriesRef};

    use super::*;

    #[test]
    fn scores_survive_their_encoding() {
        let score = Score {
            series: 0,
            detector: 0,
            row: 4,
            event_at: 1_000,
            ingested_at: 2_000,
            log_time: 2_000,
            origin: Origin { source: 0, offset: 9, index: 3 },
            flags: Flags { late: true, imputed: false, no_data: true },
            score: 0.25,
            raw: 1.5,
            confidence: 0.125,
            threshold: 0.5,
            is_anomaly: false,
            muted: Some(Muted::Small),
            top_feature: 0,
            top_share: 1.0,
            value: 3.0,
            expected: 2.0,
            lower: 1.0,
            upper: 4.0,
        };
        let batch = ScoreBatch {
            first: Position { source: "detection.requested/0".into(), epoch: 1, number: 4 },
            sources: vec!["records/0".into()],
            series: vec![SeriesRef {
                stream: "s".into(),
                key: "k".into(),
                window: Some("w".into()),
                features: Arc::from([Arc::from("value")]),
            }],
            detectors: vec![("d".into(), 7)],
            items: vec![
                ScoreItem::Tick(5),
                ScoreItem::Score(score.clone()),
                ScoreItem::Score(Score { is_anomaly: true, row: 5, ..score }),
                ScoreItem::Tick(6),
            ],
        };
        let back = decode_completed(&encode_completed(&batch, 3, Stamps::default()));
        assert_eq!(back.unwrap(), batch);
    }

    #[test]
    fn a_short_column_is_named() {
        let columns = v1::ScoreColumns { series_index: vec![0], ..Default::default() };
        let error = check(&columns).unwrap_err().to_string();
        assert_eq!(error, "DetectionCompleted: column detector_index has 0 entries for 1 rows");
    }
}
