//! `oddwatch demo`: reads this machine's own live metrics, causes real disturbances, and shows what the
//! services find. Nothing is scripted: every finding comes from `alerts` and `detection.completed`.
//!
//! - [`metrics`]: the machine as samples; [`plan`] and [`disturbance`]: what is done to it, and when;
//! - [`watch`]: the threads; [`story`]: what they told; [`verdict`]: what was caught, missed, or no reason;
//! - [`screen`] and [`report`]: the terminal; [`page`]: the HTML page; [`words`] and [`units`]: how both speak.

mod disturbance;
mod metrics;
mod pace;
mod page;
mod plan;
#[cfg(test)]
mod planted;
mod report;
mod screen;
mod story;
mod units;
mod verdict;
mod watch;
mod words;

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use domain::{Definition, Detector, Micros, Threshold, Topics, definition::DEFAULT_STREAM};
use exchange::{Exchange, FollowFrom};
use runtime::{Clock, Stop};

use metrics::Sampler;
use pace::Pace;
use plan::Plan;
use screen::Screen;
use story::{Event, Story};
use verdict::Verdict;
use watch::Readings;

/// Watch this machine, disturb it, and see what is found.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// How long the whole run lasts, warm-up included
    #[arg(long, value_name = "N", default_value_t = 75,
          value_parser = clap::value_parser!(u64).range(60..=115))]
    pub(crate) seconds: u64,
    /// Where the HTML page is written
    #[arg(long, value_name = "PATH", default_value = "oddwatch-demo.html")]
    pub(crate) page: PathBuf,
    /// How often the machine is read, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 500,
          value_parser = clap::value_parser!(u64).range(200..=1000))]
    pub(crate) interval_ms: u64,
}

/// Why a demo ended without a verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// A service wrote something that this build can't read.
    #[error("an event of the services can't be read: {0}")]
    Event(#[from] wire::DecodeError),
    /// There is no time for all of it.
    #[error(transparent)]
    TooShort(#[from] plan::TooShort),
    /// Nothing was scored.
    #[error("records are published, but none was scored within {0} s: are the services running?")]
    Unscored(u64),
    /// The page can't be written.
    #[error("{path}: {source}")]
    Page {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The terminal can't be written to.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// Rows that are scored before an anomaly may be opened. With a reading every half second, 20 s.
const WARM_UP_ROWS: u32 = 40;
/// One row in so many may be odd. A short run has but some hundred rows of each series, and a live machine's
/// bursts have long tails.
const CONTAMINATION: f64 = 1e-5;
/// So many ordinary rows end an anomaly: 3 s.
const CLEAR_AFTER: u32 = 6;
const SILENCE_MS: u64 = 5_000;

/// What the demo wants beside the implicit definitions: a detector that is warm within half a minute.
pub(crate) fn definitions() -> Vec<Definition> {
    vec![Definition::Detector(Detector {
        name: "demo".into(),
        threshold: Threshold::Contamination(CONTAMINATION),
        warm_up: WARM_UP_ROWS,
        clear_after: CLEAR_AFTER,
        silence_ms: SILENCE_MS,
        ..Detector::implicit(DEFAULT_STREAM)
    })]
}

/// Events that wait for the run's loop. A busy machine must not lose any.
const EVENTS_MAX: usize = 4_096;
/// The screen is renewed at least so often.
const REFRESH: Duration = Duration::from_millis(200);
/// Without a score after this time something is wrong.
const UNSCORED_MAX: Micros = 15_000_000;
/// After the last reading, alerts may still arrive, and scores that are late.
const LAST_CALL: Micros = 300_000;
const LAST_CALL_MAX: Micros = 3_000_000;

/// Runs the demo on services that run in this process on `exchange`. Says whether no disturbance was missed.
///
/// # Errors
/// If the exchange fails, the services do not answer, or the page can't be written.
pub(crate) fn run(
    args: &DemoArgs,
    exchange: &Arc<dyn Exchange>,
    topics: &Topics,
    stop: &Stop,
    clock: &Clock,
) -> Result<bool, DemoError> {
    let every = Duration::from_millis(args.interval_ms);
    let plan = Plan::new(Duration::from_secs(args.seconds), every)?;
    // What can't be written in the end is better known now.
    fs::File::create(&args.page)
        .map_err(|source| DemoError::Page { path: args.page.clone(), source })?;
    let scores = exchange.follow(&topics.completed, FollowFrom::Latest)?;
    let alerts = exchange.follow(&topics.alerts, FollowFrom::Latest)?;
    let append = exchange.appender()?;
    let interval = every.as_micros() as Micros;
    // The run's threads end with the run; a stop of the process ends the run.
    let over = Stop::default();
    let pace = Pace::new(clock.clone(), over.clone());
    let sampler = Sampler::new();
    let mut story = Story::new(pace.now(), sampler.own_prefix());
    let ends = story.started_at + plan.ends.as_micros() as Micros;
    let mut screen = Screen::new(&plan, interval);
    let (tell, events) = sync_channel(EVENTS_MAX);
    let told = thread::scope(|scope| {
        let (p, t) = (&pace, tell.clone());
        scope.spawn(move || watch::scores(scores, p, &t));
        let t = tell.clone();
        scope.spawn(move || watch::alerts(alerts, p, &t));
        let (t, from, plan) = (tell.clone(), story.started_at, &plan);
        scope.spawn(move || watch::disturb(plan, from, p, &t));
        let (records, readings) = (&topics.records, Readings { every: interval, ends });
        scope.spawn(move || watch::sample(sampler, &append, records, readings, p, &tell));
        let told = listen(&events, &mut story, &mut screen, ends, &pace, stop);
        over.stop();
        // Whoever still waits to tell something is let go.
        drop(events);
        told
    });
    screen.finish();
    told?;
    story.end(pace.now());
    let verdict = Verdict::of(&story);
    fs::write(&args.page, page::html(&story, &verdict, plan.ends))
        .map_err(|source| DemoError::Page { path: args.page.clone(), source })?;
    report::write(&mut io::stdout().lock(), screen.colours(), &story, &verdict, &args.page)?;
    Ok(verdict.all_caught())
}

/// The run's one loop: takes in what the threads tell, and shows it.
fn listen(
    events: &Receiver<Event>,
    story: &mut Story,
    screen: &mut Screen,
    ends: Micros,
    pace: &Pace,
    stop: &Stop,
) -> Result<(), DemoError> {
    screen.begin(story)?;
    loop {
        let now = pace.now();
        let all_scored = story.scores >= story.records;
        if stop.stopped() || now >= ends + if all_scored { LAST_CALL } else { LAST_CALL_MAX } {
            return Ok(());
        }
        if story.scores == 0 && now - story.started_at > UNSCORED_MAX {
            return Err(DemoError::Unscored(UNSCORED_MAX as u64 / 1_000_000));
        }
        match events.recv_timeout(REFRESH) {
            Ok(event) => {
                if let Some(news) = story.apply(event)? {
                    screen.news(news, story)?;
                }
            }
            // All threads are done: only at the end of the run.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        screen.progress(story, pace.now());
    }
}
