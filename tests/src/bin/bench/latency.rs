//! From record to anomaly through Kafka, at a steady rate: from the moment a client makes a record to the moment
//! a reader of `anomaly.detected` has its anomaly. Both ends are in this process, on one clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use domain::{Micros, Phase};
use exchange::{Append, Exchange, FollowFrom};
use runtime::Clock;

use crate::{Failed, kafka::Bed, load};

/// A client sends what is due so often. Smaller would make the broker's request rate the measure.
const CYCLE_US: Micros = 10_000;
/// One record in so many microseconds is odd.
const ODD_EVERY_US: Micros = 50_000;
/// So many records of a series must have come before one of them is odd.
const CALM_ROWS: u64 = 60;
const ODD: f64 = 1_000.0;

/// Warms up, then measures at `rate` records a second.
pub(crate) fn run(rate: u64, warm_seconds: u64, seconds: u64) -> Result<String, Failed> {
    let mut bed = Bed::new("latency")?;
    bed.start()?;
    // Each series is odd at most once while measuring, and calm for long enough before.
    let series = (rate * warm_seconds / CALM_ROWS).clamp(1, 5_000);
    let appender = bed.exchange.appender()?;
    let mut anomalies = bed.exchange.follow(&bed.topics.anomalies, FollowFrom::Latest)?;
    let clock = Clock::System;
    let from = clock.now();
    let measured_from = from + warm_seconds as Micros * 1_000_000;
    let until = measured_from + seconds as Micros * 1_000_000;
    let done = Arc::new(AtomicBool::new(false));
    let sender = {
        let plan = Plan { from, measured_from, until, rate, series };
        let (topic, done) = (bed.topics.records.clone(), Arc::clone(&done));
        thread::spawn(move || {
            let sent = send(&*appender, &topic, &plan).map_err(|error| error.to_string());
            done.store(true, Ordering::Release);
            sent
        })
    };
    let mut latencies: Vec<Micros> = vec![];
    let mut quiet = 0;
    while !done.load(Ordering::Acquire) || quiet < 20 {
        let found = anomalies.next(Duration::from_millis(100), 1_000)?;
        let now = clock.now();
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        for (_, message) in found {
            let bytes = message.value.as_deref().unwrap_or_default();
            let anomaly = wire::events::decode_anomaly(bytes)?;
            let value = anomaly.contributions.first().map_or(0.0, |c| c.value);
            if anomaly.phase == Phase::Opened && value == ODD {
                latencies.push(now - anomaly.event_at);
            }
        }
        bed.check()?;
    }
    let (sent, odd) = sender.join().map_err(|_| "the sender panicked")??;
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (share * (latencies.len().max(1) - 1) as f64).round() as usize;
        latencies.get(index).map_or(f64::NAN, |us| *us as f64 / 1_000.0)
    };
    let real = sent as f64 / (warm_seconds + seconds) as f64;
    Ok(format!(
        "Kafka, record to anomaly at {rate} records/s ({real:.0} sent, {series} series): p50 {:.1} ms, p99 \
         {:.1} ms, p99.9 {:.1} ms over {} of {odd} anomalies",
        at(0.5),
        at(0.99),
        at(0.999),
        latencies.len()
    ))
}

struct Plan {
    from: Micros,
    measured_from: Micros,
    until: Micros,
    rate: u64,
    series: u64,
}

/// Sends at the rate until the end; returns how many records, and how many of them were odd.
fn send(appender: &dyn Append, topic: &Arc<str>, plan: &Plan) -> Result<(u64, u64), Failed> {
    let clock = Clock::System;
    let (mut sent, mut odd) = (0u64, 0u64);
    let mut odd_at = plan.measured_from;
    let mut calm = vec![true; plan.series as usize];
    loop {
        let now = clock.now();
        if now >= plan.until {
            return Ok((sent, odd));
        }
        let due = (now - plan.from) as u64 * plan.rate / 1_000_000;
        let mut batch = Vec::with_capacity((due - sent) as usize);
        for number in sent..due {
            let mut value = load::noise(number);
            let calm = &mut calm[(number % plan.series) as usize];
            if now >= odd_at && *calm {
                value = ODD;
                *calm = false;
                odd += 1;
                odd_at += ODD_EVERY_US;
            }
            batch.push(load::record(topic, number % plan.series, now, value));
        }
        sent = due;
        load::append(appender, &batch)?;
        let rest = CYCLE_US - (clock.now() - now);
        if rest > 0 {
            thread::sleep(Duration::from_micros(rest as u64));
        }
    }
}
