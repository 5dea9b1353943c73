//! Items on which a process panics or dies: each is found and skipped, and nothing else ever is.

use std::{collections::BTreeSet, sync::Arc};

use oddwatch_exchange::{
    Assignment, Batch, Error, Fault, Message, Outputs, Partition, Place, Processor, Restore, Start,
    Step, Worker,
};

use crate::bed::{Bed, limits, numbers, output, text};

/// Copies items, the words of a message, one to a message. It dies on `die`, as a process would that can't catch
/// it, and panics on `panic`.
struct Copier {
    out: Arc<str>,
    skips: Arc<std::sync::Mutex<BTreeSet<Place>>>,
    hand: Option<Place>,
}

#[derive(Debug)]
struct Stop(Error);

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

fn words(message: &Message) -> Vec<String> {
    text(message).split(' ').map(str::to_owned).collect()
}

impl Copier {
    fn copy(&mut self, batch: &Batch, until: usize) -> Result<Outputs, Stop> {
        let mut outputs = Outputs::default();
        for slice in &batch.slices {
            for message in &slice.messages {
                for (index, word) in words(message).into_iter().enumerate().take(until) {
                    let (partition, offset) = (slice.partition.clone(), message.offset);
                    let place = Place { partition, offset, item: index as u64 };
                    self.hand = Some(place.clone());
                    let skipped = self.skips.lock().expect("skips").contains(&place);
                    match word.as_str() {
                        _ if skipped => {
                            let refused = format!("refused {word}");
                            outputs.messages.push(output(&self.out, 0, &refused));
                        }
                        "die" => return Err(Stop(Error::Fatal { what: "dead".into() })),
                        "panic" => panic!("at {place}"),
                        word => outputs.messages.push(output(&self.out, 0, word)),
                    }
                }
            }
        }
        Ok(outputs)
    }
}

impl Processor for Copier {
    type Error = Stop;

    fn restore(&mut self, _: &Assignment) -> Result<Restore, Stop> {
        Ok(Restore::Start(Start::Committed))
    }

    fn drop_partition(&mut self, _: &Partition) {}

    fn apply(&mut self, batch: &Batch) -> Result<Outputs, Stop> {
        self.copy(batch, usize::MAX)
    }

    fn can_skip(&self) -> bool {
        true
    }

    fn place(&self) -> Option<Place> {
        self.hand.clone()
    }

    fn items(&self, message: &Message) -> u64 {
        words(message).len() as u64
    }

    fn rehearse(&mut self, batch: &Batch, items: u64) -> Result<(), Stop> {
        self.copy(batch, items as usize).map(drop)
    }

    fn skip(&mut self, place: &Place, _: &str) -> Result<(), Stop> {
        assert!(
            self.skips.lock().expect("skips").insert(place.clone()),
            "{place} was skipped already"
        );
        Ok(())
    }
}

/// Messages of words to two partitions; the words that come out, and how many deaths it took.
fn pass(bed: &dyn Bed, messages: &[(u32, &str)], faults: &[Fault]) -> (Vec<String>, usize) {
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    let group = bed.group("a", &[&topic]);
    let skips: Arc<std::sync::Mutex<BTreeSet<Place>>> = Arc::default();
    let worker = || {
        let member = bed.exchange().join(&group).expect("join");
        let copier = Copier { out: Arc::clone(&out), skips: Arc::clone(&skips), hand: None };
        Worker::new(member, copier, limits())
    };
    for (partition, message) in messages {
        bed.append(&topic, *partition, [(*message).to_owned()]);
    }
    bed.faults().plan(faults.iter().copied());
    let wanted: usize = messages.iter().map(|(_, message)| message.split(' ').count()).sum();
    let (mut running, mut deaths) = (worker(), 0);
    for _ in 0..2_000 {
        match running.step() {
            Ok(Step::Idle) if bed.values(&out).len() >= wanted => break,
            Ok(_) => {}
            Err(Stop(Error::Fatal { .. })) => {
                deaths += 1;
                drop(running);
                running = worker();
            }
            Err(Stop(other)) => panic!("{other:?}"),
        }
    }
    (bed.values(&out), deaths)
}

fn check(bed: &dyn Bed, messages: &[(u32, &str)], refused: &[&str], deaths_max: usize) {
    let (mut found, deaths) = pass(bed, messages, &[]);
    let mut expected: Vec<String> = vec![];
    for (_, message) in messages {
        let words = message.split(' ').map(|word| match word {
            word if refused.contains(&word) => format!("refused {word}"),
            word => word.to_owned(),
        });
        expected.extend(words);
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(deaths <= deaths_max, "{deaths} deaths");
}

pub fn an_item_that_panics_is_skipped_and_no_other(bed: &dyn Bed) {
    let messages = [(0, "a b c"), (0, "d panic e"), (1, "f"), (0, "panic g h"), (1, "i panic")];
    check(bed, &messages, &["panic"], 0);
}

pub fn an_item_that_kills_is_found_and_no_other_is_skipped(bed: &dyn Bed) {
    let long = numbers(0..100).join(" ");
    let longer = format!("{} die {}", numbers(100..165).join(" "), "x y z");
    let messages = [(0, long.as_str()), (1, "a b"), (0, &longer), (1, "c"), (0, "d e")];
    // Four to be sure, seven for 69 items, and one to confirm.
    check(bed, &messages, &["die"], 12);
}

pub fn a_message_of_one_deadly_item_is_skipped(bed: &dyn Bed) {
    check(bed, &[(0, "a"), (0, "die"), (0, "b"), (1, "die"), (1, "c")], &["die"], 12);
}

pub fn deaths_of_other_causes_skip_nothing(bed: &dyn Bed) {
    let long = numbers(0..60).join(" ");
    let faults = [Fault::DieBefore; 25];
    let (mut found, deaths) = pass(bed, &[(0, &long), (0, "a b")], &faults);
    let mut expected: Vec<String> = long.split(' ').chain(["a", "b"]).map(str::to_owned).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert!(deaths >= 20, "{deaths} deaths");
}
