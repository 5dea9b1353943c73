//! Reads the rows of a CSV file, and names file, line and column of what is wrong with it.

use std::{fs::File, path::Path};

use csv::{ErrorKind, Reader, StringRecord};

use crate::failure::Failure;

/// So many rows are read at a time.
const ROWS: usize = 1_000;

/// A row as it stands in the file.
pub(crate) struct InputRow {
    /// The text of its time.
    pub(crate) time_text: String,
    /// Its time, in microseconds since 1970.
    pub(crate) time_us: i64,
    /// Its series key.
    pub(crate) key: String,
    /// Its values by column; `None` for an empty cell.
    pub(crate) values: Vec<Option<f64>>,
}

/// An open CSV file.
pub(crate) struct Table {
    name: String,
    reader: Reader<File>,
    time: usize,
    key: Result<usize, String>,
    values: Vec<usize>,
    header: StringRecord,
    features: Vec<String>,
}

impl Table {
    /// Opens a file and finds its columns.
    pub(crate) fn open(
        path: &Path,
        time: Option<&str>,
        key: Option<&str>,
        values: &[String],
    ) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| Failure::other(format!("{name}: {e}")))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.headers().map_err(|e| unreadable(&name, &e))?.clone();
        if header.is_empty() {
            return Err(Failure::other(format!("{name}: the file is empty; a header is needed")));
        }
        let column = |wanted: &str| {
            header.iter().position(|found| found == wanted).ok_or_else(|| {
                let there: Vec<&str> = header.iter().collect();
                Failure::usage(format!(
                    "{name}: there is no column {wanted:?}; the columns are {}",
                    there.join(", ")
                ))
            })
        };
        let time = match time {
            Some(wanted) => column(wanted)?,
            None => ["timestamp", "time"]
                .iter()
                .find_map(|usual| header.iter().position(|n| n.eq_ignore_ascii_case(usual)))
                .unwrap_or(0),
        };
        let stem = path.file_stem().map_or_else(|| name.clone(), |s| s.to_string_lossy().into());
        let key = key.map(&column).transpose()?.ok_or(stem);
        let chosen = values.iter().map(|wanted| column(wanted)).collect::<Result<Vec<_>, _>>()?;
        let others = (0..header.len()).filter(|i| *i != time && key.as_ref() != Ok(i));
        let values: Vec<usize> = if chosen.is_empty() { others.collect() } else { chosen };
        if values.is_empty() {
            return Err(Failure::other(format!("{name}: there is no column with values")));
        }
        let features = values.iter().map(|i| header[*i].to_owned()).collect();
        Ok(Self { name, reader, time, key, values, header, features })
    }

    /// The names of the value columns.
    pub(crate) fn features(&self) -> &[String] {
        &self.features
    }

    /// Reads the next rows; none at the end of the file.
    pub(crate) fn read(&mut self) -> Result<Vec<InputRow>, Failure> {
        let mut rows = vec![];
        let mut record = StringRecord::new();
        while rows.len() < ROWS {
            if !self.reader.read_record(&mut record).map_err(|e| unreadable(&self.name, &e))? {
                break;
            }
            rows.push(self.row(&record)?);
        }
        Ok(rows)
    }

    fn row(&self, record: &StringRecord) -> Result<InputRow, Failure> {
        if record.len() != self.header.len() {
            return Err(self.wrong(
                record,
                None,
                &format!("{} cells, the header has {}", record.len(), self.header.len()),
            ));
        }
        let time_text = &record[self.time];
        let time_us = ingest::parse_time(time_text).map_err(|error| {
            self.wrong(record, Some(self.time), &format!("{time_text:?}: {error}"))
        })?;
        let value = |index: &usize| match record[*index].trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                self.wrong(record, Some(*index), &format!("{text:?} is not a number"))
            }),
        };
        Ok(InputRow {
            time_text: time_text.to_owned(),
            time_us,
            key: match &self.key {
                Ok(column) => record[*column].to_owned(),
                Err(stem) => stem.clone(),
            },
            values: self.values.iter().map(value).collect::<Result<_, _>>()?,
        })
    }

    fn wrong(&self, record: &StringRecord, column: Option<usize>, what: &str) -> Failure {
        let line = record.position().map_or(0, csv::Position::line);
        let column = column.map_or(String::new(), |c| format!(", column {:?}", &self.header[c]));
        Failure::other(format!("{}, line {line}{column}: {what}", self.name))
    }
}

fn unreadable(name: &str, error: &csv::Error) -> Failure {
    let line = error.position().map_or(String::new(), |at| format!(", line {}", at.line()));
    let what = match error.kind() {
        ErrorKind::Utf8 { .. } => "not UTF-8 text".to_owned(),
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    Failure::other(format!("{name}{line}: {what}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Reads `text` as a file and returns the number of rows, or the message without the file's name.
    fn check(text: &str, values: &[&str], expected: Result<usize, &str>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        let found = Table::open(file.path(), None, None, &values)
            .and_then(|mut table| table.read())
            .map(|rows| rows.len())
            .map_err(|error| error.to_string().replace(&file.path().display().to_string(), "F"));
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn files_are_read_or_refused_with_file_line_and_column() {
        check("timestamp,value\n2014-01-01 00:00:00,1\n2014-01-01 00:05:00,\n", &[], Ok(2));
        check("timestamp,value\n", &[], Ok(0));
        check("", &[], Err("F: the file is empty; a header is needed"));
        check(
            "timestamp,value\n2014-01-01 00:00:00,1\n2014-01-01 00:05:00,high\n",
            &[],
            Err("F, line 3, column \"value\": \"high\" is not a number"),
        );
        check(
            "timestamp,value\n2014-01-01 00:00:00,1\n",
            &["valu"],
            Err("F: there is no column \"valu\"; the columns are timestamp, value"),
        );
        check("timestamp,value\n1,2,3\n", &[], Err("F, line 2: 3 cells, the header has 2"));
    }
}
