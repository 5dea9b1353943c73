//! Numbers, log times, ticks and memory over several cycles.

use bytes::Bytes;
use domain::{Batch, Definitions, Item, Reason};

use super::*;
use crate::config::tests::defaults;

const TARGETS: u32 = 3;
const SECOND: i64 = 1_000_000;

/// A state and what it has written, with time in seconds.
struct Run {
    state: State,
    streams: Streams,
    called_at: Micros,
    offsets: BTreeMap<Partition, u64>,
    metadata: BTreeMap<Partition, String>,
    refusals: Vec<domain::Refusal>,
}

impl Run {
    fn new(config: IngestConfig) -> Self {
        Self {
            state: State::new(config, TARGETS),
            streams: Streams::new(&Definitions::default(), ""),
            called_at: 0,
            offsets: BTreeMap::new(),
            metadata: BTreeMap::new(),
            refusals: vec![],
        }
    }

    fn assign(&mut self, number: u32) {
        let partition = source(number);
        let metadata = self.metadata.get(&partition).map(String::as_str);
        self.state.restore(&partition, metadata).unwrap();
    }

    fn slice(&mut self, number: u32, messages: &[(i64, &str)], at_end: bool) -> Slice {
        let offset = self.offsets.entry(source(number)).or_default();
        let messages = messages.iter().map(|(seconds, value)| {
            *offset += 1;
            Message {
                offset: *offset,
                timestamp_ms: seconds * 1_000,
                key: None,
                value: Some(Bytes::from((*value).to_owned())),
                headers: vec![],
            }
        });
        Slice { partition: source(number), messages: messages.collect(), at_end }
    }

    /// One cycle at this second; returns its messages by target.
    fn cycle(&mut self, seconds: i64, found: Found<'_>) -> Vec<(u32, Vec<Batch>)> {
        let now = seconds * SECOND;
        let times = Times { now, polled_after: self.called_at };
        self.called_at = now;
        let (mut cycle, metadata) = self.state.cycle(found, &self.streams, times);
        self.metadata.extend(metadata);
        self.refusals.append(&mut cycle.refusals);
        cycle.take_messages().collect()
    }

    fn apply(&mut self, seconds: i64, slices: &[Slice]) -> Vec<(u32, Vec<Batch>)> {
        self.cycle(seconds, Found::Batch(slices))
    }

    fn idle(&mut self, seconds: i64, at_end: &[u32]) -> Vec<(u32, Vec<Batch>)> {
        let at_end: Vec<_> = at_end.iter().map(|number| source(*number)).collect();
        self.cycle(seconds, Found::Idle { at_end: &at_end, finish: false })
    }
}

fn source(number: u32) -> Partition {
    Partition::new("records", number)
}

fn record(series: &str) -> String {
    format!(r#"{{"series":"{series}","time":5,"value":1}}"#)
}

/// Log times of the ticks, in seconds, by source, as target 0 sees them; all targets must agree.
fn ticks(written: &[(u32, Vec<Batch>)]) -> Vec<(String, i64)> {
    let of = |target: u32| -> Vec<(String, i64)> {
        let messages = written.iter().filter(|(number, _)| *number == target);
        let batches = messages.flat_map(|(_, segments)| segments);
        let ticks = batches.flat_map(|batch| {
            batch.items.iter().filter_map(|item| match item {
                Item::Tick(log_time) => {
                    let seconds = if *log_time == LOG_TIME_END { -1 } else { log_time / SECOND };
                    Some((batch.first.source.to_string(), seconds))
                }
                Item::Row(_) | Item::Forget { .. } => None,
            })
        });
        ticks.collect()
    };
    for target in 1..TARGETS {
        assert_eq!(of(target), of(0));
    }
    of(0)
}

/// Follows the numbers of every source in every target.
#[derive(Default)]
struct Reader(BTreeMap<(u32, String), u64>);

impl Reader {
    fn read(&mut self, written: &[(u32, Vec<Batch>)]) {
        for (target, segments) in written {
            for batch in segments {
                let last = self.0.entry((*target, batch.first.source.to_string())).or_default();
                assert_eq!(batch.first.number, *last + 1, "target {target}");
                *last += batch.items.len() as u64;
                for row in batch.rows() {
                    let key = &batch.series[row.series as usize].key;
                    let expected = exchange::murmur2_partition(key.as_bytes(), TARGETS);
                    assert_eq!(*target, expected, "{key}");
                }
            }
        }
    }
}

#[test]
fn numbers_have_no_hole_over_cycles_restarts_and_sources() {
    let mut run = Run::new(defaults());
    let mut reader = Reader::default();
    run.assign(0);
    run.assign(1);
    for round in 0..30i64 {
        let values: Vec<_> = (0..round % 7).map(|i| record(&format!("s{i}"))).collect();
        let messages: Vec<_> = values.iter().map(|value| (round, value.as_str())).collect();
        let slices =
            [run.slice(0, &messages, false), run.slice(1, &messages[..messages.len() / 2], true)];
        let written = run.apply(round, &slices);
        reader.read(&written);
        if round % 5 == 0 {
            // Another process takes over.
            let dropped = source((round % 2) as u32);
            run.state.drop_source(&dropped);
            run.assign(dropped.number);
        }
    }
    assert_eq!(reader.0.len(), 6);
    let memory = Memory::decode(&run.metadata[&source(0)], TARGETS as usize).unwrap();
    let read: Vec<_> = (0..TARGETS).map(|t| reader.0[&(t, "records/0".to_owned())]).collect();
    assert_eq!(memory.numbers, read);
    assert_eq!((memory.epoch, memory.log_time), (1, 29 * SECOND));
}

#[test]
fn a_cycle_has_one_segment_per_source_and_large_ones_are_split() {
    let mut run = Run::new(IngestConfig { tick_ms: 0, ..defaults() });
    run.assign(0);
    run.assign(1);
    let (a, b) = (record("a"), record("b"));
    let slices = [
        run.slice(0, &[(1, &a), (2, &b), (3, &a)], false),
        run.slice(1, &[(1, &a), (1, &b)], false),
    ];
    let written = run.apply(10, &slices);
    let target = exchange::murmur2_partition(b"a", TARGETS);
    let segments = &written.iter().find(|(number, _)| *number == target).unwrap().1;
    assert_eq!(segments.len(), 2);
    let rows: Vec<_> = segments[0].rows().map(|row| (row.origin.offset, row.log_time)).collect();
    assert!(rows.contains(&(1, SECOND)) && rows.contains(&(3, 3 * SECOND)), "{rows:?}");
    assert_eq!(segments[0].series.iter().filter(|series| &*series.key == "a").count(), 1);

    let ones = vec!["1"; 500].join(",");
    let wide = format!(r#"{{"series":"a","time":5,"values":[{ones}]}}"#);
    let messages = vec![(4, wide.as_str()); 2_000];
    let slices = [run.slice(0, &messages, false)];
    let written = run.apply(11, &slices);
    assert!(written.len() > 1);
    let mut next = segments[0].first.number + segments[0].items.len() as u64;
    for (number, segments) in &written {
        assert_eq!((*number, segments.len(), segments[0].series.len()), (target, 1, 1));
        assert_eq!(segments[0].first.number, next);
        next += segments[0].items.len() as u64;
        let bytes = wire::rows::encode_accepted(segments, wire::events::Stamps::default());
        assert!(bytes.len() < 4 << 20, "{}", bytes.len());
    }
}

#[test]
fn sources_tick_with_the_clock_at_their_end_only() {
    let mut run = Run::new(defaults());
    run.assign(0);
    run.called_at = 100 * SECOND;
    // The first tick comes at once, with the clock before the poll.
    let as_of = |seconds| vec![("records/0".to_owned(), seconds)];
    assert_eq!(ticks(&run.idle(101, &[0])), as_of(100));
    assert_eq!(ticks(&run.idle(101, &[0])), []);
    assert_eq!(ticks(&run.idle(102, &[0])), as_of(101));
    // Behind: the log time of what was read, which never goes back.
    let a = record("a");
    let slices = [run.slice(0, &[(90, &a)], false)];
    let written = run.apply(103, &slices);
    assert_eq!(ticks(&written), as_of(101));
    let log_times: Vec<_> =
        written.iter().flat_map(|(_, s)| s).flat_map(Batch::rows).map(|row| row.log_time).collect();
    assert_eq!(log_times, [101 * SECOND]);
    let slices = [run.slice(0, &[(102, &a)], false)];
    assert_eq!(ticks(&run.apply(200, &slices)), as_of(102));
    let slices = [run.slice(0, &[(150, &a)], true)];
    assert_eq!(ticks(&run.apply(201, &slices)), as_of(200));
    // A clock that was set back.
    assert_eq!(ticks(&run.idle(50, &[0])), as_of(201));
}

#[test]
fn a_wrong_timestamp_does_not_end_all_windows() {
    let mut run = Run::new(defaults());
    run.assign(0);
    let slices = [run.slice(0, &[(i64::MAX / 1_000, "broken")], false)];
    assert_eq!(ticks(&run.apply(100, &slices)), [("records/0".to_owned(), 400)]);
}

#[test]
fn a_source_of_which_nothing_is_known_does_not_tick() {
    let mut run = Run::new(defaults());
    run.assign(0);
    run.assign(1);
    run.called_at = 100 * SECOND;
    assert_eq!(ticks(&run.idle(101, &[1])), [("records/1".to_owned(), 100)]);
    assert_eq!(run.metadata.len(), 2);
    // It does as soon as something is, even between two rounds.
    let slices = [run.slice(0, &[(7, "broken")], false)];
    assert_eq!(ticks(&run.apply(101, &slices)), [("records/0".to_owned(), 7)]);
    // One that was at its end and is not told of follows a round behind.
    let slices = [run.slice(0, &[(8, "broken")], false)];
    let written = ticks(&run.apply(103, &slices));
    assert_eq!(written, [("records/0".to_owned(), 8), ("records/1".to_owned(), 100)]);
    let slices = [run.slice(0, &[(9, "broken")], false)];
    let written = ticks(&run.apply(104, &slices));
    assert_eq!(written, [("records/0".to_owned(), 9), ("records/1".to_owned(), 101)]);
}

#[test]
fn a_finished_input_ends_with_one_last_tick() {
    let mut run = Run::new(IngestConfig { tick_ms: 0, ..defaults() });
    run.assign(0);
    run.assign(1);
    assert_eq!(run.idle(1, &[0, 1]), []);
    let mut end = |at_end: &[u32]| {
        let at_end: Vec<_> = at_end.iter().map(|number| source(*number)).collect();
        ticks(&run.cycle(2, Found::Idle { at_end: &at_end, finish: true }))
    };
    assert_eq!(end(&[0]), [("records/0".to_owned(), -1)]);
    assert_eq!(end(&[0, 1]), [("records/1".to_owned(), -1)]);
    assert_eq!(end(&[0, 1]), []);
}

#[test]
fn a_fresh_source_is_committed_before_or_with_its_first_output() {
    let mut run = Run::new(IngestConfig { epoch: 7, ..defaults() });
    run.assign(0);
    assert_eq!(run.idle(1, &[]), []);
    let memory = Memory::decode(&run.metadata[&source(0)], TARGETS as usize).unwrap();
    assert_eq!(memory, Memory::fresh(7, TARGETS as usize));
    run.metadata.clear();
    assert_eq!(run.idle(2, &[]), []);
    assert!(run.metadata.is_empty());
}

#[test]
fn refusals_say_where_and_many_of_one_message_are_told_as_one() {
    let mut run = Run::new(defaults());
    run.assign(0);
    let bad = format!("[{}]", vec!["{}"; 5_000].join(","));
    let slices = [run.slice(0, &[(1, "x"), (2, r#"[{},{"time":1}]"#), (3, &bad)], false)];
    run.apply(1, &slices);
    let found: Vec<_> = run
        .refusals
        .iter()
        .take(3)
        .map(|r| (r.reason, r.offset, r.index, &r.payload[..]))
        .collect();
    assert_eq!(found[0], (Reason::Undecodable, 1, 0, &b"x"[..]));
    assert_eq!(found[1], (Reason::NoTime, 2, 0, &b"{}"[..]));
    assert_eq!(found[2], (Reason::NoSeries, 2, 1, &br#"{"time":1}"#[..]));
    assert!(run.refusals.iter().all(|r| &*r.source == "records/0" && r.service == "ingest"));
    let last = run.refusals.last().unwrap();
    let told = run.refusals.len() as u32 - 3;
    assert_eq!((last.offset, last.index), (3, told - 1));
    let more = format!("{} further records", 5_000 - told);
    assert!(told < 300 && last.detail.contains(&more), "{told}: {}", last.detail);
    assert_eq!(last.payload, bad.as_bytes());

    run.refusals.clear();
    let huge = "x".repeat(2 << 20);
    let slices = [run.slice(0, &[(3, &huge)], false)];
    run.apply(1, &slices);
    assert_eq!(run.refusals[0].reason, Reason::TooLarge);
    assert_eq!(run.refusals[0].payload.len(), 65_536);
}

#[test]
fn a_topic_without_a_stream_refuses_its_records() {
    let mut run = Run::new(defaults());
    run.state.restore(&Partition::new("gone", 0), None).unwrap();
    let a = record("a");
    let mut slice = run.slice(0, &[(1, &a)], false);
    slice.partition = Partition::new("gone", 0);
    run.apply(1, &[slice]);
    assert!(run.refusals[0].detail.contains("no stream is defined on topic gone"));
}
