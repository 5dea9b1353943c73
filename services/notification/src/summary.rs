//! The line for people. Keys and feature names come from outside, so whatever could break a line,
//! hide text or steer a terminal is replaced.

use std::fmt::Write as _;

use domain::{Anomaly, Contribution, Drift, Finding, Phase, SeriesRef};

/// Features named in a line.
const FEATURES_MAX: usize = 3;
/// Characters of a key or a feature's name in a line.
const NAME_CHARS_MAX: usize = 200;

/// The line of a finding.
pub(crate) fn of(finding: &Finding) -> String {
    match finding {
        Finding::Anomaly(anomaly) if anomaly.phase == Phase::Cleared => cleared(anomaly),
        Finding::Anomaly(anomaly) if anomaly.no_data => {
            format!("{}: no data, row {}", series(&anomaly.series), anomaly.row)
        }
        Finding::Anomaly(anomaly) => odd(anomaly),
        Finding::Drift(drift) => drifted(drift),
    }
}

fn odd(anomaly: &Anomaly) -> String {
    let mut line = format!("{}: ", series(&anomaly.series));
    let several = anomaly.contributions.len() > 1;
    for contribution in anomaly.contributions.iter().take(FEATURES_MAX) {
        line += &explained(contribution);
        if several {
            // Writing to a string can't fail.
            let _ = write!(line, " [{:.0} %]; ", contribution.share * 100.0);
        } else {
            line += ", ";
        }
    }
    let _ = write!(line, "score {}", score(anomaly.score));
    line
}

fn explained(c: &Contribution) -> String {
    let mut text = format!("{} {}", safe(&c.feature), number(c.value));
    if c.expected.is_finite() {
        let _ = write!(text, ", expected {}", number(c.expected));
    }
    if c.lower.is_finite() && c.upper.is_finite() {
        let _ = write!(text, " ({} to {})", number(c.lower), number(c.upper));
    }
    text
}

fn cleared(anomaly: &Anomaly) -> String {
    let rows = if anomaly.rows == 1 { "row" } else { "rows" };
    let why = if anomaly.silent { ", as the series fell silent" } else { "" };
    format!(
        "{}: cleared after {} odd {rows}{why}, highest score {}",
        series(&anomaly.series),
        anomaly.rows,
        score(anomaly.score_max)
    )
}

fn drifted(drift: &Drift) -> String {
    format!(
        "drift of {} in {}: mean {} → {} ({})",
        safe(&drift.feature),
        series(&drift.series),
        number(drift.before.mean),
        number(drift.after.mean),
        safe(&drift.method)
    )
}

fn series(series: &SeriesRef) -> String {
    let mut text = format!("{} of stream {}", safe(&series.key), safe(&series.stream));
    if let Some(window) = &series.window {
        let _ = write!(text, ", window {}", safe(window));
    }
    text
}

/// A name that can do no harm in a log, a terminal or a chat, and is no longer than fits a line.
pub(crate) fn safe(name: &str) -> String {
    let mut chars = name.chars();
    let mut text: String = chars
        .by_ref()
        .take(NAME_CHARS_MAX)
        .map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if chars.next().is_some() {
        text.push('…');
    }
    text
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' // invisible, or turning the direction
            | '\u{2028}'..='\u{202e}' // ends of lines, embeddings and overrides of direction
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

fn score(score: f64) -> String {
    format!("{score:.2}")
}

/// Four digits that count, without trailing zeros: `99.2`, `0.00123`, `123457`, `1.235e9`.
fn number(x: f64) -> String {
    if !x.is_finite() {
        return "missing".into();
    }
    let scientific = format!("{x:.3e}");
    let exponent: i32 =
        scientific.rsplit_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if !(-4..=6).contains(&exponent) {
        let (digits, _) = scientific.split_once('e').unwrap_or((&scientific, ""));
        return format!("{}e{exponent}", trimmed(digits));
    }
    let decimals = (3 - exponent).max(0) as usize;
    trimmed(&format!("{x:.decimals$}")).to_owned()
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use domain::{Id, Position, Severity};

    use super::*;

    fn position() -> Position {
        Position { source: "detection.requested/0".into(), epoch: 1, number: 12 }
    }

    fn contribution(feature: &str, share: f64, value: f64) -> Contribution {
        Contribution {
            feature: feature.into(),
            share,
            value,
            expected: 4.8,
            lower: 1.2,
            upper: 9.7,
        }
    }

    /// The anomaly of the first example.
    pub(crate) fn anomaly() -> Anomaly {
        Anomaly {
            id: Id::of(&[b"a"]),
            revision: 1,
            position: position(),
            phase: Phase::Opened,
            silent: false,
            no_data: false,
            series: SeriesRef {
                stream: "default".into(),
                key: "cpu/0".into(),
                window: None,
                features: Arc::from([Arc::from("value")]),
            },
            detector: "default".into(),
            detector_version: 0,
            opened_row: 90,
            row: 90,
            rows: 12,
            opened_at: 1_600_000_000_000_000,
            event_at: 1_600_000_000_000_000,
            ingested_at: 1_600_000_000_100_000,
            log_time: 1_600_000_000_100_000,
            score: 0.93,
            score_max: 0.93,
            threshold: 0.9,
            confidence: 1.0,
            severity: Severity::Critical,
            contributions: vec![contribution("value", 1.0, 99.2)],
            config_version: 1,
            tags: vec![("host".into(), "h1".into())],
            traceparent: None,
        }
    }

    /// The drift of the last example.
    pub(crate) fn drift() -> Drift {
        Drift {
            id: Id::of(&[b"d"]),
            position: position(),
            series: SeriesRef {
                stream: "default".into(),
                key: "cpu/0".into(),
                window: None,
                features: Arc::from([]),
            },
            feature: "value".into(),
            method: "adwin".into(),
            statistic: 3.0,
            bound: 2.0,
            p_value: 1e-7,
            kind: domain::DriftKind::Level,
            features: vec!["value".into()],
            before: domain::Summary { count: 90, mean: 4.8, deviation: 1.0, quantiles: [4.0; 5] },
            after: domain::Summary { count: 30, mean: 17.2, deviation: 2.0, quantiles: [17.0; 5] },
            began_row: 4,
            began_at: 1_599_999_940_000_000,
            actions: vec![],
            row: 9,
            event_at: 1_600_000_000_000_000,
            ingested_at: 1_600_000_000_100_000,
            log_time: 1_600_000_000_100_000,
            config_version: 1,
            tags: vec![],
            traceparent: None,
        }
    }

    fn check(change: impl FnOnce(&mut Anomaly), expect: &str) {
        let mut anomaly = anomaly();
        change(&mut anomaly);
        assert_eq!(of(&Finding::Anomaly(anomaly)), expect);
    }

    #[test]
    fn a_line_says_where_what_and_why() {
        check(|_| {}, "cpu/0 of stream default: value 99.2, expected 4.8 (1.2 to 9.7), score 0.93");
        check(
            |a| {
                a.contributions = vec![
                    contribution("cpu", 0.7, 99.2),
                    contribution("disk", 0.2, f64::NAN),
                    contribution("net", 0.06, 1e9),
                    contribution("mem", 0.04, 1.0),
                ];
            },
            "cpu/0 of stream default: cpu 99.2, expected 4.8 (1.2 to 9.7) [70 %]; \
             disk missing, expected 4.8 (1.2 to 9.7) [20 %]; net 1e9, expected 4.8 (1.2 to 9.7) [6 %]; score 0.93",
        );
        check(
            |a| {
                a.contributions[0].expected = f64::NAN;
                a.contributions[0].lower = f64::NAN;
                a.series.window = Some("last20".into());
            },
            "cpu/0 of stream default, window last20: value 99.2, score 0.93",
        );
        check(
            |a| a.phase = Phase::Cleared,
            "cpu/0 of stream default: cleared after 12 odd rows, highest score 0.93",
        );
        check(
            |a| (a.phase, a.rows, a.silent) = (Phase::Cleared, 1, true),
            "cpu/0 of stream default: cleared after 1 odd row, as the series fell silent, \
             highest score 0.93",
        );
        check(|a| a.contributions.clear(), "cpu/0 of stream default: score 0.93");
        let line = of(&Finding::Drift(drift()));
        assert_eq!(line, "drift of value in cpu/0 of stream default: mean 4.8 → 17.2 (adwin)");
    }

    #[test]
    fn a_key_cannot_break_the_line() {
        check(
            |a| a.series.key = "a\nb\u{1b}[31m\u{202e}c".into(),
            "a\u{fffd}b\u{fffd}[31m\u{fffd}c of stream default: \
             value 99.2, expected 4.8 (1.2 to 9.7), score 0.93",
        );
        assert_eq!(safe(&"k".repeat(300)), format!("{}…", "k".repeat(200)));
    }

    #[test]
    fn numbers_have_four_digits_that_count() {
        let cases = [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (99.2, "99.2"),
            (99.25678, "99.26"),
            (0.00123456, "0.001235"),
            (0.000_001_5, "1.5e-6"),
            (123_456.7, "123457"),
            (1_234_567_890.0, "1.235e9"),
            (9_999.9, "10000"),
            (f64::NAN, "missing"),
        ];
        for (x, expect) in cases {
            assert_eq!(number(x), expect, "{x}");
        }
    }
}
