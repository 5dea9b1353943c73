//! The records that are sent, and how scores are counted.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use exchange::{Append, Error, Follower, Output};

use runtime::clock::Stopwatch;

use crate::Failed;

/// How many records go with one append when filling.
pub(crate) const FILL: u64 = 5_000;
/// Waits of a client that finds no room, and of a reader that finds nothing.
const PAUSE: Duration = Duration::from_millis(2);

/// Event time of the first records: 2020, so that none is of the future.
const EPOCH_US: i64 = 1_577_836_800_000_000;
/// Without a score for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// A record of one series, as users send it. Its value is a small number that depends on its place alone.
pub(crate) fn record(topic: &Arc<str>, series: u64, time_us: i64, value: f64) -> Output {
    let key = format!("series-{series}");
    let text = format!(r#"{{"series":"{key}","time":{time_us},"value":{value}}}"#);
    Output {
        topic: topic.clone(),
        partition: None,
        key: Some(Bytes::from(key)),
        value: Some(Bytes::from(text)),
        headers: vec![],
    }
}

/// A value without pattern in [0, 1): SplitMix64 (Steele, Lea & Flood 2014) of its number.
pub(crate) fn noise(number: u64) -> f64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Appends and waits while there is no room.
pub(crate) fn append(appender: &dyn Append, messages: &[Output]) -> Result<(), Failed> {
    loop {
        match appender.append(messages.to_vec()) {
            Ok(_) => return Ok(()),
            Err(Error::Full { .. }) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Appends so many records over so many series, one second apart within each.
pub(crate) fn fill(
    appender: &dyn Append,
    topic: &Arc<str>,
    records: u64,
    series: u64,
) -> Result<(), Failed> {
    let mut next = 0;
    while next < records {
        let end = (next + FILL).min(records);
        let batch: Vec<_> = (next..end)
            .map(|n| {
                record(topic, n % series, EPOCH_US + (n / series) as i64 * 1_000_000, noise(n))
            })
            .collect();
        append(appender, &batch)?;
        next = end;
    }
    Ok(())
}

/// Reads on until there are so many scores; says how many there are then.
pub(crate) fn await_scores(
    completed: &mut dyn Follower,
    mut scores: u64,
    wanted: u64,
) -> Result<u64, Failed> {
    let mut since_last = Stopwatch::start();
    while scores < wanted {
        let more = count_scores(completed)?;
        scores += more;
        if more > 0 {
            since_last = Stopwatch::start();
        } else if since_last.elapsed() > PATIENCE {
            return Err(format!("{scores} of {wanted} records were scored, then no more").into());
        }
    }
    Ok(scores)
}

/// Reads scores that are there or come within a moment, and says how many.
fn count_scores(completed: &mut dyn Follower) -> Result<u64, Failed> {
    let mut scores = 0;
    for (_, message) in completed.next(Duration::from_millis(20), 1_000)? {
        let batch = wire::scores::decode_completed(message.value.as_deref().unwrap_or_default())?;
        let is_score = |item: &&domain::ScoreItem| matches!(item, domain::ScoreItem::Score(_));
        scores += batch.items.iter().filter(is_score).count() as u64;
    }
    Ok(scores)
}
