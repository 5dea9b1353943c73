//! The terminal: findings on standard output as they come, a progress line on standard error. Colours and a moving line only where a person looks at them.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use domain::{Micros, Severity};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    plan::Plan,
    story::{Disturbance, Drifted, Found, News, Story, quantile},
    words::{self, count, millis},
};

/// Without a terminal a progress line is written so often.
const PLAIN_EVERY: Micros = 5_000_000;
/// The latencies of the progress line are counted anew so often.
const COUNT_EVERY: Micros = 1_000_000;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// What a person sees of a run.
pub(crate) struct Screen {
    bar: ProgressBar,
    moving: bool,
    colours: bool,
    ends: Micros,
    warm_up: Micros,
    interval: Micros,
    told_at: Micros,
    counted_at: Micros,
    latency: String,
}

impl Screen {
    /// For a run as planned.
    pub(crate) fn new(plan: &Plan, interval: Micros) -> Self {
        let (ends, warm_up) = (plan.ends.as_micros(), plan.warm_up().as_micros());
        let bar = ProgressBar::new(ends as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:5.cyan/dim} {wide_msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            moving: !bar.is_hidden(),
            bar,
            colours: io::stdout().is_terminal() && !plain,
            ends: ends as Micros,
            warm_up: warm_up as Micros,
            interval,
            told_at: 0,
            counted_at: 0,
            latency: String::new(),
        }
    }

    /// Whether standard output is coloured.
    pub(crate) fn colours(&self) -> bool {
        self.colours
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Writes lines above the progress line.
    fn say(&self, text: &str) -> io::Result<()> {
        self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            writeln!(out, "{text}")?;
            out.flush()
        })
    }

    /// What is going to happen.
    pub(crate) fn begin(&mut self, story: &Story) -> io::Result<()> {
        self.told_at = story.started_at;
        self.say(&format!(
            "{}  this machine, read every {} ms and watched by all four services\n\
             {} s in all: {:.0} s of warm-up, then three real disturbances. Ctrl-C ends it.\n",
            self.paint(BOLD, "Oddwatch demo"),
            self.interval / 1_000,
            self.ends / 1_000_000,
            self.warm_up as f64 / 1e6,
        ))
    }

    /// What is new.
    pub(crate) fn news(&self, news: News, story: &Story) -> io::Result<()> {
        let text = match news {
            News::Anomaly(index) => story.found.get(index).map(|it| self.anomaly(it, story)),
            News::Drift(index) => story.drifts.get(index).map(|it| self.drift(it, story)),
            News::Begins(index) => story.disturbances.get(index).map(|it| {
                let what = format!("▶ {}: {}", it.kind.title(), it.what);
                format!("{}  {}", at(story, it.from), self.paint(CYAN, &what))
            }),
            News::Ends(index) => story.disturbances.get(index).map(|it| self.over(it, story)),
        };
        text.map_or(Ok(()), |text| self.say(&text))
    }

    fn drift(&self, drift: &Drifted, story: &Story) -> String {
        let track = story.tracks.get(&drift.series);
        let how = track.map_or_else(String::new, |track| words::drifted(drift, track));
        let what = format!("{} has drifted: {how}", drift.series);
        format!("{}    {}", at(story, drift.at), self.paint(DIM, &what))
    }

    fn over(&self, disturbance: &Disturbance, story: &Story) -> String {
        let title = disturbance.kind.title();
        match &disturbance.cut {
            None => {
                let what = self.paint(CYAN, &format!("■ {title} is over"));
                format!("{}  {what}", at(story, disturbance.until))
            }
            Some(why) => {
                self.paint(YELLOW, &format!("          ■ {title} was left out or cut short: {why}"))
            }
        }
    }

    fn anomaly(&self, found: &Found, story: &Story) -> String {
        let Some(track) = story.tracks.get(found.series()) else {
            return String::new();
        };
        let (value, expected) = words::observed(found, track);
        let severity = found.opened.severity;
        let colour = if severity >= Severity::High { RED } else { YELLOW };
        let severity = self.paint(colour, &format!("● {:<8}", severity.name()));
        let series = self.paint(BOLD, &format!("{:<26}", found.series()));
        let after = format!("alert {} after its record", millis(found.received_after));
        format!(
            "{}    {severity} {series} {value}, expected {expected}\n{:22}{} · {}",
            at(story, found.opened.opened_at),
            "",
            words::why(found, track),
            self.paint(DIM, &after),
        )
    }

    /// Where the run stands.
    pub(crate) fn progress(&mut self, story: &Story, now: Micros) {
        let since = now - story.started_at;
        let counted = now - self.counted_at >= COUNT_EVERY;
        let plain = !self.moving && now - self.told_at >= PLAIN_EVERY;
        if !(plain || self.moving && counted) {
            return;
        }
        self.counted_at = now;
        self.latency = format!("p50/p99 {}", latency(&story.score_latencies).replace(" / ", "/"));
        // Short enough for 80 columns.
        let line = format!(
            "{}/{} s · {} · {} series · {} · {}",
            (since / 1_000_000).min(self.ends / 1_000_000),
            self.ends / 1_000_000,
            count(story.records as usize, "record", "records"),
            story.tracks.len(),
            count(story.found.len(), "anomaly", "anomalies"),
            self.latency,
        );
        if self.moving {
            self.bar.set_position(since.clamp(0, self.ends) as u64);
            self.bar.set_message(line);
        } else {
            self.told_at = now;
            // Nobody to tell is no reason to end.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }

    /// Takes the progress line away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// When something was, counted from the start.
fn at(story: &Story, at: Micros) -> String {
    format!("{:>6.1} s", story.seconds(at))
}

/// Half of all and all but one in a hundred are at most so late: `1.4 / 38 ms`.
pub(crate) fn latency(values: &[Micros]) -> String {
    match (quantile(values, 0.5), quantile(values, 0.99)) {
        (Some(p50), Some(p99)) => {
            let (p50, p99) = (millis(p50), millis(p99));
            // The unit once, if it is the same.
            let bare = p50.strip_suffix(" ms").filter(|_| p99.ends_with(" ms"));
            format!("{} / {p99}", bare.unwrap_or(&p50))
        }
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_quantiles() {
        let hundred: Vec<Micros> = (1..=100).map(|i| i * 1_000).collect();
        assert_eq!(latency(&hundred), "50 / 99 ms");
        assert_eq!(latency(&[1_400, 2_500_000]), "1.4 ms / 2.50 s");
        assert_eq!(latency(&[]), "–");
    }
}
