//! What is said of an anomaly, on the terminal and on the page alike.

use domain::{Contribution, Micros};

use super::{
    story::{Drifted, Found, Track},
    units::Unit,
};

/// What an expected range is called: `2.1 % to 31 %`, or `up to 31 %` where nothing below is meant.
pub(crate) fn range(lower: f64, upper: f64, unit: Unit) -> String {
    match (lower.is_finite(), upper.is_finite()) {
        (true, true) if upper >= unit.most() && lower <= 0.0 => "anything".to_owned(),
        (true, true) if upper >= unit.most() => format!("at least {}", unit.show(lower)),
        (true, true) if lower > 0.0 => format!("{} to {}", unit.show(lower), unit.show(upper)),
        // Nothing that is measured here can be negative.
        (_, true) => format!("up to {}", unit.show(upper.max(0.0))),
        _ => "not known yet".to_owned(),
    }
}

/// The value that made most of an anomaly, and what was expected of it: `100 %, expected 2 % to 31 %`.
pub(crate) fn observed(found: &Found, track: &Track) -> (String, String) {
    let Some(top) = found.opened.contributions.first() else {
        return ("?".to_owned(), "not known".to_owned());
    };
    let unit = track.unit(&top.feature);
    let name = if track.features.len() > 1 { format!("{} ", top.feature) } else { String::new() };
    (format!("{name}{}", unit.show(top.value)), range(top.lower, top.upper, unit))
}

/// Why it is an anomaly.
pub(crate) fn why(found: &Found, track: &Track) -> String {
    let contributions = &found.opened.contributions;
    let Some(top) = contributions.first() else {
        return "no reason given".to_owned();
    };
    let mut why = compared(top, track.unit(&top.feature));
    if track.features.len() > 1 {
        // The shares sum to 1; those that hardly count are left out.
        let shares: Vec<String> = contributions
            .iter()
            .filter(|part| part.share >= 0.05)
            .map(|part| format!("{} {:.0} %", part.feature, part.share * 100.0))
            .collect();
        why = format!("{why} ({} of it)", shares.join(", "));
    }
    why
}

/// A value against what is usual, as a person would put it.
fn compared(top: &Contribution, unit: Unit) -> String {
    let (value, usual) = (top.value, top.expected);
    if !value.is_finite() || !usual.is_finite() {
        return "nothing is known of it yet".to_owned();
    }
    let shown = unit.show(usual);
    if unit.show(0.0) == shown {
        return "usually none".to_owned();
    }
    let times = value / usual;
    match times {
        _ if value < usual => format!("{} below the usual {shown}", share(1.0 - times)),
        t if t >= 10.0 => format!("{} times the usual {shown}", grouped(t as u64)),
        t if t >= 2.0 => format!("{t:.1} times the usual {shown}"),
        t => format!("{} above the usual {shown}", share(t - 1.0)),
    }
}

fn share(of: f64) -> String {
    let percent = of * 100.0;
    if percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// A drift in a few words: `from 3.1 % to 40 %`.
pub(crate) fn drifted(drift: &Drifted, track: &Track) -> String {
    let unit = track.unit("");
    format!("mean from {} to {}", unit.show(drift.before), unit.show(drift.after))
}

/// A short time: `0.8 ms`, `38 ms`, `1.24 s`.
pub(crate) fn millis(micros: Micros) -> String {
    let millis = micros as f64 / 1e3;
    match millis {
        m if m >= 1_000.0 => format!("{:.2} s", m / 1e3),
        m if m >= 10.0 => format!("{m:.0} ms"),
        m => format!("{m:.1} ms"),
    }
}

/// A whole number in groups of three: `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 anomaly`, `2 anomalies`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number as u64), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::planted;

    fn check(value: f64, usual: f64, unit: Unit, expect: &str) {
        let mut found = planted::found("x", 0);
        let top = &mut found.opened.contributions[0];
        (top.value, top.expected) = (value, usual);
        let track = Track { features: vec![("value", unit)], points: vec![] };
        assert_eq!(why(&found, &track), expect);
    }

    #[test]
    fn a_reason_compares_with_what_is_usual() {
        check(100.0, 8.0, Unit::Percent, "12 times the usual 8 %");
        check(1e6, 10.0, Unit::PerSecond, "100,000 times the usual 10/s");
        check(20.0, 8.0, Unit::Percent, "2.5 times the usual 8 %");
        check(2.2e9, 2e9, Unit::Bytes, "10 % above the usual 2 GB");
        check(1.9e9, 2e9, Unit::Bytes, "5.0 % below the usual 2 GB");
        check(5e6, 0.0, Unit::BytesPerSecond, "usually none");
        check(5e6, f64::NAN, Unit::BytesPerSecond, "nothing is known of it yet");
    }

    #[test]
    fn several_values_share_a_reason() {
        let mut found = planted::found("machine", 0);
        let part = |feature: &str, share| Contribution {
            feature: feature.into(),
            share,
            ..found.opened.contributions[0].clone()
        };
        found.opened.contributions = vec![part("cpu", 0.7), part("memory", 0.28), part("d", 0.02)];
        let features = vec![("cpu", Unit::Percent), ("memory", Unit::Bytes)];
        let track = Track { features, points: vec![] };
        let expect = "9.0 times the usual 10 % (cpu 70 %, memory 28 % of it)";
        assert_eq!(why(&found, &track), expect);
        let (value, expected) = observed(&found, &track);
        assert_eq!((value.as_str(), expected.as_str()), ("cpu 90 %", "5 % to 15 %"));
    }

    #[test]
    fn ranges_and_times_are_short() {
        assert_eq!(range(-3.0, 12.0, Unit::Percent), "up to 12 %");
        assert_eq!(range(79.0, 121.0, Unit::Share), "at least 79 %");
        assert_eq!(range(79.0, 121.0, Unit::Percent), "79 % to 121 %");
        assert_eq!(range(-9.0, 121.0, Unit::Share), "anything");
        assert_eq!(range(f64::NAN, f64::NAN, Unit::Percent), "not known yet");
        assert_eq!(millis(830), "0.8 ms");
        assert_eq!(millis(38_400), "38 ms");
        assert_eq!(millis(1_240_000), "1.24 s");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "anomaly", "anomalies"), "1 anomaly");
    }
}
