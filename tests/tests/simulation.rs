//! The whole pipeline, simulated by seed: the tests' share of seeds, and that they have teeth. `./dev simulate N` takes
//! more of them.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use oddwatch_tests::simulation::{Counts, InMemory, OnDisk, Run, run};

/// How many seeds, from 0.
const SEEDS: u64 = 2_000;
/// How many of them on disk too.
const SEEDS_ON_DISK: u64 = 100;
/// On so many threads.
const THREADS: usize = 2;

/// Further seeds that have found something, with what it was.
const REGRESSIONS: &[(u64, &str)] = &[];

/// What must have happened, by the beginning of its name, and at least how often: a fault that never fires is a check
/// that can't fail.
const TEETH: &[(&str, u64)] = &[
    // From outside.
    ("killed from outside", 100),
    ("all killed at once", 100),
    ("taken over by another of its name", 100),
    ("a further member joined", 100),
    ("a member left", 100),
    ("a member stalled", 100),
    ("clock set back", 100),
    ("clock set on by hours", 100),
    ("definition changed", 100),
    ("snapshot flipped", 100),
    ("snapshot cut off", 100),
    ("snapshot deleted", 100),
    // At the services' own points.
    ("death at restore", 20),
    ("death when restored", 20),
    ("death in a replay", 10),
    ("death before a batch", 20),
    ("death after a batch", 20),
    ("death before a snapshot", 20),
    ("death in or after a snapshot", 20),
    ("death after a skip", 3),
    // Around commits.
    ("full", 100),
    ("abort", 100),
    ("death before a commit", 100),
    ("death after a commit", 100),
    ("oddwatch_exchange_full_total of oddwatch-ingest", 100),
    ("oddwatch_exchange_full_total of oddwatch-windowing", 100),
    ("oddwatch_exchange_full_total of oddwatch-detector", 100),
    ("oddwatch_exchange_full_total of oddwatch-notification", 10),
    ("oddwatch_exchange_rewinds_total of oddwatch-ingest", 100),
    ("oddwatch_exchange_rewinds_total of oddwatch-windowing", 100),
    ("oddwatch_exchange_rewinds_total of oddwatch-detector", 100),
    ("oddwatch_exchange_rewinds_total of oddwatch-notification", 10),
    // Deadly rows, and how they were found.
    ("deadly for ingest", 50),
    ("deadly for windowing", 50),
    ("deadly for detector", 50),
    ("deadly for notification", 50),
    ("rehearsal survived", 100),
    ("oddwatch_exchange_skipped_total of oddwatch-ingest", 50),
    ("oddwatch_exchange_skipped_total of oddwatch-windowing", 50),
    ("oddwatch_exchange_skipped_total of oddwatch-detector", 50),
    ("oddwatch_exchange_skipped_total of oddwatch-notification", 50),
    // How states came back.
    ("restore in the middle", 1_000),
    ("restore from the start", 1_000),
    ("oddwatch_snapshot_taken_total", 10_000),
    ("oddwatch_snapshot_refused_total", 50),
    ("input released", 1_000),
    ("partitions that forgot their first messages", 100),
    // What the records were like.
    ("oddwatch_ingest_refused_total", 1_000),
    ("oddwatch_ingest_ticks_total", 10_000),
    ("oddwatch_windowing_late_rows_total", 1_000),
    ("oddwatch_windowing_refused_total", 1_000),
    ("oddwatch_windowing_drifts_total", 50),
    ("oddwatch_detector_refused_total", 1_000),
    ("oddwatch_detector_anomalies_total", 1_000),
    ("anomalies cleared in silence", 100),
    ("alerts", 1_000),
    ("compared with a single run", 100),
];

/// What must have happened on disk.
const TEETH_ON_DISK: &[(&str, u64)] =
    &[("the exchange was found again after a crash", 10), ("restore in the middle", 100)];

#[test]
fn whatever_happens_each_record_is_scored_once_and_the_same() {
    let regressions = REGRESSIONS.iter().map(|(seed, _)| *seed);
    let seeds = (0..SEEDS).chain(regressions.filter(|seed| *seed >= SEEDS)).collect();
    simulate(seeds, |seed| run(seed, &InMemory), TEETH);
}

#[test]
fn it_is_so_on_disk_and_after_crashes_of_everything() {
    let on_disk = |seed| {
        let bed = OnDisk::new().map_err(|error| error.to_string())?;
        run(seed, &bed).map_err(|wrong| format!("on disk: {wrong}"))
    };
    simulate((0..SEEDS_ON_DISK).collect(), on_disk, TEETH_ON_DISK);
}

/// Runs all seeds; none may fail, and everything that is to happen must.
fn simulate(
    seeds: Vec<u64>,
    run: impl Fn(u64) -> Result<Run, String> + Sync,
    teeth: &[(&str, u64)],
) {
    let next = AtomicUsize::new(0);
    let (all, wrong) = (Mutex::new(Counts::new()), Mutex::new(vec![]));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match run(*seed) {
                        Ok(run) => add(&all, run.counts),
                        Err(text) => {
                            wrong.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                        }
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    let words: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} seeds failed, such as:\n{}", wrong.len(), words.join("\n\n"));
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let is_blunt = |(name, least): &(&str, u64)| {
        let named = all.iter().filter(|(found, _)| found.starts_with(name));
        let times: u64 = named.map(|(_, times)| times).sum();
        (times < *least).then(|| format!("{name}: {times} times, not {least}"))
    };
    let blunt: Vec<String> = teeth.iter().filter_map(is_blunt).collect();
    assert!(blunt.is_empty(), "what was to happen did not:\n{}", blunt.join("\n"));
}

fn add(all: &Mutex<Counts>, counts: Counts) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, times) in counts {
        *all.entry(what).or_default() += times;
    }
}

#[test]
fn a_seed_is_always_the_same_run() {
    let mut different = 0;
    let mut last = 0;
    for seed in 0..40 {
        let [first, again] = [(); 2].map(|()| run(seed, &InMemory).expect("the seed is good"));
        assert_eq!(first.fingerprint(), again.fingerprint(), "seed {seed}");
        assert_eq!(first.counts, again.counts, "seed {seed}");
        different += u64::from(first.fingerprint() != last);
        last = first.fingerprint();
    }
    assert_eq!(different, 40, "seeds differ");
}
