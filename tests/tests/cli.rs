//! The command line as users and scripts meet it: what is wrong is said in few words that name the place, and the
//! exit status tells what kind of thing it was.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    thread,
    time::Duration,
};

use oddwatch_tests::{
    broker::Deployment,
    process::{Ended, run},
};

const GOOD: &str = "timestamp,value\n2024-05-01 12:00:00,1\n2024-05-01 12:05:00,2\n";

/// What is wrong within a file is shown as it stands there, which takes some lines.
const LINES_MAX: usize = 6;

/// Fails unless the command ended with `status` and its few words on stderr contain all of `words`.
fn check(ended: &Ended, status: &[i32], words: &[&str]) {
    let is_one_of = ended.status.is_some_and(|found| status.contains(&found));
    assert!(is_one_of, "one of {status:?} expected: {ended:?}");
    assert!(ended.stderr.lines().count() <= LINES_MAX, "too many words: {ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} expected: {ended:?}");
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path is text").to_owned()
}

#[test]
fn score_names_file_line_and_column() {
    let folder = tempfile::tempdir().expect("a folder");
    let check_file = |bytes: &[u8], args: &[&str], words: &[&str]| {
        let path = folder.path().join("input.csv");
        fs::write(&path, bytes).expect("a file can be written");
        let file = text(&path);
        let all = [&["score", file.as_str()], args].concat();
        check(&run(&all), &[1, 2], &[&[file.as_str()], words].concat());
    };
    let missing = text(&folder.path().join("missing.csv"));
    check(&run(&["score", &missing]), &[1, 2], &[&missing, "No such file"]);
    check_file(b"", &[], &["empty"]);
    check_file(GOOD.as_bytes(), &["--values", "valu"], &["\"valu\"", "timestamp, value"]);
    check_file(GOOD.as_bytes(), &["--time", "when"], &["\"when\"", "timestamp, value"]);
    check_file(GOOD.as_bytes(), &["--key", "host"], &["\"host\"", "timestamp, value"]);
    let with = |row: &str| format!("{GOOD}{row}\n");
    let number = ["line 4", "column \"value\"", "\"high\" is not a number"];
    check_file(with("2024-05-01 12:10:00,high").as_bytes(), &[], &number);
    let time = ["line 4", "column \"timestamp\"", "\"soon\" is no time"];
    check_file(with("soon,1").as_bytes(), &[], &time);
    check_file(with("2024-05-01 12:10:00,1,2").as_bytes(), &[], &["line 4", "3 cells"]);
    check_file(&[GOOD.as_bytes(), b"2024-05-01 12:10:00,\xff\n"].concat(), &[], &["line 4"]);
    check_file(b"timestamp\n2024-05-01 12:00:00\n", &[], &["no column with values"]);
}

#[test]
fn score_answers_every_row_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("mixed.csv");
    // Time, key and value; whether the row is refused.
    let rows = [
        ("2024-05-01 12:00:00", "a", "1", false),
        ("2024-05-01T12:05:00Z", "b", "2.5", false),
        ("2024-05-01 12:05:00", "a", "", true),
        ("2024-05-01 11:00:00", "a", "3", false),
        ("1714565400", "a", "NaN", true),
        ("2024-05-01 12:10:00", "", "4", true),
        ("2024-05-01 12:10:00", "b", "-inf", true),
        ("2024-05-01 12:15:00", "b", "1e300", false),
        ("2999-01-01 00:00:00", "a", "5", false),
    ];
    let lines = rows.map(|(time, key, value, _)| format!("{time},{key},{value}\n"));
    fs::write(&input, format!("time,host,load\n{}", lines.concat())).expect("it can be written");
    let ended = run(&["score", &text(&input), "--key", "host"]);
    check(&ended, &[0], &["5 rows scored, 4 refused"]);
    let mut reader = csv::Reader::from_reader(ended.stdout.as_bytes());
    let header = reader.headers().expect("it has a header").iter().collect::<Vec<_>>().join(",");
    let columns = "time,key,score,is_anomaly,confidence,expected,lower,upper,note,";
    assert!(header.starts_with(columns), "{header}");
    let found: Vec<csv::StringRecord> =
        reader.records().map(|record| record.expect("it is CSV")).collect();
    assert_eq!(found.len(), rows.len());
    for (record, (time, key, _, refused)) in found.iter().zip(rows) {
        assert_eq!((&record[0], &record[1]), (time, key));
        assert_eq!(record[2].is_empty(), refused, "{record:?}");
        assert_eq!(record[8].starts_with("refused"), refused, "{record:?}");
    }
    assert!(found[3][8].starts_with("late"), "an hour behind its series: {found:?}");
    let nan = &found[4][8];
    assert!(nan.contains("NON_FINITE") && found[5][8].contains("NO_SERIES"), "{found:?}");
}

#[test]
fn score_is_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("many.csv");
    let rows = (0..5_000_u64).map(|i| {
        let odd = if i % 977 == 976 { 1e4 } else { 0.0 };
        format!("{},{},{}\n", 1_700_000_000 + i, i % 3, (i * 7_919 % 1_000) as f64 / 7.0 + odd)
    });
    fs::write(&input, format!("time,key,value\n{}", rows.collect::<String>())).expect("written");
    let score = |name: &str| {
        let (out, events) = (folder.path().join(name), folder.path().join(format!("{name}.nd")));
        let (input, out_text) = (text(&input), text(&out));
        let ended =
            run(&["score", &input, "--key", "key", "-o", &out_text, "--anomalies", &text(&events)]);
        check(&ended, &[0], &["5000 rows scored, 0 refused"]);
        (fs::read(out).expect("scores"), fs::read(events).expect("events"))
    };
    let first = score("first");
    assert!(!first.1.is_empty(), "there are anomalies to compare");
    assert!(score("second") == first, "another run gave other bytes");
    let printed = run(&["score", &text(&input), "--key", "key"]);
    assert!(printed.stdout.as_bytes() == first.0, "standard output differs from the file");
}

/// A server that is no broker: it answers everyone with `answer`, or with silence.
fn other_server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        let mut silent = vec![];
        for stream in listener.incoming().filter_map(Result::ok) {
            let mut stream = stream;
            if answer.is_empty() {
                silent.push(stream);
            } else {
                let _ = stream.read(&mut [0; 512]);
                let _ = stream.write_all(answer);
            }
        }
    });
    address
}

#[test]
fn a_broker_that_is_none_is_told_within_ten_seconds() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed = closed.expect("a free port").to_string();
    let http = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let http = other_server(http).to_string();
    let silent = other_server(b"").to_string();
    let nowhere = "no-such-host.invalid:9092".to_owned();
    let commands: [&[&str]; 6] = [
        &["ingest"],
        &["windowing"],
        &["detector"],
        &["notification"],
        &["up"],
        &["tail", "alerts"],
    ];
    let elsewhere = [&http, &silent, &nowhere].map(|address| (&commands[0], address));
    thread::scope(|scope| {
        for (command, address) in commands.iter().map(|c| (c, &closed)).chain(elsewhere) {
            scope.spawn(move || {
                let ended = run(&[command, &["--kafka", address.as_str()][..]].concat());
                check(&ended, &[69], &[address]);
                assert!(ended.took < Duration::from_secs(10), "{ended:?}");
                assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
            });
        }
    });
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = other_server(b"").to_string();
    for (ours, other) in [("api.http", "api.grpc"), ("api.grpc", "api.http")] {
        let (ours, other) = (format!("{ours}={taken}"), format!("{other}=127.0.0.1:0"));
        let quiet = "telemetry.log=off";
        let ended = run(&["up", "--set", &ours, "--set", &other, "--set", quiet]);
        check(&ended, &[69], &[&taken]);
    }
}

#[test]
fn wrong_settings_are_told_before_anything_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("a file can be written");
        text(&path)
    };
    let set = |setting: &str, words: &[&str]| {
        check(&run(&["up", "--set", setting]), &[78], words);
    };
    set("kafka.broker=a:1", &["broker"]);
    set("cafe.brokers=a:1", &["cafe"]);
    set("exchange.partitions=0", &["exchange.partitions is 0", "from 1 to 256"]);
    set("exchange.partitions=many", &["partitions"]);
    set("exchange.kind=rabbit", &["rabbit"]);
    set("worker.instance=a b", &["worker.instance"]);
    set("api.http=nowhere", &["api.http"]);
    set("ingest.features_max=0", &["ingest.features_max is 0"]);
    let with = |option: &str, path: &str, words: &[&str]| {
        check(&run(&["up", option, path]), &[78], words);
    };
    let missing = text(&folder.path().join("missing.toml"));
    with("--config", &missing, &[&missing]);
    with("--config", &file("a.toml", "[kafka]\ncolour = 1\n"), &["colour"]);
    with("--config", &file("b.toml", "[kafka\n"), &["b.toml"]);
    with("--definitions", &missing, &[&missing]);
    let wrong = file("c.toml", "[[detectors]]\nname = \"d\"\nstream = \"none\"\n");
    with("--definitions", &wrong, &["c.toml", "\"none\""]);
    check(&run(&["up", "--set", "nothing"]), &[2], &["SECTION.KEY=VALUE"]);
}

#[test]
fn another_number_of_partitions_is_refused() {
    const TEST: &str = "another_number_of_partitions_is_refused";
    let Some(deployment) = Deployment::new(TEST) else { return };
    let service = deployment.start("ingest", "0", &["exchange.partitions=3"]);
    assert_eq!(service.terminate().0, Some(0));
    let prefix = format!("kafka.topic_prefix={}", deployment.topics.prefix);
    let broker = deployment.broker();
    let quiet = "telemetry.log=off";
    let ended = run(&["detector", "--kafka", broker, "--set", &prefix, "--set", quiet]);
    check(&ended, &[78], &["exchange.partitions is 4", "3"]);
}
