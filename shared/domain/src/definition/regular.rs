//! Streams of which a record is expected at every interval: what stands in for one that does not come, and
//! when that is told.

use serde::{Deserialize, Serialize};

use super::{Invalid, Stream, invalid};

/// What stands in for a record of a regular stream that did not come. Such a row is marked as imputed; it is
/// learned, and opens no anomaly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapPolicy {
    /// Nothing.
    #[default]
    None,
    /// The values of the row before.
    Previous,
    /// Values on the line from the row before to the row behind, once that has come.
    Linear,
    /// 0 in every value.
    Zero,
    /// This number in every value.
    Fixed(f64),
    /// The values of one season before; those of the row before until one is known.
    Seasonal,
}

/// A season has at most so many intervals: a week of minutes. One value for each is kept, for each feature.
pub const SEASON_ROWS_MAX: u64 = 10_080;
/// A year.
const TIME_MS_MAX: u64 = 366 * 24 * 3_600_000;

impl Stream {
    /// How many intervals a season has; 0 without seasonal gaps.
    pub fn season_rows(&self) -> u64 {
        if self.gaps == GapPolicy::Seasonal { self.season_ms / self.interval_ms.max(1) } else { 0 }
    }

    pub(super) fn check_times(&self) -> Result<(), Invalid> {
        let what = |field: &str| format!("stream {:?}, {field}", self.name);
        let too_long = |ms: u64| ms > TIME_MS_MAX;
        if too_long(self.interval_ms) || too_long(self.season_ms) || too_long(self.series_ttl_ms) {
            let wrong = format!("must be at most a year ({TIME_MS_MAX})");
            return invalid(what("interval_ms, season_ms or series_ttl_ms"), wrong);
        }
        let regular = self.interval_ms > 0;
        if !regular && (self.gaps != GapPolicy::None || self.no_data_after > 0) {
            let wrong = "is needed by gaps and no_data_after: how often does a record come?";
            return invalid(what("interval_ms"), wrong);
        }
        if let GapPolicy::Fixed(value) = self.gaps
            && !value.is_finite()
        {
            return invalid(what("gaps.fixed"), "must be a finite number");
        }
        let whole = regular && self.season_ms.is_multiple_of(self.interval_ms);
        if self.gaps == GapPolicy::Seasonal
            && !(whole && (2..=SEASON_ROWS_MAX).contains(&self.season_rows()))
        {
            let wrong = format!("must be from 2 to {SEASON_ROWS_MAX} whole intervals");
            return invalid(what("season_ms"), wrong);
        }
        if self.gap_rows_max > 100_000 {
            return invalid(what("gap_rows_max"), "must be at most 100000");
        }
        if self.record_ids > 100_000 {
            return invalid(what("record_ids"), "must be at most 100000");
        }
        if self.series_ttl_ms > 0 && self.series_ttl_ms <= self.lateness_ms {
            return invalid(what("series_ttl_ms"), "must be more than lateness_ms, or 0: never");
        }
        Ok(())
    }
}
