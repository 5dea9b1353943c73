//! The tables at the end of a run: what became of each disturbance, and the figures.

use std::{
    io::{self, Write},
    path::Path,
};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use domain::Micros;

use super::{
    screen::latency,
    story::Story,
    verdict::{Outcome, Verdict},
    words::{grouped, millis},
};

/// So many false alarms are named; the page has them all.
const NAMED_MAX: usize = 6;
/// Where no terminal says how wide it is, or one that can't be meant.
const WIDTH: u16 = 100;
const WIDTH_MIN: u16 = 40;

/// Writes how the run ended.
pub(crate) fn write(
    out: &mut impl Write,
    colours: bool,
    story: &Story,
    verdict: &Verdict,
    page: &Path,
) -> io::Result<()> {
    writeln!(out)?;
    if verdict.outcomes.is_empty() {
        writeln!(out, "Stopped before the first disturbance.")?;
    } else {
        writeln!(out, "{}", disturbances(colours, story, verdict))?;
    }
    writeln!(out, "{}\n", figures(colours, story, verdict))?;
    let page = page.canonicalize().unwrap_or_else(|_| page.to_owned());
    writeln!(out, "All series and their anomalies, drawn: {}", page.display())?;
    out.flush()
}

fn table(colours: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    // The width counts without colours as well.
    let width = table.width().filter(|width| *width >= WIDTH_MIN).unwrap_or(WIDTH);
    if !colours {
        table.force_no_tty();
    }
    table.set_width(width);
    table
}

fn disturbances(colours: bool, story: &Story, verdict: &Verdict) -> Table {
    let mut table = table(colours);
    table.set_header(["disturbance", "from–to", "", "after", "by"]);
    for (disturbance, outcome) in &verdict.outcomes {
        let seconds = |at| format!("{:.1}", story.seconds(at));
        let when = match disturbance.from {
            Micros::MAX => "–".to_owned(),
            from => format!("{}–{} s", seconds(from), seconds(disturbance.until)),
        };
        let (result, after, by) = match outcome {
            Outcome::Caught { after, by } => {
                (Cell::new("caught").fg(Color::Green), millis(*after), by.join(", "))
            }
            Outcome::Missed => {
                (Cell::new("MISSED").fg(Color::Red), "–".to_owned(), "nothing".to_owned())
            }
            Outcome::NotCaused(why) => {
                (Cell::new("not caused").fg(Color::Yellow), "–".to_owned(), why.clone())
            }
        };
        let title = Cell::new(disturbance.kind.title());
        table.add_row([title, Cell::new(when), result, Cell::new(after), Cell::new(by)]);
    }
    table
}

fn figures(colours: bool, story: &Story, verdict: &Verdict) -> Table {
    let mut table = table(colours);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    let (caught, all) = (verdict.caught(), verdict.outcomes.len());
    let missed = verdict.outcomes.iter().filter(|(_, o)| *o == Outcome::Missed).count();
    row("disturbances", format!("{caught} of {all} caught, {missed} missed"));
    row("false alarms", false_alarms(story, verdict));
    let written = latency(&story.written_latencies());
    let alerts = format!("{} in hand, {written} written", latency(&story.alert_latencies()));
    row("record → alert, p50 / p99", alerts);
    row("record → score, p50 / p99", latency(&story.score_latencies));
    let records = format!("{} of {} series", grouped(story.records), story.tracks.len());
    row("records", records);
    row("scores", grouped(story.scores));
    if !story.drifts.is_empty() {
        row("drifts", story.drifts.len().to_string());
    }
    table
}

fn false_alarms(story: &Story, verdict: &Verdict) -> String {
    let named = verdict.false_alarms.iter().take(NAMED_MAX).filter_map(|index| {
        let found = story.found.get(*index)?;
        Some(format!("{} at {:.1} s", found.series(), story.seconds(found.opened.opened_at)))
    });
    let named: Vec<String> = named.collect();
    let more = verdict.false_alarms.len().saturating_sub(NAMED_MAX);
    match verdict.false_alarms.len() {
        0 => "none".to_owned(),
        number if more > 0 => format!("{number}: {} and {more} more", named.join(", ")),
        number => format!("{number}: {}", named.join(", ")),
    }
}
