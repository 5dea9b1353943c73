//! What a series of a regular stream lacks: rows that stand in for records that did not come, and the row that
//! says that nothing comes any more.
//!
//! A record belongs to a gap's slot if it comes within half an interval of it, so slots go by the record before
//! and not by a grid: jitter does not add up. A slot is missing once event time is half an interval past it,
//! be it by the next record or, in silence, by log time.

use domain::{
    GapPolicy, Micros, Stream,
    encoding::{self, DecodeError},
};

use crate::order::micros;

/// What stands in for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The event time at which a record was expected.
    pub at: Micros,
    /// Whether it says that nothing came for long, and has no values; else its values were filled in.
    pub no_data: bool,
}

/// How far a regular series has come, and what its gaps are filled with.
#[derive(Clone, Debug, PartialEq)]
pub struct Regular {
    rule: Rule,
    /// Event time of the last record, and of the last row, which may have stood in for one.
    record_at: Option<Micros>,
    row_at: Micros,
    /// Rows that have stood in for records since the last one.
    filled: u32,
    /// Whether it was said since then that nothing comes.
    told: bool,
    /// The last record's values; NaN where missing.
    values: Vec<f64>,
    /// One row of values for each interval of a season, by the number of the interval; NaN while unknown.
    season: Vec<f64>,
}

/// What the stream says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rule {
    interval: Micros,
    gaps: GapPolicy,
    rows_max: u32,
    no_data_after: Micros,
    season_rows: i64,
}

impl Rule {
    fn of(stream: &Stream) -> Self {
        Self {
            interval: micros(stream.interval_ms),
            gaps: stream.gaps,
            rows_max: stream.gap_rows_max,
            no_data_after: i64::from(stream.no_data_after),
            season_rows: stream.season_rows() as i64,
        }
    }
}

impl Regular {
    /// Before the first record; `None` if the stream is not regular.
    pub fn new(stream: &Stream) -> Option<Self> {
        let new = |rule| Self {
            rule,
            record_at: None,
            row_at: Micros::MIN,
            filled: 0,
            told: false,
            values: vec![],
            season: vec![],
        };
        (stream.interval_ms > 0).then(|| new(Rule::of(stream)))
    }

    /// The same series by a changed definition. A season of another length is learned anew.
    pub fn redefined(known: Option<Self>, stream: &Stream) -> Option<Self> {
        let new = Self::new(stream)?;
        let Some(known) = known else { return Some(new) };
        let same = known.rule.season_rows == new.rule.season_rows
            && known.rule.interval == new.rule.interval;
        let season = if same { known.season } else { vec![] };
        Some(Self { rule: new.rule, season, ..known })
    }

    /// The next row that stands in for a record, in order, if event time has come to `event_at`: by a record
    /// with the values `next`, or in silence. A row's values are written into `row`.
    pub fn gap(
        &mut self,
        event_at: Micros,
        next: Option<&[f64]>,
        row: &mut Vec<f64>,
    ) -> Option<Gap> {
        let record_at = self.record_at.filter(|_| !self.told)?;
        let past = |slot: Micros| slot.saturating_add(self.rule.interval / 2) < event_at;
        let (slot, no_data_at) = (self.next_slot(), self.no_data_at(record_at));
        if slot < no_data_at && past(slot) && self.fills(next.is_some()) {
            row.clear();
            let value = |value| self.filling(value, slot, record_at, next.map(|n| (event_at, n)));
            row.extend((0..self.values.len()).map(value));
            self.row_at = slot;
            self.filled += 1;
            self.remember(slot, row);
            return Some(Gap { at: slot, no_data: false });
        }
        if !past(no_data_at) {
            return None;
        }
        self.told = true;
        row.clear();
        row.resize(self.values.len(), f64::NAN);
        Some(Gap { at: no_data_at, no_data: true })
    }

    /// Takes note of a record that leaves.
    pub fn take(&mut self, event_at: Micros, values: &[f64]) {
        self.record_at = Some(event_at);
        self.row_at = event_at;
        (self.filled, self.told) = (0, false);
        self.values.clear();
        self.values.extend_from_slice(values);
        let half = self.rule.interval / 2;
        self.remember(event_at.saturating_add(half), values);
    }

    /// The event time that silence must reach for the next row to stand in, if there will be one.
    pub fn due_at(&self) -> Option<Micros> {
        let record_at = self.record_at.filter(|_| !self.told)?;
        let filled = if self.fills(false) { self.next_slot() } else { Micros::MAX };
        let slot = filled.min(self.no_data_at(record_at));
        let past = slot.saturating_add(self.rule.interval / 2).saturating_add(1);
        (slot < Micros::MAX).then_some(past)
    }

    fn next_slot(&self) -> Micros {
        self.row_at.saturating_add(self.rule.interval)
    }

    fn no_data_at(&self, record_at: Micros) -> Micros {
        let Rule { interval, no_data_after, .. } = self.rule;
        let after = interval.saturating_mul(no_data_after);
        if no_data_after > 0 { record_at.saturating_add(after) } else { Micros::MAX }
    }

    /// Whether one more slot is filled; a line needs its other end.
    fn fills(&self, next_is_known: bool) -> bool {
        let possible = match self.rule.gaps {
            GapPolicy::None => false,
            GapPolicy::Linear => next_is_known,
            GapPolicy::Previous | GapPolicy::Zero | GapPolicy::Fixed(_) | GapPolicy::Seasonal => {
                true
            }
        };
        possible && self.filled < self.rule.rows_max
    }

    /// What value number `value` is filled with at `slot`.
    fn filling(
        &self,
        value: usize,
        slot: Micros,
        record_at: Micros,
        next: Option<(Micros, &[f64])>,
    ) -> f64 {
        let previous = self.values[value];
        match self.rule.gaps {
            GapPolicy::None => f64::NAN,
            GapPolicy::Previous => previous,
            GapPolicy::Zero => 0.0,
            GapPolicy::Fixed(fixed) => fixed,
            GapPolicy::Linear => {
                let Some((next_at, next)) = next else { return f64::NAN };
                let next = next.get(value).copied().unwrap_or(f64::NAN);
                let share = (slot - record_at) as f64 / (next_at - record_at) as f64;
                // So written, it stays finite between the largest numbers.
                previous * (1.0 - share) + next * share
            }
            GapPolicy::Seasonal => {
                let known = self.season.get(self.place(slot) + value);
                known.copied().filter(|known| !known.is_nan()).unwrap_or(previous)
            }
        }
    }

    /// Where the values of the interval at `slot` stand in the season.
    fn place(&self, slot: Micros) -> usize {
        let Rule { interval, season_rows, .. } = self.rule;
        slot.div_euclid(interval).rem_euclid(season_rows.max(1)) as usize * self.values.len()
    }

    fn remember(&mut self, slot: Micros, values: &[f64]) {
        if self.rule.season_rows == 0 {
            return;
        }
        let length = self.rule.season_rows as usize * values.len();
        if self.season.len() != length {
            self.season.clear();
            self.season.resize(length, f64::NAN);
        }
        let place = self.place(slot);
        for (known, value) in self.season[place..].iter_mut().zip(values) {
            if !value.is_nan() {
                *known = *value;
            }
        }
    }

    /// Appends what it knows to a saved state; the rule is the definition's.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Self { record_at, row_at, filled, told, values, season, .. } = self;
        encoding::put(&(record_at, row_at, filled, told, values, season), out);
    }

    /// Reads what [`Regular::encode`] wrote of a series of this stream with at most so many values.
    pub(crate) fn decode(
        stream: &Stream,
        values_max: usize,
        bytes: &mut &[u8],
    ) -> Result<Option<Self>, DecodeError> {
        let Some(mut regular) = Self::new(stream) else { return Ok(None) };
        let Self { record_at, row_at, filled, told, values, season, .. } = &mut regular;
        (*record_at, *row_at, *filled, *told, *values, *season) = encoding::take(bytes)?;
        encoding::ensure(values.len() <= values_max, "number of a gap's values")?;
        let whole = regular.rule.season_rows as usize * regular.values.len();
        let length = regular.season.len();
        encoding::ensure(length == 0 || length == whole, "length of a season")?;
        encoding::ensure(regular.filled <= 100_000, "number of rows that stand in")?;
        Ok(Some(regular))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn stream(says: &str) -> Stream {
        toml::from_str(&format!("name = \"s\"\ninterval_ms = 10\n{says}")).expect("a stream")
    }

    fn regular(says: &str) -> Regular {
        Regular::new(&stream(says)).expect("it is regular")
    }

    /// The rows that stand in until event time comes to `ms`: time in ms, value or "no data".
    fn gaps(regular: &mut Regular, ms: i64, next: Option<f64>) -> Vec<(i64, String)> {
        let (mut found, mut row) = (vec![], vec![]);
        let next = next.map(|value| [value]);
        while let Some(gap) = regular.gap(ms * 1000, next.as_ref().map(|n| &n[..]), &mut row) {
            let said = if gap.no_data { "no data".into() } else { row[0].to_string() };
            found.push((gap.at / 1000, said));
        }
        found
    }

    /// Records (ms, value) come; these rows stand in.
    fn check(says: &str, records: &[(i64, f64)], expect: &[(i64, &str)]) {
        let mut regular = regular(says);
        let mut found = vec![];
        for &(ms, value) in records {
            found.extend(gaps(&mut regular, ms, Some(value)));
            regular.take(ms * 1000, &[value]);
        }
        let expect: Vec<_> = expect.iter().map(|&(ms, said)| (ms, said.to_owned())).collect();
        assert_eq!(found, expect, "{says}");
    }

    #[test]
    fn policies() {
        let records = [(0, 1.0), (10, 2.0), (40, 8.0)];
        check("", &records, &[]);
        check("gaps = \"previous\"", &records, &[(20, "2"), (30, "2")]);
        check("gaps = \"linear\"", &records, &[(20, "4"), (30, "6")]);
        check("gaps = \"zero\"", &records, &[(20, "0"), (30, "0")]);
        check("gaps = { fixed = 7.5 }", &records, &[(20, "7.5"), (30, "7.5")]);
        check("gaps = \"linear\"", &[(0, f64::MAX), (20, -f64::MAX)], &[(10, "0")]);
        check("gaps = \"linear\"", &[(0, 1.0), (20, NAN)], &[(10, "NaN")]);
    }

    #[test]
    fn half_an_interval_of_jitter_is_no_gap_and_does_not_add_up() {
        let records = [(0, 1.0), (14, 2.0), (28, 3.0), (43, 4.0), (59, 5.0)];
        check("gaps = \"zero\"", &records, &[(53, "0")]);
        check("gaps = \"zero\"", &[(0, 1.0), (3, 2.0), (6, 3.0), (16, 3.0)], &[]);
    }

    #[test]
    fn a_season_before_else_the_row_before() {
        let says = "gaps = \"seasonal\"\nseason_ms = 30";
        let records = [(0, 1.0), (20, 3.0), (30, 4.0), (60, 7.0), (80, 9.0), (100, 9.0)];
        // 10 has none yet; 40 has what stood in at 10; 50 is as 20; 70 as 40; 90 as 60.
        let expect = [(10, "1"), (40, "1"), (50, "3"), (70, "1"), (90, "7")];
        check(says, &records, &expect);
    }

    #[test]
    fn no_data_is_told_once_and_ends_the_filling() {
        let says = "gaps = \"previous\"\nno_data_after = 3";
        let records = [(0, 1.0), (1000, 2.0), (1020, 3.0)];
        check(says, &records, &[(10, "1"), (20, "1"), (30, "no data"), (1010, "2")]);
        check("no_data_after = 1", &records, &[(10, "no data"), (1010, "no data")]);
        check("no_data_after = 2", &[(0, 1.0), (20, 1.0)], &[]);
    }

    #[test]
    fn a_gap_of_a_century_is_filled_up_to_the_limit() {
        let says = "gaps = \"zero\"\ngap_rows_max = 2";
        let years = 4_102_444_800_000;
        check(says, &[(0, 1.0), (years, 2.0)], &[(10, "0"), (20, "0")]);
        let mut regular = regular("gaps = \"zero\"\nno_data_after = 5");
        regular.take(Micros::MAX - 5, &[1.0]);
        assert_eq!(gaps(&mut regular, Micros::MAX / 1000, None), []);
    }

    #[test]
    fn silence_fills_what_needs_no_next_record_when_it_is_due() {
        for (says, expect) in [
            ("gaps = \"previous\"", Some(15)),
            ("gaps = \"linear\"", None),
            ("gaps = \"linear\"\nno_data_after = 4", Some(45)),
            ("gaps = \"zero\"\ngap_rows_max = 0\nno_data_after = 2", Some(25)),
        ] {
            let mut regular = regular(says);
            assert_eq!(regular.due_at(), None, "before the first record");
            regular.take(0, &[1.0]);
            assert_eq!(regular.due_at(), expect.map(|ms| ms * 1000 + 1), "{says}");
            let Some(ms) = expect else { continue };
            let mut row = vec![];
            assert_eq!(regular.gap(ms * 1000, None, &mut row), None, "{says}");
            assert!(regular.gap(ms * 1000 + 1, None, &mut row).is_some(), "{says}");
        }
    }

    #[test]
    fn it_goes_on_behind_its_encoding() {
        let stream = stream("gaps = \"seasonal\"\nseason_ms = 30\nno_data_after = 9");
        let mut regular = Regular::new(&stream).expect("it is regular");
        for ms in [0, 10, 20, 50] {
            gaps(&mut regular, ms, Some(ms as f64));
            regular.take(ms * 1000, &[ms as f64]);
        }
        gaps(&mut regular, 66, None);
        let mut bytes = vec![];
        regular.encode(&mut bytes);
        for len in 0..bytes.len() {
            assert!(Regular::decode(&stream, 1, &mut &bytes[..len]).is_err(), "{len}");
        }
        assert!(Regular::decode(&stream, 0, &mut &bytes[..]).is_err(), "more values than features");
        let mut decoded = Regular::decode(&stream, 1, &mut &bytes[..])
            .expect("what was encoded can be decoded")
            .expect("it is regular");
        assert_eq!(gaps(&mut decoded, 500, None), gaps(&mut regular, 500, None));
    }
}
