//! What is published: several hundred series as they are found in the world, with anomalies, lasting changes, late
//! and disordered records, and now and then something that is no record.

use crate::dice::Dice;

/// Series of one value on `records`, the stream that exists without being defined.
const PLAIN: u64 = 300;
/// Series of three values on `machines`, whose records come in disorder.
const MACHINES: u64 = 60;
/// One of so many records is of a machine.
const MACHINE_EVERY: u64 = 5;
/// One of so many is no record.
const BROKEN: f64 = 0.001;
/// Event time of the first records: 2020, so that none is of the future.
const EPOCH_MS: i64 = 1_577_836_800_000;

/// The streams, detectors and channels of a run, as a definitions file.
pub(crate) fn definitions(channels: &[(&str, &str, Option<&str>)]) -> String {
    let mut text = r#"
[[streams]]
name = "machines"
topic = "machines"
features = ["temperature", "load", "vibration"]
lateness_ms = 5_000
windows = [{ name = "tens", size = 10, slide = 5, features = ["mean", "std", "max"] }]

[[detectors]]
name = "plain"
stream = "default"
threshold = { contamination = 0.001 }
silence_ms = 20_000

[[detectors]]
name = "machines"
stream = "machines"
threshold = { contamination = 0.001 }
on_drift = "relearn"

[[detectors]]
name = "tens"
stream = "machines"
window = "tens"
"#
    .to_owned();
    for (name, url, secret) in channels {
        text +=
            &format!("\n[[channels]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\n");
        text += &secret.map(|file| format!("secret_file = \"{file}\"\n")).unwrap_or_default();
    }
    text
}

/// A line for kcat: key, tab, JSON.
pub(crate) struct Line {
    /// Its topic, without prefix: one of [`TOPICS`].
    pub(crate) topic: usize,
    pub(crate) text: String,
}

/// The topics that lines are for.
pub(crate) const TOPICS: [&str; 2] = ["records", "machines"];

/// Makes lines, for ever.
pub(crate) struct Lines {
    dice: Dice,
    plain: Vec<Series>,
    machines: Vec<Series>,
}

#[derive(Clone, Default)]
struct Series {
    rows: i64,
    /// Where a walk stands.
    level: f64,
    /// Rows of an anomaly that are still to come, and how far it is off.
    odd_rows: u64,
    odd_by: f64,
}

impl Lines {
    pub(crate) fn new(seed: u64) -> Self {
        let series = |count| vec![Series::default(); count as usize];
        Self { dice: Dice::new(seed, 1), plain: series(PLAIN), machines: series(MACHINES) }
    }

    pub(crate) fn next(&mut self) -> Line {
        let is_machine = self.dice.within(1, MACHINE_EVERY) == 1;
        let is_broken = self.dice.happens(BROKEN);
        let (topic, number, count) = if is_machine {
            (1, &mut self.machines, MACHINES)
        } else {
            (0, &mut self.plain, PLAIN)
        };
        let at = self.dice.within(0, count - 1);
        let series = &mut number[at as usize];
        let key = format!("{}-{at:03}", TOPICS[topic]);
        let json = match (is_broken, is_machine) {
            (true, _) => broken(&mut self.dice, &key, is_machine),
            (false, true) => machine(&mut self.dice, series, &key),
            (false, false) => plain(&mut self.dice, series, &key, at),
        };
        Line { topic, text: format!("{key}\t{json}\n") }
    }
}

/// What ingest must refuse.
fn broken(dice: &mut Dice, key: &str, is_machine: bool) -> String {
    let good = if is_machine { r#""values":{"load":1}"# } else { r#""value":1"# };
    match dice.within(1, 4) {
        1 => format!(r#"{{"series":"{key}","time":1577836800,"val"#),
        2 => format!(r#"{{"series":"{key}",{good}}}"#),
        3 => format!(r#"{{"series":"{key}","time":4102444800,{good}}}"#),
        _ => format!(r#"{{"series":"{key}","time":1577836800,"value":"x"}}"#),
    }
}

fn plain(dice: &mut Dice, series: &mut Series, key: &str, at: u64) -> String {
    let row = series.rows;
    series.rows += 1;
    let noise = dice.noise();
    let base = 20.0 + at as f64;
    // The time of day as a fraction, one record a minute.
    let day = (row % 1_440) as f64 / 1_440.0;
    let value = match at % 5 {
        0 => base + 40.0 * day * (1.0 - day) + noise,
        1 => {
            series.level += 0.3 * noise;
            base + series.level
        }
        2 => base + if row / 2_000 % 2 == 1 { 25.0 } else { 0.0 } + 2.0 * noise,
        3 => base + 0.01 * noise,
        _ => base + (row % 60) as f64 / 2.0 + noise,
    };
    let time = EPOCH_MS / 1_000 + 60 * row;
    let value = value + odd(dice, series, 1_500, 12.0);
    format!(r#"{{"series":"{key}","time":{time},"value":{value}}}"#)
}

fn machine(dice: &mut Dice, series: &mut Series, key: &str) -> String {
    let row = series.rows;
    series.rows += 1;
    let load = 50.0 + ((row % 300) as f64 / 3.0 - 50.0).abs() + 3.0 * dice.noise();
    let temperature = 30.0 + load / 4.0 + 0.5 * dice.noise() + odd(dice, series, 2_500, 25.0);
    let vibration = if row / 3_000 % 2 == 1 { 2.0 } else { 1.0 } + 0.1 * dice.noise();
    let mut time = EPOCH_MS + 1_000 * row;
    if dice.happens(0.1) {
        time -= dice.within(1_000, 4_500) as i64;
    } else if dice.happens(0.002) {
        // Behind the watermark.
        time -= 30_000;
    }
    let values =
        format!(r#"{{"temperature":{temperature},"load":{load},"vibration":{vibration}}}"#);
    format!(r#"{{"series":"{key}","time":{time},"values":{values}}}"#)
}

/// How far a value is off: mostly not at all, and then for some rows.
fn odd(dice: &mut Dice, series: &mut Series, every: u64, by: f64) -> f64 {
    if series.odd_rows == 0 {
        if series.rows < 100 || dice.within(1, every) > 1 {
            return 0.0;
        }
        series.odd_rows = dice.within(1, 8);
        series.odd_by = by * (0.5 + dice.unit());
    }
    series.odd_rows -= 1;
    series.odd_by
}
