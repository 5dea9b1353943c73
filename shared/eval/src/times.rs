//! Times as the benchmark's files write them: `YYYY-MM-DD HH:MM:SS`, with or without a fraction of a
//! second, which is dropped.

use domain::Micros;

const SECOND: Micros = 1_000_000;
const DAY: Micros = 86_400 * SECOND;

/// Reads a time; `None` for anything else.
pub fn parse(text: &str) -> Option<Micros> {
    let (date, time) = text.trim().split_once([' ', 'T'])?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split('.').next()?.splitn(3, ':').map(number);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let possible = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let days = days_of(year, month, day);
    (possible && civil(days) == (year, month, day))
        .then(|| days * DAY + ((hour * 60 + minute) * 60 + second) * SECOND)
}

/// Writes a time as [`parse`] reads it.
pub fn text(at: Micros) -> String {
    let (year, month, day) = civil(at.div_euclid(DAY));
    let second = at.rem_euclid(DAY) / SECOND;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}", second % 60)
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Days since 1970-01-01, by counting years from 1 March, so that the day of a leap year is the last.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_of`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (written, seconds) in [
            ("1970-01-01 00:00:00", 0),
            ("2000-02-29 12:34:56", 951_827_696),
            ("2014-04-01 00:05:00", 1_396_310_700),
            ("1969-12-31 23:59:59", -1),
        ] {
            assert_eq!(parse(written), Some(seconds * SECOND), "{written}");
            assert_eq!(text(seconds * SECOND), written);
        }
        assert_eq!(parse("2014-04-01 00:05:00.000000"), parse("2014-04-01T00:05:00"));
        for days in -800_000..800_000 {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, month, day), days);
        }
        for wrong in [
            "",
            "2014-04-01",
            "2014-02-30 00:00:00",
            "2014-13-01 00:00:00",
            "2014-04-01 24:00:00",
            "1 2 3",
            "-14-04-01 00:00:00",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
