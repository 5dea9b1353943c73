//! Reads the machine: what is really there, as samples with a name, a unit and a value. Portable through
//! `sysinfo`; on Linux [`linux`] adds what the kernel counts itself.

mod linux;
mod processes;

use std::collections::{BTreeMap, HashMap};

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
            self.samples
                .push(Sample { series: series.into(), features: vec![(VALUE, unit, value)] });
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
        let seconds =
            self.last_at.replace(now).map(|last| (now - last) as f64 / 1e6).filter(|s| *s > 0.0);
        let mut found = Gathered { samples: vec![], counters: &mut self.counters, seconds };
        cpu(&mut self.system, &mut found);
        memory(&mut self.system, &mut found);
        network(&mut self.networks, &mut found);
        linux::kernel(&mut found);
        if !linux::disks(&mut found) {
            mounted_disks(&mut self.disks, &mut found);
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
    found.gauge("cpu/all", Unit::Share, f64::from(system.global_cpu_usage()));
    for (core, cpu) in system.cpus().iter().take(CORES_MAX).enumerate() {
        found.gauge(format!("cpu/{core}"), Unit::Share, f64::from(cpu.cpu_usage()));
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
    // The ones that have carried something, by name.
    interfaces.retain(|(_, data)| data.total_received() + data.total_transmitted() > 0);
    interfaces.sort_by_key(|(name, _)| name.as_str());
    let (mut packets_in, mut packets_out) = (0, 0);
    for (name, data) in interfaces.into_iter().take(DEVICES_MAX) {
        packets_in += data.total_packets_received();
        packets_out += data.total_packets_transmitted();
        let (received, sent) = (data.total_received() as f64, data.total_transmitted() as f64);
        found.rate(format!("network/{name}/received"), Unit::BytesPerSecond, received);
        found.rate(format!("network/{name}/sent"), Unit::BytesPerSecond, sent);
    }
    found.rate("network/packets_in", Unit::PerSecond, packets_in as f64);
    found.rate("network/packets_out", Unit::PerSecond, packets_out as f64);
}

/// Where the kernel's own counters are not to be had.
fn mounted_disks(disks: &mut Disks, found: &mut Gathered<'_>) {
    disks.refresh(false);
    // One device may be mounted many times; it counts once.
    let mut by_name = BTreeMap::new();
    for disk in disks.iter() {
        let name = disk.name().to_string_lossy().replace('/', "-");
        let usage = disk.usage();
        by_name.insert(name, (usage.total_read_bytes as f64, usage.total_written_bytes as f64));
    }
    whole_disks(by_name.iter().map(|(name, both)| (name.trim_matches('-'), *both)), found);
}

/// Bytes read and written of each disk, and of all where there are several.
fn whole_disks<'a>(disks: impl Iterator<Item = (&'a str, (f64, f64))>, found: &mut Gathered<'_>) {
    let (mut count, mut sum) = (0, (0.0, 0.0));
    let mut both = |name: &str, (read, written): (f64, f64)| {
        found.rate(format!("disk/{name}/read"), Unit::BytesPerSecond, read);
        found.rate(format!("disk/{name}/written"), Unit::BytesPerSecond, written);
    };
    for (name, (read, written)) in disks {
        sum = (sum.0 + read, sum.1 + written);
        count += 1;
        if count <= DEVICES_MAX {
            both(name, (read, written));
        }
    }
    if count > 1 {
        both("all", sum);
    }
}

/// One series of several values: the machine as a whole.
fn machine(found: &mut Gathered<'_>) {
    let is_written = |s: &&Sample| s.series.starts_with("disk/") && s.series.ends_with("/written");
    let written = found.samples.iter().rfind(is_written).map(|sample| sample.features[0].2);
    let (cpu, memory) = (found.value("cpu/all"), found.value("memory/used"));
    if let (Some(cpu), Some(memory), Some(written)) = (cpu, memory, written) {
        let features = vec![
            ("cpu", Unit::Share, cpu),
            ("memory", Unit::Bytes, memory),
            ("disk_written", Unit::BytesPerSecond, written),
        ];
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
        for reading in 0..=i64::from(processes::READINGS) + 1 {
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
        let one = Sample { series: "cpu/0".into(), features: vec![(VALUE, Unit::Percent, 2.5)] };
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
