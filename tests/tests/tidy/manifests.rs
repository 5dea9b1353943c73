//! Every crate takes its lints and versions from the workspace: one lint table, one version table.

use toml::{Table, Value};

/// The faults of one crate's manifest.
fn faults(path: &str, text: &str) -> Vec<String> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let mut faults = Vec::new();
    if !inherits(manifest.get("lints")) {
        faults.push(format!("{path}: lacks `[lints] workspace = true`"));
    }
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        if !inherits(manifest.get("package").and_then(|package| package.get(key))) {
            faults.push(format!("{path}: `{key}.workspace = true` expected in [package]"));
        }
    }
    for (name, dependency) in dependencies(&manifest) {
        if !inherits(Some(dependency)) {
            faults.push(format!("{path}: {name} has a version of its own, not the workspace's"));
        }
    }
    faults
}

/// Whether a value is a table with `workspace = true`.
fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

/// All dependencies of a manifest, of every kind and for every target.
fn dependencies(manifest: &Table) -> Vec<(&String, &Value)> {
    const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables =
        targets.into_iter().flat_map(|targets| targets.values().filter_map(Value::as_table));
    std::iter::once(manifest)
        .chain(tables)
        .flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flat_map(Table::iter)
        .collect()
}

#[test]
fn crates_take_lints_and_versions_from_the_workspace() {
    let manifests = super::files("/Cargo.toml");
    super::none(manifests.iter().flat_map(|(path, text)| faults(path, text)).collect());
}

#[test]
fn planted_manifests_are_found() {
    let good = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
                rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
                [lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n";
    let check = |from: &str, to: &str| {
        assert!(good.contains(from));
        faults("a/Cargo.toml", &good.replace(from, to))
    };
    super::none(check("", ""));
    super::one(check("[lints]\nworkspace = true", ""), "[lints]");
    super::one(check("[lints]\nworkspace = true", "[lints]\nworkspace = false"), "[lints]");
    super::one(check("edition.workspace = true", "edition = \"2021\""), "edition");
    super::one(check("serde.workspace = true", "serde = \"1\""), "serde");
    let target = "[target.'cfg(unix)'.dev-dependencies]\nlibc = { version = \"0.2\" }\n";
    super::one(faults("a/Cargo.toml", &format!("{good}{target}")), "libc");
    assert_eq!(faults("a/Cargo.toml", "not toml").len(), 1);
}
