//! Channels: where alerts are sent.

use serde::{Deserialize, Serialize};

use super::{Invalid, check_name, invalid};

/// Where alerts are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name: letters, digits, `-`, `_`, `.`; at most 100.
    pub name: String,
    /// How and where; refuses unknown fields for both.
    #[serde(flatten)]
    pub kind: ChannelKind,
}

/// How a channel sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum ChannelKind {
    /// HTTP POST of one JSON object per state of an alert, signed as Standard Webhooks says.
    Webhook {
        /// `http://` or `https://`.
        url: String,
        /// Name of the file that holds the secret (`whsec_…`); none: not signed.
        #[serde(default)]
        secret_file: Option<String>,
    },
    /// One message per state of an alert on `alerts.<severity>.<stream>.<key>`.
    Nats {
        /// `nats://host:port`.
        url: String,
    },
}

impl Channel {
    /// Checks one channel by itself.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        check_name("channel", &self.name)?;
        let (url, schemes): (_, &[&str]) = match &self.kind {
            ChannelKind::Webhook { url, .. } => (url, &["http://", "https://"]),
            ChannelKind::Nats { url } => (url, &["nats://", "tls://"]),
        };
        if schemes.iter().any(|s| url.starts_with(s)) {
            return Ok(());
        }
        invalid(
            format!("channel {:?}, url", self.name),
            format!("{url:?} must start with {}", schemes.join(" or ")),
        )
    }
}
