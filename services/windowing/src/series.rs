//! One series: its features, its windows and its drift tests.

use std::{ops::Deref, sync::Arc};

use domain::{
    Extras, Flags, Micros, Row, Stream,
    encoding::{self, COUNT_MAX, DecodeError},
};
use drift::Monitor;
use snapshot::Encode;

use crate::{
    order::{Features, Order, Record, micros},
    output::Entry,
    regular::{Gap, Regular},
    repeats::Repeats,
    window::Window,
};

/// A stream's definition, and the config version with which a partition took it.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// Looked up in `control` by this, the same definition comes back.
    pub since: u64,
    /// The definition.
    pub stream: Stream,
}

impl Deref for InForce {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.stream
    }
}

/// One series of a partition.
#[derive(Debug)]
pub struct Series {
    /// The series key.
    pub key: Arc<str>,
    /// The stream's definition in force for it.
    pub stream: Arc<InForce>,
    /// The stream's name.
    pub stream_name: Arc<str>,
    /// The names of its values, in the order in which rows brought them.
    pub features: Features,
    /// Its windows, in the stream's order.
    pub windows: Vec<Window>,
    /// Its drift tests; none if the stream wants none.
    pub monitor: Option<Monitor>,
    /// Where its rows were written last.
    pub entry: Entry,
    /// What waits of it.
    pub order: Order,
    /// What it lacks, if its stream is regular.
    pub regular: Option<Regular>,
    /// The ids of its last records.
    pub repeats: Repeats,
    /// The last record that left, if its stream is regular: what stands in for the next one has its origin.
    last: Option<Last>,
    rows: u64,
}

/// A record that left, without its values.
#[derive(Clone, Debug)]
pub struct Last {
    /// Its row.
    pub row: Row,
    /// The partition it was read from.
    pub source: Arc<str>,
}

impl Series {
    /// A series of which no record has come yet.
    pub fn new(stream: &Arc<InForce>, key: &Arc<str>) -> Self {
        let mut series = Self {
            key: key.clone(),
            stream: stream.clone(),
            stream_name: stream.name.as_str().into(),
            features: Arc::from([]),
            windows: vec![],
            monitor: None,
            entry: Entry::default(),
            order: Order::new(stream.lateness_ms),
            regular: Regular::new(stream),
            repeats: Repeats::default(),
            last: None,
            rows: 0,
        };
        series.set_windows();
        series.set_monitor();
        series
    }

    /// Takes a changed definition; what did not change keeps its state.
    pub fn redefine(&mut self, stream: &Arc<InForce>) {
        let before = std::mem::replace(&mut self.stream, stream.clone());
        self.order.set_lateness(stream.lateness_ms);
        self.regular = Regular::redefined(self.regular.take(), stream);
        self.repeats.shrink(stream.record_ids);
        if before.windows != stream.windows {
            self.set_windows();
        }
        if before.drift != stream.drift || before.drift_run_length != stream.drift_run_length {
            self.set_monitor();
        }
    }

    /// Puts a record's values into the order of the series' features, with `row` as the place for them if it
    /// is another one. Features that are new here widen the series: drift tests, and windows by count, start anew.
    ///
    /// # Errors
    /// The number of features it would come to have, if they are more than `features_max`; nothing is changed
    /// then.
    pub fn arrange<'a>(
        &mut self,
        record: &Record<'a>,
        features_max: usize,
        row: &'a mut Vec<f64>,
    ) -> Result<&'a [f64], usize> {
        if self.features == *record.features {
            // So that the batch's next row finds them equal by their address.
            self.features.clone_from(record.features);
            return Ok(record.values);
        }
        row.clear();
        row.resize(self.features.len(), f64::NAN);
        let mut added = vec![];
        let mut next = 0;
        for (name, &value) in record.features.iter().zip(record.values) {
            // Mostly the names stand in the same order, some left out.
            let (before, after) = self.features.split_at(next);
            let place = after.iter().position(|known| known == name).map(|at| next + at);
            match place.or_else(|| before.iter().position(|known| known == name)) {
                Some(at) => {
                    row[at] = value;
                    next = at + 1;
                }
                None => {
                    added.push(name.clone());
                    row.push(value);
                }
            }
        }
        if row.len() > features_max {
            return Err(row.len());
        }
        if !added.is_empty() {
            self.features = self.features.iter().cloned().chain(added).collect();
            let values = self.features.len();
            self.windows = std::mem::take(&mut self.windows)
                .into_iter()
                .map(|window| window.widened(values))
                .collect();
            self.set_monitor();
            self.entry = Entry::default();
        }
        Ok(row)
    }

    fn set_windows(&mut self) {
        let values = self.features.len();
        let mut before = std::mem::take(&mut self.windows);
        for window in &self.stream.windows {
            let known = before.iter().position(|known| **known.name() == *window.name);
            let known = known.map(|at| before.swap_remove(at));
            self.windows.push(match known {
                Some(known) => known.redefined(window, values),
                None => Window::new(window, values),
            });
        }
    }

    fn set_monitor(&mut self) {
        let Stream { drift, drift_run_length, .. } = &self.stream.stream;
        let values = self.features.len();
        self.monitor = (!drift.is_empty()).then(|| Monitor::new(drift, *drift_run_length, values));
    }

    /// The number of the next row.
    pub fn next_row(&mut self) -> u64 {
        self.rows += 1;
        self.rows
    }

    /// After so long a silence it is forgotten; 0: never.
    pub fn ttl(&self) -> Micros {
        micros(self.stream.series_ttl_ms)
    }

    /// The log time at which, if nothing comes until then, a tick has something to do.
    pub fn due_at(&self) -> Micros {
        let held = self.order.held_at().map(|at| at.saturating_add(1));
        let gap = self.regular.as_ref().and_then(Regular::due_at);
        let windows = self.windows.iter().filter_map(Window::due_at);
        let event_at = held.into_iter().chain(gap).chain(windows).min();
        let woken = event_at.map_or(Micros::MAX, |at| self.order.log_time_of(at));
        let forgotten = match self.ttl() {
            0 => Micros::MAX,
            ttl => self.order.silent_at(ttl),
        };
        woken.min(forgotten)
    }

    /// Takes note of a record that left in order.
    pub fn take(&mut self, record: &Record<'_>) {
        let Some(regular) = &mut self.regular else { return };
        regular.take(record.row.event_at, record.values);
        let row = Row { values: 0..0, drift: None, ..record.row.clone() };
        self.last = Some(Last { row, source: record.source.clone() });
    }

    /// The next row that stands in for a record, as [`Regular::gap`] says, with its origin. Only one that says
    /// that nothing comes has tags, for the people who care.
    pub fn gap(
        &mut self,
        event_at: Micros,
        next: Option<&[f64]>,
        values: &mut Vec<f64>,
    ) -> Option<(Gap, Last)> {
        let gap = self.regular.as_mut()?.gap(event_at, next, values)?;
        // Features may have come since.
        values.resize(self.features.len(), f64::NAN);
        // A record that comes for it now is late.
        self.order.set_left(gap.at.saturating_add(1));
        let mut last = self.last.clone()?;
        last.row.event_at = gap.at;
        last.row.flags = Flags { imputed: !gap.no_data, no_data: gap.no_data, late: false };
        last.row.extras = last
            .row
            .extras
            .filter(|_| gap.no_data)
            .map(|extras| Arc::new(Extras { tags: extras.tags.clone(), ..Extras::default() }));
        Some((gap, last))
    }
}

impl Encode for Series {
    fn encode(&self, out: &mut Vec<u8>) {
        encoding::put(&(&self.stream_name, self.stream.since, &self.key), out);
        encoding::put(&(&self.features, self.rows), out);
        self.order.encode(out);
        self.repeats.encode(out);
        if let Some(regular) = &self.regular {
            regular.encode(out);
            encoding::put(&self.last.as_ref().map(|last| (&last.row, &last.source)), out);
        }
        self.windows.iter().for_each(|window| window.encode(out));
        if let Some(monitor) = &self.monitor {
            monitor.encode(out);
        }
    }
}

impl Series {
    /// Reads what [`Encode::encode`] wrote; `stream` looks up the definition of a name as of a config version.
    pub(crate) fn decode(
        mut bytes: &[u8],
        stream: impl FnOnce(&str, u64) -> Result<Arc<InForce>, DecodeError>,
    ) -> Result<Self, DecodeError> {
        let bytes = &mut bytes;
        let (name, since, key): (Arc<str>, u64, Arc<str>) = encoding::take(bytes)?;
        let stream = stream(&name, since)?;
        let (features, rows): (Features, u64) = encoding::take(bytes)?;
        encoding::ensure(rows <= COUNT_MAX, "number of a series' rows")?;
        let values = features.len();
        let order = Order::decode(stream.lateness_ms, bytes)?;
        let repeats = Repeats::decode(stream.record_ids, bytes)?;
        let regular = Regular::decode(&stream, values, bytes)?;
        let last = match &regular {
            Some(_) => encoding::take::<Option<(Row, Arc<str>)>>(bytes)?,
            None => None,
        };
        let last = last.map(|(row, source)| Last { row, source });
        let windows = stream.windows.iter();
        let windows: Vec<Window> = windows
            .map(|definition| Window::decode(definition, values, bytes))
            .collect::<Result<_, _>>()?;
        let tests = &stream.drift;
        let monitor = if tests.is_empty() {
            None
        } else {
            Some(Monitor::decode(tests, values, drift::STATE_VERSION, bytes)?)
        };
        encoding::ensure(bytes.is_empty(), "length of a series")?;
        let entry = Entry::default();
        Ok(Self {
            key,
            stream,
            stream_name: name,
            features,
            windows,
            monitor,
            entry,
            order,
            regular,
            repeats,
            last,
            rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::{Aggregate, Flags, Origin, Row, Shape};

    use super::*;
    use crate::window::Stamp;

    fn in_force(stream: Stream) -> Arc<InForce> {
        Arc::new(InForce { since: 0, stream })
    }

    fn row() -> Row {
        Row {
            series: 0,
            row: 0,
            event_at: 0,
            ingested_at: 0,
            log_time: 0,
            config_version: 0,
            origin: Origin { source: 0, offset: 0, index: 0 },
            flags: Flags::default(),
            values: 0..0,
            extras: None,
            drift: None,
        }
    }

    fn arrange(series: &mut Series, names: &[&str], values: &[f64]) -> Result<Vec<f64>, usize> {
        let row = row();
        let (source, features) = (Arc::from("records/0"), names.iter().map(|n| Arc::from(*n)));
        let features = features.collect();
        let record = Record { row: &row, source: &source, features: &features, values };
        series.arrange(&record, 3, &mut vec![]).map(<[f64]>::to_vec)
    }

    #[test]
    fn values_take_the_place_of_their_feature() {
        let mut series = Series::new(&in_force(Stream::implicit()), &Arc::from("k"));
        let mut check = |names: &[&str], values: &[f64], expected: Result<&[f64], usize>| {
            let found = arrange(&mut series, names, values).map_err(|count| count.to_string());
            let expected = expected.map(<[f64]>::to_vec).map_err(|count| count.to_string());
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{names:?}");
        };
        let nan = f64::NAN;
        check(&["b"], &[1.0], Ok(&[1.0]));
        check(&["a", "b"], &[1.0, 2.0], Ok(&[2.0, 1.0]));
        check(&["a"], &[3.0], Ok(&[nan, 3.0]));
        check(&["b", "a"], &[1.0, 2.0], Ok(&[1.0, 2.0]));
        check(&["c", "d"], &[1.0, 2.0], Err(4));
        check(&["c", "b"], &[1.0, 2.0], Ok(&[2.0, nan, 1.0]));
    }

    fn stamp() -> Stamp {
        let row = row();
        let source = &Arc::from("records/0");
        Stamp::of(&Record { row: &row, source, features: &Arc::from([]), values: &[] })
    }

    #[test]
    fn a_changed_window_counts_its_rows_on_and_others_stay() {
        let window = |name: &str, size| domain::Window {
            name: name.into(),
            shape: Shape::Count { size, slide: 1 },
            features: vec![Aggregate::Sum],
        };
        let stream = |windows| in_force(Stream { windows, ..Stream::implicit() });
        let first = stream(vec![window("a", 2), window("b", 2)]);
        let mut series = Series::new(&first, &Arc::from("k"));
        assert_eq!(arrange(&mut series, &["v"], &[0.0]), Ok(vec![0.0]));
        let push = |series: &mut Series| -> Vec<(String, Option<(u64, f64)>)> {
            let mut row = vec![];
            let windows = series.windows.iter_mut();
            let pushed = windows.map(|w| {
                w.add(&stamp(), &[1.0]);
                let closed = w.full(&mut row);
                (w.name().to_string(), closed.map(|closed| (closed.number, row[0])))
            });
            pushed.collect()
        };
        let said = |name: &str, row| (name.to_owned(), row);
        push(&mut series);
        assert_eq!(push(&mut series), [said("a", Some((1, 2.0))), said("b", Some((1, 2.0)))]);
        series.redefine(&stream(vec![window("c", 2), window("b", 1), window("a", 2)]));
        let expected = [said("c", None), said("b", Some((2, 1.0))), said("a", Some((2, 2.0)))];
        assert_eq!(push(&mut series), expected);
    }
}
