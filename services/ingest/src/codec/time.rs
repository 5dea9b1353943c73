//! Times as people write them, to microseconds since 1970.
//!
//! - Text: RFC 3339, or the same without an offset, which is then local time in the stream's zone:
//!   `2024-05-01T12:00:00.25+02:00`, `2024-05-01 12:00:00`, `2024-05-01` (midnight). Digits beyond the
//!   sixth of a second are cut off. Second 60 (a leap second) is the first of the next minute.
//! - A local time that occurs twice is the first of the two; one that is skipped is counted with the offset
//!   before the gap, so it moves forward by the gap's length.
//! - Numbers, also in text, are Unix time; the unit follows from the size of the number: below 1e11 seconds
//!   (to the year 5138), below 1e14 milliseconds (from 1973), below 1e17 microseconds, else nanoseconds.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use domain::{Micros, Reason};

use super::{Fault, quoted};
use crate::streams::Zone;

const SECOND: i64 = 1_000_000;
/// 0001-01-01T00:00:00Z.
pub(crate) const TIME_MIN: Micros = -62_135_596_800 * SECOND;
/// The last microsecond of the year 9999.
pub(crate) const TIME_MAX: Micros = 253_402_300_800 * SECOND - 1;

const EXPECTED: &str = "RFC 3339, YYYY-MM-DD HH:MM:SS or Unix s, ms, us or ns is expected";

/// Passes times within the years 1 to 9999.
pub(crate) fn within_bounds(time: i128) -> Result<Micros, Fault> {
    match Micros::try_from(time) {
        Ok(time) if (TIME_MIN..=TIME_MAX).contains(&time) => Ok(time),
        _ => Err(Fault::new(
            Reason::TimeOutOfBounds,
            format!("{time} us since 1970 is outside of the years 1 to 9999"),
        )),
    }
}

/// Unix time of a unit that follows from its size.
pub(crate) fn of_integer(number: i128) -> Result<Micros, Fault> {
    const SECONDS: u128 = 100_000_000_000;
    const MILLISECONDS: u128 = 1_000 * SECONDS;
    const MICROSECONDS: u128 = 1_000 * MILLISECONDS;
    let time = match number.unsigned_abs() {
        size if size < SECONDS => number * 1_000_000,
        size if size < MILLISECONDS => number * 1_000,
        size if size < MICROSECONDS => number,
        _ => number.div_euclid(1_000),
    };
    within_bounds(time)
}

/// Unix time of a unit that follows from its size, to the nearest microsecond.
pub(crate) fn of_float(number: f64) -> Result<Micros, Fault> {
    let size = number.abs();
    let time = if size < 1e11 {
        number * 1e6
    } else if size < 1e14 {
        number * 1e3
    } else if size < 1e17 {
        number
    } else {
        number / 1e3
    };
    // The cast saturates, and NaN can't come: JSON has none and text is checked for digits.
    within_bounds(time.round() as i128)
}

/// A time in any of the forms above.
pub(crate) fn of_text(text: &str, zone: &Zone) -> Result<Micros, Fault> {
    let text = text.trim();
    if let Some((local, offset)) = parse(text.as_bytes()) {
        let offset = match offset {
            Some(seconds) => seconds,
            None => offset_of(local, zone)?,
        };
        return within_bounds(i128::from(local) - i128::from(offset) * i128::from(SECOND));
    }
    let is_number = text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if is_number && let Ok(number) = text.parse::<i128>() {
        return of_integer(number);
    }
    if is_number && let Ok(number) = text.parse::<f64>() {
        return of_float(number);
    }
    if has_long_year(text) {
        let detail = format!("{} is outside of the years 1 to 9999", quoted(text));
        return Err(Fault::new(Reason::TimeOutOfBounds, detail));
    }
    Err(Fault::new(Reason::WrongType, format!("{} is no time: {EXPECTED}", quoted(text))))
}

/// A date whose year has more than four digits or a sign is a time, but not one that can be used.
fn has_long_year(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let year = digits.bytes().take_while(u8::is_ascii_digit).count();
    let signed = digits.len() < text.len();
    (year > 4 || (signed && year == 4)) && digits.as_bytes().get(year) == Some(&b'-')
}

/// Microseconds of the date and time as written, and its offset in seconds if there is one.
fn parse(text: &[u8]) -> Option<(i64, Option<i64>)> {
    let number = |from: usize, to: usize| -> Option<i64> {
        text.get(from..to)?.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })
    };
    let byte = |at: usize| text.get(at).copied();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if byte(4) != Some(b'-') || byte(7) != Some(b'-') || !is_date(year, month, day) {
        return None;
    }
    let days = days_since_1970(year, month, day);
    if text.len() == 10 {
        return Some((days * 86_400 * SECOND, None));
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let marks = matches!(byte(10), Some(b'T' | b't' | b' '))
        && byte(13) == Some(b':')
        && byte(16) == Some(b':');
    if !marks || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut fraction = 0;
    if byte(at) == Some(b'.') {
        let digits = text[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        let kept = digits.min(6);
        fraction = number(at + 1, at + 1 + kept)? * 10_i64.pow(6 - kept as u32);
        at += 1 + digits;
        if digits == 0 {
            return None;
        }
    }
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds * SECOND + fraction, offset(&text[at..])?))
}

/// `Z`, `+hh:mm`, `+hhmm` or nothing, in seconds east of UTC.
fn offset(text: &[u8]) -> Option<Option<i64>> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let (sign, digits) = match *text {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [sign @ (b'+' | b'-'), a, b, b':', c, d] | [sign @ (b'+' | b'-'), a, b, c, d] => {
            (sign, [a, b, c, d])
        }
        _ => return None,
    };
    let [a, b, c, d] = digits.map(digit);
    let (hours, minutes) = (a? * 10 + b?, c? * 10 + d?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3_600 + minutes * 60;
    Some(Some(if sign == b'-' { -seconds } else { seconds }))
}

fn is_date(year: i64, month: i64, day: i64) -> bool {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// Days from 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
/// algorithms"): years begin in March, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The offset of a local time in seconds east of UTC.
fn offset_of(local: i64, zone: &Zone) -> Result<i64, Fault> {
    match zone {
        Zone::Utc => Ok(0),
        Zone::Named(zone) => Ok(DateTime::from_timestamp_micros(local)
            .map_or(0, |local| offset_in(zone, local.naive_utc()))),
        Zone::Unknown(name) => Err(Fault::new(
            Reason::WrongType,
            format!("a time without an offset, and the stream's zone {name:?} is no IANA zone"),
        )),
    }
}

fn offset_in(zone: &Tz, local: NaiveDateTime) -> i64 {
    // A gap is an hour, half of one, or (islands that crossed the date line) a day.
    const STEPS: i32 = 50;
    let mut before = local;
    for _ in 0..STEPS {
        match zone.offset_from_local_datetime(&before) {
            LocalResult::Single(offset) => return offset.fix().local_minus_utc().into(),
            LocalResult::Ambiguous(first, second) => {
                let (first, second) =
                    (first.fix().local_minus_utc(), second.fix().local_minus_utc());
                // The larger offset comes first; behind a gap the later one is in force.
                let offset = if before == local { first.max(second) } else { first.min(second) };
                return offset.into();
            }
            LocalResult::None => before -= TimeDelta::minutes(30),
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        Zone::Named(chrono_tz::Europe::Berlin)
    }

    fn check(text: &str, zone: &Zone, expected: Result<i64, Reason>) {
        let found = of_text(text, zone).map_err(|fault| fault.reason);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn text_is_a_time() {
        let noon = 1_714_564_800 * SECOND;
        for text in [
            "2024-05-01T12:00:00Z",
            "2024-05-01t12:00:00z",
            "2024-05-01 12:00:00",
            " 2024-05-01T12:00:00 ",
            "2024-05-01T14:00:00+02:00",
            "2024-05-01 04:30:00-0730",
            "1714564800",
            "1714564800000",
            "1714564800000000",
            "1714564800000000000",
            "1714564800.0",
            "1.7145648e9",
        ] {
            check(text, &Zone::Utc, Ok(noon));
        }
        check("2024-05-01T12:00:00.25Z", &Zone::Utc, Ok(noon + 250_000));
        check("2024-05-01T12:00:00.1234569Z", &Zone::Utc, Ok(noon + 123_456));
        check("2024-05-01", &Zone::Utc, Ok(noon - 43_200 * SECOND));
        check("2016-12-31T23:59:60Z", &Zone::Utc, Ok(1_483_228_800 * SECOND));
        check("0001-01-01T00:00:00Z", &Zone::Utc, Ok(TIME_MIN));
        check("9999-12-31T23:59:59.999999Z", &Zone::Utc, Ok(TIME_MAX));
        check("1969-12-31T23:59:59Z", &Zone::Utc, Ok(-SECOND));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "now",
            "2024-02-30 00:00:00",
            "2024-05-01T25:00:00Z",
            "2024-05-01T12:00Z",
            "2024-05-01T12:00:00.Z",
            "2024-05-01T12:00:00+99:00",
            "2024-05-01T12:00:00Z!",
            "nan",
            "inf",
            "-",
            "1e",
            "2024-05-01x12:00:00",
            "٢٠٢٤-05-01T12:00:00Z",
        ] {
            check(text, &Zone::Utc, Err(Reason::WrongType));
        }
        for text in [
            "0000-01-01T00:00:00Z",
            "12024-05-01T12:00:00Z",
            "-0044-03-15T12:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "1e30",
            "1e999",
            "99999999999999999999999999999",
        ] {
            check(text, &Zone::Utc, Err(Reason::TimeOutOfBounds));
        }
    }

    fn utc(text: &str) -> Result<i64, Reason> {
        of_text(text, &Zone::Utc).map_err(|fault| fault.reason)
    }

    #[test]
    fn local_times_follow_the_zone() {
        check("2024-07-01 12:00:00", &berlin(), utc("2024-07-01T10:00:00Z"));
        // Skipped: 02:30 did not occur, it is 03:30.
        check("2024-03-31 02:30:00", &berlin(), utc("2024-03-31T01:30:00Z"));
        // Twice: the first.
        check("2024-10-27 02:30:00", &berlin(), utc("2024-10-27T00:30:00Z"));
        // A whole day was skipped.
        let apia = Zone::Named(chrono_tz::Pacific::Apia);
        check("2011-12-30 12:00:00", &apia, utc("2011-12-30T22:00:00Z"));
        check("2024-07-01 12:00:00", &Zone::Unknown("x".into()), Err(Reason::WrongType));
        check("2024-07-01T12:00:00Z", &Zone::Unknown("x".into()), Ok(1_719_835_200 * SECOND));
    }

    proptest::proptest! {
        #[test]
        fn dates_agree_with_chrono(seconds in TIME_MIN / SECOND..=TIME_MAX / SECOND, micros in 0..SECOND) {
            let time = seconds * SECOND + micros;
            let written = DateTime::from_timestamp_micros(time).unwrap();
            let text = written.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            proptest::prop_assert_eq!(of_text(&text, &Zone::Utc).unwrap(), time);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = of_text(&text, &Zone::Utc);
        }
    }
}
