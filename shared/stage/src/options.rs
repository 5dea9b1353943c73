//! What a stage works with.

use std::sync::Arc;

use control::{ControlLog, ControlWriter};
use domain::Topics;
use exchange::{Exchange, Partition};
use runtime::Clock;
use snapshot::{Header, SaverConfig, Store, Subject, Wanted};

use crate::LossPolicy;

/// Where snapshots are kept, and when they are taken.
#[derive(Clone)]
pub struct Snapshots {
    /// The store; shared by all workers.
    pub store: Arc<Store>,
    /// When and how.
    pub config: SaverConfig,
    /// Loaded and written in this very thread, for single-threaded runs.
    pub inline: bool,
}

impl Snapshots {
    /// The newest snapshot of a service's partition, whatever it is good for: where there is one, there was a state.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn newest(
        &self,
        service: &str,
        partition: &Partition,
    ) -> Result<Option<Header>, snapshot::Error> {
        let subject = Subject::new(service, partition.to_string());
        let none = Wanted { offset_max: 0, epoch: None, state_versions: 0..=u32::MAX };
        let unread = |_: &Header, _: &[u8]| Ok(());
        Ok(self.store.load(&subject, &none, unread, |_, _, _| Ok(()))?.newest)
    }
}

/// What a stage works with.
pub struct StageOptions {
    /// The exchange, to ask whether outputs exist.
    pub exchange: Arc<dyn Exchange>,
    /// The definitions.
    pub control: ControlLog,
    /// Where skips are written down.
    pub writer: ControlWriter,
    /// The topics' names.
    pub topics: Topics,
    /// Stamps what is published, and tells when snapshots are due; decides nothing.
    pub clock: Clock,
    /// Without, every restore replays all.
    pub snapshots: Option<Snapshots>,
    /// What happens when a restore needs what is gone.
    pub loss: LossPolicy,
}

impl StageOptions {
    /// Without snapshots, and so that a loss stops it; for exchanges that keep everything.
    ///
    /// # Errors
    /// If the exchange can't be reached, or `control` not be read.
    pub fn bare(
        exchange: &Arc<dyn Exchange>,
        topics: &Topics,
        clock: &Clock,
    ) -> Result<Self, control::Error> {
        Ok(Self {
            exchange: Arc::clone(exchange),
            control: ControlLog::open(&**exchange, topics)?,
            writer: ControlWriter::open(&**exchange, topics)?,
            topics: topics.clone(),
            clock: clock.clone(),
            snapshots: None,
            loss: LossPolicy::Stop,
        })
    }
}
