//! All settings of a process, checked as a whole before anything opens.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use control::SetupOptions;
use detector::DetectorConfig;
use domain::Definition;
use exchange::PollLimits;
use ingest::IngestConfig;
use notification::NotificationConfig;
use runtime::{settings::SettingsError, telemetry::TelemetryConfig};
use serde::Deserialize;
use windowing::WindowingConfig;

const OWN_DEFAULTS: &str = include_str!("defaults.toml");

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) exchange: ExchangeSettings,
    pub(crate) kafka: KafkaSettings,
    pub(crate) worker: WorkerSettings,
    pub(crate) api: ApiSettings,
    pub(crate) definitions: DefinitionsSettings,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) ingest: IngestConfig,
    pub(crate) windowing: WindowingConfig,
    pub(crate) detector: DetectorConfig,
    pub(crate) notification: NotificationConfig,
}

/// Where records and events travel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeSettings {
    pub(crate) kind: Kind,
    pub(crate) partitions: u32,
    pub(crate) records_partitions: u32,
    pub(crate) memory_partition_bytes_max: usize,
}

/// Which exchange.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// In this process.
    Memory,
    /// Apache Kafka.
    Kafka,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSettings {
    pub(crate) brokers: String,
    pub(crate) topic_prefix: String,
    pub(crate) create_topics: bool,
    /// Settings of librdkafka by name, for all clients or behind `consumer.` or `producer.`.
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerSettings {
    pub(crate) instance: String,
    pub(crate) threads: u32,
    cycle_ms: u64,
    batch_messages_max: usize,
    batch_bytes_max: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiSettings {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefinitionsSettings {
    file: String,
}

/// All defaults, commented: what `oddwatch config` prints.
pub(crate) fn defaults() -> String {
    [
        OWN_DEFAULTS,
        ingest::DEFAULTS,
        windowing::DEFAULTS,
        detector::DEFAULTS,
        notification::DEFAULTS,
    ]
    .join("\n")
}

impl Settings {
    /// Reads and checks the settings.
    pub(crate) fn load(
        file: Option<&Path>,
        overrides: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let environment = std::env::vars().collect();
        let settings: Self = runtime::settings::load(&defaults(), file, environment, overrides)?;
        settings.check()?;
        Ok(settings)
    }

    /// The defaults with these overrides, whatever the machine's environment says.
    pub(crate) fn load_defaults(overrides: &[(String, String)]) -> Result<Self, SettingsError> {
        let settings: Self =
            runtime::settings::load(&defaults(), None, Default::default(), overrides)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let wrong = |key: &str, value: &dyn std::fmt::Display, right: &str| {
            Err(SettingsError::new(format!("{key} is {value}, it must be {right}")))
        };
        let exchange = &self.exchange;
        for (key, partitions) in [
            ("exchange.partitions", exchange.partitions),
            ("exchange.records_partitions", exchange.records_partitions),
        ] {
            if !(1..=256).contains(&partitions) {
                return wrong(key, &partitions, "from 1 to 256");
            }
        }
        if !(1..=64).contains(&self.worker.threads) {
            return wrong("worker.threads", &self.worker.threads, "from 1 to 64");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        for (key, text, empty) in [
            ("worker.instance", &self.worker.instance, false),
            ("kafka.topic_prefix", &self.kafka.topic_prefix, true),
        ] {
            if !text.chars().all(plain) || text.is_empty() && !empty {
                return wrong(key, &format!("{text:?}"), "of letters, digits, '-', '_' and '.'");
            }
        }
        self.ingest.check()?;
        self.notification.check()
    }

    /// The definitions of the file, if one is named.
    pub(crate) fn definitions(&self) -> Result<Vec<Definition>, SettingsError> {
        let name = self.definitions.file.as_str();
        if name.is_empty() {
            return Ok(vec![]);
        }
        let text = std::fs::read_to_string(name)
            .map_err(|error| SettingsError::new(format!("definitions.file {name}: {error}")))?;
        let definitions = control::parse_definitions(name, &text)
            .map_err(|e| SettingsError::new(e.to_string()))?;
        for definition in &definitions {
            if let Definition::Stream(stream) = definition {
                ingest::check_stream(stream)
                    .map_err(|e| SettingsError::new(format!("{name}: {e}")))?;
            }
        }
        Ok(definitions)
    }

    /// How topics are set up.
    pub(crate) fn setup(&self) -> SetupOptions {
        SetupOptions {
            topic_prefix: self.kafka.topic_prefix.clone(),
            create_topics: self.kafka.create_topics,
            partitions: self.exchange.partitions,
            records_partitions: self.exchange.records_partitions,
            memory_bytes_max: self.exchange.memory_partition_bytes_max,
        }
    }

    /// Bounds of a worker's poll.
    pub(crate) fn limits(&self) -> PollLimits {
        PollLimits {
            cycle: Duration::from_millis(self.worker.cycle_ms),
            messages_max: self.worker.batch_messages_max.max(1),
            bytes_max: self.worker.batch_bytes_max.max(1),
            ..PollLimits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str, expected: Result<(), &str>) {
        let overrides = [(key.to_owned(), value.to_owned())];
        let found =
            Settings::load_defaults(&overrides).map(|_| ()).map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (found, expected) => panic!("{key} = {value}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn settings_are_complete_and_checked() {
        check("exchange.partitions", "8", Ok(()));
        check(
            "exchange.partitions",
            "0",
            Err("exchange.partitions is 0, it must be from 1 to 256"),
        );
        check("worker.instance", "a b", Err("worker.instance"));
        check("kafka.topic_prefix", "", Ok(()));
        check("api.http", "nowhere", Err("api.http"));
        check("api.htp", "127.0.0.1:1", Err("htp"));
    }
}
