//! When what is done to the machine: a warm-up, then one disturbance after the other with calm in between.
//! And what each of them acts upon, by which it is judged.

use std::time::Duration;

/// A thing done to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// All cores compute.
    Cpu,
    /// Much is written to disk, durably.
    Disk,
    /// Much memory is taken and touched.
    Memory,
}

impl Kind {
    /// All of them, in the order in which they are done.
    pub(crate) const ALL: [Self; 3] = [Self::Cpu, Self::Disk, Self::Memory];

    /// What people read.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Cpu => "all cores busy",
            Self::Disk => "burst of disk writes",
            Self::Memory => "burst of allocation",
        }
    }

    /// Whether it acts upon a series, or for a series of several values, upon that feature. `own` begins the
    /// names of the series of this process, which is the one that does it.
    pub(crate) fn acts_on(self, series: &str, feature: &str, own: &str) -> bool {
        if series == "machine" {
            let acted_on = match self {
                Self::Cpu => "cpu",
                Self::Disk => "disk_written",
                Self::Memory => "memory",
            };
            return feature == acted_on;
        }
        let of_own = if own.is_empty() { None } else { series.strip_prefix(own) };
        match self {
            Self::Cpu => {
                series.starts_with("cpu/")
                    || series.starts_with("load/")
                    || series == "pressure/cpu"
                    || series == "system/running"
                    || series.starts_with("process/") && series.ends_with("/cpu")
            }
            Self::Disk => {
                series.starts_with("disk/") && !series.ends_with("/read")
                    || series == "pressure/io"
                    || of_own == Some("written")
            }
            Self::Memory => {
                series.starts_with("memory/")
                    || series.starts_with("swap/")
                    || series == "pressure/memory"
                    || of_own == Some("memory")
            }
        }
    }
}

/// One disturbance to come, counted from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is done.
    pub(crate) kind: Kind,
    /// When it begins.
    pub(crate) begins: Duration,
    /// How long it lasts.
    pub(crate) lasts: Duration,
}

/// The whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The disturbances in their order.
    pub(crate) steps: Vec<Step>,
    /// When the run ends.
    pub(crate) ends: Duration,
}

/// Shares of the run: the warm-up, each disturbance, and the calm behind each. The warm-up ends between two
/// readings, so that no disturbance begins with one.
const WARM_UP: f64 = 0.4035;
const LASTS: f64 = 0.08;
const CALM: f64 = 0.1186;

impl Plan {
    /// Splits a run of so many seconds.
    pub(crate) fn new(seconds: u64) -> Self {
        let whole = Duration::from_secs(seconds);
        let mut at = whole.mul_f64(WARM_UP);
        let mut steps = vec![];
        for kind in Kind::ALL {
            let lasts = whole.mul_f64(LASTS);
            steps.push(Step { kind, begins: at, lasts });
            at += lasts + whole.mul_f64(CALM);
        }
        Self { steps, ends: whole }
    }

    /// How long nothing is done at first.
    pub(crate) fn warm_up(&self) -> Duration {
        self.steps.first().map_or(self.ends, |step| step.begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_warms_up_and_ends_in_calm() {
        for seconds in [40, 75, 115] {
            let plan = Plan::new(seconds);
            let mut free_at = plan.warm_up();
            assert!(plan.warm_up() >= plan.ends.mul_f64(0.39));
            for step in &plan.steps {
                assert!(step.begins >= free_at, "{plan:?}");
                free_at = step.begins + step.lasts + Duration::from_secs(4);
            }
            assert!(free_at <= plan.ends, "calm at the end: {plan:?}");
        }
    }

    #[test]
    fn a_disturbance_acts_on_its_own_series_only() {
        let own = "process/oddwatch/";
        for (kind, series, feature, expect) in [
            (Kind::Cpu, "cpu/3", "value", true),
            (Kind::Cpu, "load/1m", "value", true),
            (Kind::Cpu, "process/oddwatch/cpu", "value", true),
            (Kind::Cpu, "process/oddwatch/memory", "value", false),
            (Kind::Cpu, "network/eth0/sent", "value", false),
            (Kind::Cpu, "machine", "cpu", true),
            (Kind::Cpu, "machine", "memory", false),
            (Kind::Disk, "disk/vda/written", "value", true),
            (Kind::Disk, "disk/vda/read", "value", false),
            (Kind::Disk, "disk/waiting", "value", true),
            (Kind::Disk, "process/oddwatch/written", "value", true),
            (Kind::Memory, "memory/available", "value", true),
            (Kind::Memory, "process/oddwatch/memory", "value", true),
            (Kind::Memory, "process/java/memory", "value", false),
            (Kind::Memory, "disk/vda/written", "value", false),
        ] {
            assert_eq!(kind.acts_on(series, feature, own), expect, "{kind:?} {series} {feature}");
        }
        assert!(!Kind::Memory.acts_on("process/x/memory", "value", ""));
    }
}
