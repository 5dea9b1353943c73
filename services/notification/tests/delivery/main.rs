//! Notification on the memory exchange, with real receivers: findings in, alerts out and delivered.

mod nats;
mod pipeline;
mod subscribe;
mod webhook;
mod world;
