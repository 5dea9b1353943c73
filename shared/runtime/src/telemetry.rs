//! Logs, metrics and traces. Only this module knows exporters.

use std::{io::IsTerminal as _, thread, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use serde::Deserialize;
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::settings::SettingsError;

/// What is told, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Which logs: a level or `tracing` directives.
    pub log: String,
    /// `text` or `json`.
    pub log_format: LogFormat,
    /// Where traces go by OTLP over gRPC, such as `http://localhost:4317`; empty: nowhere.
    pub otlp_endpoint: String,
}

/// How logs look.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Running telemetry; traces are flushed when it is dropped.
pub struct Telemetry {
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
    traces: Option<SdkTracerProvider>,
}

/// Buckets of every histogram that measures seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often histograms are folded.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts logs (on stderr), metrics and, if wished, traces of `service`. Once per process, inside a tokio
/// runtime.
///
/// # Errors
/// If the configuration is wrong or telemetry runs already.
pub fn start(service: &'static str, config: &TelemetryConfig) -> Result<Telemetry, SettingsError> {
    let wrong = |key: &str, error: &dyn std::fmt::Display| {
        SettingsError::new(format!("telemetry.{key}: {error}"))
    };
    let filter = EnvFilter::try_new(&config.log).map_err(|e| wrong("log", &e))?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let format = match config.log_format {
        LogFormat::Text => format.with_target(false).boxed(),
        LogFormat::Json => format.json().boxed(),
    };
    let traces = match config.otlp_endpoint.as_str() {
        "" => None,
        endpoint => Some(tracer(service, endpoint).map_err(|e| wrong("otlp_endpoint", &e))?),
    };
    let spans = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("oddwatch")));
    tracing_subscriber::registry()
        .with(spans)
        .with(format.with_filter(filter))
        .try_init()
        .map_err(|e| wrong("log", &e))?;
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|e| wrong("metrics", &e))?;
    let upkeep = metrics.clone();
    thread::Builder::new()
        .name("metrics".into())
        .spawn(move || {
            loop {
                thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .map_err(|e| wrong("metrics", &e))?;
    Ok(Telemetry { metrics, traces })
}

fn tracer(
    service: &'static str,
    endpoint: &str,
) -> Result<SdkTracerProvider, opentelemetry_otlp::ExporterBuildError> {
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name(format!("oddwatch-{service}")).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "traces were not flushed");
        }
    }
}
