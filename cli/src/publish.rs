//! `oddwatch publish`: records from a file, a pipe or by hand, through the HTTP front door of a running process.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use reqwest::{
    StatusCode,
    blocking::{Client, Response},
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use runtime::Clock;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Publishes records through the front door of a running process.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PublishArgs {
    /// JSON lines, one record each; `-` or nothing for standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The stream they belong to; without it, the default one on topic `records`
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// One record by hand: its series
    #[arg(long, value_name = "NAME", requires = "values", conflicts_with = "file")]
    series: Option<String>,
    /// One record by hand: its value, or NAME=VALUE for each of several
    #[arg(
        long = "value",
        value_name = "VALUE",
        requires = "series",
        allow_negative_numbers = true
    )]
    values: Vec<String>,
    /// One record by hand: its time (RFC 3339 or Unix); now if left out
    #[arg(long, value_name = "TIME", requires = "series")]
    time: Option<String>,
    /// Where a process with `ingest` listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7172")]
    to: String,
}

/// Why records were not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// Wrong use of the command line.
    #[error("{0}")]
    Usage(String),
    /// The input can't be read, or the result not be written.
    #[error("{what}: {source}")]
    Io {
        /// The file.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// Nobody answers there, or too busy for too long.
    #[error("{to} {why}{}", Durable(*durable))]
    Unavailable {
        /// Where.
        to: String,
        /// What is wrong with it.
        why: String,
        /// How many records went through before.
        durable: u64,
    },
    /// The front door refused a request.
    #[error("{lines} refused ({status}): {detail}{}", Durable(*durable))]
    Refused {
        /// Which lines of the input.
        lines: String,
        /// The HTTP status.
        status: StatusCode,
        /// What is wrong with them.
        detail: String,
        /// How many records went through before.
        durable: u64,
    },
}

struct Durable(u64);

impl std::fmt::Display for Durable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, "; the {} records before are durable", self.0) }
    }
}

/// What goes into one request at most.
const LINES_MAX: usize = 2_000;
const BYTES_MAX: usize = 512 * 1024;
/// A longer line is no record; ingest takes 1 MiB.
const LINE_BYTES_MAX: usize = 8 << 20;
/// Lines that are read ahead.
const AHEAD_MAX: usize = 8_192;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A busy front door is asked again so often.
const TRIES_MAX: u32 = 20;
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// Publishes and says how many records are durable.
pub(crate) fn run(args: &PublishArgs) -> Result<(), PublishError> {
    // The blocking client must not be used on a thread of an asynchronous runtime.
    let durable = thread::scope(|scope| {
        scope
            .spawn(|| publish(args))
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let noun = if durable == 1 { "record is" } else { "records are" };
    let told = writeln!(io::stdout().lock(), "{durable} {noun} durable");
    told.map_err(|source| PublishError::Io { what: "standard output".into(), source })
}

fn publish(args: &PublishArgs) -> Result<u64, PublishError> {
    let mut door = Door::open(args)?;
    if let Some(series) = &args.series {
        let now = Clock::System.now() / 1_000;
        let record = by_hand(series, &args.values, args.time.as_deref(), now)?;
        door.send(&Batch { numbers: vec![1], body: record.to_string().into_bytes() })?;
        return Ok(door.durable);
    }
    let (input, name): (Box<dyn io::Read + Send>, String) = match args.file.as_deref() {
        Some(path) if path != Path::new("-") => {
            let name = path.display().to_string();
            let file = File::open(path)
                .map_err(|source| PublishError::Io { what: name.clone(), source })?;
            (Box::new(file), name)
        }
        _ => (Box::new(io::stdin()), "standard input".to_owned()),
    };
    // Read ahead, so that a slow pipe's lines go out at once and a fast file's in large requests.
    let (ahead, lines) = sync_channel(AHEAD_MAX);
    thread::spawn(move || read_lines(BufReader::new(input), &ahead));
    let mut input = Lines { lines, next: None };
    let failed = |source| PublishError::Io { what: name.clone(), source };
    while let Some(batch) = input.batch().map_err(failed)? {
        door.send(&batch)?;
    }
    Ok(door.durable)
}

/// The record that was given on the command line.
fn by_hand(
    series: &str,
    values: &[String],
    time: Option<&str>,
    now_ms: i64,
) -> Result<Value, PublishError> {
    let number = |text: &str| {
        let number = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
        number.map(Value::from).ok_or_else(|| {
            let wrong = format!("--value {text:?} is no number: give 12.5, or NAME=12.5");
            PublishError::Usage(wrong)
        })
    };
    let mut record = Map::new();
    record.insert("series".into(), series.into());
    let time = time.map_or_else(
        || Value::from(now_ms),
        |text| text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
    );
    record.insert("time".into(), time);
    if let [value] = values
        && !value.contains('=')
    {
        record.insert("value".into(), number(value)?);
        return Ok(Value::Object(record));
    }
    let mut named = Map::new();
    for value in values {
        let Some((name, value)) = value.split_once('=') else {
            let wrong =
                format!("--value {value:?}: of several values each needs a name, NAME=12.5");
            return Err(PublishError::Usage(wrong));
        };
        named.insert(name.trim().into(), number(value)?);
    }
    record.insert("values".into(), Value::Object(named));
    Ok(Value::Object(record))
}

/// A line of the input with its number, from 1.
type Line = (u64, Vec<u8>);

fn read_lines(mut input: impl BufRead, ahead: &SyncSender<io::Result<Line>>) {
    for number in 1.. {
        let mut line = vec![];
        let mut bounded = input.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        let read = match bounded.read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(bytes) if bytes > LINE_BYTES_MAX => {
                let what = format!("line {number} has more than {LINE_BYTES_MAX} bytes");
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
            Ok(_) => Ok((number, line)),
            Err(error) => Err(error),
        };
        let ends = read.is_err();
        if ahead.send(read).is_err() || ends {
            return;
        }
    }
}

/// What goes into one request.
#[derive(Debug, Default, PartialEq)]
struct Batch {
    /// The number of each line in the input.
    numbers: Vec<u64>,
    body: Vec<u8>,
}

struct Lines {
    lines: Receiver<io::Result<Line>>,
    /// A line that did not fit into the last batch.
    next: Option<Line>,
}

impl Lines {
    /// What is there now, at least one line; waits only for the first. `None` at the end.
    fn batch(&mut self) -> io::Result<Option<Batch>> {
        let mut batch = Batch::default();
        loop {
            let count = batch.numbers.len();
            let line = match self.next.take() {
                Some(line) => Some(line),
                None if count == 0 => self.lines.recv().ok().transpose()?,
                None => self.lines.try_recv().ok().transpose()?,
            };
            let Some((number, line)) = line else {
                return Ok((count > 0).then_some(batch));
            };
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if count > 0 && batch.body.len() + text.len() >= BYTES_MAX {
                self.next = Some((number, line));
                return Ok(Some(batch));
            }
            batch.numbers.push(number);
            batch.body.extend_from_slice(text);
            batch.body.push(b'\n');
            if batch.numbers.len() == LINES_MAX {
                return Ok(Some(batch));
            }
        }
    }
}

/// The front door of a running process.
struct Door {
    client: Client,
    url: String,
    to: String,
    durable: u64,
}

#[derive(Deserialize)]
struct Published {
    records: u64,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Door {
    fn open(args: &PublishArgs) -> Result<Self, PublishError> {
        let to = args.to.trim_end_matches('/').to_owned();
        let wrong = |why: &dyn std::fmt::Display| {
            PublishError::Usage(format!("--to {to:?}: {why}; http://HOST:PORT is expected"))
        };
        if !(to.starts_with("http://") || to.starts_with("https://")) {
            return Err(wrong(&"no HTTP address"));
        }
        let mut url =
            reqwest::Url::parse(&format!("{to}/v1/records")).map_err(|error| wrong(&error))?;
        if let Some(stream) = &args.stream {
            url.query_pairs_mut().append_pair("stream", stream);
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| wrong(&error))?;
        Ok(Self { client, url: url.into(), to, durable: 0 })
    }

    fn send(&mut self, batch: &Batch) -> Result<(), PublishError> {
        let mut wait = Duration::ZERO;
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            thread::sleep(wait);
            let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-ndjson");
            let response = request
                .body(batch.body.clone())
                .send()
                .map_err(|error| self.unavailable(unanswered(&error)))?;
            let status = response.status();
            if status.is_success() {
                let published: Published =
                    response.json().map_err(|_| self.unavailable("is no Oddwatch".into()))?;
                self.durable += published.records;
                return Ok(());
            }
            wait = retry_after(&response);
            let detail = response.json::<Problem>().map_or_else(|_| String::new(), |p| p.detail);
            if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                return Err(self.refused(batch, status, detail));
            }
            last = detail;
        }
        Err(self.unavailable(format!("is too busy, {TRIES_MAX} times in a row: {last}")))
    }

    fn unavailable(&self, why: String) -> PublishError {
        PublishError::Unavailable { to: self.to.clone(), why, durable: self.durable }
    }

    fn refused(&self, batch: &Batch, status: StatusCode, detail: String) -> PublishError {
        let lines = match batch.numbers.as_slice() {
            [only] => format!("line {only} was"),
            [first, .., last] => format!("the lines {first} to {last} were"),
            [] => "nothing was".to_owned(),
        };
        let detail = in_input(&detail, &batch.numbers).unwrap_or(detail);
        PublishError::Refused { lines, status, detail, durable: self.durable }
    }
}

/// The door counts lines from the start of its request; people, from the start of their file.
fn in_input(detail: &str, numbers: &[u64]) -> Option<String> {
    let (line, rest) = detail.strip_prefix("line ")?.split_once(',')?;
    let line: usize = line.parse().ok()?;
    Some(format!("line {},{rest}", numbers.get(line.checked_sub(1)?)?))
}

fn unanswered(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "does not answer in time".to_owned();
    }
    // The innermost cause is what a person can act on: connection refused, no such host.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("can't be reached ({cause}): is `oddwatch up` or `oddwatch ingest` running there?")
}

fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(RETRY_WAIT_MAX)
}

#[cfg(test)]
mod tests;
