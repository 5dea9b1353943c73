//! What can be set: the section `[notification]`. `defaults.toml` says what each key means.

use std::time::Duration;

use runtime::settings::SettingsError;
use serde::Deserialize;

/// Every key with its default, commented.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// The turn and the last attempt in it must end well before a Kafka consumer counts as dead (60 s).
const BUSY_MS_MAX: u64 = 50_000;

/// The section `[notification]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationConfig {
    /// Open anomalies remembered per partition.
    pub open_max: usize,
    /// Finished anomalies, and drifts, remembered per partition.
    pub finished_max: usize,
    /// Channels that may run.
    pub channels_max: usize,
    /// Alerts that a channel takes at a time.
    pub batch_max: usize,
    /// How long one attempt may take, in milliseconds.
    pub attempt_ms_max: u64,
    /// The wait after the first failed attempt, in milliseconds.
    pub backoff_ms: u64,
    /// The longest wait between attempts, in milliseconds.
    pub backoff_ms_max: u64,
    /// How old an alert may become before a failed attempt is its last, in milliseconds.
    pub retry_for_ms: u64,
    /// How long a channel may be busy before it polls again, in milliseconds.
    pub turn_ms_max: u64,
    /// Features that a delivery explains.
    pub contributions_max: usize,
    /// gRPC clients that may subscribe at once.
    pub subscribers_max: usize,
    /// Alerts that wait for a slow gRPC client.
    pub subscriber_queue_max: usize,
}

impl NotificationConfig {
    /// Checks the section as a whole.
    ///
    /// # Errors
    /// The first key that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), SettingsError> {
        let limits = [
            ("open_max", self.open_max, 10_000_000),
            ("finished_max", self.finished_max, 10_000_000),
            ("channels_max", self.channels_max, 1_000),
            ("batch_max", self.batch_max, 10_000),
            ("contributions_max", self.contributions_max, 10_000),
            ("subscribers_max", self.subscribers_max, 10_000),
            ("subscriber_queue_max", self.subscriber_queue_max, 100_000),
        ];
        for (key, value, most) in limits {
            if !(1..=most).contains(&value) {
                return wrong(key, format!("is {value}, it must be from 1 to {most}"));
            }
        }
        let times = [
            ("attempt_ms_max", self.attempt_ms_max),
            ("backoff_ms", self.backoff_ms),
            ("backoff_ms_max", self.backoff_ms_max),
            ("retry_for_ms", self.retry_for_ms),
            ("turn_ms_max", self.turn_ms_max),
        ];
        for (key, value) in times {
            if !(1..=30 * 24 * 3_600_000).contains(&value) {
                return wrong(key, format!("is {value}, it must be from 1 ms to 30 days"));
            }
        }
        if self.backoff_ms > self.backoff_ms_max {
            return wrong("backoff_ms", "must not exceed backoff_ms_max");
        }
        if self.turn_ms_max + self.attempt_ms_max > BUSY_MS_MAX {
            return wrong(
                "turn_ms_max",
                format!("and attempt_ms_max may be {BUSY_MS_MAX} together"),
            );
        }
        Ok(())
    }

    pub(crate) fn attempt_max(&self) -> Duration {
        Duration::from_millis(self.attempt_ms_max)
    }

    pub(crate) fn turn_max(&self) -> Duration {
        Duration::from_millis(self.turn_ms_max)
    }
}

fn wrong(key: &str, what: impl std::fmt::Display) -> Result<(), SettingsError> {
    Err(SettingsError::new(format!("notification.{key} {what}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Settings {
        notification: NotificationConfig,
    }

    fn load(overrides: &[(&str, &str)]) -> Result<NotificationConfig, SettingsError> {
        let overrides: Vec<_> =
            overrides.iter().map(|(k, v)| (format!("notification.{k}"), v.to_string())).collect();
        runtime::settings::load::<Settings>(DEFAULTS, None, [].into(), &overrides)
            .map(|settings| settings.notification)
    }

    /// The defaults.
    pub(crate) fn defaults() -> NotificationConfig {
        load(&[]).unwrap()
    }

    fn check(overrides: &[(&str, &str)], expect: Result<(), &str>) {
        let found = load(overrides).and_then(|config| config.check());
        match (found, expect) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
            }
            (found, expect) => panic!("{overrides:?}: {found:?}, not {expect:?}"),
        }
    }

    #[test]
    fn settings_are_taken_or_refused_by_name() {
        check(&[], Ok(()));
        check(&[("open_max", "0")], Err("notification.open_max is 0"));
        check(&[("colour", "1")], Err("colour"));
        check(&[("backoff_ms", "20000")], Err("must not exceed backoff_ms_max"));
        check(&[("turn_ms_max", "45000")], Err("notification.turn_ms_max"));
        check(&[("turn_ms_max", "soon")], Err("turn_ms_max"));
    }
}
