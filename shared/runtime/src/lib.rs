//! What every process needs around a service: configuration, telemetry, the clock, shutdown, HTTP and gRPC
//! servers. Knows nothing of Oddwatch's services.
//!
//! - [`clock`]: the only place that reads a clock;
//! - [`settings`]: embedded defaults, a file, the environment, command-line overrides, in that order;
//! - [`telemetry`]: logs, metrics, traces;
//! - [`stop`]: SIGTERM and Ctrl-C;
//! - [`server`]: health, readiness, metrics and the services' own routes.

pub mod clock;
pub mod server;
pub mod settings;
pub mod stop;
pub mod telemetry;

pub use clock::Clock;
pub use stop::Stop;
