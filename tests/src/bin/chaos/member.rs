//! One process of the pipeline, from its start to its end.

use std::{process::ExitStatus, time::Duration};

use oddwatch_tests::process::{Service, Signal};

use crate::{journal::Journal, plan::Role, setup::Setup};

/// A process that was started.
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) instance: String,
    service: Service,
    pub(crate) journal: Journal,
    /// When it was started, since the run began.
    pub(crate) started_at: Duration,
    /// Until when it stands still.
    pub(crate) wakes_at: Option<Duration>,
    /// What will have ended it.
    pub(crate) doom: Doom,
    /// How long it took until it was ready with its partitions.
    pub(crate) recovered_in: Option<Duration>,
}

/// What was done to end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doom {
    /// Nothing: it must run.
    None,
    /// SIGKILL.
    Killed,
    /// Another process was started under its name.
    Replaced,
    /// SIGTERM.
    Terminated,
}

/// How a process ended.
pub(crate) enum Ending {
    /// By SIGKILL, or at its named point.
    Death,
    /// As it was told to.
    Order,
    /// Because what it needs was away; it is started again.
    Excused(String),
    /// As it never should.
    Wrong(String),
}

impl Member {
    /// Starts a process, which dies at a point if that is planned.
    pub(crate) fn start(
        setup: &Setup,
        role: Role,
        instance: &str,
        die_at: Option<String>,
        now: Duration,
    ) -> Self {
        let args = setup.arguments(role, instance, die_at);
        let name = format!("{}-{instance}", role.name());
        let service = Service::launch(&setup.logs(), &name, &args);
        setup.note(service.id());
        let journal = Journal::new(service.log_path(), setup.group(role));
        Self {
            role,
            instance: instance.to_owned(),
            service,
            journal,
            started_at: now,
            wakes_at: None,
            doom: Doom::None,
            recovered_in: None,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.role.name(), self.instance)
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Kill => self.doom = Doom::Killed,
            Signal::Terminate => self.doom = Doom::Terminated,
            Signal::Stop | Signal::Continue => {}
        }
        self.service.signal(signal);
    }

    /// Lets it stand still until then.
    pub(crate) fn freeze(&mut self, wakes_at: Duration) {
        self.signal(Signal::Stop);
        self.wakes_at = Some(wakes_at);
    }

    /// Wakes it if it is time.
    pub(crate) fn wake(&mut self, now: Duration) -> bool {
        let is_due = self.wakes_at.is_some_and(|at| at <= now);
        if is_due {
            self.wakes_at = None;
            self.signal(Signal::Continue);
        }
        is_due
    }

    /// Its exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let ended = self.service.ended();
        self.journal.look(ended.is_some());
        ended
    }

    /// Whether it has its partitions back, and says that it is ready.
    pub(crate) fn is_ready(&mut self, client: &reqwest::blocking::Client) -> bool {
        if self.wakes_at.is_some() || !self.journal.is_restored() || !self.service.serves() {
            return false;
        }
        let answer = client.get(self.service.url("/readyz")).send();
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What its end means. `is_away`: the broker is, or was a moment ago, not there.
    pub(crate) fn judge(&self, status: ExitStatus, is_away: bool) -> Ending {
        use std::os::unix::process::ExitStatusExt as _;
        let words = &self.journal.last_words;
        let is_fenced = words.contains("runs under the same name");
        let log = self.service.log_path().display();
        let what = format!("{} ended with {status}: {words} (log: {log})", self.name());
        match (status.code(), status.signal(), self.doom) {
            (None, Some(SIGKILL), Doom::Killed) => Ending::Death,
            (None, Some(SIGABRT), _) if self.journal.dies_at.is_some() => Ending::Death,
            (Some(0), _, Doom::Terminated) => Ending::Order,
            // It was told that it has been replaced.
            (Some(1), _, Doom::Replaced) if is_fenced => Ending::Order,
            (Some(UNAVAILABLE), ..) if is_away => Ending::Excused(what),
            // What a commit came to in the broker's absence only a restart tells.
            (Some(1), ..) if is_away && words.contains("the outcome of a commit is unknown") => {
                Ending::Excused(what)
            }
            _ => Ending::Wrong(what),
        }
    }
}

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
/// The exit status that says so.
const UNAVAILABLE: i32 = 69;
