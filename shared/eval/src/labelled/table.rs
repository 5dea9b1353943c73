//! Reads a CSV file with a label column, and names file, line and column of what is wrong with it.

use std::{collections::BTreeMap, path::Path};

use csv::StringRecord;
use domain::Micros;

use super::Labelled;
use crate::Error;

/// How the text of a time is read: the time, or what would be right.
pub type ParseTime<'a> = &'a dyn Fn(&str) -> Result<Micros, String>;

/// Which columns mean what; all others are values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The time; none: `timestamp`, `time`, or else the first column.
    pub time: Option<String>,
    /// The series key; none: all rows are one series, named after the file.
    pub key: Option<String>,
    /// The label; none: nothing is labelled.
    pub label: Option<String>,
}

/// A table by series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The file's path.
    pub name: String,
    /// The names of the values.
    pub features: Vec<String>,
    /// The series, in the order of their first rows.
    pub series: Vec<Labelled>,
}

impl Table {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.series.iter().map(|one| one.labels.len()).sum()
    }

    /// Whether any row is labelled.
    pub fn is_labelled(&self) -> bool {
        self.series.iter().any(|one| one.labels.contains(&true))
    }
}

/// The columns by place.
struct Places {
    time: usize,
    key: Option<usize>,
    label: Option<usize>,
    values: Vec<usize>,
}

/// Reads a file.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(path: &Path, columns: &Columns, parse_time: ParseTime<'_>) -> Result<Table, Error> {
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.flexible(true).from_path(path);
    let mut reader = reader.map_err(|error| Error::csv(path, error))?;
    let header = reader.headers().map_err(|error| Error::csv(path, error))?.clone();
    if header.is_empty() {
        return Err(Error::content(path, "the file is empty; a header is needed"));
    }
    let places = places(path, &header, columns)?;
    let features = places.values.iter().map(|at| header[*at].to_owned()).collect();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut by_key: BTreeMap<String, usize> = BTreeMap::new();
    let mut series: Vec<Labelled> = vec![];
    for record in reader.records() {
        let record = record.map_err(|error| Error::csv(path, error))?;
        let row = Row { path, header: &header, record: &record };
        if record.len() != header.len() {
            let what = format!("{} cells, the header has {}", record.len(), header.len());
            return Err(row.wrong(None, what));
        }
        let key = places.key.map_or(stem.as_str(), |at| &record[at]);
        let place = *by_key.entry(key.to_owned()).or_insert(series.len());
        if place == series.len() {
            let mut new = Labelled::default();
            (new.series.key, new.series.width) = (key.to_owned(), places.values.len());
            series.push(new);
        }
        let one = &mut series[place];
        one.series.at.push(row.time(places.time, parse_time)?);
        one.labels.push(places.label.map_or(Ok(false), |at| row.label(at))?);
        for at in &places.values {
            one.series.values.push(row.value(*at)?);
        }
    }
    if series.is_empty() {
        return Err(Error::content(path, "there is no row below the header"));
    }
    Ok(Table { name: path.display().to_string(), features, series })
}

fn places(path: &Path, header: &StringRecord, columns: &Columns) -> Result<Places, Error> {
    let column = |wanted: &String| {
        header.iter().position(|found| found == wanted).ok_or_else(|| Error::Column {
            path: path.display().to_string(),
            wanted: wanted.clone(),
            there: header.iter().collect::<Vec<_>>().join(", "),
        })
    };
    let usual = || {
        let find = |usual: &&str| header.iter().position(|name| name.eq_ignore_ascii_case(usual));
        ["timestamp", "time"].iter().find_map(find).unwrap_or(0)
    };
    let time = columns.time.as_ref().map(column).transpose()?.unwrap_or_else(usual);
    let key = columns.key.as_ref().map(column).transpose()?;
    let label = columns.label.as_ref().map(column).transpose()?;
    let other = |at: &usize| *at != time && Some(*at) != key && Some(*at) != label;
    let values: Vec<usize> = (0..header.len()).filter(other).collect();
    if values.is_empty() {
        let what = "there is no column with values beside time, key and label";
        return Err(Error::content(path, what));
    }
    Ok(Places { time, key, label, values })
}

/// One record and where it stands.
struct Row<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn time(&self, at: usize, parse: ParseTime<'_>) -> Result<Micros, Error> {
        let text = &self.record[at];
        parse(text).map_err(|right| self.wrong(Some(at), format!("{text:?}: {right}")))
    }

    fn label(&self, at: usize) -> Result<bool, Error> {
        match self.record[at].trim() {
            "1" | "1.0" | "true" | "True" | "TRUE" => Ok(true),
            "0" | "0.0" | "false" | "False" | "FALSE" => Ok(false),
            text => Err(self.wrong(
                Some(at),
                format!(
                    "{text:?} is no label; it must be 1 or true for an anomaly, else 0 or false"
                ),
            )),
        }
    }

    fn value(&self, at: usize) -> Result<f64, Error> {
        match self.record[at].trim() {
            "" => Ok(f64::NAN),
            text => text.parse().map_err(|_| {
                self.wrong(
                    Some(at),
                    format!("{text:?} is not a number; a missing one is left empty"),
                )
            }),
        }
    }

    fn wrong(&self, column: Option<usize>, what: String) -> Error {
        Error::Cell {
            path: self.path.display().to_string(),
            line: self.record.position().map_or(0, csv::Position::line),
            column: column.map(|at| self.header[at].to_owned()),
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Micros, String> {
        text.parse().map_err(|_| "must be a whole number".to_owned())
    }

    fn table(text: &str, columns: &Columns) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.csv");
        std::fs::write(&path, text).unwrap();
        let shorter = |error: Error| error.to_string().replace(&path.display().to_string(), "F");
        read(&path, columns, &parse).map_err(shorter)
    }

    fn columns(time: Option<&str>, key: Option<&str>, label: Option<&str>) -> Columns {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        Columns { time: owned(time), key: owned(key), label: owned(label) }
    }

    #[test]
    fn rows_come_by_series_in_the_files_order() {
        let text = "host,a,time,odd,b\nx,1,10,0,2\ny,3,11,1,\nx,5,12,true,6\n";
        let found = table(text, &columns(None, Some("host"), Some("odd"))).unwrap();
        assert_eq!((found.features.join(" "), found.rows()), ("a b".into(), 3));
        let [x, y] = &found.series[..] else { panic!("{found:?}") };
        assert_eq!((&*x.series.key, &*x.series.at, x.series.width), ("x", &[10, 12][..], 2));
        assert_eq!(
            (&*x.series.values, &*x.labels),
            (&[1.0, 2.0, 5.0, 6.0][..], &[false, true][..])
        );
        assert!(y.series.values[1].is_nan() && y.labels[0] && found.is_labelled());
        let one = table("t,v\n1,2\n", &columns(None, None, None)).unwrap();
        assert_eq!((&*one.series[0].series.key, one.is_labelled()), ("f", false));
        assert_eq!(one.features, ["v"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let check = |text: &str, label: &str, expect: &str| {
            let error = table(text, &columns(None, None, Some(label))).unwrap_err();
            assert!(error.starts_with("F") && error.contains(expect), "{error}");
        };
        check("", "l", "F: the file is empty; a header is needed");
        check("time,v,l\n", "l", "F: there is no row below the header");
        check("time,v,l\n1,2,0\n", "x", "F: there is no column \"x\"; the columns are time, v, l");
        check("time,l\n1,0\n", "l", "no column with values beside");
        check("time,v,l\n1,2,0\n2,3\n", "l", "F, line 3: 2 cells, the header has 3");
        check(
            "time,v,l\nnow,2,0\n",
            "l",
            "line 2, column \"time\": \"now\": must be a whole number",
        );
        check("time,v,l\n1,high,0\n", "l", "line 2, column \"v\": \"high\" is not a number");
        check("time,v,l\n1,2,0\n1,2,maybe\n", "l", "line 3, column \"l\": \"maybe\" is no label");
        assert!(read(Path::new("/none.csv"), &Columns::default(), &parse).is_err());
    }
}
