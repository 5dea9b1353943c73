//! Twenty kills while records flow on a real broker, with the program of `./dev chaos`, which says in its head what
//! happens there. It starts a broker of its own, since it kills that one too.

use std::process::{Command, Stdio};

use oddwatch_tests::needs;

#[test]
fn nothing_is_lost_or_doubled_by_twenty_kills() {
    const TEST: &str = "nothing_is_lost_or_doubled_by_twenty_kills";
    // Where there is no broker for the other tests, none can be started here either.
    if needs::require(TEST, "KAFKA_BOOTSTRAP").is_none() || !needs::kcat(TEST) {
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--kills", "20", "--records", "200000", "--seed", "1", "--rate", "6000"])
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    let [line, told] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{line}\n{told}");
    let value = |name: &str| {
        let found = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        found.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    assert!(value("kills=") >= 20 && value("records=") >= 200_000, "{line}");
    for name in ["lost=", "doubled=", "differing=", "alerts_missing=", "alerts_doubled="] {
        assert_eq!(value(name), 0, "{line}");
    }
}
