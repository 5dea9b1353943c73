//! The page at the end of a run: one HTML file that needs nothing else, with every series drawn.

mod chart;

use std::{fmt::Write as _, time::Duration};

use chart::{Chart, Frame, class};
use domain::Micros;
use sysinfo::System;

use super::{
    screen::latency,
    story::{Found, Point, Story, Track},
    units::Unit,
    verdict::{Outcome, Verdict, explained_by},
    words::{self, count, grouped, millis},
};

const STYLE: &str = include_str!("page/style.css");
/// So many series are drawn as wide as the page.
const LARGE_MAX: usize = 14;
/// What a person wants to see whether or not there was anything odd, in this order.
const IMPORTANT: [&str; 3] = ["cpu/all", "memory/used", "load/1m"];

/// Makes text safe between tags and within quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The whole page.
pub(crate) fn html(story: &Story, verdict: &Verdict, ends: Duration) -> String {
    let ends = ends.as_secs_f64();
    let (large, small) = chosen(story, verdict);
    let mut large_charts = String::new();
    for series in &large {
        large_charts.push_str(&figure(story, series, ends, &Frame::LARGE));
    }
    let mut small_charts = String::new();
    for series in &small {
        small_charts.push_str(&figure(story, series, ends, &Frame::SMALL));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Oddwatch demo</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {head}\n{cards}\n{disturbances}\n<h2>What was odd, and what matters most</h2>\n{key}\n\
         {large_charts}\n{anomalies}\n<h2>All other series</h2>\n\
         <div class=\"small\">\n{small_charts}</div>\n</main>\n</body>\n</html>\n",
        head = head(story, verdict),
        cards = cards(story),
        disturbances = disturbances(story, verdict),
        key = key(),
        anomalies = anomalies(story),
    )
}

fn head(story: &Story, verdict: &Verdict) -> String {
    let (caught, all) = (verdict.caught(), verdict.outcomes.len());
    let started = chrono::DateTime::from_timestamp_micros(story.started_at)
        .map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    let system = System::long_os_version().unwrap_or_else(|| "this machine".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "<h1>{}, {}</h1>\n<p class=\"muted\">Oddwatch demo on {}, {} · started \
         {started} · all findings are those of the running services</p>",
        match all {
            0 => "Stopped before the first disturbance".to_owned(),
            all => format!("{caught} of {} caught", count(all, "disturbance", "disturbances")),
        },
        count(verdict.false_alarms.len(), "false alarm", "false alarms"),
        escape(&system),
        count(cores, "core", "cores"),
    )
}

fn cards(story: &Story) -> String {
    let mut html = String::from("<div class=\"cards\">");
    for (figure, what) in [
        (latency(&story.alert_latencies()), "record → alert, p50 / p99"),
        (latency(&story.score_latencies), "record → score, p50 / p99"),
        (grouped(story.records), "records published"),
        (story.tracks.len().to_string(), "series watched"),
        (story.found.len().to_string(), "anomalies found"),
    ] {
        let _ = write!(html, "<div class=\"card\"><b>{figure}</b><span>{what}</span></div>");
    }
    html + "</div>"
}

fn disturbances(story: &Story, verdict: &Verdict) -> String {
    let mut html = String::from(
        "<h2>Disturbances</h2>\n<div class=\"scroll\"><table>\n<tr><th>What was done</th>\
         <th>From – to</th><th></th><th class=\"n\">After</th><th>By</th></tr>\n",
    );
    for (disturbance, outcome) in &verdict.outcomes {
        let when = match disturbance.from {
            Micros::MAX => "–".to_owned(),
            from => {
                let until = story.seconds(disturbance.until);
                format!("{:.1} – {until:.1} s", story.seconds(from))
            }
        };
        let (result, after, by) = match outcome {
            Outcome::Caught { after, by } => {
                ("<span class=\"good\">caught</span>", millis(*after), by.join(", "))
            }
            Outcome::Missed => ("<span class=\"bad\">missed</span>", "–".into(), "nothing".into()),
            Outcome::NotCaused(why) => ("not caused", "–".into(), why.clone()),
        };
        let _ = writeln!(
            html,
            "<tr><td><span class=\"{}\"><span class=\"dot\"></span></span>{}<br>\
             <span class=\"muted\">{}</span></td><td class=\"s\">{when}</td><td>{result}</td>\
             <td class=\"n\">{after}</td><td>{}</td></tr>",
            class(disturbance.kind),
            disturbance.kind.title(),
            escape(&disturbance.what),
            escape(&by),
        );
    }
    html + "</table></div>"
}

fn key() -> &'static str {
    "<div class=\"key\"><span><i style=\"background:var(--line);height:2px;vertical-align:4px\"></i>\
     value</span><span><i style=\"background:var(--band);opacity:.25\"></i>expected range</span>\
     <span><i style=\"background:var(--odd);width:8px;height:8px;border-radius:50%\"></i>odd row</span>\
     <span><i style=\"background:var(--odd);opacity:.75;height:5px;vertical-align:1px\"></i>\
     anomaly, until cleared</span><span><i style=\"background:var(--muted);opacity:.3\"></i>\
     disturbance</span></div>"
}

fn anomalies(story: &Story) -> String {
    let mut html = String::from(
        "<h2>Anomalies</h2>\n<div class=\"scroll\"><table>\n<tr><th class=\"n\">At</th><th>Series\
         </th><th>Severity</th><th>Value</th><th>Expected</th><th>Why</th><th>During</th>\
         <th class=\"n\">Alert after</th></tr>\n",
    );
    for found in &story.found {
        let Some(track) = story.tracks.get(found.series()) else {
            continue;
        };
        let (value, expected) = words::observed(found, track);
        let during = match explained_by(story, found) {
            Some(kind) => {
                let (class, title) = (class(kind), kind.title());
                format!("<span class=\"{class}\"><span class=\"dot\"></span></span>{title}")
            }
            None => "<span class=\"bad\">false alarm</span>".to_owned(),
        };
        let _ = writeln!(
            html,
            "<tr><td class=\"n\">{:.1} s</td><td>{}</td><td>{}</td><td class=\"s\">{}</td>\
             <td class=\"s\">{}</td><td>{}</td><td class=\"s\">{during}</td><td class=\"n\">{}</td></tr>",
            story.seconds(found.opened.opened_at),
            escape(found.series()),
            found.latest.severity.name(),
            escape(&value),
            escape(&expected),
            escape(&words::why(found, track)),
            millis(found.received_after),
        );
    }
    for drift in &story.drifts {
        let Some(track) = story.tracks.get(&drift.series) else {
            continue;
        };
        let _ = writeln!(
            html,
            "<tr class=\"muted\"><td class=\"n\">{:.1} s</td><td>{}</td><td>drift</td>\
             <td colspan=\"5\">{} ({})</td></tr>",
            story.seconds(drift.at),
            escape(&drift.series),
            escape(&words::drifted(drift, track)),
            escape(&drift.method),
        );
    }
    html + "</table></div>"
}

/// Which series are drawn large, and which small: those that caught a disturbance first, then others with
/// anomalies, then the important ones.
fn chosen<'a>(story: &'a Story, verdict: &'a Verdict) -> (Vec<&'a str>, Vec<&'a str>) {
    let caught = verdict.outcomes.iter().flat_map(|(_, outcome)| match outcome {
        Outcome::Caught { by, .. } => by.as_slice(),
        Outcome::Missed | Outcome::NotCaused(_) => &[],
    });
    let wanted =
        caught.map(String::as_str).chain(story.found.iter().map(Found::series)).chain(IMPORTANT);
    let mut large: Vec<&str> = vec![];
    for series in wanted {
        let known = story.tracks.contains_key(series);
        if known && large.len() < LARGE_MAX && !large.contains(&series) {
            large.push(series);
        }
    }
    let small = story.tracks.keys().map(String::as_str).filter(|s| !large.contains(s)).collect();
    (large, small)
}

fn figure(story: &Story, series: &str, ends: f64, frame: &Frame) -> String {
    let Some(track) = story.tracks.get(series) else {
        return String::new();
    };
    let (points, unit, note) = drawn(track);
    let chart = Chart {
        found: story.found.iter().filter(|found| found.series() == series).collect(),
        points,
        unit,
        ends,
    };
    format!(
        "<figure><figcaption><h3>{}</h3><span class=\"muted\">{}</span></figcaption>{}</figure>\n",
        escape(series),
        escape(&note),
        chart.draw(frame, story, series),
    )
}

/// What is drawn of a series: its value, or for several values, its score against the threshold.
fn drawn(track: &Track) -> (Vec<Point>, Unit, String) {
    if track.features.len() > 1 {
        let of_score = |point: &Point| Point {
            value: point.score,
            lower: 0.0,
            upper: point.threshold,
            ..*point
        };
        let names: Vec<&str> = track.features.iter().map(|(name, _)| *name).collect();
        let points = track.points.iter().map(of_score).collect();
        return (points, Unit::Plain, format!("score of {} together", names.join(", ")));
    }
    let unit = track.unit("");
    let values = || track.points.iter().map(|p| p.value).filter(|v| v.is_finite());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let note = match low <= high {
        true => format!("{} – {}", unit.show(low), unit.show(high)),
        false => "no scores".to_owned(),
    };
    (track.points.clone(), unit, note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{plan::Kind, planted, story::Disturbance};

    fn story() -> Story {
        let mut story = Story::new(0, "process/oddwatch/");
        for series in ["cpu/all", "net/<script>alert('x')</script>\"&", "quiet"] {
            let points = (0..150).map(|i| Point {
                at: i * 500_000,
                value: if i == 61 { 90.0 } else { 10.0 },
                lower: if i < 8 { f64::NAN } else { 5.0 },
                upper: if i < 8 { f64::NAN } else { 15.0 },
                score: 0.1,
                threshold: 0.7,
                odd: i == 61,
            });
            let track =
                Track { features: vec![("value", Unit::Percent)], points: points.collect() };
            story.tracks.insert(series.to_owned(), track);
        }
        story.found = story.tracks.keys().take(2).map(|s| planted::found(s, 30_500_000)).collect();
        story.disturbances = vec![Disturbance {
            kind: Kind::Cpu,
            what: "2 threads compute <b>".into(),
            from: 30_000_000,
            until: 36_000_000,
            cut: None,
        }];
        story
    }

    #[test]
    fn the_page_needs_nothing_else_and_escapes_names() {
        let story = story();
        let page = html(&story, &Verdict::of(&story), Duration::from_secs(75));
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside} is in the page");
        }
        assert!(page.contains("net/&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
        assert!(page.contains("2 threads compute &lt;b&gt;"));
        assert!(
            !page.contains("NaN") && !page.contains("inf"),
            "no chart has holes in its numbers"
        );
        assert_eq!(page.matches("<svg").count(), 3);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(page.contains("1 of 1 disturbance caught, 0 false alarms"));
    }

    #[test]
    fn series_with_anomalies_are_drawn_large() {
        let story = story();
        let verdict = Verdict::of(&story);
        let (large, small) = chosen(&story, &verdict);
        assert_eq!((large.len(), small.as_slice()), (2, &["quiet"][..]));
        assert_eq!(large[0], "cpu/all", "it caught the disturbance");
    }
}
