//! HTTP and gRPC servers of a process: health, readiness and metrics besides the services' own routes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tonic::service::RoutesBuilder;

use crate::Stop;

/// A server that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("can't listen on {address} ({what}): {source}")]
    Listen {
        /// What for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The descriptors for reflection can't be read.
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Whether the process is ready; shared by whoever can tell and `/readyz`.
#[derive(Clone, Default)]
pub struct Ready(Arc<Conditions>);

#[derive(Default)]
struct Conditions {
    set: AtomicBool,
    also: Mutex<Vec<Condition>>,
}

type Condition = Box<dyn Fn() -> bool + Send + Sync>;

impl Ready {
    /// Says so, or takes it back.
    pub fn set(&self, ready: bool) {
        self.0.set.store(ready, Ordering::Relaxed);
    }

    /// It is ready only while this holds too.
    pub fn require(&self, condition: impl Fn() -> bool + Send + Sync + 'static) {
        self.0.also.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(condition));
    }

    fn get(&self) -> bool {
        let also = self.0.also.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.set.load(Ordering::Relaxed) && also.iter().all(|condition| condition())
    }
}

/// Serves `/healthz`, `/readyz`, `/metrics` and `routes` until asked to stop. Returns the address once it
/// listens (port 0 picks a free one).
///
/// # Errors
/// If the address can't be listened on.
pub async fn serve_http(
    address: SocketAddr,
    routes: Router,
    ready: Ready,
    metrics: PrometheusHandle,
    stop: Stop,
) -> Result<SocketAddr, ServerError> {
    let routes = routes
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                if ready.get() {
                    (StatusCode::OK, "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
                }
            }),
        )
        .route("/metrics", get(move || async move { metrics.render() }));
    let (listener, address) = listen("HTTP", address).await?;
    tokio::spawn(async move {
        let server =
            axum::serve(listener, routes).with_graceful_shutdown(async move { stop.wait().await });
        if let Err(error) = server.await {
            tracing::error!(%error, "HTTP server ended");
        }
    });
    Ok(address)
}

/// Limits of the gRPC server; tonic leaves them open.
const CONCURRENT_STREAMS_MAX: u32 = 256;
const HEADER_BYTES_MAX: u32 = 16 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Serves the services in `routes`, health and reflection (v1 and v1alpha, of `descriptors`) until asked to
/// stop. Returns the address once it listens.
///
/// # Errors
/// If the address can't be listened on or the descriptors can't be read.
pub async fn serve_grpc(
    address: SocketAddr,
    mut routes: RoutesBuilder,
    descriptors: &'static [u8],
    stop: Stop,
) -> Result<SocketAddr, ServerError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (_, health) = tonic_health::server::health_reporter();
    routes
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let (listener, address) = listen("gRPC", address).await?;
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move {
        let server = tonic::transport::Server::builder()
            .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .add_routes(routes.routes())
            .serve_with_incoming_shutdown(incoming, async move { stop.wait().await });
        if let Err(error) = server.await {
            tracing::error!(%error, "gRPC server ended");
        }
    });
    Ok(address)
}

async fn listen(
    what: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), ServerError> {
    let fail = |source| ServerError::Listen { what, address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok((listener, address))
}
