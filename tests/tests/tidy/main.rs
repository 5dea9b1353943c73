//! Rules of the project that neither the compiler, clippy nor cargo-deny can check. Each checker is
//! a function from what lies in the tree to a list of faults; a test runs it on the tree, another
//! one on planted faults, so that a checker that sees nothing is seen.

mod edges;
mod manifests;
mod mistakes;
mod sources;

use std::path::{Path, PathBuf};

/// The project's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests crate lies in the root").to_path_buf()
}

/// The files below the root whose path ends in `ending`: paths from there, with `/`, and texts.
fn files(ending: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder of the project can be listed");
        for entry in entries {
            let path = entry.expect("an entry of the project can be read").path();
            let from_root = path.strip_prefix(&root).expect("below the root");
            let name = from_root.to_string_lossy().replace('\\', "/");
            let last = name.rsplit('/').next().unwrap_or_default();
            if path.is_dir() {
                if last != "target" && !last.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                let text = std::fs::read_to_string(&path).expect("a source file is text");
                found.push((name, text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {ending} below {}", root.display());
    found
}

/// Fails with one fault a line.
#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} fault(s):\n{}\n", faults.len(), faults.join("\n"));
}

/// A planted fault must be found: exactly one, and the message must name it.
#[track_caller]
fn one(faults: Vec<String>, named: &str) {
    assert!(faults.len() == 1 && faults[0].contains(named), "{named}: {faults:?}");
}
