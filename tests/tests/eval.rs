//! `oddwatch eval` and `oddwatch tune` as users run them; and that what they measure is what the services say.

use std::{fs, path::Path};

use oddwatch_tests::{needs, process::run};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}

/// A file of rows five minutes apart, with a label; rows 500 and 501 of each 600 are odd.
fn labelled(folder: &Path, rows: u64) -> String {
    let path = folder.join("labelled.csv");
    let row = |row: u64| {
        let odd = row % 600 / 2 == 250;
        let value = (row * 7919 % 101) as f64 / 10.0 + if odd { 90.0 } else { 0.0 };
        format!("{},{value},{}\n", 1_714_564_800 + 300 * row, u8::from(odd))
    };
    let lines: String = (0..rows).map(row).collect();
    fs::write(&path, format!("time,load,odd\n{lines}")).expect("it can be written");
    text(&path).to_owned()
}

#[test]
fn planted_spikes_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = labelled(folder.path(), 1800);
    let ended = run(&["eval", "csv", &file, "--label", "odd", "--detector", "robust_z"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let line = |start: &str| {
        let line = ended.stdout.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.split_whitespace().last()).map(str::to_owned)
    };
    for (measure, expect) in [
        ("labelled stretches", "3"),
        ("stretches found", "3"),
        ("F1 at the threshold", "1.0000"),
        ("mean delay of those, rows", "0.0"),
        ("false anomalies", "0"),
    ] {
        assert_eq!(line(measure).as_deref(), Some(expect), "{measure}: {ended:?}");
    }
}

#[test]
fn a_tuned_definition_can_be_pasted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = labelled(folder.path(), 1800);
    let ended = run(&["tune", &file, "--label", "odd", "--name", "best"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let (_, definition) = ended.stdout.split_once("[[detectors]]").expect("a definition");
    let definitions = folder.path().join("d.toml");
    fs::write(&definitions, format!("[[detectors]]{definition}")).expect("it can be written");
    let again =
        ["eval", "csv", &file, "--label", "odd", "--definitions", text(&definitions), "--detector"];
    let found = run(&[&again[..], &["best"]].concat());
    assert_eq!(found.status, Some(0), "{found:?}");
}

#[test]
fn a_row_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("two.csv");
    let row = |row: u64| {
        let saw = |step: u64| (row * step % 101) as f64 / 10.0;
        format!("{},{},{}\n", 60 * row, saw(37), saw(59) + if row == 500 { 90.0 } else { 0.0 })
    };
    let lines: String = (0..600).map(row).collect();
    fs::write(&file, format!("time,calm,odd\n{lines}")).expect("it can be written");
    let explain = |args: &[&str]| {
        let ended = run(&[&["explain", text(&file), "--output", "json"][..], args].concat());
        assert_eq!(ended.status, Some(0), "{ended:?}");
        serde_json::from_str::<serde_json::Value>(&ended.stdout).expect("JSON")
    };
    let by_row = explain(&["--row", "501"]);
    assert_eq!(by_row["is_anomaly"], true, "{by_row}");
    assert_eq!(explain(&["--at", "30000"]), by_row);
    assert_eq!(explain(&["--at", "1970-01-01T08:20:00Z", "--series", "two"]), by_row);
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    assert!(number(&by_row["values"][1]["share"]) > 0.9, "{by_row}");
    assert!(number(&by_row["values"][1]["nearest"]) < 11.0, "{by_row}");
    assert!(by_row["base"].is_null() && by_row["values"][1]["added"].is_null(), "{by_row}");
    for method in ["shap", "lime"] {
        let found = explain(&["--row", "501", "--method", method, "--detector", "mahalanobis"]);
        let added = |value: usize| number(&found["values"][value]["added"]);
        assert!(added(1) > 5.0 * added(0).abs(), "{method}: {found}");
        assert!(found["values"][1]["nearest"].is_null(), "it keeps no rows: {found}");
    }
    let shown = run(&["explain", text(&file), "--row", "501"]).stdout;
    let head = |line: &str| line.starts_with("value") && line.ends_with("nearest");
    assert!(shown.contains(": odd; raw score") && shown.lines().any(head), "{shown}");
    for (args, words) in [
        (&["--row", "601"][..], "there is no row 601; there are 600"),
        (&["--at", "7"], "the nearest is at 1970-01-01T00:00:00.000Z"),
        (&["--row", "1", "--series", "x"], "has no series \"x\""),
        (&[], "--row <N>|--at <TIME>"),
    ] {
        let ended = run(&[&["explain", text(&file)][..], args].concat());
        assert!(ended.status == Some(2) && ended.stderr.contains(words), "{words}: {ended:?}");
    }
}

#[test]
fn drifts_are_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("drift");
    let ended = run(&["eval", "drift", "--quick", "--out", text(&out)]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("Drifts found in series without a change"), "{ended:?}");
    let rows = |file: &str| {
        let mut reader = csv::Reader::from_path(out.join(file)).expect("it was written");
        let rows = reader.deserialize().map(|row| row.expect("a row"));
        rows.collect::<Vec<std::collections::HashMap<String, String>>>()
    };
    let number = |row: &std::collections::HashMap<String, String>, column: &str| {
        row[column].parse::<f64>().unwrap_or_else(|wrong| panic!("{column}: {wrong}: {row:?}"))
    };
    // The default tests and 9 alone, 4 kinds of series, 1 and 5 values; one test needs several.
    let alarms = rows("false_alarms.csv");
    assert_eq!(alarms.len(), 4 * (2 * 10 - 1));
    for row in &alarms {
        let rate = number(row, "rate for 1 wanted");
        let (low, high) = (number(row, "rate 95 % from"), number(row, "rate to"));
        assert!(low <= rate && rate <= high && high.is_finite() && high > 0.0, "{row:?}");
        if number(row, "alarms") > 0.0 {
            let length = number(row, "mean run length");
            assert!(length > 0.0 && length.is_finite(), "{row:?}");
        }
    }
    let default = alarms.iter().filter(|row| row["tests"] == "default" && row["values"] == "1");
    assert!(
        default.clone().count() == 4
            && default.clone().all(|row| number(row, "rate for 1 wanted") > 0.0)
    );
    let delays = rows("delays.csv");
    let large = delays.iter().find(|row| {
        row["tests"] == "default"
            && row["series"] == "iid"
            && row["change of one value"] == "step 2"
    });
    let large = large.expect("it was measured");
    assert!(number(large, "misses") == 0.0 && number(large, "mean delay") < 50.0, "{large:?}");
    assert!(
        rows("seeds.csv").iter().any(|row| row["change"] == "step 2" && !row["delay"].is_empty())
    );
    for file in ["false_alarms.svg", "delays.svg"] {
        let drawn = fs::read_to_string(out.join(file)).expect("it was written");
        assert!(drawn.starts_with("<svg ") && drawn.contains("default"), "{file}: {drawn}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = labelled(folder.path(), 50);
    let check = |args: &[&str], status: i32, words: &[&str]| {
        let ended = run(args);
        assert_eq!(ended.status, Some(status), "{ended:?}");
        assert!(words.iter().all(|word| ended.stderr.contains(word)), "{words:?}: {ended:?}");
    };
    check(&["eval", "csv", &file, "--label", "x"], 2, &["\"x\"", "time, load, odd"]);
    check(&["eval", "csv", &file, "--label", "load"], 1, &["line 3", "column \"load\"", "label"]);
    check(&["eval", "noise", "--detector", "x"], 2, &["there is no \"x\"", "robust_z"]);
    check(&["eval", "noise", "--set", "window=9"], 2, &["--detector"]);
    check(&["eval", "drift", "--detector", "x"], 2, &["no test \"x\"", "default", "kswin"]);
    check(&["eval", "nab", "--data", text(folder.path()), "--out", "x"], 1, &["labels"]);
    check(&["tune", &file, "--label", "load"], 1, &["line 3", "column \"load\""]);
}

#[test]
fn the_services_say_what_eval_measures() {
    let Some(data) = needs::data("the_services_say_what_eval_measures") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // The latter has a row that comes late.
    for name in ["nyc_taxi.csv", "machine_temperature_system_failure.csv"] {
        let original = data.join("nab/data/realKnownCause").join(name);
        let scored = run(&["score", text(&original), "--values", "value"]);
        // "...: 10320 rows scored, 0 refused, 7 odd rows in 3 anomalies"
        let numbers: Vec<f64> =
            scored.stderr.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [rows, _, odd, anomalies] = numbers[..] else { panic!("{scored:?}") };
        // With no row labelled each anomaly is a false one, with all labelled each odd row a hit.
        let of_none = measured(folder.path(), &original, 0, "false anomalies");
        assert!(of_none == Some(anomalies), "{name}: {of_none:?}, not {anomalies}");
        let of_all = measured(folder.path(), &original, 1, "recall at the threshold");
        assert!(of_all == Some(odd / rows), "{name}: {of_all:?}, not {odd} of {rows}");
    }
}

/// A measure of a file to whose rows one label is added. Its name stays, for the seed goes by it.
fn measured(folder: &Path, original: &Path, label: u8, measure: &str) -> Option<f64> {
    let file = folder.join(original.file_name().expect("a file has a name"));
    let rows = fs::read_to_string(original).expect("a file of the benchmark is text");
    let mut lines = rows.lines().map(str::to_owned);
    let header = lines.next().expect("it has a header");
    let labelled: String = lines.map(|line| format!("{line},{label}\n")).collect();
    fs::write(&file, format!("{header},label\n{labelled}")).expect("it can be written");
    let figures = folder.join("figures.out");
    let ended = run(&["eval", "csv", text(&file), "--label", "label", "--csv", text(&figures)]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let figures = fs::read_to_string(&figures).expect("it was written");
    figures.lines().find_map(|line| line.strip_prefix(measure)?.strip_prefix(',')?.parse().ok())
}
