//! Messages and what becomes of them: one record each, or the reason and words of the refusal.

use std::fmt::Write as _;

use bytes::Bytes;
use domain::{Format, Stream};
use proptest::prelude::*;
use wire::v1;

use super::*;
use crate::config::tests::defaults;

/// The message's own time: 2023-11-14T22:13:20Z.
const INGESTED_MS: i64 = 1_700_000_000_000;

fn message(value: &[u8]) -> Message {
    Message {
        offset: 1,
        timestamp_ms: INGESTED_MS,
        key: Some(Bytes::from_static(b"kafka")),
        value: Some(Bytes::copy_from_slice(value)),
        headers: vec![],
    }
}

/// All records of a message in one line each: `key@seconds name=value …`, or `!REASON detail`.
fn decoded(stream: &Stream, message: &Message) -> Vec<String> {
    let spec = StreamSpec::new(stream);
    let mut lines = vec![];
    decode(&spec, &defaults(), message, &mut |index, record| {
        assert_eq!(index as usize, lines.len());
        lines.push(match record {
            Err(fault) => format!("!{} {}", fault.reason, fault.detail),
            Ok(record) => {
                let mut line = format!("{}@{}", record.key, record.event_at as f64 / 1e6);
                for (index, value) in record.values.as_slice().iter().enumerate() {
                    let name = match &record.names {
                        Names::Defined => stream.features[index].clone(),
                        Names::Value => "value".into(),
                        Names::Positions => format!("v{index}"),
                        Names::Own(names) => names[index].to_string(),
                    };
                    let value = format!("{value:?}");
                    write!(line, " {name}={}", value.trim_end_matches(".0")).unwrap();
                }
                for (name, value) in record.extras.iter().flat_map(|extras| &extras.tags) {
                    write!(line, " #{name}={value}").unwrap();
                }
                if let Some(trace) =
                    record.extras.as_ref().and_then(|extras| extras.traceparent.clone())
                {
                    write!(line, " ~{trace}").unwrap();
                }
                if let Some(id) = record.extras.and_then(|extras| extras.record_id.clone()) {
                    write!(line, " id={id}").unwrap();
                }
                line
            }
        });
    });
    lines
}

/// Each line must contain what is expected of it.
fn check_message(stream: &Stream, message: &Message, expected: &[&str]) {
    let found = decoded(stream, message);
    let text = String::from_utf8_lossy(message.value.as_deref().unwrap_or_default());
    let text = text.chars().take(200).collect::<String>();
    assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
    for (found, expected) in found.iter().zip(expected) {
        let as_expected = if expected.starts_with('!') {
            // The reason, and some words of the detail.
            let (reason, words) = expected.split_once(' ').unwrap_or((expected, ""));
            found.split(' ').next() == Some(reason) && found.contains(words)
        } else {
            found == expected
        };
        assert!(as_expected, "{text}: {found}, not {expected}");
    }
}

fn check(text: &str, expected: &[&str]) {
    check_message(&Stream::implicit(), &message(text.as_bytes()), expected);
}

fn check_proto(record: v1::Record, expected: &str) {
    let value = wire::records::encode_records(vec![record]);
    check_message(&Stream::implicit(), &message(&value), &[expected]);
}

#[test]
fn json_in_the_default_places() {
    check(r#"{"series":"a","time":5,"value":1.5}"#, &["a@5 value=1.5"]);
    check(r#" {"time":"1970-01-01 00:00:05","value":-0.0,"x":{"y":[1]}}"#, &["kafka@5 value=-0"]);
    check(r#"{"series":7,"time":5.25,"value":1}"#, &["7@5.25 value=1"]);
    check(r#"{"series":null,"time":5,"value":1}"#, &["kafka@5 value=1"]);
    check(r#"{"series":"","time":5,"value":1}"#, &["kafka@5 value=1"]);
    check(r#"{"series":"a\"ä","time":5,"values":{"b":2,"a":1}}"#, &["a\"ä@5 a=1 b=2"]);
    check(r#"{"series":"a","time":5,"values":{"b":null,"a":1}}"#, &["a@5 a=1 b=NaN"]);
    check(r#"{"series":"a","time":5,"values":[1,null,3e-320]}"#, &["a@5 v0=1 v1=NaN v2=3e-320"]);
    let value = "0.1000000000000000055511151231257827021181583404541015625";
    check(&format!(r#"{{"time":5,"value":{value}}}"#), &["kafka@5 value=0.1"]);
    check(
        r#"{"series":"a","time":5,"value":1,"tags":{"z":"1","host":"h","none":null}}"#,
        &["a@5 value=1 #host=h #z=1"],
    );
    check("\u{feff}{\"time\":5,\"value\":1}", &["kafka@5 value=1"]);
}

#[test]
fn a_record_may_have_an_id_of_its_publisher() {
    check(r#"{"time":5,"value":1,"record_id":"r-1"}"#, &["kafka@5 value=1 id=r-1"]);
    check(r#"{"time":5,"value":1,"record_id":17}"#, &["kafka@5 value=1 id=17"]);
    check(r#"{"time":5,"value":1,"record_id":""}"#, &["kafka@5 value=1"]);
    check(r#"{"time":5,"value":1,"record_id":null}"#, &["kafka@5 value=1"]);
    check(r#"{"time":5,"value":1,"record_id":[1]}"#, &["!WRONG_TYPE /record_id: an array"]);
    let twice = r#"{"time":5,"value":1,"record_id":1,"record_id":2}"#;
    check(twice, &["!UNDECODABLE /record_id stands twice"]);
    let long = "x".repeat(defaults().key_bytes_max + 1);
    check(
        &format!(r#"{{"time":5,"value":1,"record_id":"{long}"}}"#),
        &["!TOO_LARGE the record's id"],
    );
    let pointed = Stream {
        format: Format { record_id: Some("/meta/id".into()), ..Format::default() },
        ..Stream::implicit()
    };
    let text = br#"{"time":5,"value":1,"record_id":"not this","meta":{"id":"m1"}}"#;
    check_message(&pointed, &message(text), &["kafka@5 value=1 id=m1"]);
    let record = v1::Record {
        time_us: 5_000_000,
        value_list: vec![1.0],
        record_id: "p-1".into(),
        ..Default::default()
    };
    check_proto(record, "kafka@5 value=1 id=p-1");
}

#[test]
fn json_arrays_refuse_record_by_record() {
    check("[]", &[]);
    check(
        r#"[{"series":"a","time":5,"value":1}, 7, {"time":6,"value":"x"}, {"time":7,"value":1e999}, {"time":8,"value":2}]"#,
        &[
            "a@5 value=1",
            "!WRONG_TYPE object",
            "!WRONG_TYPE /value",
            "!NON_FINITE",
            "kafka@8 value=2",
        ],
    );
    check(r#"[{"time":5,"value":1}, {"time":6,"value":1]"#, &["!UNDECODABLE line 1 column"]);
    let spec = StreamSpec::new(&Stream::implicit());
    let mut payloads = vec![];
    let both = message(br#"[ {"time":5, "value":true},{"time":5,"value":1}]"#);
    decode(&spec, &defaults(), &both, &mut |_, record| {
        payloads.push(record.err().and_then(|fault| fault.payload));
    });
    assert_eq!(payloads, [Some(br#"{"time":5, "value":true}"#.to_vec()), None]);
}

#[test]
fn bad_json_says_why() {
    check("", &["!UNDECODABLE empty"]);
    check("hello", &["!UNDECODABLE not JSON"]);
    check(r#"{"time":5,"value":1"#, &["!UNDECODABLE EOF"]);
    check("{\"series\":\"\u{1}\"}", &["!UNDECODABLE control character"]);
    check(r#"{"time":5,"value":1} x"#, &["!UNDECODABLE trailing"]);
    check("5", &["!WRONG_TYPE object"]);
    check(
        r#"{"time":5,"value":"1"}"#,
        &["!WRONG_TYPE /value: the text \"1\" found where a number"],
    );
    check(r#"{"time":5,"value":[1]}"#, &["!WRONG_TYPE /value: an array"]);
    check(r#"{"time":5,"values":{"a":"x"}}"#, &["!WRONG_TYPE /values, \"a\""]);
    check(r#"{"time":5,"values":[1,{}]}"#, &["!WRONG_TYPE /values/1: an object"]);
    check(r#"{"time":5,"values":3}"#, &["!WRONG_TYPE /values: 3"]);
    check(r#"{"time":5,"value":1,"values":[1]}"#, &["!WRONG_TYPE both"]);
    check(r#"{"time":true,"value":1}"#, &["!WRONG_TYPE /time: true"]);
    check(r#"{"time":"soon","value":1}"#, &["!WRONG_TYPE /time: \"soon\" is no time"]);
    check(r#"{"series":{},"time":5,"value":1}"#, &["!WRONG_TYPE /series: an object"]);
    check(r#"{"time":5,"value":1,"tags":{"a":1}}"#, &["!WRONG_TYPE /tags, \"a\": 1"]);
    check(r#"{"time":5,"value":1,"tags":[]}"#, &["!WRONG_TYPE /tags: an array"]);
    check(r#"{"time":5,"time":6,"value":1}"#, &["!UNDECODABLE /time stands twice"]);
    check(r#"{"time":5,"values":{"b":1,"a":1,"b":2}}"#, &["!UNDECODABLE \"b\" stands twice"]);
    check(r#"{"value":1}"#, &["!NO_TIME"]);
    check(r#"{"time":null,"value":1}"#, &["!NO_TIME"]);
    check(r#"{"time":5}"#, &["!NO_VALUE"]);
    check(r#"{"time":5,"value":null}"#, &["!NO_VALUE"]);
    check(r#"{"time":5,"values":{}}"#, &["!NO_VALUE"]);
    check(r#"{"time":5,"values":[null]}"#, &["!NO_VALUE"]);
    for word in ["NaN", "nan", "Infinity", "-Infinity", "inf", "-inf", "+Infinity"] {
        check(&format!(r#"{{"time":5,"value":{word}}}"#), &["!NON_FINITE no JSON"]);
        check(&format!(r#"[{{"time":5,"values":[1,{word},2]}}]"#), &["!NON_FINITE no JSON"]);
    }
    check(r#"{"time":5,"value":-1e999}"#, &["!NON_FINITE out of range"]);
    check(r#"{"time":1e300,"value":1}"#, &["!TIME_OUT_OF_BOUNDS /time"]);
    check(r#"{"time":"0000-12-31T00:00:00Z","value":1}"#, &["!TIME_OUT_OF_BOUNDS"]);
    check(&"[".repeat(100_000), &["!UNDECODABLE EOF"]);
    check(&r#"{"values":"#.repeat(100_000), &["!UNDECODABLE EOF"]);
}

#[test]
fn every_message_has_its_bounds() {
    let mut keyless = message(br#"{"time":5,"value":1}"#);
    keyless.key = None;
    check_message(&Stream::implicit(), &keyless, &["!NO_SERIES"]);
    keyless.key = Some(Bytes::from_static(b"\xff"));
    check_message(&Stream::implicit(), &keyless, &["!WRONG_TYPE UTF-8"]);
    keyless.value = None;
    check_message(&Stream::implicit(), &keyless, &["!UNDECODABLE empty"]);
    let at = |ms: i64| format!(r#"{{"time":{ms},"value":1}}"#);
    check(&at(INGESTED_MS + 300_000), &["kafka@1700000300 value=1"]);
    check(&at(INGESTED_MS + 300_001), &["!FUTURE 300001 ms past"]);
    check(&" ".repeat(2 << 20), &["!TOO_LARGE 2097157 bytes, at most 1048576"]);
    let key = "k".repeat(513);
    check(&format!(r#"{{"series":"{key}","time":5,"value":1}}"#), &["!TOO_LARGE the series key"]);
    check(&format!(r#"{{"time":5,"values":{{"{key}":1}}}}"#), &["!TOO_LARGE feature's name"]);
    check(&format!(r#"{{"time":5,"value":1,"tags":{{"{key}":""}}}}"#), &["!TOO_LARGE a tag"]);
    let features: Vec<_> = (0..10_000).map(|i| format!("\"f{i}\":1")).collect();
    let features = format!(r#"{{"time":5,"values":{{{}}}}}"#, features.join(","));
    check(&features, &["!TOO_MANY_FEATURES 10000 values, at most 512"]);
    let ones = vec!["1"; 10_000].join(",");
    check(&format!(r#"{{"time":5,"values":[{ones}]}}"#), &["!TOO_MANY_FEATURES 10000 values"]);
    check(&format!("[{ones},1]"), &["!TOO_LARGE 10001 records, at most 10000"]);
    let tags: Vec<_> = (0..65).map(|i| format!("\"t{i}\":\"\"")).collect();
    let tags = format!(r#"{{"time":5,"value":1,"tags":{{{}}}}}"#, tags.join(","));
    check(&tags, &["!TOO_LARGE tags"]);
}

#[test]
fn a_trace_travels_along_if_it_is_one() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut traced = message(br#"{"time":5,"value":1}"#);
    traced.headers = vec![("traceparent".into(), Bytes::from_static(trace.as_bytes()))];
    check_message(&Stream::implicit(), &traced, &[&format!("kafka@5 value=1 ~{trace}")]);
    traced.headers = vec![("traceparent".into(), Bytes::from_static(b"00-x"))];
    check_message(&Stream::implicit(), &traced, &["kafka@5 value=1"]);
}

#[test]
fn a_stream_says_where_its_parts_are() {
    let format = Format {
        key: Some("/shop/id".into()),
        time: Some("/at".into()),
        values: [("total".into(), "/sum/0".into()), ("items".into(), "/n".into())].into(),
        tags: Some("/labels".into()),
        record_id: None,
        zone: Some("Europe/Berlin".into()),
        protobuf: false,
    };
    let stream = Stream { format, ..Stream::implicit() };
    let check = |text: &str, expected: &str| {
        check_message(&stream, &message(text.as_bytes()), &[expected]);
    };
    let at = r#""at":"1970-01-01 01:00:05""#;
    let shop = r#""shop":{"id":12}"#;
    check(
        &format!(r#"{{{shop},{at},"n":2,"sum":[9.5],"labels":{{"a":"b"}}}}"#),
        "12@5 items=2 total=9.5 #a=b",
    );
    check(&format!(r#"{{{shop},{at},"n":2}}"#), "12@5 items=2 total=NaN");
    check(&format!(r#"{{{at},"n":2}}"#), "!NO_SERIES");
    check(&format!(r#"{{{shop},{at},"n":"x"}}"#), "!WRONG_TYPE /n: the text");
    check(&format!(r#"{{{shop},"n":1}}"#), "!NO_TIME");
    check(&format!(r#"{{{shop},"at":[],"n":1}}"#), "!WRONG_TYPE /at: an array");
    check(&format!(r#"{{{shop},{at},"n":1,"labels":{{"a":1}}}}"#), "!WRONG_TYPE /labels, \"a\"");
    check(&format!(r#"{{{shop},{at}}}"#), "!NO_VALUE");
    check(&format!(r#"{{{shop},{at},"n":1e999}}"#), "!NON_FINITE");
    check(&r#"{"x":"#.repeat(100_000), "!UNDECODABLE recursion limit");
    let format = Format { key: Some("/k".into()), ..Format::default() };
    let stream = Stream { format, ..Stream::implicit() };
    let value = message(br#"{"k":"a","time":5,"values":{"b":1,"a":null},"tags":{"x":"y"}}"#);
    check_message(&stream, &value, &["a@5 a=NaN b=1 #x=y"]);
    check_message(&stream, &message(br#"{"k":"a","time":5,"value":1}"#), &["a@5 value=1"]);
    check_message(&stream, &message(br#"{"k":"a","time":5,"values":[1]}"#), &["a@5 v0=1"]);
}

#[test]
fn defined_features_give_names_and_order() {
    let features = vec!["temp".into(), "load".into()];
    let stream = Stream { features, ..Stream::implicit() };
    let check = |values: &str, expected: &str| {
        let text = format!(r#"{{"series":"a","time":5,{values}}}"#);
        check_message(&stream, &message(text.as_bytes()), &[expected]);
    };
    check(r#""values":{"load":2,"temp":1}"#, "a@5 temp=1 load=2");
    check(r#""values":{"load":2}"#, "a@5 temp=NaN load=2");
    check(r#""values":[1]"#, "a@5 temp=1 load=NaN");
    check(r#""values":[1,2,3]"#, "!UNKNOWN_FEATURE value 2 is no feature");
    check(
        r#""values":{"fan":2}"#,
        "!UNKNOWN_FEATURE \"fan\" is no feature of the stream, which has \"temp\", \"load\"",
    );
    check(r#""values":{"load":2,"load":3}"#, "!UNDECODABLE twice");
    check(r#""value":1"#, "!UNKNOWN_FEATURE \"value\"");
    check(r#""values":{"load":null}"#, "!NO_VALUE");
    let one = Stream { features: vec!["temp".into()], ..Stream::implicit() };
    check_message(&one, &message(br#"{"time":5,"value":1}"#), &["kafka@5 temp=1"]);
}

#[test]
fn protobuf_is_read_and_checked() {
    let record = || v1::Record {
        series: "a".into(),
        time_us: 5_000_000,
        value_list: vec![1.5],
        ..Default::default()
    };
    check_proto(record(), "a@5 value=1.5");
    check_proto(v1::Record { series: String::new(), ..record() }, "kafka@5 value=1.5");
    let tags = [("x".into(), "y".into())].into();
    check_proto(v1::Record { value_list: vec![1.0, 2.0], tags, ..record() }, "a@5 v0=1 v1=2 #x=y");
    let named = [("b".into(), 2.0), ("a".into(), 1.0)];
    let named = v1::Record { value_list: vec![], values: named.into(), ..record() };
    check_proto(named.clone(), "a@5 a=1 b=2");
    check_proto(v1::Record { value_list: vec![1.0], ..named }, "!WRONG_TYPE both");
    let missing = |missing| v1::Record { value_list: vec![f64::NAN, 2.0], missing, ..record() };
    check_proto(missing(vec![0]), "a@5 v0=NaN v1=2");
    check_proto(missing(vec![]), "!NON_FINITE value_list[0] is NaN");
    check_proto(missing(vec![0, 1]), "!NO_VALUE");
    check_proto(missing(vec![2]), "!UNDECODABLE missing names value 2 of 2");
    let infinite = [("a".into(), f64::NEG_INFINITY)].into();
    let infinite = v1::Record { value_list: vec![], values: infinite, ..record() };
    check_proto(infinite, "!NON_FINITE values[\"a\"] is -inf");
    check_proto(v1::Record { value_list: vec![], ..record() }, "!NO_VALUE");
    check_proto(v1::Record { time_us: 0, ..record() }, "!NO_TIME");
    check_proto(v1::Record { time_us: i64::MAX, ..record() }, "!TIME_OUT_OF_BOUNDS time_us");
    check_proto(v1::Record { time_us: 1_800_000_000_000_000, ..record() }, "!FUTURE");
    let many = vec![1.0; 10_000];
    check_proto(v1::Record { value_list: many, ..record() }, "!TOO_MANY_FEATURES 10000");
}

#[test]
fn a_message_says_whether_it_is_protobuf() {
    let record = v1::Record {
        series: "a".into(),
        time_us: 5_000_000,
        value_list: vec![1.5],
        ..Default::default()
    };
    let bare = wire::records::encode_records(vec![record]);
    let json = Stream::implicit();
    check_message(&json, &message(&[&[0, 0, 0, 0, 9, 0], &bare[..]].concat()), &["a@5 value=1.5"]);
    check_message(&json, &message(&bare[2..]), &["a@5 value=1.5"]);
    check_message(&json, &message(&bare[..bare.len() - 2]), &["!UNDECODABLE not a RecordBatch"]);
    check_message(&json, &message(&[8, 9]), &["!UNKNOWN_VERSION version 9"]);
    let format = Format { protobuf: true, ..Format::default() };
    let protobuf = Stream { format, ..Stream::implicit() };
    check_message(&protobuf, &message(&bare), &["a@5 value=1.5"]);
    check_message(&protobuf, &message(br#"{"time":5,"value":1}"#), &["!UNDECODABLE"]);
    let mut typed = message(&bare);
    typed.headers = vec![("Content-Type".into(), Bytes::from_static(b"application/json"))];
    check_message(&json, &typed, &["!UNDECODABLE not JSON"]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decoded(&Stream::implicit(), &message(&bytes));
        let format = Format { key: Some("/k".into()), ..Format::default() };
        let _ = decoded(&Stream { format, ..Stream::implicit() }, &message(&bytes));
        for first in [0u8, 8, 18] {
            let _ = decoded(&Stream::implicit(), &message(&[&[first], &bytes[..]].concat()));
        }
    }

    #[test]
    fn no_json_like_text_panics(text in r#"[\[{]?("(series|time|value|values|tags)"|[0-9eE.+-]{0,4}|[\[\]{},:n"\\]|NaN|null|true|é){0,30}[\]}]?"#) {
        let _ = decoded(&Stream::implicit(), &message(text.as_bytes()));
        let format = Format { time: Some("/time".into()), ..Format::default() };
        let _ = decoded(&Stream { format, ..Stream::implicit() }, &message(text.as_bytes()));
    }

    #[test]
    fn values_keep_every_bit(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
        let text = format!(r#"{{"time":5,"value":{value:?}}}"#);
        let expected = format!("{value:?}");
        let expected = format!("kafka@5 value={}", expected.trim_end_matches(".0"));
        prop_assert_eq!(decoded(&Stream::implicit(), &message(text.as_bytes())), [expected]);
    }
}
