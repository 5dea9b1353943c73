//! Which detector is measured: an algorithm by name, or one of a definitions file, with parameters set
//! on the command line.

use std::{fs, path::PathBuf};

use domain::{Algorithm, Definition, Detector, Kind, definition::DEFAULT_STREAM};

use crate::failure::Failure;

/// A detector, as the command line names it.
#[derive(clap::Args, Default)]
pub(crate) struct Choice {
    /// An algorithm, or a detector of the file of definitions [default: the file's only one, else
    /// `auto`].
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,
    /// A parameter of the algorithm, such as `window=128`; wins over the file of definitions.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// A file of streams, detectors and channels (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) definitions: Option<PathBuf>,
}

impl Choice {
    /// The detector that is meant.
    pub(crate) fn detector(&self) -> Result<Detector, Failure> {
        let mut detector = self.named()?;
        if let Some(window) = &detector.window {
            return Err(Failure::usage(format!(
                "--detector: {:?} scores rows of window {window:?}; only detectors that score records can \
                 be measured",
                detector.name
            )));
        }
        for (name, text) in &self.set {
            let value = text
                .parse()
                .map_err(|_| Failure::usage(format!("--set {name}: {text:?} is not a number")))?;
            detector.algorithm = detector.algorithm.with(name, value);
        }
        if detector.algorithm.kind == Kind::Auto && !self.set.is_empty() {
            return Err(Failure::usage(format!(
                "--set: auto has no parameters; name an algorithm with --detector: {}",
                algorithms()
            )));
        }
        let checked = detector.check().and_then(|()| detector::check_detector(&detector, None));
        checked.map_err(|wrong| Failure::usage(wrong.to_string()))?;
        Ok(detector)
    }

    fn named(&self) -> Result<Detector, Failure> {
        let defined = self.defined()?;
        let Some(name) = &self.detector else {
            return match &defined[..] {
                [] => Ok(Detector::implicit(DEFAULT_STREAM)),
                [only] => Ok(only.clone()),
                more => Err(Failure::usage(format!(
                    "--detector: which one? The file of definitions has {}",
                    names(more)
                ))),
            };
        };
        if let Some(found) = defined.iter().find(|detector| detector.name == *name) {
            return Ok(found.clone());
        }
        if let Some(kind) = Kind::ALL.iter().find(|kind| kind.name() == name) {
            let algorithm = Algorithm::new(*kind);
            return Ok(Detector { algorithm, ..Detector::implicit(DEFAULT_STREAM) });
        }
        let mut right = format!("the algorithms are {}", algorithms());
        if self.definitions.is_some() {
            right.push_str(&format!("; the file of definitions has {}", names(&defined)));
        }
        Err(Failure::usage(format!("--detector: there is no {name:?}; {right}")))
    }

    /// The detectors of the file of definitions.
    fn defined(&self) -> Result<Vec<Detector>, Failure> {
        let Some(path) = &self.definitions else { return Ok(vec![]) };
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::configuration(format!("{name}: {error}")))?;
        let all = control::parse_definitions(&name, &text)?;
        let detector = |definition| match definition {
            Definition::Detector(detector) => Some(detector),
            _ => None,
        };
        Ok(all.into_iter().filter_map(detector).collect())
    }
}

fn names(detectors: &[Detector]) -> String {
    let names: Vec<&str> = detectors.iter().map(|detector| detector.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn algorithms() -> String {
    Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be PARAMETER=VALUE, such as window=128".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// What is chosen, its algorithm, or what is said against it.
    fn check(detector: &str, set: &[(&str, &str)], file: &str, expect: Result<&str, &str>) {
        let mut definitions = tempfile::NamedTempFile::new().unwrap();
        definitions.write_all(file.as_bytes()).unwrap();
        let choice = Choice {
            detector: (!detector.is_empty()).then(|| detector.to_owned()),
            set: set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            definitions: (!file.is_empty()).then(|| definitions.path().to_owned()),
        };
        match (choice.detector(), expect) {
            (Ok(found), Ok(expect)) => {
                assert_eq!(format!("{} {}", found.name, found.algorithm), expect);
            }
            (Err(failure), Err(part)) => {
                assert!(failure.to_string().contains(part), "{failure}");
            }
            (found, expect) => panic!("{found:?}, not {expect:?}"),
        }
    }

    #[test]
    fn detectors_are_found_by_name() {
        const TWO: &str = "[[detectors]]\nname = \"a\"\nstream = \"default\"\n\
            algorithm = { kind = \"robust_z\", window = 100 }\n\
            [[detectors]]\nname = \"b\"\nstream = \"default\"\n";
        check("", &[], "", Ok("default auto"));
        check("robust_z", &[], "", Ok("default robust_z"));
        check("robust_z", &[("window", "64")], "", Ok("default robust_z(window=64)"));
        check("a", &[], TWO, Ok("a robust_z(window=100)"));
        check("a", &[("window", "64")], TWO, Ok("a robust_z(window=64)"));
        check("robust_z", &[], TWO, Ok("default robust_z"));
        check("", &[], "[[detectors]]\nname = \"a\"\nstream = \"default\"\n", Ok("a auto"));
        check("", &[], TWO, Err("which one? The file of definitions has a, b"));
        check("c", &[], TWO, Err("there is no \"c\"; the algorithms are auto, robust_z"));
        check("c", &[], TWO, Err("; the file of definitions has a, b"));
    }

    #[test]
    fn wrong_parameters_are_named() {
        check("robust_z", &[("window", "wide")], "", Err("--set window: \"wide\" is not a number"));
        check("robust_z", &[("window", "1")], "", Err("window: must be from 8 to 10000"));
        check("robust_z", &[("width", "9")], "", Err("has no such parameter; it has window"));
        check("", &[("window", "9")], "", Err("auto has no parameters; name an algorithm"));
        assert!(key_value("window").is_err() && key_value("=1").is_err());
    }
}
