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
            Self::Disk => "disk write burst",
            Self::Memory => "allocation burst",
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
                    || of_own == Some("cpu")
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

/// Share of the run that is warm-up; a bit more than a round number, so that no disturbance begins with a
/// reading.
const WARM_UP: f64 = 0.4035;
/// The warm-up has at least so many readings: those of the detector's own, and those in which the busiest
/// processes are chosen.
const READINGS_MIN: u32 = super::WARM_UP_ROWS + 8;
/// Share of the time from one disturbance to the next in which the machine is disturbed.
const DISTURBED: f64 = 0.4;
/// From one disturbance to the next at least.
const TURN_MIN: Duration = Duration::from_secs(10);

/// A run that is too short to warm up and to disturb the machine three times.
#[derive(Debug, thiserror::Error)]
#[error("{0} s are needed at this interval: give a larger --seconds or a smaller --interval-ms")]
pub(crate) struct TooShort(u64);

impl Plan {
    /// Splits a run, in which the machine is read so often.
    pub(crate) fn new(ends: Duration, interval: Duration) -> Result<Self, TooShort> {
        let turns = Kind::ALL.len() as u32;
        let least = interval.mul_f64(f64::from(READINGS_MIN) + 0.3);
        let mut at = ends.mul_f64(WARM_UP).max(least);
        let turn = ends.saturating_sub(at) / turns;
        if turn < TURN_MIN {
            let needed = least.as_secs_f64() + TURN_MIN.as_secs_f64() * f64::from(turns);
            return Err(TooShort(needed.ceil() as u64));
        }
        let mut steps = vec![];
        for kind in Kind::ALL {
            steps.push(Step { kind, begins: at, lasts: turn.mul_f64(DISTURBED) });
            at += turn;
        }
        Ok(Self { steps, ends })
    }

    /// How long nothing is done at first.
    pub(crate) fn warm_up(&self) -> Duration {
        self.steps.first().map_or(self.ends, |step| step.begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seconds: u64, interval_ms: u64) -> Result<Plan, String> {
        let (ends, interval) = (Duration::from_secs(seconds), Duration::from_millis(interval_ms));
        Plan::new(ends, interval).map_err(|error| error.to_string())
    }

    #[test]
    fn a_run_warms_up_and_ends_in_calm() {
        for (seconds, interval) in [(60, 200), (60, 500), (75, 500), (80, 1000), (115, 1000)] {
            let plan = plan(seconds, interval).expect("long enough");
            let readings = plan.warm_up().as_millis() as u64 / interval;
            assert!(readings >= 48, "{readings} readings: {plan:?}");
            let mut free_at = plan.warm_up();
            for step in &plan.steps {
                assert!(step.begins >= free_at && step.lasts.as_secs() >= 4, "{plan:?}");
                free_at = step.begins + step.lasts + Duration::from_secs(5);
            }
            assert!(free_at <= plan.ends, "calm at the end: {plan:?}");
        }
    }

    #[test]
    fn a_run_that_is_too_short_is_told_how_long_it_must_be() {
        let error = plan(75, 1000).expect_err("48 s of warm-up");
        assert!(error.starts_with("79 s are needed"), "{error}");
        assert!(plan(79, 1000).is_ok());
    }

    #[test]
    fn a_disturbance_acts_on_its_own_series_only() {
        let own = "process/oddwatch/";
        for (kind, series, feature, expect) in [
            (Kind::Cpu, "cpu/3", "value", true),
            (Kind::Cpu, "load/1m", "value", true),
            (Kind::Cpu, "process/oddwatch/cpu", "value", true),
            (Kind::Cpu, "process/java/cpu", "value", false),
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
