//! What Linux counts itself, read from `/proc`: whole disks, the scheduler, paging and stalls. Where a file is
//! missing (another system, a container that hides it) its series are simply not there.

use std::fs;

use super::{Gathered, Unit};

/// Bytes of a sector in `/proc/diskstats`, whatever the device's own are.
const SECTOR_BYTES: f64 = 512.0;
/// Microseconds of stall per second make parts in a million; people read per cent.
const MICROS_TO_PERCENT: f64 = 1e-4;

/// The scheduler, paging, dirty pages and stalls.
pub(super) fn kernel(found: &mut Gathered<'_>) {
    if let Ok(text) = fs::read_to_string("/proc/stat") {
        stat(&text, found);
    }
    if let Ok(text) = fs::read_to_string("/proc/loadavg") {
        tasks(&text, found);
    }
    if let Ok(text) = fs::read_to_string("/proc/meminfo") {
        meminfo(&text, found);
    }
    if let Ok(text) = fs::read_to_string("/proc/vmstat") {
        vmstat(&text, found);
    }
    for what in ["cpu", "io", "memory"] {
        if let Ok(text) = fs::read_to_string(format!("/proc/pressure/{what}")) {
            pressure(what, &text, found);
        }
    }
}

/// Bytes read and written of the whole disks; says whether there are any.
pub(super) fn disks(found: &mut Gathered<'_>) -> bool {
    let Ok(text) = fs::read_to_string("/proc/diskstats") else {
        return false;
    };
    let disks = diskstats(&text);
    super::whole_disks(disks.iter().copied(), found);
    !disks.is_empty()
}

/// Nanoseconds that the living threads of this process have computed, which is far finer than the ticks that
/// other processes are counted in. It falls when a thread ends.
pub(super) fn own_cpu_nanos() -> Option<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        // A thread may have ended meanwhile.
        let path = thread.ok()?.path().join("schedstat");
        let Ok(text) = fs::read_to_string(path) else {
            continue;
        };
        sum += text.split_whitespace().next()?.parse::<f64>().ok()?;
    }
    Some(sum)
}

/// The number behind a name, in files of one `name value …` per line.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let found = words.next()?.trim_end_matches(':') == name;
        if found { words.next()?.parse().ok() } else { None }
    })
}

fn stat(text: &str, found: &mut Gathered<'_>) {
    let is_core = |line: &&str| {
        let number = line.strip_prefix("cpu").and_then(|rest| rest.chars().next());
        number.is_some_and(|c| c.is_ascii_digit())
    };
    let cores = text.lines().filter(is_core).count().max(1) as f64;
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Vec<f64> =
        all.into_iter().flat_map(str::split_whitespace).filter_map(|w| w.parse().ok()).collect();
    if let [user, nice, system, _idle, _iowait, irq, softirq, ..] = *ticks.as_slice() {
        // A tick is a hundredth of a second, so ticks per second are per cent of one core.
        found.rate("cpu/user", Unit::Share, (user + nice) / cores);
        found.rate("cpu/system", Unit::Share, (system + irq + softirq) / cores);
    }
    for (name, series) in [("ctxt", "system/context_switches"), ("intr", "system/interrupts")] {
        if let Some(count) = field(text, name) {
            found.rate(series, Unit::PerSecond, count);
        }
    }
    if let Some(number) = field(text, "procs_running") {
        found.gauge("system/running", Unit::Plain, number);
    }
}

/// The fourth word of `/proc/loadavg` is `running/all`, in tasks.
fn tasks(text: &str, found: &mut Gathered<'_>) {
    let all = text.split_whitespace().nth(3).and_then(|pair| pair.split_once('/'));
    if let Some(number) = all.and_then(|(_, all)| all.parse().ok()) {
        found.gauge("system/tasks", Unit::Plain, number);
    }
}

fn meminfo(text: &str, found: &mut Gathered<'_>) {
    for (name, series) in
        [("Cached", "memory/cached"), ("AnonPages", "memory/anonymous"), ("Dirty", "disk/waiting")]
    {
        if let Some(kilobytes) = field(text, name) {
            found.gauge(series, Unit::Bytes, kilobytes * 1024.0);
        }
    }
}

fn vmstat(text: &str, found: &mut Gathered<'_>) {
    if let Some(count) = field(text, "pgfault") {
        found.rate("memory/page_faults", Unit::PerSecond, count);
    }
}

/// Pressure stall information: `some … total=` microseconds in which some task waited for it.
fn pressure(what: &str, text: &str, found: &mut Gathered<'_>) {
    let some = text.lines().find(|line| line.starts_with("some "));
    let total = some.and_then(|line| line.rsplit_once("total=")?.1.parse::<f64>().ok());
    if let Some(micros) = total {
        let series = format!("pressure/{what}");
        found.rate(series, Unit::Share, micros * MICROS_TO_PERCENT);
    }
}

/// Names of the whole disks that were ever used, with the bytes read and written.
fn diskstats(text: &str) -> Vec<(&str, (f64, f64))> {
    let of_line = |line| -> Option<(&str, (f64, f64))> {
        let mut words = str::split_whitespace(line).skip(2);
        let name = words.next()?;
        let read: f64 = words.nth(2)?.parse().ok()?;
        let written: f64 = words.nth(3)?.parse().ok()?;
        let used = is_whole_disk(name) && read + written > 0.0;
        used.then_some((name, (read * SECTOR_BYTES, written * SECTOR_BYTES)))
    };
    text.lines().filter_map(of_line).collect()
}

/// Neither a partition (its disk counts it too) nor a device that lives in memory or on another disk.
fn is_whole_disk(name: &str) -> bool {
    let on_another = ["loop", "ram", "zram", "dm-", "md", "sr", "fd"];
    if on_another.iter().any(|prefix| name.starts_with(prefix)) {
        return false;
    }
    let numbered = name.ends_with(|c: char| c.is_ascii_digit());
    if name.starts_with("nvme") || name.starts_with("mmcblk") {
        // nvme0n1p2, mmcblk0p1
        return !name.rsplit_once('p').is_some_and(|(disk, part)| {
            disk.ends_with(|c: char| c.is_ascii_digit()) && part.parse::<u32>().is_ok()
        });
    }
    !numbered
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::demo::metrics::Sample;

    /// What a reader finds in two readings half a second apart.
    fn check(read: impl Fn(&mut Gathered<'_>, bool), expect: &[(&str, f64)]) {
        let mut counters = HashMap::new();
        let mut last: Vec<Sample> = vec![];
        for second in [false, true] {
            let seconds = second.then_some(0.5);
            let mut found = Gathered { samples: vec![], counters: &mut counters, seconds };
            read(&mut found, second);
            last = found.samples;
        }
        let got: Vec<_> = last.iter().map(|s| (s.series.as_str(), s.features[0].2)).collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn the_kernels_files_are_read() {
        check(
            |found, second| {
                let ctxt = if second { 1_500 } else { 1_000 };
                let user = if second { 150 } else { 50 };
                let cores = "cpu0 1 1\ncpu1 1 1\n";
                let all = format!("cpu  {user} 0 7 900 0 0 0 0\n{cores}");
                stat(&format!("{all}ctxt {ctxt}\nprocs_running 4\n"), found);
            },
            &[
                ("cpu/user", 100.0),
                ("cpu/system", 0.0),
                ("system/context_switches", 1_000.0),
                ("system/running", 4.0),
            ],
        );
        check(|found, _| tasks("0.66 0.65 0.52 1/179 25692\n", found), &[("system/tasks", 179.0)]);
        check(
            |found, _| meminfo("Cached:  4 kB\nDirty:  2 kB\n", found),
            &[("memory/cached", 4096.0), ("disk/waiting", 2048.0)],
        );
        check(
            |found, second| {
                let total = if second { 250_000 } else { 0 };
                pressure("io", &format!("some avg10=0.00 total={total}\nfull total=9\n"), found);
            },
            &[("pressure/io", 50.0)],
        );
    }

    #[test]
    fn whole_disks_are_counted_once() {
        let line = |name: &str| format!(" 8 0 {name} 1 1 1000 1 1 1 2000 1 1 1 1\n");
        let text = ["loop0", "sda", "sda1", "nvme0n1", "nvme0n1p2"].map(line).concat();
        let both = (512_000.0, 1_024_000.0);
        assert_eq!(diskstats(&text), [("sda", both), ("nvme0n1", both)]);
        assert_eq!(diskstats("254 0 vda 0 0 0 0 0 0 0 0 0 0 0\ntorn 1 2\n"), []);
        for (name, whole) in [
            ("vda", true),
            ("vda1", false),
            ("nvme1n1", true),
            ("mmcblk0", true),
            ("mmcblk0p1", false),
            ("xvda", true),
            ("dm-0", false),
            ("zram0", false),
        ] {
            assert_eq!(is_whole_disk(name), whole, "{name}");
        }
    }
}
