//! Turns what was found into alerts for people, and brings the alerts to them.
//!
//! Two loops that share nothing but the topic `alerts`:
//!
//! 1. [`NotificationProcessor`] reads `anomaly.detected` and `drift.detected` and commits one alert
//!    per finding, each with a stable id; repeats are dropped.
//! 2. One [`ChannelProcessor`] per channel reads the committed alerts and sends them; each has its
//!    own consumer group and thread, so a dead receiver delays nobody else.
//!
//! Subscribers over gRPC follow `alerts` without a group. Read in this order:
//!
//! - [`config`]: limits and times;
//! - `state`: what is remembered to drop repeats, and the alert of a finding;
//! - `summary`: the line for people;
//! - `codec`: messages to findings, alerts and refusals to messages;
//! - `service`: the first loop;
//! - `payload`: the JSON that receivers get;
//! - `channels`: how one delivery is attempted (webhook, NATS);
//! - `sender`: the second loop: order, retries, giving up;
//! - `supervisor`: which channels run, as `control` says;
//! - `grpc`: `AlertService.Subscribe`;
//! - [`metrics`]: the names of the metrics.

mod channels;
mod codec;
pub mod config;
mod grpc;
pub mod metrics;
mod payload;
mod sender;
mod service;
mod state;
mod summary;
mod supervisor;

pub use channels::{OpenError, SendError, Sender};
pub use config::{DEFAULTS, NotificationConfig};
pub use grpc::Alerts;
pub use payload::Delivery;
pub use sender::{ChannelError, ChannelProcessor, ChannelRuntime, Place, channel_group};
pub use service::{Error, NotificationProcessor, SERVICE, group};
pub use supervisor::{ChannelSupervisor, channel_workers};
