//! The generated code in `src/gen` is what `proto/` says. `ODDWATCH_REGENERATE=1 cargo test -p oddwatch-wire
//! --test generated` writes it anew.

use std::{fs, path::Path};

use prost::Message as _;

/// Generates into `to` what belongs into `src/gen`.
fn generate(to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut files: Vec<_> = fs::read_dir(root.join("oddwatch/v1"))
        .expect("proto/oddwatch/v1 can be read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "proto"))
        .collect();
    files.sort();
    let descriptors = protox::compile(&files, [&root]).expect("proto/ compiles");
    fs::write(to.join("descriptor.bin"), descriptors.encode_to_vec()).expect("writable");
    tonic_prost_build::configure()
        .btree_map(".")
        .out_dir(to)
        .compile_fds(descriptors)
        .expect("code is generated");
}

#[test]
fn generated_code_is_current() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    if std::env::var_os("ODDWATCH_REGENERATE").is_some() {
        generate(&committed);
    }
    let fresh = tempfile::tempdir().expect("a directory");
    generate(fresh.path());
    for name in ["oddwatch.v1.rs", "descriptor.bin"] {
        let expected = fs::read(fresh.path().join(name)).expect("generated");
        let found = fs::read(committed.join(name)).unwrap_or_default();
        assert!(
            found == expected,
            "{name} is not what proto/ says: run ODDWATCH_REGENERATE=1 cargo test -p oddwatch-wire --test generated"
        );
    }
}
