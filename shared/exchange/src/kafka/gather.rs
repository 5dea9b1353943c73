//! Polling: turns what librdkafka's queues hold into one event.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::{
    client,
    reader::{Reader, Reading},
};
use crate::{
    deadline::{self, Deadline},
    port::{Batch, Error, Event, Message, Partition, PollLimits, Slice},
};

/// The longest wait without a look at the group: an event can hide behind one that was served silently.
const LOOK: Duration = Duration::from_millis(20);

/// A batch in the making.
#[derive(Default)]
struct Gathered {
    slices: BTreeMap<Partition, Vec<Message>>,
    replay: bool,
    messages: usize,
    bytes: usize,
    full: bool,
}

impl Gathered {
    /// Whether a message may join: all are replay or none, and the limits hold.
    fn takes(&mut self, message: &Message, replay: bool, limits: &PollLimits) -> bool {
        if self.messages == 0 {
            self.replay = replay;
            return true;
        }
        if replay != self.replay {
            return false;
        }
        self.full =
            self.messages >= limits.messages_max || self.bytes + message.size() > limits.bytes_max;
        !self.full
    }
}

impl Reader {
    /// Waits for what comes next.
    pub(super) fn poll(&mut self, limits: &PollLimits) -> Result<Event, Error> {
        let deadline = Deadline::after(limits.wait);
        let mut gathered = Gathered::default();
        while gathered.messages == 0 {
            self.signal.clear();
            self.serve()?;
            if let Some(event) = self.change()? {
                return Ok(event);
            }
            self.assign()?;
            self.gather(limits, &mut gathered)?;
            if gathered.messages == 0 {
                let Some(left) = deadline.left() else { return Ok(Event::Idle(self.ends())) };
                self.signal.wait(left.min(LOOK));
            }
        }
        // Under load the cycle is stretched: the broker's request rate is the scarce thing. From here to the
        // commit the group's changes have to wait.
        if let Some(batch_at) = self.batch_at {
            let deadline = Deadline::at(batch_at + limits.cycle);
            while !gathered.full
                && let Some(left) = deadline.left()
            {
                self.signal.clear();
                self.gather(limits, &mut gathered)?;
                if !gathered.full {
                    self.signal.wait(left);
                }
            }
        }
        self.batch_at = Some(deadline::now());
        self.turn = self.turn.wrapping_add(1);
        Ok(Event::Batch(self.batch(gathered)))
    }

    /// The next change of the assignment, as an event. It stays due until it has been told.
    fn change(&mut self) -> Result<Option<Event>, Error> {
        if !self.gone.is_empty() {
            self.unseated.clear();
            let gone = std::mem::take(&mut self.gone);
            return Ok(Some(Event::Revoked(gone.into_iter().collect())));
        }
        if !self.come.is_empty() {
            return Ok(Some(Event::Assigned(self.assigned()?)));
        }
        Ok(None)
    }

    fn gather(&mut self, limits: &PollLimits, gathered: &mut Gathered) -> Result<(), Error> {
        let partitions = self.readings.len();
        if partitions == 0 {
            return Ok(());
        }
        let first = self.turn % partitions;
        let order: Vec<Partition> =
            self.readings.keys().cycle().skip(first).take(partitions).cloned().collect();
        for partition in order {
            let Some(reading) = self.readings.get_mut(&partition) else { continue };
            match reading.gather(&partition, limits, gathered) {
                Ok(()) => {}
                Err(KafkaError::MessageConsumption(Code::AutoOffsetReset)) => reading.lost = true,
                Err(error) => {
                    self.check(&error)?;
                    continue;
                }
            }
            // What was gathered before has to be delivered first.
            if reading.lost && gathered.messages == 0 {
                let wanted = reading.position;
                let (first, _) = self.cluster.watermarks(&partition)?;
                return Err(Error::Lost { partition, wanted, first });
            }
            if gathered.full {
                break;
            }
        }
        Ok(())
    }

    fn batch(&mut self, mut gathered: Gathered) -> Batch {
        let mut slices = Vec::with_capacity(gathered.slices.len());
        for (partition, reading) in &mut self.readings {
            let messages = gathered.slices.remove(partition).unwrap_or_default();
            if !messages.is_empty() || (reading.at_end && !reading.told_at_end) {
                reading.told_at_end = reading.at_end;
                let (partition, at_end) = (partition.clone(), reading.at_end);
                slices.push(Slice { partition, messages, at_end });
            }
        }
        Batch { slices, replay: gathered.replay }
    }

    fn ends(&mut self) -> Vec<Partition> {
        let mut ends = Vec::new();
        for (partition, reading) in &mut self.readings {
            if reading.at_end {
                reading.told_at_end = true;
                ends.push(partition.clone());
            }
        }
        ends
    }
}

impl Reading {
    /// Moves what is there and fits into the batch.
    fn gather(
        &mut self,
        partition: &Partition,
        limits: &PollLimits,
        gathered: &mut Gathered,
    ) -> Result<(), KafkaError> {
        let mut found = Vec::new();
        let mut outcome = Ok(());
        loop {
            let message = match self.next() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            };
            let replay = message.offset < self.replay_until;
            if !gathered.takes(&message, replay, limits) {
                self.held_back.push_front(message);
                break;
            }
            gathered.messages += 1;
            gathered.bytes += message.size();
            self.position = message.offset + 1;
            self.at_end = false;
            found.push(message);
        }
        if !found.is_empty() {
            gathered.slices.entry(partition.clone()).or_default().append(&mut found);
        }
        // The end may have been seen right behind the last message.
        outcome
    }

    /// The next message that is there already.
    fn next(&mut self) -> Result<Option<Message>, KafkaError> {
        if let Some(message) = self.held_back.pop_front() {
            return Ok(Some(message));
        }
        loop {
            match self.queue.poll(Duration::ZERO) {
                None => return Ok(None),
                Some(Ok(message)) => {
                    // What lies below the start is left over from before a rewind.
                    if client::offset(rdkafka::Message::offset(&message)) >= self.position {
                        return Ok(Some(client::owned(&message)));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    // Between here and the committed offset there are only markers: the replay is over.
                    self.at_end = true;
                    self.replay_until = self.replay_until.min(self.position);
                }
                Some(Err(error)) => return Err(error),
            }
        }
    }
}
