//! The closing line of `./dev test`, by which a run is judged: scripts/test_summary.sh on logs with
//! a known answer.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Checks the last line and the exit status for a log that cargo closed with `status`.
#[track_caller]
fn check(log: &str, status: i32, ci: bool, closing: &str, code: i32) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the root");
    let mut child = Command::new("bash")
        .arg(root.join("scripts/test_summary.sh"))
        .arg(status.to_string())
        .env("CI", if ci { "true" } else { "" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash runs");
    let mut stdin = child.stdin.take().expect("piped above");
    stdin.write_all(log.as_bytes()).expect("the script reads all");
    drop(stdin);
    let output = child.wait_with_output().expect("the script ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.lines().last(), Some(closing), "{text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

const OK: &str = "
running 3 tests
test a::plain ... ok
test a::kafka ... ok
test a::slow ... ignored, takes an hour

successes:

---- a::kafka stdout ----
skipped: a::kafka: KAFKA_BOOTSTRAP is not set
skipped: a::kafka: KAFKA_BOOTSTRAP is not set
skipped: a::kafka (twice): KAFKA_BOOTSTRAP is not set

successes:
    a::kafka
    a::plain

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

#[test]
fn passes_failures_and_skips_of_all_programs_are_added_up() {
    let other = OK.replace("a::", "b::");
    let text = check(&format!("{OK}{other}"), 0, false, "tests: 2 passed, 0 failed, 4 skipped", 0);
    for case in ["a::kafka", "a::kafka (twice)", "b::kafka"] {
        let line = format!("skipped: {case}: KAFKA_BOOTSTRAP is not set");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
    assert!(text.contains("skipped: a::slow: ignored, takes an hour"), "{text}");
    // What a failed test said before it failed does not make it a skipped one.
    let failed = "failures:\n\n---- c::d stdout ----\nskipped: c::d: no\n\n\
        test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
    check(&format!("{OK}{failed}"), 101, false, "tests: 5 passed, 2 failed, 2 skipped", 101);
}

#[test]
fn a_program_that_did_not_compile_or_died_counts_as_a_failure() {
    check(
        "error: could not compile `a`\n",
        101,
        false,
        "tests: 0 passed, 1 failed, 0 skipped",
        101,
    );
    check(OK, 101, false, "tests: 1 passed, 1 failed, 2 skipped", 101);
}

#[test]
fn no_test_is_no_success() {
    check("", 0, false, "tests: 0 passed, 0 failed, 0 skipped", 1);
}

#[test]
fn ci_accepts_no_skip() {
    check(OK, 0, true, "tests: 1 passed, 0 failed, 2 skipped", 1);
}
