//! The HTTP front door: `POST /v1/records[?stream=NAME]` takes an object, an array (`application/json`) or
//! one object a line (`application/x-ndjson`), and appends each record as it stands, keyed by its series.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State, rejection::BytesRejection},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::post,
};
use exchange::Output;
use serde::Deserialize;
use serde_json::json;
use tower_http::decompression::RequestDecompressionLayer;

use crate::{
    codec::{
        check::traceparent,
        json::{BadJson, key_of, split, split_lines},
    },
    door::{Encoded, FrontDoor, PublishError, RETRY_SECONDS, check_count},
    streams::{Shape, StreamSpec},
};

const DOOR: &str = "http";

/// The routes, to be merged into a server's. Bodies may be compressed with gzip; the limit of their size holds
/// for what comes out.
pub fn routes(door: FrontDoor) -> Router {
    let bytes_max = door.config().publish_bytes_max;
    Router::new()
        .route("/v1/records", post(publish))
        .layer(DefaultBodyLimit::max(bytes_max))
        .layer(RequestDecompressionLayer::new())
        .with_state(door)
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    stream: String,
}

/// How the records stand in the body.
#[derive(Clone, Copy)]
enum Layout {
    Json,
    Lines,
}

async fn publish(
    State(door): State<FrontDoor>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let layout = match layout(&headers) {
        Ok(layout) => layout,
        Err(error) => return problem(&error),
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            let bytes_max = door.config().publish_bytes_max;
            let error = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                PublishError::TooLarge(format!(
                    "the body is too large, at most {bytes_max} bytes are taken: send several requests"
                ))
            } else {
                PublishError::Invalid(rejection.body_text())
            };
            return problem(&error);
        }
    };
    let trace = headers.get("traceparent").and_then(|value| traceparent(value.to_str().ok()?));
    let trace = trace.map(|trace| Bytes::copy_from_slice(trace.as_bytes()));
    let limits = (door.config().publish_records_max, door.config().message_bytes_max);
    let encode = move |topic: &Arc<str>, spec: &_| {
        encode(topic, spec, layout, &body, trace.as_ref(), limits)
    };
    match door.publish(DOOR, parameters.stream, encode).await {
        Ok(records) => axum::Json(json!({ "records": records })).into_response(),
        Err(error) => problem(&error),
    }
}

fn layout(headers: &HeaderMap) -> Result<Layout, PublishError> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(Layout::Json) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        "application/json" => Ok(Layout::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Layout::Lines),
        _ => Err(PublishError::WrongFormat(format!(
            "content type {kind:?}: application/json or application/x-ndjson is expected"
        ))),
    }
}

fn encode(
    topic: &Arc<str>,
    spec: &StreamSpec,
    layout: Layout,
    body: &Bytes,
    trace: Option<&Bytes>,
    (records_max, bytes_max): (usize, usize),
) -> Result<Encoded, PublishError> {
    if matches!(spec.shape, Shape::Protobuf) {
        let name = &spec.name;
        let wrong = format!("stream {name:?} takes protobuf: publish by gRPC or to topic {topic}");
        return Err(PublishError::WrongFormat(wrong));
    }
    let records = match layout {
        Layout::Json => split(body),
        Layout::Lines => split_lines(body),
    };
    let records = records.map_err(|BadJson { line, column, what }| {
        PublishError::Invalid(format!("line {line}, column {column}: {what}"))
    })?;
    check_count(records.len(), records_max)?;
    let headers: Vec<_> =
        trace.map(|trace| ("traceparent".to_owned(), trace.clone())).into_iter().collect();
    let mut messages = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let key = key_of(spec, record).map(Bytes::from);
        let bytes = record.len() + key.as_ref().map_or(0, Bytes::len);
        if bytes > bytes_max {
            return Err(PublishError::TooLarge(format!(
                "record {index} has {bytes} bytes, at most {bytes_max} are taken"
            )));
        }
        messages.push(Output {
            topic: topic.clone(),
            partition: None,
            key,
            // A copy: a kept record must not keep the whole body in memory.
            value: Some(Bytes::copy_from_slice(record.as_bytes())),
            headers: headers.clone(),
        });
    }
    Ok(Encoded { records: messages.len(), messages })
}

/// An error as RFC 9457 has it.
fn problem(error: &PublishError) -> Response {
    let (status, retry) = match error {
        PublishError::NoStream(_) => (StatusCode::NOT_FOUND, false),
        PublishError::Invalid(_) => (StatusCode::BAD_REQUEST, false),
        PublishError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, false),
        PublishError::WrongFormat(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, false),
        PublishError::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, true),
        PublishError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, true),
        PublishError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, false),
    };
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": error.to_string(),
    });
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if retry {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    response
}
