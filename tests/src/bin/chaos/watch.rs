//! The outside reader: a read_committed client that reads what is written, all the time, over every misfortune.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use domain::{ScoreItem, Topics};
use exchange::{Error, Exchange as _, FollowFrom, Follower, KafkaExchange, Message};
use oddwatch_tests::oracle::Committed;

/// How long it waits when nothing is new anywhere.
const WAIT: Duration = Duration::from_millis(15);
const MESSAGES_MAX: usize = 5_000;
/// How often one topic is asked before the others have their turn: a call may return a single message.
const TURNS_MAX: usize = 100;

/// How far the pipeline is seen to have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Scores of records, not of windows.
    pub(crate) scored: u64,
    /// Refused records.
    pub(crate) refused: u64,
    /// Items of `detection.completed`, ticks included.
    pub(crate) items: u64,
    /// Anomalies and drifts.
    pub(crate) findings: u64,
    /// States of alerts.
    pub(crate) alerts: u64,
}

/// Reads on a thread of its own.
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<Result<Committed, Error>>,
}

impl Watch {
    /// Starts to read what the services write, from the beginning.
    pub(crate) fn start(exchange: &KafkaExchange, topics: &Topics) -> Result<Self, Error> {
        let names = [
            &topics.completed,
            &topics.rejected,
            &topics.anomalies,
            &topics.drifts,
            &topics.alerts,
        ];
        let mut followers = vec![];
        for name in names {
            let follower = exchange.follow(name, FollowFrom::Earliest)?;
            followers.push((name.to_string(), follower));
        }
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let ending: Arc<AtomicBool> = Arc::default();
        let (shared, end, topics) = (Arc::clone(&seen), Arc::clone(&ending), topics.clone());
        let thread = thread::spawn(move || {
            let mut committed = Committed::default();
            loop {
                let is_over = end.load(Ordering::Acquire) && all_caught_up(&mut followers)?;
                let mut is_idle = true;
                for (name, follower) in &mut followers {
                    for _ in 0..TURNS_MAX {
                        let messages = read(&mut **follower)?;
                        if messages.is_empty() {
                            break;
                        }
                        is_idle = false;
                        for (partition, message) in messages {
                            committed.take(&topics, name, partition, &message);
                            let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
                            seen.count(&committed, &topics, name, partition);
                        }
                    }
                }
                if is_over && is_idle {
                    return Ok(committed);
                }
                if is_idle {
                    thread::sleep(WAIT); // poll interval
                }
            }
        });
        Ok(Self { seen, ending, thread })
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads to the end of what is committed now, and returns all.
    pub(crate) fn finish(self) -> Result<Committed, Error> {
        self.ending.store(true, Ordering::Release);
        let panicked = || Error::Fatal { what: "the outside reader panicked".to_owned() };
        self.thread.join().unwrap_or_else(|_| Err(panicked()))
    }
}

/// What is new. A broker that is away comes back.
fn read(follower: &mut dyn Follower) -> Result<Vec<(u32, Message)>, Error> {
    match follower.next(Duration::ZERO, MESSAGES_MAX) {
        Err(Error::Unavailable { .. }) => Ok(vec![]),
        read => read,
    }
}

fn all_caught_up(followers: &mut [(String, Box<dyn Follower>)]) -> Result<bool, Error> {
    for (_, follower) in followers {
        if !follower.caught_up()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the other topics from their first to their last message into what was read already.
pub(crate) fn read_rest(
    exchange: &KafkaExchange,
    topics: &Topics,
    committed: &mut Committed,
) -> Result<(), Error> {
    for name in [&topics.control, &topics.accepted, &topics.requested] {
        let mut follower = exchange.follow(name, FollowFrom::Earliest)?;
        while !follower.caught_up()? {
            for (partition, message) in follower.next(WAIT, MESSAGES_MAX)? {
                committed.take(topics, name, partition, &message);
            }
        }
    }
    Ok(())
}

impl Seen {
    /// Counts the message that was taken last.
    fn count(&mut self, committed: &Committed, topics: &Topics, name: &str, partition: u32) {
        if *name == *topics.completed {
            let told = committed.completed.get(&partition).and_then(|all| all.last());
            let Some(batch) = told.map(|told| &told.content) else { return };
            let of_record = |item: &&ScoreItem| match item {
                ScoreItem::Score(score) => batch.series[score.series as usize].window.is_none(),
                ScoreItem::Tick(_) => false,
            };
            self.scored += batch.items.iter().filter(of_record).count() as u64;
            self.items += batch.items.len() as u64;
        } else if *name == *topics.rejected {
            self.refused += 1;
        } else if *name == *topics.alerts {
            self.alerts += 1;
        } else {
            self.findings += 1;
        }
    }
}
