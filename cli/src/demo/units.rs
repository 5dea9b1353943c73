//! How values are shown to people: `98.4 %`, `1.50 GB`, `12.3 MB/s`.

/// What a value is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Share of a whole: 100 % at most.
    Share,
    /// Per cent of one core: as many hundreds as there are cores.
    Percent,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Something per second.
    PerSecond,
    /// A number of things, or a plain number.
    Plain,
}

impl Unit {
    /// What nothing can exceed.
    pub(crate) fn most(self) -> f64 {
        if self == Self::Share { 100.0 } else { f64::INFINITY }
    }

    /// The value with its unit; three digits that count.
    pub(crate) fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return "?".to_owned();
        }
        match self {
            Self::Share | Self::Percent => format!("{} %", digits(value)),
            Self::Bytes => scaled(value, "B"),
            Self::BytesPerSecond => scaled(value, "B/s"),
            Self::PerSecond => format!("{}/s", plain(value)),
            Self::Plain => plain(value),
        }
    }
}

/// Three digits that count; none behind the point of a whole or a large number.
fn digits(value: f64) -> String {
    match value.abs() {
        // The positive zero: -0 helps nobody.
        size if size < 0.005 => "0".to_owned(),
        size if size >= 99.95 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn plain(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => format!("{} G", digits(value / 1e9)),
        size if size >= 1e6 => format!("{} M", digits(value / 1e6)),
        size if size >= 1e4 => format!("{} k", digits(value / 1e3)),
        _ => digits(value),
    }
}

fn scaled(value: f64, unit: &str) -> String {
    let (divisor, prefix) = match value.abs() {
        size if size >= 1e12 => (1e12, "T"),
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e3 => (1e3, "k"),
        _ => return format!("{value:.0} {unit}"),
    };
    format!("{} {prefix}{unit}", digits(value / divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_have_their_unit() {
        for (unit, value, expect) in [
            (Unit::Percent, 98.42, "98.4 %"),
            (Unit::Percent, 99.97, "100 %"),
            (Unit::Percent, -0.001, "0 %"),
            (Unit::Plain, 3.0, "3"),
            (Unit::Bytes, 1.5e9, "1.50 GB"),
            (Unit::Bytes, 999.0, "999 B"),
            (Unit::BytesPerSecond, 12_345_678.0, "12.3 MB/s"),
            (Unit::PerSecond, 4321.0, "4321/s"),
            (Unit::PerSecond, 54_321.0, "54.3 k/s"),
            (Unit::Plain, 0.25, "0.25"),
            (Unit::Plain, f64::NAN, "?"),
        ] {
            assert_eq!(unit.show(value), expect);
        }
    }
}
