//! Where results and progress go.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use ::eval::report;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;

/// Where a measurement goes beside standard output.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// Where the table goes as CSV.
    #[arg(long, value_name = "OUT.csv")]
    csv: Option<PathBuf>,
    /// Where it goes as a bar chart.
    #[arg(long, value_name = "OUT.svg")]
    svg: Option<PathBuf>,
}

impl Output {
    /// Shows a table on standard output and writes the files that were asked for; `axis` says what
    /// the bars' length is.
    pub(crate) fn show(
        &self,
        table: &report::Table,
        title: &str,
        axis: &str,
        bars: &[report::Bar],
    ) -> Result<(), Failure> {
        if let Some(path) = &self.csv {
            write(path, &table.csv())?;
        }
        if let Some(path) = &self.svg {
            write(path, &report::svg(title, axis, bars))?;
        }
        say(&table.text())
    }
}

/// Writes a file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::other(format!("{}: {error}", path.display())))
}

/// Text on standard output.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A line on standard error.
pub(crate) fn tell(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stderr(), "{line}")?)
}

/// How far a measurement is, on standard error if that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Of so many of something, as will be known once the first is done.
    pub(crate) fn new(of: &'static str) -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} {msg}, {eta} left");
        let bar = ProgressBar::new(0).with_message(of);
        Self(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// What tells it.
    pub(crate) fn progress(&self) -> impl Fn(usize, usize) + Sync {
        |done, of| {
            self.0.set_length(of as u64);
            self.0.set_position(done as u64);
        }
    }

    /// Takes it off the screen.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
