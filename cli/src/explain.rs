//! `oddwatch explain`: why one row of a file scores as it does. The series is replayed up to the row, as the
//! services would have learned it, and the model is asked before it learns the row.

use std::{fmt::Write as _, path::PathBuf};

use ::eval::{
    Account, Series,
    account::{self, Part},
    report::{Cell, Table},
};
use serde_json::{Value, json};

use crate::{
    eval::{Choice, ColumnArgs, say},
    failure::Failure,
    tail::time,
};

/// Says why one row of a CSV file scores as it does.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["row", "at"]))]
pub(crate) struct ExplainArgs {
    /// The file: CSV with a header. All columns but time and key are values.
    file: PathBuf,
    #[command(flatten)]
    columns: ColumnArgs,
    /// The series, by its key [default: the file's only one].
    #[arg(long, value_name = "KEY")]
    series: Option<String>,
    /// The row, by its number within the series, from 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    row: Option<u64>,
    /// The row, by its time, as the file writes it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How the values' parts in the raw score are found.
    #[arg(long, value_enum, default_value_t = Method::Native)]
    method: Method,
    /// How it is shown.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    choice: Choice,
}

/// How the values' parts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// The shares that the model itself tells.
    Native,
    /// Shapley values: exact for up to 10 values, else of sampled orders.
    Shap,
    /// A linear model of the scores about the row.
    Lime,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Runs the command.
pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let detector = args.choice.detector()?;
    let table = args.columns.read(&args.file, None)?;
    let file = args.file.display();
    let series: Vec<&Series> = table.series.iter().map(|one| &one.series).collect();
    let one = chosen(&series, args.series.as_deref())
        .map_err(|wrong| Failure::usage(format!("--series: {file} {wrong}")))?;
    let row = args
        .row(one)
        .map_err(|wrong| Failure::usage(format!("{wrong}, of series {:?} of {file}", one.key)))?;
    let method = match args.method {
        Method::Native => account::Method::Native,
        Method::Shap => account::Method::Shap,
        Method::Lime => account::Method::Lime,
    };
    let found = account::account(&detector, one, row, method)
        .ok_or_else(|| Failure::other(format!("{file}: there is no row {}", row + 1)))?;
    let algorithm = detector.algorithm.resolved(one.width).to_string();
    let told = Told { algorithm, series: one, row, features: &table.features, found };
    match args.output {
        Format::Text => say(&told.text()),
        Format::Json => say(&format!("{}\n", told.json())),
    }
}

/// The series of this key, or the only one.
fn chosen<'a>(series: &[&'a Series], key: Option<&str>) -> Result<&'a Series, String> {
    const SHOWN: usize = 10;
    let keys: Vec<&str> = series.iter().take(SHOWN).map(|one| one.key.as_str()).collect();
    let more = if series.len() > SHOWN { ", …" } else { "" };
    let keys = format!("{}{more}", keys.join(", "));
    match (key, series) {
        (_, []) => Err("has no rows".into()),
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("has {} series, which one? {keys}", series.len())),
        (Some(key), _) => {
            let found = series.iter().find(|one| one.key == key);
            found.copied().ok_or_else(|| format!("has no series {key:?}; it has {keys}"))
        }
    }
}

impl ExplainArgs {
    /// The place of the row that is asked for, from 0.
    fn row(&self, series: &Series) -> Result<usize, String> {
        let Some(text) = &self.at else {
            let (row, rows) = (self.row.unwrap_or(0), series.len());
            let is_there = row.checked_sub(1).filter(|place| *place < rows as u64);
            return is_there
                .map(|place| place as usize)
                .ok_or_else(|| format!("--row: there is no row {row}; there are {rows}"));
        };
        let at = ingest::parse_time(text).map_err(|error| format!("--at: {text:?}: {error}"))?;
        series.at.iter().position(|time| *time == at).ok_or_else(|| {
            let near = series.at.iter().min_by_key(|time| time.abs_diff(at));
            let near = near.map_or("none".into(), |near| time(*near));
            format!("--at: there is no row at {}; the nearest is at {near}", time(at))
        })
    }
}

/// What is told of a row.
struct Told<'a> {
    algorithm: String,
    series: &'a Series,
    row: usize,
    features: &'a [String],
    found: Account,
}

impl Told<'_> {
    fn text(&self) -> String {
        let Account { score, raw, confidence, threshold, base, distance, .. } = self.found;
        let at = time(self.series.at[self.row]);
        let mut text = format!(
            "series {}, row {} at {at}, by {}\n",
            self.series.key,
            self.row + 1,
            self.algorithm
        );
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "score {score:.4} of threshold {threshold:.4}: {}; raw score {raw:.4}, confidence {confidence:.3}",
            self.judgement()
        );
        if !base.is_nan() {
            let _ = writeln!(text, "the raw score would be {base:.4} were all values as expected");
        }
        if !distance.is_nan() {
            let _ = writeln!(
                text,
                "the nearest row it remembers is {distance:.3} deviations a value off"
            );
        }
        let mut table =
            Table::new(&["value", "is", "expected", "from", "to", "share", "adds", "nearest"]);
        for (name, part) in self.features.iter().zip(&self.found.values) {
            let Part { value, expected, lower, upper, share, added, nearest } = *part;
            let number = |value| Cell::Number(value, 4);
            let numbers = [value, expected, lower, upper, share, added, nearest].map(number);
            table.push(std::iter::once(Cell::text(name)).chain(numbers).collect());
        }
        text + "\n" + &table.text()
    }

    fn judgement(&self) -> String {
        let late = if self.found.is_late { " and late" } else { "" };
        match self.found.muted {
            Some(why) => format!("odd, but muted ({}){late}", why.name()),
            None if self.found.is_anomaly => format!("odd{late}"),
            None => format!("not odd{late}"),
        }
    }

    fn json(&self) -> Value {
        let found = &self.found;
        let value = |(name, part): (&String, &Part)| {
            json!({
                "name": name,
                "value": known(part.value),
                "expected": known(part.expected),
                "lower": known(part.lower),
                "upper": known(part.upper),
                "share": known(part.share),
                "added": known(part.added),
                "nearest": known(part.nearest),
            })
        };
        json!({
            "series": self.series.key,
            "row": self.row + 1,
            "time": time(self.series.at[self.row]),
            "algorithm": self.algorithm,
            "score": known(found.score),
            "threshold": known(found.threshold),
            "is_anomaly": found.is_anomaly,
            "muted": found.muted.map(|why| why.name()),
            "late": found.is_late,
            "raw": known(found.raw),
            "confidence": known(found.confidence),
            "base": known(found.base),
            "nearest_distance": known(found.distance),
            "values": self.features.iter().zip(&found.values).map(value).collect::<Vec<_>>(),
        })
    }
}

/// A number, or null.
fn known(number: f64) -> Value {
    if number.is_finite() { number.into() } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_chosen_or_named() {
        let of = |key: &str| Series::single(key, vec![0], vec![1.0]);
        let (a, b) = (of("a"), of("b"));
        let check = |series: &[&Series], key, expect: Result<&str, &str>| match (
            chosen(series, key),
            expect,
        ) {
            (Ok(found), Ok(expect)) => assert_eq!(found.key, expect),
            (Err(wrong), Err(part)) => assert!(wrong.contains(part), "{wrong}"),
            (found, expect) => panic!("{found:?}, not {expect:?}"),
        };
        check(&[&a], None, Ok("a"));
        check(&[&a, &b], Some("b"), Ok("b"));
        check(&[&a, &b], None, Err("2 series, which one? a, b"));
        check(&[&a, &b], Some("c"), Err("no series \"c\"; it has a, b"));
        check(&[], None, Err("no rows"));
    }
}
