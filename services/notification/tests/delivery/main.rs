//! Notification on the memory exchange, with real receivers: findings in, alerts out and delivered.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests, helpers included")]

mod nats;
mod pipeline;
mod subscribe;
mod webhook;
mod world;
