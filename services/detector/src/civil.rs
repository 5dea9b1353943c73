//! Event time on the wall clock of a stream's zone: what an hour of the day is to the people there.

use chrono::{DateTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;
use domain::{Micros, Stream};

/// The zone of a stream's series; `None` is UTC. Ingest refuses records of a stream whose zone is
/// unknown, so there are no rows of one.
pub(crate) fn zone_of(stream: Option<&Stream>) -> Option<Tz> {
    stream?.format.zone.as_deref()?.parse().ok()
}

/// The wall clock's time, counted as if it were UTC. An instant beyond the calendar is left as it
/// is.
pub(crate) fn civil(at: Micros, zone: Option<Tz>) -> Micros {
    let shift = zone
        .zip(DateTime::from_timestamp_micros(at))
        .map(|(zone, utc)| zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc());
    at.saturating_add(i64::from(shift.unwrap_or(0)) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use domain::Format;

    use super::*;

    #[test]
    fn summer_and_winter_differ_and_utc_does_not() {
        let zone = |name: &str| {
            let format = Format { zone: Some(name.to_owned()), ..Format::default() };
            zone_of(Some(&Stream { format, ..Stream::implicit() }))
        };
        let hour = 3_600_000_000;
        let (winter, summer) = (1_704_067_200_000_000, 1_719_792_000_000_000);
        assert_eq!(civil(winter, zone("Europe/Berlin")), winter + hour);
        assert_eq!(civil(summer, zone("Europe/Berlin")), summer + 2 * hour);
        assert_eq!(civil(winter, zone("UTC")), winter);
        assert_eq!((civil(winter, None), civil(i64::MAX, zone("Asia/Tokyo"))), (winter, i64::MAX));
    }
}
