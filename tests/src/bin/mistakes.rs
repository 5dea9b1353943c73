//! Makes known mistakes in a copy of the source, one at a time, and says which of them no test sees.
//!
//! `mistakes [NAME…]` reads `tests/mistakes.toml`. A mistake is caught if the source with it compiles and its test
//! fails; the tests must pass without any. The copy and its target directory are `target/mistakes`. Our own crates
//! are built incrementally and without optimisation there: a mistake then takes seconds to build, not a minute.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's words")]

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use serde::Deserialize;

type Failed = Box<dyn Error>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mistakes: Vec<Mistake>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    name: String,
    file: String,
    old: String,
    new: String,
    /// Arguments of `cargo test`.
    test: Vec<String>,
}

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mistakes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &BTreeSet<String>) -> Result<bool, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let list: List = toml::from_str(&fs::read_to_string(root.join("tests/mistakes.toml"))?)?;
    let chosen: Vec<&Mistake> = list
        .mistakes
        .iter()
        .filter(|mistake| wanted.is_empty() || wanted.contains(&mistake.name))
        .collect();
    let copy = Copy::new(&root)?;
    let tests: BTreeSet<&Vec<String>> = chosen.iter().map(|mistake| &mistake.test).collect();
    for test in tests {
        eprintln!("mistakes: without any, {}", test.join(" "));
        let (outcome, output) = copy.test(test)?;
        if outcome != Outcome::Passed {
            // What a test said that fails only here, or only now and then, can't be had again.
            let test = test.join(" ");
            return Err(format!("{output}\ncargo test {test} fails without any mistake").into());
        }
    }
    let mut caught = 0;
    for mistake in &chosen {
        let outcome = copy.with(mistake)?;
        let word = match outcome {
            Outcome::Failed => "caught",
            Outcome::Passed => "MISSED",
            Outcome::NotBuilt => "NOBUILD",
        };
        println!("{word:<8}{}", mistake.name);
        caught += usize::from(outcome == Outcome::Failed);
    }
    println!("{} mistakes, {caught} caught", chosen.len());
    Ok(caught == chosen.len())
}

/// What `cargo test` came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    NotBuilt,
    Failed,
    Passed,
}

/// A copy of the source, to make mistakes in.
struct Copy {
    source: PathBuf,
    target: PathBuf,
    /// Settings of cargo, each behind `--config`.
    settings: Vec<String>,
}

impl Copy {
    fn new(root: &Path) -> Result<Self, Failed> {
        let base = root.join("target/mistakes");
        let (source, target) = (base.join("source"), base.join("target"));
        let copy = Self { source, target, settings: settings(root)? };
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()?;
        for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (root.join(name), copy.source.join(name));
            let Ok(content) = fs::read(&from) else { continue };
            // What did not change keeps its time, so that it is not built again.
            if fs::read(&to).is_ok_and(|known| known == content) {
                continue;
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(to, content)?;
        }
        Ok(copy)
    }

    /// Makes a mistake, tests, and takes it back.
    fn with(&self, mistake: &Mistake) -> Result<Outcome, Failed> {
        let path = self.source.join(&mistake.file);
        let right = fs::read_to_string(&path)?;
        if right.matches(&mistake.old).count() != 1 {
            return Err(
                format!("{}: {} does not have the text once", mistake.name, mistake.file).into()
            );
        }
        fs::write(&path, right.replace(&mistake.old, &mistake.new))?;
        let tested = self.test(&mistake.test);
        fs::write(&path, right)?;
        tested.map(|(outcome, _)| outcome)
    }

    /// Builds a test and runs it; what was said comes too.
    fn test(&self, test: &[String]) -> Result<(Outcome, String), Failed> {
        let (built, said) = self.cargo(test, &["--no-run"])?;
        if !built {
            return Ok((Outcome::NotBuilt, said));
        }
        let (passed, said) = self.cargo(test, &[])?;
        Ok((if passed { Outcome::Passed } else { Outcome::Failed }, said))
    }

    fn cargo(&self, test: &[String], more: &[&str]) -> Result<(bool, String), Failed> {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--release", "--locked", "-q"]);
        for setting in &self.settings {
            cargo.args(["--config", setting]);
        }
        // What follows `--` goes to the tests.
        let split = test.iter().position(|arg| arg == "--").unwrap_or(test.len());
        cargo.args(&test[..split]).args(more).args(&test[split..]);
        cargo.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.target);
        cargo.env("CARGO_INCREMENTAL", "1").stdin(Stdio::null());
        let output = cargo.output()?;
        let said = [output.stderr, output.stdout].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }
}

/// Builds our own crates without optimisation, and leaves all others as they are.
fn settings(root: &Path) -> Result<Vec<String>, Failed> {
    let listed = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()?;
    let listed: Metadata = serde_json::from_slice(&listed.stdout)?;
    let setting = |one: Package| format!("profile.release.package.{}.opt-level=0", one.name);
    Ok(listed.packages.into_iter().map(setting).collect())
}

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}
