//! One series as an inline SVG: its values, the expected range, odd rows, its anomalies, and the disturbances
//! behind them. Colours are the page's.

use std::fmt::Write as _;

use domain::Micros;

use super::escape;
use crate::demo::{
    plan::Kind,
    story::{Found, Point, Story},
    units::Unit,
};

/// How large a chart is, in its own units.
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Room for the axis of values; without it there are no axes at all.
    pub(super) left: f64,
}

impl Frame {
    /// As wide as the page.
    pub(super) const LARGE: Self = Self { width: 1080.0, height: 190.0, left: 76.0 };
    /// One of many.
    pub(super) const SMALL: Self = Self { width: 260.0, height: 76.0, left: 0.0 };

    fn has_axes(&self) -> bool {
        self.left > 0.0
    }

    fn top(&self) -> f64 {
        if self.has_axes() { 18.0 } else { 3.0 }
    }

    fn bottom(&self) -> f64 {
        if self.has_axes() { self.height - 20.0 } else { self.height - 3.0 }
    }
}

/// What is drawn.
pub(super) struct Chart<'a> {
    pub(super) points: Vec<Point>,
    pub(super) unit: Unit,
    pub(super) found: Vec<&'a Found>,
    /// The run ends here, in seconds.
    pub(super) ends: f64,
}

impl Chart<'_> {
    /// The SVG.
    pub(super) fn draw(&self, frame: &Frame, story: &Story, label: &str) -> String {
        let (low, high) = span(&self.points, self.unit.most());
        let scale = Scale { frame, ends: self.ends, low, high };
        let x = |at: Micros| scale.x(story.seconds(at));
        let mut svg = format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            frame.width,
            frame.height,
            escape(label),
        );
        self.disturbances(&mut svg, &scale, story);
        if frame.has_axes() {
            axes(&mut svg, &scale, self.unit);
        }
        let path = band(&self.points, &x, &scale);
        let _ = write!(svg, "<path class=\"band\" d=\"{path}\"/>");
        self.anomalies(&mut svg, &scale, story);
        let _ = write!(svg, "<path class=\"line\" d=\"{}\"/>", line(&self.points, &x, &scale));
        let radius = if frame.has_axes() { 2.6 } else { 1.8 };
        for point in self.points.iter().filter(|p| p.odd && p.value.is_finite()) {
            let (x, y) = (x(point.at), scale.y(point.value));
            let _ =
                write!(svg, "<circle class=\"odd\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
        }
        svg.push_str("</svg>");
        svg
    }

    fn disturbances(&self, svg: &mut String, scale: &Scale<'_>, story: &Story) {
        let caused = story.disturbances.iter().filter(|d| d.from != Micros::MAX);
        for disturbance in caused {
            let from = scale.x(story.seconds(disturbance.from));
            let until = scale.x(story.seconds(disturbance.until));
            let (top, height) = (scale.frame.top(), scale.frame.bottom() - scale.frame.top());
            let class = class(disturbance.kind);
            let _ = write!(
                svg,
                "<rect class=\"window {class}\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" \
                 height=\"{height}\"/>",
                until - from,
            );
            if scale.frame.has_axes() {
                let title = disturbance.kind.title();
                let _ = write!(
                    svg,
                    "<text class=\"label {class}\" x=\"{:.1}\" y=\"12\">{title}</text>",
                    (from + until) / 2.0,
                );
            }
        }
    }

    /// Each anomaly as a bar along the bottom, from its first row to its clearing.
    fn anomalies(&self, svg: &mut String, scale: &Scale<'_>, story: &Story) {
        let thick = if scale.frame.has_axes() { 5.0 } else { 3.0 };
        for found in &self.found {
            let from = story.seconds(found.opened.opened_at);
            let until = found.cleared_at().map_or(self.ends, |at| story.seconds(at));
            let (left, right) = (scale.x(from), scale.x(until));
            let _ = write!(
                svg,
                "<rect class=\"anomaly\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{thick}\" rx=\"1.5\"><title>{} anomaly, {from:.1} to {until:.1} s</title></rect>",
                scale.frame.bottom() - thick,
                (right - left).max(3.0),
                found.latest.severity.name(),
            );
        }
    }
}

/// The style class of what a disturbance does.
pub(super) fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Cpu => "cpu",
        Kind::Disk => "disk",
        Kind::Memory => "memory",
    }
}

struct Scale<'a> {
    frame: &'a Frame,
    ends: f64,
    low: f64,
    high: f64,
}

impl Scale<'_> {
    fn x(&self, seconds: f64) -> f64 {
        let width = self.frame.width - self.frame.left - 4.0;
        self.frame.left + width * (seconds / self.ends).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.frame.bottom() - share * (self.frame.bottom() - self.frame.top())
    }
}

/// The values to be shown: all that were measured, from zero where that does not flatten them, and as much of
/// the expected ranges as leaves the values readable.
fn span(points: &[Point], most: f64) -> (f64, f64) {
    let values = || points.iter().map(|p| p.value).filter(|v| v.is_finite());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if low > high {
        return (0.0, 1.0);
    }
    let low = if low < 0.5 * high { 0.0 } else { low };
    let room = 0.3 * (high - low);
    let ends = |end: fn(&Point) -> f64| points.iter().map(end).filter(|v| v.is_finite());
    let upper = ends(|p| p.upper).fold(high, f64::max).min(high + room).min(most.max(high));
    let lower = ends(|p| p.lower).fold(low, f64::min).max(low - room).max(0.0);
    let pad = 0.04 * (upper - lower);
    if pad > 0.0 {
        (if lower > 0.0 { lower - pad } else { 0.0 }, upper + pad)
    } else {
        // All the same.
        (0.0, if high > 0.0 { 2.0 * high } else { 1.0 })
    }
}

fn line(points: &[Point], x: &impl Fn(Micros) -> f64, scale: &Scale<'_>) -> String {
    let mut path = String::new();
    let mut pen = 'M';
    for point in points {
        if point.value.is_finite() {
            let _ = write!(path, "{pen}{:.1} {:.1}", x(point.at), scale.y(point.value));
            pen = 'L';
        } else {
            pen = 'M';
        }
    }
    path
}

/// Closed areas between the ends of the expected range, one per stretch in which it is known.
fn band(points: &[Point], x: &impl Fn(Micros) -> f64, scale: &Scale<'_>) -> String {
    let mut path = String::new();
    for stretch in points.chunk_by(|a, b| is_known(a) == is_known(b)) {
        if !stretch.first().is_some_and(is_known) {
            continue;
        }
        let upper = stretch.iter().map(|p| (p.at, p.upper));
        let lower = stretch.iter().rev().map(|p| (p.at, p.lower));
        for (number, (at, value)) in upper.chain(lower).enumerate() {
            let pen = if number == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{pen}{:.1} {:.1}", x(at), scale.y(value));
        }
        path.push('Z');
    }
    path
}

fn is_known(point: &Point) -> bool {
    point.lower.is_finite() && point.upper.is_finite()
}

fn axes(svg: &mut String, scale: &Scale<'_>, unit: Unit) {
    let (left, right) = (scale.frame.left, scale.frame.width - 4.0);
    for value in ticks(scale.low, scale.high, 4.0) {
        let y = scale.y(value);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
             <text class=\"tick y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            y + 3.5,
            escape(&unit.show(value)),
        );
    }
    for second in ticks(0.0, scale.ends, 10.0) {
        let (x, y) = (scale.x(second), scale.frame.height - 5.0);
        let _ =
            write!(svg, "<text class=\"tick x\" x=\"{x:.1}\" y=\"{y:.1}\">{second:.0} s</text>");
    }
}

/// About so many round numbers within a range.
fn ticks(low: f64, high: f64, about: f64) -> Vec<f64> {
    let rough = (high - low) / about;
    if !(rough.is_finite() && rough > 0.0) {
        return vec![];
    }
    let mut power = 1.0;
    while power > rough {
        power /= 10.0;
    }
    while power * 10.0 <= rough {
        power *= 10.0;
    }
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough);
    let step = step.unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|number| number as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(value: f64, lower: f64, upper: f64) -> Point {
        Point { at: 0, value, lower, upper, score: 0.0, threshold: 0.5, odd: false }
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(ticks(0.0, 100.0, 4.0), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(0.0, 75.0, 10.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]);
        assert_eq!(ticks(1.0, 1.0, 4.0), [0.0; 0]);
        let small = ticks(0.21, 0.29, 4.0);
        assert_eq!(small.len(), 4, "{small:?}");
    }

    #[test]
    fn a_wide_range_does_not_flatten_the_values() {
        let (low, high) = span(&[point(0.5, -1e9, 1e9), point(2.0, -1e9, 1e9)], f64::INFINITY);
        assert!(low == 0.0 && (2.0..3.0).contains(&high), "{low} {high}");
        let (low, high) =
            span(&[point(100.0, 99.0, 101.0), point(101.0, 99.0, 101.0)], f64::INFINITY);
        assert!(low > 98.0 && high < 102.0, "{low} {high}");
        assert_eq!(span(&[], 100.0), (0.0, 1.0));
        assert_eq!(span(&[point(0.0, f64::NAN, f64::NAN)], 100.0), (0.0, 1.0));
        assert_eq!(span(&[point(f64::NAN, f64::NAN, f64::NAN)], 100.0), (0.0, 1.0));
    }

    #[test]
    fn gaps_stay_gaps() {
        let scale = Scale { frame: &Frame::LARGE, ends: 10.0, low: 0.0, high: 1.0 };
        let points = [1.0, f64::NAN, 1.0].map(|v| point(v, v - 1.0, v));
        let x = |_| 0.0;
        assert_eq!(line(&points, &x, &scale).matches('M').count(), 2);
        assert_eq!(band(&points, &x, &scale).matches('Z').count(), 2);
    }
}
