//! How one delivery is attempted. A closed list: a new kind of channel is a variant here and in
//! `domain::ChannelKind`.

mod nats;
mod webhook;

use std::time::Duration;

use domain::ChannelKind;
use runtime::Clock;

use self::{nats::Nats, webhook::Webhook};
use crate::payload::Delivery;

/// Why an attempt failed, by what is to be done.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The receiver is out of reach or busy: try again.
    #[error("{what}")]
    Retry {
        /// What happened.
        what: String,
        /// What the receiver said about how long to wait.
        after: Option<Duration>,
    },
    /// The receiver will never take it: drop this delivery.
    #[error("{what}")]
    Refused {
        /// What the receiver said.
        what: String,
    },
}

impl SendError {
    fn retry(what: impl std::fmt::Display) -> Self {
        Self::Retry { what: what.to_string(), after: None }
    }

    fn refused(what: impl std::fmt::Display) -> Self {
        Self::Refused { what: what.to_string() }
    }
}

/// Why a channel can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file with the secret can't be read.
    #[error("secret_file {path:?} can't be read")]
    SecretFile {
        /// Its name.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file holds no secret. Its content is not told.
    #[error("secret_file {path:?} must hold whsec_ and then 24 to 64 bytes in base64")]
    Secret {
        /// Its name.
        path: String,
    },
    /// The client can't be made.
    #[error("the HTTP client can't be made")]
    Client(#[source] reqwest::Error),
}

/// An open channel.
pub enum Sender {
    /// HTTP POST.
    Webhook(Webhook),
    /// A NATS subject.
    Nats(Nats),
}

impl Sender {
    /// Opens a channel; connects to nothing yet.
    ///
    /// # Errors
    /// If its secret can't be read.
    pub fn open(
        kind: &ChannelKind,
        attempt_max: Duration,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        Ok(match kind {
            ChannelKind::Webhook { url, secret_file } => {
                let secret = secret_file.as_deref().map(webhook::read_secret).transpose()?;
                Self::Webhook(Webhook::new(url, secret, attempt_max, clock)?)
            }
            ChannelKind::Nats { url } => Self::Nats(Nats::new(url, attempt_max)),
        })
    }

    /// Attempts one delivery, once, in bounded time.
    ///
    /// # Errors
    /// Whether it may be tried again.
    pub async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        match self {
            Self::Webhook(webhook) => webhook.send(delivery).await,
            Self::Nats(nats) => nats.send(delivery).await,
        }
    }
}
