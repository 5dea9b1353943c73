//! Configuration: embedded defaults, then a file, then the environment (`ODDWATCH_SECTION__KEY`), then
//! overrides from the command line. Unknown keys are refused by the types that the services give.

use std::{collections::HashMap, path::Path};

use config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

/// Configuration that can't be used; exit with 78.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct SettingsError(String);

impl SettingsError {
    /// An error by its words: which key, what is wrong, what would be right.
    pub fn new(wrong: impl Into<String>) -> Self {
        Self(wrong.into())
    }
}

/// Reads settings.
///
/// `defaults` is TOML and names every key. `environment` is usually [`std::env::vars`]; tests pass a map.
/// `overrides` are `section.key` and value.
///
/// # Errors
/// What is wrong with which key, in one line.
pub fn load<T: DeserializeOwned>(
    defaults: &str,
    file: Option<&Path>,
    environment: HashMap<String, String>,
    overrides: &[(String, String)],
) -> Result<T, SettingsError> {
    let mut builder = Config::builder().add_source(File::from_str(defaults, FileFormat::Toml));
    if let Some(file) = file {
        if !file.is_file() {
            return Err(SettingsError(format!("{}: no such file", file.display())));
        }
        builder = builder.add_source(File::from(file).format(FileFormat::Toml));
    }
    let environment = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("ODDWATCH_") && name.contains("__"))
        .collect();
    let environment = Environment::with_prefix("ODDWATCH")
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .source(Some(environment));
    builder = builder.add_source(environment);
    for (key, value) in overrides {
        builder = builder
            .set_override(key, value.as_str())
            .map_err(|error| SettingsError(format!("{key}: {error}")))?;
    }
    let config = builder.build().map_err(|error| SettingsError(error.to_string()))?;
    config.try_deserialize().map_err(|error| SettingsError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        kafka: Kafka,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Kafka {
        brokers: String,
        partitions: u32,
    }

    const DEFAULTS: &str = "[kafka]\nbrokers = \"localhost:9092\"\npartitions = 4\n";

    fn check(environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Kafka, String> {
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
        };
        load::<Settings>(DEFAULTS, None, own(environment).into_iter().collect(), &own(overrides))
            .map(|settings| settings.kafka)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_source_wins_over_the_one_before() {
        let kafka = check(&[], &[]).unwrap();
        assert_eq!(kafka, Kafka { brokers: "localhost:9092".into(), partitions: 4 });
        let env = [("ODDWATCH_KAFKA__BROKERS", "a:1"), ("ODDWATCH_KAFKA__PARTITIONS", "8")];
        assert_eq!(check(&env, &[]).unwrap(), Kafka { brokers: "a:1".into(), partitions: 8 });
        let kafka = check(&env, &[("kafka.brokers", "b:2")]).unwrap();
        assert_eq!(kafka, Kafka { brokers: "b:2".into(), partitions: 8 });
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_by_name() {
        assert!(check(&[("ODDWATCH_KAFKA__BROKER", "a")], &[]).unwrap_err().contains("broker"));
        let error = check(&[("ODDWATCH_KAFKA__PARTITIONS", "many")], &[]).unwrap_err();
        assert!(error.contains("partitions"), "{error}");
        assert_eq!(check(&[("ODDWATCH_DATA", "x")], &[]).unwrap().partitions, 4);
    }
}
