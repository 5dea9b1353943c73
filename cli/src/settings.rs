//! All settings of a process, checked as a whole before anything opens.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use control::{SetupOptions, setup::RECORDS_RETENTION_MS};
use detector::DetectorConfig;
use domain::{Definition, Detector, Limits};
use exchange::{PollLimits, points::Plan};
use ingest::IngestConfig;
use notification::NotificationConfig;
use runtime::{settings::SettingsError, telemetry::TelemetryConfig};
use serde::Deserialize;
use snapshot::{SaverConfig, Store};
use stage::{LossPolicy, Snapshots};
use tokio::runtime::Handle;
use windowing::WindowingConfig;

const OWN_DEFAULTS: &str = include_str!("defaults.toml");

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) exchange: ExchangeSettings,
    pub(crate) data: DataSettings,
    pub(crate) snapshot: SnapshotSettings,
    pub(crate) loss: LossSettings,
    pub(crate) kafka: KafkaSettings,
    pub(crate) worker: WorkerSettings,
    pub(crate) api: ApiSettings,
    pub(crate) definitions: DefinitionsSettings,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) ingest: IngestConfig,
    pub(crate) windowing: WindowingConfig,
    pub(crate) detector: DetectorConfig,
    pub(crate) notification: NotificationConfig,
    /// For tests of real processes only, so not among the defaults.
    #[serde(default)]
    pub(crate) debug: DebugSettings,
}

/// What tests do to a process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DebugSettings {
    /// Where it is to die all of a sudden, as [`exchange::points::Plan`] reads it; empty: nowhere.
    #[serde(default)]
    die_at: String,
}

/// Where records and events travel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeSettings {
    pub(crate) kind: Kind,
    pub(crate) partitions: u32,
    pub(crate) records_partitions: u32,
    pub(crate) memory_partition_bytes_max: usize,
    pub(crate) disk_partition_bytes_max: u64,
    pub(crate) durability: Durability,
}

/// When something counts as durable on disk.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    /// When it survives the death of the process.
    Process,
    /// When it survives a power cut.
    Disk,
}

impl From<Durability> for exchange::memory::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Process => Self::Process,
            Durability::Disk => Self::Disk,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSettings {
    pub(crate) dir: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotSettings {
    url: String,
    every_ms: i64,
    input_bytes: u64,
    slice_bytes: usize,
    kept: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossSettings {
    pub(crate) policy: LossPolicy,
}

/// Which exchange.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// In this process, kept in a directory.
    Disk,
    /// In this process, kept nowhere.
    Memory,
    /// Apache Kafka.
    Kafka,
}

impl Kind {
    /// As it stands in the settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Kafka => "kafka",
        }
    }
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
        self.planned_death()?;
        self.ingest.check()?;
        self.notification.check()
    }

    /// Where the process is to die, if it is to.
    pub(crate) fn planned_death(&self) -> Result<Option<Plan>, SettingsError> {
        let text = self.debug.die_at.as_str();
        let wrong = |why| SettingsError::new(format!("debug.die_at: {why}"));
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
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
        let stream_of = |detector: &Detector| {
            definitions.iter().find_map(|definition| match definition {
                Definition::Stream(stream) if stream.name == detector.stream => Some(stream),
                _ => None,
            })
        };
        for definition in &definitions {
            let checked = match definition {
                Definition::Stream(stream) => ingest::check_stream(stream),
                Definition::Detector(d) => detector::check_detector(d, stream_of(d)),
                _ => Ok(()),
            };
            checked.map_err(|e| SettingsError::new(format!("{name}: {e}")))?;
        }
        Ok(definitions)
    }

    /// What states may take: in force by config version, since limits decide.
    pub(crate) fn state_limits(&self) -> Definition {
        let WindowingConfig { series_max, features_max, held_rows_max } = self.windowing;
        Definition::Limits(Limits {
            series_max: series_max as u64,
            features_max: features_max as u64,
            held_rows_max: held_rows_max as u64,
            model_bytes_max: self.detector.model_bytes_max as u64,
        })
    }

    /// How topics are set up.
    pub(crate) fn setup(&self) -> SetupOptions {
        SetupOptions {
            topic_prefix: self.kafka.topic_prefix.clone(),
            create_topics: self.kafka.create_topics,
            partitions: self.exchange.partitions,
            records_partitions: self.exchange.records_partitions,
            input_retention_ms: (self.snapshot.url != "off").then_some(RECORDS_RETENTION_MS),
            memory_bytes_max: self.exchange.memory_partition_bytes_max,
        }
    }

    /// Where snapshots go, and when; `None` if nowhere. What can't be used is said, and done without.
    pub(crate) fn snapshots(&self, handle: Option<Handle>) -> Option<Snapshots> {
        let SnapshotSettings { url, every_ms, input_bytes, slice_bytes, kept } = &self.snapshot;
        let url = match url.as_str() {
            "off" => return None,
            "" if self.exchange.kind == Kind::Memory => return None,
            "" => self.data.dir.join("snapshots").display().to_string(),
            url => url.to_owned(),
        };
        let config = SaverConfig {
            every_ms: *every_ms,
            // All that the kept ones need must fit into a partition of the log.
            input_bytes: match self.exchange.kind {
                Kind::Kafka => *input_bytes,
                _ => (*input_bytes).min(self.exchange.disk_partition_bytes_max / 8),
            },
            slice_bytes: *slice_bytes,
            kept: (*kept).max(1),
            ..SaverConfig::default()
        };
        match Store::open(&url, handle) {
            Ok(store) => Some(Snapshots { store: Arc::new(store), config, inline: false }),
            Err(error) => {
                tracing::error!(%error, "no snapshots: each restart replays all input");
                None
            }
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
        check("debug.die_at", "after_send:3", Ok(()));
        check("debug.die_at", "after_send", Err("debug.die_at"));
        check("api.http", "nowhere", Err("api.http"));
        check("api.htp", "127.0.0.1:1", Err("htp"));
    }
}
