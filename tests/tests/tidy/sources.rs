//! How source files look: a head that says why they exist, a bounded size, no sleeping in tests,
//! and no way out of the pure crates.

/// Lines of a product file with its tests, and of a `main.rs`, which assembles and nothing else.
const LINES_MAX: usize = 400;
const MAIN_LINES_MAX: usize = 40;

/// Crates that compute and do nothing else.
const PURE: &[&str] = &["shared/domain/src/", "shared/detect/src/", "shared/drift/src/"];

/// What a pure crate has no use for (clippy.toml bans clocks everywhere); its tests may use it.
const IMPURE: &[&str] =
    &["std::fs", "std::io", "std::net", "std::env", "std::thread", "async ", "tracing::"];

/// A test waits for a condition with a deadline; the pause between two looks carries this comment.
const PAUSE: &str = "// poll interval";

/// The faults of one Rust file.
fn faults(path: &str, text: &str) -> Vec<String> {
    if path.contains("/gen/") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{path}:1: opens with `//!`: what it is and why it exists"));
    }
    let lines = text.lines().count();
    let (limit, advice) = if path.ends_with("src/main.rs") {
        (MAIN_LINES_MAX, "assemble and nothing else")
    } else {
        (LINES_MAX, "split by reason to change")
    };
    if !is_test_file(path) && lines > limit {
        faults.push(format!("{path}: {lines} lines, {limit} at most: {advice}"));
    }
    for (number, line, in_test) in marked(path, text) {
        let sleeps = [concat!("thread::", "sleep"), concat!("time::", "sleep")];
        if in_test && sleeps.iter().any(|sleep| line.contains(sleep)) && !line.contains(PAUSE) {
            let advice = "wait for a condition with a deadline, or pass time in";
            faults.push(format!("{path}:{number}: a test that sleeps: {advice}"));
        }
        let pure = PURE.iter().any(|start| path.starts_with(start)) && !is_test_file(path);
        let code = line.split("//").next().unwrap_or_default();
        if let Some(word) = IMPURE.iter().find(|word| pure && !in_test && code.contains(**word)) {
            faults.push(format!("{path}:{number}: `{}` in a pure crate", word.trim()));
        }
    }
    faults
}

/// Whether the whole file is for tests or benchmarks. A program among them, such as the load generator, is not.
fn is_test_file(path: &str) -> bool {
    if path.contains("/src/bin/") {
        return false;
    }
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    folders.split('/').any(|folder| folder == "tests" || folder == "benches")
        || name == "tests.rs"
        || name.ends_with("_test.rs")
        || name.ends_with("_tests.rs")
}

/// Lines with their numbers and whether they are a test's: all, or those in a `#[cfg(test)] mod`.
fn marked<'a>(path: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str, bool)> {
    let whole = is_test_file(path);
    let mut announced = false;
    let mut inside = false;
    text.lines().enumerate().map(move |(index, line)| {
        if line == "}" {
            inside = false;
        } else if announced && !line.starts_with("#[") {
            announced = false;
            inside = line.ends_with('{');
        } else if line == "#[cfg(test)]" {
            announced = true;
        }
        (index + 1, line, whole || inside)
    })
}

#[test]
fn files_have_a_head_a_bounded_size_and_no_sleep_in_tests() {
    let sources = super::files(".rs");
    super::none(sources.iter().flat_map(|(path, text)| faults(path, text)).collect());
}

#[test]
fn planted_faults_are_found() {
    let head = "//! Why.\n";
    let long = format!("{head}{}", "//\n".repeat(LINES_MAX));
    super::one(faults("shared/a/src/lib.rs", "use b;\n"), "opens with");
    super::one(faults("shared/a/src/lib.rs", &format!("\n{head}")), "opens with");
    super::one(faults("shared/a/src/b.rs", &long), "401 lines");
    super::none(faults("shared/a/src/b.rs", long.trim_end_matches("//\n")));
    super::none(faults("shared/a/tests/b.rs", &long));
    super::none(faults("shared/a/src/b/tests.rs", &long));
    super::none(faults("shared/wire/src/gen/b.rs", "no head"));
    let main = format!("{head}{}", "//\n".repeat(MAIN_LINES_MAX));
    super::one(faults("services/a/src/main.rs", &main), "41 lines");
}

#[test]
fn planted_sleeps_are_found() {
    let sleep = concat!("    std::thread::", "sleep(pause);");
    let product = format!("//! Why.\nfn wait() {{\n{sleep}\n}}\n");
    let module = |body: &str| {
        format!(
            "{product}#[cfg(test)]\nmod tests {{\n    fn b() {{\n    {body}\n    }}\n}}\n{}",
            &product[9..]
        )
    };
    super::none(faults("shared/a/src/b.rs", &product));
    super::one(faults("shared/a/tests/b.rs", &product), "b.rs:3: a test that sleeps");
    super::one(faults("tests/src/lib.rs", &product), "lib.rs:3: a test that sleeps");
    super::one(faults("shared/a/src/b.rs", &module(sleep)), "b.rs:8: a test that sleeps");
    super::one(
        faults("shared/a/src/b.rs", &module(concat!("tokio::time::", "sleep(d).await;"))),
        "b.rs:8: a test that sleeps",
    );
    super::none(faults("shared/a/src/b.rs", &module(&format!("{sleep} {PAUSE}"))));
    let declared = format!("//! Why.\n#[cfg(test)]\nmod tests;\n{}", &product[9..]);
    super::none(faults("shared/a/src/b.rs", &declared));
}

#[test]
fn planted_impurity_is_found() {
    for word in IMPURE {
        let text = format!("//! No {word}here.\n/// {word}\nuse {word}x;\n");
        super::one(faults("shared/detect/src/a.rs", &text), "a.rs:3:");
        super::none(faults("shared/runtime/src/a.rs", &text));
        super::none(faults("shared/detect/src/tests.rs", &text));
    }
}
