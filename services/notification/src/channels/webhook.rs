//! Webhooks as <https://www.standardwebhooks.com> says: one POST per state of an alert, with an id
//! by which the receiver drops repeats, and signed if there is a secret.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac as _};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    redirect,
};
use runtime::Clock;
use sha2::Sha256;

use super::{OpenError, SendError};
use crate::payload::Delivery;

/// How much of an answer is read, so that the connection can be used again; the rest is cut off
/// with it.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long that may take once the status is known.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Secrets as Standard Webhooks allows them.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A receiver. Neither its URL, which may hold a token, nor its secret is ever printed.
pub struct Webhook {
    client: Client,
    url: String,
    signer: Option<Hmac<Sha256>>,
    clock: Clock,
}

/// A key that signs; has no `Debug`, so that it can't be printed.
pub(super) struct Secret(Vec<u8>);

/// Reads the file that holds a secret.
pub(super) fn read_secret(path: &str) -> Result<Secret, OpenError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| OpenError::SecretFile { path: path.into(), source })?;
    parse_secret(&text).ok_or_else(|| OpenError::Secret { path: path.into() })
}

fn parse_secret(text: &str) -> Option<Secret> {
    let key = BASE64.decode(text.trim().strip_prefix("whsec_")?).ok()?;
    SECRET_BYTES.contains(&key.len()).then_some(Secret(key))
}

impl Webhook {
    pub(super) fn new(
        url: &str,
        secret: Option<Secret>,
        attempt_max: Duration,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let client = Client::builder()
            .timeout(attempt_max)
            // A redirect could lead the alert, and its signature, to somebody else.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("oddwatch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(OpenError::Client)?;
        // HMAC takes keys of any length.
        let signer = secret.and_then(|secret| Hmac::new_from_slice(&secret.0).ok());
        Ok(Self { client, url: url.to_owned(), signer, clock })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), SendError> {
        let at = (self.clock.now() / 1_000_000).to_string();
        let mut request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", &at)
            .body(delivery.body.clone());
        if let Some(signer) = &self.signer {
            let signature = sign(signer.clone(), &delivery.id, &at, &delivery.body);
            request = request.header("webhook-signature", signature);
        }
        // It came from outside: what is no header value is left out.
        let trace = delivery.traceparent.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(trace)) = trace {
            request = request.header("traceparent", trace);
        }
        let answer = request.send().await.map_err(failed)?;
        let verdict = verdict(&answer);
        // What it says is of no interest, and how it ends is none either.
        let _ = tokio::time::timeout(ANSWER_WAIT, read_some(answer)).await;
        verdict
    }
}

/// `v1,` and base64 of HMAC-SHA-256 over `id.timestamp.body`.
fn sign(mut signer: Hmac<Sha256>, id: &str, at: &str, body: &[u8]) -> String {
    for part in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
        signer.update(part);
    }
    format!("v1,{}", BASE64.encode(signer.finalize().into_bytes()))
}

fn failed(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    if error.is_builder() {
        return SendError::refused(format!("no request can be made: {error}"));
    }
    let mut what = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        what = format!("{what}: {cause}");
        source = cause.source();
    }
    SendError::retry(what)
}

fn verdict(answer: &Response) -> Result<(), SendError> {
    let status = answer.status();
    let what = format!("the receiver answered {status}");
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(SendError::Retry { what, after: retry_after(answer) })
        }
        status if status.is_server_error() => {
            Err(SendError::Retry { what, after: retry_after(answer) })
        }
        status if status.is_redirection() => {
            Err(SendError::refused(format!("{what}; redirects are not followed")))
        }
        _ => Err(SendError::refused(what)),
    }
}

/// `Retry-After` in seconds; its other form, a date, is left to the ordinary backoff.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read_some(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > ANSWER_BYTES_MAX {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_standard_webhooks_test_vector_says() {
        let secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signer = Hmac::new_from_slice(&secret.0).unwrap();
        assert_eq!(
            sign(signer, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_is_read_or_refused() {
        let check = |text: &str, expect: bool| {
            assert_eq!(parse_secret(text).is_some(), expect, "{text}");
        };
        check(&format!("whsec_{}", BASE64.encode([7; 32])), true);
        check(&BASE64.encode([7; 32]), false);
        check(&format!("whsec_{}", BASE64.encode([7; 23])), false);
        check("whsec_not base64", false);
        check("", false);
    }
}
