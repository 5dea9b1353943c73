//! Reads the machine: what is really there, as samples with a name, a unit and a value. Portable through
//! `sysinfo`; on Linux [`linux`] adds what the kernel counts itself.

mod linux;
mod processes;

use std::collections::HashMap;

use domain::Micros;
use sysinfo::{Disks, Networks, System};

use super::units::Unit;
use processes::Processes;

/// More cores than this are not told apart; their sum still is.
const CORES_MAX: usize = 64;
/// The most disks and network interfaces that are told apart.
const DEVICES_MAX: usize = 8;

/// What one series shows at one instant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The series' name, such as `cpu/0`.
    pub(crate) series: String,
    /// What its values are measured in; for several values, of each of them.
    pub(crate) features: Vec<(&'static str, Unit, f64)>,
}

impl Sample {
    /// The record that users would publish.
    pub(crate) fn record(&self, at_ms: i64) -> serde_json::Value {
        match self.features.as_slice() {
            [(_, _, value)] => {
                serde_json::json!({"series": self.series, "time": at_ms, "value": value})
            }
            several => {
                let values: serde_json::Map<_, _> = several
                    .iter()
                    .map(|(name, _, value)| ((*name).to_owned(), (*value).into()))
                    .collect();
                serde_json::json!({"series": self.series, "time": at_ms, "values": values})
            }
        }
    }
}

/// The name of the only feature of a series with one value.
pub(crate) const VALUE: &str = "value";

/// Where samples are gathered. Counters become rates; what is not finite is left out.
pub(crate) struct Gathered<'a> {
    samples: Vec<Sample>,
    counters: &'a mut HashMap<String, f64>,
    seconds: Option<f64>,
}

impl Gathered<'_> {
    /// A value as it is.
    fn gauge(&mut self, series: impl Into<String>, unit: Unit, value: f64) {
        if value.is_finite() {
            self.samples.push(Sample {
                series: series.into(),
                features: vec![(VALUE, unit, value)],
            });
        }
    }

    /// A count that only grows: what counts is how fast. Nothing on its first reading or when it starts anew.
    fn rate(&mut self, series: impl Into<String>, unit: Unit, count: f64) {
        let series = series.into();
        let before = self.counters.insert(series.clone(), count);
        if let (Some(before), Some(seconds)) = (before, self.seconds)
            && count >= before
        {
            self.gauge(series, unit, (count - before) / seconds);
        }
    }

    /// What was gathered of a series with one value.
    fn value(&self, series: &str) -> Option<f64> {
        let sample = self.samples.iter().find(|s| s.series == series)?;
        Some(sample.features.first()?.2)
    }
}

/// Reads the machine, time after time.
pub(crate) struct Sampler {
    system: System,
    disks: Disks,
    networks: Networks,
    processes: Processes,
    counters: HashMap<String, f64>,
    last_at: Option<Micros>,
}

impl Sampler {
    /// Opens whatever the system offers.
    pub(crate) fn new() -> Self {
        let mut system = System::new();
        Self {
            processes: Processes::new(&mut system),
            system,
            disks: Disks::new_with_refreshed_list(),
            networks: Networks::new_with_refreshed_list(),
            counters: HashMap::new(),
            last_at: None,
        }
    }

    /// Reads everything once. Rates appear from the second reading on, processes once it is known which
    /// are the busiest.
    pub(crate) fn sample(&mut self, now: Micros) -> Vec<Sample> {
        let seconds = self
            .last_at
            .replace(now)
            .map(|last| (now - last) as f64 / 1e6)
            .filter(|s| *s > 0.0);
        let mut found = Gathered { samples: vec![], counters: &mut self.counters, seconds };
        cpu(&mut self.system, &mut found);
        memory(&mut self.system, &mut found);
        network(&mut self.networks, &mut found);
        linux::kernel(&mut found);
        if !linux::disks(&mut found, DEVICES_MAX) {
            disks(&mut self.disks, &mut found);
        }
        self.processes.sample(&mut self.system, &mut found);
        machine(&mut found);
        found.samples
    }

    /// The series of this very process begin with this.
    pub(crate) fn own_prefix(&self) -> &str {
        self.processes.own_prefix()
    }
}

fn cpu(system: &mut System, found: &mut Gathered<'_>) {
    system.refresh_cpu_usage();
    found.gauge("cpu/total", Unit::Percent, f64::from(system.global_cpu_usage()));
    for (core, cpu) in system.cpus().iter().take(CORES_MAX).enumerate() {
        found.gauge(format!("cpu/{core}"), Unit::Percent, f64::from(cpu.cpu_usage()));
    }
    let load = System::load_average();
    for (minutes, value) in [(1, load.one), (5, load.five), (15, load.fifteen)] {
        found.gauge(format!("load/{minutes}m"), Unit::Plain, value);
    }
}

fn memory(system: &mut System, found: &mut Gathered<'_>) {
    system.refresh_memory();
    for (series, bytes) in [
        ("memory/used", system.used_memory()),
        ("memory/available", system.available_memory()),
        ("memory/free", system.free_memory()),
        ("swap/used", system.used_swap()),
    ] {
        found.gauge(series, Unit::Bytes, bytes as f64);
    }
}

fn network(networks: &mut Networks, found: &mut Gathered<'_>) {
    networks.refresh(false);
    let mut interfaces: Vec<_> = networks.iter().collect();
    // The ones that carry something, by name.
    interfaces.retain(|(_, data)| data.total_received() + data.total_transmitted() > 0);
    interfaces.sort_by_key(|(name, _)| name.as_str());
    for (name, data) in interfaces.into_iter().take(DEVICES_MAX) {
        for (what, unit, count) in [
            ("received", Unit::BytesPerSecond, data.total_received()),
            ("sent", Unit::BytesPerSecond, data.total_transmitted()),
            ("packets_in", Unit::PerSecond, data.total_packets_received()),
            ("packets_out", Unit::PerSecond, data.total_packets_transmitted()),
        ] {
            found.rate(format!("network/{name}/{what}"), unit, count as f64);
        }
    }
}

/// Where the kernel's own counters are not to be had.
fn disks(disks: &mut Disks, found: &mut Gathered<'_>) {
    disks.refresh(false);
    let mut by_name: HashMap<String, (u64, u64)> = HashMap::new();
    for disk in disks.iter() {
        // One device may be mounted many times; it counts once.
        let usage = disk.usage();
        let name = disk.name().to_string_lossy().replace('/', "-");
        by_name.insert(name, (usage.total_read_bytes, usage.total_written_bytes));
    }
    let mut names: Vec<_> = by_name.iter().collect();
    names.sort();
    let sum = names.iter().fold((0, 0), |sum, (_, (r, w))| (sum.0 + r, sum.1 + w));
    let each = names.iter().take(DEVICES_MAX).map(|(name, both)| (name.as_str(), **both));
    for (name, (read, written)) in each.chain([("total", sum)]) {
        let name = name.trim_matches('-');
        found.rate(format!("disk/{name}/read"), Unit::BytesPerSecond, read as f64);
        found.rate(format!("disk/{name}/written"), Unit::BytesPerSecond, written as f64);
    }
}

/// One series of several values: the machine as a whole.
fn machine(found: &mut Gathered<'_>) {
    let parts = [
        ("cpu", Unit::Percent, "cpu/total"),
        ("memory", Unit::Bytes, "memory/used"),
        ("disk_written", Unit::BytesPerSecond, "disk/total/written"),
    ];
    let features: Vec<_> = parts
        .into_iter()
        .filter_map(|(name, unit, series)| Some((name, unit, found.value(series)?)))
        .collect();
    if features.len() == parts.len() {
        found.samples.push(Sample { series: "machine".to_owned(), features });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_machine_shows_at_least_thirty_series() {
        let mut sampler = Sampler::new();
        let mut samples = vec![];
        for reading in 0..=i64::from(processes::READINGS) {
            samples = sampler.sample(reading * 500_000);
        }
        let names: HashSet<_> = samples.iter().map(|s| s.series.as_str()).collect();
        assert_eq!(names.len(), samples.len(), "each series once: {samples:?}");
        assert!(names.len() >= 30, "{} series: {names:?}", names.len());
        for sample in &samples {
            let finite = sample.features.iter().all(|(_, _, v)| v.is_finite());
            assert!(finite && !sample.features.is_empty(), "{sample:?}");
        }
        let own = format!("{}cpu", sampler.own_prefix());
        assert!(names.contains(own.as_str()), "{own} is among {names:?}");
        assert!(names.contains("machine"), "{names:?}");
    }

    #[test]
    fn counters_become_rates_and_a_restart_is_no_rate() {
        let mut counters = HashMap::new();
        let mut read = |count, seconds| {
            let mut found = Gathered { samples: vec![], counters: &mut counters, seconds };
            found.rate("a", Unit::PerSecond, count);
            found.value("a")
        };
        assert_eq!(read(100.0, None), None);
        assert_eq!(read(150.0, Some(0.5)), Some(100.0));
        assert_eq!(read(10.0, Some(0.5)), None, "it started anew");
        assert_eq!(read(20.0, Some(2.0)), Some(5.0));
    }

    #[test]
    fn records_are_what_users_publish() {
        let one = Sample {
            series: "cpu/0".into(),
            features: vec![(VALUE, Unit::Percent, 2.5)],
        };
        assert_eq!(one.record(7).to_string(), r#"{"series":"cpu/0","time":7,"value":2.5}"#);
        let two = Sample {
            series: "m".into(),
            features: vec![("a", Unit::Plain, 1.0), ("b", Unit::Plain, 2.0)],
        };
        assert_eq!(
            two.record(7).to_string(),
            r#"{"series":"m","time":7,"values":{"a":1.0,"b":2.0}}"#
        );
    }
}
