//! Takes a snapshot of 100,000 items of 6 KB into a directory while items change between the
//! slices, and prints how long the worker stood still for it and how fast it was written and loaded
//! again.
//!
//! `cargo run --release -p oddwatch-snapshot --example slices [-- DIRECTORY [ITEMS [BYTES
//! [CHANGES]]]]`; changes are those between two calls of `settle`.
#![expect(clippy::print_stdout, reason = "the result goes to stdout")]

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use oddwatch_snapshot::{
    Begun, Capture, Encode, Partitions, Saver, SaverConfig, Slices, Store, Subject, Wanted,
};

/// Like a series' model: numbers that differ in their lower bits.
struct Series(Vec<f64>);

impl Encode for Series {
    fn encode(&self, out: &mut Vec<u8>) {
        for value in &self.0 {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

struct State(Slices<Series>);

impl Capture for State {
    fn begin(&mut self) -> Begun {
        self.0.begin();
        Begun::default()
    }

    fn advance(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        self.0.advance(bytes, out)
    }

    fn buffered(&self) -> usize {
        self.0.buffered()
    }

    fn cancel(&mut self) {
        self.0.cancel();
    }
}

impl Partitions for State {
    type State = Self;

    fn get(&mut self, _: &str) -> Option<(&mut Self, u64)> {
        Some((self, 1))
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

/// A small generator: what matters is only that items are hit all over.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 33
    }
}

/// The times that a call took.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn of<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = now();
        let result = call();
        self.0.push(start.elapsed());
        result
    }

    fn print(&mut self, what: &str) {
        self.0.sort();
        let at = |part: f64| self.0[((self.0.len() - 1) as f64 * part) as usize];
        let sum: Duration = self.0.iter().sum();
        println!(
            "{what}: {} calls, median {:.2?}, 99 % {:.2?}, longest {:.2?}, in all {sum:.2?}",
            self.0.len(),
            at(0.5),
            at(0.99),
            at(1.0),
        );
    }
}

fn main() -> Result<(), oddwatch_snapshot::Error> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "target/slices".to_owned());
    let mut number = |default| arguments.next().and_then(|it| it.parse().ok()).unwrap_or(default);
    let (items, bytes, changes) = (number(100_000), number(6_000), number(20));

    let mut random = Random(1);
    let mut value = || 100.0 + (random.next() % 1_000_000) as f64 / 1_000.0;
    let series = (0..items).map(|_| Series((0..bytes / 8).map(|_| value()).collect()));
    let mut state = State(series.map(Some).collect::<Vec<_>>().into());
    let total = (items * bytes) as f64 / 1e6;
    println!("{items} items of {bytes} bytes: {total:.0} MB; {changes} changes between calls");

    let mut untouched = Times::default();
    let change = |state: &mut State, random: &mut Random| {
        for _ in 0..changes {
            let index = random.next() as usize % items;
            state.0.get_mut(index).0[0] += 1.0;
        }
    };
    for _ in 0..100 {
        untouched.of(|| change(&mut state, &mut random));
    }
    untouched.print("changes without a snapshot");

    let store = Arc::new(Store::open(&url, None)?);
    let config = SaverConfig { input_bytes: 1, ..SaverConfig::default() };
    let slice = config.slice_bytes;
    let mut saver = Saver::new(Arc::clone(&store), "slices", config, false);
    saver.assigned("rows/0", vec![], 0);
    saver.applied("rows/0", 1);
    let (mut settled, mut changed) = (Times::default(), Times::default());
    let start = now();
    let mut released = vec![];
    while released.is_empty() {
        released = settled.of(|| saver.settle(1, &mut state));
        changed.of(|| change(&mut state, &mut random));
        if released.is_empty() && !saver.in_progress() {
            println!("it could not be written");
            return Ok(());
        }
        // A worker polls here.
        std::thread::sleep(Duration::from_micros(500));
    }
    let seconds = start.elapsed().as_secs_f64();
    settled.print(&format!("settle, slices of {slice} bytes"));
    changed.print("changes meanwhile");
    let subject = Subject::new("slices", "rows/0");
    let stored = store.list(&subject)?[0].bytes as f64 / 1e6;
    println!("saved in {seconds:.2} s: {:.0} MB/s, {stored:.0} MB stored", total / seconds);

    let start = now();
    let wanted = Wanted { offset_max: 1, epoch: None, state_versions: 0..=0 };
    let loaded = store.load(
        &subject,
        &wanted,
        |_, _| Ok(Vec::new()),
        |items: &mut Vec<_>, index, bytes| {
            items.push((index, bytes.to_vec()));
            Ok(())
        },
    )?;
    let seconds = start.elapsed().as_secs_f64();
    let count = loaded.state.map_or(0, |(_, items)| items.len());
    println!("loaded {count} items in {seconds:.2} s: {:.0} MB/s", total / seconds);
    Ok(())
}
