//! A definitions file: streams, detectors and channels in TOML, for those who prefer a file to the API. Models that
//! it names are files beside it and become part of the definitions.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use domain::{Algorithm, Channel, Definition, Definitions, Detector, GivenModel, Stream};
use serde::Deserialize;

use crate::Error;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DefinitionsFile {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    detectors: Vec<Detector>,
    #[serde(default)]
    channels: Vec<Channel>,
}

/// Reads the text of a definitions file; `name` is its path, beside which the models lie that it names.
///
/// # Errors
/// What is wrong, where in the file, and what would be right.
pub fn parse_definitions(name: &str, text: &str) -> Result<Vec<Definition>, Error> {
    let mut file: DefinitionsFile =
        toml::from_str(text).map_err(|error| Error::Invalid(format!("{name}: {error}")))?;
    for detector in &mut file.detectors {
        read_models(Path::new(name), &mut detector.algorithm).map_err(|(model, error)| {
            let what = format!("{name}: detector {:?}, algorithm.model", detector.name);
            Error::Invalid(format!("{what}: {model}: {error}"))
        })?;
    }
    let definitions: Vec<_> = file
        .streams
        .into_iter()
        .map(Definition::Stream)
        .chain(file.detectors.into_iter().map(Definition::Detector))
        .chain(file.channels.into_iter().map(Definition::Channel))
        .collect();
    let mut all = Definitions::default();
    let mut keys = std::collections::BTreeSet::new();
    for definition in &definitions {
        if !keys.insert(definition.key()) {
            return Err(Error::Invalid(format!("{name}: {} stands twice", definition.key())));
        }
        all.apply(0, definition.clone());
    }
    all.check().map_err(|error| Error::Invalid(format!("{name}: {error}")))?;
    Ok(definitions)
}

/// Reads what an algorithm and its members name, each from beside the definitions file.
fn read_models(file: &Path, algorithm: &mut Algorithm) -> Result<(), (String, io::Error)> {
    if let Some(given) = &mut algorithm.model {
        let name = given.name().to_owned();
        let path = file.parent().unwrap_or(Path::new("")).join(&name);
        let bytes = read_bounded(&path).map_err(|error| (name.clone(), error))?;
        *given = GivenModel::new(name, bytes);
    }
    algorithm.members.iter_mut().try_for_each(|member| read_models(file, member))
}

/// One byte more than a model may have tells that it has too many.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    File::open(path)?.take(GivenModel::BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(text: &str, expected: Result<usize, &str>) {
        match (parse_definitions("d.toml", text), expected) {
            (Ok(found), Ok(count)) => assert_eq!(found.len(), count),
            (Err(error), Err(part)) => {
                let error = error.to_string();
                assert!(error.starts_with("d.toml: ") && error.contains(part), "{error}");
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_file_is_read_or_refused_with_the_reason() {
        check("", Ok(0));
        check(
            r#"
            [[streams]]
            name = "orders"
            topic = "shop.orders"
            format = { key = "/shop", time = "/at", values = { total = "/sum/total" } }
            lateness_ms = 5000
            windows = [{ name = "last20", size = 20, slide = 5, features = ["mean", "std"] }]

            [[detectors]]
            name = "orders-total"
            stream = "orders"
            window = "last20"
            algorithm = { kind = "half_space_trees", trees = 10 }
            threshold = { contamination = 0.001 }

            [[channels]]
            name = "ops"
            kind = "webhook"
            url = "https://ops.example/hook"
            "#,
            Ok(3),
        );
        check("[[streams]]\nname = \"a b\"", Err("must be 1 to 100 characters"));
        check("[[streams]]\nname = \"a\"\ncolour = 1", Err("colour"));
        check("[[detectors]]\nname = \"d\"\nstream = \"x\"", Err("there is no stream \"x\""));
        check("[[detectors]]\nname = \"d\"\nstream = \"default\"", Ok(1));
        check(
            "[[streams]]\nname = \"a\"\n[[streams]]\nname = \"b\"",
            Err("is read by stream \"a\" already"),
        );
        let window = |name: &str| format!("{{ name = {name:?}, size = 9, features = [\"std\"] }}");
        let two =
            |other| format!("[[streams]]\nname = \"a\"\nwindows = [{}, {other}]", window("w"));
        check(&two(window("v")), Ok(1));
        check(&two(window("w")), Err("stream \"a\", windows: two have the same name"));
        check("[[channels]]\nname = \"c\"\nkind = \"nats\"\nurl = \"nats://a:1\"", Ok(1));
        check(
            "[[channels]]\nname = \"c\"\nkind = \"nats\"\nurl = \"nats://a:1\"\nx = 1",
            Err("`x`"),
        );
        check("[[channels]]\nname = \"c\"\nkind = \"nats\"\nurl = \"a:1\"", Err("nats://"));
    }
    #[test]
    fn models_are_read_from_beside_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("models")).expect("a folder");
        fs::write(folder.path().join("models/a.onnx"), b"abc").expect("a file");
        let large = vec![7; GivenModel::BYTES_MAX + 1];
        fs::write(folder.path().join("large.onnx"), large).expect("a file");
        let path = folder.path().join("d.toml").display().to_string();
        let of = |algorithm: &str| {
            let text = format!(
                "[[detectors]]\nname = \"d\"\nstream = \"default\"\nalgorithm = {algorithm}"
            );
            parse_definitions(&path, &text).map_err(|error| error.to_string())
        };
        let one = "{ kind = \"onnx\", model = \"models/a.onnx\" }";
        for algorithm in [one, &format!("{{ kind = \"ensemble\", members = [{one}] }}")] {
            let definitions = of(algorithm).expect("definitions");
            let [Definition::Detector(detector)] = &definitions[..] else { panic!("a detector") };
            let given: Vec<_> = detector.algorithm.given().collect();
            assert_eq!((given[0].name(), given[0].bytes()), ("models/a.onnx", &b"abc"[..]));
        }
        for (algorithm, wrong) in [
            ("{ kind = \"onnx\" }", "must name a file"),
            ("{ kind = \"onnx\", model = \"b.onnx\" }", "b.onnx: No such file"),
            ("{ kind = \"onnx\", model = \"large.onnx\" }", "large.onnx has more than 1048576"),
            ("{ kind = \"lof\", model = \"models/a.onnx\" }", "only onnx runs a model"),
        ] {
            let error = of(algorithm).expect_err(algorithm);
            let start = format!("{path}: detector \"d\", algorithm.model: ");
            assert!(error.starts_with(&start) && error.contains(wrong), "{error}");
        }
    }
}
