//! Makes known mistakes in a copy of the source, one at a time, and says which of them no test sees.
//!
//! `mistakes [NAME…]` reads `tests/mistakes.toml`. A mistake is caught if the source with it compiles and its test
//! fails; the tests must pass without any. The copy and its target directory are `target/mistakes`.

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
        if !copy.test(test)? {
            return Err(format!("cargo test {} fails without any mistake", test.join(" ")).into());
        }
    }
    let mut missed = vec![];
    for mistake in &chosen {
        let caught = copy.with(mistake)?;
        println!("{:<8}{}", if caught { "caught" } else { "MISSED" }, mistake.name);
        if !caught {
            missed.push(mistake.name.as_str());
        }
    }
    println!(
        "{} mistakes, {} caught, {} missed",
        chosen.len(),
        chosen.len() - missed.len(),
        missed.len()
    );
    Ok(missed.is_empty())
}

/// A copy of the source, to make mistakes in.
struct Copy {
    source: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn new(root: &Path) -> Result<Self, Failed> {
        let base = root.join("target/mistakes");
        let copy = Self { source: base.join("source"), target: base.join("target") };
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
    fn with(&self, mistake: &Mistake) -> Result<bool, Failed> {
        let path = self.source.join(&mistake.file);
        let right = fs::read_to_string(&path)?;
        if right.matches(&mistake.old).count() != 1 {
            return Err(
                format!("{}: {} does not have the text once", mistake.name, mistake.file).into()
            );
        }
        fs::write(&path, right.replace(&mistake.old, &mistake.new))?;
        let built = self.cargo(&mistake.test, &["--no-run"]);
        let passed = built.and_then(|built| {
            if built { self.test(&mistake.test) } else { Err("it does not compile".into()) }
        });
        fs::write(&path, right)?;
        passed.map(|passed| !passed).map_err(|error| format!("{}: {error}", mistake.name).into())
    }

    fn test(&self, test: &[String]) -> Result<bool, Failed> {
        self.cargo(test, &[])
    }

    fn cargo(&self, test: &[String], more: &[&str]) -> Result<bool, Failed> {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--release", "--locked", "-q"]);
        // What follows `--` goes to the tests.
        let split = test.iter().position(|arg| arg == "--").unwrap_or(test.len());
        cargo.args(&test[..split]).args(more).args(&test[split..]);
        cargo.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.target);
        cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(cargo.status()?.success())
    }
}
