//! What can be wrong with files.

use std::{io, path::Path};

/// Why a measurement can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder that can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// A place in a CSV file.
    #[error("{path}, line {line}{}: {what}", .column.as_ref().map(|c| format!(", column {c:?}")).unwrap_or_default())]
    Cell {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// The column's name, if one is to blame.
        column: Option<String>,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// A column that was asked for and is not there.
    #[error("{path}: there is no column {wanted:?}; the columns are {there}")]
    Column {
        /// The file.
        path: String,
        /// What was asked for.
        wanted: String,
        /// The columns there are.
        there: String,
    },
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.display().to_string(), source }
    }

    pub(crate) fn content(path: &Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.display().to_string(), what: what.into() }
    }

    /// What the CSV reader or writer has to say of a file.
    pub(crate) fn csv(path: &Path, error: csv::Error) -> Self {
        let line = error.position().map(csv::Position::line);
        match (line, error.into_kind()) {
            (_, csv::ErrorKind::Io(source)) => Self::file(path)(source),
            (line, kind) => {
                let what = match kind {
                    csv::ErrorKind::Utf8 { .. } => "not UTF-8 text".to_owned(),
                    kind => format!("no CSV: {kind:?}"),
                };
                match line {
                    Some(line) => {
                        Self::Cell { path: path.display().to_string(), line, column: None, what }
                    }
                    None => Self::content(path, what),
                }
            }
        }
    }
}
