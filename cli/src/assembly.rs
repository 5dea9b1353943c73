//! Puts a process together: the exchange, the topics and definitions, the services' workers, the servers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use control::{ControlLog, ControlWriter};
use detector::DetectorProcessor;
use domain::{Definition, Topics};
use exchange::{
    Exchange, Group, Processor, Worker,
    kafka::{KafkaExchange, KafkaOptions},
    memory::{MemoryExchange, MemoryOptions},
};
use ingest::{FrontDoor, IngestOptions, IngestProcessor};
use notification::NotificationProcessor;
use runtime::{Clock, Stop, server::Ready, telemetry::Telemetry};
use stage::{Snapshots, StageOptions};
use windowing::WindowingProcessor;

use crate::{
    failure::Failure,
    settings::{Kind, Settings},
};

/// One of the four services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Ingest,
    Windowing,
    Detector,
    Notification,
}

impl Service {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ingest, Self::Windowing, Self::Detector, Self::Notification];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Windowing => "windowing",
            Self::Detector => "detector",
            Self::Notification => "notification",
        }
    }
}

/// Opens the exchange that the settings name.
pub(crate) fn open_exchange(
    settings: &Settings,
    clock: &Clock,
) -> Result<Arc<dyn Exchange>, Failure> {
    Ok(match settings.exchange.kind {
        Kind::Memory => Arc::new(MemoryExchange::new(memory_options(settings, clock))),
        Kind::Disk => {
            let directory = settings.data.dir.join("exchange");
            let options = memory_options(settings, clock);
            Arc::new(MemoryExchange::open(&directory, options)?)
        }
        Kind::Kafka => {
            let client = format!("oddwatch-{}", settings.worker.instance);
            let mut options = KafkaOptions::new(settings.kafka.brokers.as_str(), client);
            options.overrides = settings.kafka.properties.clone().into_iter().collect();
            Arc::new(KafkaExchange::connect(options)?)
        }
    })
}

fn memory_options(settings: &Settings, clock: &Clock) -> MemoryOptions {
    let clock = clock.clone();
    let mut options = MemoryOptions::new(Arc::new(move || clock.now() / 1000));
    options.disk.durability = settings.exchange.durability.into();
    options.disk.disk_bytes_max = settings.exchange.disk_partition_bytes_max;
    options
}

/// A process with its services running.
pub(crate) struct Process {
    pub(crate) exchange: Arc<dyn Exchange>,
    pub(crate) topics: Topics,
    pub(crate) stop: Stop,
    settings: Settings,
    clock: Clock,
    snapshots: Option<Snapshots>,
    ready: Ready,
    workers: Vec<JoinHandle<()>>,
    failed: Arc<Mutex<Option<Failure>>>,
}

impl Process {
    /// Sets up topics and definitions (those of the file and `more`) and starts the services, which end at
    /// SIGTERM or Ctrl-C. Within a tokio runtime.
    pub(crate) fn start(
        settings: Settings,
        services: &[Service],
        more: &[Definition],
        clock: Clock,
    ) -> Result<Self, Failure> {
        let mut definitions = settings.definitions()?;
        definitions.extend_from_slice(more);
        definitions.push(settings.state_limits());
        let exchange = open_exchange(&settings, &clock)?;
        control::set_up(&*exchange, &settings.setup(), &definitions, clock.now())?;
        let snapshots = settings.snapshots(Some(tokio::runtime::Handle::current()));
        let mut process = Self {
            topics: Topics::new(&settings.kafka.topic_prefix),
            exchange,
            stop: Stop::default(),
            settings,
            clock,
            snapshots,
            ready: Ready::default(),
            workers: vec![],
            failed: Arc::default(),
        };
        // Until here there is nothing to end in order; from here on a signal must find who listens.
        process.stop.on_signals()?;
        for service in services {
            for thread in 0..process.settings.worker.threads {
                process.start_worker(*service, thread)?;
            }
        }
        if services.contains(&Service::Notification) {
            process.start_channels()?;
        }
        process.ready.set(true);
        Ok(process)
    }

    fn control(&self) -> Result<ControlLog, Failure> {
        Ok(ControlLog::open(&*self.exchange, &self.topics)?)
    }

    fn stage_options(&self) -> Result<StageOptions, Failure> {
        Ok(StageOptions {
            exchange: Arc::clone(&self.exchange),
            control: self.control()?,
            writer: ControlWriter::open(&*self.exchange, &self.topics)?,
            topics: self.topics.clone(),
            clock: self.clock.clone(),
            snapshots: self.snapshots.clone(),
            loss: self.settings.loss.policy,
        })
    }

    fn start_worker(&mut self, service: Service, thread: u32) -> Result<(), Failure> {
        let (topics, clock) = (self.topics.clone(), self.clock.clone());
        let instance = &self.settings.worker.instance;
        let member = topics.group(&format!("{}-{instance}-{thread}", service.name()));
        match service {
            Service::Ingest => {
                let control = self.control()?;
                let inputs =
                    ingest::input_topics(control.latest(), &self.settings.kafka.topic_prefix);
                let name = topics.group(ingest::GROUP);
                let group = Group { name, member: member.clone(), topics: inputs };
                let processor = IngestProcessor::new(IngestOptions {
                    exchange: Arc::clone(&self.exchange),
                    control,
                    writer: ControlWriter::open(&*self.exchange, &topics)?,
                    snapshots: self.snapshots.clone(),
                    loss: self.settings.loss.policy,
                    topics,
                    topic_prefix: self.settings.kafka.topic_prefix.clone(),
                    config: self.settings.ingest.clone(),
                    clock,
                })?;
                self.run(member, &group, processor)
            }
            Service::Windowing => {
                let group = WindowingProcessor::group(&topics, &member);
                let config = self.settings.windowing.clone();
                let processor = windowing::processor(config, self.stage_options()?);
                self.run(member, &group, processor)
            }
            Service::Detector => {
                let group = DetectorProcessor::group(&topics, &member);
                let config = self.settings.detector.clone();
                let processor = detector::processor(config, self.stage_options()?);
                self.run(member, &group, processor)
            }
            Service::Notification => {
                let group = notification::group(&topics, &member);
                let config = &self.settings.notification;
                let control = self.control()?;
                let writer = ControlWriter::open(&*self.exchange, &topics)?;
                let processor = NotificationProcessor::new(topics, control, writer, config, clock);
                self.run(member, &group, processor)
            }
        }
    }

    /// Runs a worker on a thread of its own. If it fails, the process stops.
    fn run<P>(&mut self, name: String, group: &Group, processor: P) -> Result<(), Failure>
    where
        P: Processor + 'static,
        Failure: From<P::Error>,
    {
        let member = self.exchange.join(group)?;
        let worker = Worker::new(member, processor, self.settings.limits());
        let restoring = worker.restoring();
        self.ready.require(move || restoring.count() == 0);
        let stop = self.stop.clone();
        self.spawn(name, move || Ok(worker.run(&|| stop.stopped())?))
    }

    /// Runs `body` on a thread of its own until it ends, which stops the process.
    fn spawn(
        &mut self,
        name: String,
        body: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let (stop, failed) = (self.stop.clone(), Arc::clone(&self.failed));
        let worker = name.clone();
        let body = move || {
            if let Err(failure) = body() {
                tracing::error!(worker, error = %failure, "worker ended");
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
            }
            stop.stop();
        };
        self.workers.push(thread::Builder::new().name(name).spawn(body)?);
        Ok(())
    }

    /// Runs the channels' supervisor like a worker.
    fn start_channels(&mut self) -> Result<(), Failure> {
        let runtime = notification::ChannelRuntime {
            config: self.settings.notification.clone(),
            clock: self.clock.clone(),
            handle: tokio::runtime::Handle::current(),
        };
        let supervisor = notification::ChannelSupervisor {
            exchange: Arc::clone(&self.exchange),
            topics: self.topics.clone(),
            member: self.topics.group(&format!("notification-{}", self.settings.worker.instance)),
            runtime,
        };
        let stop = self.stop.clone();
        self.spawn("channels".to_owned(), move || Ok(supervisor.run(&stop)?))
    }

    /// Serves what the running services offer, and health, readiness and metrics. Says where.
    pub(crate) async fn serve(
        &self,
        services: &[Service],
        telemetry: &Telemetry,
    ) -> Result<(), Failure> {
        let mut http = axum::Router::new();
        let mut grpc = tonic::service::RoutesBuilder::default();
        if services.contains(&Service::Ingest) {
            let front = FrontDoor::new(
                &*self.exchange,
                self.control()?,
                &self.settings.kafka.topic_prefix,
                self.settings.ingest.clone(),
            )?;
            http = http.merge(ingest::http::routes(front.clone()));
            grpc.add_service(ingest::grpc::service(front));
        }
        if services.contains(&Service::Notification) {
            let alerts = notification::Alerts::new(
                Arc::clone(&self.exchange),
                &self.topics,
                &self.settings.notification,
                self.stop.clone(),
            );
            grpc.add_service(alerts.into_service());
        }
        let api = &self.settings.api;
        let http_at = runtime::server::serve_http(
            api.http,
            http,
            self.ready.clone(),
            telemetry.metrics.clone(),
            self.stop.clone(),
        )
        .await?;
        let grpc_at =
            runtime::server::serve_grpc(api.grpc, grpc, wire::v1::DESCRIPTORS, self.stop.clone())
                .await?;
        tracing::info!(http = %http_at, grpc = %grpc_at, "serving");
        Ok(())
    }

    /// Waits for the workers to end, which they do once `stop` is asked, and says what went wrong.
    pub(crate) fn join(mut self) -> Result<(), Failure> {
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                self.stop.stop();
                return Err(Failure::other("a worker panicked"));
            }
        }
        self.stop.stop();
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

/// How long a stopping process waits for its servers' last answers.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);
