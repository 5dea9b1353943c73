//! What can be configured, with its bounds.

use std::ops::RangeInclusive;

use runtime::settings::SettingsError;
use serde::Deserialize;

/// The defaults as commented TOML; names every key.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// What no configuration may exceed; decoders stop collecting here.
pub(crate) const FEATURES_MAX: usize = 4_096;
pub(crate) const TAGS_MAX: usize = 256;
pub(crate) const RECORDS_MAX: usize = 100_000;

/// Section `ingest`; see [`DEFAULTS`] for what each key means and its unit.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct IngestConfig {
    /// Largest message on a source: key and value, bytes.
    pub message_bytes_max: usize,
    /// Most records in one message.
    pub records_per_message_max: usize,
    /// Most values of a record.
    pub features_max: usize,
    /// Longest series key or feature name, bytes.
    pub key_bytes_max: usize,
    /// Most tags of a record.
    pub tags_max: usize,
    /// Longest name or value of a tag, bytes.
    pub tag_bytes_max: usize,
    /// How far event time may be past the message's own time, milliseconds; 0: any.
    pub future_ms: u64,
    /// Time between ticks, milliseconds; 0: no ticks.
    pub tick_ms: u64,
    /// The epoch of a source that has no committed memory.
    pub epoch: u32,
    /// Most records of one publish request.
    pub publish_records_max: usize,
    /// Most bytes of one publish request.
    pub publish_bytes_max: usize,
    /// Most publish requests that are appended at a time.
    pub publish_in_flight_max: usize,
    /// How long a publish request waits for its turn, milliseconds.
    pub publish_wait_ms: u64,
}

impl IngestConfig {
    /// Checks all values.
    ///
    /// # Errors
    /// The first key that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), SettingsError> {
        const KIB: usize = 1 << 10;
        const MIB: usize = 1 << 20;
        let bounds: [(&str, usize, RangeInclusive<usize>); 10] = [
            ("message_bytes_max", self.message_bytes_max, KIB..=4 * MIB),
            ("records_per_message_max", self.records_per_message_max, 1..=RECORDS_MAX),
            ("features_max", self.features_max, 1..=FEATURES_MAX),
            ("key_bytes_max", self.key_bytes_max, 1..=4_096),
            ("tags_max", self.tags_max, 0..=TAGS_MAX),
            ("tag_bytes_max", self.tag_bytes_max, 1..=4_096),
            ("epoch", self.epoch as usize, 1..=u32::MAX as usize),
            ("publish_records_max", self.publish_records_max, 1..=RECORDS_MAX),
            ("publish_bytes_max", self.publish_bytes_max, KIB..=64 * MIB),
            ("publish_in_flight_max", self.publish_in_flight_max, 1..=1_024),
        ];
        match bounds.iter().find(|(_, value, range)| !range.contains(value)) {
            None => Ok(()),
            Some((key, value, range)) => Err(SettingsError::new(format!(
                "ingest.{key} is {value}, it must be from {} to {}",
                range.start(),
                range.end()
            ))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        ingest: IngestConfig,
    }

    /// The defaults, for tests.
    pub(crate) fn defaults() -> IngestConfig {
        toml::from_str::<File>(DEFAULTS).unwrap().ingest
    }

    #[test]
    fn the_defaults_are_complete_and_within_their_bounds() {
        defaults().check().unwrap();
    }

    #[test]
    fn a_value_out_of_bounds_is_named() {
        let config = IngestConfig { features_max: 0, ..defaults() };
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("ingest.features_max is 0, it must be from 1 to 4096"), "{error}");
    }
}
