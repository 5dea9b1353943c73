//! Texts of several records to the text of each, without looking into them.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::first;
use crate::config::RECORDS_MAX;

/// Text that is not JSON, or not of objects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadJson {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) what: String,
}

/// The objects of one object or an array, at most [`RECORDS_MAX`] and one more.
pub(crate) fn split(text: &[u8]) -> Result<Vec<&str>, BadJson> {
    if first(text) == Some(b'[') {
        let elements = serde_json::from_slice::<Elements<'_>>(text).map_err(|e| bad(&e, 0))?;
        let objects = elements.found.iter().enumerate().map(|(index, element)| {
            object(element.get(), || {
                let (line, column) = place(text, element.get());
                let what = format!("record {index} is no JSON object");
                BadJson { line, column, what }
            })
        });
        return objects.collect();
    }
    Ok(vec![one(text, 0)?])
}

/// The objects of lines of one each; empty lines are passed over.
pub(crate) fn split_lines(text: &[u8]) -> Result<Vec<&str>, BadJson> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let records = lines.filter(|(_, line)| first(line).is_some());
    records.take(RECORDS_MAX + 1).map(|(before, line)| one(line, before)).collect()
}

fn one(text: &[u8], lines_before: usize) -> Result<&str, BadJson> {
    let record: &RawValue =
        serde_json::from_slice(text).map_err(|error| bad(&error, lines_before))?;
    object(record.get(), || BadJson {
        line: lines_before + 1,
        column: 1,
        what: "a record is a JSON object, this is another value".into(),
    })
}

fn object(text: &str, otherwise: impl FnOnce() -> BadJson) -> Result<&str, BadJson> {
    if text.starts_with('{') { Ok(text) } else { Err(otherwise()) }
}

fn bad(error: &serde_json::Error, lines_before: usize) -> BadJson {
    let said = error.to_string();
    // The parser's own place is that within a line, and told apart from its words.
    let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what).to_owned();
    BadJson { line: lines_before + error.line(), column: error.column(), what }
}

/// Line and column of a part of the text.
fn place(text: &[u8], part: &str) -> (usize, usize) {
    let at = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    let line = text[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (line, at - start + 1)
}

/// The elements of an array as text, at most [`RECORDS_MAX`] and one more, and how many there are.
pub(super) struct Elements<'a> {
    pub(super) found: Vec<&'a RawValue>,
    pub(super) total: usize,
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![];
        while found.len() <= RECORDS_MAX {
            match seq.next_element()? {
                Some(element) => found.push(element),
                None => return Ok(Elements { total: found.len(), found }),
            }
        }
        let mut total = found.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            total += 1;
        }
        Ok(Elements { found, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[&str], (usize, usize, &str)>) {
        match (split(text.as_bytes()), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(bad), Err((line, column, what))) => {
                assert_eq!((bad.line, bad.column), (line, column), "{text}: {}", bad.what);
                assert!(bad.what.contains(what), "{text}: {}", bad.what);
            }
            (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn records_are_taken_as_they_stand() {
        check(r#" {"a": 1} "#, Ok(&[r#"{"a": 1}"#]));
        check("[{\"a\":1},\n {\"b\":1e999}]", Ok(&["{\"a\":1}", "{\"b\":1e999}"]));
        check("[]", Ok(&[]));
        check("[{},\n  5]", Err((2, 3, "record 1 is no JSON object")));
        check("[{\"a\":\n NaN}]", Err((2, 2, "expected value")));
        check("", Err((1, 0, "EOF")));
        check("5", Err((1, 1, "another value")));
        check("{} {}", Err((1, 4, "trailing characters")));
    }

    #[test]
    fn lines_are_records_each() {
        assert_eq!(split_lines(b"{\"a\":1}\r\n\n{}\n").unwrap(), ["{\"a\":1}", "{}"]);
        let bad = split_lines(b"{}\n\n{\"a\"}\n").unwrap_err();
        assert_eq!((bad.line, bad.column, bad.what.as_str()), (3, 5, "expected `:`"));
    }
}
