//! A definitions file: streams, detectors and channels in TOML, for those who prefer a file to the API.

use domain::{Channel, Definition, Definitions, Detector, Stream};
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

/// Reads the text of a definitions file; `name` is for messages.
///
/// # Errors
/// What is wrong, where in the file, and what would be right.
pub fn parse_definitions(name: &str, text: &str) -> Result<Vec<Definition>, Error> {
    let file: DefinitionsFile =
        toml::from_str(text).map_err(|error| Error::Invalid(format!("{name}: {error}")))?;
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

#[cfg(test)]
mod tests {
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
}
