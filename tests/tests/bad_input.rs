//! What is no record: each kind with its own reason in `records.rejected`, and the stream going on behind it.

use std::{collections::BTreeMap, fs};

use domain::Reason;
use exchange::Message;
use oddwatch_tests::{
    broker::Deployment,
    ledger::Ledger,
    process::Service,
    wait::{LIMIT, until},
};
use wire::v1;

/// Bytes that are no record, the reason that is given, and words of the detail.
struct Case(Vec<u8>, Reason, &'static str);

/// What was refused, by the offset of its message.
#[derive(Default)]
struct Refused(BTreeMap<u64, Vec<(Reason, v1::RecordRejected)>>);

impl Refused {
    fn take(&mut self, _: u32, message: &Message) {
        let bytes = message.value.as_deref().unwrap_or_default();
        let refused = wire::events::decode_refusal(bytes).expect("a refusal can be read");
        self.0.entry(refused.1.offset).or_default().push(refused);
    }
}

fn json(text: &str, reason: Reason, words: &'static str) -> Case {
    Case(text.as_bytes().to_vec(), reason, words)
}

/// A JSON record of a series and a time that are good.
fn values(fields: &str, reason: Reason, words: &'static str) -> Case {
    json(&format!(r#"{{"series":"bad","time":"2024-05-01T12:00:00Z",{fields}}}"#), reason, words)
}

fn good_record() -> v1::Record {
    v1::Record {
        series: "bad".into(),
        time_us: 1_714_564_800_000_000,
        value_list: vec![1.5],
        ..Default::default()
    }
}

fn protobuf(record: v1::Record, reason: Reason, words: &'static str) -> Case {
    Case(wire::records::encode_records(vec![record]), reason, words)
}

fn listed(value_list: Vec<f64>, reason: Reason, words: &'static str) -> Case {
    protobuf(v1::Record { value_list, ..good_record() }, reason, words)
}

fn json_cases() -> Vec<Case> {
    let many: Vec<String> = (0..10_000).map(|i| format!("\"f{i}\":1")).collect();
    let many = format!(r#""values":{{{}}}"#, many.join(","));
    let padding = format!(r#""value":1,"padding":"{}""#, "x".repeat(2 << 20));
    vec![
        json("hello", Reason::Undecodable, "not JSON"),
        json(r#"{"series":"bad","time":5,"value":1"#, Reason::Undecodable, "EOF"),
        json("5", Reason::WrongType, "object"),
        values(r#""value":"high""#, Reason::WrongType, "\"high\""),
        values(r#""values":{"a":true}"#, Reason::WrongType, "\"a\""),
        json(r#"{"series":{},"time":5,"value":1}"#, Reason::WrongType, "/series"),
        json(r#"{"series":"bad","time":"soon","value":1}"#, Reason::WrongType, "\"soon\""),
        json(r#"{"time":5,"value":1}"#, Reason::NoSeries, "series"),
        json(r#"{"series":"bad","value":1}"#, Reason::NoTime, "time"),
        values(r#""other":1"#, Reason::NoValue, "value"),
        values(r#""value":null"#, Reason::NoValue, "value"),
        values(r#""value":NaN"#, Reason::NonFinite, "NaN"),
        values(r#""value":-Infinity"#, Reason::NonFinite, "Infinity"),
        values(r#""value":1e999"#, Reason::NonFinite, "out of range"),
        json(
            r#"{"series":"bad","time":"0000-01-01T00:00:00Z","value":1}"#,
            Reason::TimeOutOfBounds,
            "year",
        ),
        json(
            r#"{"series":"bad","time":"12024-01-01T00:00:00Z","value":1}"#,
            Reason::TimeOutOfBounds,
            "year",
        ),
        json(r#"{"series":"bad","time":1e30,"value":1}"#, Reason::TimeOutOfBounds, "year"),
        json(r#"{"series":"bad","time":"2999-01-01T00:00:00Z","value":1}"#, Reason::Future, "past"),
        values(&padding, Reason::TooLarge, "bytes"),
        values(&many, Reason::TooManyFeatures, "10000"),
    ]
}

fn protobuf_cases() -> Vec<Case> {
    let good = wire::records::encode_records(vec![good_record()]);
    let torn = good[..good.len() - 3].to_vec();
    let mut newer = good;
    assert_eq!(newer[..2], [0x08, 1], "the version stands first");
    newer[1] = 9;
    vec![
        Case(torn, Reason::Undecodable, "RecordBatch"),
        Case(newer, Reason::UnknownVersion, "version 9"),
        listed(vec![f64::NAN], Reason::NonFinite, "NaN"),
        listed(vec![1.0, f64::INFINITY], Reason::NonFinite, "inf"),
        listed(vec![f64::NEG_INFINITY], Reason::NonFinite, "-inf"),
        listed(vec![], Reason::NoValue, "value"),
        listed(vec![1.0; 10_000], Reason::TooManyFeatures, "10000"),
        protobuf(v1::Record { series: String::new(), ..good_record() }, Reason::NoSeries, "series"),
        protobuf(v1::Record { time_us: 0, ..good_record() }, Reason::NoTime, "time_us"),
        protobuf(
            v1::Record { time_us: i64::MAX, ..good_record() },
            Reason::TimeOutOfBounds,
            "time_us",
        ),
        protobuf(
            v1::Record { time_us: 32_503_680_000_000_000, ..good_record() },
            Reason::Future,
            "past",
        ),
    ]
}

#[test]
fn each_kind_has_its_reason_and_the_stream_goes_on() {
    const TEST: &str = "each_kind_has_its_reason_and_the_stream_goes_on";
    let Some(deployment) = Deployment::new(TEST) else { return };
    let topics = deployment.topics.clone();
    let mut services: Vec<Service> = ["ingest", "windowing", "detector"]
        .map(|service| deployment.start(service, "0", &[]))
        .into();
    let completed = deployment.read(&topics.completed, Ledger::take);
    let refused = deployment.read(&topics.rejected, Refused::take);

    // A good record stands before each bad one and behind the last, all in one partition: a message's place
    // among the files is its offset.
    let cases: Vec<Case> = json_cases().into_iter().chain(protobuf_cases()).collect();
    let mut files = vec![];
    let mut file = |bytes: &[u8]| {
        let path = deployment.path(&format!("message-{:03}", files.len()));
        fs::write(&path, bytes).expect("a message can be written");
        files.push(path);
    };
    let good = |number: usize| {
        let (minute, value) = (number % 60, number % 7);
        format!(r#"{{"series":"good","time":"2024-05-01T12:{minute:02}:00Z","value":{value}}}"#)
    };
    for (number, Case(bytes, ..)) in cases.iter().enumerate() {
        file(good(number).as_bytes());
        file(bytes);
    }
    file(good(cases.len()).as_bytes());
    deployment.publish_files(&topics.records, 0, &files);

    until("answer to every message", LIMIT, || {
        services.iter_mut().for_each(Service::check_alive);
        let scored = completed.look(Ledger::scores);
        (scored > cases.len() && refused.look(|all| all.0.len()) >= cases.len()).then_some(())
    });
    for service in services {
        assert_eq!(service.terminate().0, Some(0));
    }
    let (completed, refused) = (completed.finish(), refused.finish());
    assert_eq!(completed.faults(), [""; 0]);
    let offsets: Vec<u64> = completed.of("good").iter().map(|score| score.origin.offset).collect();
    let expected: Vec<u64> = (0..=cases.len() as u64).map(|number| number * 2).collect();
    assert_eq!(offsets, expected, "the good records, by offset");
    assert_eq!(completed.scores(), expected.len());
    assert_eq!(refused.0.len(), cases.len());
    for (number, case) in cases.iter().enumerate() {
        check(number as u64 * 2 + 1, case, &refused, &topics.records);
    }
}

/// The message at this offset was refused once, as the case says.
fn check(offset: u64, Case(bytes, reason, words): &Case, refused: &Refused, records: &str) {
    let text: String = String::from_utf8_lossy(bytes).chars().take(100).collect();
    let [(found, refusal)] = refused.0.get(&offset).map_or(&[][..], Vec::as_slice) else {
        panic!("{text}: {:?}", refused.0.get(&offset));
    };
    let kept = &bytes[..bytes.len().min(64 << 10)];
    assert_eq!(found, reason, "{text}: {}", refusal.detail);
    assert!(refusal.detail.contains(words), "{text}: {}", refusal.detail);
    assert_eq!(refusal.source, format!("{records}/0"), "{text}");
    assert_eq!((refusal.service.as_str(), refusal.index), ("ingest", 0), "{text}");
    assert!(refusal.payload == kept, "{text}: another payload");
}

/// Without a broker: what the HTTP front door takes is refused by ingest proper, and the rest by itself.
#[test]
fn the_memory_exchange_refuses_the_same_way() {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let service = Service::start(folder.path(), "up", &["up"]);
    let client = reqwest::blocking::Client::new();
    let post = |body: Vec<u8>| {
        let request = client.post(service.url("/v1/records")).body(body);
        let answer = request.send().expect("the front door answers");
        (answer.status().as_u16(), answer.text().expect("the answer is text"))
    };
    let mut expected: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut good, mut at_door) = (0, 0);
    for Case(body, reason, _) in json_cases() {
        let text: String = String::from_utf8_lossy(&body).chars().take(100).collect();
        match post(body) {
            (200, _) => *expected.entry(reason.name()).or_default() += 1,
            (413, answer) => {
                assert_eq!(reason, Reason::TooLarge, "{text}: {answer}");
                at_door += 1;
            }
            (400, answer) => {
                assert!(answer.contains("line 1, column"), "{text}: {answer}");
                at_door += 1;
            }
            other => panic!("{text}: {other:?}"),
        }
        let record = format!(r#"{{"series":"good","time":{},"value":1}}"#, 1_714_564_800 + good);
        assert_eq!(post(record.into_bytes()).0, 200, "a good record behind {text}");
        good += 1;
    }
    assert!(expected.len() >= 7 && at_door >= 3, "{expected:?}, {at_door} at the door");
    until("score of each good record", LIMIT, || {
        let scores = service.metric("oddwatch_detector_scores_total", &[]);
        (scores >= f64::from(good)).then_some(())
    });
    for (reason, count) in expected {
        let label = format!("reason=\"{reason}\"");
        let found = service.metric("oddwatch_ingest_refused_total", &[&label]);
        assert!((found - f64::from(count)).abs() < 0.5, "{reason}: {found} refused, not {count}");
    }
    assert_eq!(service.terminate().0, Some(0));
}
