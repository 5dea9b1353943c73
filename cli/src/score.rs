//! `oddwatch score`: scores the rows of a CSV file on the production path (ingest, windowing, detector) over a
//! memory exchange, in one thread, and writes one output row per input row, in order.

mod pipeline;
mod table;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use domain::{Anomaly, Reason};

use crate::failure::Failure;
use pipeline::{Outcome, Pipeline};
use table::Table;

/// Scores the rows of a CSV file.
#[derive(clap::Args)]
pub(crate) struct ScoreArgs {
    /// The file: CSV with a header.
    file: PathBuf,
    /// The column with the time (RFC 3339, `YYYY-MM-DD HH:MM:SS` or Unix time) [default: `timestamp`, `time`, or
    /// the first].
    #[arg(long, value_name = "COL")]
    time: Option<String>,
    /// The column with the series key [default: none; the series is named after the file].
    #[arg(long, value_name = "COL")]
    key: Option<String>,
    /// The columns to be scored [default: all others].
    #[arg(long, value_name = "COL,…", value_delimiter = ',')]
    values: Vec<String>,
    /// Where the scores go [default: standard output].
    #[arg(short, long, value_name = "OUT.csv")]
    output: Option<PathBuf>,
    /// Where the events of anomalies go, one JSON object a line.
    #[arg(long, value_name = "OUT.ndjson")]
    anomalies: Option<PathBuf>,
}

/// How it went, for the closing line.
#[derive(Default)]
struct Tally {
    scored: u64,
    refused: u64,
    odd: u64,
    anomalies: u64,
}

/// Runs the command.
pub(crate) fn run(args: &ScoreArgs) -> Result<(), Failure> {
    let mut table =
        Table::open(&args.file, args.time.as_deref(), args.key.as_deref(), &args.values)?;
    let mut scores = Scores::create(args.output.as_deref())?;
    let mut events = args.anomalies.as_deref().map(create).transpose()?;
    let mut pipeline = Pipeline::new(table.features())?;
    let mut tally = Tally::default();
    loop {
        let rows = table.read()?;
        let done = rows.is_empty();
        if done {
            pipeline.finish()?;
        } else {
            pipeline.push(rows)?;
        }
        for outcome in pipeline.take_outcomes() {
            scores.write(&outcome, table.features(), &mut tally)?;
        }
        for anomaly in pipeline.take_anomalies() {
            tally.anomalies += u64::from(anomaly.phase == domain::Phase::Opened);
            if let Some(events) = &mut events {
                write_event(events, &anomaly)?;
            }
        }
        if done {
            break;
        }
    }
    pipeline.check_complete()?;
    scores.writer.flush()?;
    if let Some(events) = &mut events {
        events.flush()?;
    }
    let Tally { scored, refused, odd, anomalies } = tally;
    writeln!(
        io::stderr(),
        "{}: {scored} rows scored, {refused} refused, {odd} odd rows in {anomalies} anomalies",
        args.file.display()
    )?;
    Ok(())
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file =
        File::create(path).map_err(|e| Failure::other(format!("{}: {e}", path.display())))?;
    Ok(BufWriter::new(file))
}

/// The output table.
struct Scores {
    writer: csv::Writer<Box<dyn Write>>,
}

impl Scores {
    fn create(path: Option<&Path>) -> Result<Self, Failure> {
        let sink: Box<dyn Write> = match path {
            Some(path) => Box::new(create(path)?),
            None => Box::new(io::stdout().lock()),
        };
        let mut writer = csv::Writer::from_writer(sink);
        writer
            .write_record([
                "time",
                "key",
                "score",
                "is_anomaly",
                "confidence",
                "expected",
                "lower",
                "upper",
                "note",
                "top_feature",
                "top_contribution",
            ])
            .map_err(write_failed)?;
        Ok(Self { writer })
    }

    fn write(
        &mut self,
        outcome: &Outcome,
        features: &[String],
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let (time, key) = (&outcome.time, &outcome.key);
        let record: [String; 11] = match &outcome.result {
            Ok(score) => {
                tally.scored += 1;
                tally.odd += u64::from(score.is_anomaly);
                let mut notes = vec![];
                if score.flags.late {
                    notes.push("late");
                }
                if score.flags.no_data {
                    notes.push("no data");
                }
                if score.flags.imputed {
                    notes.push("imputed");
                }
                let muted = score.muted.map(|why| format!("muted {}", why.name()));
                notes.extend(muted.as_deref());
                let top = features.get(score.top_feature as usize).cloned().unwrap_or_default();
                [
                    time.clone(),
                    key.clone(),
                    number(score.score),
                    score.is_anomaly.to_string(),
                    number(score.confidence),
                    number(score.expected),
                    number(score.lower),
                    number(score.upper),
                    notes.join(" "),
                    top,
                    number(score.top_share),
                ]
            }
            Err((reason, detail)) => {
                tally.refused += 1;
                let empty = String::new;
                let note = format!("refused {reason}: {detail}");
                [
                    time.clone(),
                    key.clone(),
                    empty(),
                    empty(),
                    empty(),
                    empty(),
                    empty(),
                    empty(),
                    note,
                    empty(),
                    empty(),
                ]
            }
        };
        self.writer.write_record(&record).map_err(write_failed)
    }
}

fn write_failed(error: csv::Error) -> Failure {
    Failure::other(format!("scores can't be written: {error}"))
}

/// The shortest text that reads back as the same bits; empty if unknown.
fn number(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

fn write_event(writer: &mut impl Write, anomaly: &Anomaly) -> Result<(), Failure> {
    let event = serde_json::json!({
        "anomaly_id": anomaly.id.to_string(),
        "phase": anomaly.phase.name(),
        "stream": &*anomaly.series.stream,
        "series": &*anomaly.series.key,
        "detector": &*anomaly.detector,
        "opened_row": anomaly.opened_row,
        "row": anomaly.row,
        "odd_rows": anomaly.rows,
        "score_max": anomaly.score_max,
        "severity": anomaly.severity.name(),
    });
    Ok(writeln!(writer, "{event}")?)
}

/// A refused row: why, and in words.
type Refused = (Reason, String);
