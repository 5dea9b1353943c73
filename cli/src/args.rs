//! The command line.

use std::{io::Write as _, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::{
    alerts::AlertsArgs,
    assembly::{Service, open_exchange},
    demo::DemoArgs,
    eval::EvalArgs,
    explain::ExplainArgs,
    failure::Failure,
    feedback::FeedbackArgs,
    publish::PublishArgs,
    score::ScoreArgs,
    services,
    settings::{Kind, Settings, defaults},
    tail::TailArgs,
    tune::TuneArgs,
};

/// Says within a fraction of a second which records of your streams are odd, and why.
#[derive(Parser)]
#[command(name = "oddwatch", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(clap::Args)]
struct SettingsArgs {
    /// A file of settings (TOML); `oddwatch config` prints all with their defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as `worker.threads=2`; wins over file and environment.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Use Apache Kafka at these brokers (`host:port`, separated by commas).
    #[arg(long, global = true, value_name = "BROKERS")]
    kafka: Option<String>,
    /// A file of streams, detectors and channels (TOML).
    #[arg(long, global = true, value_name = "FILE")]
    definitions: Option<PathBuf>,
    /// The directory for what is kept: logs, offsets (without Kafka) and snapshots.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs all four services in this process.
    Up {
        /// Keep nothing: no log, no offsets, no snapshots.
        #[arg(long, conflicts_with_all = ["data", "kafka"])]
        memory: bool,
    },
    /// Runs ingest alone (Kafka).
    Ingest,
    /// Runs windowing and drift alone (Kafka).
    Windowing,
    /// Runs the detector alone (Kafka).
    Detector,
    /// Runs notification alone (Kafka).
    Notification,
    /// Watches this machine, disturbs it, and shows what is found.
    Demo(DemoArgs),
    /// Scores the rows of a CSV file.
    Score(ScoreArgs),
    /// Measures a detector: on labelled series, under changes, on noise.
    Eval(EvalArgs),
    /// Says why one row of a CSV file scores as it does.
    Explain(ExplainArgs),
    /// Looks for the algorithm and parameters that suit the series of a CSV file best.
    Tune(TuneArgs),
    /// Publishes records through the front door of a running process.
    Publish(PublishArgs),
    /// Shows the alerts of a running process as they come.
    Alerts(AlertsArgs),
    /// Says of a row whether it was odd (Kafka).
    Feedback(FeedbackArgs),
    /// Shows what travels on a topic (Kafka).
    Tail(TailArgs),
    /// Prints all settings with their defaults.
    Config,
}

/// Runs what was asked for.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let settings = |kind| cli.settings.load(kind);
    match cli.command {
        Command::Up { memory } => {
            services::run("up", settings(memory.then_some(Kind::Memory))?, &Service::ALL)
        }
        Command::Ingest => alone(settings(Some(Kind::Kafka))?, Service::Ingest),
        Command::Windowing => alone(settings(Some(Kind::Kafka))?, Service::Windowing),
        Command::Detector => alone(settings(Some(Kind::Kafka))?, Service::Detector),
        Command::Notification => alone(settings(Some(Kind::Kafka))?, Service::Notification),
        Command::Demo(args) => services::demo(&args),
        Command::Score(args) => crate::score::run(&args),
        Command::Eval(args) => crate::eval::run(&args),
        Command::Explain(args) => crate::explain::run(&args),
        Command::Tune(args) => crate::tune::run(&args),
        Command::Publish(args) => Ok(crate::publish::run(&args)?),
        Command::Alerts(args) => services::until_signal(|stop| {
            tokio::runtime::Handle::current().block_on(crate::alerts::run(&args, stop))
        }),
        Command::Feedback(args) => {
            // A log on disk belongs to the process that has it open, one in memory dies with this one.
            let settings = settings(None)?;
            if settings.exchange.kind != Kind::Kafka {
                return Err(Failure::usage(
                    "feedback is appended to control on Kafka: name the brokers with --kafka",
                ));
            }
            let clock = runtime::Clock::System;
            let exchange = open_exchange(&settings, &clock)?;
            let topics = domain::Topics::new(&settings.kafka.topic_prefix);
            crate::feedback::run(&args, &*exchange, &topics, clock.now())
        }
        Command::Tail(args) => {
            let settings = settings(Some(Kind::Kafka))?;
            let exchange = open_exchange(&settings, &runtime::Clock::System)?;
            let topics = domain::Topics::new(&settings.kafka.topic_prefix);
            services::until_signal(|stop| Ok(crate::tail::run(&args, exchange, &topics, stop)?))
        }
        Command::Config => {
            std::io::stdout().write_all(defaults().as_bytes()).map_err(Failure::from)
        }
    }
}

fn alone(settings: Settings, service: Service) -> Result<(), Failure> {
    services::run(service.name(), settings, &[service])
}

impl SettingsArgs {
    fn load(&self, kind: Option<Kind>) -> Result<Settings, Failure> {
        let mut overrides = vec![];
        let kind = if self.kafka.is_some() { Some(Kind::Kafka) } else { kind };
        if let Some(kind) = kind {
            overrides.push(("exchange.kind".to_owned(), kind.name().to_owned()));
        }
        if let Some(brokers) = &self.kafka {
            overrides.push(("kafka.brokers".to_owned(), brokers.clone()));
        }
        if let Some(file) = &self.definitions {
            overrides.push(("definitions.file".to_owned(), file.display().to_string()));
        }
        if let Some(data) = &self.data {
            overrides.push(("data.dir".to_owned(), data.display().to_string()));
        }
        overrides.extend(self.set.iter().cloned());
        Ok(Settings::load(self.config.as_deref(), &overrides)?)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be SECTION.KEY=VALUE".to_owned()),
    }
}
