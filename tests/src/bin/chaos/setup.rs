//! Where a run takes place: its folder, its topics, and the settings of its processes.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use domain::Topics;
use oddwatch_tests::needs;

use crate::{plan::Role, receiver::Receiver, series};

/// The name of the broker that a run starts for itself.
pub(crate) const BROKER: &str = "chaos";
/// What a receiver's secret is, so that the oracle can look for it where it must not be.
const SECRET: &str = "Y2hhb3Mga2VlcHMgdGhpcyBzZWNyZXQgdG8gaXRzZWxm";

/// A run's place.
pub(crate) struct Setup {
    /// Files of the run: `logs`, `snapshots`, and what is written down.
    pub(crate) folder: PathBuf,
    pub(crate) topics: Topics,
    pub(crate) broker: String,
}

impl Setup {
    /// Makes the folder afresh. What is left of an earlier run is ended and deleted.
    pub(crate) fn new() -> io::Result<Self> {
        let folder = needs::root().join(".cache/chaos");
        if let Some(process) = running(&folder) {
            let what = format!("another run is going on: process {process}");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
        }
        end_leftovers(&folder);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("logs"))?;
        let setup = Self { folder, topics: Topics::new("chaos."), broker: String::new() };
        setup.note(std::process::id());
        Ok(setup)
    }

    /// Writes down what the services are to know.
    pub(crate) fn define(&self, receivers: &[Receiver]) -> io::Result<()> {
        let secret = self.folder.join("secret");
        fs::write(&secret, format!("whsec_{SECRET}\n"))?;
        let secret = secret.display().to_string();
        let urls: Vec<_> = receivers.iter().map(|one| (one.name, one.url())).collect();
        let channels: Vec<_> =
            urls.iter().map(|(name, url)| (*name, url.as_str(), Some(secret.as_str()))).collect();
        fs::write(self.definitions(), series::definitions(&channels))
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.folder.join("snapshots")
    }

    fn definitions(&self) -> PathBuf {
        self.folder.join("definitions.toml")
    }

    /// The group that the service's own work is done in.
    pub(crate) fn group(&self, role: Role) -> String {
        self.topics.group(&format!("oddwatch-{}", role.name()))
    }

    /// What must be in no log.
    pub(crate) fn secret() -> String {
        SECRET.to_owned()
    }

    /// The command line of a process.
    pub(crate) fn arguments(
        &self,
        role: Role,
        instance: &str,
        die_at: Option<String>,
    ) -> Vec<String> {
        let mut settings = vec![
            format!("kafka.topic_prefix={}", self.topics.prefix),
            format!("worker.instance={instance}"),
            format!("snapshot.url={}", self.snapshots().display()),
            // So often that each restore finds one.
            "snapshot.every_ms=2000".to_owned(),
            // So that a receiver that hangs is one of many misfortunes and not the end of the test.
            "notification.attempt_ms_max=2000".to_owned(),
            "notification.backoff_ms=50".to_owned(),
            "notification.backoff_ms_max=1000".to_owned(),
        ];
        settings.extend(die_at.map(|plan| format!("debug.die_at={plan}")));
        let mut args = vec![role.name().to_owned(), "--kafka".to_owned(), self.broker.clone()];
        args.extend(["--definitions".to_owned(), self.definitions().display().to_string()]);
        args.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
        args
    }

    /// Notes a process, so that a later run can end it if this one can't.
    pub(crate) fn note(&self, process: u32) {
        let noted = OpenOptions::new().create(true).append(true).open(self.folder.join("pids"));
        // What is not noted is not ended, and nothing else.
        let _ = noted.and_then(|mut file| writeln!(file, "{process}"));
    }
}

/// The process of another run in this folder. The first one that a run notes is its own.
fn running(folder: &Path) -> Option<String> {
    let pids = fs::read_to_string(folder.join("pids")).ok()?;
    let pid = pids.lines().next()?;
    let name = |exe: PathBuf| exe.file_name().map(ToOwned::to_owned);
    let theirs = fs::read_link(format!("/proc/{pid}/exe")).ok().and_then(name)?;
    (Some(theirs) == std::env::current_exe().ok().and_then(name)).then(|| pid.to_owned())
}

/// Kills what an earlier run had started, if it was killed itself: processes that still run this folder's settings.
fn end_leftovers(folder: &Path) {
    let pids = fs::read_to_string(folder.join("pids")).unwrap_or_default();
    for pid in pids.lines().filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())) {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(&*folder.join("snapshots").to_string_lossy())
        {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
    }
}
