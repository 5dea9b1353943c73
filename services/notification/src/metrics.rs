//! The names of the metrics. Times are in seconds; channel names are bounded by `channels_max`.

/// Alerts committed; labels `finding` (`anomaly` or `drift`), `state`.
pub const ALERTS: &str = "oddwatch_notification_alerts_total";
/// Seconds from the broker's taking in the record to its alert being handed to the exchange
/// (histogram).
pub const ALERT_SECONDS: &str = "oddwatch_notification_alert_seconds";
/// Findings that came again and were dropped; label `finding`.
pub const REPEATS: &str = "oddwatch_notification_repeats_total";
/// Findings refused; label `reason`.
pub const REFUSED: &str = "oddwatch_notification_refused_total";
/// Open anomalies forgotten at `open_max`.
pub const FORGOTTEN: &str = "oddwatch_notification_forgotten_total";
/// Channels that run.
pub const CHANNELS: &str = "oddwatch_notification_channels";
/// Alerts that a receiver has taken; label `channel`.
pub const SENT: &str = "oddwatch_notification_sent_total";
/// Attempts that failed and are made again; label `channel`.
pub const RETRIES: &str = "oddwatch_notification_retries_total";
/// Alerts that a channel gave up; labels `channel`, `reason` (`refused`, `expired`, `undecodable`).
pub const DROPPED: &str = "oddwatch_notification_dropped_total";
/// How often alerts were gone before a channel had read them; label `channel`.
pub const LOST: &str = "oddwatch_notification_lost_total";
/// Seconds that one attempt to send took (histogram); label `channel`.
pub const SEND_SECONDS: &str = "oddwatch_notification_send_seconds";
/// gRPC clients that are subscribed.
pub const SUBSCRIBERS: &str = "oddwatch_notification_subscribers";
/// Alerts sent to gRPC clients.
pub const SUBSCRIBER_ALERTS: &str = "oddwatch_notification_subscriber_alerts_total";
/// Subscriptions refused at `subscribers_max`.
pub const SUBSCRIBERS_REFUSED: &str = "oddwatch_notification_subscribers_refused_total";
