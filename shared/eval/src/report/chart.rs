//! A bar chart as SVG: one bar a line, its label to the left, its value behind it, a whisker for its
//! interval, and an axis with round numbers.

use std::fmt::Write as _;

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it is of.
    pub label: String,
    /// How long it is; NaN: there is no bar.
    pub value: f64,
    /// The ends of its interval, if there is one.
    pub interval: Option<(f64, f64)>,
}

impl Bar {
    /// A bar without an interval.
    pub fn new(label: impl Into<String>, value: f64) -> Self {
        Self { label: label.into(), value, interval: None }
    }

    /// With an interval, unless its ends are unknown.
    #[must_use]
    pub fn within(mut self, low: f64, high: f64) -> Self {
        self.interval = (low.is_finite() && high.is_finite()).then_some((low, high));
        self
    }
}

/// Pixels: of the bars' part, right of it for values, of a line, above the first and below the last.
const BARS: f64 = 480.0;
const VALUES: f64 = 70.0;
const LINE: f64 = 26.0;
const HEAD: f64 = 48.0;
const FOOT: f64 = 52.0;
/// Pixels of a letter, about.
const LETTER: f64 = 7.0;
/// Letters of a label, at most.
const LABEL_MAX: usize = 60;
/// So many parts has the axis, about.
const PARTS: f64 = 5.0;

/// Draws bars; `axis` says what their length is, with its unit.
pub fn svg(title: &str, axis: &str, bars: &[Bar]) -> String {
    let letters = bars.iter().map(|bar| shortened(&bar.label).chars().count()).max().unwrap_or(0);
    let left = 24.0 + LETTER * letters as f64;
    let (low, high, step) = range(bars);
    let x = |value: f64| left + BARS * (value - low) / (high - low);
    let bottom = HEAD + LINE * bars.len() as f64;
    let (width, height) = (left + BARS + VALUES, bottom + FOOT);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>{0}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"26\" font-size=\"16\" font-weight=\"bold\">{0}</text>\n",
        escaped(title)
    );
    let ticks = libm::round((high - low) / step) as usize;
    for tick in 0..=ticks {
        let value = low + tick as f64 * step;
        let at = x(value);
        // Writing into a String can't fail.
        let _ = writeln!(
            out,
            "<line x1=\"{at:.1}\" y1=\"{HEAD}\" x2=\"{at:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444\">{}</text>",
            bottom + 18.0,
            number(value, step)
        );
    }
    for (line, bar) in bars.iter().enumerate() {
        draw(&mut out, bar, HEAD + LINE * line as f64, left, step, &x);
    }
    let zero = x(0.0_f64.clamp(low, high));
    let _ = writeln!(
        out,
        "<line x1=\"{zero:.1}\" y1=\"{HEAD}\" x2=\"{zero:.1}\" y2=\"{bottom}\" stroke=\"#444\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n</svg>",
        left + BARS / 2.0,
        bottom + 40.0,
        escaped(axis)
    );
    out
}

/// Draws a bar with its label, value and whisker; `top` is that of its line.
fn draw(out: &mut String, bar: &Bar, top: f64, left: f64, step: f64, x: &dyn Fn(f64) -> f64) {
    let middle = top + LINE / 2.0;
    let (label, base) = (escaped(&shortened(&bar.label)), middle + 4.5);
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{label}</text>",
        left - 8.0
    );
    if !bar.value.is_finite() {
        let _ =
            writeln!(out, "<text x=\"{:.1}\" y=\"{base:.1}\" fill=\"#444\">-</text>", left + 6.0);
        return;
    }
    let (from, until) = (x(0.0).max(left).min(x(bar.value)), x(bar.value).max(x(0.0).max(left)));
    let _ = writeln!(
        out,
        "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#4878a8\"/>",
        top + 4.0,
        until - from,
        LINE - 8.0
    );
    let mut end = until;
    if let Some((low, high)) = bar.interval {
        let (low, high) = (x(low).max(left), x(high));
        let (up, down) = (middle - 5.0, middle + 5.0);
        let _ = writeln!(
            out,
            "<path d=\"M{low:.1} {up:.1}V{down:.1}M{low:.1} {middle:.1}H{high:.1}M{high:.1} {up:.1}\
             V{down:.1}\" stroke=\"#202020\" stroke-width=\"1.5\" fill=\"none\"/>"
        );
        end = end.max(high);
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{base:.1}\" fill=\"#202020\">{}</text>",
        end + 6.0,
        number(bar.value, step / 20.0)
    );
}

/// The ends of the axis and the step between its marks, which is 1, 2 or 5 times a power of ten. 0 is
/// always on it.
fn range(bars: &[Bar]) -> (f64, f64, f64) {
    let ends = |bar: &Bar| {
        let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
        [low, high, bar.value]
    };
    let all = || bars.iter().flat_map(ends).filter(|value| value.is_finite());
    let (least, most) = (all().fold(0.0, f64::min), all().fold(0.0, f64::max));
    let span = if most > least { most - least } else { 1.0 };
    let power = libm::pow(10.0, libm::floor(libm::log10(span / PARTS)));
    let rounder = [1.0, 2.0, 5.0, 10.0].map(|of| of * power);
    let step = rounder.into_iter().find(|step| step * PARTS >= span).unwrap_or(10.0 * power);
    let (low, high) = (libm::floor(least / step) * step, libm::ceil(most / step) * step);
    (low, if high > low { high } else { low + step }, step)
}

/// A number with as many digits as the step needs.
fn number(value: f64, step: f64) -> String {
    let digits = (-libm::floor(libm::log10(step))).clamp(0.0, 9.0) as usize;
    format!("{value:.digits$}")
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL_MAX {
        return label.to_owned();
    }
    label.chars().take(LABEL_MAX - 1).chain(['…']).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_marks_and_holds_all() {
        let check = |values: &[f64], expect: (f64, f64, f64)| {
            let bars: Vec<Bar> = values.iter().map(|value| Bar::new("a", *value)).collect();
            let found = range(&bars);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                close(found.0, expect.0) && close(found.1, expect.1) && close(found.2, expect.2),
                "{found:?}"
            );
        };
        check(&[30.2, 79.0], (0.0, 80.0, 20.0));
        check(&[0.31, f64::NAN], (0.0, 0.4, 0.1));
        check(&[-3.0, 4.0], (-4.0, 4.0, 2.0));
        check(&[], (0.0, 0.2, 0.2));
        let wide = range(&[Bar::new("a", 1.0).within(0.5, 9.0)]);
        assert_eq!((wide.0, wide.1), (0.0, 10.0));
    }

    #[test]
    fn a_chart_shows_each_bar_with_label_value_and_whisker() {
        let bars = [
            Bar::new("a < b & c", 50.0).within(40.0, 60.0),
            Bar::new("missing", f64::NAN).within(f64::NAN, 1.0),
            Bar::new("long ".repeat(30), 100.0),
        ];
        let drawn = svg("Title", "score, 0 to 100", &bars);
        assert!(drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>"));
        for part in ["a &lt; b &amp; c", ">50<", ">100<", "score, 0 to 100", "Title", ">-<", "…"]
        {
            assert!(drawn.contains(part), "{part}: {drawn}");
        }
        assert_eq!((drawn.matches("#4878a8").count(), drawn.matches("<path").count()), (2, 1));
        // Half of the longest bar, which is as long as the axis.
        assert!(drawn.contains("width=\"240.0\"") && drawn.contains("width=\"480.0\""), "{drawn}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
        assert!(svg("Nothing", "x", &[]).contains("</svg>"));
    }

    #[test]
    fn a_bar_below_nought_ends_there() {
        let drawn = svg("T", "x", &[Bar::new("a", -4.0), Bar::new("b", 4.0)]);
        assert_eq!(drawn.matches("width=\"240.0\"").count(), 2, "{drawn}");
    }
}
