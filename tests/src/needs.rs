//! What a test can't do without. Where it lacks, the test says so by name and returns, which
//! `scripts/test_summary.sh` counts as skipped; with ODDWATCH_REQUIRE=all (in CI) it fails instead.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The value of an environment variable, if it is set.
pub fn require(test: &str, variable: &str) -> Option<String> {
    let value = env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip(test, &format!("{variable} is not set"));
    }
    value
}

/// The folder with test data: `$ODDWATCH_DATA`, else `../shared/data` seen from the root.
pub fn data(test: &str) -> Option<PathBuf> {
    let folder =
        env::var_os("ODDWATCH_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    skip(test, &format!("there is no data at {} (ODDWATCH_DATA)", folder.display()));
    None
}

/// Whether there is kcat, a Kafka client that is not ours.
pub fn kcat(test: &str) -> bool {
    let found = Command::new("kcat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skip(test, "kcat is not installed");
    }
    found
}

/// The project's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_path_buf(), Path::to_path_buf)
}

fn skip(test: &str, why: &str) {
    assert!(env::var("ODDWATCH_REQUIRE").as_deref() != Ok("all"), "{test}: {why}");
    #[expect(clippy::print_stdout, reason = "the summary counts skipped tests by this line")]
    {
        println!("skipped: {test}: {why}");
    }
}
