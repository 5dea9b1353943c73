//! Which of our crates may know which. The table is the architecture: a new edge is a decision,
//! made here and in ARCHITECTURE.md. Dependencies for tests and build scripts count as well.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// What every service may know; beside it a service knows the pure crate that it runs, never
/// another service.
const SERVICE: &[&str] = &[
    "oddwatch-domain",
    "oddwatch-wire",
    "oddwatch-exchange",
    "oddwatch-control",
    "oddwatch-snapshot",
    "oddwatch-stage",
    "oddwatch-runtime",
];

/// What may be known by a crate: one of the lists plus some more names.
const ALLOWED: &[(&str, &[&str], &[&str])] = &[
    ("oddwatch-domain", &[], &[]),
    ("oddwatch-detect", &[], &["oddwatch-domain"]),
    ("oddwatch-drift", &[], &["oddwatch-domain"]),
    ("oddwatch-eval", &[], &["oddwatch-domain", "oddwatch-detect", "oddwatch-drift"]),
    ("oddwatch-peers", &[], &["oddwatch-domain", "oddwatch-detect", "oddwatch-eval"]),
    ("oddwatch-wire", &[], &["oddwatch-domain"]),
    ("oddwatch-exchange", &[], &[]),
    ("oddwatch-snapshot", &[], &[]),
    ("oddwatch-runtime", &[], &[]),
    ("oddwatch-control", &[], &["oddwatch-domain", "oddwatch-wire", "oddwatch-exchange"]),
    (
        "oddwatch-stage",
        &["oddwatch-domain", "oddwatch-wire", "oddwatch-exchange"],
        &["oddwatch-control", "oddwatch-snapshot", "oddwatch-runtime"],
    ),
    ("oddwatch-ingest", SERVICE, &[]),
    ("oddwatch-windowing", SERVICE, &["oddwatch-drift"]),
    ("oddwatch-detector", SERVICE, &["oddwatch-detect"]),
    ("oddwatch-notification", SERVICE, &[]),
];

/// The crates at the top may know all others; nobody may know them, save the tests the first.
const TOP: &[&str] = &["oddwatch", "oddwatch-tests"];

/// One of our crates and those of ours that it depends on.
struct Crate {
    name: String,
    needs: BTreeSet<String>,
}

/// The faults of a workspace's crates against the table.
fn faults(crates: &[Crate]) -> Vec<String> {
    let mut faults = Vec::new();
    for one in crates {
        let name = one.name.as_str();
        let row = ALLOWED.iter().find(|(listed, _, _)| *listed == name);
        if row.is_none() && !TOP.contains(&name) {
            faults.push(format!("{name}: not in the table of crates"));
        }
        for need in &one.needs {
            let need = need.as_str();
            let allowed = match row {
                Some((_, list, more)) => list.contains(&need) || more.contains(&need),
                None if name == "oddwatch-tests" => need != name,
                None => !TOP.contains(&need),
            };
            if !allowed {
                faults.push(format!("{name} -> {need}: an edge that the table does not have"));
            }
        }
    }
    faults
}

/// The crates of what `cargo metadata` says; a renamed dependency counts by its true name.
fn crates(metadata: &Value) -> Vec<Crate> {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let names: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let of = |package: &Value| Crate {
        name: package["name"].as_str().unwrap_or_default().to_string(),
        needs: (package["dependencies"].as_array().into_iter().flatten())
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| names.contains(name))
            .map(str::to_string)
            .collect(),
    };
    packages.iter().map(of).collect()
}

#[test]
fn crates_know_only_what_the_table_allows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(super::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let crates = crates(&metadata);
    assert!(crates.len() > ALLOWED.len() / 2, "only {} crates found", crates.len());
    super::none(faults(&crates));
}

#[test]
fn planted_edges_are_found() {
    // A dependency's `rename` must not hide it, nor its kind.
    let workspace = |from: &str, to: &str| {
        let text = format!(
            r#"{{"packages": [
                {{"name": "{from}", "dependencies": [
                    {{"name": "serde", "kind": null}},
                    {{"name": "{to}", "rename": "harmless", "kind": "dev"}}]}},
                {{"name": "{to}", "dependencies": []}}]}}"#
        );
        faults(&crates(&serde_json::from_str(&text).expect("the text above is JSON")))
    };
    for (from, to) in [
        ("oddwatch-domain", "oddwatch-detect"),
        ("oddwatch-detect", "oddwatch-drift"),
        ("oddwatch-eval", "oddwatch-exchange"),
        ("oddwatch-exchange", "oddwatch-domain"),
        ("oddwatch-runtime", "oddwatch-wire"),
        ("oddwatch-control", "oddwatch-runtime"),
        ("oddwatch-ingest", "oddwatch-windowing"),
        ("oddwatch-ingest", "oddwatch-detect"),
        ("oddwatch-windowing", "oddwatch-detect"),
        ("oddwatch-detector", "oddwatch-drift"),
        ("oddwatch-detector", "oddwatch-eval"),
        ("oddwatch-notification", "oddwatch"),
        ("oddwatch", "oddwatch-tests"),
    ] {
        super::one(workspace(from, to), &format!("{from} -> {to}"));
    }
    super::one(workspace("oddwatch-new", "oddwatch-domain"), "oddwatch-new: not in the table");
    super::none(workspace("oddwatch-detector", "oddwatch-detect"));
    super::none(workspace("oddwatch", "oddwatch-ingest"));
    super::none(workspace("oddwatch-tests", "oddwatch"));
}
