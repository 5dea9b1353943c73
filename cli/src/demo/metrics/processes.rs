//! The busiest processes, and this one: a set that is chosen once, so that its series are steady.

use std::collections::HashMap;

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Gathered, Unit, linux};

/// So many readings are looked at before the busiest are chosen.
pub(super) const READINGS: u32 = 6;
/// Nanoseconds per second make parts in a thousand million; people read per cent of a core.
const NANOS_TO_PERCENT: f64 = 1e-7;
/// So many are chosen besides this process.
const CHOSEN: usize = 6;

/// The processes that are watched.
pub(super) struct Processes {
    readings: u32,
    /// CPU per cent, summed, and in how many readings there was any.
    busy: HashMap<Pid, (f64, u32)>,
    own: Option<Pid>,
    own_prefix: String,
    chosen: Vec<(Pid, String)>,
}

impl Processes {
    /// Knows this process, and no other yet.
    pub(super) fn new(system: &mut System) -> Self {
        let own = sysinfo::get_current_pid().ok();
        let mut own_prefix = String::new();
        if let Some(pid) = own {
            let what = ProcessRefreshKind::nothing().without_tasks();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
            own_prefix = system.process(pid).map_or_else(String::new, prefix);
        }
        Self { readings: 0, busy: HashMap::new(), own, own_prefix, chosen: vec![] }
    }

    /// What the series of this process begin with.
    pub(super) fn own_prefix(&self) -> &str {
        &self.own_prefix
    }

    /// Reads the processes that are chosen, and until then, all.
    pub(super) fn sample(&mut self, system: &mut System, found: &mut Gathered<'_>) {
        let what = ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .with_disk_usage()
            .without_tasks();
        if self.readings < READINGS {
            system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
            self.choose(system);
            return;
        }
        let pids: Vec<Pid> = self.chosen.iter().map(|(pid, _)| *pid).collect();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
        for (pid, prefix) in &self.chosen {
            let Some(process) = system.process(*pid) else {
                continue;
            };
            let cpu = f64::from(process.cpu_usage());
            if Some(*pid) == self.own {
                own(prefix, process, cpu, found);
            } else {
                found.gauge(format!("{prefix}cpu"), Unit::Percent, cpu);
            }
        }
    }

    fn choose(&mut self, system: &System) {
        self.readings += 1;
        for (pid, process) in system.processes() {
            let cpu = f64::from(process.cpu_usage());
            let (sum, times) = self.busy.entry(*pid).or_default();
            *sum += cpu;
            *times += u32::from(cpu > 0.0);
        }
        if self.readings < READINGS {
            return;
        }
        let mut busiest: Vec<(Pid, f64)> = self
            .busy
            .drain()
            // One that is idle most of the time is not busy, whatever it does once.
            .filter(|(pid, (_, times))| *times >= READINGS / 2 && Some(*pid) != self.own)
            // Threads of the kernel have no memory of their own.
            .filter(|(pid, _)| system.process(*pid).is_some_and(|p| p.memory() > 0))
            .map(|(pid, (cpu, _))| (pid, cpu))
            .collect();
        busiest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        busiest.truncate(CHOSEN);
        // This process comes first, so its name is its own.
        let pids = self.own.into_iter().chain(busiest.into_iter().map(|(pid, _)| pid));
        for (pid, process) in pids.filter_map(|pid| Some((pid, system.process(pid)?))) {
            let mut prefix = prefix(process);
            if self.chosen.iter().any(|(_, taken)| *taken == prefix) {
                prefix = format!("{}-{pid}/", prefix.trim_end_matches('/'));
            }
            self.chosen.push((pid, prefix));
        }
    }
}

/// More is known of this process than of others.
fn own(prefix: &str, process: &Process, cpu: f64, found: &mut Gathered<'_>) {
    match linux::own_cpu_nanos() {
        Some(nanos) => found.rate(format!("{prefix}cpu"), Unit::Percent, nanos * NANOS_TO_PERCENT),
        None => found.gauge(format!("{prefix}cpu"), Unit::Percent, cpu),
    }
    found.gauge(format!("{prefix}memory"), Unit::Bytes, process.memory() as f64);
    let written = process.disk_usage().total_written_bytes;
    found.rate(format!("{prefix}written"), Unit::BytesPerSecond, written as f64);
}

fn prefix(process: &Process) -> String {
    format!("process/{}/", process.name().to_string_lossy().replace('/', "-"))
}
