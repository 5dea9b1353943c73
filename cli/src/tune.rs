//! `oddwatch tune`: looks for the algorithm and parameters that suit the series of a CSV file, and
//! prints them as a definition to be pasted into a definitions file.

use std::path::PathBuf;

use ::eval::{report, tune};
use domain::{Detector, definition::DEFAULT_STREAM};

use crate::{
    eval::{Bar, ColumnArgs, Output, say, tell},
    failure::Failure,
};

/// Looks for the algorithm and parameters that suit the series of a CSV file best.
#[derive(clap::Args)]
pub(crate) struct TuneArgs {
    /// The file: CSV with a header. All columns but time, key and label are values.
    file: PathBuf,
    /// The column with the label: 1 or true for an anomaly, 0 or false else [default: none; anomalies
    /// are planted].
    #[arg(long, value_name = "COL")]
    label: Option<String>,
    #[command(flatten)]
    columns: ColumnArgs,
    /// The name that the definition gives the detector.
    #[arg(long, value_name = "NAME", default_value = "tuned")]
    name: String,
    /// The stream that it says the detector watches.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_STREAM)]
    stream: String,
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
pub(crate) fn run(args: &TuneArgs) -> Result<(), Failure> {
    let named = Detector { name: args.name.clone(), ..Detector::implicit(&args.stream) };
    named.check().map_err(|wrong| Failure::usage(wrong.to_string()))?;
    let file = args.file.display();
    let table = args.columns.read(&args.file, args.label.as_deref())?;
    if let Some(label) = &args.label
        && !table.is_labelled()
    {
        return Err(Failure::usage(format!(
            "{file}, column {label:?}: no row is labelled; without --label anomalies are planted"
        )));
    }
    let candidates = tune::candidates(table.features.len());
    let (series, rows) = (table.series.len(), table.rows());
    tell(&format!("{file}: {rows} rows of {series} series, {} candidates", candidates.len()))?;
    let bar = Bar::new("runs");
    let ranking = tune::tune(&table, &named, &candidates, &bar.progress());
    bar.end();
    let Some(best) = ranking.entries.first().filter(|best| best.rows > 0) else {
        return Err(Failure::other(format!(
            "{file}: too few rows to plant anomalies in; a series must have {} or more",
            tune::ROWS_MIN
        )));
    };
    let by = if ranking.by_labels { "labels" } else { "planted anomalies" };
    let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
    let title = format!("{stem}: candidates by {by}");
    let bars = report::ranking_bars(&ranking);
    let axis = "average precision, 1 is perfect";
    args.output.show(&report::ranking_table(&ranking), &title, axis, &bars)?;
    tell(&format!("judged by {by}; expect somewhat less of rows that it was not chosen by"))?;
    say(&format!("\n{}", tune::definition(&args.name, &args.stream, &best.algorithm)))
}

#[cfg(test)]
mod tests {
    use domain::Definition;

    use super::*;

    #[test]
    fn the_definition_of_each_candidate_reads_back() {
        for algorithm in tune::candidates(2) {
            let text = tune::definition("tuned", DEFAULT_STREAM, &algorithm);
            let read = control::parse_definitions("d.toml", &text).unwrap();
            let expect = Detector { name: "tuned".into(), ..Detector::implicit(DEFAULT_STREAM) };
            assert_eq!(read, [Definition::Detector(Detector { algorithm, ..expect })]);
        }
    }
}
