//! The binary as users run it: commands that end by themselves, and services that run until a signal.

use std::{
    env, fs,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, SystemTime},
};

use crate::{
    needs::root,
    wait::{LIMIT, Stopwatch, until},
};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status; `None` after a signal.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

/// Runs `oddwatch ARGS` to its end, in a folder of its own: without `--data`, `up` leaves its data where it runs.
pub fn run<A: AsRef<str>>(args: &[A]) -> Ended {
    let folder = tempfile::tempdir().expect("a folder for the output");
    let file = |name: &str| folder.path().join(name);
    let watch = Stopwatch::start();
    let mut command = command(args, Some(&file("out")), &file("err"));
    let mut child = command.current_dir(folder.path()).spawn().expect("the binary runs");
    let status = until("end of the command", LIMIT, || ended(&mut child));
    let took = watch.elapsed();
    let text = |name: &str| fs::read_to_string(file(name)).expect("its output is text");
    Ended { status: status.code(), stdout: text("out"), stderr: text("err"), took }
}

/// A running `oddwatch` that serves. Dropped, it is killed; if the test fails, its last words are shown.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    log: PathBuf,
    http: Option<SocketAddr>,
    grpc: Option<SocketAddr>,
}

/// What a process can be told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in order.
    Terminate,
    /// SIGKILL: be gone.
    Kill,
    /// SIGSTOP: stand still.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

impl Service {
    /// Starts `oddwatch ARGS` on free ports and waits until it serves. Its log is kept in `folder`.
    pub fn start<A: AsRef<str>>(folder: &Path, name: &str, args: &[A]) -> Self {
        let mut service = Self::launch(folder, name, args);
        until(&format!("serving {name}"), LIMIT, || {
            service.check_alive();
            service.serves().then_some(())
        });
        service
    }

    /// Whether it serves by now; finds out where.
    pub fn serves(&mut self) -> bool {
        if self.http.is_none() {
            let log = self.log();
            let Some(line) = log.lines().find(|line| line.contains(" serving ")) else {
                return false;
            };
            let address = |key: &str| {
                let found = line.split(key).nth(1)?.split_whitespace().next()?;
                found.parse().ok()
            };
            self.http = address("http=");
            self.grpc = address("grpc=");
        }
        self.http.is_some()
    }

    /// Starts it and does not wait.
    pub fn launch<A: AsRef<str>>(folder: &Path, name: &str, args: &[A]) -> Self {
        let mut all: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        all.extend(["--set", "api.http=127.0.0.1:0", "--set", "api.grpc=127.0.0.1:0"]);
        let data = folder.join("data").display().to_string();
        all.extend(["--data", &data]);
        let log = (0..)
            .map(|run| folder.join(format!("{name}-{run}.log")))
            .find(|path| !path.exists())
            .expect("the numbers suffice");
        let child = command(&all, None, &log).spawn().expect("the binary runs");
        Self { name: name.to_owned(), child, log, http: None, grpc: None }
    }

    /// The URL of a path of its HTTP server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http.expect("it serves HTTP"))
    }

    /// The URL of its gRPC server.
    pub fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc.expect("it serves gRPC"))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its metrics in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let answer = reqwest::blocking::get(self.url("/metrics")).expect("metrics are answered");
        answer.text().expect("metrics are text")
    }

    /// The sum of a metric over those of its series whose labels contain all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum_of(&self.metrics(), name, labels)
    }

    /// Fails if it has ended by itself.
    pub fn check_alive(&mut self) {
        if let Some(status) = ended(&mut self.child) {
            panic!("{} ended by itself with {status}:\n{}", self.name, self.log());
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.check_alive();
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its log lies.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        ended(&mut self.child)
    }

    /// Sends a signal to it, which must not have been seen to end yet.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("a shell sends the signal");
        assert!(sent.success(), "SIG{name} was not sent to {}", self.name);
    }

    /// SIGTERM; returns its exit status and how long it took to end.
    pub fn terminate(mut self) -> (Option<i32>, Duration) {
        self.check_alive();
        let watch = Stopwatch::start();
        self.signal(Signal::Terminate);
        let status = until("end after SIGTERM", LIMIT, || ended(&mut self.child));
        (status.code(), watch.elapsed())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(15)..].join("\n");
            #[expect(clippy::print_stderr, reason = "a failed test shows what its processes said")]
            {
                eprintln!("---- {} ----\n{last}", self.name);
            }
        }
    }
}

/// The sum of a metric in Prometheus' text format.
fn sum_of(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_name = rest.starts_with(['{', ' ']);
        let (series, value) = rest.rsplit_once(' ')?;
        let wanted = is_name && labels.iter().all(|label| series.contains(label));
        wanted.then(|| value.parse::<f64>().ok()).flatten()
    });
    values.sum()
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("a child can be asked")
}

/// The binary with arguments, without the developer's own settings.
fn command<A: AsRef<str>>(args: &[A], stdout: Option<&Path>, stderr: &Path) -> Command {
    let create = |path: &Path| File::create(path).expect("an output file can be made");
    let mut command = Command::new(binary());
    command.args(args.iter().map(AsRef::as_ref)).stdin(Stdio::null()).stderr(create(stderr));
    command.stdout(stdout.map_or_else(Stdio::null, |path| create(path).into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("ODDWATCH_") && text.contains("__") {
            command.env_remove(&name);
        }
    }
    command
}

/// The binary beside this test's own build; `$ODDWATCH_BINARY` names another one. It is built if it is lacking or
/// older than the sources.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = env::var_os("ODDWATCH_BINARY") {
            return PathBuf::from(named);
        }
        // target/PROFILE/deps/test-hash, or target/PROFILE/name for a binary.
        let test = env::current_exe().expect("a test knows its own path");
        let beside = test.parent().unwrap_or(&test);
        let folder =
            if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
        let target = folder.parent().unwrap_or(folder);
        let binary = folder.join("oddwatch");
        let built_at = fs::metadata(&binary).and_then(|found| found.modified());
        let changed_at = ["shared", "services", "cli"].map(|part| newest(&root().join(part)));
        if built_at.is_ok_and(|at| Some(at) >= changed_at.into_iter().max().flatten()) {
            return binary;
        }
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-p", "oddwatch", "--target-dir"]).arg(target).current_dir(root());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let output = build.output().expect("cargo runs");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{build:?} failed:\n{words}");
        binary
    })
}

/// When a source below a folder was last changed.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let times = entries.filter_map(|entry| {
        let path = entry.path();
        match path.file_name()?.to_str()? {
            "tests" | "benches" | "examples" => None,
            _ if path.is_dir() => newest(&path),
            _ => entry.metadata().and_then(|found| found.modified()).ok(),
        }
    });
    times.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_labels_asked_for() {
        let text = "# TYPE a_total counter\na_total{group=\"x\",kind=\"live\"} 2\n\
                    a_total{group=\"x\",kind=\"replay\"} 3\na_total_more 7\nb 1.5\n";
        let check = |name: &str, labels: &[&str], expected: f64| {
            assert!((sum_of(text, name, labels) - expected).abs() < 1e-9, "{name} {labels:?}");
        };
        check("a_total", &[], 5.0);
        check("a_total", &["kind=\"live\""], 2.0);
        check("a_total", &["group=\"y\""], 0.0);
        check("b", &[], 1.5);
    }
}
