//! Arguments, records by hand, batches of lines, and the front door's answers.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: PublishArgs,
}

fn parse(line: &str) -> Result<PublishArgs, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.args)
}

#[test]
fn arguments_that_contradict_each_other_are_refused() {
    for good in ["x", "x -", "x a.ndjson --stream s", "x --series a --value -1.5 --time 5"] {
        assert!(parse(good).is_ok(), "{good}");
    }
    for bad in ["x --series a", "x --value 1", "x --time 5", "x a.ndjson --series a --value 1"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_record_by_hand_is_what_ingest_reads() {
    let check = |values: &[&str], time: Option<&str>, expect: Result<&str, &str>| {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        match (by_hand("a", &values, time, 7), expect) {
            (Ok(record), Ok(expect)) => assert_eq!(record.to_string(), expect),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
            }
            (got, expect) => panic!("{got:?}, not {expect:?}"),
        }
    };
    check(&["1.5"], None, Ok(r#"{"series":"a","time":7,"value":1.5}"#));
    let day = "2026-01-02T03:04:05Z";
    check(&["1"], Some(day), Ok(r#"{"series":"a","time":"2026-01-02T03:04:05Z","value":1.0}"#));
    check(&["1"], Some("99"), Ok(r#"{"series":"a","time":99,"value":1.0}"#));
    check(&["x=1", "y=2"], None, Ok(r#"{"series":"a","time":7,"values":{"x":1.0,"y":2.0}}"#));
    check(&["x=1"], None, Ok(r#"{"series":"a","time":7,"values":{"x":1.0}}"#));
    check(&["much"], None, Err("is no number"));
    check(&["nan"], None, Err("is no number"));
    check(&["1", "2"], None, Err("each needs a name"));
}

/// First and last line and size of each batch.
fn batches(text: &str) -> Vec<(u64, u64, usize)> {
    let (ahead, lines) = sync_channel(AHEAD_MAX);
    read_lines(text.as_bytes(), &ahead);
    drop(ahead);
    let mut input = Lines { lines, next: None };
    let mut all = vec![];
    while let Some(batch) = input.batch().expect("readable") {
        let (first, last) = (batch.numbers.first(), batch.numbers.last());
        all.push((*first.expect("a line"), *last.expect("a line"), batch.body.len()));
    }
    all
}

#[test]
fn lines_are_batched_within_limits() {
    assert_eq!(batches(""), []);
    assert_eq!(batches("\n  \n"), []);
    assert_eq!(batches("{}\n\n {} \r\n{}"), [(1, 4, 9)]);
    let many = "{}\n".repeat(LINES_MAX + 1);
    let (most, rest) = (LINES_MAX as u64, LINES_MAX as u64 + 1);
    assert_eq!(batches(&many), [(1, most, LINES_MAX * 3), (rest, rest, 3)]);
    let large = format!("{}\n", "x".repeat(BYTES_MAX / 2));
    let size = large.len();
    assert_eq!(batches(&large.repeat(3)), [(1, 1, size), (2, 2, size), (3, 3, size)]);
}

#[test]
fn a_line_without_end_is_refused() {
    let (ahead, lines) = sync_channel(1);
    read_lines("x".repeat(LINE_BYTES_MAX + 1).as_bytes(), &ahead);
    let error = Lines { lines, next: None }.batch().expect_err("too long");
    assert!(error.to_string().contains("line 1 has more than"), "{error}");
}

#[test]
fn a_refused_line_is_named_as_in_the_input() {
    let detail = "line 2, column 5: expected value";
    let named = in_input(detail, &[10, 12]);
    assert_eq!(named.as_deref(), Some("line 12, column 5: expected value"));
    for other in ["line 3, column 5: x", "line 0, x", "line two, x", "something else"] {
        assert_eq!(in_input(other, &[10, 12]), None, "{other}");
    }
}

/// A door that answers once with these bytes; says what `publish` made of it.
fn answered(answer: &'static str) -> Result<u64, PublishError> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = format!("http://{}", listener.local_addr().expect("bound"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        let bytes = stream.read(&mut request).expect("a request");
        stream.write_all(answer.as_bytes()).expect("answered");
        String::from_utf8_lossy(&request[..bytes]).into_owned()
    });
    let args = parse(&format!("x --series a --value 1 --stream s --to {to}/")).expect("valid");
    let published = publish(&args);
    let request = server.join().expect("served");
    assert!(request.starts_with("POST /v1/records?stream=s HTTP/1.1\r\n"), "{request}");
    published
}

#[test]
fn answers_are_told_apart() {
    let done = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{\"records\":1}";
    assert_eq!(answered(done).expect("published"), 1);
    let refused = "HTTP/1.1 404 Not Found\r\ncontent-length: 22\r\nconnection: close\r\n\r\n\
                   {\"detail\":\"no stream\"} ";
    let error = answered(refused).expect_err("refused").to_string();
    assert_eq!(error, "line 1 was refused (404 Not Found): no stream");
    let other = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
    let error = answered(other).expect_err("something else").to_string();
    assert!(error.ends_with("is no Oddwatch"), "{error}");
}

#[test]
fn nobody_there_is_said_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = free.local_addr().expect("bound");
    drop(free);
    let args = parse(&format!("x --series a --value 1 --to http://{to}")).expect("valid");
    let error = publish(&args).expect_err("nobody");
    assert!(matches!(error, PublishError::Unavailable { durable: 0, .. }));
    assert!(error.to_string().contains("can't be reached (Connection refused"), "{error}");
}
