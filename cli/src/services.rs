//! Runs services until a signal, with their servers and telemetry.

use std::sync::Arc;

use runtime::{Clock, Stop, telemetry};

use crate::{
    assembly::{Process, SHUTDOWN_WAIT, Service},
    demo::{self, DemoArgs},
    failure::Failure,
    settings::Settings,
};

/// Runs `services` in this process until SIGTERM, Ctrl-C or a failure.
pub(crate) fn run(
    name: &'static str,
    settings: Settings,
    services: &[Service],
) -> Result<(), Failure> {
    let runtime = tokio_runtime()?;
    let ended = runtime.block_on(async {
        let telemetry = telemetry::start(name, &settings.telemetry)?;
        settings.planned_death()?.into_iter().for_each(exchange::points::plan);
        let process = Process::start(settings, services, &[], Clock::System)?;
        process.serve(services, &telemetry).await?;
        tracing::info!(services = name, "running");
        process.stop.wait().await;
        tokio::task::block_in_place(|| process.join())?;
        tracing::info!(services = name, "stopped");
        Ok(())
    });
    runtime.shutdown_timeout(SHUTDOWN_WAIT);
    ended
}

/// Runs all services on a memory exchange and the demo on them.
pub(crate) fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let settings = Settings::load_defaults(&[("exchange.kind".into(), "memory".into())])?;
    let runtime = tokio_runtime()?;
    let ended = runtime.block_on(async {
        let process = Process::start(settings, &Service::ALL, &demo::definitions(), Clock::System)?;
        tokio::task::block_in_place(|| {
            let exchange = Arc::clone(&process.exchange);
            let caught = demo::run(args, &exchange, &process.topics, &process.stop, &Clock::System);
            process.stop.stop();
            process.join()?;
            if caught? { Ok(()) } else { Err(Failure::other("a disturbance was missed")) }
        })
    });
    runtime.shutdown_timeout(SHUTDOWN_WAIT);
    ended
}

/// Runs a command that ends by itself or at a signal.
pub(crate) fn until_signal(
    command: impl FnOnce(&Stop) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let runtime = tokio_runtime()?;
    let stop = Stop::default();
    runtime.block_on(async { stop.on_signals() })?;
    let entered = runtime.enter();
    let ended = command(&stop);
    drop(entered);
    runtime.shutdown_timeout(SHUTDOWN_WAIT);
    ended
}

fn tokio_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
