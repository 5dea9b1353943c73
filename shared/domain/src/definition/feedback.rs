//! What a person says of a row: an event on the `control` log, from whose version on a detector knows it.

use super::{Invalid, check_name, invalid};

/// One piece of feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The detector that scored the row.
    pub detector: String,
    /// The stream it watches.
    pub stream: String,
    /// The key of the series.
    pub series: String,
    /// The number of the row within its series, or within the series' window that the detector reads.
    pub row: u64,
    /// Whether the row was odd.
    pub odd: bool,
    /// What else there is to say; for people.
    pub note: String,
}

impl Feedback {
    /// A note has at most so many bytes.
    pub const NOTE_BYTES_MAX: usize = 1000;
    /// So has the key of a series.
    pub const SERIES_BYTES_MAX: usize = 1000;

    /// Checks it by itself.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        check_name("feedback: detector", &self.detector)?;
        check_name("feedback: stream", &self.stream)?;
        if !(1..=Self::SERIES_BYTES_MAX).contains(&self.series.len()) {
            let right = format!("must have 1 to {} bytes", Self::SERIES_BYTES_MAX);
            return invalid("feedback: series", right);
        }
        if self.note.len() > Self::NOTE_BYTES_MAX {
            let right = format!("must have at most {} bytes", Self::NOTE_BYTES_MAX);
            return invalid("feedback: note", right);
        }
        Ok(())
    }

    /// The key of its entry.
    pub(super) fn key(&self) -> String {
        let Self { detector, stream, series, row, .. } = self;
        format!("feedback/{detector}/{stream}/{series}/{row}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definition, Definitions};

    fn feedback() -> Feedback {
        Feedback {
            detector: "d".into(),
            stream: "s".into(),
            series: "a/b".into(),
            row: 7,
            odd: true,
            note: String::new(),
        }
    }

    #[test]
    fn it_is_an_event_and_never_in_force() {
        let definition = Definition::Feedback(feedback());
        assert_eq!(definition.key(), "feedback/d/s/a/b/7");
        let mut definitions = Definitions::default();
        definitions.apply(3, definition.clone());
        assert_eq!(definitions, Definitions { version: 3, ..Definitions::default() });
        assert!(!definitions.holds(&definition));
    }

    #[test]
    fn wrong_feedback_is_named() {
        let wrong = |change: fn(&mut Feedback), named: &str| {
            let mut feedback = feedback();
            change(&mut feedback);
            let error = feedback.check().unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        };
        assert_eq!(feedback().check(), Ok(()));
        wrong(|f| f.detector = String::new(), "feedback: detector name");
        wrong(|f| f.series = String::new(), "feedback: series: must have 1 to 1000 bytes");
        wrong(|f| f.note = "x".repeat(1001), "feedback: note: must have at most 1000 bytes");
    }
}
