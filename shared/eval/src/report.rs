//! What was measured, for people (plain text), for programs (CSV) and for pages ([`chart`], SVG).

pub mod chart;
mod drift;
mod tables;

pub use chart::{Bar, svg};
pub use drift::{delay_bars, delay_table, drift_seed_table, false_alarm_bars, false_alarm_table};
pub use tables::{
    budget_bars, budget_table, nab_bars, nab_table, noise_bars, noise_table, quality_table,
    ranking_bars, ranking_table, robust_bars, robust_table, stretch_table,
};

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number, and how many digits behind the point people see; programs see all. NaN is missing.
    Number(f64, usize),
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A count.
    pub fn count(count: usize) -> Self {
        Self::Number(count as f64, 0)
    }

    /// A number that may be missing.
    pub fn number(value: Option<f64>, digits: usize) -> Self {
        Self::Number(value.unwrap_or(f64::NAN), digits)
    }
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[&str]) -> Self {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Self { columns, rows: vec![] }
    }

    /// Adds a row, with a cell for each column.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// As plain text: words to the left, numbers to the right.
    pub fn text(&self) -> String {
        let shown = |cell: &Cell| match cell {
            Cell::Text(text) => (text.clone(), false),
            Cell::Number(value, _) if value.is_nan() => ("-".to_owned(), true),
            Cell::Number(value, digits) => (format!("{value:.digits$}"), true),
        };
        let rows: Vec<Vec<(String, bool)>> =
            self.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widths = cells.map(|(text, _)| text.chars().count());
            widths.max().unwrap_or(0).max(self.columns[column].chars().count())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &[(String, bool)]| {
            let padded = cells.iter().zip(&widths).map(|((text, right), width)| {
                if *right { format!("{text:>width$}") } else { format!("{text:<width$}") }
            });
            let line: Vec<String> = padded.collect();
            format!("{}\n", line.join("  ").trim_end())
        };
        let numeric = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|c| c.1));
        let head: Vec<_> =
            self.columns.iter().enumerate().map(|(at, name)| (name.clone(), numeric(at))).collect();
        std::iter::once(line(&head)).chain(rows.iter().map(|row| line(row))).collect()
    }

    /// As CSV with a header; a missing number is empty.
    pub fn csv(&self) -> String {
        let shown = |cell: &Cell| match cell {
            Cell::Text(text) => text.clone(),
            Cell::Number(value, _) if value.is_nan() => String::new(),
            Cell::Number(value, _) => value.to_string(),
        };
        let line = |cells: Vec<String>| {
            let quoted: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
            format!("{}\n", quoted.join(","))
        };
        let rows = self.rows.iter().map(|row| line(row.iter().map(shown).collect()));
        std::iter::once(line(self.columns.clone())).chain(rows).collect()
    }
}

/// A cell as RFC 4180 wants it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_readable_and_its_csv_reads_back() {
        let mut table = Table::new(&["name", "score"]);
        table.push(vec![Cell::text("a, \"b\""), Cell::Number(1.23456, 2)]);
        table.push(vec![Cell::text("c"), Cell::number(None, 2)]);
        table.push(vec![Cell::text("much longer"), Cell::count(12)]);
        let expect =
            "name         score\na, \"b\"        1.23\nc                -\nmuch longer     12\n";
        assert_eq!(table.text(), expect);
        let csv = table.csv();
        let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows[0], vec!["a, \"b\"", "1.23456"]);
        assert_eq!(rows[1], vec!["c", ""]);
    }
}
