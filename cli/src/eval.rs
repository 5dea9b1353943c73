//! `oddwatch eval`: measures detectors, on labelled series, under changes and on noise. Tables go to
//! standard output, progress to standard error; the measuring itself is the crate `eval`.

mod choice;
mod drift;
mod output;

use std::path::{Path, PathBuf};

use ::eval::{
    budget,
    labelled::{self, Columns, Table},
    nab::Corpus,
    noise, report, robust,
};

pub(crate) use choice::Choice;
pub(crate) use output::{Bar, Output, say, tell};

use crate::failure::Failure;

/// Measures a detector.
#[derive(clap::Args)]
pub(crate) struct EvalArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// On the Numenta Anomaly Benchmark; writes result files that its own scorer reads.
    Nab(NabArgs),
    /// On a CSV file with a label column.
    Csv(CsvArgs),
    /// On the benchmark with parameters, series, spacing, noise, sign and scale changed.
    Robust(RobustArgs),
    /// On noise: anomalies found in 10,000 rows where there are none.
    Noise(NoiseArgs),
    /// On 30 days of noise: alerts opened for each one that was wanted, at 1 and 7 a week.
    Budget(BudgetArgs),
    /// Tests for drift: rows between drifts found where there are none, and rows until one is found.
    Drift(drift::DriftArgs),
}

// `data`, like `set` and `definitions` of a `Choice`, is a global argument as well: it means here what
// fits here. Clap tells such arguments apart by nothing, so their types must be the same.
#[derive(clap::Args)]
struct NabArgs {
    /// The benchmark's folder, with `data` and `labels` in it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where result files go, as `<category>/<prefix><file>.csv`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the names of result files begin with.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
}

/// Which columns of a CSV file mean what, but for the label.
#[derive(clap::Args)]
pub(crate) struct ColumnArgs {
    /// The column with the time (RFC 3339, `YYYY-MM-DD HH:MM:SS` or Unix time) [default: `timestamp`,
    /// `time`, or the first].
    #[arg(long, value_name = "COL")]
    time: Option<String>,
    /// The column with the series key [default: none; the rows are one series].
    #[arg(long, value_name = "COL")]
    key: Option<String>,
}

impl ColumnArgs {
    /// Reads a file with these columns.
    pub(crate) fn read(&self, file: &Path, label: Option<&str>) -> Result<Table, Failure> {
        let (time, key) = (self.time.clone(), self.key.clone());
        let columns = Columns { time, key, label: label.map(str::to_owned) };
        Ok(labelled::read(file, &columns, &|text| ingest::parse_time(text))?)
    }
}

#[derive(clap::Args)]
struct CsvArgs {
    /// The file: CSV with a header. All columns but time, key and label are values.
    file: PathBuf,
    /// The column with the label: 1 or true for an anomaly, 0 or false else.
    #[arg(long, value_name = "COL")]
    label: String,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Tell the detector each row's label, so many rows later, as feedback; a stacking ensemble learns from it.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u8))]
    feedback: Option<u8>,
    /// Where the labelled stretches and their delays go as CSV.
    #[arg(long, value_name = "OUT.csv")]
    stretches: Option<PathBuf>,
    /// Where the figures go as CSV.
    #[arg(long, value_name = "OUT.csv")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
}

#[derive(clap::Args)]
struct RobustArgs {
    /// The benchmark's folder, with `data` and `labels` in it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How many times all parameters are changed together, each by a factor of up to 1.5.
    #[arg(long, value_name = "N", default_value_t = 20)]
    perturbations: usize,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args)]
struct NoiseArgs {
    /// Rows of each series, of which the first 200 are not counted.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    rows: u32,
    /// Series of each kind of noise.
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(2..=100_000))]
    seeds: u64,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Args)]
struct BudgetArgs {
    /// Series of each kind of noise and each number of alerts.
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(2..=100_000))]
    seeds: u64,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    match &args.what {
        What::Nab(args) => nab(args),
        What::Csv(args) => csv(args),
        What::Robust(args) => robust(args),
        What::Noise(args) => noise(args),
        What::Budget(args) => budget(args),
        What::Drift(args) => drift::run(args),
    }
}

fn nab(args: &NabArgs) -> Result<(), Failure> {
    let detector = args.choice.detector()?;
    let corpus = Corpus::read(&args.data)?;
    let bar = Bar::new("series");
    let results = corpus.run(&detector, &bar.progress());
    bar.end();
    corpus.write(&results, &args.out, &args.prefix)?;
    let scores = corpus.scores(&results);
    let rows: usize = results.0.iter().map(Vec::len).sum();
    let (count, out) = (corpus.0.len(), args.out.display());
    tell(&format!("{count} series, {rows} rows; result files are in {out}"))?;
    let bars = report::nab_bars(&scores);
    let title = format!("Numenta Anomaly Benchmark: {}", detector.algorithm.resolved(1));
    args.output.show(&report::nab_table(&scores), &title, "score, 100 is perfect", &bars)
}

fn csv(args: &CsvArgs) -> Result<(), Failure> {
    let detector = args.choice.detector()?;
    let table = args.columns.read(&args.file, Some(&args.label))?;
    let bar = Bar::new("series");
    let quality =
        labelled::measure(&detector, &table, args.feedback.map(usize::from), &bar.progress());
    bar.end();
    let (figures, stretches) = (report::quality_table(&quality), report::stretch_table(&quality));
    if let Some(path) = &args.csv {
        output::write(path, &figures.csv())?;
    }
    if let Some(path) = &args.stretches {
        output::write(path, &stretches.csv())?;
    }
    let algorithm = detector.algorithm.resolved(table.features.len());
    tell(&format!("{}: {algorithm}, prequential", args.file.display()))?;
    say(&format!("{}\n{}", figures.text(), stretches.text()))
}

fn robust(args: &RobustArgs) -> Result<(), Failure> {
    let detector = args.choice.detector()?;
    let corpus = Corpus::read(&args.data)?;
    let bar = Bar::new("changes");
    let measured = robust::measure(&corpus, &detector, args.perturbations, &bar.progress());
    bar.end();
    let bars = report::robust_bars(&measured);
    let title = format!("What stays under changes: {}", detector.algorithm.resolved(1));
    let axis = "score on the standard profile, 100 is perfect";
    args.output.show(&report::robust_table(&measured), &title, axis, &bars)
}

fn noise(args: &NoiseArgs) -> Result<(), Failure> {
    let detector = args.choice.detector()?;
    let bar = Bar::new("series");
    let found = noise::measure(&detector, args.rows as usize, args.seeds, &bar.progress());
    bar.end();
    let bars = report::noise_bars(&found);
    let title = format!("False anomalies on noise: {}", detector.algorithm.resolved(1));
    let axis = "anomalies in 10,000 rows (95 % interval of the mean)";
    args.output.show(&report::noise_table(&found), &title, axis, &bars)
}

fn budget(args: &BudgetArgs) -> Result<(), Failure> {
    let detector = args.choice.detector()?;
    let bar = Bar::new("series");
    let kept = budget::measure(&detector, args.seeds, &bar.progress());
    bar.end();
    let bars = report::budget_bars(&kept);
    let title = format!("Alerts for each one wanted: {}", detector.algorithm.resolved(1));
    let axis = "alerts opened for each one wanted, 1 is right (95 % interval of the mean)";
    args.output.show(&report::budget_table(&kept), &title, axis, &bars)
}
