//! NATS: the quick fan-out of alerts. One message per state on `alerts.<severity>.<stream>.<key>`,
//! with `Nats-Msg-Id` so that a JetStream stream which covers the subjects drops repeats; whether
//! there is one is the user's business. A message counts as sent once it is flushed to a server
//! that was connected; what a server takes with it in the very moment it dies is lost to NATS.
//! Whoever must have every alert reads `alerts` or a webhook.

use std::time::Duration;

use async_nats::{
    Client, ConnectOptions, HeaderMap, PublishErrorKind,
    connection::State,
    header::{HeaderValue, NATS_MESSAGE_ID},
};
use domain::Id;
use tokio::sync::OnceCell;

use super::SendError;
use crate::payload::Delivery;

/// Bytes of one escaped token; a NATS server takes control lines of 4 KiB.
const TOKEN_BYTES_MAX: usize = 512;
/// What is kept of a longer one, before a hash of the whole.
const TOKEN_BYTES_KEPT: usize = 440;

/// A server. Its URL may hold a password and is never printed.
pub struct Nats {
    url: String,
    attempt_max: Duration,
    client: OnceCell<Client>,
}

impl Nats {
    pub(super) fn new(url: &str, attempt_max: Duration) -> Self {
        Self { url: url.to_owned(), attempt_max, client: OnceCell::new() }
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        match tokio::time::timeout(self.attempt_max, self.publish(delivery)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::retry("the server did not answer in time")),
        }
    }

    async fn publish(&self, delivery: &Delivery) -> Result<(), SendError> {
        let client = self.client.get_or_try_init(|| self.connect()).await?;
        // A client without a connection would keep the message and send it, and its repeats, later.
        if client.connection_state() != State::Connected {
            return Err(SendError::retry("the connection is lost; reconnecting"));
        }
        let id: HeaderValue = delivery.id.parse().map_err(SendError::refused)?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id);
        headers.insert("Content-Type", "application/json");
        let trace = delivery.traceparent.as_deref().map(str::parse::<HeaderValue>);
        if let Some(Ok(trace)) = trace {
            headers.insert("traceparent", trace);
        }
        client
            .publish_with_headers(subject(delivery), headers, delivery.body.clone())
            .await
            .map_err(|error| match error.kind() {
                PublishErrorKind::Send => SendError::retry(error),
                PublishErrorKind::MaxPayloadExceeded | PublishErrorKind::InvalidSubject => {
                    SendError::refused(error)
                }
            })?;
        client.flush().await.map_err(SendError::retry)
    }

    async fn connect(&self) -> Result<Client, SendError> {
        ConnectOptions::new()
            .name("oddwatch-notification")
            .connection_timeout(self.attempt_max)
            .max_reconnects(None)
            .connect(self.url.as_str())
            .await
            // Its words name the kind of failure, and never the URL.
            .map_err(|error| SendError::retry(format!("can't connect: {}", error.kind())))
    }
}

/// `alerts.<severity>.<stream>.<key>`, whatever the names hold.
fn subject(delivery: &Delivery) -> String {
    format!("alerts.{}.{}.{}", delivery.severity, token(&delivery.stream), token(&delivery.key))
}

/// A name as one token of a subject: `.`, `*`, `>`, `%`, spaces and control characters are
/// percent-encoded (byte by byte, in capitals), so that different names stay different and anybody
/// can read them back. An empty name is a lone `%`. One that is too long keeps its beginning, `%~`
/// and a hash.
fn token(name: &str) -> String {
    if name.is_empty() {
        return "%".into();
    }
    let mut token = String::with_capacity(name.len());
    let mut kept = 0;
    for c in name.chars() {
        if matches!(c, '.' | '*' | '>' | '%') || c.is_whitespace() || c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                token += &format!("%{byte:02X}");
            }
        } else {
            token.push(c);
        }
        if token.len() <= TOKEN_BYTES_KEPT {
            kept = token.len();
        }
    }
    if token.len() > TOKEN_BYTES_MAX {
        token.truncate(kept);
        token += &format!("%~{}", Id::of(&[name.as_bytes()]));
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: &str) {
        assert_eq!(token(name), expect, "{name:?}");
    }

    #[test]
    fn a_name_becomes_one_token() {
        check("cpu/0", "cpu/0");
        check("shop.orders", "shop%2Eorders");
        check("a b\tc\r\n", "a%20b%09c%0D%0A");
        check("*>%", "%2A%3E%25");
        check("größe", "größe");
        check("a\u{a0}b", "a%C2%A0b");
        check("", "%");
    }

    #[test]
    fn a_long_name_is_cut_and_stays_itself() {
        let (one, other) = ("k.".repeat(400) + "1", "k.".repeat(400) + "2");
        assert!(token(&one).len() <= TOKEN_BYTES_MAX);
        assert_ne!(token(&one), token(&other));
        assert!(token(&one).contains("k%2E%~"), "cut between characters");
    }
}
