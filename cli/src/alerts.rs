//! `oddwatch alerts`: the alerts of a running process as they are committed, through its gRPC door.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use runtime::Stop;
use wire::{
    tonic::{
        Code, Status,
        transport::{Channel, Endpoint},
    },
    v1::{self, alert_service_client::AlertServiceClient},
};

use crate::failure::Failure;

/// How often, and after which wait, a process that does not answer is tried again (5 s).
const CONNECTS_MAX: u32 = 20;
const CONNECT_AGAIN: Duration = Duration::from_millis(250);

/// Shows alerts as they come.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct AlertsArgs {
    /// Only those of at least this severity
    #[arg(long, value_enum, default_value_t = SeverityMin::Low)]
    severity: SeverityMin,
    /// Only those of this stream
    #[arg(long, value_name = "NAME", default_value = "")]
    stream: String,
    /// Only those of this series
    #[arg(long, value_name = "KEY", default_value = "")]
    series: String,
    /// Begin with the alerts that are still kept
    #[arg(long)]
    from_start: bool,
    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Where a process with `notification` serves gRPC
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7171")]
    to: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SeverityMin {
    Low,
    Medium,
    High,
    Critical,
}

/// Shows alerts until there were enough, the server ends, or a stop is asked.
pub(crate) async fn run(args: &AlertsArgs, stop: &Stop) -> Result<(), Failure> {
    let endpoint = Endpoint::from_shared(args.to.clone())
        .map_err(|error| Failure::usage(format!("--to {}: {error}", args.to)))?;
    let channel = connect(&endpoint, stop)
        .await
        .ok_or_else(|| Failure::unavailable(format!("{} does not answer as gRPC", args.to)))?;
    let request = v1::SubscribeRequest {
        severity_min: match args.severity {
            SeverityMin::Low => v1::Severity::Low,
            SeverityMin::Medium => v1::Severity::Medium,
            SeverityMin::High => v1::Severity::High,
            SeverityMin::Critical => v1::Severity::Critical,
        }
        .into(),
        stream: args.stream.clone(),
        key: args.series.clone(),
        from_start: args.from_start,
    };
    let refused = |status: Status| {
        let text = format!("{}: {}", args.to, status.message());
        if status.code() == Code::Unavailable {
            Failure::unavailable(text)
        } else {
            Failure::other(text)
        }
    };
    let mut client = AlertServiceClient::new(channel);
    let mut alerts = client.subscribe(request).await.map_err(refused)?.into_inner();
    let mut shown = 0;
    while args.count.is_none_or(|count| shown < count) {
        let next = tokio::select! {
            next = alerts.message() => next.map_err(refused)?,
            () = stop.wait() => None,
        };
        let Some(alert) = next.and_then(|response| response.alert) else { break };
        show(&alert)?;
        shown += 1;
    }
    Ok(())
}

/// Connects; a process that is just starting is given a moment.
async fn connect(endpoint: &Endpoint, stop: &Stop) -> Option<Channel> {
    for _ in 0..CONNECTS_MAX {
        if let Ok(channel) = endpoint.connect().await {
            return Some(channel);
        }
        if stop.stopped() {
            break;
        }
        tokio::time::sleep(CONNECT_AGAIN).await;
    }
    None
}

fn show(alert: &v1::Alert) -> io::Result<()> {
    let metadata = alert.metadata.clone().unwrap_or_default();
    let state = match alert.state() {
        v1::AlertState::Resolved => "resolved",
        _ => "firing",
    };
    let severity = match alert.severity() {
        v1::Severity::Critical => "critical",
        v1::Severity::High => "high",
        v1::Severity::Medium => "medium",
        _ => "low",
    };
    let at = crate::tail::time(metadata.event_at_us);
    let after_ms = (metadata.published_at_us - metadata.ingested_at_us) as f64 / 1_000.0;
    let mut out = io::stdout().lock();
    writeln!(out, "{at}  {state:<8}  {severity:<8}  {}  ({after_ms:.0} ms)", alert.summary)?;
    // A reader that waits for an alert is to see it at once.
    out.flush()
}
