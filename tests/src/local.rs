//! The four services in this process, on an exchange of any kind: what the simulation steps and the benchmark runs.

use std::sync::Arc;

use control::{ControlLog, ControlWriter, SetupOptions};
use detector::{DetectorConfig, DetectorProcessor};
use domain::{Definition, Topics};
use exchange::{Exchange, Group, PollLimits, Processor, Worker};
use ingest::{IngestConfig, IngestOptions, IngestProcessor};
use notification::{NotificationConfig, NotificationProcessor};
use runtime::{Clock, settings, settings::SettingsError};
use serde::Deserialize;
use stage::{LossPolicy, Snapshots, StageOptions};
use windowing::{WindowingConfig, WindowingProcessor};

/// Why services can't be made.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The services' sections of the configuration.
#[derive(Clone, Debug, Deserialize)]
pub struct Sections {
    /// Section `ingest`.
    pub ingest: IngestConfig,
    /// Section `windowing`.
    pub windowing: WindowingConfig,
    /// Section `detector`.
    pub detector: DetectorConfig,
    /// Section `notification`.
    pub notification: NotificationConfig,
}

impl Sections {
    /// The defaults.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn defaults() -> Result<Self, SettingsError> {
        let all =
            [ingest::DEFAULTS, windowing::DEFAULTS, detector::DEFAULTS, notification::DEFAULTS];
        settings::load(&all.join("\n"), None, Default::default(), &[])
    }
}

/// Where the services live.
#[derive(Clone)]
pub struct Local {
    /// Where they read and write.
    pub exchange: Arc<dyn Exchange>,
    /// The names of the topics.
    pub topics: Topics,
    /// What tells them the time.
    pub clock: Clock,
    /// Their settings.
    pub sections: Sections,
    /// Where their snapshots lie; none are taken without.
    pub snapshots: Option<Snapshots>,
}

impl Local {
    /// With the default settings, without a prefix and without snapshots.
    ///
    /// # Errors
    /// If the defaults can't be read.
    pub fn new(exchange: Arc<dyn Exchange>, clock: Clock) -> Result<Self, SettingsError> {
        let (topics, sections) = (Topics::new(""), Sections::defaults()?);
        Ok(Self { exchange, topics, clock, sections, snapshots: None })
    }

    /// Makes topics of so many partitions and so many bytes each, and appends the definitions.
    ///
    /// # Errors
    /// As [`control::set_up`].
    pub fn set_up(
        &self,
        partitions: u32,
        records_partitions: u32,
        memory_bytes_max: usize,
        definitions: &[Definition],
    ) -> Result<(), control::Error> {
        let options = SetupOptions {
            topic_prefix: self.topics.prefix.to_string(),
            create_topics: true,
            partitions,
            records_partitions,
            input_retention_ms: None,
            memory_bytes_max,
        };
        control::set_up(&*self.exchange, &options, definitions, self.clock.now())?;
        Ok(())
    }

    /// Ingest, and the group that a member of this name joins.
    ///
    /// # Errors
    /// If the topics are not set up.
    pub fn ingest(&self, member: &str) -> Result<(Group, IngestProcessor), Failed> {
        let control = self.control()?;
        let prefix = self.topics.prefix.to_string();
        let group = Group {
            name: self.topics.group(ingest::GROUP),
            member: member.into(),
            topics: ingest::input_topics(control.latest(), &prefix),
        };
        let processor = IngestProcessor::new(IngestOptions {
            exchange: Arc::clone(&self.exchange),
            control,
            writer: self.writer()?,
            snapshots: self.snapshots.clone(),
            loss: LossPolicy::Stop,
            topics: self.topics.clone(),
            topic_prefix: prefix,
            config: self.sections.ingest.clone(),
            clock: self.clock.clone(),
        })?;
        Ok((group, processor))
    }

    /// Windowing, and the group that a member of this name joins.
    ///
    /// # Errors
    /// If `control` can't be read.
    pub fn windowing(&self, member: &str) -> Result<(Group, WindowingProcessor), Failed> {
        let config = self.sections.windowing.clone();
        let processor = windowing::processor(config, self.stage()?);
        Ok((WindowingProcessor::group(&self.topics, member), processor))
    }

    /// The detector, and the group that a member of this name joins.
    ///
    /// # Errors
    /// If `control` can't be read.
    pub fn detector(&self, member: &str) -> Result<(Group, DetectorProcessor), Failed> {
        let processor = detector::processor(self.sections.detector.clone(), self.stage()?);
        Ok((DetectorProcessor::group(&self.topics, member), processor))
    }

    /// Notification, and the group that a member of this name joins.
    ///
    /// # Errors
    /// If `control` can't be read.
    pub fn notification(&self, member: &str) -> Result<(Group, NotificationProcessor), Failed> {
        let processor = NotificationProcessor::new(
            self.topics.clone(),
            self.control()?,
            self.writer()?,
            &self.sections.notification,
            self.clock.clone(),
        );
        Ok((notification::group(&self.topics, member), processor))
    }

    /// A worker that drives a processor as a member of a group.
    ///
    /// # Errors
    /// If the exchange does not let it join.
    pub fn worker<P: Processor>(
        &self,
        (group, processor): (Group, P),
        limits: PollLimits,
    ) -> Result<Worker<P>, exchange::Error> {
        Ok(Worker::new(self.exchange.join(&group)?, processor, limits))
    }

    /// What a stage works with.
    ///
    /// # Errors
    /// If `control` can't be read.
    pub fn stage(&self) -> Result<StageOptions, control::Error> {
        let bare = StageOptions::bare(&self.exchange, &self.topics, &self.clock)?;
        Ok(StageOptions { snapshots: self.snapshots.clone(), ..bare })
    }

    /// The `control` log, read to its present end.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn control(&self) -> Result<ControlLog, control::Error> {
        ControlLog::open(&*self.exchange, &self.topics)
    }

    /// A writer to the `control` log.
    ///
    /// # Errors
    /// If the exchange can't be reached.
    pub fn writer(&self) -> Result<ControlWriter, control::Error> {
        ControlWriter::open(&*self.exchange, &self.topics)
    }
}
